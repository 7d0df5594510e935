"""The file of a spatial prior: the probability of each class at each pixel."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mmseg_uda.artifacts.digest import sha256
from mmseg_uda.artifacts.files import PathLike, read_npz, write_npz
from mmseg_uda.artifacts.recipe import check_version

__all__ = ['BORDERS', 'FORMAT_VERSION', 'NORMS', 'PriorRecipe', 'SpatialPrior']

FORMAT_VERSION = 1
BORDERS = {
    'constant': cv2.BORDER_CONSTANT,
    'reflect': cv2.BORDER_REFLECT_101,
    'replicate': cv2.BORDER_REPLICATE,
}
NORMS = ('class', 'pixel', 'none')


@dataclasses.dataclass
class PriorRecipe:
    """Settings of a spatial prior.

    Args:
        height: H, to which label maps are brought.
        width: W.
        kernel: Side of the Gaussian's window in pixels, odd; 1 does not smooth. None takes CBST's
            70 pixels of 1024 rows in proportion, and odd, as OpenCV wants it: 71, or 35 of 512.
        sigma: The Gaussian's deviation in pixels; None is a sixth of the window. (CBST does not
            say it.)
        border: Continuation beyond the image: ``'constant'`` zero, ``'reflect'`` or
            ``'replicate'``. (CBST does not say it.)
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
        if self.kernel is None:
            # 71 of 1024 rows, rounded down to an odd number.
            self.kernel = 2 * (71 * int(self.height) // 2048) + 1
        if self.sigma is None:
            self.sigma = self.kernel / 6
        for key, valid, expected in (
            ('height', _is_count(self.height), 'a number of pixels'),
            ('width', _is_count(self.width), 'a number of pixels'),
            ('kernel', _is_count(self.kernel) and self.kernel % 2, 'an odd number of pixels'),
            ('sigma', self.sigma > 0, 'a positive number or None'),
            ('border', self.border in BORDERS, f'one of {tuple(BORDERS)}'),
            ('norm', self.norm in NORMS, f'one of {NORMS}'),
        ):
            if not valid:
                raise ValueError(
                    f'PriorRecipe.{key}: expected {expected}, but got {getattr(self, key)!r}'
                )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


@dataclasses.dataclass
class SpatialPrior:
    """A prior over classes at each pixel.

    The ``.npz`` file holds ``prior``, ``recipe`` (JSON) and the ``digest`` of both.

    Args:
        values: Shape (C, H, W), float32, >= 0; 0 for a class that the source never has.
        recipe: Settings and inputs that made it, with ``format_version``.
    """

    values: NDArray[np.float32]  # (C, H, W)
    recipe: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of values and recipe."""
        recipe = json.dumps(self.recipe, sort_keys=True)
        return sha256([recipe, str(self.values.shape), self.values])

    def write(self, path: PathLike) -> None:
        """Write the file atomically."""
        write_npz(path, prior=self.values, recipe=json.dumps(self.recipe), digest=self.digest)

    @classmethod
    def read(cls, path: PathLike) -> SpatialPrior:
        """Read a file and check that it is whole.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is damaged or of another version.
        """
        remedy = 'run tools/spatial_prior.py CONFIG NEW_FILE'
        with read_npz('SpatialPrior', path, remedy) as content:
            prior = cls(content['prior'], json.loads(str(content['recipe'])))
            check_version(prior.recipe.get('format_version'), FORMAT_VERSION)
            if prior.digest != str(content['digest']):
                raise ValueError('its content does not have the digest that it holds')
            return prior
