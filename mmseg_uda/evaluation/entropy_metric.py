"""Entropy of correct and wrong predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS
from torch import Tensor

from mmseg_uda.utils.arguments import check_choice, check_integer

__all__ = ['EntropyMetric']


@METRICS.register_module()
class EntropyMetric(BaseMetric):
    r"""Mean entropy of the correct and of the wrong predictions.

    For Figure 4 of `arXiv:2110.10916 <https://arxiv.org/abs/2110.10916>`_, for each group :math:`G`
    of labelled pixels:

    .. math:: H = -\frac{1}{|G| \log C} \sum_{i \in G} \sum_c p_{ic} \log p_{ic} \in [0, 1]

    This formula is a guess: our copy of the text lost eq. (12). The paper's may be without the
    divisor :math:`\log C` (``normalize=False``).

    Write it beside the IoU, ``val_evaluator=[dict(type='IoUMetric'), dict(type='EntropyMetric')]``;
    ``tools/analysis_tools/plot_curves.py`` draws it over training. The softmax is taken of the
    logits at the size of the ground truth.

    Args:
        average: ``'image'`` for the mean over images of each image's :math:`H`, as in the paper (an
            image without a pixel of a group is left out of it), ``'pixel'`` for one :math:`H` over
            all pixels of the set.
        normalize: True to divide by :math:`\log C`; False for nats, in :math:`[0, \log C]`.
        ignore_index: Label of pixels that do not count.
        collect_device: Device on which processes exchange results, ``'cpu'`` or ``'gpu'``.
        prefix: Prefix of the keys ``right``, ``wrong`` and ``all``; ``'entropy'`` by default.

    Raises:
        ValueError: ``average`` is unknown; at the first use, if logits are missing, have a single
            channel, or another size than the ground truth.

    Example:
        >>> logits = torch.tensor([[[0.0, 20.0]], [[0.0, -20.0]]])  # (C, H, W): unsure, confident
        >>> sample = dict(
        ...     seg_logits=dict(data=logits),
        ...     pred_sem_seg=dict(data=torch.tensor([[[0, 0]]])),
        ...     gt_sem_seg=dict(data=torch.tensor([[[0, 1]]])),
        ... )
        >>> metric = EntropyMetric()
        >>> metric.process(None, [sample])
        >>> {key: round(value, 3) for key, value in metric.evaluate(size=1).items()}
        {'entropy/right': 1.0, 'entropy/wrong': 0.0, 'entropy/all': 0.5}
    """

    default_prefix = 'entropy'

    def __init__(
        self,
        average: str = 'image',
        normalize: bool = True,
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        check_choice('EntropyMetric.average', average, ('image', 'pixel'))
        self.average = average
        self.normalize = normalize
        check_integer('EntropyMetric.ignore_index', ignore_index)
        self.ignore_index = ignore_index

    @staticmethod
    def metric_names(**kwargs: Any) -> set[str]:
        """Names of the metrics."""
        return {'right', 'wrong', 'all'}

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Add a batch.

        One result per image, because mmengine drops those of padded batches image by image: sums of
        entropy and numbers of pixels, shape (2, 2), correct pixels first, on their device.
        """
        for sample in data_samples:
            logits = _logits(sample)
            label = sample['gt_sem_seg']['data'].squeeze(0).to(logits.device)
            prediction = sample['pred_sem_seg']['data'].squeeze(0)
            if logits.shape[1:] != label.shape:
                raise ValueError(
                    f'EntropyMetric: expected seg_logits of the size {tuple(label.shape)} of the '
                    f'ground truth, but got {tuple(logits.shape[1:])}; write a test pipeline whose '
                    'labels keep the size of the file (LoadAnnotations last)'
                )
            # (C, H, W) to (H, W), in [0, log C]
            log_prob = logits.float().log_softmax(0)
            entropy = -(log_prob.exp() * log_prob).sum(0)
            if self.normalize:
                entropy = entropy / math.log(len(logits))
            valid = label != self.ignore_index
            correct = valid & (prediction == label)
            # (2, HW) @ (HW,): sums of entropy; float64, as images have millions of pixels.
            groups = torch.stack([correct, valid & ~correct]).flatten(1).double()
            self.results.append(torch.stack([groups @ entropy.double().flatten(), groups.sum(1)]))

    def compute_metrics(self, results: list[Tensor]) -> dict[str, float]:
        """Compute the means.

        Args:
            results: Shape (2, 2) per image: sums and counts of correct and wrong pixels.

        Returns:
            ``right``, ``wrong`` and ``all``, in [0, 1] if normalised; NaN for a group without a
            pixel.
        """
        table = torch.stack(results)
        table = torch.cat([table, table.sum(2, keepdim=True)], 2)  # (N, 2, 3): all pixels are third
        if self.average == 'pixel':
            table = table.sum(0, keepdim=True)
        means = (table[:, 0] / table[:, 1]).nanmean(0)
        return dict(zip(('right', 'wrong', 'all'), means.tolist()))


def _logits(sample: dict[str, Any]) -> Tensor:
    if 'seg_logits' not in sample:
        raise ValueError(
            'EntropyMetric: expected a prediction with seg_logits, but got none; test without '
            'test-time augmentation, or remove the metric'
        )
    logits: Tensor = sample['seg_logits']['data']
    if len(logits) == 1:
        raise ValueError(
            'EntropyMetric: expected at least two outputs of the network, but got one; write '
            'decode_head.out_channels=2'
        )
    return logits
