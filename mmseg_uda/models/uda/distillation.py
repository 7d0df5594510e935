"""ProDA, stages 2 and 3: distillation of an earlier stage into a new network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterator

from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor

from mmseg_uda.datasets.batch_transforms import build_views
from mmseg_uda.models.losses import divergence
from mmseg_uda.models.teacher import FixedTeacher
from mmseg_uda.models.uda.base import BaseUDASegmentor
from mmseg_uda.structures import DomainBatch, Losses, SegOutput
from mmseg_uda.utils.arguments import check_choice, check_number

__all__ = ['Distillation']


@MODELS.register_module()
class Distillation(BaseUDASegmentor):
    r"""Stages 2 and 3 of ProDA (`arXiv:2101.10979 <https://arxiv.org/abs/2101.10979>`_, Section
    3.4), from pseudo labels of the stage before and with its network as the teacher.

    The target's batch has whole images with pseudo labels (``LoadPseudoLabels``). The method cuts a
    weak view out of them, and learns on a strong view of that. With a :class:`SelfAttentionLoss`
    on the domains ``('source', 'strong')`` it is ProDA with SAM.

    Args:
        segmentor: As for :class:`BaseUDASegmentor`.
        fixed_teacher: Config of the :class:`FixedTeacher`, the network of the stage before.
        weak_view: Config of a :class:`RandomView`.
        strong_view: Config of a :class:`RandAugment`.
        lambda_kd: Weight of the distillation, eq. (13).
        form: ``'kl'`` (eq. (13)), or ``'official'``, what the released code computes; see
            :func:`divergence`.
        kwargs: As for :class:`BaseUDASegmentor`.

    Raises:
        TypeError: A view or the teacher is of another class.
        ValueError: ``form`` is unknown, or the teacher has other classes.
    """

    passes = ('source', 'strong')

    def __init__(
        self,
        segmentor: ConfigType,
        *,
        fixed_teacher: ConfigType,
        weak_view: ConfigType,
        strong_view: ConfigType,
        lambda_kd: float = 1.0,
        form: str = 'kl',
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        check_choice(f'{name}.form', form, ('kl', 'official'))
        check_number(f'{name}.lambda_kd', lambda_kd, '[0, inf)')
        super().__init__(segmentor, **kwargs)
        self.weak_view, self.strong_view = build_views(name, weak_view, strong_view)
        self.fixed_teacher: FixedTeacher = MODELS.build(fixed_teacher)
        classes = self.fixed_teacher.module.out_channels
        if classes != self.out_channels:
            raise ValueError(
                f'{name}.fixed_teacher.segmentor.decode_head: expected {self.out_channels} outputs,'
                f' as the student has, but got {classes}'
            )
        self.lambda_kd = lambda_kd
        self.form = form

    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """Eq. (13): cross entropy of both domains, and distillation."""
        target = batch.target
        if not target.has_pseudo_labels:
            raise ValueError(
                'Distillation: expected target images with pseudo labels, but got none; write '
                "dict(type='LoadPseudoLabels', pseudo_dir=...) into "
                'train_dataloader.target.dataset.pipeline'
            )
        source = self.segment(batch.source, 'source')  # logits (N, C, h, w)
        yield self.supervised_losses(source, batch.source.labels)
        del source  # the next pass needs the memory of its features

        weak_view = self.weak_view(target.images, target.generators)
        images, strong_view = self.strong_view(
            weak_view.warp(target.images),
            **self.data_preprocessor.scale(),
            generators=target.generators,
        )  # (N, 3, H, W)
        ignore_index = self.student.decode_head.ignore_index
        labels = weak_view.warp_labels(target.labels, ignore_index)
        labels = strong_view.warp_labels(labels, ignore_index)  # (N, H, W)
        strong = self.segment(replace(target, images=images), 'strong')
        yield {**self.supervised_losses(strong, labels), **self.distillation_losses(strong, images)}

    def distillation_losses(self, output: SegOutput, images: Tensor) -> Losses:
        """Compute the divergence of a student pass from the teacher on the same images.

        Returns:
            ``{domain}.decode.loss_kd``.
        """
        logits = self.fixed_teacher(images).float()
        logits = resize(
            logits,
            size=output.seg_logits.shape[2:],
            mode='bilinear',
            align_corners=self.align_corners,
        )  # (N, C, h, w)
        loss = divergence(logits.softmax(1), output.seg_logits, form=self.form)
        return {f'{output.domain}.decode.loss_kd': self.lambda_kd * loss}
