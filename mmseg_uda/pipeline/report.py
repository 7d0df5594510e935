"""The report of a pipeline for people: ``report.md``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from mmseg_uda.artifacts.outputs import keep_other_file
from mmseg_uda.config.selection import SELECTED
from mmseg_uda.pipeline.state import STATE_NAME, StageRecord

__all__ = ['format_report', 'format_time', 'keep_other_report']

COVERAGE = (
    'Kept pixels in per cent of those that were predicted as the class (more than 100 where a rule '
    're-assigns classes).'
)


def keep_other_report(work_dir: Path) -> None:
    """Move aside a ``report.md`` that was there before any stage of ours."""
    report = work_dir / 'report.md'
    if report.exists() and not Path(work_dir, STATE_NAME).is_file():
        keep_other_file(report)


def format_time(seconds: float) -> str:
    """Format seconds as hours, minutes and seconds, as in ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02d}:{rest:02d}'


def format_report(
    name: str,
    kinds: Mapping[str, str],
    records: Mapping[str, StageRecord],
    selected: Collection[str] = (),
) -> str:
    """Format the report as Markdown.

    Args:
        name: Name of the pipeline.
        kinds: Name and type of every stage, in order.
        records: Records of those that were started.
        selected: Stages whose results follow from a choice by labels of the target; it is written
            beside their numbers.
    """
    stages = {stage: records.get(stage, StageRecord(kind)) for stage, kind in kinds.items()}
    rows = [['stage', 'type', 'status', 'time', 'attempts', 'processes', 'output']]
    for stage, record in stages.items():
        if stage not in records:
            rows.append([stage, kinds[stage], 'not started', '', '', '', ''])
            continue
        status = f'**{record.status}**' if record.error else record.status
        numbers = [format_time(record.seconds), str(record.attempts), str(record.processes)]
        rows.append([stage, kinds[stage], status, *numbers, record.outputs.get('output', '')])
    # An empty line ends a Markdown table.
    total = format_time(sum(record.seconds for record in stages.values()))
    lines = [f'# {name}', '', *_table(rows)]
    lines += ['', f'{total} in all; times include attempts that were interrupted.']
    for stage, record in stages.items():
        notes = [text.replace('\n', ' ') for text in (record.error, record.note) if text]
        if notes:
            lines += ['', f'- `{stage}`: {"; ".join(notes)}']
    metrics = {
        f'{stage} ({SELECTED})' if stage in selected else stage: record.metrics
        for stage, record in stages.items()
        if record.metrics
    }
    if metrics:
        lines += ['', '## Metrics', '', 'Of a training: those of its last validation.', '']
        lines += _columns('metric', metrics, lambda value: f'{value:.4g}')
    coverage = {stage: record.coverage for stage, record in stages.items() if record.coverage}
    if coverage:
        lines += ['', '## Pseudo labels', '', COVERAGE, '', *_columns('class', coverage, _share)]
    return '\n'.join(lines) + '\n'


def _table(rows: list[list[str]]) -> list[str]:
    return [f'| {" | ".join(row)} |' for row in [rows[0], ['---'] * len(rows[0]), *rows[1:]]]


def _columns(
    title: str, values: Mapping[str, Mapping[str, Any]], form: Callable[[Any], str]
) -> list[str]:
    """Format a table with one column per stage and one row per key."""
    keys = dict.fromkeys(key for column in values.values() for key in column)
    rows = [
        [key, *(form(column[key]) if key in column else '' for column in values.values())]
        for key in keys
    ]
    return _table([[title, *values], *rows])


def _share(counts: list[int]) -> str:
    predicted, kept = counts
    return f'{100 * kept / predicted:.1f}' if predicted else f'none predicted, {kept} kept'
