"""Where in an image each class is: CAMix's spatial prior, counted over source labels.

The recipe is CBST's (Zou et al., "Unsupervised Domain Adaptation for Semantic Segmentation via
Class-Balanced Self-Training", ECCV 2018, `arXiv:1810.07911 <https://arxiv.org/abs/1810.07911>`_),
from which CAMix takes it: label maps are brought to one size, the frequency of each class is
counted at each pixel, smoothed by a Gaussian of 70 x 70 pixels, and normalised per class.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
from numpy.typing import NDArray

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.version import __version__

__all__ = ['BORDERS', 'NORMS', 'PriorCounter', 'PriorRecipe', 'SpatialPrior', 'normalize', 'smooth']

FORMAT_VERSION = 1
BORDERS = {
    'constant': cv2.BORDER_CONSTANT,
    'reflect': cv2.BORDER_REFLECT_101,
    'replicate': cv2.BORDER_REPLICATE,
}
NORMS = ('class', 'pixel', 'none')


@dataclasses.dataclass
class PriorRecipe:
    """How a prior is made of label maps.

    Args:
        height: H, to which label maps are brought.
        width: W.
        kernel: Side of the Gaussian's window in pixels, odd; 1 does not smooth. None takes CBST's
            70 pixels of 1024 rows in proportion, and odd, as OpenCV wants it: 71, or 35 of 512.
        sigma: The Gaussian's deviation in pixels; None is a sixth of the window. (CBST does not
            say it.)
        border: What lies beyond the image: ``'constant'`` zero, ``'reflect'`` or ``'replicate'``.
            (CBST does not say it.)
        norm: ``'class'``: each class sums to 1 over the pixels (CBST), so that rare classes count
            as much as frequent ones. ``'pixel'``: each pixel sums to 1 over the classes.
            ``'none'``: the share of images that have the class there.

    Raises:
        ValueError: If an argument has no such value.
    """

    height: int
    width: int
    kernel: int | None = None
    sigma: float | None = None
    border: str = 'constant'
    norm: str = 'class'

    def __post_init__(self) -> None:
        for key in ('height', 'width'):
            if not _is_count(getattr(self, key)):
                raise ValueError(
                    f'PriorRecipe.{key} got {getattr(self, key)!r}; write a number of '
                    'pixels instead'
                )
        if self.kernel is None:
            self.kernel = 2 * (71 * self.height // 2048) + 1
        if not _is_count(self.kernel) or self.kernel % 2 == 0:
            raise ValueError(
                f'PriorRecipe.kernel got {self.kernel!r}; write an odd number of pixels instead'
            )
        if self.sigma is None:
            self.sigma = self.kernel / 6
        if not self.sigma > 0:
            raise ValueError(
                f'PriorRecipe.sigma got {self.sigma!r}; write a positive number or None instead'
            )
        for key, known in (('border', tuple(BORDERS)), ('norm', NORMS)):
            if getattr(self, key) not in known:
                raise ValueError(
                    f'PriorRecipe.{key} got {getattr(self, key)!r}; write one of {known} instead'
                )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


class PriorCounter:
    """Counts, label map by label map, how often each class is at each pixel.

    Args:
        num_classes: C.
        height: H of the prior.
        width: W of the prior.
    """

    def __init__(self, num_classes: int, height: int, width: int) -> None:
        self.counts = np.zeros((num_classes, height, width), np.int32)
        self.images = 0
        self._digest = hashlib.sha256()

    def add(self, label: NDArray[Any]) -> None:
        """Count a label map.

        Args:
            label: Shape (h, w), any integer type; brought to (H, W) by :func:`resize_nearest`.
                Values that are no class count nowhere.

        Raises:
            ValueError: If the label is no single-channel map.
        """
        num_classes, height, width = self.counts.shape
        flat = resize_nearest(label, height, width).reshape(-1)
        self._digest.update(flat.tobytes())
        places = np.flatnonzero((flat >= 0) & (flat < num_classes))
        # Each place once, so that nothing is lost in adding to an indexed array.
        self.counts.reshape(num_classes, -1)[flat[places], places] += 1
        self.images += 1

    @property
    def digest(self) -> str:
        """SHA-256 of all that was counted, in its order."""
        return self._digest.hexdigest()


def resize_nearest(label: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """OpenCV's nearest resize, as mmseg's ``Resize`` does it with labels.

    Raises:
        ValueError: If the label is no single-channel map.
    """
    if label.ndim != 2:
        raise ValueError(
            f'resize_nearest.label got shape {label.shape}; write a single-channel '
            'label map of shape (H, W) instead'
        )
    if label.shape == (height, width):
        return label
    return mmcv.imresize(label, (width, height), interpolation='nearest', backend='cv2')


def smooth(frequencies: NDArray[Any], recipe: PriorRecipe) -> NDArray[np.float64]:
    """Smooth each class's map by the recipe's Gaussian; shape (C, H, W)."""
    assert recipe.kernel is not None  # whatever was left out is filled in
    assert recipe.sigma is not None
    window, border = (recipe.kernel, recipe.kernel), BORDERS[recipe.border]
    return np.stack(
        [
            cv2.GaussianBlur(each.astype(np.float64), window, recipe.sigma, borderType=border)
            for each in frequencies
        ]
    )


def normalize(frequencies: NDArray[np.float64], norm: str) -> NDArray[np.float32]:
    """Normalise as ``PriorRecipe.norm`` says; where a sum is 0, zero remains. Shape (C, H, W)."""
    if norm != 'none':
        axes: Any = (1, 2) if norm == 'class' else 0
        total = frequencies.sum(axes, keepdims=True)
        frequencies = np.divide(frequencies, total, out=np.zeros_like(frequencies), where=total > 0)
    return frequencies.astype(np.float32)


@dataclasses.dataclass
class SpatialPrior:
    """How likely each class is at each pixel.

    Args:
        values: Shape (C, H, W), float32, >= 0; 0 for a class that the source never has.
        recipe: What made it.
    """

    values: NDArray[np.float32]
    recipe: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of values and recipe."""
        digest = hashlib.sha256(json.dumps(self.recipe, sort_keys=True).encode())
        digest.update(str(self.values.shape).encode())
        digest.update(np.ascontiguousarray(self.values).tobytes())
        return digest.hexdigest()

    @classmethod
    def from_counts(
        cls, counter: PriorCounter, recipe: PriorRecipe, classes: tuple[str, ...]
    ) -> SpatialPrior:
        """Smooth and normalise what was counted.

        Args:
            counter: The counts.
            recipe: How.
            classes: Name of each class.

        Raises:
            ValueError: If nothing was counted.
        """
        if not counter.counts.any():
            raise ValueError(
                'SpatialPrior.from_counts got no labelled pixel; correct the source '
                'data set of the config'
            )
        values = normalize(smooth(counter.counts / counter.images, recipe), recipe.norm)
        made_with = dict(
            dataclasses.asdict(recipe),
            classes=list(classes),
            images=counter.images,
            labels_sha256=counter.digest,
            package_version=__version__,
            format_version=FORMAT_VERSION,
        )
        return cls(values, made_with)

    def write(self, path: str | Path) -> None:
        """Write an ``.npz`` file with ``prior``, ``recipe`` (JSON) and ``digest``, whole or not."""
        with atomic_write(path) as partial, open(partial, 'wb') as file:
            np.savez_compressed(
                file, prior=self.values, recipe=json.dumps(self.recipe), digest=self.digest
            )

    @classmethod
    def read(cls, path: str | Path) -> SpatialPrior:
        """Read a file and check that it is whole.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is damaged or of another version.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(
                f'SpatialPrior.read got {str(path)!r}, which is no file; run '
                f'`python tools/spatial_prior.py CONFIG {path}` first'
            )
        try:
            with np.load(path, allow_pickle=False) as content:
                recipe = json.loads(str(content['recipe']))
                prior = cls(content['prior'], recipe)
                digest = str(content['digest'])
        except Exception as error:  # zipfile, numpy and json each have several of their own
            raise ValueError(
                f'SpatialPrior.read got {str(path)!r}, which cannot be read '
                f'({type(error).__name__}); write it again by tools/spatial_prior.py'
            ) from error
        if recipe.get('format_version') != FORMAT_VERSION:
            raise ValueError(
                f'SpatialPrior.read got {str(path)!r} of format version '
                f'{recipe.get("format_version")}, but this package reads '
                f'{FORMAT_VERSION}; write it again by tools/spatial_prior.py'
            )
        if prior.digest != digest:
            raise ValueError(
                f'SpatialPrior.read got {str(path)!r}, whose content is not what its '
                'digest says; write it again by tools/spatial_prior.py'
            )
        return prior
