"""Memory of a training step, by the method's own losses on fake tensors."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.runner import turn_on_activation_checkpointing
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.config.building import build_model, no_trace
from mmseg_uda.config.domains import domain_loaders
from mmseg_uda.config.method import num_classes_of
from mmseg_uda.datasets.noise import NoiseDataset
from mmseg_uda.doctor.autocast import gpu_autocast
from mmseg_uda.doctor.fake import SavedBytes, fake_tensors
from mmseg_uda.engine.noise import noise_dataset, without_files
from mmseg_uda.models.stepwise import StepwiseModel
from mmseg_uda.structures import DOMAINS, DomainBatch

__all__ = ['GIB', 'Memory', 'measure_saved', 'model_to_plan', 'plan_memory', 'train_step']

GIB = 2**30
USABLE = 0.9  # share of a GPU's memory; the allocator and the driver take the rest


class Memory(NamedTuple):
    """Bytes of a training step at its peak.

    Args:
        weights: Parameters that are trained.
        frozen: All others, such as a teacher's, and buffers.
        gradients: Gradients of what is trained.
        optimizer: State of the optimizers.
        activations: All other tensors at the peak: what graphs hold, and what is computed from it.
        saved: Of these, the most that graphs hold for their backward passes at once.
    """

    weights: int
    frozen: int
    gradients: int
    optimizer: int
    activations: int
    saved: int

    @property
    def total(self) -> int:
        """All of it; ``saved`` is a part of the activations."""
        return sum(self[:-1])

    def fits(self, there: float) -> bool:
        """Tell whether it fits in that many bytes, of which an allocator wastes a tenth."""
        return self.total <= USABLE * there

    def __str__(self) -> str:
        parts = {key: value for key, value in self._asdict().items() if key != 'saved'}
        listed = ', '.join(f'{key} {value / GIB:.2f}' for key, value in parts.items())
        return f'{self.total / GIB:.2f} GiB ({listed})'


def plan_memory(cfg: Config, crop: tuple[int, int] | None = None) -> Memory:
    """Compute the memory of a config's training step; nothing is allocated, no file is read.

    The method's losses run on tensors without values, with backward passes, autocast and
    checkpointing as the config has them, then its optimizers step. What libraries use for
    workspaces, what an allocator wastes, and the context of a GPU come on top.

    Args:
        cfg: The config.
        crop: Height and width of the images; default: as the pipelines make them.

    Raises:
        ValueError: If the config has no training set, or its pipelines do not say a size.
    """
    built = build_model(dict(model=model_to_plan(cfg)))
    with no_trace(), fake_tensors(num_classes_of(cfg)) as live:
        # Fake tensors take the place of those on the meta device.
        model = _prepare(built.to_empty(device='cpu'), cfg)
        tensors = [*model.parameters(), *model.buffers()]
        wrapper = build_optim_wrapper(model, _plain(cfg.optim_wrapper))
        before = live.now
        data = _batches(model, cfg, crop)
        live.peak = live.now
        with SavedBytes(tensors) as saved:
            train_step(model, data, _autocast(cfg.optim_wrapper))
        peak = live.peak - before
        trained = [each for each in model.parameters() if each.grad is not None]
        optimizers = getattr(wrapper, 'optim_wrappers', None) or {'': wrapper}
        for each in optimizers.values():
            each.optimizer.step()
        state = sum(
            _bytes(value)
            for each in optimizers.values()
            for states in each.optimizer.state.values()
            for value in states.values()
            if isinstance(value, Tensor)
        )
    weights = sum(_bytes(each) for each in trained)
    return Memory(
        weights=weights,
        frozen=sum(map(_bytes, tensors)) - weights,
        gradients=weights,
        optimizer=state,
        activations=peak - weights,
        saved=saved.peak,
    )


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def train_step(model: Any, data: Mapping[str, Any], context: Any = contextlib.nullcontext) -> None:
    """Run the forward and backward passes of one training step.

    Args:
        model: A method, or a stock segmentor.
        data: Images (N, C, H, W) and samples by domain, as preprocessors give them.
        context: Makes the context of the forward passes, such as autocast.
    """
    if isinstance(model, StepwiseModel):
        steps: Iterator[Any] = model._steps(DomainBatch.collect(*_by_key(data)))
        sequential = model.backward_mode == 'sequential'
    else:
        inputs, samples = _by_key(data)
        steps = iter([model.loss(inputs['source'], samples['source'])])
        sequential = True
    waiting: list[Tensor] = []
    while True:
        with context():
            losses = next(steps, None)
        if losses is None:
            break
        waiting.append(model.parse_losses(losses)[0])
        del losses
        if sequential:
            torch.autograd.backward(waiting)
            waiting.clear()
    if waiting:
        torch.autograd.backward(waiting)


def _by_key(data: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    return {k: v['inputs'] for k, v in data.items()}, {k: v['samples'] for k, v in data.items()}


def _prepare(model: Any, cfg: Config) -> Any:
    """Make a model as a training has it in its first iterations."""
    model.train()
    if hasattr(model, 'teacher'):
        model.iteration = 0  # as EMATeacherHook says
    if cfg.get('activation_checkpointing'):
        turn_on_activation_checkpointing(model, cfg.activation_checkpointing)
    return model


def measure_saved(cfg: Config, crop: tuple[int, int] | None = None) -> int:
    """Measure the most bytes that graphs hold at once, in a training step on this CPU.

    Args:
        cfg: The config.
        crop: As for :func:`plan_memory`.
    """
    with no_trace():
        model = _prepare(MODELS.build(model_to_plan(cfg)), cfg)
        data = _batches(model, cfg, crop)
        with SavedBytes([*model.parameters(), *model.buffers()]) as saved:
            train_step(model, data, _autocast(cfg.optim_wrapper))
    return saved.peak


def _batches(model: Any, cfg: Config, crop: tuple[int, int] | None) -> dict[str, Any]:
    both = isinstance(model, StepwiseModel)
    domains = getattr(model, 'domains', DOMAINS if both else DOMAINS[:1])
    data = {domain: _batch(cfg, domain, crop) for domain in domains}
    _read_prior(model, data)
    return data


def _batch(cfg: Config, domain: str, crop: tuple[int, int] | None) -> dict[str, Any]:
    """A domain's batch of noise, as the preprocessor gives it."""
    kwargs = noise_dataset(cfg, domain, crop)
    kwargs.pop('type')
    dataset = NoiseDataset(**kwargs)
    _, loader = domain_loaders(cfg.train_dataloader, domain)[0]
    samples = [dataset[index] for index in range(loader.get('batch_size', 1))]
    for index, each in enumerate(samples):
        each['data_samples'].set_metainfo(dict(seed=index))
    images = torch.stack([each['inputs'] for each in samples]).float() / 255
    return dict(inputs=images, samples=[each['data_samples'] for each in samples])


