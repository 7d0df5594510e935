"""Loading of pseudo labels written by ``tools/generate_pseudo_labels.py``."""

from __future__ import annotations

import os.path as osp
from functools import lru_cache
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from mmseg_uda.artifacts.pseudo_labels import Manifest
from mmseg_uda.structures import IGNORE_INDEX
from mmseg_uda.utils.errors import error_context

__all__ = ['LoadPseudoLabels', 'resize_label']


@lru_cache(maxsize=64)
def _inverse_nearest(stored: int, size: int) -> NDArray[np.intp]:
    """For each of ``size`` pixels, the stored pixel that a nearest resize would take from it."""
    pixels = np.arange(size, dtype=np.float32)[None]
    taken = mmcv.imresize(pixels, (stored, 1), interpolation='nearest').reshape(-1)
    return np.searchsorted(taken, pixels[0], side='right') - 1


def resize_label(label: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    r"""Nearest resize that OpenCV's nearest resize undoes exactly.

    OpenCV shrinks by :math:`x \mapsto \lfloor x W / w \rfloor` (up to its rounding). Its own
    enlargement :math:`X \mapsto \lfloor X w / W \rfloor` inverts that only where W is a multiple
    of w, so here each pixel takes the last x whose image is not beyond it. A label stored at the
    network's input size thus survives "enlarge to the raw image, resize as the image" unchanged.

    Args:
        label: Label map, shape (h, w).
        height: H of the result.
        width: W of the result.

    Returns:
        Shape (H, W).
    """
    rows, columns = (_inverse_nearest(*sizes) for sizes in zip(label.shape, (height, width)))
    return label[rows[:, None], columns]


@TRANSFORMS.register_module()
class LoadPseudoLabels(BaseTransform):
    """Load the pseudo label of an image; takes the place of ``LoadAnnotations`` on the target.

    Put it right after ``LoadImageFromFile``: the label joins ``results['seg_fields']``, so mmseg's
    Resize, RandomFlip and RandomCrop move it in step with the image (mmcv's Pad does not: leave
    padding to the data preprocessor). Labels are stored at the input size of the network that made
    them; where the image has another size, the label is brought to it by :func:`resize_label`,
    which the following ``Resize`` to the stored size undoes exactly.

    The folder keeps the sub-folders of the image folder (Cityscapes' cities), so an image
    ``<images>/aachen/x.jpg`` finds ``<pseudo_dir>/aachen/x.png``; the folder's ``manifest.json``
    lists all files, and the longest listed path that ends the image's path is taken.

    Required keys: ``img``, ``img_path``. Added keys: ``pseudo_seg_map`` (H, W) uint8,
    ``pseudo_path``. Modified keys: ``seg_fields``.

    Args:
        pseudo_dir: Folder that ``tools/generate_pseudo_labels.py`` wrote. Its manifest is checked
            at the first image of each worker, so that a config builds without the data. None where
            ``PseudoLabelRefreshHook`` makes the labels during training.
        suffix: Suffix of the label files.
        num_classes: Number of classes; the manifest must agree, and labels must be below it or 255.
    """

    loads_labels = True
    is_random = False

    def __init__(self, pseudo_dir: str | None, suffix: str = '.png', num_classes: int = 19) -> None:
        super().__init__()
        if pseudo_dir is not None and (not isinstance(pseudo_dir, str) or not pseudo_dir):
            raise TypeError(
                f'LoadPseudoLabels.pseudo_dir got {pseudo_dir!r}; write the folder '
                'that tools/generate_pseudo_labels.py wrote instead'
            )
        self.pseudo_dir = pseudo_dir
        self.suffix = suffix
        self.num_classes = num_classes
        self._manifest: Manifest | None = None

    def read_from(self, pseudo_dir: str) -> None:
        """Take another folder from now on; workers that run already do not hear of it."""
        self.pseudo_dir = pseudo_dir
        self._manifest = None

    @property
    def manifest(self) -> Manifest:
        """The folder's manifest, read and checked once per process.

        Raises:
            FileNotFoundError: If the folder has no manifest.
            ValueError: If it is incomplete, of another version or of another number of classes,
                or no folder is named.
        """
        if self._manifest is None:
            folder = self._folder()
            with error_context('LoadPseudoLabels.pseudo_dir'):
                manifest = Manifest.read(folder)
                manifest.check(folder, num_classes=self.num_classes)
            self._manifest = manifest
        return self._manifest

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the pseudo label.

        Raises:
            FileNotFoundError: If the image has no label.
            ValueError: If the image was flipped already or the label's values are out of range.
        """
        if results.get('flip'):
            raise ValueError(
                'LoadPseudoLabels got an image that was flipped already; write '
                'LoadPseudoLabels right after LoadImageFromFile instead'
            )
        path = self.path_of(results['img_path'])
        label = self._read(path)
        height, width = results['img'].shape[:2]
        if label.shape != (height, width):
            label = resize_label(label, height, width)
        results['pseudo_seg_map'] = label
        results['pseudo_path'] = path
        results.setdefault('seg_fields', []).append('pseudo_seg_map')
        return results

    def path_of(self, img_path: str) -> str:
        """Path of an image's label.

        Raises:
            FileNotFoundError: If the manifest does not list it, or the file is missing.
        """
        name = self.manifest.find(img_path, self.suffix)
        if name is None:
            raise FileNotFoundError(
                f'LoadPseudoLabels.pseudo_dir {self.pseudo_dir!r} has no label for {img_path!r} in '
                'its manifest; run tools/generate_pseudo_labels.py on this dataset instead'
            )
        path = osp.join(self._folder(), name)
        if not osp.isfile(path):
            raise FileNotFoundError(
                f'LoadPseudoLabels.pseudo_dir lacks the file {path!r} that its manifest lists; run '
                'tools/generate_pseudo_labels.py with --overwrite again'
            )
        return path

    def _folder(self) -> str:
        if self.pseudo_dir is None:
            raise ValueError(
                'LoadPseudoLabels.pseudo_dir got None, and no hook makes pseudo '
                'labels; write the folder that tools/generate_pseudo_labels.py wrote, '
                "or custom_hooks=[dict(type='PseudoLabelRefreshHook', interval=...)]"
            )
        return self.pseudo_dir

    def _read(self, path: str) -> NDArray[np.uint8]:
        try:
            label = mmcv.imread(path, flag='unchanged', backend='pillow')
        except (OSError, SyntaxError):  # what Pillow says of a damaged file, without its name
            label = None
        if label is None or label.ndim != 2 or label.dtype != np.uint8:
            raise ValueError(
                f'LoadPseudoLabels.pseudo_dir got the file {path!r}, which is not a '
                'single-channel 8-bit image; generate it again'
            )
        wrong = label[(label >= self.num_classes) & (label != IGNORE_INDEX)]
        if wrong.size:
            raise ValueError(
                f'LoadPseudoLabels.num_classes got {self.num_classes}, but {path!r} holds the '
                f'value {int(wrong[0])}; write train ids below num_classes or {IGNORE_INDEX}'
            )
        return label

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(pseudo_dir={self.pseudo_dir!r}, suffix={self.suffix!r}, '
            f'num_classes={self.num_classes})'
        )
