"""Means and intervals over seeds."""

from __future__ import annotations

import math

import pytest

from mmseg_uda.benchmark.statistics import paired, summarize, t_quantile


@pytest.mark.parametrize(
    ('freedom', 'quantile'),
    # Printed tables of Student's distribution, 97.5 %.
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (9, 2.2622), (30, 2.0423)],
)
def test_quantiles(freedom: int, quantile: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(quantile, abs=5e-5)
    assert t_quantile(0.5, freedom) == pytest.approx(0, abs=1e-9)


def test_summary() -> None:
    summary = summarize([1.0, 2.0, 3.0, 6.0])
    assert summary.mean == 3
    assert summary.spread == pytest.approx((14 / 3) ** 0.5)
    assert summary.half == pytest.approx(3.1824 * (14 / 3) ** 0.5 / 2, rel=1e-4)
    assert summary.number == 4
    assert summarize([1.0, 2.0, 3.0, 6.0], 0.5).half == pytest.approx(0.7649 * 1.0801, rel=1e-3)


def test_one_value_has_no_interval() -> None:
    assert summarize([2.0]) == (2.0, None, None, 1)


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_a_value_that_is_not_finite_shows(value: float) -> None:
    summary = summarize([1.0, value])
    assert not math.isfinite(summary.mean)
    assert summary[1:] == (None, None, 2)


def test_differences_are_paired_by_seed() -> None:
    """The interval is that of the differences, however far the seeds lie apart."""
    ours, theirs = {0: 11.0, 1: 21.0, 2: 31.5}, {1: 20.0, 2: 30.0, 0: 10.0, 3: 99.0}
    summary = paired(ours, theirs)
    assert summary is not None
    assert summary.mean == pytest.approx((1 + 1 + 1.5) / 3)
    assert summary.number == 3
    assert summary.spread == pytest.approx((1 / 12) ** 0.5)
    assert paired({0: 1.0}, {1: 1.0}) is None
