"""Dataset configs: one walker through every wrapper, and pipelines without labels or randomness.

A step of a pipeline is judged by its class, which the registry finds, so that
``dict(type='LoadAnnotations')``, ``dict(type='mmseg.LoadAnnotations')`` and
``dict(type=LoadAnnotations)`` are the same. Classes of MMCV and MMSegmentation, and their
subclasses, are known; any other transform states two class attributes::

    class MyTransform(BaseTransform):
        loads_labels = False  # True: reads ground truth, pseudo labels or image-level labels
        is_random = True  # True: draws random numbers
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from mmcv.transforms import (
    BaseTransform,
    Compose,
    KeyMapper,
    LoadAnnotations,
    MultiScaleFlipAug,
    RandomApply,
    RandomChoice,
    TestTimeAug,
)
from mmseg.datasets import transforms as stock
from mmseg.registry import TRANSFORMS

__all__ = [
    'LABEL_LOADERS',
    'is_random',
    'iter_datasets',
    'loads_labels',
    'map_datasets',
    'only_steps',
    'steps_of_class',
    'transform_class',
    'unlabelled_images',
    'without_labels',
    'without_randomness',
]

LABEL_LOADERS = (LoadAnnotations, stock.LoadBiomedicalAnnotation, stock.LoadDepthAnnotation)
"""Stock transforms that load ground truth."""

# Stock transforms that draw random numbers but are not marked by MMCV's `cache_randomness`.
_RANDOM = (
    stock.Albu,
    stock.BioMedical3DRandomCrop,
    stock.BioMedical3DRandomFlip,
    stock.BioMedicalGaussianBlur,
    stock.BioMedicalGaussianNoise,
    stock.PhotoMetricDistortion,
    stock.RandomDepthMix,
    stock.RandomRotFlip,
)
_WRAPPERS = (Compose, KeyMapper, MultiScaleFlipAug, RandomApply, RandomChoice, TestTimeAug)
_STOCK = ('mmcv', 'mmseg')

Config = Mapping[str, Any]
Change = Callable[[dict[str, Any]], Config]


def iter_datasets(cfg: Config, key: str = 'dataset') -> Iterator[tuple[str, Config]]:
    """Find the innermost datasets of a dataset's config.

    Args:
        cfg: Config of a dataset, or of a wrapper with ``dataset`` or ``datasets`` inside.
        key: Its place in the whole config.

    Yields:
        Place and config of each dataset that wraps no other.

    Example:
        >>> wrapped = dict(type='RepeatDataset', dataset=dict(datasets=[dict(a=1), dict(a=2)]))
        >>> list(iter_datasets(wrapped))
        [('dataset.dataset.datasets[0]', {'a': 1}), ('dataset.dataset.datasets[1]', {'a': 2})]
    """
    inner = [(f'{key}.datasets[{i}]', each) for i, each in enumerate(cfg.get('datasets') or ())]
    if isinstance(cfg.get('dataset'), Mapping):
        inner.append((f'{key}.dataset', cfg['dataset']))
    if not inner:
        yield key, cfg  # it wraps no other
    for place, each in inner:
        yield from iter_datasets(each, place)


def map_datasets(cfg: Config, change: Change, unwrap: bool = False) -> dict[str, Any]:
    """Change the innermost datasets of a dataset's config.

    Args:
        cfg: Config of a dataset, or of a wrapper with ``dataset`` or ``datasets`` inside.
        change: Gets a copy of each innermost config and returns what replaces it.
        unwrap: Leave out wrappers of one dataset: they repeat, balance or mix its samples for
            training.

    Returns:
        A changed copy; ``cfg`` stays as it is.

    Example:
        >>> wrapped = dict(type='RepeatDataset', times=2, dataset=dict(type='GTADataset'))
        >>> map_datasets(wrapped, lambda each: {**each, 'indices': 5}, unwrap=True)
        {'type': 'GTADataset', 'indices': 5}
    """
    inner, several = cfg.get('dataset'), cfg.get('datasets')
    if not isinstance(inner, Mapping) and not several:
        return dict(change(copy.deepcopy(dict(cfg))))
    changed = dict(cfg)
    if several:
        changed['datasets'] = [map_datasets(each, change, unwrap) for each in several]
    if isinstance(inner, Mapping):
        changed['dataset'] = map_datasets(inner, change, unwrap)
        if unwrap:  # the wrapper's own arguments concern training alone
            return dict(changed['dataset'])
    return changed


def unlabelled_images(cfg: Config, pipeline: Sequence[Any] | None = None) -> dict[str, Any]:
    """Config of a training set's images: each once, in order, without labels.

    Args:
        cfg: Config of a dataset, or of a wrapper.
        pipeline: Replaces the pipeline of each dataset. Default: keep it. Either way label loaders
            are left out, as by :func:`without_labels`.

    Raises:
        ValueError: If a step is not known to load labels or not.
    """

    def change(images: dict[str, Any]) -> dict[str, Any]:
        # Without their place labels cannot be loaded by mistake.
        if 'data_prefix' in images:
            images['data_prefix'].pop('seg_map_path', None)
        steps = images.get('pipeline') or () if pipeline is None else pipeline
        return {**images, 'pipeline': without_labels(steps), 'test_mode': True}

    return map_datasets(cfg, change, unwrap=True)


def transform_class(step: Any) -> type:
    """Class of a step of a pipeline.

    Args:
        step: Config of a transform, or a transform.

    Raises:
        ValueError: If the registry does not know it.
    """
    kind = step.get('type') if isinstance(step, Mapping) else type(step)
    found = TRANSFORMS.get(kind) if isinstance(kind, str) else kind
    if not isinstance(found, type):
        raise ValueError(
            f'pipeline: expected the name of a registered transform, but got type={kind!r}; '
            'correct it, or name its module in custom_imports'
        )
    return found


def loads_labels(step: Any) -> bool:
    """Tell whether a step of a pipeline loads labels of any kind.

    Raises:
        ValueError: If its class is not known to do so or not.

    Example:
        >>> loads_labels(dict(type='mmseg.LoadAnnotations')), loads_labels(dict(type='Resize'))
        (True, False)
    """
    return _stated(step, 'loads_labels', lambda cls: issubclass(cls, LABEL_LOADERS))


def is_random(step: Any) -> bool:
    """Tell whether a step of a pipeline draws random numbers.

    Raises:
        ValueError: If its class is not known to do so or not.

    Example:
        >>> is_random(dict(type='PhotoMetricDistortion')), is_random(dict(type='Resize'))
        (True, False)
    """

    return _stated(
        step,
        'is_random',
        # MMCV lists here the methods that it was told to be random.
        lambda cls: issubclass(cls, _RANDOM) or hasattr(cls, '_methods_with_randomness'),
    )


def without_labels(steps: Sequence[Any]) -> list[Any]:
    """Leave out the steps of a pipeline that load labels, inside wrappers too.

    Crops are not chosen by labels then: ``RandomCrop`` gets ``cat_max_ratio=1``.

    Raises:
        ValueError: If a step is not known to load labels or not.
    """
    return _without(steps, loads_labels)


def without_randomness(steps: Sequence[Any]) -> list[Any]:
    """Leave out the steps of a pipeline that draw random numbers, inside wrappers too.

    Raises:
        ValueError: If a step is not known to be random or not.

    Example:
        >>> flip = dict(type='RandomFlip', prob=0.5)
        >>> without_randomness([dict(type='Compose', transforms=[flip]), dict(type='Pad')])
        [{'type': 'Pad'}]
    """
    return _without(steps, is_random)


def only_steps(steps: Sequence[Any], *classes: type) -> list[Any]:
    """Keep the steps of a pipeline that are of one of the classes or their subclasses."""
    return [step for step in steps if issubclass(transform_class(step), classes)]


def steps_of_class(cfg: Config, cls: type) -> Iterator[Any]:
    """Find the steps of a class in the pipelines of all datasets of a config."""
    for _, dataset in iter_datasets(cfg):
        yield from only_steps(dataset.get('pipeline') or (), cls)


def _stated(step: Any, attribute: str, of_stock: Callable[[type], bool]) -> bool:
    """Answer by a class attribute, or by what is known of stock classes."""
    cls = transform_class(step)
    stated = getattr(cls, attribute, None)
    if stated is not None:
        return bool(stated)
    # Every transform derives from BaseTransform, so that this base tells nothing.
    bases = [base for base in cls.__mro__ if base is not BaseTransform]
    if not any(base.__module__.partition('.')[0] in _STOCK for base in bases):
        raise ValueError(
            f'pipeline: expected transforms that state `{attribute}`, but got {cls.__name__}; '
            f'write `{attribute} = True` or `{attribute} = False` in class {cls.__name__}'
        )
    return of_stock(cls)


def _without(steps: Sequence[Any], unwanted: Callable[[Any], bool]) -> list[Any]:
    kept = []
    for step in steps:
        if unwanted(step):
            continue
        if isinstance(step, Mapping) and issubclass(transform_class(step), _WRAPPERS):
            inner = _inside(step, unwanted)
            if not inner:
                continue
            step = {**step, 'transforms': inner}
        elif unwanted is loads_labels and _crops_by_labels(step):
            step = {**step, 'cat_max_ratio': 1.0}
        kept.append(step)
    return kept


def _crops_by_labels(step: Any) -> bool:
    """Tell whether a step is a crop that reads the labels in order to choose its place."""
    return isinstance(step, Mapping) and (
        issubclass(transform_class(step), stock.RandomCrop) and step.get('cat_max_ratio', 1) < 1
    )


def _inside(step: Config, unwanted: Callable[[Any], bool]) -> list[Any]:
    """Transforms of a wrapper without the unwanted ones."""
    cls, inner = transform_class(step), step['transforms']
    # One list per branch (RandomChoice), per factor (TestTimeAug) or per transform.
    parts = [
        _without(each if isinstance(each, Sequence) else [each], unwanted)
        for each in ([inner] if isinstance(inner, Mapping) else inner)
    ]
    if not any(parts):
        return []
    if issubclass(cls, RandomChoice):
        return parts  # an empty choice stays one, as `prob` counts it
    if issubclass(cls, TestTimeAug):
        return [part for part in parts if part]  # an empty factor would leave no view at all
    return list(chain(*parts))
