"""Mean teachers: consistency with a moving average, on target images or on mixed ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Iterator

import torch
from mmengine.utils import deprecated_api_warning
from mmseg.models.utils import resize
from mmseg.registry import MODELS, TRANSFORMS
from mmseg.utils import ConfigType, OptConfigType
from torch import Tensor

from mmseg_uda.datasets.batch_transforms.base import (
    BatchTransform,
    build_batch_transform,
    derive_generators,
)
from mmseg_uda.datasets.batch_transforms.mixer import Mixer
from mmseg_uda.models.decode_loss import scale_losses
from mmseg_uda.models.teacher import LABEL_WEIGHTS, agreement, confidence_weight
from mmseg_uda.models.uda.base import BaseUDASegmentor
from mmseg_uda.structures import (
    DomainBatch,
    ImageBatch,
    Losses,
    MixedBatch,
    SegOutput,
    TeacherPrediction,
)
from mmseg_uda.utils.arguments import check_choice, check_number

__all__ = ['MeanTeacher']


@MODELS.register_module()
class MeanTeacher(BaseUDASegmentor):
    """Context-Aware Mixup for Domain Adaptive Semantic Segmentation (CAMix; TCSVT 2022),
    `arXiv:2108.03557 <https://arxiv.org/abs/2108.03557>`_, and the methods in its Table 2: by its
    parts a plain mean teacher, CutMix, CowMix, DACS or iDACS. Equation numbers are CAMix's.

    Needs ``custom_hooks=[dict(type='EMATeacherHook')]``. Pseudo labels from files are not used:
    labels of target images are the teacher's. A subclass adds another consistency term by
    overriding :meth:`target_losses`.

    Args:
        segmentor: As for :class:`BaseUDASegmentor`.
        teacher: Config of the :class:`EMATeacher`.
        consistency: Config of the :class:`ConsistencyLoss`.
        mixer: Config of a mixer, which pastes pixels of one domain into images of the other; None
            to learn from the target images themselves.
        augment: Config of a transform of the images, not of the labels, that the student learns the
            teacher's labels on; None for no augmentation.
        weak_augment: Config of a transform of the images of both domains before all else; the
            teacher alone sees the target's as they are (VFM-UDA). None for none.
        significance: Config of the weight of each pixel of a teacher's label; None for 1.
        pseudo_threshold: Probability from which the teacher is confident of a pixel, in [0, 1].
        label_weight: Weight of the teacher's labels: the ``'ratio'`` of confident pixels in each
            image; the ``'batch_ratio'``, in all images of the batch, over all processes (code of
            DACS and CAMix); by ``'pixel'``, 1 where the teacher is confident and else 0; None for
            1. Pixels of the source have 1. With ``'scalar'`` they have the ``'batch_ratio'``, too:
            it weighs the whole loss.
        eval_on: Network at test time, in tools and for pseudo labels: the ``'student'`` (the code)
            or the ``'teacher'`` (Algorithm 1).
        kwargs: As for :class:`BaseUDASegmentor`.

    Raises:
        TypeError: ``mixer`` is no mixer, or ``weak_augment`` no transform of whole batches.
        ValueError: An argument is out of range, or the mixer does not suit the classes.
    """

    passes = ('source', 'mix', 'target')
    iteration: int | None = None
    """t, from 0; the :class:`EMATeacherHook` sets it."""

    renamed: ClassVar[dict[str, str]] = {'confidence': 'label_weight'}
    """Old names of arguments, which work with a warning, and the new ones."""

    @deprecated_api_warning(renamed, cls_name='MeanTeacher')
    def __init__(
        self,
        segmentor: ConfigType,
        *,
        teacher: ConfigType,
        consistency: ConfigType,
        mixer: OptConfigType = None,
        augment: OptConfigType = None,
        weak_augment: OptConfigType = None,
        significance: OptConfigType = None,
        pseudo_threshold: float = 0.968,
        label_weight: str | None = 'ratio',
        eval_on: str = 'student',
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        check_choice(f'{name}.label_weight', label_weight, LABEL_WEIGHTS)
        check_choice(f'{name}.eval_on', eval_on, ('student', 'teacher'))
        check_number(f'{name}.pseudo_threshold', pseudo_threshold, '[0, 1]')
        super().__init__(segmentor, **kwargs)
        self.teacher = MODELS.build(teacher, default_args=dict(student=self.student))
        self.consistency = MODELS.build(consistency)
        self.mixer: Any = None
        if mixer:
            self.mixer = build_batch_transform(
                f'{name}.mixer', mixer, Mixer, 'a mixer of two domains', 'ContextMix'
            )
            self.mixer.check(self.student.num_classes)
        else:
            self.check_regularizers([each for each in self.passes if each != 'mix'])
        self.augment = TRANSFORMS.build(augment) if augment else None
        kind = (BatchTransform, 'a transform of whole batches', 'StrongAugment')
        self.weak_augment = weak_augment and build_batch_transform(
            f'{name}.weak_augment', weak_augment, *kind
        )
        self.significance = MODELS.build(significance) if significance else None
        self.pseudo_threshold = pseudo_threshold
        self.label_weight = label_weight
        self.eval_on = eval_on

    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """Algorithm 1; its last line, eq. (3), is the :class:`EMATeacherHook`."""
        seen = self.augment_weakly(batch)
        yield self.source_losses(seen)  # L_seg, eq. (10)
        teacher = self.predict_target(batch.target)  # Y_T, U_T, eq. (5)-(7)
        yield from self.target_losses(seen, teacher)
        if self.mixer is not None and self.is_requested('target'):  # unmixed (VFM-UDA++)
            self.segment(seen.target, 'target')
            yield {}

    @torch.no_grad()
    def augment_weakly(self, batch: DomainBatch) -> DomainBatch:
        """Augment the images of both domains."""
        if self.weak_augment is None:
            return batch
        augmented = {}
        for domain, own in batch:
            scale = self.data_preprocessor.scale(domain)
            generators = derive_generators(own.generators, 2)
            images = self.weak_augment(own.images, **scale, generators=generators)
            augmented[domain] = replace(own, images=images)
        return DomainBatch(**augmented)

    def source_losses(self, batch: DomainBatch) -> Losses:
        """Compute the supervised losses on the source."""
        source = self.segment(batch.source, 'source')  # logits (N, C, h, w)
        return self.supervised_losses(source, batch.source.labels)

    def target_losses(self, batch: DomainBatch, teacher: TeacherPrediction) -> Iterator[Losses]:
        """Yield the consistency terms, one dict each.

        A term is a pass on images with labels, and :meth:`consistency_losses` of it. A subclass
        yields its own after these, from the same ``teacher``; a ``domain`` of its own for
        :meth:`segment` keeps the names in the log apart.
        """
        mixed = self.mix(batch, teacher)  # X_M, Y_M, U_M, eq. (2), (4), (8)
        output = self.segment(mixed, 'mix' if self.mixer else 'target')
        losses = self.consistency_losses(output, mixed)  # L_con, eq. (9)
        if self.mixer is not None:
            losses['mix.source_ratio'] = mixed.mask.float().mean()  # pasted pixels
        yield {**losses, **self.teacher_statistics(teacher)}

    def predict_target(self, target: ImageBatch) -> TeacherPrediction:
        """Predict target images with the teacher.

        Raises:
            RuntimeError: No hook updates the teacher.
        """
        if self.iteration is None:
            raise RuntimeError(
                'MeanTeacher.iteration: expected a number, but got None; write custom_hooks=['
                "dict(type='EMATeacherHook')], which sets it and updates the teacher"
            )
        images = target.images  # (N, 3, H, W)
        probabilities = self.probabilities(self.teacher(images), images)  # (N, C, H, W)
        if self.teacher.mirrored:
            mirrored = self.probabilities(self.teacher(images.flip(3)), images).flip(3)
            probabilities = (probabilities + mirrored) / 2
        confidence, label = probabilities.max(1)  # (N, H, W)
        significance = None
        if self.significance is not None:
            significance = self.significance(
                self.teacher, images, self.iteration, generators=target.generators
            )  # (N, H, W)
        return TeacherPrediction(
            probabilities, label, confidence, significance, target.label_mask, target.seeds
        )

    def confident(self, teacher: TeacherPrediction) -> Tensor:
        """Compute the mask of confident pixels: 1 or 0, shape (N, H, W), float."""
        return (teacher.confidence >= self.pseudo_threshold).float()

    @torch.no_grad()
    def mix(self, batch: DomainBatch, teacher: TeacherPrediction) -> MixedBatch:
        """Build the images and labels for the consistency loss: mixed and augmented."""
        unmixed = mixed = self.label_target(batch.target.images, teacher)
        generators = batch.target.generators  # of the pairs: source and target meet by position
        if self.mixer is not None:
            mixed = self.mixer(batch, teacher, self.iteration, mixed.pixel_weight, generators)
        if self.label_weight == 'scalar':  # of pasted pixels too, which have no margins
            ratio = self.target_weight(replace(teacher, label_mask=None))  # (N, H, W)
            pasted = mixed.mask[:, 0] > 0.5
            weight = torch.where(pasted, ratio, unmixed.pixel_weight)
            mixed = replace(mixed, pixel_weight=weight)
        if self.augment is None:
            return mixed
        scale = self.data_preprocessor.scale()
        return replace(mixed, images=self.augment(mixed.images, **scale, generators=generators))

    def label_target(self, images: Tensor, teacher: TeacherPrediction) -> MixedBatch:
        """Combine versions of the target images, shape (N, 3, H, W), with the teacher's labels."""
        return MixedBatch(
            images,
            teacher.label,
            self.target_weight(teacher),
            teacher.significance,
            torch.zeros_like(images[:, :1]),  # no pixel of the source
            teacher.probabilities,
            teacher.seeds,
        )

    def target_weight(self, teacher: TeacherPrediction) -> Tensor:
        """Compute the weight of the teacher's labels, shape (N, H, W): 0 in margins.

        Confident pixels count in margins too, as in DAFormer's code.
        """
        confident = self.confident(teacher)
        weight = confidence_weight(confident, self.label_weight, joint=self.training)
        return weight if teacher.label_mask is None else weight * teacher.label_mask

    def consistency_losses(self, output: SegOutput, mixed: MixedBatch) -> Losses:
        """Compute the consistency loss of one pass.

        Args:
            output: A student pass on ``mixed.images``.
            mixed: Images with labels.

        Returns:
            ``{domain}.decode.loss_con``, and ``{domain}.decode.agreement``, the share of target
            pixels on which the student agrees with the teacher; ``{domain}.detail.*`` with several
            resolutions.
        """
        losses: Losses = {}
        for name, logits, share, cut in output.parts():
            part = self._consistency(logits, mixed.cut(cut))
            part = {f'{output.domain}.{name}.{key}': value for key, value in part.items()}
            losses.update(scale_losses(part, share))
        return losses

    def _consistency(self, seg_logits: Tensor, mixed: MixedBatch) -> Losses:
        head = self.student.decode_head
        logits = resize(
            seg_logits,
            size=mixed.labels.shape[1:],
            mode='bilinear',
            align_corners=head.align_corners,
        )  # (N, C, H, W)
        loss = self.consistency(
            logits,
            mixed.labels,
            mixed.pixel_weight,
            mixed.significance,
            ignore_index=head.ignore_index,
            probabilities=mixed.probabilities,
        )
        return {self.consistency.loss_name: loss, 'agreement': agreement(logits.detach(), mixed)}

    def teacher_statistics(self, teacher: TeacherPrediction) -> Losses:
        """Compute the shares of confident and of significant pixels, for the log."""
        statistics = {'pseudo.confident_ratio': self.confident(teacher).mean()}
        if teacher.significance is not None:
            statistics['pseudo.significant_ratio'] = teacher.significance.mean()
        return statistics

    def init_weights(self) -> None:
        """Initialise the student, and copy it to the teacher."""
        super().init_weights()
        self.teacher.copy_from(self.student)

    @property
    def tested(self) -> Any:
        """The student, or its average."""
        return self.student if self.eval_on == 'student' else self.teacher.module

    @torch.no_grad()
    def visualize(self, batch: DomainBatch) -> dict[str, Tensor]:
        """Compute the labels of one iteration on the target's first image; maps of shape (H, W)."""
        teacher = self.predict_target(batch.target)
        mixed = self.mix(batch, teacher)
        maps = {
            'teacher label': teacher.label,
            'teacher confidence': teacher.confidence,
            'significance': teacher.significance,
            'mask: 1 = source': mixed.mask[:, 0],
            'mixed image': self.data_preprocessor.pictures(mixed.images),
            'mixed label': mixed.labels,
            'mixed significance': mixed.significance,
        }
        return {caption: values[0] for caption, values in maps.items() if values is not None}
