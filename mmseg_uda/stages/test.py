"""The stage that tests a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

from mmengine.dist import is_main_process

from mmseg_uda.artifacts.files import write_json
from mmseg_uda.stages.base import CheckpointStage, Resolve, Result, Stage
from mmseg_uda.utils.cli import build_runner

__all__ = ['TestStage']


class TestStage(CheckpointStage):
    """Tests a checkpoint on the config's test split; ``{name}`` is a file of metrics."""

    kind = 'test'
    makes = 'metrics'
    fingerprint_keys = (
        'model',
        'data_preprocessor',
        'test_dataloader',
        'test_cfg',
        'test_evaluator',
        'custom_hooks',
    )

    def check(self, earlier: Mapping[str, Stage]) -> None:
        super().check(earlier)
        cfg = self.load()
        for key in ('test_dataloader', 'test_cfg', 'test_evaluator'):
            if not cfg.get(key):
                raise self.error('config', f'has no {key}; write one')

    def run(self, resolve: Resolve, experiment: str) -> Result:
        cfg = self.load_to_run(resolve, experiment)
        cfg.load_from, cfg.resume = self.checkpoint(resolve), False
        metrics = {key: float(value) for key, value in build_runner(cfg).test().items()}
        out = self.directory / 'metrics.json'
        if is_main_process():
            write_json(out, metrics)
        return Result({'output': out}, metrics)
