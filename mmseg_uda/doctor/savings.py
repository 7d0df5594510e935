"""Changes of a config that save memory, and what each saves."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

from mmengine.config import Config
from mmseg.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_uda.config.building import build_model
from mmseg_uda.config.domains import domain_loaders
from mmseg_uda.config.method import segmentor_of
from mmseg_uda.config.places import find_class
from mmseg_uda.config.signatures import signature_of
from mmseg_uda.doctor.memory import Memory, model_to_plan, plan_memory
from mmseg_uda.structures import DOMAINS

__all__ = ['Saving', 'block_names', 'savings', 'steps_to_fit']

CHECKPOINTING = 'model.{}backbone.with_cp'


class Saving(NamedTuple):
    """A change of a config.

    Args:
        title: What it does, and what it costs.
        options: Config options by key.
    """

    title: str
    options: dict[str, Any]

    def apply(self, cfg: Config) -> Config:
        """Give the changed config."""
        changed = copy.deepcopy(cfg)
        changed.merge_from_dict(self.options)
        return changed

    def __str__(self) -> str:
        return ' '.join(f'{key}={value}' for key, value in self.options.items())


def savings(cfg: Config) -> Iterator[Saving]:
    """List the changes that a config leaves to make, the cheapest ones first."""
    if cfg.model.get('backward') == 'joint':
        title = 'backward pass after each loss; same gradients, same time'
        yield Saving(title, {'model.backward': 'sequential'})
    wrapper = cfg.optim_wrapper
    if not wrapper.get('dtype') and wrapper.get('type') != 'AmpOptimWrapper':
        options = {'optim_wrapper.dtype': 'bfloat16'}
        if 'optimizers' not in wrapper:
            options['optim_wrapper.type'] = 'AmpOptimWrapper'
        yield Saving('passes in bfloat16; faster on a GPU, rounds activations', options)
    blocks = _checkpointing(cfg)
    if blocks:
        title = 'activations of the backbone are computed again; about a third slower'
        yield Saving(title, blocks)
    loaders = [each for domain in DOMAINS for each in domain_loaders(cfg.train_dataloader, domain)]
    sizes = {place: loader.get('batch_size', 1) for place, loader in loaders}
    parts = 1
    while all(size % (2 * parts) == 0 for size in sizes.values()):
        parts *= 2
        options = {f'{place}.batch_size': size // parts for place, size in sizes.items()}
        counts = wrapper.get('accumulative_counts', 1) * parts
        options['optim_wrapper.accumulative_counts'] = counts
        title = f'1/{parts} of the batch, {counts} times for each step; slower, and batch norm'
        yield Saving(f'{title} sees fewer images', options)


def _checkpointing(cfg: Config) -> dict[str, Any]:
    """Options that let the backbone compute its activations again in the backward pass."""
    backbone = segmentor_of(cfg).get('backbone') or {}
    if cfg.get('activation_checkpointing') or backbone.get('with_cp'):
        return {}
    kind = find_class(backbone.get('type'), (MODELS,))
    if kind is not None and 'with_cp' in signature_of(kind).hints:
        inside = 'segmentor.' if 'segmentor' in cfg.model else ''
        return {CHECKPOINTING.format(inside): True}
    blocks = block_names(build_model(dict(model=model_to_plan(cfg))))
    return {'activation_checkpointing': blocks} if blocks else {}


def block_names(model: Any) -> list[str]:
    """Names of the student's longest row of equal blocks without batch norm.

    A batch norm that runs twice would move its statistics twice.
    """
    prefix, network = ('student.', model.student) if hasattr(model, 'student') else ('', model)
    longest: list[str] = []
    for name, module in network.backbone.named_modules():
        if not isinstance(module, (nn.ModuleList, nn.Sequential)) or len(module) <= len(longest):
            continue
        alike = len({type(each) for each in module}) == 1
        if alike and not any(isinstance(each, _BatchNorm) for each in module.modules()):
            longest = [f'{prefix}backbone.{name}.{i}' for i in range(len(module))]
    return longest


def steps_to_fit(
    cfg: Config, there: float, crop: tuple[int, int] | None = None
) -> Iterator[tuple[Saving | None, Memory]]:
    """Apply savings one after the other until a training fits.

    Args:
        cfg: The config.
        there: Bytes of the GPU.
        crop: As for :func:`plan_memory`.

    Yields:
        The config as it is (None), then each change and the memory with it and those before.
    """
    memory = plan_memory(cfg, crop)
    yield None, memory
    for saving in savings(cfg):
        if memory.fits(there):
            return
        cfg = saving.apply(cfg)
        memory = plan_memory(cfg, crop)
        yield saving, memory
