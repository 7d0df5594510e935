"""Prediction with one resize, from the network's scores to the size of the ground truth."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.models.utils import resize
from mmseg.utils import SampleList
from torch import Tensor

__all__ = ['TEST_RESIZES', 'predict_directly']

TEST_RESIZES = ('twice', 'logits', 'probabilities')


def predict_directly(
    segmentor: Any, images: Tensor, samples: SampleList, test_resize: str
) -> SampleList:
    """Predict images as the code of AdaptSegNet (``'logits'``) and BDL (``'probabilities'``) does.

    mmseg resizes logits twice, to the size of the network's input and from there to that of the
    file. On random maps the two differ in 0.3 % of the pixels. Here the whole image is segmented at
    once, whatever ``test_cfg.mode`` is.

    Args:
        segmentor: Network of one decode head, in evaluation mode.
        images: Normalised, shape (N, 3, H, W), neither padded nor flipped.
        samples: Their samples; predictions are added to them.
        test_resize: What is resized to ``ori_shape``: ``'logits'`` or ``'probabilities'``, whose
            logarithms become ``seg_logits``.

    Raises:
        ValueError: An image is padded or flipped.
    """
    head = segmentor.decode_head
    scores = segmentor.forward(images).float()  # (N, C, h, w)
    if test_resize == 'probabilities':
        scores = scores.softmax(1)
    for score, sample in zip(scores, samples):
        meta = sample.metainfo
        padding = meta.get('img_padding_size', meta.get('padding_size')) or (0,)
        if any(padding) or meta.get('flip'):
            raise ValueError(
                f'test_resize: expected images without padding and flip, but got {padding}, '
                f"{meta.get('flip')}; write test_resize='twice'"
            )
        score = resize(
            score[None],
            size=meta['ori_shape'][:2],
            mode='bilinear',
            align_corners=head.align_corners,
            warning=False,
        )[0]  # (C, H', W')
        if test_resize == 'probabilities':
            score = score.clamp_min(torch.finfo(score.dtype).tiny).log()
        sample.set_data(
            dict(
                seg_logits=PixelData(data=score),
                pred_sem_seg=PixelData(data=score.argmax(0, keepdim=True)),
            )
        )
    return samples
