"""Loaders, datasets and their transforms that must fit each other."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping

from mmcv.transforms import LoadAnnotations, RandomFlip
from mmseg.datasets import transforms as stock
from mmseg.registry import DATASETS, TRANSFORMS
from torch.utils.data import DataLoader

from mmseg_uda.config.places import Node
from mmseg_uda.config.problems import Problem
from mmseg_uda.config.signatures import advice, is_stock, signature_of
from mmseg_uda.structures import DOMAINS

__all__ = ['check_loaders']

# Transforms that clip pixels to 0..255 or take them for 8-bit numbers, and those that change the
# number of channels unless it is three; ours state `eight_bits` and `colour`.
EIGHT_BITS = (stock.AdjustGamma, stock.PhotoMetricDistortion)
COLOUR = (stock.PhotoMetricDistortion,)
# Transforms after which an image is no longer the whole image, the right way round.
PARTS = (stock.RandomCrop, stock.RandomRotate, stock.RandomRotFlip, stock.RandomMosaic, RandomFlip)


def check_loaders(nodes: list[Node]) -> Iterator[Problem]:
    """Find what loaders, datasets and transforms ask of each other, and do not get.

    Args:
        nodes: All dicts of a config from which something is built.
    """
    checks = (
        _check_target,
        _check_maps,
        _check_whole_images,
        _check_pixels,
        _check_numbers,
        _check_prefixes,
    )
    for check in checks:
        yield from check(nodes)


def _check_target(nodes: list[Node]) -> Iterator[Problem]:
    """Training must not see labels of the target, and a translation none at all."""
    translates = any(node.path == 'model' and 'generator' in node.cfg for node in nodes)
    for node in nodes:
        loader, _, rest = node.path.partition('.')
        domain = rest.split('.')[0]
        unlabelled = domain == 'target' or (domain == 'source' and translates)
        target = node.target
        if loader != 'train_dataloader' or not unlabelled or not inspect.isclass(target):
            continue
        if issubclass(target, LoadAnnotations):
            text = f'{node.name} loads labels of the {domain}; remove it'
            yield Problem(f'{node.path}.type', text)
        elif issubclass(target, stock.RandomCrop) and node.cfg.get('cat_max_ratio', 1.0) != 1:
            text = f'{node.name} looks at labels of the {domain}; write 1.0'
            yield Problem(f'{node.path}.cat_max_ratio', text)


def _check_maps(nodes: list[Node]) -> Iterator[Problem]:
    """Loaders that map labels by name and their datasets have the same classes."""
    for node in nodes:
        if not getattr(node.target, 'maps_labels', False):
            continue
        around = [each for each in nodes if node.path.startswith(f'{each.path}.pipeline.')]
        dataset = next((each for each in around[::-1] if DATASETS in each.place.registries), node)
        metainfo = dataset.cfg.get('metainfo') or getattr(dataset.target, 'METAINFO', None)
        expected = metainfo.get('classes') if isinstance(metainfo, Mapping) else None
        got = node.cfg.get('classes')
        if expected and got and list(expected) != list(got):
            text = f'expected the classes of its dataset, {list(expected)}, but got {list(got)}'
            yield Problem(f'{node.path}.classes', f'{node.name}: {text}; write the same')


def _check_whole_images(nodes: list[Node]) -> Iterator[Problem]:
    """Labels of whole images that stay as they are loaded meet no crop and no flip."""
    for node in nodes:
        if not getattr(node.target, 'of_whole_images', False):
            continue
        pipeline = node.path.rpartition('.')[0]
        for step in nodes:
            inside = step.path.startswith(f'{pipeline}.') and inspect.isclass(step.target)
            if inside and issubclass(step.target, PARTS):  # type: ignore[arg-type]
                text = f'{node.name} loads labels of whole images, which {step.name} does not move'
                yield Problem(f'{step.path}.type', f'{text}; remove it')


def _check_pixels(nodes: list[Node]) -> Iterator[Problem]:
    """Transforms meet images of as many bits and channels as they are for."""
    largest: dict[str, float] = {}  # mean by domain; '' for both
    channels = 3
    for node in nodes:
        if 'data_preprocessor' in node.path and isinstance(node.cfg.get('mean'), (list, tuple)):
            domain = next((each for each in DOMAINS if node.path.endswith(f'.{each}')), '')
            means = [x for x in node.cfg['mean'] if type(x) in (int, float)]
            largest[domain] = max([largest.get(domain, 0), *means])  # of a teacher's, too
        elif node.path in ('model.backbone', 'model.segmentor.backbone'):
            channels = node.cfg.get('in_channels', 3)
    of_source = largest.get('source', largest.get('', 0))
    of_target = largest.get('target', of_source)
    for node in nodes:
        target = node.target
        if node.place.registries != (TRANSFORMS,) or not inspect.isclass(target):
            continue
        mean = of_source if node.path.startswith('train_dataloader.source') else of_target
        if mean > 255 and (issubclass(target, EIGHT_BITS) or getattr(target, 'eight_bits', False)):
            text = f'expected images of 8 bits, but got data_preprocessor.mean={mean:g}; remove it'
            text += ', or scale images to 0..255 before it'
            yield Problem(f'{node.path}.type', f'{node.name}: {text}')
        if channels != 3 and (issubclass(target, COLOUR) or getattr(target, 'colour', False)):
            text = f'expected images of 3 channels, but got backbone.in_channels={channels}'
            yield Problem(f'{node.path}.type', f'{node.name}: {text}; remove it')


def _check_numbers(nodes: list[Node]) -> Iterator[Problem]:
    """Numbers of a domain are numbers; workers that persist or fetch in advance exist."""
    for node in nodes:
        for key, least in (('skip_broken', 0), ('ratio', 1), ('num_images', 1)):
            got = node.cfg.get(key, least) if key in node.place.aside else least
            if type(got) is not int or got < least:
                text = f'UDATrainLoop: expected an integer of at least {least}, but got {got!r}'
                yield Problem(f'{node.path}.{key}', text)
        if node.target is DataLoader and not node.cfg.get('num_workers'):
            for key in ('persistent_workers', 'prefetch_factor'):
                if node.cfg.get(key):
                    text = f'DataLoader.{key}: expected no value without workers, but got '
                    text += f'{node.cfg[key]!r}; write num_workers, or None'
                    yield Problem(f'{node.path}.{key}', text)


def _check_prefixes(nodes: list[Node]) -> Iterator[Problem]:
    """Datasets look for their directories by name."""
    for node in nodes:
        if node.place.registries != (DATASETS,) or not is_stock(node.target):
            continue
        for key in ('pipeline', 'data_prefix'):
            if node.cfg.get(key, ()) is None:
                text = f'{node.name}.{key}: expected a value, but got None; write it'
                yield Problem(f'{node.path}.{key}', text)
        known = signature_of(node.target).defaults.get('data_prefix') if node.target else None
        given = node.cfg.get('data_prefix')
        if not isinstance(known, Mapping) or not isinstance(given, Mapping):
            continue
        path = f'{node.path}.data_prefix'
        for key, value in given.items():
            if key not in known:
                text = f'{node.name}.data_prefix has no {key!r}; {advice(key, known)}'
                yield Problem(f'{path}.{key}', text)
            elif not isinstance(value, (str, type(None))):
                text = f'{node.name}.data_prefix: expected a directory, but got {value!r}'
                yield Problem(f'{path}.{key}', text)
        for key, needed in (('img_path', 'images'), ('seg_map_path', _labels_needed(node, nodes))):
            if needed and key in known and given.get(key) is None:
                text = f'{node.name}: expected the directory of the {needed}, but got none'
                yield Problem(f'{path}.{key}', f'{text}; write it')


def _labels_needed(dataset: Node, nodes: list[Node]) -> str | None:
    """Name the labels that a training set loads; other sets may be read by tools without labels."""
    steps = [each for each in nodes if each.path.startswith(f'{dataset.path}.pipeline.')]
    for step in steps if dataset.path.startswith('train_dataloader.') else ():
        if inspect.isclass(step.target) and issubclass(step.target, LoadAnnotations):
            return f'labels that {step.name} loads'
    return None
