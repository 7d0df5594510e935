"""CAMix's contextual mask: mixing by classes that keeps to where and beside what things are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import TRANSFORMS
from torch import Generator, Tensor

from mmseg_uda.artifacts.spatial_prior import SpatialPrior
from mmseg_uda.datasets.batch_transforms.class_mix import (
    check_class_share,
    choose_classes,
    pixels_of,
    present_classes,
)
from mmseg_uda.datasets.batch_transforms.mixer import Mixer
from mmseg_uda.structures import DomainBatch, ImageBatch, TeacherPrediction

__all__ = ['ContextMix', 'related_classes']


def related_classes(chosen: Tensor, present: Tensor, related: Tensor, hops: int) -> Tensor:
    """Chosen classes with all that they pull along, over and over.

    Args:
        chosen: Shape (N, C), bool.
        present: Shape (N, C), bool; an absent class is neither pulled nor pulls.
        related: 1 in row i, column j where class i pulls class j; shape (C, C).
        hops: How often; as many as there are classes that pull is always enough, since a chain
            leaves each of them at most once.

    Returns:
        Shape (N, C), bool.
    """
    for _ in range(hops):
        chosen = chosen | (chosen.float() @ related > 0.5) & present
    return chosen


@TRANSFORMS.register_module()
class ContextMix(Mixer):
    r"""Contextual mask of Zhou et al., "Context-Aware Mixup for Domain Adaptive Semantic
    Segmentation" (TCSVT 2022), `arXiv:2108.03557 <https://arxiv.org/abs/2108.03557>`_, Section 3.1:
    half of the target's classes are pasted onto the source, with the classes that belong to them.

    The classes are those of the modulated label :math:`\arg\max_c Q_c P_c`: the teacher's
    probabilities P times the spatial prior Q of the source. It decides where the target is pasted;
    the label that is pasted is the teacher's own (Eq. 4, and the official code).

    **Meta-classes.** ``{6: (5, ), 5: (6, 7)}`` says that a light pulls its pole, and a pole its
    lights and signs; the relation is directed. The official code makes one sequential pass over the
    list of chosen classes while it grows, so that a light brings the signs as well, through the
    pole; another order of the same rules would not. Here the chosen classes get everything that
    can be reached from them through classes present in the image: for the paper's rules that is
    what the code's order gives, and it does not depend on any order.

    Args:
        prior: File that ``tools/spatial_prior.py`` wrote; the target pipeline then needs
            ``TrackPositions`` of its size. Read when training starts. None is Q = 1.
        meta_classes: For a class, the classes that it pulls along where they are present.
        share: Share of the present classes that is chosen, rounded up, in (0, 1].
        mix_modulated: Whether the modulated label is pasted too.
        warmup_iters: Iterations at the start that mix as DACS does, classes of the source's ground
            truth onto the target: 110k (GTA5) and 40k (SYNTHIA) in the official code, 0 in the
            paper.
    """

    related: Tensor
    prior_values: Tensor | None

    def __init__(
        self,
        prior: str | None = None,
        meta_classes: Mapping[int, Sequence[int]] | None = None,
        share: float = 0.5,
        mix_modulated: bool = False,
        warmup_iters: int = 0,
    ) -> None:
        super().__init__()
        if prior is not None and (not isinstance(prior, str) or not prior):
            raise TypeError(
                f'ContextMix.prior got {prior!r}; write the file that '
                'tools/spatial_prior.py wrote, or None instead'
            )
        if isinstance(warmup_iters, bool) or not isinstance(warmup_iters, int) or warmup_iters < 0:
            raise ValueError(
                f'ContextMix.warmup_iters got {warmup_iters!r}; write a number of '
                'iterations, 0 for none, instead'
            )
        self.prior = prior
        self.meta_classes = _check_meta_classes(meta_classes or {})
        self.share = check_class_share('ContextMix.share', share)
        self.mix_modulated = mix_modulated
        self.warmup_iters = warmup_iters
        named = [each for key, pulled in self.meta_classes.items() for each in (key, *pulled)]
        related = torch.zeros([max(named, default=-1) + 1] * 2)
        for key, pulled in self.meta_classes.items():
            related[key, list(pulled)] = 1
        # Buffers, to be moved with the model; in no checkpoint, as the config has them.
        self.register_buffer('related', related, persistent=False)
        self.register_buffer('prior_values', None, persistent=False)

    def check(self, num_classes: int) -> None:
        if len(self.related) > num_classes:
            raise ValueError(
                f'ContextMix.meta_classes uses class {len(self.related) - 1}, but the '
                f'student predicts {num_classes} classes (0..{num_classes - 1}); '
                'correct meta_classes or num_classes'
            )

    def init_weights(self) -> None:
        """Read the prior's file, so that a missing one ends a run before its first iteration.

        Raises:
            FileNotFoundError: If it is missing.
            ValueError: If it is damaged.
        """
        if self.prior is not None and self.prior_values is None:
            values = torch.from_numpy(SpatialPrior.read(self.prior).values)
            # Where no class was ever seen the prior says nothing.
            unknown = (values.sum(0) == 0) & (values.sum((1, 2)) > 0)[:, None, None]
            self.prior_values = values.masked_fill(unknown, 1.0).to(self.related.device)

    def mask(
        self,
        batch: DomainBatch,
        teacher: TeacherPrediction,
        iteration: int,
        generator: Generator | None = None,
    ) -> Tensor:
        num_classes = teacher.probabilities.shape[1]
        self.check(num_classes)
        warm_up = iteration < self.warmup_iters
        labels = batch.source.labels if warm_up else self.modulate(batch.target, teacher)
        present = present_classes(labels, num_classes)
        chosen = choose_classes(present, self.share, generator)
        if warm_up:
            return pixels_of(chosen, labels)
        unnamed = num_classes - len(self.related)
        related = F.pad(self.related, (0, unnamed, 0, unnamed))
        chosen = related_classes(chosen, present, related, len(self.meta_classes))
        return 1 - pixels_of(chosen, labels)

    def target_labels(
        self, batch: DomainBatch, teacher: TeacherPrediction, iteration: int
    ) -> Tensor:
        if self.mix_modulated and iteration >= self.warmup_iters:
            return self.modulate(batch.target, teacher)
        return teacher.label

    def modulate(self, target: ImageBatch, teacher: TeacherPrediction) -> Tensor:
        r"""The modulated label :math:`\arg\max_c Q_c P_c`.

        Args:
            target: Its samples carry ``prior_positions``, see ``TrackPositions``.
            teacher: What the teacher says of it.

        Returns:
            Shape (N, H, W); C where a pixel has no place in the prior (padding).

        Raises:
            ValueError: If positions are missing or of another size, or the prior has other classes.
        """
        self.init_weights()
        if self.prior_values is None:
            return teacher.label
        positions = self._positions(target, teacher)
        num_classes = teacher.probabilities.shape[1]
        prior = self.prior_values.flatten(1).index_select(1, positions.clamp(min=0).flatten())
        prior = prior.view(num_classes, *positions.shape).transpose(0, 1)
        label = (prior * teacher.probabilities.float()).argmax(1)
        return label.masked_fill(positions < 0, num_classes)

    def _positions(self, target: ImageBatch, teacher: TeacherPrediction) -> Tensor:
        """Cell of the prior of each pixel, -1 for none, shape (N, H, W)."""
        assert self.prior_values is not None
        num_classes, *size = self.prior_values.shape
        if num_classes != teacher.probabilities.shape[1]:
            raise ValueError(
                f'ContextMix.prior got {self.prior!r} of {num_classes} classes, but '
                f'the student predicts {teacher.probabilities.shape[1]}; run '
                'tools/spatial_prior.py with this config'
            )
        for sample in target.samples:
            if 'prior_positions' not in sample:
                raise ValueError(
                    'ContextMix.prior needs to know where target pixels were before '
                    f"the crop; write dict(type='TrackPositions', height={size[0]}, "
                    f'width={size[1]}) in train_dataloader.target.dataset.pipeline, '
                    'before RandomCrop and RandomFlip'
                )
            if list(sample.prior_positions.prior_shape) != size:
                raise ValueError(
                    f'ContextMix.prior got {self.prior!r} of size {tuple(size)}, but '
                    'the target pipeline tracks positions in '
                    f'{tuple(sample.prior_positions.prior_shape)}; write '
                    f"dict(type='TrackPositions', height={size[0]}, width={size[1]})"
                )
        return torch.cat([sample.prior_positions.data for sample in target.samples])


def _check_meta_classes(meta_classes: Mapping[int, Sequence[int]]) -> dict[int, tuple[int, ...]]:
    checked = {}
    for key, pulled in meta_classes.items():
        listed = isinstance(pulled, Sequence) and not isinstance(pulled, str)
        values = [key, *pulled] if listed else []
        if not values or any(type(value) is not int or value < 0 for value in values):
            raise ValueError(
                f'ContextMix.meta_classes got {{{key!r}: {pulled!r}}}; write a class '
                'id and the ids that it pulls along, such as {6: (5, )}, instead'
            )
        checked[key] = tuple(pulled)
    return checked
