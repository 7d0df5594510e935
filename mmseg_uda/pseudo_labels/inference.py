"""Class probabilities of a segmentor at the size of its input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

__all__ = ['segment_probabilities']


@torch.no_grad()
def segment_probabilities(
    model: nn.Module, data: dict[str, Any], softmax_first: bool = False
) -> tuple[list[Tensor], list[Any]]:
    """Segment a test batch as the network sees it: no un-flip, no resize to the raw image.

    The whole image is segmented at once, whatever ``test_cfg.mode`` says.

    Args:
        model: A mmseg segmentor or a UDA method, in eval mode, wrapped or not.
        data: A collated test batch, ``dict(inputs=..., data_samples=...)``.
        softmax_first: Take the softmax at the decode head's resolution and upsample probabilities,
            instead of upsampling logits and taking the softmax then.

    Returns:
        Probabilities of each image, shape (C, H, W) float32 with H, W the image's ``img_shape``,
        and the data samples.

    Raises:
        TypeError: If the model has no ``encode_decode``, or none that ``softmax_first`` applies to.
        ValueError: If the network has a single output, or gives NaN or infinity.
    """
    segmentor: Any = model.module if is_model_wrapper(model) else model
    if not hasattr(segmentor, 'encode_decode'):
        raise TypeError(
            f'PseudoLabelLoop got the model {type(segmentor).__name__}, which has no '
            'encode_decode; write a segmentor instead'
        )
    data = segmentor.data_preprocessor(data, False)
    samples = data['data_samples']
    metas = [sample.metainfo for sample in samples]
    if softmax_first:
        with _softmax_before_resize(segmentor):
            probabilities = segmentor.encode_decode(data['inputs'], metas).float()
    else:
        probabilities = segmentor.encode_decode(data['inputs'], metas).float().softmax(1)
    if probabilities.shape[1] == 1:
        raise ValueError(
            'PseudoLabelLoop got a network with one output, whose softmax is always '
            '1; write decode_head.out_channels=2 instead'
        )
    if not probabilities.isfinite().all():
        raise ValueError(
            'PseudoLabelLoop got NaN or infinity from the network for '
            f'{metas[0].get("img_path")!r}; check the checkpoint'
        )
    cropped = []
    for image, meta in zip(probabilities, metas):
        height, width = meta['img_shape'][:2]
        cropped.append(image[:, :height, :width])
    return cropped, samples


@contextmanager
def _softmax_before_resize(segmentor: nn.Module) -> Iterator[None]:
    """Let the decode head, on its own way through ``encode_decode``, resize probabilities."""
    student = getattr(segmentor, 'student', segmentor)
    head: Any = getattr(student, 'decode_head', None)
    head = head[-1] if isinstance(head, nn.ModuleList) else head
    if not hasattr(head, 'predict_by_feat'):
        raise TypeError(
            f'PseudoLabelLoop.softmax_first got {type(student).__name__}, which has no '
            'decode head with predict_by_feat; write softmax_first=False instead'
        )
    resize = head.predict_by_feat
    calls = 0

    def predict_by_feat(seg_logits: Tensor, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return resize(seg_logits.float().softmax(1), *args, **kwargs)

    head.predict_by_feat = predict_by_feat
    try:
        yield
    finally:
        del head.predict_by_feat
    if calls != 1:
        raise TypeError(
            f'PseudoLabelLoop.softmax_first got {type(head).__name__}, which called '
            f'predict_by_feat {calls} times; write softmax_first=False instead'
        )
