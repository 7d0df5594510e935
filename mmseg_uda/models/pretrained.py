"""Advice in the error for missing pretrained weights."""

from __future__ import annotations

from contextlib import contextmanager
from http.client import HTTPException
from typing import Any, Iterator

from mmengine.model import PretrainedInit
from torch import nn

from mmseg_uda.artifacts.checkpoint_sources import WEB, cached_file, resolve_checkpoint

__all__ = ['explain_missing_weights']


@contextmanager
def explain_missing_weights(
    model: nn.Module, config_names: dict[str, str] | None = None
) -> Iterator[None]:
    """Replace the error for pretrained weights that cannot be loaded by one line of advice.

    The context covers every ``init_cfg=dict(type='Pretrained', checkpoint=...)`` inside ``model``::

        with explain_missing_weights(self, {'student': 'segmentor'}):
            super().init_weights()

    Args:
        model: Module whose weights are initialised inside the ``with`` block.
        config_names: Config keys of submodules whose attribute has another name.

    Raises:
        FileNotFoundError: Weights cannot be loaded; the message names the config key, the
            checkpoint, its URL, and the path for a file that is downloaded by hand.
    """
    try:
        yield
    except (OSError, HTTPException) as error:
        failed = next(_uninitialised(model), None)
        if failed is None:
            raise
        name, checkpoint = failed
        key = '.'.join((config_names or {}).get(part, part) for part in name.split('.') if part)
        key = '.'.join(part for part in ('model', key, 'init_cfg.checkpoint') if part)
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise FileNotFoundError(
            f'{key} got {checkpoint!r}, which cannot be loaded ({reason}). ' + _advice(checkpoint)
        ) from error


def _advice(checkpoint: str) -> str:
    """Tell the user how to replace a checkpoint that cannot be loaded."""
    url = resolve_checkpoint(checkpoint)
    if url is None:
        return 'No such key is known: write another key, a URL or the path of a local file instead.'
    if not url.startswith(WEB):
        return 'Write the path of an existing file, a URL or None (random weights) instead.'
    # The loader of mmcls:// keys strips the classifier's prefix; a plain path does not.
    prefix = " and init_cfg.prefix='backbone'" if checkpoint.startswith('mmcls://') else ''
    return (
        f'Download {url} to {cached_file(url)} (nothing else has to change), or write the path '
        f'of a local copy{prefix} instead.'
    )


def _uninitialised(module: nn.Module, name: str = '') -> Iterator[tuple[str, str]]:
    """Find modules without their checkpoint, in MMEngine's order: children, then the module.

    Yields:
        The module's dotted name and the checkpoint.
    """
    for child_name, child in module.named_children():
        yield from _uninitialised(child, f'{name}.{child_name}' if name else child_name)
    if getattr(module, 'is_init', True):
        return
    init_cfg: Any = getattr(module, 'init_cfg', None) or []
    for cfg in [init_cfg] if isinstance(init_cfg, dict) else init_cfg:
        if cfg['type'] in ('Pretrained', PretrainedInit):
            yield name, cfg['checkpoint']
