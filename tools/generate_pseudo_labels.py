"""Write pseudo labels of a config's target training images with a trained network.

The folder can then be given to ``LoadPseudoLabels.pseudo_dir``. Called again, it goes on where it
was stopped.
"""

from __future__ import annotations

import argparse
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.compat import load_checkpoint
from mmseg_uda.pseudo_labels import RULES, build_rule
from mmseg_uda.utils.cli import (
    add_config_options,
    add_launcher,
    export_local_rank,
    join_processes,
    load_config,
)

LABEL_LOADERS = ('LoadAnnotations', 'LoadPseudoLabels')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config that the checkpoint was trained with')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out-dir', required=True, help='folder to write labels and manifest to')
    parser.add_argument('--rule', choices=sorted(RULES), default='bdl',
                        help='which predictions to keep (default: bdl)')
    parser.add_argument('--share', type=float,
                        help='bdl, cbst, global: share of the pixels to keep (default: 0.5)')
    parser.add_argument('--cap', type=float,
                        help='bdl, cbst, global: upper bound of thresholds (default: 0.9)')
    parser.add_argument('--threshold', type=float, help='fixed: the threshold (default: 0.9)')
    parser.add_argument('--overwrite', action='store_true',
                        help='replace labels that were made with other settings')
    parser.add_argument('--work-dir', help='the directory to save logs')
    add_config_options(parser)
    add_launcher(parser)
    args = parser.parse_args(argv)
    try:
        build_rule(rule_config(args))
    except ValueError as error:
        parser.error(str(error))
    return args


def rule_config(args: argparse.Namespace) -> dict[str, Any]:
    """The rule's config: its name and the arguments that were given."""
    given = {key: getattr(args, key) for key in ('share', 'cap', 'threshold')}
    return {'type': args.rule, **{key: value for key, value in given.items() if value is not None}}


def target_dataset(cfg: Config) -> dict[str, Any]:
    """Config of the target's training images, through the test pipeline without labels.

    Raises:
        ValueError: If the config has no target, or no test pipeline.
    """
    target = (cfg.get('train_dataloader') or {}).get('target')
    if not target:
        raise ValueError('generate_pseudo_labels.py: the config has no train_dataloader.target; '
                         'write one with the images to label')
    test = innermost((cfg.get('test_dataloader') or {}).get('dataset') or {})
    if 'pipeline' not in test:
        raise ValueError('generate_pseudo_labels.py: the config has no '
                         'test_dataloader.dataset.pipeline; write one for the images to label')
    pipeline = [step for step in test['pipeline'] if step['type'] not in LABEL_LOADERS]
    return {**innermost(target['dataset']), 'pipeline': pipeline, 'test_mode': True}


def innermost(dataset: dict[str, Any]) -> dict[str, Any]:
    """The dataset inside of wrappers such as ``RepeatDataset``."""
    while isinstance(dataset.get('dataset'), dict):
        dataset = dataset['dataset']
    return dataset


def make_label_config(cfg: Config, args: argparse.Namespace) -> Config:
    """Turn a training config into one whose test loop writes pseudo labels."""
    dataset = target_dataset(cfg)
    workers = cfg.test_dataloader.get('num_workers', 2)
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler',
                'val_dataloader', 'val_cfg', 'val_evaluator'):
        cfg[key] = None
    cfg.custom_hooks = []
    cfg.load_from, cfg.resume = args.checkpoint, False
    cfg.test_dataloader = {'batch_size': 1, 'num_workers': workers, 'dataset': dataset}
    cfg.test_cfg = {'type': 'PseudoLabelLoop', 'out_dir': args.out_dir,
                    'rule': rule_config(args), 'overwrite': args.overwrite}
    cfg.test_evaluator = []
    return cfg


def check_checkpoint(runner: Runner, path: str) -> None:
    """Refuse a checkpoint of another model, which the runner would load in part.

    Raises:
        ValueError: If an entry of the model is missing or of another shape.
    """
    given = load_checkpoint(path)
    given = given.get('state_dict', given)
    expected = runner.model.state_dict()
    wrong = [key for key, value in expected.items() if not key.endswith('num_batches_tracked')
             and (key not in given or given[key].shape != value.shape)]
    if wrong:
        raise ValueError(
            f'generate_pseudo_labels.py: {path} does not fit {type(runner.model).__name__}: '
            f'{wrong[0]} and {len(wrong) - 1} other of {len(expected)} entries are missing or of '
            'another shape; pass a checkpoint that was trained with this config')


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    export_local_rank(args)
    cfg = make_label_config(load_config(args), args)
    join_processes(cfg)
    # Each process labels images of its own with the bare model: no gradient, nothing to wrap for.
    cfg.launcher = 'none'
    runner = Runner.from_cfg(cfg)
    check_checkpoint(runner, args.checkpoint)
    runner.test()


if __name__ == '__main__':
    main()
