"""Re-estimates batch-norm statistics from given images, which is the core of AdaBN.

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
    """List name and layer of every batch norm that keeps running statistics.

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
            f'AdaBN.model: expected batch-norm statistics, but got {type(model).__name__} '
            'without; write a network with BatchNorm2d or SyncBatchNorm layers'
        )
    return layers


class _Recorder:
    """Pools the statistics of one batch-norm layer over batches, and finally over processes.

    A layer with momentum 1 stores the batch's own mean and variance in its buffers, so that no
    second pass over the activations is needed.
    """

    def __init__(self, name: str, layer: Any) -> None:
        self.name, self.layer = name, layer
        self.before = [buffer.clone() for buffer in layer.buffers()]
        self.momentum = layer.momentum
        # Rows: number of values per channel, sum of values, sum of squares; (3, C).
        self.sums = layer.running_mean.new_zeros(3, layer.num_features, dtype=torch.float64)
        self.handles = [
            layer.register_forward_pre_hook(self._check),
            layer.register_forward_hook(self._record),
        ]
        layer.momentum, layer.training = 1.0, True
        if isinstance(layer, nn.SyncBatchNorm):
            # Its own forward would wait for the other processes, which are pooled at the end.
            layer.__dict__['forward'] = MethodType(_BatchNorm.forward, layer)

    def _check(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].numel() // inputs[0].shape[1] < 2:
            raise ValueError(
                f'AdaBN.batches: expected at least 2 values per channel at layer {self.name}, but '
                'got 1; write a batch size of at least 2'
            )

    def _record(self, layer: Any, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        count = inputs[0].numel() // inputs[0].shape[1]
        mean = layer.running_mean.double()
        # The buffer holds the unbiased variance.
        variance = layer.running_var.double() * (count - 1) / count
        self.sums += torch.stack(
            [torch.full_like(mean, count), count * mean, count * (variance + mean**2)]
        )

    def release(self) -> None:
        """Restore the layer and its buffers."""
        for handle in self.handles:
            handle.remove()
        self.layer.__dict__.pop('forward', None)
        self.layer.momentum = self.momentum
        for buffer, value in zip(self.layer.buffers(), self.before):
            buffer.copy_(value)

    def write(self) -> bool:
        """Store the pooled statistics in the layer, unless no image reached it.

        Returns:
            True if the layer has new statistics.
        """
        all_reduce(self.sums)
        count, total, squares = self.sums
        if count[0] == 0:
            return False
        mean = total / count
        variance = (squares / count - mean**2).clamp(min=0)
        self.layer.running_mean.copy_(mean)
        # Unbiased, as torch stores it.
        self.layer.running_var.copy_(variance * count / (count - 1))
        return True


def reestimate_batch_norm(
    model: nn.Module,
    batches: Iterable[dict[str, Any]],
    num_images: int | None = None,
) -> int:
    """Replace the running statistics of every batch-norm layer by those of the given images.

    Mean and variance are those of all values of all batches together, as in the paper's Algorithm
    1, and not an average over batches: the variance between batches is part of the variance. In
    the first layer they do not depend on how the images are batched. The input of a deeper layer
    does, as the layers before it normalise each batch by its own statistics.

    Layers without running statistics are skipped. Layers that no image reaches (auxiliary heads,
    discriminators) keep their statistics. Dropout is off; parameters, modes and random states are
    preserved. The images of all processes are pooled, so that all end with the same statistics. If
    a batch fails, the model is unchanged.

    Args:
        model: Any mmseg segmentor, with or without a data-parallel wrapper.
        batches: Collated ``dict(inputs, data_samples)``. Only the images are used. A batch of
            several sizes passes in one part per size.
        num_images: Stop after the batch that reaches this number of images in this process. None
            for all images.

    Returns:
        Number of images used, over all processes.

    Raises:
        ValueError: If the model has no such layer, ``batches`` is empty, or a layer gets a single
            value per channel.
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
            raise ValueError(
                'AdaBN.batches: expected images, but got none; write a dataset with images'
            )
        kept = [recorder.name for recorder in recorders if not recorder.write()]
    if kept:
        print_log(f'AdaBN: no image reaches {", ".join(kept)}; statistics kept', 'current')
    return int(seen)


def _feed(model: BaseSegmentor, batches: Iterable[dict[str, Any]], num_images: int | None) -> int:
    count = 0
    for batch in batches:
        for part in _split_by_size(batch):
            data = model.data_preprocessor(part, False)
            metas = [sample.metainfo for sample in data['data_samples']]
            model.encode_decode(data['inputs'], metas)
            count += len(metas)
        if num_images is not None and count >= num_images:
            break
    return count


def _split_by_size(batch: dict[str, Any]) -> list[dict[str, Any]]:
    """Split a batch into parts whose images have one size: padding would change the statistics."""
    parts: dict[torch.Size, list[int]] = {}
    for index, image in enumerate(batch['inputs']):
        parts.setdefault(image.shape, []).append(index)
    return [
        {key: [values[index] for index in part] for key, values in batch.items()}
        for part in parts.values()
    ]
