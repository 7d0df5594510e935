"""Values that the stages of a pipeline share."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from torch import nn

__all__ = ['PipelineContext']


@dataclasses.dataclass(frozen=True)
class PipelineContext:
    """Values that the stages of a pipeline share.

    Args:
        name: Name of the pipeline.
        directory: Directory of its config, to which paths of configs are relative.
        work_dir: Directory that holds everything it writes.
        seed: ``randomness.seed`` of every stage with a config; None leaves that to the configs.
        launcher: As for mmengine's runner.
        checkpoint_on_signal: A training that SIGTERM or SIGINT stops saves a checkpoint first.
        select: Checkpoint of a training that later stages get: ``'last'``, or the best by
            ``'target_labels'`` of the validation split.
        models: As for :func:`check_config`: stages that share a model build it for one check.
    """

    name: str
    directory: Path
    work_dir: Path
    seed: int | None = None
    launcher: str = 'none'
    checkpoint_on_signal: bool = False
    select: str = 'last'
    models: list[tuple[Any, nn.Module]] = dataclasses.field(default_factory=list, compare=False)
