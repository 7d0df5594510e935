"""Prototypes of a config's target training images: the runner that writes them, the stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_uda.engine.loops import PrototypeLoop
from mmseg_uda.stages.base import CheckpointStage, Resolve, Result
from mmseg_uda.stages.pseudo_labels import prepare_inference, target_dataset
from mmseg_uda.utils.cli import build_runner

__all__ = ['PrototypeStage', 'make_prototype_config']


def make_prototype_config(
    cfg: Config, checkpoint: str, out_file: str, arguments: Mapping[str, Any]
) -> Config:
    """Turn a config of ProDA, in place, into one whose test loop writes prototypes.

    Args:
        cfg: Config of the training that will start from them.
        checkpoint: Checkpoint of the warm-up.
        out_file: File to write.
        arguments: Further arguments of :class:`PrototypeLoop`.
    """
    dataset = target_dataset(cfg)
    workers = cfg.test_dataloader.get('num_workers', 2)
    prepare_inference(cfg, checkpoint)
    cfg.model.pop('prototypes', None)  # the file that training will read does not exist yet
    cfg.test_dataloader = {'batch_size': 1, 'num_workers': workers, 'dataset': dataset}
    cfg.test_cfg = dict(type='PrototypeLoop', out_file=out_file, **arguments)
    cfg.launcher = 'none'  # each process has images of its own, and the bare model
    return cfg


class PrototypeStage(CheckpointStage):
    """Averages the target's features of each class; ``{name}`` is the file."""

    kind = 'prototypes'
    optional = ('options', 'epochs', 'max_count')
    fingerprint_keys = ('model', 'data_preprocessor')
    makes = 'prototypes'
    takers = (PrototypeLoop,)

    def fingerprint(self, cfg: Config) -> dict[str, Any]:
        parts = {**super().fingerprint(cfg), 'test_dataloader': {'dataset': target_dataset(cfg)}}
        (parts['model'] or {}).pop('prototypes', None)
        return parts

    def settings(self) -> dict[str, Any]:
        return {'epochs': 4, 'max_count': 3000, **super().settings()}

    def run(self, resolve: Resolve, experiment: str) -> Result:
        out = self.directory / 'prototypes.npz'
        cfg = make_prototype_config(
            self.load_to_run(resolve, experiment),
            self.checkpoint(resolve),
            str(out),
            {key: self.arguments[key] for key in ('epochs', 'max_count') if key in self.arguments},
        )
        metrics = build_runner(cfg).test()
        return Result({'output': Path(out)}, dict(metrics))
