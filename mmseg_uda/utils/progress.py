"""Progress of long jobs: one line that is redrawn on a terminal, a few lines elsewhere."""

from __future__ import annotations

import datetime
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TextIO, TypeVar

from mmengine.dist import is_main_process

__all__ = ['Progress', 'end_line', 'track']

T = TypeVar('T')

PAUSE = 1.0  # seconds between two drawings at least
BAR = 24  # characters
_unfinished: list[Progress] = []  # whose line on the terminal has no end yet


class Progress:
    """Counts finished items, and shows the count, the speed and the remaining time.

    On a terminal, one line is drawn again every second. A file or a pipe gets at most one line per
    tenth of the items, and none within a second of the last one, but for the end. Jobs of less than
    a second are silent.

    Of several processes the first one shows its own.

    Args:
        total: Number of items; an estimate will do.
        title: What is counted.
        file: Where to write. Default: the standard error.

    Example:
        >>> with Progress(total=2, title='images') as progress:
        ...     progress.update(2)
    """

    def __init__(self, total: int, title: str, file: TextIO | None = None) -> None:
        self.total, self.title = total, title
        self.file = sys.stderr if file is None else file
        self.done = self.skipped = 0
        self._begin = self._drawn = time.monotonic()
        self._tenth = 0
        self._redraws = self.file.isatty()
        self._shown = is_main_process()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        elif self in _unfinished:
            end_line()

    def update(self, count: int = 1) -> None:
        """Count items that were worked on."""
        self.done += count
        self._draw_if_due()

    def skip(self, count: int = 1) -> None:
        """Count items that an earlier run finished; they take no time."""
        self.skipped += count
        self.update(count)

    def close(self) -> None:
        """Show the last state, and end the line."""
        if self._shown and self.done and time.monotonic() - self._begin >= PAUSE:
            self._draw(last=True)

    def _draw_if_due(self) -> None:
        now, tenth = time.monotonic(), 10 * self.done // max(1, self.total)
        due = self._shown and now - self._drawn >= PAUSE and self.done < self.total
        if due and (self._redraws or tenth > self._tenth):
            self._drawn, self._tenth = now, tenth
            self._draw()

    def _draw(self, last: bool = False) -> None:
        text = self._text(last)
        if not self._redraws:
            self.file.write(f'{text}\n')
        else:
            width = shutil.get_terminal_size().columns - 1
            self.file.write(f'\r{text[:width]:{width}}' + '\n' * last)
            _unfinished[:] = [] if last else [self]
        self.file.flush()

    def _text(self, last: bool) -> str:
        seconds = time.monotonic() - self._begin
        worked = self.done - self.skipped
        total = max(self.done, self.total)  # which may have been an estimate
        share = self.done / max(1, total)
        bar = f'[{"=" * round(BAR * share):{BAR}}] ' if self._redraws else ''
        parts = [f'{self.title}: {bar}{self.done} of {total}']
        parts += [f'{worked / seconds:.1f}/s'] if seconds and worked else []
        if last:
            parts.append(f'took {_clock(seconds)}')
        elif worked:
            parts.append(f'eta {_clock(seconds * (total - self.done) / worked)}')
        return ', '.join(parts)


def track(items: Iterable[T], total: int, title: str) -> Iterator[T]:
    """Yield items, and show on the standard error how many are done.

    Example:
        >>> [letter.upper() for letter in track('ab', total=2, title='letters')]
        ['A', 'B']
    """
    with Progress(total, title) as progress:
        for item in items:
            yield item
            progress.update()


def end_line() -> None:
    """End the line of a job on the terminal that stopped within it."""
    for progress in _unfinished:
        progress.file.write('\n')
        progress.file.flush()
    _unfinished.clear()


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
