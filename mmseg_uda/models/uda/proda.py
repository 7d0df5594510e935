"""ProDA, stage 1: labels denoised by prototypes, and the structure of the target."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import Any, Iterator

import torch
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from mmseg_uda.datasets.batch_transforms import View, build_views
from mmseg_uda.models.contexts import capture_inputs
from mmseg_uda.models.layers import class_means
from mmseg_uda.models.losses import (
    divergence,
    negative_log_likelihood,
    pixel_cross_entropy,
    reverse_cross_entropy,
)
from mmseg_uda.models.prototypes import Prototypes
from mmseg_uda.models.uda.base import BaseUDASegmentor
from mmseg_uda.structures import DomainBatch, ImageBatch, Losses, SegOutput
from mmseg_uda.utils.arguments import check_choice, check_integer, check_number

__all__ = ['ProDA']


@MODELS.register_module()
class ProDA(BaseUDASegmentor):
    r"""Prototypical Pseudo Label Denoising and Target Structure Learning for Domain Adaptive
    Semantic Segmentation (ProDA; CVPR 2021), `arXiv:2101.10979
    <https://arxiv.org/abs/2101.10979>`_, stage 1. Equation numbers refer to it. Stages 2 and 3 are
    :class:`Distillation`.

    The target's batch has whole images with the soft labels of the warm-up (``LoadSoftLabels``).
    The method cuts the weak view out of them, and makes the strong view of the weak one. Features
    and labels have the resolution 1 / ``reduction`` of the images.

    Needs ``custom_hooks=[dict(type='EMATeacherHook')]``. Pseudo labels from files are not used.

    Args:
        segmentor: As for :class:`BaseUDASegmentor`.
        teacher: Config of the :class:`EMATeacher`; ``mode='train'`` is the published code's.
        weak_view: Config of a :class:`RandomView`.
        strong_view: Config of a :class:`RandAugment`.
        prototypes: File of the stage ``prototypes``; None starts with the first images.
        feature_at: Module of the student whose input is the feature map, a convolution; its
            classifier by default.
        reduction: See above.
        tau: Temperature of eq. (6) and (10).
        prototype_momentum: Weight of an image's mean feature in the update of a prototype.
        min_pixels: Pixels of a class that such a mean needs.
        pseudo_threshold: Probability from which a denoised label counts, in [0, 1].
        lambda_ce: Weight of the cross entropy on denoised labels; :math:`\alpha` of eq. (8).
        lambda_rce: Weight of the reverse cross entropy; :math:`\beta` of eq. (8).
        lambda_reg: Weight of the regulariser of the target's prediction.
        lambda_structure: Weight of the structure term, eq. (11).
        structure_per: Its divisor: each ``'element'`` (the code, for which 10 is the weight) or
            each ``'pixel'``; see :func:`divergence`.
        kwargs: As for :class:`BaseUDASegmentor`.

    Raises:
        TypeError: A view is of another class.
        ValueError: An argument is out of range, or ``feature_at`` names no convolution.
    """

    iteration: int | None = None
    """t, from 0; the :class:`EMATeacherHook` sets it."""

    passes = ('source', 'weak', 'strong')

    def __init__(
        self,
        segmentor: ConfigType,
        *,
        teacher: ConfigType,
        weak_view: ConfigType,
        strong_view: ConfigType,
        prototypes: str | None = None,
        feature_at: str = 'decode_head.conv_seg',
        reduction: int = 4,
        tau: float = 1.0,
        prototype_momentum: float = 1e-4,
        min_pixels: int = 10,
        pseudo_threshold: float = 0.0,
        lambda_ce: float = 0.1,
        lambda_rce: float = 1.0,
        lambda_reg: float = 0.1,
        lambda_structure: float = 10.0,
        structure_per: str = 'element',
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        check_choice(f'{name}.structure_per', structure_per, ('element', 'pixel'))
        check_integer(f'{name}.reduction', reduction, 1)
        check_integer(f'{name}.min_pixels', min_pixels, 0)
        check_number(f'{name}.pseudo_threshold', pseudo_threshold, '[0, 1]')
        check_number(f'{name}.prototype_momentum', prototype_momentum, '[0, 1]')
        check_number(f'{name}.tau', tau, '(0, inf)')
        lambdas = dict(ce=lambda_ce, rce=lambda_rce, reg=lambda_reg, structure=lambda_structure)
        for key, value in lambdas.items():
            check_number(f'{name}.lambda_{key}', value, '[0, inf)')
        super().__init__(segmentor, **kwargs)
        self.weak_view, self.strong_view = build_views(name, weak_view, strong_view)
        self.feature_at = feature_at
        self.prototypes = Prototypes(
            self.num_classes, self._feature_channels(), prototypes, prototype_momentum, tau
        )
        self.teacher = MODELS.build(teacher, default_args=dict(student=self.student))
        self.reduction = reduction
        self.min_pixels = min_pixels
        self.pseudo_threshold = pseudo_threshold
        self.lambdas = lambdas
        self.structure_per = structure_per
        self._means: tuple[Tensor, Tensor] | None = None  # of the current iteration's images

    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """Eq. (12); the update of prototypes, eq. (7), is :meth:`after_step`."""
        source = self.segment(batch.source, 'source')  # logits (N, C, h, w)
        yield self.supervised_losses(source, batch.source.labels)
        del source  # the next pass needs the memory of its features

        target = batch.target
        view = self.weak_view(target.images, target.generators)
        images = view.warp(target.images)  # the weak view, (N, 3, H', W')
        features, labels = self.denoise(target, view)  # z of the teacher, (N, A, h, w); (N, h, w)
        weak = self.segment(replace(target, images=images), 'weak')
        yield self.denoised_losses(weak, labels)  # eq. (8)
        del weak

        images, view = self.strong_view(
            images, **self.data_preprocessor.scale(), generators=target.generators
        )
        with capture_inputs(self._feature_module(self.student)) as captured:
            strong = self.segment(replace(target, images=images), 'strong')
        yield self.structure_losses(features, view, self._reduce(captured[-1], images))  # eq. (11)
        del strong

    @torch.no_grad()
    def represent(self, network: Any, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute a network's features (N, A, h, w) and logits (N, C, h, w) of images."""
        with capture_inputs(self._feature_module(network)) as captured:
            logits = network.decode_head.forward(network.extract_feat(images))
        return self._reduce(captured[-1], images), self._reduce(logits, images)

    @torch.no_grad()
    def denoise(self, target: ImageBatch, view: View) -> tuple[Tensor, Tensor]:
        """Compute the teacher's features and the denoised labels of a view, eq. (5) and (6).

        Raises:
            RuntimeError: No hook updates the teacher.
            ValueError: The images have no soft labels, or are padded.
        """
        self._check(target)
        features, logits = self.represent(self.teacher.module, target.images)
        self._means = class_means(features, logits.argmax(1), self.num_classes, self.min_pixels)
        size = self._size(view.size)
        features = view.warp(features, size)
        soft_labels = self._reduce(target.soft_labels, target.images)  # the grid of the features
        soft_labels = view.warp(soft_labels, size)  # p of the warm-up, (N, C, h, w)
        weights = self.prototypes.logits(features).softmax(1)  # omega, eq. (6)
        prob = weights * soft_labels
        confidence, labels = (prob / prob.sum(1, keepdim=True).clamp(min=1e-30)).max(1)
        # A pixel whose only class has no prototype yet is of no class at all.
        unknown = (confidence < self.pseudo_threshold) | (confidence == 0)
        return features, labels.masked_fill(unknown, self.student.decode_head.ignore_index)

    def denoised_losses(self, output: SegOutput, labels: Tensor) -> Losses:
        """Compute the symmetric cross entropy on denoised labels, and the regulariser.

        Args:
            output: A student pass of the weak view.
            labels: Shape (N, h, w), int64.

        Returns:
            ``{domain}.decode.loss_denoised_{ce,rce,reg}``, and the share of labels that count.
        """
        logits = self._resize(output.seg_logits, tuple(labels.shape[1:]))
        ignore_index = self.student.decode_head.ignore_index
        values = dict(
            ce=pixel_cross_entropy(logits, labels, ignore_index=ignore_index),
            rce=reverse_cross_entropy(logits, labels, ignore_index),
            reg=negative_log_likelihood(logits),
        )
        losses = {
            f'{output.domain}.decode.loss_denoised_{key}': self.lambdas[key] * value
            for key, value in values.items()
        }
        return {**losses, 'pseudo.confident_ratio': (labels != ignore_index).float().mean()}

    def structure_losses(self, teacher: Tensor, view: View, student: Tensor) -> Losses:
        """Compute the divergence of the student's assignment to prototypes from the teacher's.

        Args:
            teacher: The teacher's features of the weak view, shape (N, A, h, w).
            view: The strong view of the weak one.
            student: The student's features of the strong view, shape (N, A, h, w).

        Returns:
            ``strong.decode.loss_structure``.
        """
        with torch.no_grad():
            assigned = self.prototypes.logits(teacher).softmax(1)  # z_T, eq. (10), (N, C, h, w)
            height, width = student.shape[2:]
            size = (int(height), int(width))
            assigned = view.warp(assigned, size, mode='nearest', fill=0.0)
            shown = view.warp(torch.ones_like(assigned[:, :1]), size, mode='nearest') > 0
        logits = self.prototypes.logits(student)
        loss = divergence(assigned, logits, shown, per=self.structure_per)
        return {'strong.decode.loss_structure': self.lambdas['structure'] * loss}

    def after_step(self) -> None:
        """Move the prototypes to the mean features of the iteration's images, eq. (7)."""
        if self._means is not None:
            self.prototypes.update(*self._means)
            self._means = None

    def init_weights(self) -> None:
        """Initialise the student, and copy it to the teacher."""
        super().init_weights()
        self.teacher.copy_from(self.student)

    # ------------------------------------------------------------------------------------- parts

    def _feature_module(self, network: nn.Module) -> nn.Module:
        module: nn.Module = attrgetter(self.feature_at)(network)
        return module

    def _feature_channels(self) -> int:
        try:
            return int(self._feature_module(self.student).in_channels)  # type: ignore[arg-type]
        except (AttributeError, TypeError) as error:
            raise ValueError(
                f'{type(self).__name__}.feature_at: expected the name of a convolution of '
                f'{type(self.student).__name__}, but got {self.feature_at!r} ({error}); write the '
                "module whose input prototypes average, such as 'decode_head.conv_seg'"
            ) from error

    def _size(self, size: tuple[int, int]) -> tuple[int, int]:
        height, width = (-(-side // self.reduction) for side in size)
        return height, width

    def _reduce(self, maps: Tensor, images: Tensor) -> Tensor:
        """Bring maps of images to the resolution of the method."""
        height, width = images.shape[2:]
        return self._resize(maps, self._size((height, width)))

    def _resize(self, maps: Tensor, size: tuple[int, ...]) -> Tensor:
        return resize(maps, size=size, mode='bilinear', align_corners=self.align_corners)

    def _check(self, target: ImageBatch) -> None:
        if self.iteration is None:
            raise RuntimeError(
                'ProDA.iteration: expected a number, but got None; write custom_hooks=['
                "dict(type='EMATeacherHook')], which sets it and updates teacher and prototypes"
            )
        if not target.has_soft_labels:
            raise ValueError(
                'ProDA: expected target images with soft labels, but got none; write '
                "dict(type='LoadSoftLabels', pseudo_dir=...) into "
                'train_dataloader.target.dataset.pipeline'
            )
        size = tuple(target.images.shape[2:])
        if any(sample.metainfo.get('img_shape', size)[:2] != size for sample in target.samples):
            raise ValueError(
                f'ProDA: expected target images of one size, but got padded ones of {size}; write '
                "dict(type='Resize', scale=..., keep_ratio=False) into "
                'train_dataloader.target.dataset.pipeline'
            )
