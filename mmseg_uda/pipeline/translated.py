"""Pipelines whose source images are translated to the target's style first."""

from __future__ import annotations

import os.path as osp
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_uda.stages.references import find_references

__all__ = ['translate_source']

IMAGES = 'train_dataloader.source.dataset.data_prefix.img_path'
READERS = ('train', 'image_labels')  # types of stages that read source images


def translate_source(content: dict[str, Any], path: Path, cell: str | None) -> None:
    """Let the stages of a pipeline read translated source images, if its config says so.

    The key ``translated`` is False, a directory of images, or True. With True the stages of the
    pipeline ``translation`` come first, those of its cell that is a word of this pipeline's cell
    (``gta`` for ``r101-gta``). A list names the cells for which it is True. Labels stay where they
    are.

    Args:
        content: The config's content, whose stages are changed.
        path: Its file.
        cell: The cell of the pipeline.

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
    if not given:
        return
    stages = content['stages']
    first: list[dict[str, Any]] = []
    if given is True:
        first = _stages_of(content.get('translation'), path, cell)
        given = f'{{{first[-1]["name"]}}}/images'
    elif next(find_references(given), None) is None:
        given = str(Path(given).resolve())  # others are below data_root
    for stage in stages:
        if stage.get('type') in READERS:
            stage['options'] = {IMAGES: given, **stage.get('options', {})}
    content['stages'] = [*first, *stages]


def _stages_of(translation: str | None, path: Path, cell: str | None) -> list[dict[str, Any]]:
    """Give the stages that translate, with the paths of their configs relative to ``path``."""
    cells: dict[str, Any] = {}
    if translation is not None:
        file = path.parent / translation
        cells = Config.fromfile(file).to_dict()['cells']
    found = [name for name in cells if name in (cell or '').split('-')]
    if len(found) != 1:
        raise ValueError(
            f'{path}: translated: expected a directory of images, as `translation` has no stages '
            f'for the cell {cell!r}, but got True; write --cfg-options translated=DIRECTORY'
        )
    place = osp.dirname(translation or '')
    return [
        {**stage, 'config': osp.join(place, stage['config'])} if 'config' in stage else stage
        for stage in cells[found[0]]
    ]
