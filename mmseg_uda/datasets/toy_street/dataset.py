"""The embedded dataset: procedural street scenes in two domains."""

from __future__ import annotations

import os.path as osp
from typing import Any

from mmseg.datasets import BaseSegDataset, CityscapesDataset
from mmseg.registry import DATASETS

from mmseg_uda.datasets.toy_street.render import DOMAINS, SPLITS
from mmseg_uda.utils.arguments import check_choice

__all__ = ['ToyStreetDataset']


@DATASETS.register_module()
class ToyStreetDataset(BaseSegDataset):
    """Toy streets with Cityscapes' 19 train ids and 255 = ignore.

    Reads ``<data_root>/<domain>/images/<split>/NAME.png`` and
    ``<data_root>/<domain>/labels/<split>/NAME.png``, as
    ``tools/dataset_converters/toy_street.py`` writes them. Both domains draw the layout of streets
    from one distribution; their appearance differs.

    Args:
        data_root: Directory of the generated set.
        domain: ``'source'`` (flat clean render) or ``'target'`` (dashcam at dusk).
        split: ``'train'`` or ``'val'``.
        **kwargs: Arguments of mmseg's ``BaseSegDataset``, e.g. ``pipeline``.

    Raises:
        ValueError: If ``domain`` or ``split`` has another value.
        FileNotFoundError: If the set or a label does not exist.
    """

    METAINFO = CityscapesDataset.METAINFO

    def __init__(self, data_root: str, domain: str, split: str = 'train', **kwargs: Any) -> None:
        for key, value, known in (('domain', domain, DOMAINS), ('split', split, SPLITS)):
            check_choice(f'ToyStreetDataset.{key}', value, known)
        prefix = {
            'img_path': f'{domain}/images/{split}',
            'seg_map_path': f'{domain}/labels/{split}',
        }
        super().__init__(
            data_root=data_root,
            data_prefix=prefix,
            img_suffix='.png',
            seg_map_suffix='.png',
            **kwargs,
        )

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the images with their labels, in the order of their names."""
        command = f'python tools/dataset_converters/toy_street.py {self.data_root}'
        for directory in (self.data_prefix['img_path'], self.data_prefix['seg_map_path']):
            if not osp.isdir(directory):
                raise FileNotFoundError(
                    f'ToyStreetDataset.data_root: expected the directory {directory}, but it does '
                    f'not exist; generate it with `{command}`'
                )
        data_list: list[dict[str, Any]] = super().load_data_list()
        if not data_list:
            raise FileNotFoundError(
                f'ToyStreetDataset.data_root: expected images in {self.data_prefix["img_path"]}, '
                f'but got none; generate them with `{command}`'
            )
        for item in data_list:
            if not osp.isfile(item['seg_map_path']):
                raise FileNotFoundError(
                    f'ToyStreetDataset: expected the label {item["seg_map_path"]} of '
                    f'{item["img_path"]}, but it does not exist; generate it with `{command}`'
                )
        return data_list
