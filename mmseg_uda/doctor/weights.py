"""Checks of pretrained weights: they are found, they fit, and images are normalised for them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import Tensor, nn

from mmseg_uda.artifacts.checkpoint import load_checkpoint, strip_prefix, weights_of
from mmseg_uda.artifacts.checkpoint_sources import WEB, cached_file, resolve_checkpoint
from mmseg_uda.artifacts.digest import digest_path
from mmseg_uda.config.method import segmentor_of
from mmseg_uda.doctor.finding import Finding, look, ok, wrong

__all__ = ['check_normalisation', 'check_weights']

# Names of classifiers of ImageNet and of segmentation heads, which a backbone leaves out.
CLASSIFIERS = (
    *('fc.', 'classifier.', 'head.', 'layer5.', 'layer6.', 'conv_seg'),
    *('decode_head.', 'auxiliary_head.'),
)
FITS = 0.98  # of the tensors; DAST's added layer is not in any file
MOST = 0.5
UNUSED = 0.1

# Normalisations that published weights were trained with: channel order, mean, std.
RGB = ('RGB', (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
CAFFE = ('BGR', (104.0, 116.7, 122.7), (1.0, 1.0, 1.0))
# By a part of the weights' name; the first that fits counts.
NORMALISATIONS = (
    ('DeepLab_resnet_pretrained_init', CAFFE),
    ('resnet101COCO', CAFFE),
    ('vgg16-00b39a1b', CAFFE),
    ('_caffe', CAFFE),
    ('torchvision://', RGB),
    ('download.pytorch.org', RGB),
    ('mmcls://', RGB),
    ('open-mmlab://resnet', RGB),
    ('openmmlab', RGB),
    ('dinov2', RGB),
)
NEAR = 3.0  # grey values


def pretrained_parts(cfg: Config) -> Iterator[tuple[str, str, str]]:
    """Find the name, the checkpoint and the prefix of each part with pretrained weights."""
    segmentor = segmentor_of(cfg)
    if segmentor.get('pretrained'):
        yield 'backbone', segmentor['pretrained'], ''
    for name, part in segmentor.items():
        inits = part.get('init_cfg') if isinstance(part, Mapping) else None
        for init in [inits] if isinstance(inits, Mapping) else inits or ():
            if init and init.get('type') == 'Pretrained':
                yield name, init['checkpoint'], init.get('prefix') or ''


def check_weights(cfg: Config, model: nn.Module) -> Iterator[Finding]:
    """Compare files of pretrained weights with the network, tensor by tensor.

    Args:
        cfg: The config.
        model: Its model, on any device.
    """
    network = getattr(model, 'student', model)
    parts = list(pretrained_parts(cfg))
    if cfg.get('load_from'):
        yield from _check_file('load_from', cfg.load_from, '', network, 'load_from')
    if not parts and not cfg.get('load_from'):
        yield look(
            'weights',
            'the network starts from random weights',
            "write backbone.init_cfg=dict(type='Pretrained', checkpoint=...) unless it is so small "
            'that you mean it; the papers start from ImageNet or COCO',
        )
    for name, checkpoint, prefix in parts:
        part = getattr(network, name, None)
        if isinstance(part, nn.Module):
            yield from _check_file(name, checkpoint, prefix, part, f'{name}.init_cfg.checkpoint')


def _check_file(
    name: str, checkpoint: str, prefix: str, network: nn.Module, key: str
) -> Iterator[Finding]:
    place = resolve_checkpoint(checkpoint)
    if place is None:
        yield wrong('weights', f'{checkpoint!r} is no known key', f'correct {key}')
        return
    path = cached_file(place) if place.startswith(WEB) else place
    if not Path(path).is_file():
        if place.startswith(WEB):
            text = f'{place} is not on this machine yet'
            yield look('weights', text, f'training downloads it; or put it at {path}')
        else:
            yield wrong('weights', f'{key} names {path!r}, which does not exist', 'correct it')
        return
    try:
        found = weights_of(load_checkpoint(path))
    except ValueError as error:
        yield wrong('weights', str(error), f'correct {key}')
        return
    if checkpoint.startswith('mmcls://'):
        prefix = 'backbone'
    found = strip_prefix(found, f'{prefix.rstrip(".")}.') if prefix else dict(found)
    yield _compare(name, path, found, network, key)


def _compare(
    name: str, path: str, found: dict[str, Tensor], network: nn.Module, key: str
) -> Finding:
    adopt: Any = getattr(network, 'adopt_weights', None)  # of files with other names
    if adopt is not None:
        adopt(found)
    if key == 'load_from':
        found = {re.sub(r'^student\.', '', each): value for each, value in found.items()}
    own = {each: value.shape for each, value in network.state_dict().items()}
    own = {each: shape for each, shape in own.items() if not each.endswith('num_batches_tracked')}
    fits = [each for each, shape in own.items() if each in found and found[each].shape == shape]
    others = [each for each in found if each not in own and not each.startswith(CLASSIFIERS)]
    others = [each for each in others if not each.endswith('num_batches_tracked')]
    share, unused = len(fits) / max(1, len(own)), len(others) / max(1, len(found))
    digest = (digest_path(path) or '')[:12]
    text = (
        f'{Path(path).name} (sha256 {digest}) has {len(fits)} of {len(own)} tensors of {name}, '
        f'{share:.0%}'
    )
    if share < MOST:
        text += f'; its first name is {next(iter(found), "none")}, that of {name} {next(iter(own))}'
        return wrong('weights', text, f'correct {key}, or its `prefix`: most would stay random')
    if key != 'load_from' and unused > UNUSED:
        text += (
            f', but {len(others)} of its {len(found)} tensors, such as {others[0]}, have no place'
        )
        return wrong('weights', text, f'correct {name}.depth: the file is of a larger network')
    if share < FITS:
        first = next(each for each in own if each not in fits)
        return look('weights', text, f'{first} is not among them: it stays random')
    return ok('weights', text)


def normalisation_of(cfg: Config, domain: str) -> Mapping[str, Any]:
    """Give the config of the preprocessor of a domain."""
    joint = cfg.model.get('data_preprocessor') or {}
    own = joint.get(domain) or joint.get('source')
    if own is None:
        own = joint if joint.get('mean') is not None else None
    return own or segmentor_of(cfg).get('data_preprocessor') or {}


def check_normalisation(cfg: Config) -> Iterator[Finding]:
    """Compare mean, deviation and channel order with those that the weights were trained with."""
    known = [
        (checkpoint, expected)
        for _, checkpoint, _ in pretrained_parts(cfg)
        for part, expected in NORMALISATIONS
        if part in checkpoint
    ]
    for domain in ('source', 'target'):
        own = normalisation_of(cfg, domain)
        mean, std = (tuple(own.get(key) or ()) for key in ('mean', 'std'))
        order = 'RGB' if own.get('bgr_to_rgb') else 'BGR'
        text = f'{domain}: {order}, mean {list(mean)}, std {list(std)}'
        if len(mean) != 3:
            continue
        if known:
            checkpoint, (expects, means, deviations) = known[0]
        else:  # ImageNet's red is brighter than its blue
            checkpoint, means, deviations = '', mean, std
            falls = mean[0] > mean[2] + NEAR
            rises = mean[2] > mean[0] + NEAR
            expects = 'RGB' if falls else 'BGR' if rises else order
        remedy = f'write bgr_to_rgb={expects == "RGB"}'
        if checkpoint:
            remedy += f', mean={list(means)}, std={list(deviations)}, as for {checkpoint}'
        if max(mean) < 2 and min(std) > 100:
            text += ': images are scaled to [0, 1], and no mean is subtracted'
            yield look('normalisation', text, 'as the code of ProDA does; else write the usual one')
        elif expects != order:
            text += f', but this mean is of {expects} images'
            yield wrong('channel order', text, remedy)
        elif max(mean) < 2:
            text += ', which is of images in [0, 1]; those here are in [0, 255]'
            yield wrong('normalisation', text, f'write mean={list(RGB[1])}, std={list(RGB[2])}')
        elif _far(mean, means) or not _alike(std, deviations):
            yield wrong('normalisation', f'{text} is not that of the weights', remedy)
        else:
            yield ok('normalisation', text)


def _alike(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(0.5 < a / b < 2 for a, b in zip(one, other))


def _far(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return any(abs(a - b) > NEAR for a, b in zip(one, other))
