"""Loading of labels whose files hold ids or colours of their own."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine import fileio
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_uda.config.datasets import steps_of_class
from mmseg_uda.datasets.class_map import ClassMap, UnlistedValueError, check_channels, read_values
from mmseg_uda.utils.errors import error_context

__all__ = ['LoadMappedAnnotations', 'find_class_map']


@TRANSFORMS.register_module()
class LoadMappedAnnotations(LoadAnnotations):
    """Load labels in ids or colours of their own as classes; nothing is converted on disk.

    Several values may have one class, values may be ignored, and classes that are not wanted are
    left out of ``classes`` and ignored::

        dict(
            type='LoadMappedAnnotations',
            classes=('road', 'car'),
            label_map={7: 'road', 8: 'road', 26: 'car', 0: 'ignore'})

    Labels in colours have ``'#rrggbb'`` or ``'r,g,b'`` in place of ids. ``label_map`` is all that
    happens: the dataset's ``reduce_zero_label`` must be False (write ``0: 'ignore'``), and its
    ``metainfo`` must have the same classes, so that it maps no labels itself.

    Required key: ``seg_map_path``; without it, as in ``mmseg.apis.inference_model``, no label is
    loaded. Added key: ``gt_seg_map`` (H, W) uint8, train ids and 255 for ignored pixels. Modified
    key: ``seg_fields``.

    Args:
        classes: As for :class:`~mmseg_uda.datasets.class_map.ClassMap`, in the dataset's order.
        label_map: The same.
        others: The same.
        backend_args: As for mmseg's ``LoadAnnotations``.

    Raises:
        ValueError: If an argument is wrong; while loading, if a file has a value that is not
            listed, is in colours where ids are mapped or the reverse, or if the dataset maps
            labels, too.

    Examples:
        >>> import os, tempfile
        >>> import cv2
        >>> import numpy as np
        >>> path = os.path.join(tempfile.mkdtemp(), 'label.png')
        >>> cv2.imwrite(path, np.array([[7, 8, 26, 0]], np.uint8))
        True
        >>> label_map = {7: 'road', 8: 'road', 26: 'car', 0: 'ignore'}
        >>> load = LoadMappedAnnotations(('road', 'car'), label_map)
        >>> info = dict(seg_map_path=path, reduce_zero_label=False, seg_fields=[])
        >>> load(info)['gt_seg_map']
        array([[  0,   0,   1, 255]], dtype=uint8)
    """

    maps_labels = True

    def __init__(
        self,
        classes: Sequence[str],
        label_map: Mapping[Any, str],
        others: str = 'error',
        backend_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(backend_args=backend_args)
        with error_context('LoadMappedAnnotations'):
            self.class_map = ClassMap(classes, label_map, others)

    def _load_seg_map(self, results: dict[str, Any]) -> None:
        for key, hint in (
            ('reduce_zero_label', "write reduce_zero_label=False, and 0: 'ignore' in label_map"),
            ('label_map', 'write the same classes in metainfo and here, for a class without any'),
        ):
            if results.get(key):
                raise ValueError(
                    f'LoadMappedAnnotations: expected a dataset that maps no labels, but got '
                    f'{key}={results[key]!r}; {hint}'
                )
        path = results.get('seg_map_path')
        if path is None:
            return
        content = fileio.get(path, backend_args=self.backend_args)
        with Image.open(io.BytesIO(content)) as image:
            with error_context(f'LoadMappedAnnotations: {path}'):
                check_channels(image)
            image.load()  # damage is Pillow's error, as with the stock loader
            try:
                values = read_values(image, self.class_map.colours)
                results['gt_seg_map'] = self.class_map.to_train_ids(values)
            except ValueError as error:
                raise UnlistedValueError(
                    f'LoadMappedAnnotations.label_map: {path}: {error}'
                ) from error
        results['seg_fields'].append('gt_seg_map')

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(classes={self.class_map.classes}, '
            f'label_map={self.class_map.names}, others={self.class_map.others!r})'
        )


def find_class_map(dataset: Mapping[str, Any]) -> ClassMap | None:
    """Build the map by which the pipeline of a dataset's config loads labels; None without one."""
    for step in steps_of_class(dataset, LoadMappedAnnotations):
        return ClassMap(step['classes'], step['label_map'], step.get('others', 'error'))
    return None
