"""Pipelines that take the stages of other pipelines' cells."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmseg_uda.config.tables import choose, read_file
from mmseg_uda.pipeline.translated import move_configs, translate_stages

__all__ = ['join_cells']


def join_cells(stages: Any, path: Path) -> Any:
    """Put the stages of a cell in place of each string ``FILE:CELL`` among stages.

    ``FILE`` is relative to the pipeline's directory. A stage that several of these cells have in
    common, with the same name and the same content, runs once.

    Args:
        stages: The stages of a pipeline.
        path: Its file.

    Returns:
        The stages, without strings. The reader refuses what is no list, which is returned as it is.

    Raises:
        ValueError: A string is not of this form, there is no such cell, or two cells have
            different stages of one name.
        FileNotFoundError: There is no such file.
    """
    if not isinstance(stages, (list, tuple)):
        return stages
    joined: list[Any] = []
    taken: dict[str, tuple[str, dict[str, Any]]] = {}
    for each in stages:
        if not isinstance(each, str):
            joined.append(each)
            continue
        for stage in _stages_of(each, path):
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


def _stages_of(reference: str, path: Path) -> Iterable[dict[str, Any]]:
    """Give the stages of ``FILE:CELL``, with configs relative to the directory of ``path``."""
    file, _, cell = reference.rpartition(':')
    other = path.parent / file
    if not file or not cell:
        raise ValueError(
            f"{path}: stages: expected dict(...) or 'FILE:CELL', but got {reference!r}"
        )
    if not other.is_file():
        raise FileNotFoundError(f'{path}: stages: no config file {other}, of {reference!r}')
    content = read_file(other).to_dict()
    cells = content.get('cells')
    if not cells or 'rows' in content:
        raise ValueError(f'{path}: stages: {other} is no pipeline with cells, of {reference!r}')
    made = join_cells(cells[choose('cell', cell, cells, str(other))], other)
    return move_configs(translate_stages(made, content, other, cell), osp.dirname(file))
