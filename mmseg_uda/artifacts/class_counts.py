"""The file of class counts: the pixels of each class in each label map of a dataset."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmseg_uda.artifacts.digest import sha256
from mmseg_uda.artifacts.files import PathLike, check_name, read_npz, write_npz
from mmseg_uda.artifacts.lookup import find_name
from mmseg_uda.artifacts.recipe import check_version

__all__ = ['FORMAT_VERSION', 'ClassCounts']

FORMAT_VERSION = 1


@dataclasses.dataclass
class ClassCounts:
    """Pixels of each class in each label map, at its own size.

    The ``.npz`` file holds the arrays ``names`` (text), ``counts`` (int64) and ``meta`` (JSON:
    recipe, format version, and a digest of all the rest).

    Args:
        names: Label files relative to their directory, with ``/``; shape (M, ).
        counts: Shape (M, C), int64; a row of zeros for a damaged file.
        recipe: Inputs that made them, as JSON: ``classes``, and ``broken``, the damaged files.

    Raises:
        ValueError: If ``counts`` has another shape.
    """

    names: list[str]
    counts: NDArray[np.int64]
    recipe: dict[str, Any]

    def __post_init__(self) -> None:
        self.counts = np.ascontiguousarray(self.counts, np.int64)
        if self.counts.ndim != 2 or len(self.counts) != len(self.names):
            raise ValueError(
                f'ClassCounts.counts: expected shape ({len(self.names)}, C), one row per name, but '
                f'got {self.counts.shape}'
            )
        self._rows = {name: row for row, name in enumerate(self.names)}

    @property
    def digest(self) -> str:
        """SHA-256 of everything in the file."""
        content = json.dumps([FORMAT_VERSION, self.recipe, self.names], sort_keys=True)
        return sha256([content, self.counts])

    def select(self, paths: Sequence[str]) -> NDArray[np.int64]:
        """Find the counts of label files: each has those of the longest name that ends its path.

        Args:
            paths: Label files; one may come several times.

        Returns:
            Shape (len(paths), C).

        Raises:
            ValueError: A file has no counts, or two files have the same name.
        """
        rows, owners = [], dict[str, str]()
        for path in paths:
            name = find_name(self._rows, path)
            if name is None or owners.setdefault(name, path) != path:
                got = f'none for {path!r}' if name is None else f'{name!r} for {path!r} and '
                got += '' if name is None else repr(owners[name])
                raise ValueError(
                    f'ClassCounts: expected counts of each label file, but got {got}; run '
                    'tools/class_counts.py for the dataset that is trained on'
                )
            rows.append(self._rows[name])
        return self.counts[rows]

    def write(self, path: PathLike) -> None:
        """Write the file atomically."""
        meta = dict(format_version=FORMAT_VERSION, recipe=self.recipe, digest=self.digest)
        names = np.array(self.names, dtype=np.str_)  # no object array, which needs pickle
        write_npz(path, names=names, counts=self.counts, meta=json.dumps(meta, sort_keys=True))

    @classmethod
    def read(cls, path: PathLike) -> ClassCounts:
        """Read a file.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is no such file, of another version, or damaged, or a name is absolute
                or has ``..``.
        """
        remedy = 'run tools/class_counts.py CONFIG NEW_FILE'
        with read_npz('ClassCounts', path, remedy) as arrays:
            meta = json.loads(str(arrays['meta']))
            check_version(meta['format_version'], FORMAT_VERSION)
            found = cls(arrays['names'].tolist(), arrays['counts'], meta['recipe'])
            if meta['digest'] != found.digest:
                raise ValueError('its content does not have the digest that it holds')
        for name in found.names:
            check_name(name, path)
        return found
