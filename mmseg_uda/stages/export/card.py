"""A model card: what somebody must know who gets an exported network and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmseg_uda.config.datasets import iter_datasets
from mmseg_uda.config.domains import domain_dataset
from mmseg_uda.structures import DOMAINS
from mmseg_uda.version import __version__

__all__ = ['model_card']

PACKAGES = (
    *('onedl-mmsegmentation', 'onedl-mmengine', 'onedl-mmcv'),
    *('mmsegmentation', 'mmengine', 'mmcv'),
)
FILL = '_(fill in)_'
IN_NETWORK = {
    'AttendedSegmentor': 'The attention of DAST is a part of the network, which weighs the '
    'features of every image.',
    'CrossDomainAttentionHead': 'The head has attention; without a source image at test time its '
    'context is what `test_context` says: the image itself, or features stored in the checkpoint.',
    'SelfAttentionHead': 'The self-attention of SAM is a part of this network (its stage A).',
}
NOT_IN_NETWORK = 'Regularisers such as SAM are losses: no part of the network computes them.'


def model_card(
    cfg: Config,
    plain: Config,
    checkpoint: str,
    meta: Mapping[str, Any],
    files: Sequence[str],
    notes: Iterable[str],
) -> str:
    """Write the card, in Markdown.

    Args:
        cfg: Config of the method.
        plain: Config of the exported segmentor.
        checkpoint: File that the method wrote; the records of its training lie near it.
        meta: Its metadata.
        files: Names of the exported files, checkpoint and config first.
        notes: Sentences about what a user should know.
    """
    model = cfg.model
    weights, config, *_ = files
    seed = meta.get('seed', (cfg.get('randomness') or {}).get('seed'))
    name = Path(cfg.filename).stem if cfg.filename else FILL
    facts = [
        *notes,
        *(fact for kind, fact in IN_NETWORK.items() if f"'{kind}'" in str(plain.model)),
    ]
    facts += [NOT_IN_NETWORK] if model.get('regularizers') else []
    lines = [
        f'# Model card: {Path(config).stem}',
        '',
        f'A network for semantic segmentation, trained by {model.type} (mmseg_uda {__version__}) '
        f'for {meta.get("iter", FILL)} iterations.',
        '',
        *_section('Files', [f'`{each}`' for each in files]),
        *_section('Notes', facts),
        *_section('Classes', _classes(meta)),
        *_section('Input', _input(plain)),
        *_section('Data', _data(cfg)),
        '## Metrics',
        '',
        '| seed | iteration | metric | value | on |',
        '|---|---|---|---|---|',
        *_metrics(checkpoint, meta, seed),
        '',
        'One line is one training; several seeds tell how much of a difference is chance.',
        '',
        '## Commands',
        '',
        '```bash',
        f'python tools/{_training_of(cfg, name)}  # seed {seed}',
        f'python tools/export_segmentor.py {Path(checkpoint).name} {weights} --config {name}.py '
        f'--out-config {config}',
        f'mim test mmsegmentation {config} --checkpoint {weights}',
        '```',
        '',
        *_section('Versions', _versions()),
        *_section(
            'Licences',
            [
                f'These weights: {FILL}',
                f'Source images and labels: {FILL}',
                f'Target images: {FILL}',
                f'Pretrained weights: {FILL}',
                'Code of mmseg_uda: Apache-2.0',
            ],
        ),
        *_section('Contact, intended use and limits', [FILL]),
    ]
    return '\n'.join(lines).rstrip() + '\n'


def _training_of(cfg: Config, name: str) -> str:
    """The command of the training: that of the pipeline beside the config, which starts it."""
    pipeline = f'{name}_pipeline.py'
    if cfg.filename and Path(cfg.filename).with_name(pipeline).is_file():
        return f'run_pipeline.py {pipeline}'
    return f'train.py {name}.py'


def _section(title: str, facts: Iterable[str]) -> list[str]:
    items = [f'* {fact}' for fact in facts]
    return [f'## {title}', '', *items, ''] if items else []


def _classes(meta: Mapping[str, Any]) -> Iterator[str]:
    known = meta.get('dataset_meta') or {}
    palette = known.get('palette') or []
    for index, name in enumerate(known.get('classes') or []):
        colour = f', RGB {tuple(palette[index])}' if index < len(palette) else ''
        yield f'{index}: {name}{colour}'


def _input(plain: Config) -> Iterator[str]:
    cfg = plain.model.data_preprocessor
    yield f'{"RGB" if cfg.get("bgr_to_rgb") else "BGR"} images in [0, 255]'
    yield f'mean {list(cfg.get("mean") or [])}, std {list(cfg.get("std") or [])}'


def _data(cfg: Config) -> Iterator[str]:
    loaders = cfg.get('train_dataloader')
    places = {f'{domain}, training': domain_dataset(loaders, domain) for domain in DOMAINS}
    test = (cfg.get('test_dataloader') or {}).get('dataset')
    for key, datasets in {**places, 'test': test}.items():
        if not isinstance(datasets, Mapping):
            continue
        for _, dataset in iter_datasets(datasets):
            prefix = (dataset.get('data_prefix') or {}).get('img_path', '')
            root = Path(dataset.get('data_root') or '').name  # the rest is of one machine
            yield f'{key}: {dataset.get("type")}, {"/".join(filter(None, (root, prefix)))}'


def _metrics(checkpoint: str, meta: Mapping[str, Any], seed: Any) -> list[str]:
    """Scores that the training's log has for this iteration."""
    found: dict[str, float] = {}
    for log in sorted(Path(checkpoint).parent.glob('*/vis_data/scalars.json')):
        for line in log.read_text(encoding='utf-8').splitlines():
            with suppress(json.JSONDecodeError):  # a line that a killed run left
                record = json.loads(line)
                if record.get('step') == meta.get('iter') and 'loss' not in record:
                    found.update({key: value for key, value in record.items() if 'mIoU' in key})
    if not found:
        return [f'| {seed} | {meta.get("iter", FILL)} | mIoU | {FILL} | {FILL} |']
    iteration = meta['iter']
    return [
        f'| {seed} | {iteration} | {key} | {value:.4g} | validation during training |'
        for key, value in found.items()
    ]


def _versions() -> Iterator[str]:
    yield f'mmseg_uda {__version__}'
    yield f'torch {torch.__version__}'
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            yield f'{name} {metadata.version(name)}'
