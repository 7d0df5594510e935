"""``report.md``: the state of a pipeline, for people."""

from __future__ import annotations

from collections.abc import Sequence

from mmseg_uda.pipeline.state import Entry

__all__ = ['format_report', 'format_time']


def format_time(seconds: float) -> str:
    """Hours, minutes and seconds, as in ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02d}:{rest:02d}'


def format_report(name: str, stages: Sequence[tuple[str, str]], entries: dict[str, Entry]) -> str:
    """The report as Markdown.

    Args:
        name: Name of the pipeline.
        stages: Name and type of every stage, in order.
        entries: What is known of those that were started.
    """
    waiting = Entry('', status='not started')
    rows = [(stage, kind, entries.get(stage, waiting)) for stage, kind in stages]
    total = sum(entry.seconds for _, _, entry in rows)
    lines = [f'# {name}', '']
    lines += _table(
        ['stage', 'type', 'status', 'time', 'attempts', 'processes', 'output'],
        [
            [
                stage,
                kind,
                f'**{entry.status}**' if entry.error else entry.status,
                format_time(entry.seconds) if entry.attempts else '',
                str(entry.attempts or ''),
                str(entry.processes) if entry.attempts else '',
                entry.outputs.get('output', ''),
            ]
            for stage, kind, entry in rows
        ],
    )
    lines += ['', f'{format_time(total)} in all; times include attempts that were interrupted.']
    for stage, _, entry in rows:
        if entry.error or entry.note:
            text = entry.error.replace('\n', ' ') if entry.error else ''
            lines += ['', f'- `{stage}`: ' + '; '.join(filter(None, [text, entry.note]))]
    scores = [(stage, entry) for stage, _, entry in rows if entry.metrics]
    if scores:
        keys = list(dict.fromkeys(key for _, entry in scores for key in entry.metrics))
        lines += ['', '## Metrics', '', 'Of a training: those of its last validation.', '']
        lines += _table(
            ['metric', *(stage for stage, _ in scores)],
            [[key, *(_number(entry.metrics.get(key)) for _, entry in scores)] for key in keys],
        )
    labels = [(stage, entry) for stage, _, entry in rows if entry.coverage]
    if labels:
        classes = list(dict.fromkeys(key for _, entry in labels for key in entry.coverage))
        lines += [
            '',
            '## Pseudo labels',
            '',
            'Kept pixels in per cent of those that were '
            'predicted as the class (more than 100 where a rule re-assigns classes).',
            '',
        ]
        lines += _table(
            ['class', *(stage for stage, _ in labels)],
            [
                [key, *(_coverage(entry.coverage.get(key)) for _, entry in labels)]
                for key in classes
            ],
        )
    return '\n'.join(lines) + '\n'


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    return [f'| {" | ".join(row)} |' for row in [header, ['---'] * len(header), *rows]]


def _number(value: float | None) -> str:
    return '' if value is None else f'{value:.4g}'


def _coverage(counts: list[int] | None) -> str:
    if not counts:
        return ''
    predicted, kept = counts
    return f'{100 * kept / predicted:.1f}' if predicted else f'none predicted, {kept} kept'
