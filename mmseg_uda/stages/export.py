"""The segmentor inside a trained method as a checkpoint and a config of stock mmseg."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Iterator

import torch
from mmengine.config import Config
from mmseg import registry

from mmseg_uda.artifacts.checkpoint import load_checkpoint, strip_prefix, weights_of
from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.config.tables import read_config
from mmseg_uda.stages.base import CheckpointStage, Resolve, Result
from mmseg_uda.stages.inputs import Input
from mmseg_uda.stages.references import substitute
from mmseg_uda.utils.processes import on_main

__all__ = ['KEPT_CONFIG', 'ExportStage', 'export_segmentor', 'plain_config']

KEPT_META = (
    'dataset_meta',
    'CLASSES',
    'PALETTE',
    'iter',
    'epoch',
    'seed',
    'experiment_name',
    'time',
    'mmengine_version',
)
# What testing needs of a training config; the rest is about training.
KEPT_CONFIG = (
    'env_cfg',
    'vis_backends',
    'visualizer',
    'log_level',
    'dataset_type',
    'data_root',
    'test_pipeline',
    'val_dataloader',
    'val_evaluator',
    'test_dataloader',
    'test_evaluator',
    'tta_pipeline',
    'tta_model',
)


def export_segmentor(
    checkpoint: str,
    out: str | Path,
    config: str | Config | None = None,
    out_config: str | Path | None = None,
    module: str = 'student',
) -> int:
    """Write a method's segmentor as a checkpoint that a stock config loads strictly.

    Args:
        checkpoint: File that a method wrote.
        out: File to write; its meta data keep the classes and the palette.
        config: The method's config, or its file; None takes the text that the checkpoint holds.
        out_config: File for a plain config, or None.
        module: The module to export, for example ``teacher.module``.

    Returns:
        How many tensors were written.

    Raises:
        ValueError: The checkpoint has no such module, or ``out_config`` nothing to be made of.
    """
    content = load_checkpoint(checkpoint)
    weights = _weights_below(module, weights_of(content), checkpoint)
    meta = content.get('meta', {})
    cfg = _read_config(config, meta)
    if cfg is None and out_config is not None:
        raise ValueError(
            f'export_segmentor: {checkpoint} holds no config; pass the one that '
            'it was trained with as --config'
        )
    plain = None if cfg is None else plain_config(cfg)
    if plain is not None:  # which has no auxiliary head
        weights = {
            key: value for key, value in weights.items() if not key.startswith('auxiliary_head.')
        }
    kept = {key: meta[key] for key in KEPT_META if key in meta}
    if plain is not None:
        kept['cfg'] = plain.pretty_text
    with atomic_write(out) as partial:
        torch.save({'meta': kept, 'state_dict': weights}, partial)
    if out_config is not None and plain is not None:
        with atomic_write(out_config) as partial:
            partial.write_text(plain.pretty_text, encoding='utf-8')
    return len(weights)


def plain_config(cfg: Config) -> Config:
    """A config of the bare segmentor, on the test split of the method's config.

    Auxiliary heads, which only training runs, are left out.

    Raises:
        ValueError: The config is not one of a method of this package.
    """
    if 'segmentor' not in cfg.model:
        raise ValueError(
            f"export_segmentor: the config's model {cfg.model.get('type')!r} has no "
            'key `segmentor`; pass the config of a method of mmseg_uda'
        )
    content = cfg.to_dict()
    model = copy.deepcopy(content['model']['segmentor'])
    model.pop('auxiliary_head', None)  # tests do not run it, and PIT's units are no more of use
    joint = content['model'].get('data_preprocessor')
    if joint:  # what the method sees target images with; else the segmentor's own
        model['data_preprocessor'] = copy.deepcopy(joint.get('target') or joint['source'])
    if model['data_preprocessor'].get('size') is None:  # stock benchmark.py pads, as in training
        model['data_preprocessor'].setdefault('size_divisor', 1)
    plain: dict[str, Any] = {'default_scope': 'mmseg', 'model': model}
    plain.update((key, content[key]) for key in KEPT_CONFIG if key in content)
    plain['val_cfg'] = {'type': 'ValLoop'}
    plain['test_cfg'] = {'type': 'TestLoop'}
    plain['default_hooks'] = {'visualization': {'type': 'SegVisualizationHook'}}
    if _own_types().intersection(_types_in(plain)):
        plain['custom_imports'] = {'imports': ['mmseg_uda'], 'allow_failed_imports': False}
    return Config(plain)


def _types_in(value: Any) -> Iterator[str]:
    """Every ``type`` in a nested config."""
    if isinstance(value, dict):
        if 'type' in value:
            yield str(value['type']).rpartition('.')[2]
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _types_in(item)


def _own_types() -> set[str]:
    """Names that this package adds to mmseg's registries."""
    registries = [getattr(registry, name) for name in registry.__all__]
    return {
        name
        for entry in registries
        for name, cls in entry.module_dict.items()
        if cls.__module__.startswith('mmseg_uda')
    }


def _read_config(config: str | Config | None, meta: dict[str, Any]) -> Config | None:
    """The method's config, from its file or else from the checkpoint's meta data."""
    if isinstance(config, Config):
        return config
    if config is not None:
        return read_config(config)
    return Config.fromstring(meta['cfg'], file_format='.py') if meta.get('cfg') else None


def _weights_below(module: str, weights: dict[str, Any], path: str) -> dict[str, Any]:
    """Select the weights of a module, named as that module names them.

    Raises:
        ValueError: There are none.
    """
    found = strip_prefix(weights, f'{module}.')
    if not found:
        modules = sorted({key.split('.')[0] for key in weights})
        raise ValueError(
            f'export_segmentor: expected weights of {module!r} in {path}, but got those of '
            f'{", ".join(map(repr, modules)) or "nothing"}; pass a checkpoint that a method of '
            'mmseg_uda wrote, or another --module'
        )
    return found


class ExportStage(CheckpointStage):
    """Writes the segmentor for stock mmseg; ``{name}`` is the checkpoint, a config is beside it."""

    kind = 'export'
    optional = ('options', 'module')
    makes = 'checkpoint'
    fingerprint_keys = tuple(
        key
        for key in ('model', *KEPT_CONFIG)
        if key not in ('vis_backends', 'visualizer', 'log_level')
    )

    def inputs(self) -> list[Input]:
        # The config's datasets are written about, not read.
        return [each for each in super().inputs() if each.key == 'checkpoint']

    def run(self, resolve: Resolve, experiment: str) -> Result:
        out = self.directory / 'segmentor.pth'
        on_main(
            lambda: export_segmentor(
                substitute(self.arguments['checkpoint'], resolve),
                out,
                self.load(resolve),
                out.with_suffix('.py'),
                self.arguments.get('module', 'student'),
            )
        )
        return Result({'output': out, 'config': out.with_suffix('.py')})
