"""Class probabilities of a segmentor, at the size of its input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

__all__ = ['segment_probabilities']


@torch.no_grad()
def segment_probabilities(
    model: nn.Module,
    data: dict[str, Any],
    softmax_first: bool = False,
    upsample: bool = True,
    flip: bool = False,
) -> tuple[list[Tensor], list[Any]]:
    """Segment a test batch at the size of the network's input.

    Flips are not undone and nothing is resized to the raw image. The whole image is segmented at
    once, whatever ``test_cfg.mode`` says.

    Args:
        model: A mmseg segmentor or a UDA method, in eval mode, wrapped or not.
        data: A collated test batch, ``dict(inputs=..., data_samples=...)``.
        softmax_first: Take the softmax at the decode head's resolution and upsample probabilities,
            instead of upsampling logits and then taking the softmax.
        upsample: False to leave probabilities at the decode head's resolution; with
            ``softmax_first``, and for images without padding.
        flip: Take the mean with the probabilities of the horizontally flipped image.

    Returns:
        Probabilities of each image, shape (C, H, W) float32 in [0, 1] with H, W the image's
        ``img_shape`` (or of the decode head's resolution), and the data samples.

    Raises:
        TypeError: If the model has no ``encode_decode``, or none that ``softmax_first`` applies to.
        ValueError: If the network has a single output, or predicts NaN or infinity.
    """
    segmentor: Any = model.module if is_model_wrapper(model) else model
    if not hasattr(segmentor, 'encode_decode'):
        raise TypeError(
            f'PseudoLabelLoop: expected a segmentor, but got {type(segmentor).__name__}, which has '
            'no encode_decode; write the config of a segmentor'
        )
    data = segmentor.data_preprocessor(data, False)
    samples = data['data_samples']
    metas = [sample.metainfo for sample in samples]
    images = data['inputs']
    scores = []
    for each in [images, images.flip(3)] if flip else [images]:
        with _softmax_before_resize(segmentor, upsample) if softmax_first else nullcontext():
            scores.append(segmentor.encode_decode(each, metas).float())  # (N, C, H, W)
    prob = scores if softmax_first else [each.softmax(1) for each in scores]
    probabilities = (prob[0] + prob[1].flip(3)) / 2 if flip else prob[0]
    if probabilities.shape[1] == 1:
        raise ValueError(
            'PseudoLabelLoop: expected a network with at least two outputs, but got one, whose '
            'softmax is always 1; write decode_head.out_channels=2'
        )
    # Probabilities cannot overflow, so their sum is finite exactly if each of them is. Testing the
    # sum takes a twentieth of the time of `isfinite().all()` on a CPU.
    if not probabilities.sum().isfinite():
        raise ValueError(
            'PseudoLabelLoop: expected finite scores from the network, but got NaN or infinity for '
            f'{metas[0].get("img_path")!r}; write another checkpoint'
        )
    cropped = []
    for image, meta in zip(probabilities, metas):
        height, width = meta['img_shape'][:2]
        if not upsample and (height, width) != tuple(images.shape[2:]):
            raise ValueError(
                f'PseudoLabelLoop: expected images without padding, but got {meta["img_path"]!r} '
                f'of {(height, width)} in {tuple(images.shape[2:])}; write batch_size=1, and no '
                'size_divisor in the data preprocessor'
            )
        cropped.append(image[:, :height, :width])
    return cropped, samples


@contextmanager
def _softmax_before_resize(segmentor: nn.Module, upsample: bool) -> Iterator[None]:
    """Let the decode head resize probabilities inside ``encode_decode``, or resize nothing."""
    student = getattr(segmentor, 'tested', segmentor)  # of a method student or teacher
    head: Any = getattr(student, 'decode_head', None)
    head = head[-1] if isinstance(head, nn.ModuleList) else head
    if not hasattr(head, 'predict_by_feat'):
        raise TypeError(
            'PseudoLabelLoop.softmax_first: expected a decode head with predict_by_feat, but got '
            f'{type(student).__name__} without; write softmax_first=False'
        )
    resize = head.predict_by_feat
    calls = 0

    def predict_by_feat(seg_logits: Tensor, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        prob = seg_logits.float().softmax(1)
        return resize(prob, *args, **kwargs) if upsample else prob

    head.predict_by_feat = predict_by_feat
    try:
        yield
    finally:
        del head.predict_by_feat
    if calls != 1:
        raise TypeError(
            'PseudoLabelLoop.softmax_first: expected one call of predict_by_feat, but got '
            f'{calls} by {type(head).__name__}; write softmax_first=False'
        )
