"""Label files: train-id PNGs that also carry what the network predicted."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mmseg_uda.artifacts.files import atomic_write

__all__ = ['read_counts', 'write_label']

PREDICTED_KEY = 'predicted_pixels'


def write_label(path: str, label: NDArray[np.uint8], predicted: list[int]) -> None:
    """Write a label, as a whole or not at all.

    Args:
        path: Where to.
        label: Train ids, 255 ignored, shape (H, W).
        predicted: Pixels that the network predicted as each class; kept as text inside the PNG, so
            that a resumed run can count this image without running the network.
    """
    info = PngInfo()
    info.add_text(PREDICTED_KEY, json.dumps(predicted))
    with atomic_write(path) as partial:
        Image.fromarray(label).save(partial, format='PNG', pnginfo=info)


def read_counts(path: str, num_classes: int) -> NDArray[np.int64] | None:
    """Counts of a label file that an earlier run wrote.

    Returns:
        Predicted pixels (first row) and kept pixels (second row) of each class, shape (2, C);
        None if there is no such file or it is damaged.
    """
    try:
        with Image.open(path) as image:
            label = np.asarray(image)
            predicted = json.loads(image.text[PREDICTED_KEY])
    except (OSError, SyntaxError, AttributeError, KeyError, ValueError):
        return None
    if label.ndim != 2 or label.dtype != np.uint8 or len(predicted) != num_classes:
        return None
    kept = np.bincount(label.ravel(), minlength=256)[:num_classes]
    return np.stack([np.asarray(predicted, dtype=np.int64), kept.astype(np.int64)])
