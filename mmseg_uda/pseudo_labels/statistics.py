"""Order statistics of confidences over a whole dataset, in bounded memory."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size
from numpy.typing import NDArray
from torch import Tensor

from mmseg_uda.utils.arguments import check_integer, expect

__all__ = ['MIN_BINS', 'ConfidencePools']

MIN_BINS = 2**12


class ConfidencePools:
    """Pools of confidences in [0, 1] that give their k-th smallest value.

    A pool of at most ``budget`` values keeps them as they are, so small sets are exact. A larger
    pool keeps a histogram of ``bins`` equal bins, and :meth:`kth_smallest` returns the lower edge
    of the bin that holds the value, which is too low by less than ``1 / bins``. Memory is bounded
    by ``num_pools * (4 * budget + 8 * bins)`` bytes for any number of images.

    Args:
        num_pools: Number of pools.
        budget: Values that one pool keeps exactly, over all processes.
        bins: Number of bins, a power of two, at least 4096.

    Raises:
        ValueError: If ``budget`` or ``bins`` is out of range.
    """

    def __init__(self, num_pools: int, budget: int = 2**20, bins: int = 2**14) -> None:
        check_integer('ConfidencePools.num_pools', num_pools, 0)
        check_integer('ConfidencePools.bins', bins, 1)
        check_integer('ConfidencePools.budget', budget, 0)
        power_of_two = bins & (bins - 1) == 0
        expected = f'a power of two of at least {MIN_BINS}'
        expect(bins >= MIN_BINS and power_of_two, 'ConfidencePools.bins', expected, bins)
        self.num_pools = num_pools
        self.budget = budget
        self.bins = bins
        self._counts = np.zeros(num_pools, dtype=np.int64)
        self._values: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * num_pools
        self._histograms: dict[int, NDArray[np.int64]] = {}

    @property
    def counts(self) -> list[int]:
        """Number of values added to each pool."""
        return [int(count) for count in self._counts]

    @property
    def is_exact(self) -> list[bool]:
        """True for each pool that still holds its values, False for a histogram."""
        return [pool not in self._histograms for pool in range(self.num_pools)]

    def update(self, pools: Tensor, values: Tensor) -> None:
        """Add values.

        Args:
            pools: Index of the pool of each value, shape (P,), int64.
            values: Confidences in [0, 1], shape (P,).
        """
        values = values.float()
        new = torch.bincount(pools, minlength=self.num_pools).cpu().numpy()  # (num_pools,)
        for pool in np.flatnonzero(self._counts + new > self.budget).tolist():
            self._spill(pool)
        spilled = torch.zeros(self.num_pools, dtype=torch.bool, device=pools.device)
        if self._histograms:
            spilled[list(self._histograms)] = True
            binned = (values * self.bins).long().clamp_(0, self.bins - 1)
            # One bincount over (pool, bin) pairs counts for all histograms at once.
            cells = (pools * self.bins + binned)[spilled[pools]]
            sums = torch.bincount(cells, minlength=self.num_pools * self.bins)
            table = sums.view(self.num_pools, self.bins).cpu().numpy()
            for pool, histogram in self._histograms.items():
                histogram += table[pool]
        kept = ~spilled[pools]
        exact_pools, exact_values = pools[kept].cpu().numpy(), values[kept].cpu().numpy()
        for pool in np.flatnonzero(new).tolist():
            if pool not in self._histograms:
                self._append(pool, exact_values[exact_pools == pool])
        self._counts += new

    def synchronize(self) -> None:
        """Merge the pools of all processes; afterwards each process holds all values."""
        if get_world_size() == 1:
            return
        totals = torch.from_numpy(self._counts.copy())
        all_reduce(totals)
        for pool in np.flatnonzero(totals.numpy() > self.budget).tolist():
            self._spill(pool)
        for pool in range(self.num_pools):
            if pool in self._histograms:
                histogram = torch.from_numpy(self._histograms[pool])
                all_reduce(histogram)
                self._histograms[pool] = histogram.numpy()
            else:
                parts = all_gather_object(self._exact(pool))
                self._values[pool] = np.concatenate(parts)
        self._counts = totals.numpy()

    def kth_smallest(self, pool: int, k: int) -> float:
        """Return the k-th smallest value of a pool, counted from 0.

        Raises:
            IndexError: If the pool has no such value.
        """
        if not 0 <= k < self._counts[pool]:
            raise IndexError(
                f'ConfidencePools.kth_smallest: expected 0 <= k < {self._counts[pool]}, the number '
                f'of values in pool {pool}, but got {k}'
            )
        if pool in self._histograms:
            cumulated = np.cumsum(self._histograms[pool])
            return float(np.searchsorted(cumulated, k, side='right')) / self.bins
        return float(np.partition(self._exact(pool), k)[k])

    def _exact(self, pool: int) -> NDArray[np.float32]:
        return self._values[pool][: self._counts[pool]]

    def _append(self, pool: int, values: NDArray[np.float32]) -> None:
        """Add to the pool's buffer, which doubles in size when it is full."""
        start = int(self._counts[pool])
        stop = start + len(values)
        if stop > len(self._values[pool]):
            grown = np.empty(min(self.budget, 2 * stop), np.float32)
            grown[:start] = self._exact(pool)
            self._values[pool] = grown
        self._values[pool][start:stop] = values

    def _spill(self, pool: int) -> None:
        """Replace a pool's values by their histogram."""
        if pool in self._histograms:
            return
        binned = (self._exact(pool) * self.bins).astype(np.int64).clip(0, self.bins - 1)
        self._histograms[pool] = np.bincount(binned, minlength=self.bins).astype(np.int64)
        self._values[pool] = np.empty(0, np.float32)
