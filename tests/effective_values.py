"""The values of a config that decide what it does, and their digest.

``tests/data/config_digests.json`` holds the digest of every config and pipeline as they were before
ablations became tables.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_uda.config.tables import read_config

__all__ = ['digest', 'effective_config', 'effective_pipeline']

# What a runner or a tool reads; other names of a config are its own variables.
READ = [
    'model',
    'data_preprocessor',
    'work_dir',
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'train_cfg',
    'val_cfg',
    'test_cfg',
    'auto_scale_lr',
    'optim_wrapper',
    'param_scheduler',
    'val_evaluator',
    'test_evaluator',
    'default_hooks',
    'custom_hooks',
    'load_from',
    'resume',
    'launcher',
    'env_cfg',
    'log_processor',
    'log_level',
    'visualizer',
    'default_scope',
    'randomness',
    'experiment_name',
    'custom_imports',
    'runner_type',
    'model_wrapper_cfg',
    'tta_model',
    'tta_pipeline',
]


def effective_config(cfg: Config) -> dict[str, Any]:
    """The values that are read, as JSON has them."""
    content = cfg.to_dict()
    if 'segmentor' in content['model']:  # only stock configs had it
        content.pop('tta_model', None)
        content.pop('tta_pipeline', None)
    if content.get('optim_wrapper', {}).get('type') == 'JointOptimWrapperDict':
        del content['optim_wrapper']['type']  # its constructor makes nothing else
    return _plain({name: content[name] for name in READ if name in content})


def effective_pipeline(seed: int | None, stages: Sequence[Mapping[str, Any]], folder: Path) -> Any:
    """A pipeline's seed and stages, with each stage's config and options in one."""
    found = []
    for stage in stages:
        stage = dict(stage)
        if 'config' in stage:
            cfg = read_config(folder / stage.pop('config'))
            cfg.merge_from_dict(stage.pop('options', None) or {})
            stage['config'] = effective_config(cfg)
        found.append(stage)
    return _plain({'seed': seed, 'stages': found})


def digest(values: dict[str, Any]) -> str:
    """SHA-256, whatever the order of the keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _plain(node: Any) -> Any:
    """Tuples as lists, keys as text, without the marks that mmengine leaves in inherited parts."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items() if key != '_scope_'}
    if isinstance(node, (list, tuple)):
        return [_plain(value) for value in node]
    return node if node is None or isinstance(node, (bool, int, float, str)) else str(node)
