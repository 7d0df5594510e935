"""Observe a model in the middle of training without changing the training."""

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

__all__ = ['first_image', 'predict', 'preserve_state', 'segment', 'unwrap_model']


def unwrap_model(model: nn.Module) -> BaseSegmentor:
    """Return the segmentor inside data-parallel and test-time augmentation wrappers."""
    inner: Any = model
    while is_model_wrapper(inner) or isinstance(inner, BaseTTAModel):
        inner = inner.module
    return inner


@contextmanager
def preserve_state(model: nn.Module) -> Iterator[None]:
    """Run a block in evaluation mode without gradients, and undo its side effects.

    Every module's mode and all random states are restored at the end, so that training continues
    bit by bit as if the block had not run. The block must not write to a parameter or buffer.

    Args:
        model: The model to observe.
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
    """Preprocess the first image of one domain's training batch as at test time.

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


def predict(model: BaseSegmentor, batch: ImageBatch) -> Tensor:
    """Predict the softmax of every pixel.

    Args:
        model: A segmentor in evaluation mode.
        batch: Normalised images, shape (N, 3, H, W).

    Returns:
        Shape (N, C, H, W), in [0, 1].
    """
    metas = [sample.metainfo for sample in batch.samples]
    return model.encode_decode(batch.images, metas).softmax(1)


def segment(model: BaseSegmentor, batch: ImageBatch) -> tuple[Tensor, Tensor]:
    """Predict the class of every pixel, and the confidence in it.

    Args:
        model: A segmentor in evaluation mode.
        batch: Normalised images, shape (N, 3, H, W).

    Returns:
        Labels, shape (N, H, W), int64, and their softmax probabilities, shape (N, H, W), in [0, 1].
    """
    confidence, label = predict(model, batch).max(1)  # (N, H, W) each
    return label, confidence
