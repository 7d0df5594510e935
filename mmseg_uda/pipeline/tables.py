"""Pipelines of several cells, and tables of ablations as pipelines."""

from __future__ import annotations

import os.path as osp
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_uda.config.selection import SELECTED
from mmseg_uda.config.tables import Table, choose, read_file
from mmseg_uda.pipeline.joined import read_stages
from mmseg_uda.pipeline.state import StageRecord
from mmseg_uda.pipeline.translated import move_configs, translate_stages
from mmseg_uda.stages.references import (
    add_suffix,
    find_references,
    split_reference,
    substitute,
)

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
        content['stages'] = table_stages(table, rows, cell, content.get('translated'))
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
    table: Table,
    rows: Sequence[str] | None = None,
    cell: str | None = None,
    translated: Any = None,
) -> list[dict[str, Any]]:
    """The stages that train and test rows of a table, after those that they need.

    Args:
        table: The table.
        rows: The rows; None: all.
        cell: The cell; None: all.
        translated: As in a pipeline; None: as in the table's pipeline.

    Raises:
        ValueError: There is no such row, or it lacks the cell.
    """
    rows = [choose('row', row, table.rows, str(table.path)) for row in rows or table.rows]
    cells = [choose('cell', cell, table.cells, str(table.path))] if cell else [*table.cells]
    pairs = [(row, column) for row, column in table.pairs() if column in cells]
    needed = {f'{row}_{column}_test' for row, column in pairs if row in rows}
    if not needed:
        raise ValueError(f'{table.path}: cell {cell!r} has none of the rows {", ".join(rows)}')
    path = table.path.parent / (table.pipeline or table.path.name)
    pipeline = {} if table.pipeline is None else read_file(path).to_dict()
    if translated is not None:
        pipeline['translated'] = translated
    place = osp.dirname(table.pipeline or '')
    stages: dict[str, dict[str, Any]] = {}
    for row, column in pairs:
        made = _row_stages(table, row, column, pipeline.get('cells', {}), path)
        for stage in translate_stages(made, pipeline, path, column, place, shared=True):
            stages.setdefault(stage['name'], stage)
    figures = [each for column in cells for each in _figures(table, rows, column)]
    stages.update((stage['name'], stage) for stage in figures)
    needed.update(stage['name'] for stage in figures)
    for name, stage in reversed(stages.items()):
        if name in needed:
            needed.update(split_reference(each)[0] for each in find_references(stage))
    return [stage for name, stage in stages.items() if name in needed]


def _row_stages(
    table: Table, row: str, cell: str, cells: Mapping[str, Any], path: Path
) -> Iterator[Any]:
    """Those of the table's pipeline ``path`` that a row may need, and its own."""
    before = _pipeline_cell(table, row, cell)
    tested = _tested(table, row, cell)
    references = (split_reference(each)[0] for each in find_references(tested))
    if not table.rows.keys() >= {name.removesuffix(f'_{cell}') for name in references}:
        place = osp.dirname(table.pipeline or '')
        made = read_stages(cells, choose('cell', before, cells, str(table.path)), path)
        yield from add_suffix(move_configs(made, place), f'_{before}')
    name = f'{row}_{cell}'
    metric = {'metric': table.metrics[cell]} if cell in table.metrics else {}
    if not table.rows[row].checkpoint:
        both = {key: tested[key] for key in ('config', 'options')}
        yield dict(name=name, type='train', **both, **metric)
    yield dict(name=f'{name}_test', type='test', **tested)


def _pipeline_cell(table: Table, row: str, cell: str) -> str:
    variant = table.rows[row].variant
    return f'{cell}-{variant}' if variant else cell


def _tested(table: Table, row: str, cell: str) -> dict[str, Any]:
    """Config, options and checkpoint of a row."""
    before = _pipeline_cell(table, row, cell)

    def rename(reference: str) -> str:
        name, dot, part = reference.partition('.')
        return f'{{{name}_{cell if name in table.rows else before}{dot}{part}}}'

    links, checkpoint = table.rows[row].links, table.rows[row].checkpoint
    return dict(
        config=f'{table.path.name}:{row}:{cell}',
        options=substitute(table.links if links is None else links, rename),
        checkpoint=substitute(checkpoint, rename) if checkpoint else f'{{{row}_{cell}}}',
    )


def _figures(table: Table, rows: Collection[str], cell: str) -> Iterator[dict[str, Any]]:
    """The stages that draw the figures of which all rows are run."""
    for name, figure in table.figures.items():
        arguments = {key: value for key, value in figure.items() if key not in ('rows', 'cells')}
        compared = arguments.get('compare')
        drawn = [row for row in figure['rows'] if cell in table.cells_of(row)]
        if cell not in figure.get('cells', table.cells) or not {*drawn, compared or ''} <= {
            *rows,
            '',
        }:
            continue
        if compared:
            arguments['compare'] = _tested(table, compared, cell)
        for row in drawn:
            stage = dict(name=f'{name}_{row}_{cell}', type='show', **_tested(table, row, cell))
            yield {**stage, **arguments}


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
