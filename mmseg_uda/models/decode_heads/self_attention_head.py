"""Stage A of SAM: a decode head that trains a self-attention module."""

from __future__ import annotations

from typing import Any, Sequence

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, OptConfigType
from torch import Tensor

from mmseg_uda.models.decode_heads.wrapping_head import WrappingHead, class_scores

__all__ = ['SelfAttentionHead']


@MODELS.register_module()
class SelfAttentionHead(WrappingHead):
    r"""A classifier whose scores o are :math:`o + \hat o`, with a self-attention's :math:`\hat o`.

    Training any segmentor with it on the source is stage A of SAM (Section 4.1 of
    `arXiv:2110.10916 <https://arxiv.org/abs/2110.10916>`_), whose checkpoint a
    :class:`~mmseg_uda.models.losses.SelfAttentionLoss` reads; the segmentor itself is then of no
    more use. Scores of FCN-8s are attended at stride 8, before its own upsampling.

    Args:
        classifier: Config of the decode head.
        self_attention: Config of the :class:`SelfAttentionModule`, which gets ``in_channels``.
        attend: ``'logits'``, or ``'features'`` for the classifier's input (Table A.5).
        skip: False for the ablation without skip connection, :math:`\hat o` alone.
        in_index: Which of the feature maps is attended with ``attend='features'``; the last one
            that the classifier takes by default.
        init_cfg: As for every mmengine module.
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
        if attend not in ('logits', 'features'):
            raise ValueError(
                f"SelfAttentionHead.attend got {attend!r}; write 'logits' or 'features'"
            )
        if in_index is not None and attend == 'logits':
            raise ValueError(
                f'SelfAttentionHead.in_index got {in_index}, but the logits are '
                "attended; remove it or write attend='features'"
            )
        super().__init__('classifier', classifier, init_cfg)
        if type(self.classifier).loss_by_feat is not BaseDecodeHead.loss_by_feat:
            raise TypeError(
                f'SelfAttentionHead.classifier got {type(self.classifier).__name__}, '
                'which computes its own loss; write a decode head with the stock '
                '`loss_by_feat`'
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
        """Index and channels of the feature map to attend."""
        if self.input_transform is None:
            taken = {self.in_index: self.in_channels}
        else:  # the sum of all channels is what a head that concatenates knows
            taken = dict(zip(self.in_index, classifier.get('in_channels', self.in_channels)))
        if in_index is None:
            in_index = list(taken)[-1]
        if in_index not in taken:
            raise ValueError(
                f'SelfAttentionHead.in_index got {in_index}; write one that the '
                f'classifier takes: {list(taken)}'
            )
        return in_index, taken[in_index]

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits (N, num_classes, h, w), at the size that the classifier gives them."""
        if self.attend == 'features':
            features = list(inputs)
            features[self.attended_index] = self._attended(features[self.attended_index])
            return self.classifier.forward(features)
        scores, upsample = class_scores(self.classifier, inputs)
        return upsample(self._attended(scores))

    def _attended(self, x: Tensor) -> Tensor:
        attended: Tensor = self.self_attention(x)
        return x + attended if self.skip else attended
