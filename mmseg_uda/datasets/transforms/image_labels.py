"""Loading of image-level labels written by ``tools/train_image_labels.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from mmseg_uda.artifacts.image_labels import ImageLabels
from mmseg_uda.utils.arguments import check_integer
from mmseg_uda.utils.errors import error_context

__all__ = ['LoadImageLabels']


@TRANSFORMS.register_module()
class LoadImageLabels(BaseTransform):
    """Load the label of a whole image: the share or presence of each class in it.

    The label is that of the longest name in the file that ends the image's path.

    Required key: ``img_path``. Added key: ``image_label`` (C,) float32, which
    :class:`PackUDAInputs` packs.

    Args:
        label_file: File that ``tools/train_image_labels.py`` wrote. Each worker reads it at its
            first image, so that a config builds without it; training checks it at its start.
        num_classes: Number of classes; the file must agree.
        presence: True if the file must hold 0 and 1 for the presence of each class (weakly
            supervised adaptation), False if it must hold shares.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + '/labels.npz'
        >>> ImageLabels(['ulm/x.png'], np.array([[0.25, 0.75]])).write(path)
        >>> load = LoadImageLabels(path, num_classes=2)
        >>> load(dict(img_path='images/ulm/x.png'))['image_label']
        array([0.25, 0.75], dtype=float32)
    """

    loads_labels = True
    is_random = False

    def __init__(self, label_file: str, num_classes: int = 19, presence: bool = False) -> None:
        super().__init__()
        if not isinstance(label_file, str) or not label_file:
            raise TypeError(
                'LoadImageLabels.label_file: expected the path of a file that '
                f'tools/train_image_labels.py wrote, but got {label_file!r}'
            )
        self.label_file = label_file
        check_integer('LoadImageLabels.num_classes', num_classes, 1)
        self.num_classes = num_classes
        self.presence = presence
        self._labels: ImageLabels | None = None

    @property
    def labels(self) -> ImageLabels:
        """Content of the file, read and checked once per process.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is damaged, of another number of classes or of another kind.
        """
        if self._labels is None:
            with error_context('LoadImageLabels.label_file'):
                labels = ImageLabels.read(self.label_file)
            if labels.num_classes != self.num_classes:
                raise ValueError(
                    f'LoadImageLabels.num_classes: expected {labels.num_classes}, as in '
                    f'{self.label_file!r}, but got {self.num_classes}; correct it or make the '
                    'labels again'
                )
            if (labels.kind == 'presence') != self.presence:
                raise ValueError(
                    f'LoadImageLabels.presence: expected {not self.presence}, because '
                    f'{self.label_file!r} holds the {labels.kind} of classes, but got '
                    f"{self.presence}; write presence={not self.presence} (and, in PIT's "
                    "expansion head, image_label='presence' or 'share') or another file"
                )
            self._labels = labels
        return self._labels

    def label_of(self, img_path: str) -> NDArray[np.float32]:
        """Find an image's label, shape (C,).

        Raises:
            FileNotFoundError: If the file does not list it.
        """
        label = self.labels.find(img_path)
        if label is None:
            raise FileNotFoundError(
                f'LoadImageLabels.label_file: expected a label of {img_path!r}, but '
                f'{self.label_file!r} has none; run tools/train_image_labels.py on this dataset'
            )
        return label

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the image's label."""
        # A copy: later transforms may write to it.
        results['image_label'] = self.label_of(results['img_path']).copy()
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(label_file={self.label_file!r}, '
            f'num_classes={self.num_classes}, presence={self.presence})'
        )
