"""Stage A of SAM: a decode head that trains a self-attention module."""

from __future__ import annotations

from typing import Any, Sequence

from mmseg.registry import MODELS
from mmseg.utils import ConfigType, OptConfigType
from torch import Tensor

from mmseg_uda.models.decode_heads.wrapping_head import WrappingHead, raw_logits
from mmseg_uda.models.decode_loss import has_stock_loss
from mmseg_uda.utils.arguments import check_choice, check_integer, expect

__all__ = ['SelfAttentionHead']


@MODELS.register_module()
class SelfAttentionHead(WrappingHead):
    r"""A decode head with logits :math:`o + \hat o`, where :math:`\hat o` is a self-attention of o.

    Training any segmentor with it on the source is stage A of SAM (Section 4.1 of
    `arXiv:2110.10916 <https://arxiv.org/abs/2110.10916>`_). A
    :class:`~mmseg_uda.models.losses.SelfAttentionLoss` reads the self-attention from its
    checkpoint; the rest of the segmentor is not used again. Logits of FCN-8s are attended at stride
    8, before the head's own upsampling.

    Args:
        classifier: Config of the decode head.
        self_attention: Config of the :class:`SelfAttentionModule`, which gets ``in_channels``.
        attend: ``'logits'``, or ``'features'`` for the classifier's input (Table A.5).
        skip: False for the ablation without skip connection, :math:`\hat o` alone.
        in_index: Index of the feature map to attend with ``attend='features'``; the last input of
            the classifier by default.
        init_cfg: As for every mmengine module.

    Raises:
        TypeError: The classifier has a loss of its own.
        ValueError: ``attend`` or ``in_index`` is out of range.
    """

    def __init__(
        self,
        classifier: ConfigType,
        self_attention: OptConfigType = None,
        *,
        attend: str = 'logits',
        skip: bool = True,
        in_index: int | None = None,
        init_cfg: Any = None,
    ) -> None:
        check_choice('SelfAttentionHead.attend', attend, ('logits', 'features'))
        if in_index is not None:
            check_integer('SelfAttentionHead.in_index', in_index)
        unused = in_index is not None and attend == 'logits'
        expect(not unused, 'SelfAttentionHead.in_index', "None with attend='logits'", in_index)
        super().__init__('classifier', classifier, init_cfg)
        if not has_stock_loss(self.classifier):
            raise TypeError(
                'SelfAttentionHead.classifier: expected a decode head with the stock '
                f'`loss_by_feat`, but got {type(self.classifier).__name__}; write another one'
            )
        self.attend = attend
        self.skip = skip
        channels = self.out_channels
        if attend == 'features':
            self.attended_index, channels = self._feature_map(classifier, in_index)
        self.self_attention = MODELS.build(
            {'type': 'SelfAttentionModule', **(self_attention or {}), 'in_channels': channels}
        )

    def _feature_map(self, classifier: ConfigType, in_index: int | None) -> tuple[int, int]:
        """Find the index and the channels of the feature map to attend."""
        if self.input_transform is None:
            channels = {self.in_index: self.in_channels}
        else:  # a head that concatenates replaces in_channels by their sum
            channels = dict(zip(self.in_index, classifier.get('in_channels', self.in_channels)))
        if in_index is None:
            in_index = list(channels)[-1]
        check_choice('SelfAttentionHead.in_index', in_index, list(channels))
        return in_index, channels[in_index]

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Compute logits (N, num_classes, h, w), at the size of the classifier's."""
        if self.attend == 'features':
            features = list(inputs)
            features[self.attended_index] = self._attended(features[self.attended_index])
            return self.classifier.forward(features)
        logits, upsample = raw_logits(self.classifier, inputs)
        return upsample(self._attended(logits))

    def _attended(self, x: Tensor) -> Tensor:
        attended: Tensor = self.self_attention(x)  # (N, C, h, w), as x
        return x + attended if self.skip else attended
