r"""Rules that keep a share of a network's predictions as pseudo labels.

p: probabilities (C, H, W) of one image; its confidence is :math:`\max_c p_c`, its prediction
:math:`\arg\max_c p_c`. Each rule pools confidences over the whole set in a first pass, takes one
threshold per class from the pools, and labels every image in a second pass.
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

__all__ = [
    'RULES',
    'BDLRule',
    'CBSTRule',
    'FixedRule',
    'GlobalRule',
    'PseudoLabelRule',
    'build_rule',
]


def _check_fraction(rule: object, key: str) -> None:
    value = getattr(rule, key)
    name = f'{type(rule).__name__}.{key}'
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f'{name} got {value!r}; write a number in (0, 1] instead')
    if not 0 < value <= 1:
        raise ValueError(f'{name} got {value!r}; write a number in (0, 1] instead')


def _discarded(share: float, count: int) -> int:
    """Rank of the threshold among ``count`` ascending values, ``round((1 - q) n)`` half to even.

    The decimal number that was written is meant, not its binary neighbour: with q = 0.9 and
    n = 15, (1 - q) n is 1.5 and not 1.4999999999999998.
    """
    return min(round((1 - Fraction(repr(float(share)))) * count), count - 1)


@dataclasses.dataclass(frozen=True)
class PseudoLabelRule(ABC):
    """Base: one threshold for every class, prediction kept where its confidence reaches it."""

    name: ClassVar[str]
    softmax_first: ClassVar[bool] = False
    """Whether the paper takes the softmax before (True) or after upsampling the logits."""

    def num_pools(self, num_classes: int) -> int:
        """Number of pools that :meth:`collect` fills; 0 if no first pass is needed."""
        return num_classes

    def collect(self, pools: ConfidencePools, probabilities: Tensor) -> None:
        """First pass: add one image, shape (C, H, W), to the pools."""
        confidence, prediction = probabilities.max(0)
        pools.update(prediction.flatten(), confidence.flatten())

    @abstractmethod
    def thresholds(self, pools: ConfidencePools, num_classes: int) -> list[float]:
        """One threshold per class from the whole set's pools."""

    def select(self, probabilities: Tensor, thresholds: Tensor) -> Tensor:
        """Second pass: label one image.

        Args:
            probabilities: Shape (C, H, W).
            thresholds: Shape (C,).

        Returns:
            Train ids, 255 where nothing is kept, shape (H, W), int64.
        """
        confidence, prediction = probabilities.max(0)
        return prediction.masked_fill(confidence < thresholds[prediction], IGNORE_INDEX)

    def describe(self) -> dict[str, Any]:
        """Name and arguments, as the manifest keeps them."""
        return dict(type=self.name, **dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True)
class BDLRule(PseudoLabelRule):
    r"""Per class, the most confident share of its predictions, as BDL (CVPR 2019) does.

    :math:`\tau_c` is the element ``round((1 - q) n)`` (half to even) of the class's n confidences
    in ascending order, at most ``cap``; 0 for a class that is never predicted.

    Args:
        share: Share q of each class's pixels to keep, 0.5 in the paper.
        cap: Confidence that always suffices, 0.9 in the paper.
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
    r"""Class-balanced self-training (ECCV 2018), as DAST's official code does it.

    Of every image and predicted class, every ``stride``-th confidence in raster order joins the
    class's pool of n; :math:`\tau_c` is the element ``floor(q n) - 1`` in descending order (the
    highest where that is -1), at most ``cap``; 1 for a class without an element. The label is
    :math:`\arg\max_c p_c / \tau_c`, which may differ from the prediction, and 255 where the
    maximum is below 1.

    Args:
        share: Share q of each class's pixels to keep, 0.5 in the paper.
        cap: Upper bound of the thresholds, 0.9 in the code.
        stride: Step of the subsampling, 4 in the code.
    """

    name: ClassVar[str] = 'cbst'
    share: float = 0.5
    cap: float = 0.9
    stride: int = 4

    def __post_init__(self) -> None:
        _check_fraction(self, 'share')
        _check_fraction(self, 'cap')
        if not isinstance(self.stride, int) or self.stride < 1:
            raise ValueError(f'CBSTRule.stride got {self.stride!r}; write an integer >= 1 instead')

    def collect(self, pools: ConfidencePools, probabilities: Tensor) -> None:
        confidence, prediction = (part.flatten() for part in probabilities.max(0))
        order = prediction.argsort(stable=True)
        grouped = prediction[order]
        first = torch.searchsorted(grouped, grouped, right=False)
        rank = torch.arange(len(order), device=order.device) - first
        chosen = order[rank % self.stride == 0]
        pools.update(prediction[chosen], confidence[chosen])

    def thresholds(self, pools: ConfidencePools, num_classes: int) -> list[float]:
        kept = [max(int(Fraction(repr(float(self.share))) * count), 1) for count in pools.counts]
        return [
            min(pools.kth_smallest(pool, count - kept[pool]), self.cap) if count else 1.0
            for pool, count in enumerate(pools.counts)
        ]

    def select(self, probabilities: Tensor, thresholds: Tensor) -> Tensor:
        score, label = (probabilities / thresholds[:, None, None]).max(0)
        return label.masked_fill(score < 1, IGNORE_INDEX)


@dataclasses.dataclass(frozen=True)
class GlobalRule(PseudoLabelRule):
    """One threshold for all classes: the most confident share of the whole set's pixels.

    Args:
        share: Share q of all pixels to keep.
        cap: Confidence that always suffices.
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
    """A constant threshold; needs no first pass.

    Args:
        threshold: Confidence that a pixel needs.
    """

    name: ClassVar[str] = 'fixed'
    threshold: float = 0.9

    def __post_init__(self) -> None:
        _check_fraction(self, 'threshold')

    def num_pools(self, num_classes: int) -> int:
        return 0

    def thresholds(self, pools: ConfidencePools, num_classes: int) -> list[float]:
        return [self.threshold] * num_classes


RULES: dict[str, type[PseudoLabelRule]] = {
    rule.name: rule for rule in (BDLRule, CBSTRule, FixedRule, GlobalRule)
}


def build_rule(cfg: str | Mapping[str, Any]) -> PseudoLabelRule:
    """Build a rule from its name or from ``dict(type=name, **arguments)``.

    Raises:
        TypeError: If ``cfg`` is neither.
        ValueError: If the name or an argument is unknown.
    """
    if isinstance(cfg, str):
        cfg = {'type': cfg}
    if not isinstance(cfg, Mapping):
        raise TypeError(f"PseudoLabelLoop.rule got {cfg!r}; write e.g. dict(type='bdl') instead")
    arguments = dict(cfg)
    name = arguments.pop('type', None)
    if name not in RULES:
        raise ValueError(
            f'PseudoLabelLoop.rule.type got {name!r}; write one of {sorted(RULES)} instead'
        )
    known = [field.name for field in dataclasses.fields(RULES[name])]
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise ValueError(
            f'{RULES[name].__name__} got the unknown key {unknown[0]!r}; write one of '
            f'{known} instead'
        )
    return RULES[name](**arguments)
