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

from mmseg_uda.artifacts.pseudo_labels import SOFT_SUFFIX, Manifest, read_soft_label
from mmseg_uda.structures import IGNORE_INDEX
from mmseg_uda.utils.arguments import check_integer
from mmseg_uda.utils.errors import error_context

__all__ = ['LoadPseudoLabels', 'LoadSoftLabels', 'resize_label']


@lru_cache(maxsize=64)
def _inverse_nearest(stored: int, size: int) -> NDArray[np.intp]:
    """Last stored pixel whose source in a nearest resize is not beyond each of ``size`` pixels."""
    pixels = np.arange(size, dtype=np.float32)[None]
    taken = mmcv.imresize(pixels, (stored, 1), interpolation='nearest').reshape(-1)
    return np.searchsorted(taken, pixels[0], side='right') - 1


def resize_label(label: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    r"""Resize a label map so that OpenCV's nearest resize restores it exactly.

    OpenCV shrinks by :math:`x \mapsto \lfloor x W / w \rfloor` (up to its rounding). Its own
    enlargement :math:`X \mapsto \lfloor X w / W \rfloor` inverts that only if W is a multiple of
    w. Here each pixel X takes the last x with :math:`\lfloor x W / w \rfloor \le X`. A label
    stored at the network's input size is thus unchanged after it was enlarged to the raw image and
    resized with it. Pillow shrinks by :math:`x \mapsto \lfloor (x + 1/2) W / w \rfloor`, which
    restores it too if W is at least 2 w, as for Cityscapes.

    Args:
        label: Label map, shape (h, w).
        height: H of the result.
        width: W of the result.

    Returns:
        Shape (H, W).

    Example:
        >>> resize_label(np.array([[1, 2]]), height=1, width=5)
        array([[1, 1, 2, 2, 2]])
    """
    rows, columns = (_inverse_nearest(*sizes) for sizes in zip(label.shape, (height, width)))
    return label[rows[:, None], columns]


@TRANSFORMS.register_module()
class LoadPseudoLabels(BaseTransform):
    """Load the pseudo label of a target image, in place of ``LoadAnnotations``.

    Put it right after ``LoadImageFromFile``: the label joins ``results['seg_fields']``, so that
    mmseg's Resize, RandomFlip and RandomCrop move it in step with the image (mmcv's Pad does not:
    leave padding to the data preprocessor). Labels are stored at the input size of the network that
    made them. If the image has another size, :func:`resize_label` resizes the label to it, and a
    following ``Resize`` to the stored size restores the label exactly.

    The label directory has the subdirectories of the image directory (Cityscapes' cities):
    ``<pseudo_dir>/aachen/x.png`` is the label of ``<images>/aachen/x.jpg``. The ``manifest.json``
    lists all files; the longest listed path that ends the image's path is taken.

    Required keys: ``img``, ``img_path``. Added keys: ``pseudo_seg_map`` (H, W) uint8,
    ``pseudo_path``. Modified key: ``seg_fields``.

    Args:
        pseudo_dir: Directory that ``tools/generate_pseudo_labels.py`` wrote. Each worker checks its
            manifest at the first image, so that a config builds without the data. None if
            ``PseudoLabelRefreshHook`` makes the labels during training.
        suffix: Suffix of the label files.
        num_classes: Number of classes; the manifest must agree, and labels must be below it or 255.

    Example:
        >>> import tempfile
        >>> directory = tempfile.mkdtemp()
        >>> _ = mmcv.imwrite(np.array([[0, 255]], np.uint8), f'{directory}/x.png')
        >>> Manifest({}, 2, '', '', files=['x.png'], complete=True).write(directory)
        >>> load = LoadPseudoLabels(directory, num_classes=2)
        >>> load(dict(img=np.zeros((1, 2, 3)), img_path='images/x.jpg'))['pseudo_seg_map']
        array([[  0, 255]], dtype=uint8)
    """

    loads_labels = True
    is_random = False

    def __init__(self, pseudo_dir: str | None, suffix: str = '.png', num_classes: int = 19) -> None:
        super().__init__()
        if pseudo_dir is not None and (not isinstance(pseudo_dir, str) or not pseudo_dir):
            raise TypeError(
                f'{type(self).__name__}.pseudo_dir: expected a directory that '
                f'tools/generate_pseudo_labels.py wrote, or None, but got {pseudo_dir!r}'
            )
        self.pseudo_dir = pseudo_dir
        self.suffix = suffix
        check_integer('LoadPseudoLabels.num_classes', num_classes, 1)
        self.num_classes = num_classes
        self._manifest: Manifest | None = None

    def read_from(self, pseudo_dir: str) -> None:
        """Read from another directory; workers that already run keep theirs."""
        self.pseudo_dir = pseudo_dir
        self._manifest = None

    @property
    def manifest(self) -> Manifest:
        """Manifest of the directory, read and checked once per process.

        Raises:
            FileNotFoundError: If the directory has no manifest.
            ValueError: If it is incomplete, of another version or of another number of classes, or
                if no directory is named.
        """
        if self._manifest is None:
            directory = self._directory()
            with error_context('LoadPseudoLabels.pseudo_dir'):
                manifest = Manifest.read(directory)
                manifest.check(directory, num_classes=self.num_classes)
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
                'LoadPseudoLabels: expected an image as loaded, but got a flipped one; write '
                'LoadPseudoLabels right after LoadImageFromFile'
            )
        path = self.path_of(results['img_path'])
        label = self.read(path)
        height, width = results['img'].shape[:2]
        if label.shape != (height, width):  # stored at the network's input size
            label = resize_label(label, height, width)
        results['pseudo_seg_map'] = label  # (H, W), uint8
        results['pseudo_path'] = path
        results.setdefault('seg_fields', []).append('pseudo_seg_map')
        return results

    def path_of(self, img_path: str) -> str:
        """Find the file of an image's label.

        Raises:
            FileNotFoundError: If the manifest does not list it, or the file is missing.
        """
        name = self.manifest.find(img_path, self.suffix)
        if name is None:
            raise FileNotFoundError(
                f'LoadPseudoLabels.pseudo_dir: expected a label of {img_path!r}, but the manifest '
                f'of {self.pseudo_dir!r} lists none; run tools/generate_pseudo_labels.py on this '
                'dataset'
            )
        path = osp.join(self._directory(), name)
        if not osp.isfile(path):
            raise FileNotFoundError(
                f'LoadPseudoLabels.pseudo_dir: expected the file {path!r}, which the manifest '
                'lists, but it does not exist; run tools/generate_pseudo_labels.py again'
            )
        return path

    def _directory(self) -> str:
        if self.pseudo_dir is None:
            raise ValueError(
                'LoadPseudoLabels.pseudo_dir: expected a directory, but got None, and no hook '
                'makes labels; write the directory that tools/generate_pseudo_labels.py wrote, or '
                "custom_hooks=[dict(type='PseudoLabelRefreshHook', interval=...)]"
            )
        return self.pseudo_dir

    def read(self, path: str) -> NDArray[np.uint8]:
        """Read a label (H, W) at its stored size.

        Raises:
            ValueError: If the file is no label image, or its values are out of range.
        """
        try:
            label = mmcv.imread(path, flag='unchanged', backend='pillow')
        except (OSError, SyntaxError):  # Pillow's, of a damaged file, without its name
            label = None
        if label is None or label.ndim != 2 or label.dtype != np.uint8:
            raise ValueError(
                f'LoadPseudoLabels.pseudo_dir: expected a single-channel 8-bit image, but got '
                f'{path!r}; generate it again'
            )
        wrong = label[(label >= self.num_classes) & (label != IGNORE_INDEX)]
        if wrong.size:
            raise ValueError(
                f'LoadPseudoLabels.num_classes: expected labels below {self.num_classes} or '
                f'{IGNORE_INDEX}, but got {int(wrong[0])} in {path!r}; write train ids'
            )
        return label

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(pseudo_dir={self.pseudo_dir!r}, suffix={self.suffix!r}, '
            f'num_classes={self.num_classes})'
        )


