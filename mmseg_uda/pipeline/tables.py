"""Pipelines of several cells, and tables of ablations as pipelines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_uda.config.selection import SELECTED
from mmseg_uda.config.tables import Table, choose
from mmseg_uda.pipeline.state import StageRecord
from mmseg_uda.stages.references import find_references, split_reference, substitute

__all__ = ['format_table', 'select_stages', 'successors', 'table_stages']


def select_stages(
    content: dict[str, Any], path: Path, rows: Sequence[str] | None, cell: str | None
) -> tuple[str, Table | None]:
    """Write the stages of a table, or of a pipeline's cell, to ``content['stages']``.

    Args:
        content: The config's content.
        path: Its file.
        rows: Rows of a table; None: all.
        cell: The cell; None: all of a table, the only one of a pipeline.

    Returns:
        The pipeline's name, and its table if it is one.

    Raises:
        ValueError: There is no such row or cell, or the file has none.
    """
    if 'rows' in content and 'stages' not in content:
        table = Table(path)
        content['stages'] = table_stages(table, rows, cell)
        return f'{path.resolve().parent.name}_{path.stem}', table
    plain = 'stages' in content or 'cells' not in content
    if rows or (cell and plain):
        raise ValueError(
            f'{path}: expected no --{"row" if rows else "cell"}, which it does not have'
        )
    if plain:
        return path.stem, None
    cell = choose('cell', cell, content['cells'], str(path))
    content['stages'] = content['cells'][cell]
    return f'{path.stem}_{cell}', None


def table_stages(
    table: Table, rows: Sequence[str] | None = None, cell: str | None = None
) -> list[dict[str, Any]]:
    """The stages that train and test rows of a table, after those that they need.

    Args:
        table: The table.
        rows: The rows; None: all.
        cell: The cell; None: all.

    Raises:
        ValueError: There is no such row, or it lacks the cell.
    """
    rows = [choose('row', row, table.rows, str(table.path)) for row in rows or table.rows]
    cells = [choose('cell', cell, table.cells, str(table.path))] if cell else [*table.cells]
    stages: dict[str, dict[str, Any]] = {}
    for pair in table.pairs():
        for stage in _row_stages(table, *pair):
            stages.setdefault(stage['name'], stage)
    needed = {
        f'{row}_{column}_test' for row, column in table.pairs() if row in rows and column in cells
    }
    if not needed:
        raise ValueError(f'{table.path}: cell {cell!r} has none of the rows {", ".join(rows)}')
    for name, stage in reversed(stages.items()):
        if name in needed:
            needed.update(split_reference(each)[0] for each in find_references(stage))
    return [stage for name, stage in stages.items() if name in needed]


def _row_stages(table: Table, row: str, cell: str) -> list[dict[str, Any]]:
    """Those of the table's pipeline that a row may need, and its own two."""
    links, variant = table.rows[row].links, table.rows[row].variant
    links = table.links if links is None else links
    before = f'{cell}-{variant}' if variant else cell

    def rename(reference: str) -> str:
        name, dot, part = reference.partition('.')
        return f'{{{name}_{cell if name in table.rows else before}{dot}{part}}}'

    stages = []
    if table.pipeline and any(
        split_reference(each)[0] not in table.rows for each in find_references(links)
    ):
        path = table.path.with_name(table.pipeline)
        cells = Config.fromfile(path).to_dict()['cells']
        stages = [
            substitute({**stage, 'name': f'{stage["name"]}_{before}'}, rename)
            for stage in cells[choose('cell', before, cells, str(path))]
        ]
    name = f'{row}_{cell}'
    both = dict(config=f'{table.path.name}:{row}:{cell}', options=substitute(links, rename))
    metric = {'metric': table.metrics[cell]} if cell in table.metrics else {}
    return [
        *stages,
        dict(name=name, type='train', **both, **metric),
        dict(name=f'{name}_test', type='test', checkpoint=f'{{{name}}}', **both),
    ]


def format_table(
    table: Table, records: Mapping[str, StageRecord], selected: Collection[str] = ()
) -> list[str]:
    """A table with the paper's numbers and ours, as lines of Markdown.

    Args:
        table: The table.
        records: Records of the stages that were started.
        selected: As for :func:`format_report`.
    """
    lines = []
    for cell in table.cells:
        metric = table.metrics.get(cell, 'mIoU')
        lines += [
            '',
            f'## {cell}: {metric}',
            '',
            '| row | | table | paper | ours | difference |',
            '|---|---|---|---|---|---|',
        ]
        for name, column in table.pairs():
            if column != cell:
                continue
            stage = f'{name}_{cell}_test'
            row, record = table.rows[name], records.get(stage)
            paper, ours = (
                table.paper(name).get(cell),
                record.metrics.get(metric) if record else None,
            )
            difference = '' if paper is None or ours is None else f'{ours - paper:+.2f}'
            numbers = ['' if each is None else f'{each:.2f}' for each in (paper, ours)]
            if ours is not None and stage in selected:
                numbers[1] += f' ({SELECTED})'
            cells = [name, row.text, row.table, *numbers, difference]
            lines.append(f'| {" | ".join(cells)} |')
    return lines


def successors(path: Path) -> str:
    """Name the pipeline of several cells, or else the table, beside a path that is not there."""
    for pattern in ('*_pipeline.py', 'ablations.py'):
        for file in sorted(path.parent.glob(pattern)):
            if cells := Config.fromfile(file).get('cells'):
                return f'; write {file} --cell CELL, with one of {", ".join(cells)}'
    return ''
