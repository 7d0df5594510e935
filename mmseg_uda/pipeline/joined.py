"""Pipelines that take the stages of other pipelines' cells."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmseg_uda.config.tables import choose, read_file
from mmseg_uda.pipeline.translated import check_stages, move_configs, translate_stages

__all__ = ['join_cells', 'read_stages']


def join_cells(stages: Any, path: Path, above: tuple[tuple[Path, str], ...] = ()) -> Any:
    """Put the stages of a cell in place of each string ``FILE:CELL`` among stages.

    ``FILE`` is relative to the pipeline's directory. A stage that several of these cells have in
    common, with the same name and the same content, runs once.

    Args:
        stages: The stages of a pipeline.
        path: Its file.
        above: Files and cells that are being joined.

    Returns:
        The stages, without strings. The reader refuses what is no list, which is returned as it is.

    Raises:
        ValueError: A string is not of this form, there is no such cell, a cell contains itself, or
            two cells have different stages of one name.
        FileNotFoundError: There is no such file.
    """
    if not isinstance(stages, (list, tuple)):
        return stages
    joined: list[Any] = []
    contents: dict[Path, dict[str, Any]] = {}  # of files, each of which is read once
    taken: dict[str, tuple[str, dict[str, Any]]] = {}
    for index, each in enumerate(stages):
        if not isinstance(each, str):
            joined.append(each)
            continue
        file, _, cell = each.rpartition(':')
        if not file or not cell:
            raise ValueError(
                f'{path}: stages[{index}] got {each!r}; write dict(name=..., type=..., ...) or '
                "'FILE:CELL'"
            )
        other = path.parent / file
        if other not in contents:
            contents[other] = _read_cells(other, path)
        for stage in _stages_of(contents[other], file, cell, path, above):
            name = stage['name']
            if name not in taken:
                taken[name] = each, stage
                joined.append(stage)
                continue
            origin, known = taken[name]
            if known != stage:
                raise ValueError(
                    f'{path}: expected one stage {name!r}, but {origin} and {each} have different '
                    'ones; write the stages of one of them, with other names'
                )
    return joined


def read_stages(
    cells: Mapping[str, Any], cell: str, path: Path, above: tuple[tuple[Path, str], ...] = ()
) -> list[dict[str, Any]]:
    """Give the stages of a pipeline's cell, after those of the cells that it names.

    Args:
        cells: The pipeline's cells.
        cell: One of them.
        path: The pipeline's file.
        above: As of :func:`join_cells`.

    Raises:
        ValueError: The cell is no list of stages with names; and as of :func:`join_cells`.
        FileNotFoundError: As of :func:`join_cells`.
    """
    stages = join_cells(cells[cell], path, above)
    return check_stages(stages, f'{path}: cells.{cell}')


def _read_cells(other: Path, path: Path) -> dict[str, Any]:
    """Read a pipeline that has cells."""
    if not other.is_file():
        raise FileNotFoundError(f'{path}: stages: no config file {other}')
    content = read_file(other).to_dict()
    if not content.get('cells') or 'rows' in content:
        raise ValueError(f'{path}: stages: expected a pipeline with cells, but got {other}')
    return content


def _stages_of(
    content: dict[str, Any],
    file: str,
    cell: str,
    path: Path,
    above: tuple[tuple[Path, str], ...],
) -> list[dict[str, Any]]:
    """Give the stages of a cell, with configs relative to the directory of ``path``."""
    other = path.parent / file
    place = other.resolve(), choose('cell', cell, content['cells'], str(other))
    if place in above:
        raise ValueError(f'{path}: stages: expected other cells, but {file}:{cell} contains itself')
    made = read_stages(content['cells'], cell, other, (*above, place))
    return move_configs(translate_stages(made, content, other, cell), osp.dirname(file))
