"""Pipelines whose source images are translated to the target's style first."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmseg_uda.config.tables import read_file
from mmseg_uda.stages.references import add_suffix, find_references

__all__ = ['move_configs', 'translate_source', 'translate_stages']

IMAGES = 'train_dataloader.source.dataset.data_prefix.img_path'
READERS = ('train', 'image_labels')  # types of stages that read source images


def translate_source(content: dict[str, Any], path: Path, cell: str | None) -> None:
    """Let the stages of a pipeline read translated source images, if its config says so.

    Args:
        content: The config's content, whose stages are changed.
        path: Its file.
        cell: The cell of the pipeline.

    Raises:
        ValueError: As :func:`translate_stages`.
    """
    content['stages'] = translate_stages(content['stages'], content, path, cell)


def translate_stages(
    stages: Iterable[dict[str, Any]],
    content: Mapping[str, Any],
    path: Path,
    cell: str | None,
    place: str = '',
    shared: bool = False,
) -> list[dict[str, Any]]:
    """Give stages that read translated source images, and before them those that translate.

    The key ``translated`` is False, a directory of images, or True. With True the stages of the
    pipeline ``translation`` come first, those of its cell that is a word of this pipeline's cell
    (``gta`` for ``r101-gta``). A list names the cells for which it is True. Labels stay where they
    are.

    Args:
        stages: The stages, whose options are changed.
        content: A pipeline's config.
        path: Its file.
        cell: The cell of the stages.
        place: Directory of ``path``, relative to the one of the stages' configs.
        shared: Name the translation's stages by its cell, for stages of several cells.

    Raises:
        ValueError: ``translated`` is of another kind, or there is no translation for the cell.
    """
    given = content.get('translated', False)
    if isinstance(given, (list, tuple)):
        given = cell in given
    if not isinstance(given, (bool, str)) or given == '':
        raise ValueError(
            f'{path}: translated: expected True, False, a directory or a list of cells, but got '
            f'{given!r}'
        )
    stages = list(stages)
    if not given:
        return stages
    first: list[dict[str, Any]] = []
    if given is True:
        translation = content.get('translation')
        word, first = _translation(translation, path, cell)
        first = move_configs(first, osp.join(place, osp.dirname(translation or '')))
        first = add_suffix(first, f'_{word}') if shared else first
        given = f'{{{first[-1]["name"]}}}/images'
    elif next(find_references(given), None) is None:
        given = str(Path(given).resolve())  # others are below data_root
    for stage in stages:
        if stage.get('type') in READERS:
            stage['options'] = {IMAGES: given, **stage.get('options', {})}
    return [*first, *stages]


def _translation(
    translation: str | None, path: Path, cell: str | None
) -> tuple[str, list[dict[str, Any]]]:
    """Give the cell of a translation that fits, and its stages."""
    file = path.parent / (translation or '')
    cells: dict[str, Any] = read_file(file).to_dict()['cells'] if translation else {}
    found = [name for name in cells if name in (cell or '').split('-')]
    if len(found) != 1:
        raise ValueError(
            f'{path}: translated: expected a directory of images, as `translation` has no stages '
            f'for the cell {cell!r}, but got True; write --cfg-options translated=DIRECTORY'
        )
    return found[0], check_stages(cells[found[0]], f'{file}: cells.{found[0]}')


def check_stages(stages: Any, where: str) -> list[dict[str, Any]]:
    """Refuse what is no list of stages with names; ``where`` begins the message."""
    for each in stages if stages and isinstance(stages, list) else [stages]:
        if not isinstance(each, Mapping) or not isinstance(each.get('name'), str):
            raise ValueError(f'{where} got {each!r}; write [dict(name=..., type=..., ...), ...]')
    return list(stages)


def move_configs(stages: Iterable[Mapping[str, Any]], place: str) -> list[dict[str, Any]]:
    """Copy stages whose configs are relative to the directory ``place``."""

    def move(value: Mapping[str, Any]) -> dict[str, Any]:
        moved = dict(value)
        if 'config' in moved:
            moved['config'] = osp.normpath(osp.join(place, moved['config']))
        if isinstance(moved.get('compare'), Mapping):  # of a stage `show`
            moved['compare'] = move(moved['compare'])
        return moved

    return [move(stage) for stage in stages]
