"""Pseudo labels of a config's target training images: the runner that writes them, the stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from mmseg_uda.artifacts.checkpoint import load_weights, raise_mismatch
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.artifacts.pseudo_labels import Manifest
from mmseg_uda.config.datasets import iter_datasets, unlabelled_images
from mmseg_uda.config.reads import read_paths
from mmseg_uda.pseudo_labels import build_rule
from mmseg_uda.stages.base import CheckpointStage, Resolve, Result
from mmseg_uda.utils.cli import build_runner

__all__ = [
    'PseudoLabelStage',
    'build_labeller',
    'make_label_config',
    'prepare_inference',
    'target_dataset',
]


def target_dataset(cfg: Config) -> dict[str, Any]:
    """Give the config of the target's training images, with the test pipeline without labels.

    Raises:
        ValueError: If the config has no target, or no test pipeline.
    """
    target = (cfg.get('train_dataloader') or {}).get('target')
    if not target:
        raise ValueError(
            'target_dataset: the config has no train_dataloader.target; write one with the images '
            'to label'
        )
    _, test = next(iter_datasets((cfg.get('test_dataloader') or {}).get('dataset') or {}))
    if 'pipeline' not in test:
        raise ValueError(
            'target_dataset: the config has no test_dataloader.dataset.pipeline; write one for the '
            'images to label'
        )
    return unlabelled_images(target['dataset'], test['pipeline'])


def make_label_config(
    cfg: Config,
    checkpoint: str,
    out_dir: str,
    rule: str | Mapping[str, Any],
    overwrite: bool = False,
    flip: bool = False,
) -> Config:
    """Turn a training config, in place, into one whose test loop writes pseudo labels.

    Args:
        cfg: Config that the checkpoint was trained with.
        checkpoint: Its file.
        out_dir: Directory of labels and manifest.
        rule: As for :class:`PseudoLabelLoop`.
        overwrite: Replace labels that were made with other settings.
        flip: As for :class:`PseudoLabelLoop`.

    Raises:
        ValueError: The directory is one that the config reads, or lies inside or above one.
    """
    check_output('PseudoLabelLoop.out_dir', out_dir, read_paths(cfg, but=['directory']))
    dataset = target_dataset(cfg)
    workers = cfg.test_dataloader.get('num_workers', 2)
    prepare_inference(cfg, checkpoint)
    cfg.test_dataloader = {'batch_size': 1, 'num_workers': workers, 'dataset': dataset}
    cfg.test_cfg = dict(
        type='PseudoLabelLoop', out_dir=out_dir, rule=rule, overwrite=overwrite, flip=flip
    )
    cfg.test_evaluator = []
    return cfg


def prepare_inference(cfg: Config, checkpoint: str) -> None:
    """Leave of a training config, in place, what a test loop with a checkpoint needs."""
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'):
        cfg[key] = None
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.custom_hooks = []
    cfg.load_from, cfg.resume = checkpoint, False


def build_labeller(cfg: Config) -> Runner:
    """Build the runner of :func:`make_label_config`'s config; its ``test()`` writes the labels.

    Raises:
        ValueError: If the checkpoint is of another network.
    """
    # Each process labels images of its own with the bare model: no gradient, nothing to wrap for.
    cfg.launcher = 'none'
    runner = build_runner(cfg)
    # The runner itself would load another network's weights in part.
    raise_mismatch(f'build_labeller: {cfg.load_from}', runner.model, load_weights(cfg.load_from))
    return runner


class PseudoLabelStage(CheckpointStage):
    """Labels the config's target training images; ``{name}`` is the directory of labels."""

    kind = 'pseudo_label'
    optional = ('options', 'rule', 'flip')
    fingerprint_keys = ('model', 'data_preprocessor')

    def fingerprint(self, cfg: Config) -> dict[str, Any]:
        return {**super().fingerprint(cfg), 'test_dataloader': {'dataset': target_dataset(cfg)}}

    def settings(self) -> dict[str, Any]:
        with self.error_context('rule'):
            rule = build_rule(self.arguments.get('rule', 'bdl'))
        return {**super().settings(), 'rule': rule.describe()}

    def run(self, resolve: Resolve, experiment: str) -> Result:
        out = self.directory / 'labels'
        cfg = make_label_config(
            self.load_to_run(resolve, experiment),
            self.checkpoint(resolve),
            str(out),
            self.arguments.get('rule', 'bdl'),
            flip=self.arguments.get('flip', False),
        )
        labeller = build_labeller(cfg)
        labeller.test()
        manifest = Manifest.read(out)
        classes = labeller.test_loop.dataloader.dataset.metainfo['classes']
        counts = zip(manifest.predicted_pixels, manifest.kept_pixels)
        return Result(
            {'output': out},
            {'kept pixels (%)': 100 * manifest.kept_share},
            {name: list(pair) for name, pair in zip(classes, counts)},
        )
