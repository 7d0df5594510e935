"""Several endless streams as one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from mmseg_uda.datasets.endless import EndlessDataset, derive_seed

__all__ = ['MixedStream']


@lru_cache(maxsize=4)  # two domains, and their turns before a border
def _turns(seed: int, period: int, ratios: tuple[int, ...]) -> NDArray[np.int64]:
    """Draw which stream is at each position of a period, shape (sum(ratios), )."""
    rng = np.random.default_rng((seed, period, 4))
    # The k-th of r samples of a stream falls into the k-th of r equal parts of the period.
    places = [(np.arange(ratio) + rng.random(ratio)) / ratio for ratio in ratios]
    return np.repeat(np.arange(len(ratios)), ratios)[np.argsort(np.concatenate(places))]


class MixedStream(Dataset[Any]):
    """Interleave endless streams, each with its share of the positions.

    Of sum(ratios) positions from a multiple of that number, stream i has exactly ``ratios[i]``,
    spread evenly; their order follows from ``(seed, position)``. A sample is that of its own
    stream, at the stream's own next position, so that nothing depends on workers, processes or
    resumed training either. ``stream``, among its meta information, is i.

    Args:
        streams: At least one, of the same classes.
        ratios: Share of each stream, integers of at least 1.

    Example:
        >>> streams = [EndlessDataset(letters, seed=0) for letters in ('ab', 'xyz')]
        >>> mixed = MixedStream(streams, ratios=(1, 2))
        >>> [sum(mixed[i] in 'xyz' for i in range(start, start + 3)) for start in (0, 3, 6)]
        [2, 2, 2]
    """

    def __init__(self, streams: Sequence[EndlessDataset], ratios: Sequence[int]) -> None:
        self.datasets = list(streams)
        self.ratios = tuple(ratios)
        self.reseed(0)

    def reseed(self, *entropy: int) -> None:
        """Derive the seeds of the stream and of those inside from several integers."""
        self.seed = derive_seed(*entropy)
        for index, stream in enumerate(self.datasets):
            # Trailing zeros change no seed: a single stream has that of the whole.
            stream.seed = derive_seed(*entropy, index)

    @property
    def metainfo(self) -> dict[str, Any]:
        """Meta information of the first dataset."""
        return self.datasets[0].metainfo

    def locate(self, position: int) -> tuple[int, int]:
        """Compute the stream of a position, and the position in that stream."""
        period, offset = divmod(position, sum(self.ratios))
        turns = _turns(self.seed, period, self.ratios)
        index = int(turns[offset])
        return index, period * self.ratios[index] + int((turns[:offset] == index).sum())

    def __len__(self) -> int:
        return sum(len(stream) for stream in self.datasets)

    def __getitem__(self, position: int) -> Any:
        index, own = self.locate(position)
        sample = self.datasets[index][own]
        if isinstance(sample, dict) and 'data_samples' in sample:
            sample['data_samples'].set_metainfo(dict(stream=index))
        return sample
