"""Configs of the bare segmentor of a method, for environments with stock mmseg alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATASETS, LOG_PROCESSORS, METRICS, MODELS, TRANSFORMS

from mmseg_uda.config.datasets import map_datasets
from mmseg_uda.config.required import require_model
from mmseg_uda.datasets import StreetDataset
from mmseg_uda.datasets.class_map import LABEL_VALUES, name_value
from mmseg_uda.datasets.transforms.mapped_labels import find_class_map

__all__ = ['is_ours', 'own_classes', 'plain_config', 'unwrapped_prefix']

# Beginnings of the names that testing needs in a training config; the rest is about training.
KEPT = ('data_root', 'env_cfg', 'log_level', 'test_', 'tta_', 'val_', 'vis')

# Default hooks that stock configs have; one of this package or of a user stays behind.
STOCK_HOOKS = frozenset(
    {'IterTimerHook', 'LoggerHook', 'ParamSchedulerHook', 'CheckpointHook'}
    | {'DistSamplerSeedHook', 'SegVisualizationHook'}
)
STOCK = ('mmcv', 'mmengine', 'mmseg')
WRAPPER = 'RegularizedHead'  # only training runs what it adds to the head inside
DATASET_KEYS = (
    *('ann_file', 'data_prefix', 'data_root', 'img_suffix', 'indices', 'metainfo', 'pipeline'),
    *('reduce_zero_label', 'seg_map_suffix', 'test_mode'),
)


def plain_config(cfg: Config, notes: list[str] | None = None) -> Config:
    """Make a config of the bare segmentor, on the test split of the method's config.

    Auxiliary heads and losses, which only training runs, are left out or replaced. So are metrics,
    datasets and transforms of this package; networks stay, see :func:`own_classes`.

    Args:
        cfg: Config of a method.
        notes: A list to which sentences about what a user should know are added.

    Raises:
        ValueError: The config is not one of a method of this package, or its segmentor is an
            ensemble.
    """
    notes = [] if notes is None else notes
    require_model('export_segmentor', cfg)
    content = cfg.to_dict()
    if 'segmentor' not in content['model']:
        raise ValueError(
            f"export_segmentor: the config's model {content['model'].get('type')!r} has no key "
            '`segmentor`; pass the config of a method of mmseg_uda'
        )
    if _name(content['model']['segmentor']) == 'EnsembleSegmentor':
        raise ValueError(
            'export_segmentor: expected one network, but got an EnsembleSegmentor, whose networks '
            'have a checkpoint each; export each with the config of its training'
        )
    model = _plain_model(content['model'])
    resize = content['model'].get('test_resize', 'twice')
    if resize != 'twice':
        notes.append(
            f'The method resizes its scores once (test_resize={resize!r}), stock mmseg twice: '
            'about 0.3 % of the pixels differ.'
        )
    kept = {key: value for key, value in content.items() if key.startswith(KEPT)}
    processor = content.get('log_processor') or {}
    plain = {
        'default_scope': 'mmseg',
        'data_preprocessor': model['data_preprocessor'],  # which tools of mmseg read
        'model': model,
        **_plain_tests(kept, notes),
        'log_processor': {} if is_ours(processor, LOG_PROCESSORS) else processor,
    }
    plain['log_processor'].setdefault('by_epoch', False)
    hooks = {'visualization': {'type': 'SegVisualizationHook'}, **content.get('default_hooks', {})}
    plain['default_hooks'] = {
        key: hook for key, hook in hooks.items() if hook and hook.get('type') in STOCK_HOOKS
    }
    if any(cls.__name__ in ('TimmFeatures', 'TIMMBackbone') for cls in _classes(model)):
        notes.append('The network is one of timm, which must be installed: pip install timm.')
    imports = (content.get('custom_imports') or {}).get('imports') or []
    others = [name for name in imports if name.split('.')[0] != 'mmseg_uda']
    if others and any(not is_stock(cls) for cls in _classes(model) if not is_ours(cls)):
        notes.append(f'The network has classes of {", ".join(others)}, which must be importable.')
        plain['custom_imports'] = {'imports': others, 'allow_failed_imports': False}
    return Config(plain)


def own_classes(plain: Config) -> list[type]:
    """Find the classes of this package that a plain config's network has."""
    return [cls for cls in _classes(plain.model.to_dict()) if is_ours(cls)]


