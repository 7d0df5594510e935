"""Translated images: a dataset in the style of another, and the manifest of what made it.

The directory holds ``images`` and ``labels`` under the names of the source dataset.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from mmseg_uda.artifacts.recipe import JsonManifest

__all__ = ['TranslationManifest']


@dataclasses.dataclass
class TranslationManifest(JsonManifest):
    """The manifest of a directory of translated images.

    Args:
        recipe: The arguments, and digests of the names and sizes of the files below the
            directories; the directories themselves may move.
        recipe_sha256: Digest of the recipe.
        images: Per image, sorted: ``image`` and ``label`` (None without labels) relative to the
            directory, ``style`` relative to the target (None if the method has learned it).
    """

    remedy = 'write another directory'

    recipe: dict[str, Any]
    recipe_sha256: str
    images: list[dict[str, Any]]

    @property
    def listed(self) -> list[str]:
        names = (name for entry in self.images for name in (entry['image'], entry['label']))
        return [name for name in names if name is not None]
