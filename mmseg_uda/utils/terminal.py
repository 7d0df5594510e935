"""The log on the terminal: short lines, while the log file has everything."""

from __future__ import annotations

import copy
import logging
import math

from mmengine.logging import MMLogger
from termcolor import colored

from mmseg_uda.compat import NO_NEWS

__all__ = ['LogLine', 'prepare_terminal', 'show_tables']

LONGEST = 4  # lines of a message
TABLE = '+-'  # begins tables of results
COLOURS = {logging.WARNING: 'yellow', logging.ERROR: 'red', logging.CRITICAL: 'red'}


class LogLine(str):
    """A line of the log file with another text for the terminal.

    Args:
        text: The line.
        terminal: The other text; empty for none.
    """

    terminal: str

    def __new__(cls, text: str, terminal: str) -> LogLine:
        line = super().__new__(cls, text)
        line.terminal = terminal
        return line


class _Filter(logging.Filter):
    """Keeps from the terminal what is no news, what is long, and tables if they are not wanted."""

    def __init__(self, longest: float) -> None:
        super().__init__()
        self.longest = longest
        self.tables = True

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, LogLine):
            return bool(record.msg.terminal)
        text = record.getMessage().strip()
        if text.startswith(NO_NEWS):
            return False
        if text.startswith(TABLE) or text == 'per class results:':
            return self.tables
        return record.levelno > logging.INFO or text.count('\n') < self.longest


class _Formatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__('%(asctime)s  %(message)s', datefmt='%m/%d %H:%M:%S')

    def format(self, record: logging.LogRecord) -> str:
        record = copy.copy(record)  # other handlers get the same one
        text = record.getMessage()
        if isinstance(record.msg, LogLine):
            text = record.msg.terminal
        elif record.levelno in COLOURS:
            level = colored(record.levelname.lower(), COLOURS[record.levelno])
            text = f'{level}: {text}'
        record.msg, record.args = text, ()
        return super().format(record)


def _handlers(logger: logging.Logger) -> list[logging.Handler]:
    """Find the handlers of a logger that write to the terminal."""
    return [
        handler
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler)
        and not isinstance(handler, logging.FileHandler)
    ]


def prepare_terminal(logger: MMLogger) -> None:
    """Shorten what a logger writes to the terminal; its file stays as it is.

    The toolboxes' messages that are no news are left out and, if there is a file, those of more
    than four lines, such as the config. Lines have a time, and a level from warnings on.
    """
    longest = math.inf if logger.log_file is None else LONGEST
    for handler in _handlers(logger):
        if not any(isinstance(each, _Filter) for each in handler.filters):
            handler.addFilter(_Filter(longest))
            handler.setFormatter(_Formatter())


def show_tables(logger: MMLogger, shown: bool) -> None:
    """Set whether a prepared logger writes tables of results to the terminal, too."""
    for handler in _handlers(logger):
        for each in handler.filters:
            if isinstance(each, _Filter):
                each.tables = shown
