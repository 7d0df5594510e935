r"""Rules that keep a share of a network's predictions as pseudo labels.

The probabilities p of one image have the shape (C, H, W); at each pixel the confidence is
:math:`\max_c p_c` and the prediction is :math:`\arg\max_c p_c`. Each rule pools the confidences of
all images in a first pass, takes one threshold per class from the pools, and labels every image in
a second pass.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

import torch
from torch import Tensor

from mmseg_uda.pseudo_labels.statistics import ConfidencePools
from mmseg_uda.structures import IGNORE_INDEX
from mmseg_uda.utils.arguments import check_choice, check_integer, check_number

__all__ = [
    'RULES',
    'BDLRule',
    'CBSTRule',
    'FixedRule',
    'GlobalRule',
    'PseudoLabelRule',
    'SoftRule',
    'build_rule',
]


def _check_fraction(rule: object, key: str) -> None:
    check_number(f'{type(rule).__name__}.{key}', getattr(rule, key), '(0, 1]')


def _discarded(share: float, count: int) -> int:
    """Return the rank of the threshold among ``count`` ascending values.

    It is ``round((1 - q) n)``, half to even, with the share q = ``share`` and n = ``count``.
    """
    # In exact decimal arithmetic: for q = 0.9 and n = 15, (1 - q) n is 1.5 and must round to 2; as
    # binary numbers it would be 1.4999999999999998.
    return min(round((1 - Fraction(repr(float(share)))) * count), count - 1)


@dataclasses.dataclass(frozen=True)
class PseudoLabelRule(ABC):
    """Base of all rules: a prediction is kept where it reaches the threshold of its class."""

    name: ClassVar[str]
    """Name in configs."""
    softmax_first: ClassVar[bool] = False
    """True if the paper takes the softmax before upsampling the logits, False if after."""
    soft: ClassVar[bool] = False
    """True to keep all probabilities, at the resolution of the decode head, and not labels."""

    def num_pools(self, num_classes: int) -> int:
        """Return the number of pools that :meth:`collect` fills; 0 if no first pass is needed."""
        return num_classes

    def collect(self, pools: ConfidencePools, probabilities: Tensor) -> None:
        """Add one image to the pools in the first pass.

        Args:
            pools: Pools to add to.
            probabilities: Shape (C, H, W), in [0, 1].
        """
        confidence, prediction = probabilities.max(0)  # (H, W) each
        pools.update(prediction.flatten(), confidence.flatten())

    @abstractmethod
    def thresholds(self, pools: ConfidencePools, num_classes: int) -> list[float]:
        """Compute one threshold per class, in [0, 1], from the pools of all images."""

    def select(self, probabilities: Tensor, thresholds: Tensor) -> Tensor:
        """Label one image in the second pass.

        Args:
            probabilities: Shape (C, H, W), in [0, 1].
            thresholds: Shape (C,), in [0, 1].

        Returns:
            Train ids, 255 where nothing is kept, shape (H, W), int64.
        """
        confidence, prediction = probabilities.max(0)  # (H, W) each
        return prediction.masked_fill(confidence < thresholds[prediction], IGNORE_INDEX)

    def describe(self) -> dict[str, Any]:
        """Return name and arguments as the manifest keeps them."""
        return dict(type=self.name, **dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True)
class BDLRule(PseudoLabelRule):
    r"""Keep the most confident share of each class's predictions, as BDL does (CVPR 2019).

    The threshold :math:`\tau_c` is the element ``round((1 - q) n)`` (half to even) of the class's n
    confidences in ascending order, at most ``cap``; 0 for a class that is never predicted.

    Args:
        share: Share q of each class's pixels to keep, in (0, 1]; 0.5 in the paper.
        cap: Confidence that always suffices, in (0, 1]; 0.9 in the paper.
    """

    name: ClassVar[str] = 'bdl'
    softmax_first: ClassVar[bool] = True
    share: float = 0.5
    cap: float = 0.9

    def __post_init__(self) -> None:
        _check_fraction(self, 'share')
        _check_fraction(self, 'cap')

    def thresholds(self, pools: ConfidencePools, num_classes: int) -> list[float]:
        return [
            min(pools.kth_smallest(pool, _discarded(self.share, count)), self.cap) if count else 0.0
            for pool, count in enumerate(pools.counts)
        ]


@dataclasses.dataclass(frozen=True)
class CBSTRule(PseudoLabelRule):
    r"""Class-balanced self-training (CBST, ECCV 2018), as DAST's official code does it.

    In each image, every ``stride``-th confidence of a predicted class, in raster order, joins that
    class's pool of n. The threshold :math:`\tau_c` is the element ``floor(q n) - 1`` of the pool in
    descending order, at most ``cap``; 1 for a class whose ``floor(q n)`` is 0. The label is
    :math:`\arg\max_c p_c / \tau_c`, which may differ from the prediction; it is 255 where the
    maximum is below 1.

    Args:
        share: Share q of each class's pixels to keep, in (0, 1]; 0.5 in the paper.
        cap: Upper bound of the thresholds, in (0, 1]; 0.9 in the code.
        stride: Step of the subsampling, at least 1; 4 in the code.
    """

    name: ClassVar[str] = 'cbst'
    share: float = 0.5
    cap: float = 0.9
    stride: int = 4

    def __post_init__(self) -> None:
        _check_fraction(self, 'share')
        _check_fraction(self, 'cap')
        check_integer('CBSTRule.stride', self.stride, 1)

    def collect(self, pools: ConfidencePools, probabilities: Tensor) -> None:
        confidence, prediction = (part.flatten() for part in probabilities.max(0))  # (H * W,)
        # The rank of each pixel within its class: a stable sort keeps raster order inside a class.
        order = prediction.argsort(stable=True)
        grouped = prediction[order]
        first = torch.searchsorted(grouped, grouped, right=False)
        rank = torch.arange(len(order), device=order.device) - first
        chosen = order[rank % self.stride == 0]
        pools.update(prediction[chosen], confidence[chosen])

    def thresholds(self, pools: ConfidencePools, num_classes: int) -> list[float]:
        kept = [int(Fraction(repr(float(self.share))) * count) for count in pools.counts]
        return [
            min(pools.kth_smallest(pool, count - kept[pool]), self.cap) if kept[pool] else 1.0
            for pool, count in enumerate(pools.counts)
        ]

    def select(self, probabilities: Tensor, thresholds: Tensor) -> Tensor:
        score, label = (probabilities / thresholds[:, None, None]).max(0)  # (H, W) each
        return label.masked_fill(score < 1, IGNORE_INDEX)


@dataclasses.dataclass(frozen=True)
class GlobalRule(PseudoLabelRule):
    """Keep the most confident share of all pixels, by one threshold for all classes.

    Args:
        share: Share q of all pixels to keep, in (0, 1].
        cap: Confidence that always suffices, in (0, 1].
    """

    name: ClassVar[str] = 'global'
    share: float = 0.5
    cap: float = 0.9

    def __post_init__(self) -> None:
        _check_fraction(self, 'share')
        _check_fraction(self, 'cap')

    def num_pools(self, num_classes: int) -> int:
        return 1

    def collect(self, pools: ConfidencePools, probabilities: Tensor) -> None:
        confidence = probabilities.amax(0).flatten()
        pools.update(torch.zeros_like(confidence, dtype=torch.int64), confidence)

    def thresholds(self, pools: ConfidencePools, num_classes: int) -> list[float]:
        count = pools.counts[0]
        value = pools.kth_smallest(0, _discarded(self.share, count)) if count else 0.0
        return [min(value, self.cap)] * num_classes


@dataclasses.dataclass(frozen=True)
class FixedRule(PseudoLabelRule):
    """Keep the pixels above a constant threshold; needs no first pass.

    Args:
        threshold: Confidence that a pixel needs, in (0, 1].
    """

    name: ClassVar[str] = 'fixed'
    threshold: float = 0.9

    def __post_init__(self) -> None:
        _check_fraction(self, 'threshold')

    def num_pools(self, num_classes: int) -> int:
        return 0

    def thresholds(self, pools: ConfidencePools, num_classes: int) -> list[float]:
        return [self.threshold] * num_classes


@dataclasses.dataclass(frozen=True)
class SoftRule(PseudoLabelRule):
    """Keep the probabilities of all classes, as ProDA denoises them (CVPR 2021)."""

    name: ClassVar[str] = 'soft'
    softmax_first: ClassVar[bool] = True
    soft: ClassVar[bool] = True

    def num_pools(self, num_classes: int) -> int:
        return 0

    def thresholds(self, pools: ConfidencePools, num_classes: int) -> list[float]:
        return [0.0] * num_classes


RULES: dict[str, type[PseudoLabelRule]] = {
    rule.name: rule for rule in (BDLRule, CBSTRule, FixedRule, GlobalRule, SoftRule)
}


def build_rule(cfg: str | Mapping[str, Any]) -> PseudoLabelRule:
    """Build a rule.

    Args:
        cfg: Name of a rule, or ``dict(type=name, **arguments)``.

    Raises:
        TypeError: If ``cfg`` is neither, or an argument has a wrong type.
        ValueError: If the name or an argument is unknown, or an argument is out of range.
    """
    if isinstance(cfg, str):
        cfg = {'type': cfg}
    if not isinstance(cfg, Mapping):
        raise TypeError(
            f'PseudoLabelLoop.rule: expected a name or a dict, but got {cfg!r}; write '
            "dict(type='bdl'), for example"
        )
    arguments = dict(cfg)
    name = arguments.pop('type', None)
    check_choice('PseudoLabelLoop.rule.type', name, sorted(RULES))
    known = [field.name for field in dataclasses.fields(RULES[name])]
    for key in arguments:
        check_choice(f'{RULES[name].__name__} argument', key, known)
    return RULES[name](**arguments)
