"""All label-free scores in one pass over target images."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS
from torch import Tensor

from mmseg_uda.evaluation.label_free import SCORES, Views
from mmseg_uda.utils.arguments import (
    check_choice,
    check_integer,
    check_number,
    check_sequence,
    expect,
)

__all__ = ['LabelFreeMetric']


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
        default_hooks = dict(checkpoint=dict(save_best='unlabelled/entropy', rule='less'))

    The scores are those of a sample of pixels, which depends only on an image's file name and size:
    it is the same for every checkpoint, order and number of processes.

    Args:
        scores: Names in :data:`~mmseg_uda.evaluation.label_free.SCORES`; None for all that the
            images and ``source_shares`` allow.
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
        """Add a batch: per image its name, whether it was mirrored, and sampled pixels (n, C)."""
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
            name = sample['img_path']
            # Mirrored images come back mirrored, so that their pixels are at the same places.
            index = self._sample(name, logits[0].numel()).to(logits.device)
            prob = logits.flatten(1)[:, index].float().softmax(0).T.cpu()  # (n, C)
            self.results.append((name, bool(sample.get('flip')), prob))

    def _sample(self, name: str, size: int) -> Tensor:
        """Draw pixels of an image of that name and number of pixels, shape (n,)."""
        # The directory does not count: data may move.
        generator = torch.Generator().manual_seed(zlib.crc32(Path(name).name.encode()))
        return torch.randperm(size, generator=generator)[: self.pixels]

    def compute_metrics(self, results: list[tuple[str, bool, Tensor]]) -> dict[str, float]:
        """Compute the scores.

        Args:
            results: Name, mirrored, pixels (n, C) of every image.
        """
        plain = {name: prob for name, flip, prob in results if not flip}
        mirrored = {name: prob for name, flip, prob in results if flip and name in plain}
        few, pairs, start = [], [], 0
        for name, prob in plain.items():
            index = torch.arange(start, start + len(prob))
            few.append(index[: self.few])
            pairs.append(index if name in mirrored else index[:0])
            start += len(prob)
        prob = torch.cat([*plain.values()])  # (N, C)
        # In the order of `plain`, to which `pairs` refers.
        others = [mirrored[name] for name in plain if name in mirrored]
        views = Views(
            prob,
            torch.cat(few),
            torch.cat(pairs),
            torch.cat(others) if others else prob[:0],
            self.shares,
        )
        values = {name: SCORES[name].compute(views) for name in self.scores or SCORES}
        for name in self.scores or ():
            if values[name] is None:
                raise ValueError(
                    f'LabelFreeMetric.scores: {name!r} expected source_shares, or a dataset '
                    "dict(type='MirroredViews', dataset=...), but got none; write it"
                )
        return {name: value for name, value in values.items() if value is not None}
