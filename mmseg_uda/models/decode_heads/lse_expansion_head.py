"""PIT's region expansion units: class activation maps learnt from image-level labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Sequence

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, OptConfigType, SampleList
from torch import Tensor, nn

from mmseg_uda.models.decode_heads.wrapping_head import raw_logits
from mmseg_uda.models.layers.lse_pooling import lse_pool, pool_upsampled
from mmseg_uda.models.layers.precision import widen
from mmseg_uda.structures import Losses, SegOutput
from mmseg_uda.utils.arguments import (
    check_choice,
    check_integer,
    check_number,
    check_sequence,
    expect,
)

__all__ = ['ActivationMaps', 'LSEExpansionHead', 'class_shares']


def class_shares(
    labels: Tensor, num_classes: int, ignore_index: int = 255, of_all: bool = False
) -> Tensor:
    """Compute the share of each class among an image's pixels.

    Args:
        labels: Shape (N, H, W), int64.
        num_classes: C.
        ignore_index: Label of pixels of no class.
        of_all: True to divide by the number of all pixels, as the paper prints, instead of those
            with a class.

    Returns:
        Shape (N, C), float32; rows sum to 1 unless ``of_all``, and are 0 without a valid pixel.

    Examples:
        >>> class_shares(torch.tensor([[[0, 0, 2, 255]]]), num_classes=3)
        tensor([[0.6667, 0.0000, 0.3333]])
    """
    flat = labels.flatten(1)  # (N, HW)
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
        upsample: The units' own upsampling (FCN-8s) of maps (N, c, h, w); linear.
    """

    scores: Tensor
    upsample: Callable[[Tensor], Tensor]


