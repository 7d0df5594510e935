"""Names of metrics that parts of a config wait for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

from mmengine.evaluator import Evaluator
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS

from mmseg_uda.config.places import Node
from mmseg_uda.config.problems import Problem
from mmseg_uda.config.signatures import advice

__all__ = ['check_metrics', 'iou_names']

# What mmseg's metric computes for each of its `iou_metrics`.
OF_IOU: dict[str, tuple[str, ...]] = {'mIoU': ('mIoU', 'mAcc'), 'mDice': ('mDice', 'mAcc')}
OF_IOU['mFscore'] = ('mFscore', 'mPrecision', 'mRecall')
WAITING = {'CheckpointHook': 'save_best', 'EarlyStoppingHook': 'monitor'}


def check_metrics(content: Mapping[str, Any], nodes: list[Node]) -> Iterator[Problem]:
    """Find hooks that wait for a metric which no validation computes.

    mmseg's ``IoUMetric`` is judged, and a class with a static method ``metric_names``, which takes
    the arguments of the constructor and returns names, or patterns such as ``'IoU_*'``.
    """
    names: set[str] = set()
    for node in nodes:
        if METRICS in node.place.registries and node.path.startswith('val_'):
            try:
                computed = _names_of(node)
            except Exception:  # of arguments that other checks refuse
                computed = None
            if computed is None:
                return  # whatever a metric of users computes
            names |= computed
    if not names:
        return
    loop = content.get('val_cfg')
    loop = loop if isinstance(loop, Mapping) else {}
    sets = {*(loop.get('selection') or ()), loop.get('mean')}
    for node in nodes:
        key = WAITING.get(node.name, '')
        waited = node.cfg.get(key) or []
        for name in map(str, waited if isinstance(waited, (list, tuple)) else [waited]):
            first, _, rest = name.partition('/')
            bare = rest if rest and first in sets else name
            if name != 'auto' and not any(fnmatch(bare, each) for each in names):
                hint = advice(name, names)
                yield Problem(f'{node.path}.{key}', f'no validation computes {name!r}; {hint}')


def _names_of(node: Node) -> set[str] | None:
    target: Any = node.target
    arguments, names = node.arguments, set()
    if target is IoUMetric:
        names = iou_names(arguments.get('iou_metrics', ['mIoU']))
    elif hasattr(target, 'metric_names'):
        names = target.metric_names(**arguments)
    elif target is Evaluator:
        return set()  # its metrics are nodes themselves
    else:
        return None
    prefix = arguments.get('prefix') or getattr(target, 'default_prefix', None)
    return {f'{prefix}/{name}' if prefix else name for name in names}


def iou_names(iou_metrics: str | Sequence[str]) -> set[str]:
    """Names of the metrics that mmseg's ``IoUMetric`` computes."""
    iou_metrics = [iou_metrics] if isinstance(iou_metrics, str) else iou_metrics
    return {'aAcc', *(name for key in iou_metrics for name in OF_IOU.get(key, ()))}
