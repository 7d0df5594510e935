"""Regularisers for segmentors that are trained by MMSegmentation alone."""

from __future__ import annotations

from typing import Any, Sequence

from mmengine.model import ModuleDict
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor

from mmseg_uda.models.decode_heads.wrapping_head import WrappingHead, raw_logits
from mmseg_uda.structures import Losses, SegOutput

__all__ = ['RegularizedHead']


@MODELS.register_module()
class RegularizedHead(WrappingHead):
    """A decode head with further losses, in any stock segmentor and without adaptation.

    Adaptation methods take ``regularizers`` themselves; this head is for supervised training, in
    which the only domain is the ``'source'``. Predictions are the wrapped head's.

    Args:
        head: Config of the decode head.
        regularizers: Configs by name, as for
            :class:`~mmseg_uda.models.uda.base.BaseUDASegmentor`.
        init_cfg: As for every mmengine module.

    Raises:
        ValueError: There is no regulariser, or one that does not apply to the source; the head has
            one output.
    """

    def __init__(self, head: ConfigType, regularizers: ConfigType, init_cfg: Any = None) -> None:
        super().__init__('head', head, init_cfg)
        if not regularizers:
            raise ValueError(
                f'RegularizedHead.regularizers: expected dict(<name>=dict(type=...)), but got '
                f'{regularizers}; write the head without this one'
            )
        if self.out_channels == 1:  # a softmax over one output is 1 everywhere
            raise ValueError(
                'RegularizedHead.head.out_channels: expected at least 2, but got 1; write '
                'num_classes=2, out_channels=2 and a loss_decode without use_sigmoid'
            )
        self.regularizers = ModuleDict(
            {name: MODELS.build(cfg) for name, cfg in regularizers.items()}
        )
        for name, regularizer in self.regularizers.items():
            domains = getattr(regularizer, 'domains', ('source',))
            if 'source' not in domains:
                raise ValueError(
                    f"RegularizedHead.regularizers.{name}.domains: expected ['source'], the only "
                    f'domain here, but got {domains}'
                )

    def loss(
        self, inputs: Sequence[Tensor], batch_data_samples: SampleList, train_cfg: ConfigType
    ) -> Losses:
        """Compute the wrapped head's losses, and ``{name}.loss_*`` of each regulariser."""
        logits, upsample = raw_logits(self.classifier, inputs)  # (N, C, h, w)
        seg_logits = upsample(logits)
        losses: Losses = self.classifier.loss_by_feat(seg_logits, batch_data_samples)
        output = SegOutput(tuple(inputs), seg_logits, 'source', logits)
        for name, regularizer in self.regularizers.items():
            losses.update({f'{name}.{key}': value for key, value in regularizer(output).items()})
        return losses

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Compute the logits of the wrapped head, shape (N, num_classes, h, w)."""
        return self.classifier.forward(inputs)

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: SampleList) -> Losses:
        """Compute the losses of the wrapped head."""
        return self.classifier.loss_by_feat(seg_logits, batch_data_samples)

    def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: list[dict[str, Any]]) -> Tensor:
        """Predict as the wrapped head does, at the size of the images."""
        return self.classifier.predict_by_feat(seg_logits, batch_img_metas)
