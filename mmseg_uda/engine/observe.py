"""Looking at a model in the middle of training without leaving a trace."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmseg.models import BaseSegmentor
from torch import Tensor, nn

from mmseg_uda.structures import ImageBatch

__all__ = ['first_image', 'preserve_state', 'segment', 'unwrap_model']


def unwrap_model(model: nn.Module) -> BaseSegmentor:
    """The segmentor inside data-parallel and test-time augmentation wrappers."""
    inner: Any = model
    while is_model_wrapper(inner) or isinstance(inner, BaseTTAModel):
        inner = inner.module
    return inner


@contextmanager
def preserve_state(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients; every module's mode and all random states come back.

    Training goes on bit by bit as if the block had not been there, provided that the block itself
    writes to no parameter or buffer.
    """
    modes = [(module, module.training) for module in model.modules()]
    python_state, numpy_state = random.getstate(), np.random.get_state()
    on_cuda = next(model.parameters()).is_cuda
    devices = [torch.cuda.current_device()] if on_cuda else []
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            model.eval()
            yield
    finally:
        for module, training in modes:
            module.training = training
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def first_image(model: BaseSegmentor, data_batch: dict[str, Any], domain: str) -> ImageBatch:
    """The first image of one domain's training batch, as the model sees it in a test.

    Args:
        model: A segmentor (unwrapped).
        data_batch: ``dict(source=..., target=...)`` as the loop gives it.
        domain: ``'source'`` or ``'target'``.

    Returns:
        One normalised image and a copy of its sample, on the model's device.
    """
    data = {key: values[:1] for key, values in data_batch[domain].items()}
    preprocessor = getattr(model.data_preprocessor, domain, model.data_preprocessor)
    batch = preprocessor(data, False)
    return ImageBatch(batch['inputs'], batch['data_samples'])


def segment(model: BaseSegmentor, batch: ImageBatch) -> tuple[Tensor, Tensor]:
    """Class and confidence of every pixel.

    Returns:
        Labels, shape (N, H, W), int64; the winning class's softmax score, (N, H, W), in [0, 1].
    """
    metas = [sample.metainfo for sample in batch.samples]
    confidence, label = model.encode_decode(batch.images, metas).softmax(1).max(1)
    return label, confidence
