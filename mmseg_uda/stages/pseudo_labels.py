"""From a training config to a runner whose test loop writes pseudo labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from mmseg_uda.artifacts.checkpoint import describe_mismatch, load_checkpoint
from mmseg_uda.config.datasets import iter_datasets, unlabelled_images
from mmseg_uda.utils.cli import build_runner

__all__ = ['build_labeller', 'make_label_config', 'target_dataset']


def target_dataset(cfg: Config) -> dict[str, Any]:
    """Config of the target's training images, through the test pipeline without labels.

    Raises:
        ValueError: If the config has no target, or no test pipeline.
    """
    target = (cfg.get('train_dataloader') or {}).get('target')
    if not target:
        raise ValueError(
            'target_dataset: the config has no train_dataloader.target; '
            'write one with the images to label'
        )
    _, test = next(iter_datasets((cfg.get('test_dataloader') or {}).get('dataset') or {}))
    if 'pipeline' not in test:
        raise ValueError(
            'target_dataset: the config has no '
            'test_dataloader.dataset.pipeline; write one for the images to label'
        )
    return unlabelled_images(target['dataset'], test['pipeline'])


def make_label_config(
    cfg: Config,
    checkpoint: str,
    out_dir: str,
    rule: str | Mapping[str, Any],
    overwrite: bool = False,
) -> Config:
    """Turn a training config, in place, into one whose test loop writes pseudo labels.

    Args:
        cfg: Config that the checkpoint was trained with.
        checkpoint: Its file.
        out_dir: Folder to write labels and manifest to.
        rule: As for :class:`PseudoLabelLoop`.
        overwrite: Replace labels that were made with other settings.
    """
    dataset = target_dataset(cfg)
    workers = cfg.test_dataloader.get('num_workers', 2)
    for key in (
        'train_dataloader',
        'train_cfg',
        'optim_wrapper',
        'param_scheduler',
        'val_dataloader',
        'val_cfg',
        'val_evaluator',
    ):
        cfg[key] = None
    cfg.custom_hooks = []
    cfg.load_from, cfg.resume = checkpoint, False
    cfg.test_dataloader = {'batch_size': 1, 'num_workers': workers, 'dataset': dataset}
    cfg.test_cfg = {
        'type': 'PseudoLabelLoop',
        'out_dir': out_dir,
        'rule': rule,
        'overwrite': overwrite,
    }
    cfg.test_evaluator = []
    return cfg


def build_labeller(cfg: Config) -> Runner:
    """The runner of :func:`make_label_config`'s config; its ``test()`` writes the labels.

    Raises:
        ValueError: If the checkpoint is of another network.
    """
    # Each process labels images of its own with the bare model: no gradient, nothing to wrap for.
    cfg.launcher = 'none'
    runner = build_runner(cfg)
    _check_checkpoint(runner, cfg.load_from)
    return runner


def _check_checkpoint(runner: Runner, path: str) -> None:
    """Refuse a checkpoint of another model, which the runner would load in part."""
    given = load_checkpoint(path)
    given = given.get('state_dict', given)
    wrong = describe_mismatch(runner.model, given)
    if wrong:
        raise ValueError(
            f'build_labeller: {path} does not fit {type(runner.model).__name__}: '
            f'{wrong}; pass a checkpoint that was trained with this config'
        )
