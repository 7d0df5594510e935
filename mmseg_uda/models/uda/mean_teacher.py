"""Mean teachers: consistency with a moving average, on target images or on mixed ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterator

import torch
from mmseg.models.utils import resize
from mmseg.registry import MODELS, TRANSFORMS
from mmseg.utils import ConfigType, OptConfigType
from torch import Tensor

from mmseg_uda.datasets.batch_transforms.mixer import Mixer
from mmseg_uda.models.teacher import agreement, confidence_weight
from mmseg_uda.models.uda.base import BaseUDASegmentor
from mmseg_uda.structures import (
    DomainBatch,
    ImageBatch,
    Losses,
    MixedBatch,
    SegOutput,
    TeacherPrediction,
)

__all__ = ['MeanTeacher']


@MODELS.register_module()
class MeanTeacher(BaseUDASegmentor):
    """Context-Aware Mixup for Domain Adaptive Semantic Segmentation (CAMix; TCSVT 2022),
    `arXiv:2108.03557 <https://arxiv.org/abs/2108.03557>`_, and what its Table 2 compares it with:
    by its parts a plain mean teacher, CutMix, CowMix, DACS or iDACS. Equations are CAMix's.

    Needs ``custom_hooks=[dict(type='EMATeacherHook')]``. Pseudo labels read from files play no
    part: labels of target images are the teacher's.

    Args:
        segmentor: As for :class:`BaseUDASegmentor`.
        teacher: Config of the :class:`EMATeacher`.
        consistency: Config of the :class:`ConsistencyLoss`.
        mixer: Config of what pastes one domain's pixels into the other's images; None to
            learn from the target images themselves.
        augment: Config of what changes the images that the student learns the teacher's labels
            on, and not the labels; None for nothing.
        significance: Config of which pixels of a teacher's label count; None for all.
        pseudo_threshold: The teacher is sure of a pixel from this probability on.
        confidence: Weight of the teacher's labels: the ``'ratio'`` of pixels it is sure of in each
            image; the ``'batch_ratio'``, in all images of the batch (code of DACS and CAMix, for
            which the batches of several processes differ from a joint one); by ``'pixel'``, 1 where
            it is sure and else 0; None for 1. Pixels of the source always have 1.
        eval_on: Whom tests, tools and pseudo labels see, the ``'student'`` (the code) or the
            ``'teacher'`` (Algorithm 1).
        kwargs: As for :class:`BaseUDASegmentor`.
    """

    iteration: int | None = None
    """t, from 0; the :class:`EMATeacherHook` tells it."""

    def __init__(
        self,
        segmentor: ConfigType,
        *,
        teacher: ConfigType,
        consistency: ConfigType,
        mixer: OptConfigType = None,
        augment: OptConfigType = None,
        significance: OptConfigType = None,
        pseudo_threshold: float = 0.968,
        confidence: str | None = 'ratio',
        eval_on: str = 'student',
        **kwargs: Any,
    ) -> None:
        for key, value, choices in (
            ('confidence', confidence, ('ratio', 'batch_ratio', 'pixel', None)),
            ('eval_on', eval_on, ('student', 'teacher')),
        ):
            if value not in choices:
                raise ValueError(f'MeanTeacher.{key} got {value!r}; write one of {choices}')
        if not 0 <= pseudo_threshold <= 1:
            raise ValueError(
                f'MeanTeacher.pseudo_threshold got {pseudo_threshold}; write a number in [0, 1]'
            )
        super().__init__(segmentor, **kwargs)
        self.teacher = MODELS.build(teacher, default_args=dict(student=self.student))
        self.consistency = MODELS.build(consistency)
        self.mixer = TRANSFORMS.build(mixer) if mixer else None
        if self.mixer is not None:
            if not isinstance(self.mixer, Mixer):
                raise TypeError(
                    f'MeanTeacher.mixer got {type(self.mixer).__name__}, which mixes '
                    "no domains; write dict(type='ContextMix', ...) or another mixer"
                )
            self.mixer.check(self.num_classes)
        self.augment = TRANSFORMS.build(augment) if augment else None
        self.significance = MODELS.build(significance) if significance else None
        self.pseudo_threshold = pseudo_threshold
        self.confidence = confidence
        self.eval_on = eval_on

    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """Algorithm 1; the :class:`EMATeacherHook` is its last line, eq. (3)."""
        source = self.segment(batch.source, 'source')
        yield self.supervised(source, batch.source.labels)  # L_seg, eq. (10)
        del source

        label = self.label(batch.target.images)  # Y_T, U_T, eq. (5)-(7)
        mixed = self.mix(batch, label)  # X_M, Y_M, U_M, eq. (2), (4), (8)
        student = self.segment(
            ImageBatch(mixed.images, batch.target.samples), 'mix' if self.mixer else 'target'
        )
        yield self.follow(student, mixed, label)  # L_con, eq. (9)

    def label(self, images: Tensor) -> TeacherPrediction:
        """What the teacher says of target images, shape (N, 3, H, W), and where it counts.

        Raises:
            RuntimeError: Nobody keeps the teacher up to date.
        """
        if self.iteration is None:
            raise RuntimeError(
                'MeanTeacher does not know the iteration; write custom_hooks=[dict('
                "type='EMATeacherHook')], which also updates the teacher"
            )
        probabilities = self.probabilities(self.teacher(images), images)
        confidence, label = probabilities.max(1)
        significance = (
            None
            if self.significance is None
            else self.significance(self.teacher, images, self.iteration)
        )
        return TeacherPrediction(probabilities, label, confidence, significance)

    @torch.no_grad()
    def mix(self, batch: DomainBatch, label: TeacherPrediction) -> MixedBatch:
        """What the student is to learn the teacher's labels on."""
        images, weight = batch.target.images, confidence_weight(self.sure(label), self.confidence)
        if self.mixer is None:
            mixed = MixedBatch(
                images, label.label, weight, label.significance, torch.zeros_like(images[:, :1])
            )
        else:
            mixed = self.mixer(batch, label, self.iteration, weight)
        if self.augment is None:
            return mixed
        return replace(mixed, images=self.augment(mixed.images, **self.data_preprocessor.scale()))

    def follow(self, student: SegOutput, mixed: MixedBatch, label: TeacherPrediction) -> Losses:
        """The consistency loss, and what tells of the quality of the teacher's labels."""
        head = self.student.decode_head
        logits = resize(
            student.seg_logits,
            size=mixed.labels.shape[1:],
            mode='bilinear',
            align_corners=head.align_corners,
        )
        loss = self.consistency(
            logits,
            mixed.labels,
            mixed.pixel_weight,
            mixed.significance,
            ignore_index=head.ignore_index,
        )
        losses = {
            f'{student.domain}.decode.{self.consistency.loss_name}': loss,
            'pseudo.agreement': agreement(logits.detach(), mixed),
            'pseudo.confident_ratio': self.sure(label).mean(),
        }
        if label.significance is not None:
            losses['pseudo.significant_ratio'] = label.significance.mean()
        return losses

    def sure(self, label: TeacherPrediction) -> Tensor:
        """1 where the teacher is sure of its label, else 0; shape (N, H, W)."""
        return (label.confidence >= self.pseudo_threshold).float()

    def init_weights(self) -> None:
        """Initialise the student, as which the teacher begins."""
        super().init_weights()
        self.teacher.copy_from(self.student)

    @property
    def tested(self) -> Any:
        """The student, or its average."""
        return self.student if self.eval_on == 'student' else self.teacher.module

    @torch.no_grad()
    def visualize(self, batch: DomainBatch) -> dict[str, Tensor]:
        """What one iteration would learn of the target's first image; maps of shape (H, W)."""
        label = self.label(batch.target.images)
        mixed = self.mix(batch, label)
        maps = {
            'teacher label': label.label,
            'teacher confidence': label.confidence,
            'significance': label.significance,
            'mask: 1 = source': mixed.mask[:, 0],
            'mixed image': self.data_preprocessor.pictures(mixed.images),
            'mixed label': mixed.labels,
            'mixed significance': mixed.significance,
        }
        return {caption: values[0] for caption, values in maps.items() if values is not None}
