"""Batch-norm statistics of given images: the core of AdaBN.

Li et al., "Revisiting Batch Normalization for Practical Domain Adaptation",
`arXiv:1603.04779 <https://arxiv.org/abs/1603.04779>`_, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MethodType
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from mmseg.models import BaseSegmentor
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_uda.engine.observe import preserve_state, unwrap_model

__all__ = ['batch_norm_layers', 'reestimate_batch_norm']


def batch_norm_layers(model: nn.Module) -> list[tuple[str, Any]]:
    """Name and layer of every batch norm that keeps running statistics.

    Raises:
        ValueError: If there is none.
    """
    layers = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    ]
    if not layers:
        raise ValueError(
            f'AdaBN.model got {type(model).__name__} without batch-norm statistics; '
            'write a network with BatchNorm2d or SyncBatchNorm layers instead.'
        )
    return layers


class _Recorder:
    """Pools the statistics of one batch-norm layer over batches (and later over processes).

    A layer with momentum 1 leaves the batch's own mean and variance in its buffers, so that no
    second pass over the activations is needed.
    """

    def __init__(self, name: str, layer: Any) -> None:
        self.name, self.layer = name, layer
        self.before = [buffer.clone() for buffer in layer.buffers()]
        self.momentum = layer.momentum
        # Rows: number of values per channel, sum of values, sum of squares.
        self.sums = layer.running_mean.new_zeros(3, layer.num_features, dtype=torch.float64)
        self.handles = [
            layer.register_forward_pre_hook(self._check),
            layer.register_forward_hook(self._record),
        ]
        layer.momentum, layer.training = 1.0, True
        if isinstance(layer, nn.SyncBatchNorm):
            # It would wait for the other processes; here they are pooled at the end.
            layer.__dict__['forward'] = MethodType(_BatchNorm.forward, layer)

    def _check(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].numel() // inputs[0].shape[1] < 2:
            raise ValueError(
                f'AdaBN.batches got one value per channel at layer "{self.name}"; '
                'write a batch size of at least 2 instead.'
            )

    def _record(self, layer: Any, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        count = inputs[0].numel() // inputs[0].shape[1]
        mean = layer.running_mean.double()
        variance = layer.running_var.double() * (count - 1) / count
        self.sums += torch.stack(
            [torch.full_like(mean, count), count * mean, count * (variance + mean**2)]
        )

    def release(self) -> None:
        """Make the layer an ordinary one again; its buffers are as before."""
        for handle in self.handles:
            handle.remove()
        self.layer.__dict__.pop('forward', None)
        self.layer.momentum = self.momentum
        for buffer, value in zip(self.layer.buffers(), self.before):
            buffer.copy_(value)

    def write(self) -> bool:
        """Put the pooled statistics into the layer; False if no image ever reached it."""
        all_reduce(self.sums)
        count, total, squares = self.sums
        if count[0] == 0:
            return False
        mean = total / count
        variance = (squares / count - mean**2).clamp(min=0)
        self.layer.running_mean.copy_(mean)
        # Unbiased, as torch keeps it.
        self.layer.running_var.copy_(variance * count / (count - 1))
        return True


def reestimate_batch_norm(
    model: nn.Module,
    batches: Iterable[dict[str, Any]],
    num_images: int | None = None,
) -> int:
    """Replace the running statistics of every batch-norm layer by those of the given images.

    Mean and variance are those of all values of all batches together (the variance between
    batches is part of it), as in the paper's Algorithm 1, not an average of batch variances. For
    the first layer they do not depend on how the images are batched; a deeper layer sees what the
    layers before it normalise by their own batch. Layers without running statistics are skipped;
    layers that no image reaches (auxiliary heads, discriminators) keep theirs. Dropout is off,
    parameters, modes and random states stay. With several processes all images are pooled, so
    every process ends with the same statistics. If a batch fails, the model is as before.

    Args:
        model: Any mmseg segmentor, with or without a data-parallel wrapper.
        batches: Collated ``dict(inputs, data_samples)``. Only the images are used.
        num_images: Stop after so many images in this process (after the batch that reaches the
            number). Default: all of them.

    Returns:
        Number of images used, over all processes.

    Raises:
        ValueError: If the model has no such layer, no image came, or a layer got one value only.
    """
    model = unwrap_model(model)
    layers = batch_norm_layers(model)
    with preserve_state(model):
        recorders = [_Recorder(name, layer) for name, layer in layers]
        try:
            count = _feed(model, batches, num_images)
        finally:
            for recorder in recorders:
                recorder.release()
        seen = torch.tensor(count, device=layers[0][1].running_mean.device)
        all_reduce(seen)
        if seen == 0:
            raise ValueError('AdaBN.batches got no image; write at least one batch.')
        kept = [recorder.name for recorder in recorders if not recorder.write()]
    if kept:
        print_log(f'AdaBN: no image reaches {", ".join(kept)}; statistics kept.', 'current')
    return int(seen)


def _feed(model: BaseSegmentor, batches: Iterable[dict[str, Any]], num_images: int | None) -> int:
    count = 0
    for batch in batches:
        data = model.data_preprocessor(batch, False)
        metas = [sample.metainfo for sample in data['data_samples']]
        model.encode_decode(data['inputs'], metas)
        count += len(metas)
        if num_images is not None and count >= num_images:
            break
    return count
