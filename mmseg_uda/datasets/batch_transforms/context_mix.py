"""Mixing by classes in their spatial and semantic context: CAMix's contextual mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import TRANSFORMS
from torch import Generator, Tensor

from mmseg_uda.artifacts.spatial_prior import SpatialPrior
from mmseg_uda.datasets.batch_transforms.class_mix import (
    choose_classes,
    pixels_of,
    present_classes,
)
from mmseg_uda.datasets.batch_transforms.mixer import Mixer
from mmseg_uda.structures import DomainBatch, ImageBatch, TeacherPrediction
from mmseg_uda.utils.arguments import check_integer, check_number, expect
from mmseg_uda.utils.errors import error_context

__all__ = ['ContextMix', 'related_classes']


def related_classes(chosen: Tensor, present: Tensor, related: Tensor, hops: int) -> Tensor:
    """Add to the chosen classes all classes that they pull along, directly or in a chain.

    Args:
        chosen: Shape (N, C), bool.
        present: Shape (N, C), bool; an absent class is neither pulled nor pulls.
        related: 1 in row i, column j where class i pulls class j; shape (C, C).
        hops: Longest chain that is followed. The number of classes that pull is always enough,
            because a chain leaves each of them at most once.

    Returns:
        Shape (N, C), bool.

    Example:
        >>> chosen, present = torch.tensor([[True, False, False]]), torch.ones(1, 3).bool()
        >>> related = torch.tensor([[0.0, 1, 0], [0, 0, 1], [0, 0, 0]])  # 0 pulls 1, 1 pulls 2
        >>> related_classes(chosen, present, related, hops=2)
        tensor([[True, True, True]])
    """
    for _ in range(hops):
        # (N, C) @ (C, C): the number of chosen classes that pull each class.
        chosen = chosen | (chosen.float() @ related > 0.5) & present
    return chosen


@TRANSFORMS.register_module()
class ContextMix(Mixer):
    r"""Contextual mask of Zhou et al., "Context-Aware Mixup for Domain Adaptive Semantic
    Segmentation" (TCSVT 2022), `arXiv:2108.03557 <https://arxiv.org/abs/2108.03557>`_, Section 3.1:
    half of the target's classes are pasted onto the source, with the classes that belong to them.

    The classes are those of the modulated label :math:`\arg\max_c Q_c P_c`: the teacher's
    probabilities P times the spatial prior Q of the source. The modulated label decides where the
    target is pasted; the pasted label is the teacher's own (Eq. 4, and the official code).

    **Meta-classes.** ``{6: (5, ), 5: (6, 7)}`` says that a light pulls its pole along, and a pole
    its lights and signs; the relation is directed. The official code makes one pass over the list
    of chosen classes while the list grows, so that a light brings the signs too, through the pole;
    another order of the same rules would not. Here the chosen classes get every class that can be
    reached through classes present in the image. For the paper's rules this equals the result of
    the code's order, and it does not depend on any order.

    Args:
        prior: File that ``tools/spatial_prior.py`` wrote; the target pipeline then needs
            ``TrackPositions`` of its size. :meth:`init_weights` reads it. None is Q = 1.
        meta_classes: For a class, the classes that it pulls along where they are present.
        share: Share of the present classes that is chosen, rounded up, in (0, 1].
        mix_modulated: Paste the modulated label instead of the teacher's.
        warmup_iters: Iterations at the start that mix as DACS does, classes of the source's ground
            truth onto the target: 110k (GTA5) and 40k (SYNTHIA) in the official code, 0 in the
            paper.

    Example:
        >>> from mmseg_uda.structures import ImageBatch
        >>> images = ImageBatch(torch.rand(1, 3, 1, 3), [])
        >>> label = torch.tensor([[[0, 1, 1]]])  # (N, H, W)
        >>> probabilities = F.one_hot(label, 3).permute(0, 3, 1, 2).float()
        >>> teacher = TeacherPrediction(probabilities, label, torch.ones(1, 1, 3))
        >>> mixer = ContextMix(meta_classes={0: (1,), 1: (0,)})  # neither comes alone
        >>> mixer.mask(DomainBatch(images, images), teacher, iteration=0)
        tensor([[[[0., 0., 0.]]]])
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
                'ContextMix.prior: expected the path of a file that tools/spatial_prior.py wrote, '
                f'or None, but got {prior!r}'
            )
        check_integer('ContextMix.warmup_iters', warmup_iters, 0)
        check_number('ContextMix.share', share, '(0, 1]')
        self.prior = prior
        self.meta_classes = _check_meta_classes(meta_classes or {})
        self.share = share
        self.mix_modulated = mix_modulated
        self.warmup_iters = warmup_iters
        named = [each for key, pulled in self.meta_classes.items() for each in (key, *pulled)]
        related = torch.zeros([max(named, default=-1) + 1] * 2)
        for key, pulled in self.meta_classes.items():
            related[key, list(pulled)] = 1
        # Buffers move with the model. No checkpoint needs them, because the config has them.
        self.register_buffer('related', related, persistent=False)
        self.register_buffer('prior_values', None, persistent=False)

    def check(self, num_classes: int) -> None:
        if len(self.related) > num_classes:
            raise ValueError(
                f'ContextMix.meta_classes: expected classes 0..{num_classes - 1} of the student, '
                f'but got class {len(self.related) - 1}; correct meta_classes or num_classes'
            )

    def init_weights(self) -> None:
        """Read the prior's file, so that a missing one ends a run before its first iteration.

        Raises:
            FileNotFoundError: If it is missing.
            ValueError: If it is damaged.
        """
        if self.prior is not None and self.prior_values is None:
            with error_context('ContextMix.prior'):
                values = torch.from_numpy(SpatialPrior.read(self.prior).values)
            # A pixel at which no class was ever seen says nothing about classes: 1 for each class
            # that was seen elsewhere.
            unknown = (values.sum(0) == 0) & (values.sum((1, 2)) > 0)[:, None, None]
            self.prior_values = values.masked_fill(unknown, 1.0).to(self.related.device)

    def mask(
        self,
        batch: DomainBatch,
        teacher: TeacherPrediction,
        iteration: int,
        generators: Sequence[Generator] | None = None,
    ) -> Tensor:
        return self.mask_and_labels(batch, teacher, iteration, generators)[0]

    def mask_and_labels(
        self,
        batch: DomainBatch,
        teacher: TeacherPrediction,
        iteration: int,
        generators: Sequence[Generator] | None = None,
    ) -> tuple[Tensor, Tensor]:
        num_classes = teacher.probabilities.shape[1]
        self.check(num_classes)
        warm_up = iteration < self.warmup_iters
        labels = batch.source.labels if warm_up else self.modulate(batch.target, teacher)
        present = present_classes(labels, num_classes)
        chosen = choose_classes(present, self.share, generators)  # (N, C)
        if warm_up:
            return pixels_of(chosen, labels), teacher.label
        unnamed = num_classes - len(self.related)  # classes above all that the rules name
        related = F.pad(self.related, (0, unnamed, 0, unnamed))  # (C, C)
        chosen = related_classes(chosen, present, related, len(self.meta_classes))
        return 1 - pixels_of(chosen, labels), labels if self.mix_modulated else teacher.label

    def modulate(self, target: ImageBatch, teacher: TeacherPrediction) -> Tensor:
        r"""Compute the modulated label :math:`\arg\max_c Q_c P_c`.

        Args:
            target: Its samples carry ``prior_positions``, see ``TrackPositions``.
            teacher: Prediction for it.

        Returns:
            Shape (N, H, W); C where a pixel has no place in the prior (padding).

        Raises:
            RuntimeError: If the prior's file was not read.
            ValueError: If positions are missing or of another size, or the prior has other classes.
        """
        if self.prior is None:
            return teacher.label
        if self.prior_values is None:
            raise RuntimeError(
                f'ContextMix.prior: expected {self.prior!r} to be read, but got no values; call '
                'init_weights() of the model, as the runner does, before it is used'
            )
        positions = self._positions(target, teacher, self.prior_values)  # (N, H, W)
        num_classes = teacher.probabilities.shape[1]
        # (C, H·W of the prior) to (C, N·H·W), one column per pixel
        prior = self.prior_values.flatten(1).index_select(1, positions.clamp(min=0).flatten())
        prior = prior.view(num_classes, *positions.shape).transpose(0, 1)  # (N, C, H, W)
        # On a CPU twice as fast as `argmax`; both give the first of equal classes.
        label = (prior * teacher.probabilities.float()).max(1).indices  # (N, H, W)
        return label.masked_fill(positions < 0, num_classes)

    def _positions(self, target: ImageBatch, teacher: TeacherPrediction, prior: Tensor) -> Tensor:
        """Cell of the prior for each pixel, -1 for none, shape (N, H, W)."""
        num_classes, *size = prior.shape
        if num_classes != teacher.probabilities.shape[1]:
            raise ValueError(
                f'ContextMix.prior: expected {teacher.probabilities.shape[1]} classes, as the '
                f'student predicts, but got {self.prior!r} of {num_classes} classes; run '
                'tools/spatial_prior.py with this config'
            )
        track = f"dict(type='TrackPositions', height={size[0]}, width={size[1]})"
        for sample in target.samples:
            if 'prior_positions' not in sample:
                raise ValueError(
                    'ContextMix.prior: expected target samples with the positions of their pixels '
                    f'before the crop, but got none; write {track} in '
                    'train_dataloader.target.dataset.pipeline, before RandomCrop and RandomFlip'
                )
            tracked = tuple(sample.prior_positions.prior_shape)
            if tracked != tuple(size):
                raise ValueError(
                    f'ContextMix.prior: expected positions in {tuple(size)}, the size of '
                    f'{self.prior!r}, but got positions in {tracked}; write {track}'
                )
        return torch.cat([sample.prior_positions.data for sample in target.samples])


def _check_meta_classes(meta_classes: Mapping[int, Sequence[int]]) -> dict[int, tuple[int, ...]]:
    checked = {}
    for key, pulled in meta_classes.items():
        listed = isinstance(pulled, Sequence) and not isinstance(pulled, str)
        values = [key, *pulled] if listed else []
        expect(
            bool(values) and all(type(value) is int and value >= 0 for value in values),
            'ContextMix.meta_classes',
            'a class id and the ids that it pulls along, such as {6: (5,)}',
            {key: pulled},
        )
        checked[key] = tuple(pulled)
    return checked
