"""Choice of a training's best checkpoint, and the labels that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ['SELECTED', 'SELECTIONS', 'save_best_of', 'selects_by_target_labels']

SELECTIONS = ('last', 'target_labels')
SELECTED = 'selected with target labels'


def save_best_of(cfg: Mapping[str, Any]) -> Any:
    """Return ``default_hooks.checkpoint.save_best``, or None."""
    return ((cfg.get('default_hooks') or {}).get('checkpoint') or {}).get('save_best')


def selects_by_target_labels(cfg: Mapping[str, Any]) -> bool:
    """Find out if the best checkpoint is chosen by a validation on labels of the target.

    Args:
        cfg: A config. One that trains on no target, or whose ``SelectionValLoop`` computes the
            metric on other sets, does not.

    Examples:
        >>> cfg = dict(
        ...     train_dataloader=dict(target=dict()),
        ...     default_hooks=dict(checkpoint=dict(save_best='mIoU')),
        ... )
        >>> selects_by_target_labels(cfg)
        True
        >>> cfg['default_hooks']['checkpoint']['save_best'] = 'translated/mIoU'
        >>> cfg['val_cfg'] = dict(type='SelectionValLoop', selection={}, mean='translated')
        >>> selects_by_target_labels(cfg)
        False
    """
    best = save_best_of(cfg)
    if not best or 'target' not in (cfg.get('train_dataloader') or {}):
        return False
    validation = cfg.get('val_cfg') or {}
    others = {*(validation.get('selection') or ()), validation.get('mean')}
    metrics = best if isinstance(best, (list, tuple)) else [best]
    return any(str(metric).split('/')[0] not in others for metric in metrics)
