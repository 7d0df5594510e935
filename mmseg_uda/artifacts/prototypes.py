"""The file of prototypes: the mean feature of each class over a set of images."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmseg_uda.artifacts.digest import sha256
from mmseg_uda.artifacts.files import PathLike, read_npz, write_npz
from mmseg_uda.artifacts.recipe import check_version

__all__ = ['PrototypeFile']

FORMAT_VERSION = 1


@dataclasses.dataclass
class PrototypeFile:
    """Prototypes of the classes of a network.

    The ``.npz`` file holds ``values``, ``counts``, ``recipe`` (JSON) and the ``digest`` of all.

    Args:
        values: Mean features, shape (C, A), float32; 0 for a class without.
        counts: Images that were averaged, shape (C,), int64; 0 for a class without a prototype.
        recipe: Settings and inputs that made it.
    """

    values: NDArray[np.float32]
    counts: NDArray[np.int64]
    recipe: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of values, counts and recipe."""
        recipe = json.dumps(self.recipe, sort_keys=True)
        return sha256([recipe, str(self.values.shape), self.values, self.counts])

    def write(self, path: PathLike) -> None:
        """Write the file atomically."""
        recipe = json.dumps(self.recipe)
        content = dict(values=self.values, counts=self.counts, recipe=recipe, digest=self.digest)
        write_npz(path, **content, format_version=FORMAT_VERSION)

    @classmethod
    def read(cls, path: PathLike) -> PrototypeFile:
        """Read a file and check that it is whole.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is damaged or of another version.
        """
        remedy = 'run the stage `prototypes` of the pipeline again'
        with read_npz('PrototypeFile', path, remedy) as content:
            check_version(int(content['format_version']), FORMAT_VERSION)
            recipe = json.loads(str(content['recipe']))
            found = cls(content['values'], content['counts'], recipe)
            if found.digest != str(content['digest']):
                raise ValueError('its content does not have the digest that it holds')
            return found
