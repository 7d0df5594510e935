"""The text of a config for two domains of a user's own."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mmseg_uda
from mmseg_uda.datasets.class_map import name_value
from mmseg_uda.stages.own_pair.labels import Classes
from mmseg_uda.stages.own_pair.literals import check_text, literal
from mmseg_uda.stages.own_pair.plan import METHODS, NETWORKS, Plan

__all__ = ['MANY', 'Parts', 'config_text', 'configs_directory']

HEAD = """\
# {title}
# {summary}
# Train: {command}
_base_ = [
    {network},
    {runtime},
]
# Read these lines; what follows them is made of them.
classes = {classes}
label_map = {label_map}
others = {others}  # values that label_map does not list: 'error', 'ignore' or a class
source = {source}
target = {target}
validation = {validation}
short_side, crop_size = {short_side}, ({crop}, {crop})  # of images, after they are resized
batch_size = {batch_size}  # of each domain; takes about {needed} GiB
max_iters, lr = {max_iters}, {lr}

"""
BODY = """\
palette = {palette}
metainfo = dict(classes=classes, palette=palette)
load_labels = dict(
    type='LoadMappedAnnotations', classes=classes, label_map=label_map, others=others)
resize = dict(type='ResizeShortestEdge', scale=short_side, max_size=8 * short_side)
dataset_type = 'DirectoryDataset'
test_pipeline = [
    dict(type='LoadImageFromFile'), resize, load_labels, dict(type='PackSegInputs')
]
train_dataloader = dict(
    source=dict(
        batch_size=batch_size,
        num_workers={workers},
        persistent_workers=True,
        dataset=dict(
            type=dataset_type, metainfo=metainfo, **source{train_part},
            pipeline=[
                dict(type='LoadImageFromFile'), load_labels, resize,
                dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
                dict(type='RandomFlip', prob=0.5),
                dict(type='PackUDAInputs')
            ])),
    target=dict(
        batch_size=batch_size,
        num_workers={workers},
        persistent_workers=True,
        dataset=dict(
            type=dataset_type, metainfo=metainfo, **target,
            pipeline=[
                dict(type='LoadImageFromFile'), resize,
                dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.),
                dict(type='RandomFlip', prob=0.5),
                dict(type='PackUDAInputs')
            ])))
