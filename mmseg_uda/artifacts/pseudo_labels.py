"""Pseudo labels: a directory of train-id PNGs or of probabilities, and the manifest beside them."""

from __future__ import annotations

import dataclasses
import json
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mmseg_uda.artifacts.files import PathLike, atomic_write
from mmseg_uda.artifacts.lookup import find_name
from mmseg_uda.artifacts.recipe import JsonManifest

__all__ = [
    'LABEL_SUFFIX',
    'SOFT_SUFFIX',
    'Manifest',
    'read_counts',
    'read_soft_label',
    'write_label',
    'write_soft_label',
]

LABEL_SUFFIX = '.png'
SOFT_SUFFIX = '.npy'
PREDICTED_KEY = 'predicted_pixels'
# Fields on which the labels depend; the others are results.
RECIPE_KEYS = ('rule', 'num_classes', 'config_sha256', 'checkpoint_sha256', 'files')


@dataclasses.dataclass
class Manifest(JsonManifest):
    """The manifest of a directory of pseudo labels.

    Args:
        rule: Name and arguments of the selection rule, e.g. ``dict(type='bdl', share=0.5)``.
        num_classes: C.
        config_sha256: Digest of the model's and the dataset's configuration.
        checkpoint_sha256: Digest of the weights.
        files: Label files relative to the directory, with ``/``; one per image.
        thresholds: One confidence threshold per class; None before they are known.
        predicted_pixels: Pixels that the network predicted as each class.
        kept_pixels: Pixels that carry each class in the files.
    """

    remedy = 'run tools/generate_pseudo_labels.py CONFIG CHECKPOINT --out-dir NEW_DIRECTORY'

    rule: dict[str, Any]
    num_classes: int
    config_sha256: str
    checkpoint_sha256: str
    files: list[str]
    thresholds: list[float] | None = None
    predicted_pixels: list[int] = dataclasses.field(default_factory=list)
    kept_pixels: list[int] = dataclasses.field(default_factory=list)

    @property
    def recipe(self) -> dict[str, Any]:
        """Settings and inputs on which the labels depend."""
        return {key: getattr(self, key) for key in RECIPE_KEYS}

    @property
    def listed(self) -> list[str]:
        return self.files

    @property
    def content(self) -> dict[str, Any]:
        return {**super().content, 'num_images': len(self.files), 'coverage': self.coverage}

    @property
    def coverage(self) -> list[float | None]:
        """Kept over predicted pixels per class; None where nothing was predicted.

        Above 1 where a rule that re-assigns classes (``cbst``) gave a class more than it took.
        """
        return [
            kept / predicted if predicted else None
            for kept, predicted in zip(self.kept_pixels, self.predicted_pixels)
        ]

    @property
    def kept_share(self) -> float:
        """Share of all pixels that carry a label, in [0, 1]."""
        return sum(self.kept_pixels) / max(sum(self.predicted_pixels), 1)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.files)

    def find(self, img_path: str, suffix: str = LABEL_SUFFIX) -> str | None:
        """Find the listed file of an image: the longest listed path that ends the image's path."""
        return find_name(self._names, img_path, suffix)

    def check(self, directory: str, num_classes: int) -> None:
        """Refuse a directory that is unfinished or of other classes.

        Raises:
            ValueError: If it is not complete or its number of classes is not ``num_classes``.
        """
        if not self.complete:
            raise ValueError(
                f'Manifest: the labels in {directory!r} are not complete; run '
                'tools/generate_pseudo_labels.py again to finish them'
            )
        if self.num_classes != num_classes:
            raise ValueError(
                f'Manifest: expected labels of {num_classes} classes, but {directory!r} has labels '
                f'of {self.num_classes} classes; write num_classes={self.num_classes} or generate '
                'the labels again'
            )


def write_label(path: PathLike, label: NDArray[np.uint8], predicted: list[int]) -> None:
    """Write a label atomically; an older file, damaged or edited, is moved aside.

    Args:
        path: The PNG.
        label: Train ids, 255 ignored, shape (H, W).
        predicted: Pixels that the network predicted as each class; kept as text inside the PNG, so
            that a resumed run can count this image without running the network.
    """
    info = PngInfo()  # PNG text, which readers of labels ignore
    info.add_text(PREDICTED_KEY, json.dumps(predicted))
    with atomic_write(path, keep=True) as partial:
        Image.fromarray(label).save(partial, format='PNG', pnginfo=info)


def write_soft_label(path: PathLike, prob: NDArray[np.floating[Any]]) -> None:
    """Write the probabilities of an image, shape (C, h, w), atomically and in half precision."""
    with atomic_write(path, keep=True) as partial, open(partial, 'wb') as file:
        np.save(file, prob.astype(np.float16), allow_pickle=False)


def read_soft_label(path: PathLike) -> NDArray[np.float16]:
    """Read what :func:`write_soft_label` wrote.

    Raises:
        OSError: The file is missing or damaged.
        ValueError: It holds something else.
    """
    try:
        prob = np.load(path, allow_pickle=False)
    except EOFError as error:  # of an empty file
        raise OSError(f'no data: {path}') from error
    if prob.ndim != 3 or prob.dtype != np.float16:
        raise ValueError(f'expected float16 (C, h, w), but got {prob.dtype} {prob.shape}: {path}')
    return prob


def read_counts(path: PathLike, num_classes: int) -> NDArray[np.int64] | None:
    """Count the pixels of a label file that an earlier run wrote.

    Returns:
        Predicted pixels (first row) and kept pixels (second row) of each class, shape (2, C);
        None if there is no such file or it is damaged.
    """
    try:
        if str(path).endswith(SOFT_SUFFIX):
            prediction = read_soft_label(path).argmax(0).ravel()
            counts = np.bincount(prediction, minlength=num_classes).astype(np.int64)
            return np.stack([counts, counts]) if len(counts) == num_classes else None
        with Image.open(path) as image:
            label = np.asarray(image)
            predicted = json.loads(image.text[PREDICTED_KEY])
    except (OSError, SyntaxError, AttributeError, KeyError, ValueError):
        return None
    if label.ndim != 2 or label.dtype != np.uint8 or len(predicted) != num_classes:
        return None
    kept = np.bincount(label.ravel(), minlength=256)[:num_classes]  # 255 is beyond all classes
    return np.stack([np.asarray(predicted, dtype=np.int64), kept.astype(np.int64)])