@TRANSFORMS.register_module()
class LoadSoftLabels(LoadPseudoLabels):
    """Load the class probabilities of a target image, for :class:`ProDA`.

    They belong to the whole image and stay at their resolution: the check of the config refuses
    a pipeline that crops or flips the image.

    Required keys: ``img_path``. Added keys: ``soft_label`` (C, h, w) float16, ``pseudo_path``.

    Args:
        pseudo_dir: Directory of labels by the rule ``soft``, as for :class:`LoadPseudoLabels`.
        num_classes: C; the manifest must agree.

    Example:
        >>> import tempfile
        >>> directory = tempfile.mkdtemp()
        >>> np.save(f'{directory}/x.npy', np.full((2, 1, 2), 0.5, np.float16))
        >>> Manifest({}, 2, '', '', files=['x.npy'], complete=True).write(directory)
        >>> load = LoadSoftLabels(directory, num_classes=2)
        >>> load(dict(img_path='images/x.jpg'))['soft_label'].shape
        (2, 1, 2)
    """

    of_whole_images = True

    def __init__(self, pseudo_dir: str | None, num_classes: int = 19) -> None:
        super().__init__(pseudo_dir, SOFT_SUFFIX, num_classes)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the probabilities.

        Raises:
            FileNotFoundError: If the image has no file.
            ValueError: If the image was flipped already, or the file is damaged.
        """
        if results.get('flip'):
            raise ValueError(
                'LoadSoftLabels: expected a whole image, but got a flipped one; write a pipeline '
                'without RandomFlip and RandomCrop'
            )
        path = self.path_of(results['img_path'])
        results['soft_label'] = self.read_probabilities(path)
        results['pseudo_path'] = path
        return results

    def read_probabilities(self, path: str) -> NDArray[np.float16]:
        """Read the probabilities of an image, shape (C, h, w).

        Raises:
            ValueError: If the file is damaged.
        """
        try:
            return read_soft_label(path)
        except (OSError, ValueError) as error:
            raise ValueError(
                f'LoadSoftLabels.pseudo_dir: cannot read {path!r} ({error}); generate it again'
            ) from error

    def read(self, path: str) -> NDArray[np.uint8]:
        """Read the most probable classes (h, w), for checks of labels."""
        return self.read_probabilities(path).argmax(0).astype(np.uint8)