val_dataloader = dict(
    batch_size=1,
    num_workers={val_workers},
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, metainfo=metainfo, **validation, pipeline=test_pipeline))
test_dataloader = val_dataloader{tested}
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
{val_cfg}
test_cfg = dict(type='TestLoop')
train_cfg = dict(
    type='UDATrainLoop', max_iters=max_iters, val_interval=max(1, max_iters // 10))

segmentor = dict(
    _base_.model, decode_head=dict(_base_.model.decode_head, num_classes=len(classes)))
model = dict(
    _delete_=True,
    {method})
optim_wrapper = dict(
    type='JointOptimWrapperDict',
    constructor='JointOptimWrapperConstructor',
    optimizers=dict(
        student=dict(
            optimizer=dict(type='AdamW', lr=lr, betas=(0.9, 0.999), weight_decay=0.01),
            paramwise_cfg=dict(
                norm_decay_mult=0., custom_keys={{'decode_head': dict(lr_mult=10.)}})){disc}))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-3, begin=0, end=max(1, max_iters // 25), by_epoch=False),
    dict(type='PolyLR', eta_min=0., power=0.9, begin=0, end=max_iters, by_epoch=False)
]
default_hooks = dict(checkpoint=dict(interval=max(1, max_iters // 10){best}))
custom_hooks = {hooks}
"""
ON_TARGET = "val_cfg = dict(type='ValLoop')  # on the labels of the target's validation set"
# `entropy` and the other scores are of the target's training images.
WITHOUT_TARGET_LABELS = """\
# No label of the target is known: the log has the source's held-out part, source/mIoU, and scores
# of the predictions on the target's images without labels, target/*. The last checkpoint counts,
# unless HealthHook warns that the predicted classes drift away from their shares in the source's
# labels: the best one by mutual information, best_target_*.pth, is kept for that.
source_shares = {source_shares}
val_cfg = dict(
    type='SelectionValLoop',
    validate_target=False,
    selection=dict(
        source=dict(dataloader=val_dataloader),
        target=dict(
            dataloader=dict(
                dataset=dict(
                    type='MirroredViews',
                    dataset=dict(
                        type=dataset_type, metainfo=metainfo, **target{indices},
                        pipeline=[
                            dict(type='LoadImageFromFile'), resize, dict(type='PackSegInputs')
                        ]))),
            evaluator=dict(type='LabelFreeMetric', source_shares=source_shares))))"""
BEST = ", save_best='target/mutual_information', rule='greater'"
MANY = 200  # images of the target that a validation without labels, and AdaBN, look at


class Parts(NamedTuple):
    """Datasets of a config, as keyword arguments of ``DirectoryDataset``.

    Args:
        source: Images and labels.
        target: Images.
        validation: Images and labels; None to hold a part of the source out.
        num_target: Number of images in the target.
    """

    source: Mapping[str, Any]
    target: Mapping[str, Any]
    validation: Mapping[str, Any] | None
    num_target: int


def configs_directory(beside: Path) -> str:
    """Give the path of the shipped ``configs/_base_`` from a directory."""
    package = Path(mmseg_uda.__file__).resolve().parent
    # In an installed package, and in a checkout.
    places = (package / '.mim/configs', package.parent / 'configs')
    found = next(place for place in places if place.is_dir())
    return osp.relpath(found / '_base_', beside.resolve()).replace('\\', '/')


def config_text(
    path: Path, title: str, summary: str, command: str, classes: Classes, parts: Parts, plan: Plan,
    source_shares: Sequence[float], method: str, network: str,
) -> str:  # fmt: skip
    """Write a config.

    Args:
        path: Its file.
        title: First line.
        summary: Second line, with what was found.
        command: The command that trains.
        classes: Classes, label map and palette.
        parts: Datasets.
        plan: Sizes.
        source_shares: Share of each class among the source's labelled pixels.
        method: Name in ``METHODS``.
        network: Name in ``NETWORKS``.

    Raises:
        ValueError: A text of the user's cannot stand in a config.
    """
    for line in (title, summary, command):
        check_text('init_pair', line)
    configs = configs_directory(path.parent)
    class_map = classes.class_map
    held_out = parts.validation is None
    validation = parts.validation or {**parts.source, 'part': 'val'}
    items = (
        f'{literal(name_value(value, class_map.colours))}: {literal(name)}'
        for value, name in class_map.names.items()
    )
    adversarial = 'discriminator' in METHODS[method]
    disc = "dict(optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)))"
    teacher = ", dict(type='EMATeacherHook')" if 'EMATeacher' in METHODS[method] else ''
    step = -(-parts.num_target // MANY)
    without_labels = WITHOUT_TARGET_LABELS.format(
        indices=f', indices=list(range(0, {parts.num_target}, {step}))' if step > 1 else '',
        source_shares=_fold('[]', map(str, source_shares)) if any(source_shares) else None,
    )
    text = HEAD.format(
        title=title,
        summary=summary,
        command=command,
        network=literal(f'{configs}/models/{NETWORKS[network].base}.py'),
        runtime=literal(f'{configs}/default_runtime.py'),
        classes=_fold('()', map(literal, class_map.classes)),
        label_map=_fold('{}', items),
        others=literal(class_map.others),
        source=_call(parts.source),
        target=_call(parts.target),
        validation=_call(validation),
        needed=f'{plan.needed:.1f} of {plan.memory:.0f}',
        lr=NETWORKS[network].lr,
        **{key: getattr(plan, key) for key in ('short_side', 'crop', 'batch_size', 'max_iters')},
    )
    return text + BODY.format(
        palette=_fold('[]', map(str, classes.palette)),
        workers=4 if plan.on_gpu else 1,
        val_workers=2 if plan.on_gpu else 0,
        train_part=", part='train'" if held_out else '',
        tested='  # of the source, until you have labels of the target' if held_out else '',
        val_cfg=without_labels if held_out else ON_TARGET,
        method=METHODS[method],
        best=BEST if held_out else '',
        disc=f',\n        discriminators={disc}' if adversarial else '',
        hooks=f'[*_base_.custom_hooks{teacher}]',
    )


def _call(arguments: Mapping[str, Any]) -> str:
    """Write keyword arguments as a dict of a config."""
    values = {
        key: _call(value) if isinstance(value, Mapping) else literal(value)
        for key, value in arguments.items()
    }
    return f'dict({", ".join(f"{key}={value}" for key, value in values.items())})'


def _fold(brackets: str, items: Iterable[str]) -> str:
    """Write a collection in lines of at most 100 characters."""
    lines = ['   ']
    for item in items:
        if len(lines[-1]) + len(item) > 97:
            lines.append('   ')
        lines[-1] += f' {item},'
    return '\n'.join([brackets[0], *lines, brackets[1]])
