"""Base of decode heads around another decode head."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Sequence

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

__all__ = ['WrappingHead', 'check_logits_alone', 'raw_logits']


def check_logits_alone(key: str, head: Any) -> None:
    """Check that a decode head's ``forward`` has no output beside the logits.

    Args:
        key: Config key of the head, for errors.
        head: A decode head.

    Raises:
        TypeError: It is an ``EncHead`` with its SE loss.
    """
    if getattr(head, 'use_se_loss', False):
        raise TypeError(
            f'{key}: expected a head that computes logits alone, but got {type(head).__name__} '
            'with its SE loss; write use_se_loss=False'
        )


def raw_logits(head: Any, inputs: Sequence[Tensor]) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Split ``head.forward(inputs)`` into the logits and their upsampling.

    Args:
        head: A decode head.
        inputs: Its input.

    Returns:
        Logits (N, C, h, w) before any upsampling of the head's own (FCN-8s), and a function that
        upsamples them as the head does; the identity for a head that does not upsample.
    """
    if hasattr(head, 'scores_at_stride8'):
        return head.scores_at_stride8(inputs), partial(head.upsample, size=inputs[3].shape[2:])
    return head.forward(inputs), nn.Identity()


class WrappingHead(BaseDecodeHead):
    """A head around another one, ``classifier``, whose inputs, classes and losses it shares.

    Args:
        key: Config key of the wrapped head, for errors.
        classifier: Config of the wrapped head; its losses must be those of mmseg's base class.
        init_cfg: As for every mmengine module.

    Raises:
        TypeError: The wrapped head has a ``loss`` of its own, or an output beside the logits.
    """

    def __init__(self, key: str, classifier: ConfigType, init_cfg: Any = None) -> None:
        inner = MODELS.build(classifier)
        if type(inner).loss is not BaseDecodeHead.loss:
            raise TypeError(
                f'{type(self).__name__}.{key}: expected a decode head with the stock `loss`, but '
                f'got {type(inner).__name__}; write another one'
            )
        check_logits_alone(f'{type(self).__name__}.{key}', inner)
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
        del self.conv_seg  # the classifier has its own
        self.classifier = inner
        shared = 'channels in_channels in_index input_transform loss_decode sampler'
        for name in shared.split():
            setattr(self, name, getattr(inner, name))