def unwrapped_prefix(cfg: Config) -> tuple[str, str]:
    """Find the prefix of a head's weights that :func:`plain_config` shortens, and the new one."""
    head, prefix = cfg.model.segmentor.decode_head, 'decode_head.'
    while _name(head) == WRAPPER:
        head, prefix = head['head'], f'{prefix}classifier.'
    return prefix, 'decode_head.'


def is_ours(part: Any, registry: Registry = MODELS) -> bool:
    """Tell whether a class, or that of a config, is one of this package."""
    return _package(part, registry) == 'mmseg_uda'


def is_stock(part: Any, registry: Registry = MODELS) -> bool:
    """Tell whether a class, or that of a config, is one of the toolboxes or of PyTorch."""
    return _package(part, registry) in (*STOCK, 'torch')


def _package(part: Any, registry: Registry) -> str:
    kind = part.get('type') if isinstance(part, Mapping) else part
    cls = registry.get(kind) if isinstance(kind, str) else kind
    return str(getattr(cls, '__module__', '')).split('.')[0]


def _name(part: Any) -> str:
    kind = part.get('type') if isinstance(part, Mapping) else None
    return kind.split('.')[-1] if isinstance(kind, str) else getattr(kind, '__name__', '')


def _classes(node: Any) -> Iterator[type]:
    """Registered classes of networks that a config names, its parts' too."""
    if isinstance(node, Mapping):
        cls = MODELS.get(node['type']) if isinstance(node.get('type'), str) else None
        if isinstance(cls, type):
            yield cls
    children = node.values() if isinstance(node, Mapping) else node
    for child in children if isinstance(node, (Mapping, list, tuple)) else ():
        yield from _classes(child)


# --------------------------------------------------------------------------------- the network


def _plain_model(method: dict[str, Any]) -> dict[str, Any]:
    model, joint = method['segmentor'], method.get('data_preprocessor')
    model.pop('auxiliary_head', None)
    while _name(model.get('decode_head')) == WRAPPER:
        model['decode_head'] = model['decode_head']['head']
    if joint:  # the method sees target images through it; else through the segmentor's own
        model['data_preprocessor'] = joint.get('target') or joint['source']
    if model['data_preprocessor'].get('size') is None:  # stock benchmark.py pads, as in training
        model['data_preprocessor'].setdefault('size_divisor', 1)
    plain: dict[str, Any] = _plain_part(model)
    return plain


def _plain_part(node: Any) -> Any:
    """Name our classes without a scope, and replace losses that stock mmseg does not have."""
    if isinstance(node, (list, tuple)):
        return type(node)(map(_plain_part, node))
    if not isinstance(node, Mapping):
        return node
    plain = {key: _plain_part(value) for key, value in node.items() if key != '_scope_'}
    if is_ours(plain):
        plain['type'] = _name(plain)
    losses = plain.get('loss_decode')
    for loss in losses if isinstance(losses, (list, tuple)) else [losses]:
        if isinstance(loss, Mapping) and not is_stock(loss):
            plain['loss_decode'] = {'type': 'CrossEntropyLoss', 'avg_non_ignore': True}
    return plain


# ----------------------------------------------------------------------------- data and metrics


