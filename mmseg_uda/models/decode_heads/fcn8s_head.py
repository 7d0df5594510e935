"""Head of FCN-8s."""

from __future__ import annotations

from typing import Any, Sequence

import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.utils.arguments import check_choice, check_integer, check_number, check_sequence

__all__ = ['FCN8sHead', 'bilinear_upsample']

# Offset of the image in each padded map, from the padding of 100, the kernel of fc6 and the
# transposed convolutions.
CROP_POOL4, CROP_POOL3, CROP_IMAGE = 5, 9, 31
SCORE_INITS = dict(zeros=dict(type='Constant', val=0.0), normal=dict(type='Normal', std=0.01))


@MODELS.register_module()
class FCN8sHead(BaseDecodeHead):
    """Head of FCN-8s: fuses scores of pool3, pool4 and fc7 and upsamples them to the image's size.

    :meth:`forward` is :meth:`scores_at_stride8`, then :meth:`upsample`; methods that need scores
    before the last upsampling call the two.

    Args:
        in_channels: Channels of pool3, pool4 and fc7.
        num_classes: Classes to predict.
        pool4_scale: Factor of pool4 before its scores. 0.01 and 0.0001 are those of the reference
            network ("at-once" FCN-8s) for the activations of Caffe's VGG-16, whose images are in
            [0, 255]. Activations follow the scale of the images: with torchvision's weights and
            images of unit variance the skips nearly vanish. 0.57 and 0.0057 would make up for it;
            this is a guess from the scale alone and was not trained.
        pool3_scale: Factor of pool3.
        score_init: Initialisation of the three score convolutions: ``'zeros'`` (code of BDL) or
            ``'normal'`` for N(0, 0.01); the bias is zero.
        align_corners: Alignment of a bilinear resize to a label of another size than the image.
        loss_decode: Loss of the logits; by default the cross entropy as a mean over the pixels
            that are not ignored, which is 0 where all are.
        init_cfg: MMEngine's initialisation, in place of ``score_init``.
        **kwargs: Further arguments of MMSegmentation's ``BaseDecodeHead``.

    Raises:
        ValueError: ``in_channels`` has another length than 3, a factor is no finite number, or
            ``score_init`` is unknown.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (256, 512, 4096),
        *,
        num_classes: int,
        pool4_scale: float = 0.01,
        pool3_scale: float = 0.0001,
        score_init: str = 'zeros',
        align_corners: bool = True,
        loss_decode: dict[str, Any] | Sequence[dict[str, Any]] | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        for key, scale in dict(pool4_scale=pool4_scale, pool3_scale=pool3_scale).items():
            check_number(f'{type(self).__name__}.{key}', scale)
        check_choice(f'{type(self).__name__}.score_init', score_init, tuple(SCORE_INITS))
        # of pool3, pool4 and fc7
        check_sequence('FCN8sHead.in_channels', in_channels, check_integer, 1, length=3)
        check_number('FCN8sHead.pool4_scale', pool4_scale, '[0, inf)')
        check_number('FCN8sHead.pool3_scale', pool3_scale, '[0, inf)')
        check_integer('FCN8sHead.num_classes', num_classes, 1)
        kwargs.setdefault('channels', in_channels[-1])
        kwargs.setdefault('dropout_ratio', 0.0)  # the backbone's
        super().__init__(
            tuple(in_channels),
            num_classes=num_classes,
            in_index=(0, 1, 2),
            input_transform='multiple_select',
            align_corners=align_corners,
            loss_decode=loss_decode or dict(type='PixelCrossEntropyLoss'),
            init_cfg=init_cfg or dict(SCORE_INITS[score_init], layer='Conv2d'),
            **kwargs,
        )
        self.pool4_scale, self.pool3_scale = pool4_scale, pool3_scale
        del self.conv_seg  # the base's 1x1 classifier: there is one for each of the three maps
        self.score_pool3, self.score_pool4, self.score_fr = (
            nn.Conv2d(channels, self.out_channels, 1) for channels in in_channels
        )

    def scores_at_stride8(self, inputs: Sequence[Tensor]) -> Tensor:
        """Fuse the scores of fc7, pool4 and pool3.

        Args:
            inputs: pool3, pool4, fc7 and the empty view of the images, from ``VGG16FCN``.

        Returns:
            Scores, shape (N, num_classes, h, w), stride 8; (74, 138) for a (512, 1024) image.
        """
        pool3, pool4, fc7 = self._transform_inputs(inputs)
        scores = bilinear_upsample(self.score_fr(fc7), 2)  # (N, C, h / 2, w / 2), stride 16
        pool4 = self.score_pool4(pool4 * self.pool4_scale)
        scores = scores + crop(pool4, CROP_POOL4, scores.shape[2:])
        scores = bilinear_upsample(scores, 2)  # (N, C, h, w), stride 8
        pool3 = self.score_pool3(pool3 * self.pool3_scale)
        return scores + crop(pool3, CROP_POOL3, scores.shape[2:])

    def upsample(self, scores: Tensor, size: Sequence[int]) -> Tensor:
        """Upsample scores of stride 8, shape (N, C, h, w), to the image's ``size`` (H, W)."""
        return crop(bilinear_upsample(scores, 8), CROP_IMAGE, size)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Classify the features.

        Args:
            inputs: pool3, pool4, fc7 and the empty view of the images, from ``VGG16FCN``.

        Returns:
            Logits, shape (N, num_classes, H, W), at the image's size.
        """
        if len(inputs) != 4:
            raise ValueError(
                f'{type(self).__name__}.forward: expected pool3, pool4, fc7 and an empty view of '
                f'the images, but got {len(inputs)} feature maps; write the backbone VGG16FCN'
            )
        return self.upsample(self.scores_at_stride8(inputs), inputs[3].shape[2:])


def crop(maps: Tensor, offset: int, size: Sequence[int]) -> Tensor:
    """Crop maps (N, C, H, W) to ``size`` (h, w), from the corner (offset, offset) on."""
    height, width = size
    return maps[:, :, offset : offset + height, offset : offset + width]


def bilinear_upsample(scores: Tensor, scale: int) -> Tensor:
    """Upsample like a transposed convolution with a frozen bilinear kernel.

    Such a convolution, of stride ``scale`` and kernel size ``2 * scale``, interpolates between the
    scores and zeros around them. Direct interpolation gives the same values in less time.

    Args:
        scores: Shape (N, C, h, w).
        scale: Factor of the upsampling, even.

    Returns:
        Shape (N, C, scale * (h + 1), scale * (w + 1)).
    """
    scores = F.interpolate(F.pad(scores, (1, 1, 1, 1)), scale_factor=scale, mode='bilinear')
    margin = scale // 2
    return scores[:, :, margin:-margin, margin:-margin]
