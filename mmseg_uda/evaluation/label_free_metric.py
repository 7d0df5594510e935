"""All label-free scores in one pass over target images."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS
from torch import Tensor

from mmseg_uda.evaluation.label_free import SCORES, SourcePixels, Views
from mmseg_uda.utils.arguments import (
    check_choice,
    check_integer,
    check_number,
    check_sequence,
    expect,
)

__all__ = ['LabelFreeMetric']


@dataclass(frozen=True)  # mmengine turns a NamedTuple into a tuple
class Sampled:
    """Sampled pixels of an image.

    Args:
        name: Its path.
        view: ``'plain'`` or ``'mirrored'``, of the target, or ``'source'``.
        prob: Softmax, shape (n, C).
        label: Shape (n,): of a plain view the other network's class, of the source the ground
            truth; else None.
    """

    name: str
    view: str
    prob: Tensor
    label: Tensor | None


@METRICS.register_module()
class LabelFreeMetric(BaseMetric):
    """Scores of predictions on target images, without labels.

    For the ``selection`` sets of a :class:`~mmseg_uda.engine.loops.SelectionValLoop`, whose
    ``save_best`` may then name any score::

        val_cfg = dict(
            type='SelectionValLoop',
            selection=dict(
                unlabelled=dict(
                    dataloader=dict(dataset=dict(type='MirroredViews', dataset=...)),
                    evaluator=dict(type='LabelFreeMetric'))))
        default_hooks = dict(
            checkpoint=dict(save_best='unlabelled/mutual_information', rule='greater'))

    Some scores need more than images of the target: ``mirror_agreement`` the dataset
    ``MirroredViews``, ``source_divergence`` the argument ``source_shares``, ``teacher_agreement``
    the key ``with_teacher=True`` of the selection set, and ``weighted_source_error`` labelled
    images of the source, by the dataset :class:`~mmseg_uda.datasets.BothDomains`. Without these
    inputs they are left out.

    The scores are those of a sample of pixels, which depends only on an image's file name and size:
    it is the same for every checkpoint, order and number of processes.

    Args:
        scores: Names in :data:`~mmseg_uda.evaluation.label_free.SCORES`; None for all whose inputs
            are there.
        pixels: Pixels per image.
        few: Of these, the pixels per image for scores of quadratic cost.
        source_shares: Share of each class among the source's labelled pixels, C numbers of any
            scale.
        collect_device: As for mmengine's metrics.
        prefix: As for mmengine's metrics.

    Raises:
        ValueError: An argument is out of range; at the first use, if logits are missing or have
            another number of channels than ``source_shares``; at the end, if a score that was asked
            for lacks its input.
    """

    def __init__(
        self,
        scores: Sequence[str] | None = None,
        pixels: int = 1000,
        few: int = 30,
        source_shares: Sequence[float] | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        for name in scores or ():
            check_choice('LabelFreeMetric.scores', name, tuple(SCORES))
        check_integer('LabelFreeMetric.pixels', pixels, 1)
        check_integer('LabelFreeMetric.few', few, 1)
        expect(few <= pixels, 'LabelFreeMetric.few', f'at most {pixels} (`pixels`)', few)
        self.scores = None if scores is None else tuple(scores)
        self.pixels, self.few = pixels, few
        self.shares: Tensor | None = None
        if source_shares is not None:
            key = 'LabelFreeMetric.source_shares'
            check_sequence(key, source_shares, check_number, '[0, inf)')
            shares = torch.tensor(source_shares, dtype=torch.float32)  # (C,)
            expect(float(shares.sum()) > 0, key, 'a sum above 0', source_shares)
            self.shares = shares / shares.sum()

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Add a batch: of each image its name, its view, and sampled pixels."""
        for sample in data_samples:
            if 'seg_logits' not in sample:
                raise ValueError(
                    'LabelFreeMetric: expected a prediction with seg_logits, but got none; test '
                    'without test-time augmentation, or remove the metric'
                )
            logits = sample['seg_logits']['data']  # (C, H, W)
            if self.shares is not None and len(logits) != len(self.shares):
                raise ValueError(
                    f'LabelFreeMetric.source_shares: expected {len(logits)} numbers, one per class '
                    f'of the network, but got {len(self.shares)}; write {len(logits)}'
                )
            name, view, label = sample['img_path'], 'plain', None
            # Mirrored images come back mirrored, so that their pixels are at the same places.
            index = self._sample(name, logits[0].numel()).to(logits.device)
            prob = logits.flatten(1)[:, index].float().softmax(0).T.cpu()  # (n, C)
            if sample.get('domain') == 'source':
                truth = _ground_truth(sample)
                if truth.shape[-2:] != logits.shape[1:]:
                    raise ValueError(
                        f'LabelFreeMetric: expected labels of {tuple(logits.shape[1:])}, as the '
                        f'scores of {name} have, but got {tuple(truth.shape[-2:])}; write Resize '
                        'before LoadAnnotations in the pipeline'
                    )
                view, label = 'source', truth.flatten()[index.cpu()]
            elif sample.get('flip'):
                view = 'mirrored'
            elif 'other_logits' in sample:
                other = sample['other_logits']['data'].flatten(1)[:, index]  # (C, n)
                label = other.argmax(0).cpu()
            self.results.append(Sampled(name, view, prob, label))

    def _sample(self, name: str, size: int) -> Tensor:
        """Draw pixels of an image of that name and number of pixels, shape (n,)."""
        # The directory does not count: data may move.
        generator = torch.Generator().manual_seed(zlib.crc32(Path(name).name.encode()))
        return torch.randperm(size, generator=generator)[: self.pixels]

    def compute_metrics(self, results: list[Sampled]) -> dict[str, float]:
        """Compute the scores.

        Args:
            results: Sampled pixels of every image.
        """
        views = self._views(results)
        values = {name: SCORES[name].compute(views) for name in self.scores or SCORES}
        for name in self.scores or ():
            if values[name] is None:
                raise ValueError(
                    f'LabelFreeMetric.scores: {name!r} expected {SCORES[name].needs}, but got '
                    'none; write it'
                )
        return {name: value for name, value in values.items() if value is not None}

    def _views(self, results: Sequence[Sampled]) -> Views:
        plain = {each.name: each for each in results if each.view == 'plain'}
        mirrored = {
            each.name: each.prob
            for each in results
            if each.view == 'mirrored' and each.name in plain
        }
        few, pairs, start = [], [], 0
        for name, each in plain.items():
            index = torch.arange(start, start + len(each.prob))
            few.append(index[: self.few])
            pairs.append(index if name in mirrored else index[:0])
            start += len(each.prob)
        prob = torch.cat([each.prob for each in plain.values()])  # (N, C)
        # In the order of `plain`, to which `pairs` refers.
        others = [mirrored[name] for name in plain if name in mirrored]
        labels = [each.label for each in plain.values() if each.label is not None]
        return Views(
            prob,
            torch.cat(few),
            torch.cat(pairs),
            torch.cat(others) if others else prob[:0],
            self.shares,
            torch.cat(labels) if labels else None,
            _source_pixels([each for each in results if each.view == 'source']),
        )


def _ground_truth(sample: dict[str, Any]) -> Tensor:
    if 'gt_sem_seg' not in sample:
        raise ValueError(
            f'LabelFreeMetric: expected a label of {sample["img_path"]}, an image of the source, '
            'but got none; write LoadAnnotations into its pipeline'
        )
    label: Tensor = sample['gt_sem_seg']['data']  # (1, H, W)
    return label.cpu()


def _source_pixels(images: Sequence[Sampled]) -> SourcePixels | None:
    """Join the labelled pixels of source images, every second of which is held out."""
    probs, wrong, halves = [], [], []
    # By name, so that the halves depend on no order and no number of processes.
    for position, each in enumerate(sorted(images, key=lambda each: each.name)):
        assert each.label is not None
        valid = each.label < each.prob.shape[1]  # not the ignored label
        probs.append(each.prob[valid])
        wrong.append(each.prob[valid].argmax(1) != each.label[valid])
        halves.append(torch.full((int(valid.sum()),), bool(position % 2)))
    if not probs:
        return None
    return SourcePixels(torch.cat(probs), torch.cat(wrong), torch.cat(halves))
