"""PIT's coarse component: units that learn class activation maps from image-level labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Sequence

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, OptConfigType, SampleList
from torch import Tensor, nn

from mmseg_uda.models.decode_heads.wrapping_head import class_scores
from mmseg_uda.models.layers.lse_pooling import lse_pool, pool_upsampled, widen
from mmseg_uda.structures import Losses, SegOutput

__all__ = ['ActivationMaps', 'LSEExpansionHead', 'class_shares']

IMAGE_LABELS = ('share', 'share_of_all', 'presence')


def class_shares(
    labels: Tensor, num_classes: int, ignore_index: int = 255, of_all: bool = False
) -> Tensor:
    """The share of each class among an image's pixels.

    Args:
        labels: Shape (N, H, W), int64.
        num_classes: C.
        ignore_index: Label of pixels of no class.
        of_all: Divide by the number of all pixels, as the paper prints, instead of those with a
            class.

    Returns:
        Shape (N, C), float32; rows sum to 1 unless ``of_all``, and are 0 without a valid pixel.
    """
    flat = labels.flatten(1)
    valid = flat.ne(ignore_index)
    counts = torch.zeros(len(flat), num_classes, device=labels.device)
    counts.scatter_add_(1, flat.where(valid, torch.zeros_like(flat)), valid.float())
    total = flat.shape[1] if of_all else valid.sum(1, keepdim=True).clamp(min=1)
    return counts / total


@dataclass(frozen=True)
class ActivationMaps:
    """Class activation maps of K units on a batch of images.

    Args:
        scores: S^k before upsampling, shape (K, N, C, h, w).
        upsample: Takes (N, c, h, w) as far as the units themselves do (FCN-8s); linear.
    """

    scores: Tensor
    upsample: Callable[[Tensor], Tensor]


@MODELS.register_module()
class LSEExpansionHead(BaseDecodeHead):
    r"""Region expansion units with log-sum-exp pooling (PIT, Section 4.2).

    An ``auxiliary_head`` of any mmseg segmentor. There, and beside any method but :class:`PIT`, it
    adds the image-level loss L_c with labels counted in the pixels' ground truth; what it leaves
    out is all that makes PIT of it: L_c on the target, and L_r, for which
    ``loss_reconstruction`` must be None.

    The unit's "convolution layer" is open in the paper. By the classifier's own config each unit
    is such a classifier with weights of its own; a single convolution is
    ``dict(type='DeepLabV2Head', dilations=(1, ), ...)`` (3x3) or
    ``dict(type='FCNHead', num_convs=0, concat_input=False, ...)`` (1x1).

    Args:
        unit: Config of a decode head, of which there is one for each r. Its losses are not used.
        r: How much of the largest scores each unit pools, all positive (Eq. (1)).
        inv_r: Divide the pooled scores by r, as the pooling's inventors do.
        pool_ignored: False to leave source pixels without a class out of the pooling.
        image_label: What y is on the source: the ``'share'`` of each class among pixels that have
            one, so that shares sum to 1 as the regressor's softmax does; its ``'share_of_all'``
            pixels, as printed; its ``'presence'``, 0 or 1 (weak supervision, Section 5.5).
        loss_decode: Config of L_c.
        loss_reconstruction: Config of L_r; the weights w exist with it only.
        weights: Whether w^k has one weight per ``'class'`` or one for the ``'unit'``; 1/K at first.
        chunk_elements: As for :func:`~mmseg_uda.models.layers.pool_upsampled`.
        init_cfg: As for every mmengine module.
    """

    def __init__(
        self,
        unit: ConfigType,
        r: Sequence[float] = (0.5, 1.0, 1.5),
        *,
        inv_r: bool = False,
        pool_ignored: bool = True,
        image_label: str = 'share',
        loss_decode: OptConfigType = None,
        loss_reconstruction: OptConfigType = None,
        weights: str = 'class',
        chunk_elements: int = 2**25,
        init_cfg: Any = None,
    ) -> None:
        if not r or not all(value > 0 for value in r):
            raise ValueError(
                f'LSEExpansionHead.r got {r!r}; write positive numbers, one per unit, '
                'e.g. (0.5, 1.0, 1.5)'
            )
        for key, value, known in (
            ('image_label', image_label, IMAGE_LABELS),
            ('weights', weights, ('class', 'unit')),
        ):
            if value not in known:
                raise ValueError(f'LSEExpansionHead.{key} got {value!r}; write one of {known}')
        if chunk_elements < 1:
            raise ValueError(
                f'LSEExpansionHead.chunk_elements got {chunk_elements}; write a positive number'
            )
        units: list[Any] = [MODELS.build(unit) for _ in r]
        first = units[0]
        super().__init__(
            1,
            1,
            num_classes=first.num_classes,
            out_channels=first.out_channels,
            align_corners=first.align_corners,
            ignore_index=first.ignore_index,
            threshold=first.threshold,
            init_cfg=init_cfg,
            loss_decode={'type': 'ImageLabelLoss', **(loss_decode or {})},
        )
        if self.out_channels != self.num_classes:
            raise ValueError(
                f'LSEExpansionHead.unit.out_channels got {self.out_channels}; write '
                f'num_classes, {self.num_classes}: each class is pooled on its own'
            )
        del self.conv_seg  # the units score
        self.units = nn.ModuleList(units)
        self.r = tuple(r)
        self.inv_r = inv_r
        self.pool_ignored = pool_ignored
        self.image_label = image_label
        self.chunk_elements = chunk_elements
        self.loss_reconstruction = None
        if loss_reconstruction is not None:
            self.loss_reconstruction = MODELS.build(
                {'type': 'ReconstructionLoss', **loss_reconstruction}
            )
            shape = (len(self.r), self.num_classes if weights == 'class' else 1)
            self.reconstruction_weight = nn.Parameter(torch.full(shape, 1 / len(self.r)))

    def forward(self, inputs: Sequence[Tensor]) -> ActivationMaps:
        """The units' maps of the backbone's features."""
        parts = [class_scores(unit, inputs) for unit in self.units]
        return ActivationMaps(torch.stack([scores for scores, _ in parts]), parts[0][1])

    def loss_by_feat(self, maps: ActivationMaps, batch_data_samples: SampleList) -> Losses:
        """L_c with labels counted in the pixels' ground truth: the stock loss.

        Raises:
            ValueError: There is L_r, which needs the decode head's scores.
        """
        if self.loss_reconstruction is not None:
            raise ValueError(
                'LSEExpansionHead.loss_reconstruction is for PIT alone; write None in other models'
            )
        return self.image_loss(maps, self._stack_batch_gt(batch_data_samples).squeeze(1))

    def image_loss(self, maps: ActivationMaps, labels: Tensor) -> Losses:
        """L_c with the labels (N, H, W) of pixels."""
        shares = class_shares(
            labels, self.num_classes, self.ignore_index, of_all=self.image_label == 'share_of_all'
        )
        image_labels = shares.gt(0).float() if self.image_label == 'presence' else shares
        valid = None if self.pool_ignored else labels.ne(self.ignore_index)
        return self.image_label_loss(maps, image_labels, labels.shape[1:], valid)

    def image_label_loss(
        self,
        maps: ActivationMaps,
        image_labels: Tensor,
        size: Sequence[int],
        valid: Tensor | None = None,
    ) -> Losses:
        """L_c with labels of images.

        Args:
            maps: The units' maps.
            image_labels: y, shape (N, C), in [0, 1].
            size: H, W of the images.
            valid: Which pixels are pooled, shape (N, H, W); None for all.
        """
        scores = self.pool(maps, size, valid)
        return {self.loss_decode.loss_name: self.loss_decode(scores, image_labels)}

    def pool(
        self,
        maps: ActivationMaps,
        size: Sequence[int],
        valid: Tensor | None = None,
    ) -> Tensor:
        """Eq. (1): s^k, shape (K, N, C), from maps upsampled to ``size``."""
        enlarge, pixels = self._enlarge(maps.upsample, size), size[0] * size[1]
        return torch.stack(
            [
                pool_upsampled(
                    scores,
                    enlarge,
                    partial(lse_pool, r=r, inv_r=self.inv_r, valid=valid),
                    pixels,
                    self.chunk_elements,
                )
                for r, scores in zip(self.r, maps.scores)
            ]
        )

    def reconstruction_loss(
        self, maps: ActivationMaps, output: SegOutput, fine: Any, size: Sequence[int]
    ) -> Losses:
        """L_r on images of one domain; empty without L_r there.

        Upsampling is linear, so the maps are added up before it wherever ``fine`` upsamples as the
        units do.

        Args:
            maps: The units' maps.
            output: The student's pass.
            fine: Its decode head.
            size: H, W of the images.
        """
        loss = self.loss_reconstruction
        if loss is None or output.domain not in loss.domains:
            return {}
        # No matrix product: mixed precision would round it.
        summed = (self.reconstruction_weight[:, None, :, None, None] * widen(maps.scores)).sum(0)
        upsample = self._enlarge(maps.upsample, size)
        alike = all(
            hasattr(fine, name) == hasattr(self.units[0], name)
            for name in ('scores_at_stride8', 'upsample')
        )
        if (
            alike
            and output.scores is not None
            and output.scores.shape == summed.shape
            and fine.align_corners == self.align_corners
        ):
            residual = summed - widen(output.scores)
        else:
            residual = upsample(summed) - resize(
                widen(output.seg_logits), size, mode='bilinear', align_corners=fine.align_corners
            )
            upsample = _same
        value = loss(residual, upsample, size[0] * size[1], self.chunk_elements)
        return {loss.loss_name: value}

    def _enlarge(
        self,
        upsample: Callable[[Tensor], Tensor],
        size: Sequence[int],
    ) -> Callable[[Tensor], Tensor]:
        """From the units' scores to maps at the size of the images."""

        def enlarge(scores: Tensor) -> Tensor:
            return resize(
                upsample(scores),
                tuple(size),
                mode='bilinear',
                align_corners=self.align_corners,
                warning=False,
            )

        return enlarge


def _same(scores: Tensor) -> Tensor:
    return scores
