"""Pipelines that take the stages of other pipelines' cells."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmseg_uda.config.tables import choose, read_file
from mmseg_uda.pipeline.translated import move_configs, translate_stages

__all__ = ['join_cells']


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
        for stage in _stages_of(file, cell, path, above):
            name = stage['name']
            origin, known = taken.setdefault(name, (each, stage))
            if known is stage:
                joined.append(stage)
            elif known != stage:
                raise ValueError(
                    f'{path}: expected one stage {name!r}, but {origin} and {each} have different '
                    'ones; write the stages of one of them, with other names'
                )
    return joined


def _stages_of(
    file: str, cell: str, path: Path, above: tuple[tuple[Path, str], ...]
) -> Iterable[dict[str, Any]]:
    """Give the stages of a cell, with configs relative to the directory of ``path``."""
    other = path.parent / file
    if not other.is_file():
        raise FileNotFoundError(f'{path}: stages: no config file {other}')
    content = read_file(other).to_dict()
    cells = content.get('cells')
    if not cells or 'rows' in content:
        raise ValueError(f'{path}: stages: expected a pipeline with cells, but got {other}')
    place = other.resolve(), choose('cell', cell, cells, str(other))
    if place in above:
        raise ValueError(f'{path}: stages: expected other cells, but {file}:{cell} contains itself')
    made = join_cells(cells[cell], other, (*above, place))
    for each in made if isinstance(made, list) else [made]:
        if not isinstance(each, Mapping) or not isinstance(each.get('name'), str):
            raise ValueError(
                f'{other}: cells.{cell} got {each!r}; write [dict(name=..., type=..., ...), ...]'
            )
    return move_configs(translate_stages(made, content, other, cell), osp.dirname(file))
