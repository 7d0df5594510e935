"""Predictions: a directory of labels, and pictures of them, with the manifest of what made it."""

from __future__ import annotations

import dataclasses
from typing import Any

from mmseg_uda.artifacts.recipe import JsonManifest

__all__ = ['PredictionManifest']


@dataclasses.dataclass
class PredictionManifest(JsonManifest):
    """The manifest of a directory of predictions.

    Args:
        recipe: Digests of the weights and of the config, and the settings.
        files: Files relative to the directory, sorted.
    """

    remedy = 'run tools/predict.py CHECKPOINT INPUT NEW_DIRECTORY'

    recipe: dict[str, Any]
    files: list[str] = dataclasses.field(default_factory=list)

    @property
    def listed(self) -> list[str]:
        return self.files
