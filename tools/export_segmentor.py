"""Write the segmentor inside a trained method as a checkpoint (and a config) of stock mmseg.

The checkpoint's keys lose their prefix, so that a stock ``EncoderDecoder`` config loads it
strictly; its meta data keep the classes and the palette. ``--out-config`` writes such a config.
Stock ``tools/test.py``, ``get_flops.py``, ``benchmark.py`` and ``MMSegInferencer`` run on both.
"""

from __future__ import annotations

import argparse
import copy
from typing import Any, Iterator

import torch
from mmengine.config import Config
from mmseg import registry

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.compat import load_checkpoint
from mmseg_uda.utils.replacing import replacing

KEPT_META = ('dataset_meta', 'CLASSES', 'PALETTE', 'iter', 'epoch', 'seed', 'experiment_name',
             'time', 'mmengine_version')
# What testing needs of a training config; the rest is about training.
KEPT_CONFIG = ('env_cfg', 'vis_backends', 'visualizer', 'log_level', 'dataset_type', 'data_root',
               'test_pipeline', 'val_dataloader', 'val_evaluator', 'test_dataloader',
               'test_evaluator', 'tta_pipeline', 'tta_model')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='checkpoint of a method of this package')
    parser.add_argument('out', help='checkpoint to write')
    parser.add_argument('--config', help='config of the method (default: the text of it that the '
                                         'checkpoint holds)')
    parser.add_argument('--out-config', help='also write a plain mmseg config, a .py file')
    parser.add_argument('--module', default='student',
                        help='the module to export, for example teacher.module (default: student)')
    return parser.parse_args(argv)


def strip_prefix(state_dict: dict[str, Any], module: str, path: str) -> dict[str, Any]:
    """The weights below ``module``, named as that module names them.

    Raises:
        ValueError: There are none.
    """
    prefix = f'{module}.'
    weights = {key[len(prefix):]: value for key, value in state_dict.items()
               if key.startswith(prefix)}
    if not weights:
        found = sorted({key.split('.')[0] for key in state_dict})
        raise ValueError(f'export_segmentor: {path} has no key that starts with {prefix!r}, but '
                         f"{', '.join(repr(name + '.') for name in found) or 'none at all'}; pass "
                         'a checkpoint that a method of mmseg_uda wrote, or another --module')
    return weights


def read_config(args: argparse.Namespace, meta: dict[str, Any]) -> Config | None:
    """The method's config, from its file or else from the checkpoint's meta data.

    Raises:
        ValueError: ``--out-config`` asks for a config and there is none to make it of.
    """
    if args.config is not None:
        return Config.fromfile(args.config)
    if meta.get('cfg'):
        return Config.fromstring(meta['cfg'], file_format='.py')
    if args.out_config is not None:
        raise ValueError(f'export_segmentor: {args.checkpoint} holds no config; pass the one that '
                         'it was trained with as --config')
    return None


def plain_config(cfg: Config) -> Config:
    """A config of the bare segmentor, on the test split of the method's config.

    Raises:
        ValueError: The config is not one of a method of this package.
    """
    if 'segmentor' not in cfg.model:
        raise ValueError(f"export_segmentor: the config's model {cfg.model.get('type')!r} has no "
                         'key `segmentor`; pass the config of a method of mmseg_uda')
    content = cfg.to_dict()
    model = copy.deepcopy(content['model']['segmentor'])
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
    if own_types().intersection(types_in(plain)):
        plain['custom_imports'] = {'imports': ['mmseg_uda'], 'allow_failed_imports': False}
    return Config(plain)


def types_in(value: Any) -> Iterator[str]:
    """Every ``type`` in a nested config."""
    if isinstance(value, dict):
        if 'type' in value:
            yield str(value['type']).rpartition('.')[2]
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from types_in(item)


def own_types() -> set[str]:
    """Names that this package adds to mmseg's registries."""
    registries = [getattr(registry, name) for name in registry.__all__]
    return {name for entry in registries for name, cls in entry.module_dict.items()
            if cls.__module__.startswith('mmseg_uda')}


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    checkpoint = load_checkpoint(args.checkpoint)
    state_dict = checkpoint.get('state_dict', checkpoint)
    weights = strip_prefix(state_dict, args.module, args.checkpoint)
    meta = checkpoint.get('meta', {})
    cfg = read_config(args, meta)
    plain = None if cfg is None else plain_config(cfg)

    kept = {key: meta[key] for key in KEPT_META if key in meta}
    if plain is not None:
        kept['cfg'] = plain.pretty_text
    with replacing(args.out) as partial:
        torch.save({'meta': kept, 'state_dict': weights}, partial)
    print(f'wrote {args.out}: {len(weights)} tensors of {args.module!r}')
    if args.out_config is not None and plain is not None:
        with replacing(args.out_config) as partial:
            partial.write_text(plain.pretty_text, encoding='utf-8')
        print(f'wrote {args.out_config}')


if __name__ == '__main__':
    main()
