"""Means, spreads and intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, mean, stdev
from typing import Any, NamedTuple

__all__ = ['Summary', 'paired', 'summarize', 't_quantile']


class Summary(NamedTuple):
    """A sample in numbers.

    Args:
        mean: Its mean.
        spread: Its standard deviation (of the population, n - 1); None for one value, and where a
            value is not finite.
        half: Half of the width of the interval of the mean; None where the spread is.
        number: How many values it has.
    """

    mean: float
    spread: float | None
    half: float | None
    number: int

    @property
    def differs(self) -> bool:
        """Tell whether the mean has an interval that excludes 0."""
        return self.half is not None and abs(self.mean) > self.half


def summarize(values: Sequence[float], confidence: float = 0.95) -> Summary:
    r"""Summarize values; the interval is Student's, :math:`\bar x \pm t_{n-1} s / \sqrt n`.

    Args:
        values: At least one.
        confidence: Probability with which the interval contains the mean, in (0, 1).
    """
    count = len(values)
    if count == 1 or not all(map(math.isfinite, values)):
        return Summary(fmean(values), None, None, count)
    spread = stdev(values)
    quantile = t_quantile((1 + confidence) / 2, count - 1)
    return Summary(mean(values), spread, quantile * spread / math.sqrt(count), count)


def paired(
    ours: Mapping[Any, float], theirs: Mapping[Any, float], confidence: float = 0.95
) -> Summary | None:
    """Summarize the differences of two methods seed by seed; None without a common seed.

    Args:
        ours: Value by seed, or by another key that sorts.
        theirs: The same of the other method, which is subtracted.
        confidence: As for :func:`summarize`.
    """
    seeds = sorted(ours.keys() & theirs.keys())
    return summarize([ours[seed] - theirs[seed] for seed in seeds], confidence) if seeds else None


def t_quantile(probability: float, freedom: int) -> float:
    """Compute a quantile of Student's t distribution.

    Args:
        probability: In [0.5, 1).
        freedom: Degrees of freedom, from 1 up.
    """
    low, high = 0.0, 1.0
    while t_distribution(high, freedom) < probability:
        high *= 2
    for _ in range(100):  # bisection, to the last bit
        middle = (low + high) / 2
        if t_distribution(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def t_distribution(t: float, freedom: int) -> float:
    """Student's distribution function at t >= 0, by its finite series (Abramowitz & Stegun 26.7.3).

    Args:
        t: The argument.
        freedom: Degrees of freedom, from 1 up.
    """
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2
    term, total = (cosine, cosine if freedom > 1 else 0.0) if odd else (1.0, 1.0)
    for k in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    inside = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return (1 + inside) / 2
