"""Entropy of right and wrong predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS
from torch import Tensor

__all__ = ['EntropyMetric']


@METRICS.register_module()
class EntropyMetric(BaseMetric):
    r"""How sure a network is where it is right and where it is wrong.

    Figure 4 and eq. (12) of `arXiv:2110.10916 <https://arxiv.org/abs/2110.10916>`_, for each group
    :math:`G` of labelled pixels:

    .. math:: H = -\frac{1}{|G| \log C} \sum_{i \in G} \sum_c p_{ic} \log p_{ic} \in [0, 1]

    An entry beside the IoU, ``val_evaluator=[dict(type='IoUMetric'), dict(type='EntropyMetric')]``;
    ``tools/analysis_tools/plot_curves.py`` draws it over training. The softmax is that of the
    logits at the size of the ground truth.

    Args:
        average: ``'image'`` for the mean over images of each image's :math:`H`, as in the paper (an
            image without a pixel in a group does not count for it), ``'pixel'`` for one
            :math:`H` over all pixels of the set.
        ignore_index: Label of pixels that do not count.
        collect_device: ``'cpu'`` or ``'gpu'``: how processes exchange results.
        prefix: Of the keys ``right``, ``wrong`` and ``all``; ``'entropy'`` by default.

    Raises:
        ValueError: ``average`` is unknown; at the first use, if logits are missing, have a single
            channel, or another size than the ground truth.
    """

    default_prefix = 'entropy'

    def __init__(
        self,
        average: str = 'image',
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if average not in ('image', 'pixel'):
            raise ValueError(f"EntropyMetric.average got {average!r}; write 'image' or 'pixel'")
        self.average = average
        self.ignore_index = ignore_index

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Add a batch.

        One result per image, as mmengine drops those of padded batches image by image: sums of
        entropy and numbers of pixels, shape (2, 2) with the right ones first, left on their device.
        """
        for sample in data_samples:
            logits = _logits(sample)
            label = sample['gt_sem_seg']['data'].squeeze(0).to(logits.device)
            prediction = sample['pred_sem_seg']['data'].squeeze(0)
            if logits.shape[1:] != label.shape:
                raise ValueError(
                    f'EntropyMetric got seg_logits of {tuple(logits.shape[1:])} for '
                    f'ground truth of {tuple(label.shape)}; write a test pipeline '
                    'whose labels keep the size of the file (LoadAnnotations last)'
                )
            log_prob = logits.float().log_softmax(0)
            entropy = -(log_prob.exp() * log_prob).sum(0) / math.log(len(logits))
            valid = label != self.ignore_index
            right = valid & (prediction == label)
            groups = torch.stack([right, valid & ~right]).flatten(1).double()
            self.results.append(torch.stack([groups @ entropy.double().flatten(), groups.sum(1)]))

    def compute_metrics(self, results: list[Tensor]) -> dict[str, float]:
        """The means.

        Args:
            results: Shape (2, 2) per image: sums and counts of right and wrong pixels.

        Returns:
            ``right``, ``wrong`` and ``all`` in [0, 1]; NaN for a group without a pixel.
        """
        table = torch.stack(results)
        table = torch.cat([table, table.sum(2, keepdim=True)], 2)  # and all pixels
        if self.average == 'pixel':
            table = table.sum(0, keepdim=True)
        means = (table[:, 0] / table[:, 1]).nanmean(0)
        return dict(zip(('right', 'wrong', 'all'), means.tolist()))


def _logits(sample: dict[str, Any]) -> Tensor:
    if 'seg_logits' not in sample:
        raise ValueError(
            'EntropyMetric got a prediction without seg_logits; test without '
            'test-time augmentation, or remove the metric'
        )
    logits: Tensor = sample['seg_logits']['data']
    if len(logits) == 1:
        raise ValueError(
            'EntropyMetric got a network with one output; write decode_head.out_channels=2 instead'
        )
    return logits