def model_to_plan(cfg: Config) -> Any:
    """Config of a model from random weights; a mixer keeps the name of its prior."""
    return without_files(cfg.model, but=('prior',))


def _read_prior(model: Any, data: Mapping[str, Any]) -> None:
    """Give a mixer its spatial prior, whose file need not be there."""
    mixer: Any = getattr(model, 'mixer', None)
    if getattr(mixer, 'prior', None):
        size = data['target']['samples'][0].prior_positions.prior_shape
        mixer.prior_values = torch.ones(model.num_classes, *size)


def _plain(wrapper: Config) -> Any:
    """The optimizers' config without a gradient scaler, which needs a GPU."""
    cfg = copy.deepcopy(dict(wrapper))
    if cfg.get('type') == 'AmpOptimWrapper':
        cfg['type'] = 'OptimWrapper'
        for key in ('loss_scale', 'use_fsdp'):
            cfg.pop(key, None)
    cfg.pop('dtype', None)
    return cfg


def _autocast(wrapper: Mapping[str, Any]) -> Any:
    """The context of forward passes."""
    amp = wrapper.get('type') == 'AmpOptimWrapper'
    dtype = wrapper.get('dtype') or ('float16' if amp else None)
    if dtype is None:
        return contextlib.nullcontext
    return lambda: gpu_autocast(getattr(torch, str(dtype)))
