"""Export of the segmentor inside a trained method as checkpoint and config of stock mmseg."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmseg import registry

from mmseg_uda.artifacts.checkpoint import load_checkpoint, strip_prefix, weights_of
from mmseg_uda.artifacts.files import atomic_write, write_torch
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.config.reads import read_paths
from mmseg_uda.config.tables import read_config
from mmseg_uda.stages.base import CheckpointStage, Resolve, Result
from mmseg_uda.stages.inputs import Input
from mmseg_uda.utils.processes import on_main

__all__ = ['ExportStage', 'export_segmentor', 'plain_config']

# Beginnings of the names that testing needs in a training config; the rest is about training.
KEPT = ('data_root', 'dataset_type', 'env_cfg', 'log_level', 'test_', 'tta_', 'val_', 'vis')

# Default hooks that stock configs have; one of this package or of a user stays behind.
STOCK_HOOKS = frozenset(
    {'IterTimerHook', 'LoggerHook', 'ParamSchedulerHook', 'CheckpointHook'}
    | {'DistSamplerSeedHook', 'SegVisualizationHook'}
)

# Metadata that stay behind: configs, which are programs, and the hooks' records of training, whose
# numbers stock loaders may refuse.
UNKEPT = ('cfg', 'config', 'hook_msgs')


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
        out: File to write; its metadata keep the classes and the palette. Older files of other
            content are moved aside.
        config: The method's config, or its file, for ``out_config`` and for the text of it in the
            metadata. With it auxiliary heads are left out. The text that the checkpoint holds is
            never used: a config is a program.
        out_config: File for a plain config, or None.
        module: The module to export, for example ``teacher.module``.

    Returns:
        Number of tensors written.

    Raises:
        ValueError: The checkpoint has no such module, there is no config for ``out_config``, or
            an output is where something is read.
    """
    if config is None and out_config is not None:
        raise ValueError(
            'export_segmentor: expected a config for out_config, but got None; pass the config '
            f'with which {checkpoint} was trained as --config'
        )
    content = load_checkpoint(checkpoint)
    weights, meta = weights_of(content), content.get('meta', {})
    exported = strip_prefix(weights, f'{module}.')
    if not exported:
        modules = sorted({key.split('.')[0] for key in weights})
        raise ValueError(
            f'export_segmentor: expected weights of {module!r} in {checkpoint}, but got those of '
            f'{", ".join(map(repr, modules)) or "nothing"}; pass a checkpoint that a method of '
            'mmseg_uda wrote, or another --module'
        )
    reads: list[tuple[str, str | Path]] = [('checkpoint', checkpoint)]
    if isinstance(config, (str, Path)):
        reads.append(('config', config))
        config = read_config(config)
    reads += read_paths(config or {})
    for key, path in (('out', out), ('out_config', out_config)):
        if path is not None:
            check_output(f'export_segmentor.{key}', path, reads)
    kept = {key: value for key, value in meta.items() if key not in UNKEPT}
    if config is not None:
        kept['cfg'] = plain_config(config).pretty_text
        exported = {
            key: value for key, value in exported.items() if not key.startswith('auxiliary_head.')
        }
    write_torch(out, {'meta': kept, 'state_dict': exported})
    if out_config is not None:
        with atomic_write(out_config, keep=True) as partial:
            partial.write_text(kept['cfg'], encoding='utf-8')
    return len(exported)


def plain_config(cfg: Config) -> Config:
    """Make a config of the bare segmentor, on the test split of the method's config.

    Auxiliary heads, which only training runs, are left out.

    Raises:
        ValueError: The config is not one of a method of this package.
    """
    content = cfg.to_dict()
    if 'segmentor' not in content['model']:
        raise ValueError(
            f"export_segmentor: the config's model {content['model'].get('type')!r} has no key "
            '`segmentor`; pass the config of a method of mmseg_uda'
        )
    model, joint = content['model']['segmentor'], content['model'].get('data_preprocessor')
    model.pop('auxiliary_head', None)
    if joint:  # the method sees target images through it; else through the segmentor's own
        model['data_preprocessor'] = joint.get('target') or joint['source']
    if model['data_preprocessor'].get('size') is None:  # stock benchmark.py pads, as in training
        model['data_preprocessor'].setdefault('size_divisor', 1)
    plain = {
        'default_scope': 'mmseg',
        'data_preprocessor': model['data_preprocessor'],  # which tools of mmseg read
        'model': model,
        **{key: value for key, value in content.items() if key.startswith(KEPT)},
        'val_cfg': {'type': 'ValLoop'},
        'test_cfg': {'type': 'TestLoop'},
        'log_processor': content.get('log_processor') or {'by_epoch': False},
    }
    types = re.findall(r"'type': '(?:[\w.]*\.)?(\w+)'", str(plain))
    registered = [getattr(registry, name).module_dict for name in registry.__all__]
    classes = [known[name] for known in registered for name in types if name in known]
    if any(cls.__module__.startswith('mmseg_uda') for cls in classes):
        plain['custom_imports'] = {'imports': ['mmseg_uda'], 'allow_failed_imports': False}
    for split in ('val', 'test'):
        if not plain.get(f'{split}_dataloader'):  # mmengine wants all three parts or none
            plain.update({f'{split}_{part}': None for part in ('dataloader', 'cfg', 'evaluator')})
    hooks = {'visualization': {'type': 'SegVisualizationHook'}, **content.get('default_hooks', {})}
    plain['default_hooks'] = {
        key: hook for key, hook in hooks.items() if hook and hook.get('type') in STOCK_HOOKS
    }
    return Config(plain)


class ExportStage(CheckpointStage):
    """Writes the segmentor for stock mmseg; ``{name}`` is the checkpoint, a config is beside it."""

    kind = 'export'
    optional = ('options', 'module')
    makes = 'checkpoint'
    takers = (export_segmentor,)

    def fingerprint(self, cfg: Config) -> dict[str, Any]:
        unrecorded = ('vis_backends', 'visualizer', 'log_level', 'log_processor', 'default_hooks')
        content = plain_config(cfg).to_dict()
        return {key: value for key, value in content.items() if key not in unrecorded}

    def inputs(self) -> list[Input]:
        # The config's datasets are written about, not read.
        return [each for each in super().inputs() if each.key == 'checkpoint']

    def run(self, resolve: Resolve, experiment: str) -> Result:
        out = self.directory / 'segmentor.pth'
        config, checkpoint = out.with_suffix('.py'), self.checkpoint(resolve)
        cfg, module = self.load(resolve), self.arguments.get('module', 'student')
        on_main(lambda: export_segmentor(checkpoint, out, cfg, config, module))
        return Result({'output': out, 'config': config})
