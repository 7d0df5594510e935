"""Runners as the command lines and the pipelines build them."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

__all__ = ['build_runner']


def build_runner(cfg: Config) -> Runner:
    """The runner of a config: ``Runner``, or the class that ``runner_type`` names."""
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
