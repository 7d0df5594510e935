"""The file of image-level labels: one ``.npz`` for a set of images."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmseg_uda.artifacts.digest import sha256
from mmseg_uda.artifacts.files import PathLike, check_name, read_npz, write_npz
from mmseg_uda.artifacts.lookup import find_name
from mmseg_uda.artifacts.recipe import check_version

__all__ = ['FORMAT_VERSION', 'KINDS', 'ImageLabels']

FORMAT_VERSION = 1
KINDS = ('share', 'presence')


@dataclasses.dataclass
class ImageLabels:
    """Labels of whole images.

    The file holds the arrays ``names`` (text), ``labels`` (float32) and ``meta`` (JSON: kind,
    recipe, format version, and a digest of all the rest).

    Args:
        names: Image files relative to their directory, with ``/``; shape (M, ).
        labels: Shape (M, C), float32, in [0, 1].
        kind: ``'share'`` of each class among the pixels, or its ``'presence'``, 0 or 1.
        recipe: Settings and inputs that made them, as JSON.

    Raises:
        ValueError: If an argument has another shape or value.
    """

    names: list[str]
    labels: NDArray[np.float32]
    kind: str = 'share'
    recipe: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f'ImageLabels.kind: expected one of {KINDS}, but got {self.kind!r}')
        self.labels = np.ascontiguousarray(self.labels, np.float32)
        if self.labels.ndim != 2 or len(self.labels) != len(self.names):
            raise ValueError(
                f'ImageLabels.labels: expected shape ({len(self.names)}, C), one row per name, but '
                f'got {self.labels.shape}'
            )
        if not ((self.labels >= 0) & (self.labels <= 1)).all():  # false for NaN, too
            raise ValueError(
                'ImageLabels.labels: expected values in [0, 1], but got others; write shares, or '
                '0 and 1'
            )
        # Loading asks for one image at a time, of thousands.
        self._rows = {name: row for row, name in enumerate(self.names)}

    @property
    def num_classes(self) -> int:
        """C."""
        return self.labels.shape[1]

    @property
    def digest(self) -> str:
        """SHA-256 of everything in the file."""
        content = [FORMAT_VERSION, self.kind, self.recipe, self.names]
        return sha256([json.dumps(content, sort_keys=True), self.labels])

    def find(self, img_path: str) -> NDArray[np.float32] | None:
        """Find the label of an image, shape (C, ): that of the longest name that ends its path."""
        name = find_name(self._rows, img_path)
        return None if name is None else self.labels[self._rows[name]]

    def write(self, path: PathLike) -> None:
        """Write the file atomically."""
        meta = dict(
            format_version=FORMAT_VERSION, kind=self.kind, recipe=self.recipe, digest=self.digest
        )
        names = np.array(self.names, dtype=np.str_)  # no object array, which needs pickle
        write_npz(path, names=names, labels=self.labels, meta=json.dumps(meta, sort_keys=True))

    @classmethod
    def read(cls, path: PathLike) -> ImageLabels:
        """Read a file.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is no such file, of another version, or damaged, or a name is absolute
                or has ``..``.
        """
        remedy = 'run tools/train_image_labels.py CONFIG --out NEW_FILE'
        with read_npz('ImageLabels', path, remedy) as arrays:
            meta = json.loads(str(arrays['meta']))
            check_version(meta['format_version'], FORMAT_VERSION)
            found = cls(arrays['names'].tolist(), arrays['labels'], meta['kind'], meta['recipe'])
            if meta['digest'] != found.digest:
                raise ValueError('its content does not have the digest that it holds')
        for name in found.names:
            check_name(name, path)
        return found