@MODELS.register_module()
class LSEExpansionHead(BaseDecodeHead):
    r"""Region expansion units with log-sum-exp pooling (PIT, Section 4.2).

    An ``auxiliary_head`` of any mmseg segmentor. There, and beside any method but :class:`PIT`, it
    adds the image-level loss L_c with labels counted in the pixels' ground truth. The rest of PIT
    is the method's: L_c on the target, and L_r, for which ``loss_reconstruction`` must be None in
    other models.

    The paper leaves the unit's "convolution layer" open. With the classifier's own config each unit
    is such a classifier with weights of its own; a single convolution is
    ``dict(type='DeepLabV2Head', dilations=(1, ), ...)`` (3x3) or
    ``dict(type='FCNHead', num_convs=0, concat_input=False, ...)`` (1x1).

    Args:
        unit: Config of a decode head, which is built once for each r. Its losses are not used.
        r: Sharpness of each unit's pooling, positive: the mean of a map for small r, its maximum
            for large r (Eq. (1)).
        inv_r: True to divide the pooled scores by r, as the pooling's inventors do.
        uniform_prior: True to subtract log(C - 1) from the pooled scores before L_c's sigmoid, so
            that maps of 0 mean a share of 1/C, as in the softmax of S; False for 1/2, as printed.
        pool_ignored: False to leave source pixels without a class out of the pooling.
        image_label: Image-level label y on the source: the ``'share'`` of each class among pixels
            that have one, so that shares sum to 1 as the regressor's softmax does; its
            ``'share_of_all'`` pixels, as printed; its ``'presence'``, 0 or 1 (weak supervision,
            Section 5.5).
        loss_decode: Config of L_c.
        loss_reconstruction: Config of L_r; the weights w exist with it only.
        weights: ``'class'`` for weights w^k per class, ``'unit'`` for a single one; 1/K at first.
        chunk_elements: As for :func:`~mmseg_uda.models.layers.pool_upsampled`.
        init_cfg: As for every mmengine module.

    Raises:
        ValueError: An argument is out of range, or the unit has another number of outputs than of
            classes.
    """

    method_trains = False
    """True in :class:`PIT`, which computes this head's losses itself."""

    def __init__(
        self,
        unit: ConfigType,
        r: Sequence[float] = (0.5, 1.0, 1.5),
        *,
        inv_r: bool = False,
        uniform_prior: bool = False,
        pool_ignored: bool = True,
        image_label: str = 'share',
        loss_decode: OptConfigType = None,
        loss_reconstruction: OptConfigType = None,
        weights: str = 'class',
        chunk_elements: int = 2**25,
        init_cfg: Any = None,
    ) -> None:
        name = type(self).__name__
        check_sequence(f'{name}.r', r, check_number, '(0, inf)')
        check_choice(f'{name}.image_label', image_label, ('share', 'share_of_all', 'presence'))
        check_choice(f'{name}.weights', weights, ('class', 'unit'))
        check_integer(f'{name}.chunk_elements', chunk_elements, 1)
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
        expect(
            self.out_channels == self.num_classes,  # each class is pooled on its own
            f'{name}.unit.out_channels',
            f'num_classes, {self.num_classes}',
            self.out_channels,
        )
        expect(
            self.num_classes > 1 or not uniform_prior,
            f'{name}.uniform_prior',
            'False for one class',
            True,
        )
        del self.conv_seg  # the units have their own
        self.units = nn.ModuleList(units)
        self.r = tuple(r)
        self.inv_r = inv_r
        # From 1/2, far above most shares, L_c lowers scores most where they are highest. This
        # flattens the maps, and through L_r those of S, before any place is learnt.
        self._log_odds = -math.log(self.num_classes - 1) if uniform_prior else 0.0
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
        """Compute the units' maps of the backbone's features."""
        parts = [raw_logits(unit, inputs) for unit in self.units]
        return ActivationMaps(torch.stack([scores for scores, _ in parts]), parts[0][1])

    # ------------------------------------------------------------------------------------- L_c

    def loss_by_feat(self, maps: ActivationMaps, batch_data_samples: SampleList) -> Losses:
        """Compute L_c with labels counted in the pixels' ground truth; the stock interface.

        Raises:
            ValueError: There is L_r, which needs the decode head's logits.
        """
        if self.loss_reconstruction is not None:
            raise ValueError(
                'LSEExpansionHead.loss_reconstruction: expected None in models other than PIT, but '
                'got a loss'
            )
        return self.loss_by_pixel_labels(maps, self._stack_batch_gt(batch_data_samples).squeeze(1))

    def loss_by_pixel_labels(self, maps: ActivationMaps, labels: Tensor) -> Losses:
        """Compute L_c with image-level labels counted in pixel labels (N, H, W)."""
        shares = class_shares(
            labels, self.num_classes, self.ignore_index, of_all=self.image_label == 'share_of_all'
        )  # (N, C)
        image_labels = shares.gt(0).float() if self.image_label == 'presence' else shares
        valid = None if self.pool_ignored else labels.ne(self.ignore_index)
        return self.loss_by_image_labels(maps, image_labels, labels.shape[1:], valid)

    def loss_by_image_labels(
        self,
        maps: ActivationMaps,
        image_labels: Tensor,
        size: Sequence[int],
        valid: Tensor | None = None,
    ) -> Losses:
        """Compute L_c with given image-level labels.

        Args:
            maps: The units' maps.
            image_labels: y, shape (N, C), in [0, 1].
            size: H, W of the images.
            valid: Pixels to pool, shape (N, H, W), bool; None for all.
        """
        scores = self._log_odds + self.pool(maps, size, valid)  # (K, N, C)
        return {self.loss_decode.loss_name: self.loss_decode(scores, image_labels)}

    def pool(
        self, maps: ActivationMaps, size: Sequence[int], valid: Tensor | None = None
    ) -> Tensor:
        """Pool maps upsampled to ``size``: s^k of eq. (1), shape (K, N, C)."""
        upsample = self._upsample_to(size, maps.upsample)
        pools = [partial(lse_pool, r=r, inv_r=self.inv_r, valid=valid) for r in self.r]
        return torch.stack(
            [
                pool_upsampled(scores, upsample, pool, size[0] * size[1], self.chunk_elements)
                for pool, scores in zip(pools, maps.scores)
            ]
        )

    # ------------------------------------------------------------------------------------- L_r

    def reconstruction_loss(
        self, maps: ActivationMaps, output: SegOutput, decode_head: Any, size: Sequence[int]
    ) -> Losses:
        """Compute L_r on images of one domain; nothing if L_r leaves the domain out.

        Args:
            maps: The units' maps.
            output: The student's pass, whose logits are S.
            decode_head: The head that computed them.
            size: H, W of the images.
        """
        loss = self.loss_reconstruction
        if loss is None or output.domain not in loss.domains:
            return {}
        # A sum of products: mixed precision would round a matrix product.
        weight = self.reconstruction_weight[:, None, :, None, None]  # (K, 1, C or 1, 1, 1)
        summed = (weight * widen(maps.scores)).sum(0)  # (N, C, h, w)
        upsample = self._upsample_to(size, maps.upsample)
        own_upsampling = {hasattr(head, 'scores_at_stride8') for head in (decode_head, *self.units)}
        if (
            len(own_upsampling) == 1
            and decode_head.align_corners == self.align_corners
            and output.raw_logits.shape == summed.shape
        ):
            # Upsampling is linear: the difference is upsampled once, in chunks.
            residual = summed - widen(output.raw_logits)
        else:
            residual = upsample(summed) - resize(
                widen(output.seg_logits),
                size,
                mode='bilinear',
                align_corners=decode_head.align_corners,
            )  # (N, C, H, W)
            upsample = nn.Identity()
        value = loss(residual, upsample, size[0] * size[1], self.chunk_elements)
        return {loss.loss_name: value}

    def _upsample_to(
        self, size: Sequence[int], upsample: Callable[[Tensor], Tensor]
    ) -> Callable[[Tensor], Tensor]:
        """Compose the units' own upsampling with the resize to the images' size."""
        options = dict(mode='bilinear', align_corners=self.align_corners, warning=False)
        return lambda scores: resize(upsample(scores), tuple(size), **options)
