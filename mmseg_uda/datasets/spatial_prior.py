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

from mmseg_uda.utils.replacing import replacing
from mmseg_uda.version import __version__

__all__ = ['BORDERS', 'NORMS', 'PriorCounter', 'SpatialPrior', 'default_kernel', 'normalize',
           'smooth']

FORMAT_VERSION = 1
BORDERS = {'constant': cv2.BORDER_CONSTANT, 'reflect': cv2.BORDER_REFLECT_101,
           'replicate': cv2.BORDER_REPLICATE}
NORMS = ('class', 'pixel', 'none')


def default_kernel(height: int) -> int:
    """CBST's 70 pixels of 1024 rows, made odd as OpenCV wants it: 71; at 512 rows 35."""
    return 2 * (71 * height // 2048) + 1


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
            label: Shape (h, w), any integer type; brought to (H, W) by OpenCV's nearest resize.
                Values that are no class count nowhere.

        Raises:
            ValueError: If the label is no single-channel map.
        """
        if label.ndim != 2:
            raise ValueError(f'PriorCounter.add got a label of shape {label.shape}; write a '
                             'single-channel label map of shape (H, W) instead')
        num_classes, height, width = self.counts.shape
        if label.shape != (height, width):
            label = mmcv.imresize(label, (width, height), interpolation='nearest', backend='cv2')
        flat = np.ascontiguousarray(label).reshape(-1)
        self._digest.update(flat.tobytes())
        places = np.flatnonzero((flat >= 0) & (flat < num_classes))
        # Each place once, so that nothing is lost in adding to an indexed array.
        self.counts.reshape(num_classes, -1)[flat[places], places] += 1
        self.images += 1

    @property
    def digest(self) -> str:
        """SHA-256 of all that was counted."""
        return self._digest.hexdigest()


def smooth(counts: NDArray[Any], kernel: int, sigma: float | None = None,
           border: str = 'constant') -> NDArray[np.float64]:
    """Smooth each class's map by a Gaussian.

    Args:
        counts: Shape (C, H, W).
        kernel: Side of the Gaussian's window in pixels, odd; 1 leaves the counts as they are.
        sigma: Its deviation in pixels; None is a sixth of the window. (CBST does not say it.)
        border: What lies beyond the image: ``'constant'`` zero, ``'reflect'`` or ``'replicate'``.
            (CBST does not say it.)

    Raises:
        ValueError: If an argument has no such value.
    """
    if isinstance(kernel, bool) or not isinstance(kernel, int) or kernel < 1 or kernel % 2 == 0:
        raise ValueError(f'smooth.kernel got {kernel!r}; write an odd number of pixels instead')
    if sigma is not None and not sigma > 0:
        raise ValueError(f'smooth.sigma got {sigma!r}; write a positive number or None instead')
    if border not in BORDERS:
        raise ValueError(f'smooth.border got {border!r}; write one of {tuple(BORDERS)} instead')
    deviation = kernel / 6 if sigma is None else sigma
    return np.stack([
        cv2.GaussianBlur(each.astype(np.float64), (kernel, kernel), deviation,
                         borderType=BORDERS[border]) for each in counts])


def normalize(frequencies: NDArray[np.float64], norm: str = 'class') -> NDArray[np.float32]:
    """Normalise smoothed counts.

    Args:
        frequencies: Shape (C, H, W), >= 0.
        norm: ``'class'``: each class sums to 1 over the pixels (CBST), so that rare classes count
            as much as frequent ones. ``'pixel'``: each pixel sums to 1 over the classes.
            ``'none'``. Where the sum is 0, zero remains: a class that was never seen stays at 0.

    Raises:
        ValueError: If there is no such norm.
    """
    if norm not in NORMS:
        raise ValueError(f'normalize.norm got {norm!r}; write one of {NORMS} instead')
    if norm != 'none':
        axes: Any = (1, 2) if norm == 'class' else 0
        total = frequencies.sum(axes, keepdims=True)
        frequencies = np.divide(frequencies, total, out=np.zeros_like(frequencies),
                                where=total > 0)
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
    def from_counts(cls, counter: PriorCounter, classes: tuple[str, ...],
                    kernel: int | None = None, sigma: float | None = None,
                    border: str = 'constant', norm: str = 'class') -> SpatialPrior:
        """Smooth and normalise what was counted.

        Args:
            counter: The counts.
            classes: Name of each class.
            kernel: See :func:`smooth`; None takes :func:`default_kernel`.
            sigma: See :func:`smooth`.
            border: See :func:`smooth`.
            norm: See :func:`normalize`.

        Raises:
            ValueError: If nothing was counted or an argument has no such value.
        """
        if not counter.counts.any():
            raise ValueError('SpatialPrior.from_counts got no labelled pixel; correct the source '
                             'data set of the config')
        kernel = default_kernel(counter.counts.shape[1]) if kernel is None else kernel
        values = normalize(smooth(counter.counts / counter.images, kernel, sigma, border), norm)
        recipe = dict(classes=list(classes), images=counter.images, labels_sha256=counter.digest,
                      kernel=kernel, sigma=kernel / 6 if sigma is None else sigma, border=border,
                      norm=norm, package_version=__version__, format_version=FORMAT_VERSION)
        return cls(values, recipe)

    def write(self, path: str | Path) -> None:
        """Write an ``.npz`` file with ``prior``, ``recipe`` (JSON) and ``digest``, whole or not."""
        with replacing(path) as partial, open(partial, 'wb') as file:
            np.savez_compressed(file, prior=self.values, recipe=json.dumps(self.recipe),
                                digest=self.digest)

    @classmethod
    def read(cls, path: str | Path) -> SpatialPrior:
        """Read a file and check that it is whole.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is damaged or of another version.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f'SpatialPrior.read got {str(path)!r}, which is no file; run '
                                    f'`python tools/spatial_prior.py CONFIG {path}` first')
        try:
            with np.load(path, allow_pickle=False) as content:
                recipe = json.loads(str(content['recipe']))
                prior = cls(content['prior'], recipe)
                digest = str(content['digest'])
        except Exception as error:  # zipfile, numpy and json each have several of their own
            raise ValueError(f'SpatialPrior.read got {str(path)!r}, which cannot be read '
                             f'({type(error).__name__}); write it again by tools/spatial_prior.py'
                             ) from error
        if recipe.get('format_version') != FORMAT_VERSION:
            raise ValueError(f'SpatialPrior.read got {str(path)!r} of format version '
                             f'{recipe.get("format_version")}, but this package reads '
                             f'{FORMAT_VERSION}; write it again by tools/spatial_prior.py')
        if prior.digest != digest:
            raise ValueError(f'SpatialPrior.read got {str(path)!r}, whose content is not what its '
                             'digest says; write it again by tools/spatial_prior.py')
        return prior
