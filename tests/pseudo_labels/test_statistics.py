"""Order statistics in bounded memory."""

import numpy as np
import pytest
import torch

from mmseg_uda.pseudo_labels import ConfidencePools


def fill(pools, num_updates, num_pools, size=300, seed=0):
    generator = torch.Generator().manual_seed(seed)
    everything = [[] for _ in range(num_pools)]
    for _ in range(num_updates):
        index = torch.randint(num_pools, (size,), generator=generator)
        values = torch.rand(size, generator=generator)
        values = torch.where(values > 0.8, torch.tensor(1.0), values)  # ties, and the last bin
        pools.update(index, values)
        for pool in range(num_pools):
            everything[pool].append(values[index == pool])
    return [np.sort(torch.cat(values).numpy()) for values in everything]


@pytest.mark.parametrize('budget', [10**6, 500, 0])
def test_against_sorting(budget):
    pools = ConfidencePools(3, budget=budget, bins=4096)
    expected = fill(pools, 10, 3)
    assert pools.counts == [len(values) for values in expected]
    assert pools.is_exact == [budget == 10**6] * 3
    for pool, values in enumerate(expected):
        for k in range(0, len(values), 17):
            error = values[k] - pools.kth_smallest(pool, k)
            if budget == 10**6:
                assert error == 0
            else:
                assert 0 <= error <= 1 / 4096
    with pytest.raises(IndexError, match=f'k < {len(expected[0])}, .* but got {len(expected[0])}'):
        pools.kth_smallest(0, len(expected[0]))


def test_pools_spill_one_by_one():
    pools = ConfidencePools(3, budget=10)
    pools.update(torch.tensor([0] * 6 + [1] * 10), torch.linspace(0, 1, 16))
    assert pools.is_exact == [True, True, True]
    pools.update(torch.tensor([1, 0]), torch.tensor([0.25, 0.5]))
    assert pools.is_exact == [True, False, True]
    assert pools.counts == [7, 11, 0]
    assert pools.kth_smallest(0, 6) == 0.5


def size_of(pools):
    return sum(values.nbytes for values in pools._values) + sum(
        histogram.nbytes for histogram in pools._histograms.values()
    )


def test_memory_does_not_grow_with_the_number_of_images():
    few, many = (ConfidencePools(3, budget=500, bins=4096) for _ in range(2))
    fill(few, 10, 3)
    fill(many, 100, 3)
    assert size_of(few) == size_of(many) == 3 * 4096 * 8
    exact = ConfidencePools(3, budget=10**4, bins=4096)
    fill(exact, 70, 3)
    assert all(exact.is_exact)
    assert size_of(exact) <= 3 * 4 * 10**4


@pytest.mark.parametrize('bins', [2048, 5000])
def test_bad_bins(bins):
    with pytest.raises(
        ValueError, match=f'ConfidencePools.bins: expected a power of two .* got {bins}'
    ):
        ConfidencePools(3, bins=bins)


def test_bad_budget():
    with pytest.raises(ValueError, match='budget: expected an integer of at least 0, but got -1'):
        ConfidencePools(3, budget=-1)
