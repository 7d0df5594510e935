"""What decode heads around another decode head share."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Sequence

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor

__all__ = ['WrappingHead', 'class_scores']


def class_scores(head: Any, inputs: Sequence[Tensor]) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """``head.forward(inputs)`` in two steps.

    Args:
        head: A decode head.
        inputs: Its input.

    Returns:
        Class scores (N, C, h, w) before any upsampling of the head's own (FCN-8s), and what makes
        logits of them: that upsampling, or nothing.
    """
    if hasattr(head, 'scores_at_stride8'):
        return head.scores_at_stride8(inputs), partial(head.upsample, size=inputs[3].shape[2:])
    return head.forward(inputs), _same


def _same(scores: Tensor) -> Tensor:
    return scores


class WrappingHead(BaseDecodeHead):
    """A head around another one, ``classifier``, whose inputs, classes and losses it has.

    Args:
        key: What the wrapped head is called in the config, for errors.
        classifier: The wrapped head's config; its losses must be those of mmseg's base class.
        init_cfg: As for every mmengine module.
    """

    def __init__(self, key: str, classifier: ConfigType, init_cfg: Any = None) -> None:
        inner = MODELS.build(classifier)
        if type(inner).loss is not BaseDecodeHead.loss:
            raise TypeError(
                f'{type(self).__name__}.{key} got {type(inner).__name__}, which '
                'computes its losses otherwise than by `forward` and `loss_by_feat`; '
                'write a decode head with the stock `loss`'
            )
        super().__init__(
            1,
            1,
            num_classes=inner.num_classes,
            out_channels=inner.out_channels,
            threshold=inner.threshold,
            align_corners=inner.align_corners,
            ignore_index=inner.ignore_index,
            loss_decode=dict(type='PixelCrossEntropyLoss'),
            init_cfg=init_cfg,
        )
        del self.conv_seg  # the classifier scores
        self.classifier = inner
        for name in (
            'channels',
            'in_channels',
            'in_index',
            'input_transform',
            'loss_decode',
            'sampler',
        ):
            setattr(self, name, getattr(inner, name))
