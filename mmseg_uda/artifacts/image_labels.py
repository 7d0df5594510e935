"""The file of image-level labels: one ``.npz`` for a set of images."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os.path as osp
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmseg_uda.artifacts.files import atomic_write

__all__ = ['FORMAT_VERSION', 'KINDS', 'ImageLabels', 'relative_names']

FORMAT_VERSION = 1
KINDS = ('share', 'presence')


@dataclasses.dataclass
class ImageLabels:
    """Labels of whole images.

    The file holds the arrays ``names`` (text), ``labels`` (float32) and ``meta`` (JSON: kind,
    recipe, format version, and a digest of all the rest).

    Args:
        names: Image files relative to their folder, with ``/``; shape (M, ).
        labels: Shape (M, C), float32, in [0, 1].
        kind: ``'share'`` of each class among the pixels, or its ``'presence'``, 0 or 1.
        recipe: What they were made with, as JSON.
    """

    names: list[str]
    labels: NDArray[np.float32]
    kind: str = 'share'
    recipe: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f'ImageLabels.kind got {self.kind!r}; write one of {KINDS}')
        self.labels = np.ascontiguousarray(self.labels, np.float32)
        if self.labels.ndim != 2 or len(self.labels) != len(self.names):
            raise ValueError(
                f'ImageLabels.labels got shape {self.labels.shape} for '
                f'{len(self.names)} names; write one row per image'
            )
        if not ((self.labels >= 0) & (self.labels <= 1)).all():  # nor NaN
            raise ValueError(
                'ImageLabels.labels got values outside of [0, 1]; write shares, or 0 and 1'
            )
        self._rows = {name: row for row, name in enumerate(self.names)}

    @property
    def num_classes(self) -> int:
        """C."""
        return self.labels.shape[1]

    @property
    def digest(self) -> str:
        """SHA-256 of everything in the file."""
        text = json.dumps([FORMAT_VERSION, self.kind, self.recipe, self.names], sort_keys=True)
        return hashlib.sha256(text.encode() + self.labels.tobytes()).hexdigest()

    def find(self, img_path: str) -> NDArray[np.float32] | None:
        """The label of an image, shape (C, ): of the longest name that ends its path."""
        row = _find(self._rows, img_path)
        return None if row is None else self.labels[row]

    def write(self, path: str) -> None:
        """Write the file, as a whole or not at all."""
        meta = dict(
            format_version=FORMAT_VERSION, kind=self.kind, recipe=self.recipe, digest=self.digest
        )
        with atomic_write(path) as partial, open(partial, 'wb') as file:
            np.savez(
                file,
                names=np.array(self.names, dtype=np.str_),
                labels=self.labels,
                meta=np.array(json.dumps(meta, sort_keys=True)),
            )

    @classmethod
    def read(cls, path: str) -> ImageLabels:
        """Read a file.

        Raises:
            FileNotFoundError: There is none.
            ValueError: It is no such file, of another version, or damaged.
        """
        if not osp.isfile(path):
            raise FileNotFoundError(
                f'ImageLabels: there is no file {path!r}; run '
                f'tools/train_image_labels.py CONFIG --out {path} first'
            )
        try:
            with np.load(path, allow_pickle=False) as arrays:
                meta = json.loads(str(arrays['meta']))
                version, digest = meta['format_version'], meta['digest']
                found = cls(
                    arrays['names'].tolist(), arrays['labels'], meta['kind'], meta['recipe']
                )
        except Exception as error:  # zip, numpy and JSON have many ways to say it
            raise ValueError(
                f'ImageLabels: {path!r} is no file of image-level labels ({error}); '
                'run tools/train_image_labels.py with --overwrite again'
            ) from error
        if version != FORMAT_VERSION or digest != found.digest:
            raise ValueError(
                f'ImageLabels: {path!r} is damaged or of another format version '
                f'({version}); run tools/train_image_labels.py with --overwrite again'
            )
        return found


def relative_names(img_paths: Sequence[str], root: str | None = None) -> list[str]:
    """Each image's path below the image folder, with ``/``.

    Args:
        img_paths: Image files.
        root: The image folder; None takes the images' common folder.

    Raises:
        ValueError: If there is no image, one lies outside ``root``, or two have one name.
    """
    if not img_paths:
        raise ValueError('relative_names got no image; correct train_dataloader.target.dataset')
    paths = [osp.abspath(path) for path in img_paths]
    base = osp.abspath(root) if root else osp.commonpath([osp.dirname(path) for path in paths])
    names = [PurePath(osp.relpath(path, base)) for path in paths]
    for path, name in zip(paths, names):
        if '..' in name.parts:
            raise ValueError(
                f'relative_names got the image {path!r} outside of {base!r}; write '
                "the data set's data_prefix.img_path"
            )
    found = [name.as_posix() for name in names]
    rows = {name: row for row, name in enumerate(found)}
    for row, path in enumerate(paths):
        if _find(rows, path) != row:
            raise ValueError(
                f'relative_names got {path!r}, whose label another image would have '
                'too; list each image once, or rename the image folder'
            )
    return found


def _find(rows: Mapping[str, int], img_path: str) -> int | None:
    """The row of the longest name that ends a path."""
    parts = PurePath(img_path).parts
    for start in range(len(parts)):
        row = rows.get('/'.join(parts[start:]))
        if row is not None:
            return row
    return None