def _plain_tests(content: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Replace what is ours in the datasets, transforms, loops and metrics."""
    plain = dict(content)
    for key in ('test_pipeline', 'tta_pipeline'):
        if plain.get(key):
            plain[key] = _plain_steps(plain[key], [])
    if is_ours(plain.get('tta_model')):
        plain = {key: value for key, value in plain.items() if not key.startswith('tta_')}
    found: list[str] = []
    for split in ('val', 'test'):
        loader = plain.get(f'{split}_dataloader')
        if loader is None:  # no labels at all, or no images
            plain = {key: each for key, each in plain.items() if not key.startswith(f'{split}_')}
            if content.get(f'{split}_pipeline'):
                plain[f'{split}_pipeline'] = _plain_steps(content[f'{split}_pipeline'], [])
            continue
        labelled: list[bool] = []

        def change(dataset: dict[str, Any], labelled: list[bool] = labelled) -> dict[str, Any]:
            changed = _plain_dataset(dataset, found)
            labelled.append(_has_labels(changed.get('pipeline') or ()))
            return changed

        plain[f'{split}_dataloader'] = {
            **loader,
            'dataset': map_datasets(loader['dataset'], change),
        }
        metrics = plain.get(f'{split}_evaluator')
        plain[f'{split}_evaluator'] = _plain_metrics(metrics, all(labelled), found)
        plain[f'{split}_cfg'] = {'type': f'{split.title()}Loop'}
    notes.extend(dict.fromkeys(found))
    return plain


def _plain_dataset(dataset: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    plain = {**dataset, 'pipeline': _plain_steps(dataset.get('pipeline') or [], notes)}
    if not is_ours(dataset, DATASETS):
        return plain
    cls = DATASETS.get(dataset['type']) if isinstance(dataset['type'], str) else dataset['type']
    plain = {key: value for key, value in plain.items() if key in DATASET_KEYS}
    plain = {'type': 'BaseSegDataset', 'metainfo': dict(getattr(cls, 'METAINFO', {})), **plain}
    if issubclass(cls, StreetDataset):
        plain.setdefault('img_suffix', '.png')
        plain.setdefault('seg_map_suffix', '_labelTrainIds.png')
        return plain
    notes.append(
        f'The test images are of a {cls.__name__}, which stock mmseg lacks: write their '
        'directory and suffix into test_dataloader.dataset, data_prefix.img_path and img_suffix.'
    )
    plain['data_prefix'] = {'img_path': 'images', 'seg_map_path': 'labels'}
    if mapped := find_class_map(dataset):
        # tools/predict.py writes these values; stock mmseg does not read them.
        values = [[name_value(key, mapped.colours), name] for key, name in mapped.names.items()]
        plain['metainfo'] = {**plain['metainfo'], LABEL_VALUES: values}
    return plain


def _plain_steps(steps: Any, notes: list[str]) -> Any:
    """Leave out transforms of this package, in lists of lists too."""
    kept = []
    for step in steps:
        if isinstance(step, (list, tuple)):
            inner = _plain_steps(step, notes)
            kept += [inner] if inner else []
        elif _name(step) == 'PackUDAInputs':
            kept.append({**step, 'type': 'PackSegInputs'})
        elif is_ours(step, TRANSFORMS):
            loads = _has_labels([step])
            notes.append(
                f'The test pipeline has {_name(step)}, which stock mmseg lacks: it is left out'
                + (', so that no labels are loaded and the test has no metrics.' if loads else '.')
            )
        elif isinstance(step, Mapping) and 'transforms' in step:
            kept.append({**step, 'transforms': _plain_steps(step['transforms'], notes)})
        else:
            kept.append(step)
    return kept


def _has_labels(steps: Any) -> bool:
    classes = [TRANSFORMS.get(step['type']) for step in steps if isinstance(step['type'], str)]
    return any(isinstance(cls, type) and issubclass(cls, LoadAnnotations) for cls in classes)


def _plain_metrics(metrics: Any, labelled: bool, notes: list[str]) -> Any:
    several = metrics if isinstance(metrics, (list, tuple)) else [metrics]
    kept = [each for each in several if each and not is_ours(each, METRICS)]
    if not labelled:
        return []
    if len(kept) == len(several):
        return metrics
    dropped = ', '.join(_name(each) for each in several if each not in kept)
    notes.append(f'{dropped} is replaced by IoUMetric: the mean is over all classes.')
    return kept or {'type': 'IoUMetric', 'iou_metrics': ['mIoU']}
