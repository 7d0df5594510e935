"""MIC: consistency of masked target images, on top of a mean teacher."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, Iterator

import torch
from mmengine.dist import get_dist_info
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, OptConfigType

from mmseg_uda.datasets.batch_transforms.base import (
    BatchTransform,
    build_batch_transform,
    derive_generators,
)
from mmseg_uda.datasets.batch_transforms.mixer import paste
from mmseg_uda.models.contexts import MaskableTokens, mask_tokens
from mmseg_uda.models.decode_loss import scale_losses
from mmseg_uda.models.uda.mean_teacher import MeanTeacher
from mmseg_uda.structures import DomainBatch, Losses, MixedBatch, TeacherPrediction
from mmseg_uda.utils.arguments import check_choice, check_number

__all__ = ['MIC']

WHOLE = 'a transform of whole batches'


@MODELS.register_module()
class MIC(MeanTeacher):
    """Masked Image Consistency for Context-Enhanced Domain Adaptation (MIC; CVPR 2023),
    `arXiv:2212.01322 <https://arxiv.org/abs/2212.01322>`_, on a host that is a mean teacher (DACS,
    DAFormer, and others by their parts).

    Args:
        args: As for :class:`MeanTeacher`, the host.
        mask: Config of the masks.
        mask_augment: Config of a transform of the images before they are masked; None for none.
        mask_mode: ``'target'`` masks the target images. ``'separate'`` takes every other image of
            the joint batch, from the first one on, from the source, with its ground truth (the
            code's setting from clear to adverse weather).
        mask_at: ``'image'`` to mask images, or ``'tokens'``, for a vision transformer
            (:class:`TimmFeatures`): ``mask`` zeroes tokens, by which ``block_size`` counts then,
            before their positions are added (VFM-UDA).
        lambda_mask: Weight of the term, beside that of ``consistency``.
        kwargs: As for :class:`MeanTeacher`.

    Raises:
        TypeError: ``mask`` or ``mask_augment`` is no transform of whole batches.
        ValueError: An argument is out of range, or the student has no tokens to mask.
    """

    passes = (*MeanTeacher.passes, 'masked')
    unlike_test = (*MeanTeacher.unlike_test, 'masked')

    def __init__(
        self,
        *args: Any,
        mask: ConfigType,
        mask_augment: OptConfigType = None,
        mask_mode: str = 'target',
        mask_at: str = 'image',
        lambda_mask: float = 1.0,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        check_choice(f'{name}.mask_mode', mask_mode, ('target', 'separate'))
        check_choice(f'{name}.mask_at', mask_at, ('image', 'tokens'))
        check_number(f'{name}.lambda_mask', lambda_mask, '[0, inf)')
        super().__init__(*args, **kwargs)
        self.mask, self.mask_augment = (
            cfg and build_batch_transform(f'{name}.{key}', cfg, BatchTransform, WHOLE, example)
            for key, cfg, example in (
                ('mask', mask, 'BlockMask'),
                ('mask_augment', mask_augment, 'StrongAugment'),
            )
        )
        layers = [each for each in self.student.modules() if isinstance(each, MaskableTokens)]
        if mask_at == 'tokens' and not layers:
            raise ValueError(
                f"{name}.mask_at: expected 'image', as {type(self.student.backbone).__name__} has "
                "no tokens to mask, but got 'tokens'; or write backbone.type='TimmFeatures' with a "
                'vision transformer and dynamic_img_size=True'
            )
        self.mask_mode = mask_mode
        self.mask_at = mask_at
        self.lambda_mask = lambda_mask

    def target_losses(self, batch: DomainBatch, teacher: TeacherPrediction) -> Iterator[Losses]:
        """Yield the host's terms, then that of the masked images, with the same labels."""
        yield from super().target_losses(batch, teacher)
        masked = self.masked_images(batch, teacher)
        mask: AbstractContextManager[None] = nullcontext()
        if self.mask_at == 'tokens':
            generators = derive_generators(batch.target.generators, 3)
            mask = mask_tokens(self.student, partial(self.mask, generators=generators))
        with mask:
            losses = self.consistency_losses(self.segment(masked, 'masked'), masked)
        yield scale_losses(losses, self.lambda_mask)

    @torch.no_grad()
    def masked_images(self, batch: DomainBatch, teacher: TeacherPrediction) -> MixedBatch:
        """Build the images whose pixels or tokens are masked, with the labels of the unmasked."""
        masked = self.label_target(batch.target.images, teacher)
        if self.mask_mode == 'separate':
            masked = self._alternate(batch, masked)
        # Of its own, so that the host's mixing and augmentation are drawn as without masks.
        generators = derive_generators(batch.target.generators, 1)
        images = masked.images  # (N, 3, H, W)
        if self.mask_augment is not None:
            scale = self.data_preprocessor.scale()
            images = self.mask_augment(images, **scale, generators=generators)
        if self.mask_at == 'image':
            images = self.mask(images, generators=generators)
        return replace(masked, images=images)

    @staticmethod
    def _alternate(batch: DomainBatch, target: MixedBatch) -> MixedBatch:
        """Replace every other image of the joint batch of all processes by that of the source."""
        rank, world_size = get_dist_info()
        places = torch.arange(len(target.images), device=target.images.device)
        places = places * world_size + rank  # in the joint batch
        from_source = (places % 2 == 0).view(-1, 1, 1, 1).expand_as(target.mask).to(target.mask)
        ones, significance = torch.ones_like(target.pixel_weight), target.significance
        if significance is not None:
            significance = paste(from_source, torch.ones_like(significance), significance)
        return replace(
            target,
            images=paste(from_source, batch.source.images, target.images),
            labels=paste(from_source, batch.source.labels, target.labels),
            pixel_weight=paste(from_source, ones, target.pixel_weight),
            significance=significance,
            mask=from_source,
        )
