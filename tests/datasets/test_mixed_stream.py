"""Several endless streams as one; ``test_endless.py`` has the streams themselves."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from mmseg.structures import SegDataSample
from torch.utils.data import DataLoader, Dataset

from mmseg_uda.datasets import endless
from mmseg_uda.datasets.endless import EndlessDataset, PositionSampler
from mmseg_uda.datasets.mixed_stream import MixedStream


class Named(Dataset):
    """Samples of a name, an index and a drawn number."""

    def __init__(self, name: str, length: int) -> None:
        self.name = name
        self.length = length
        self.metainfo = dict(classes=('a', 'b'))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[str, int, float]:
        return self.name, index, float(torch.rand(()))


def mixed(ratios: tuple[int, ...], seed: int = 5) -> MixedStream:
    streams = [EndlessDataset(Named('abc'[i], 3 + 2 * i), 0) for i in range(len(ratios))]
    stream = MixedStream(streams, ratios)
    stream.reseed(seed)
    return stream


def take(stream: MixedStream, count: int, num_workers: int = 0, start: int = 0, size: int = 2):
    loader = DataLoader(
        stream,
        size,
        sampler=PositionSampler(len(stream), start),
        num_workers=num_workers,
        collate_fn=list,
    )
    return [sample for batch, _ in zip(loader, range(count)) for sample in batch]


@pytest.mark.parametrize('ratios', [(1, 1), (3, 1), (5, 2), (2, 1, 1), (7, 1, 3)])
def test_shares(ratios: tuple[int, ...]) -> None:
    """Whole periods are exact; in between a source is ahead or behind by few images."""
    stream, period = mixed(ratios), sum(ratios)
    at = np.array([stream.locate(position)[0] for position in range(60 * period)])
    for start in range(0, len(at), period):
        assert tuple(np.bincount(at[start : start + period], minlength=len(ratios))) == ratios
    orders = {tuple(at[start : start + period]) for start in range(0, len(at), period)}
    assert len(orders) > 1  # they are drawn
    for index, ratio in enumerate(ratios):
        due = np.arange(1, len(at) + 1) * ratio / period
        off = np.abs((at == index).cumsum() - due).max()
        assert off < 1 + ratio / period * (len(ratios) - 2) + 1e-9  # one, of two sources


def test_each_stream_goes_through_its_own_passes() -> None:
    stream = mixed((2, 1))
    samples = [stream[position] for position in range(90)]
    for name, length, share in (('a', 3, 60), ('b', 5, 30)):
        indices = [index for found, index, _ in samples if found == name]
        assert len(indices) == share
        for start in range(0, share, length):
            assert sorted(indices[start : start + length]) == list(range(length))
    assert len({number for *_, number in samples}) == 90
    assert len(stream) == 8
    assert stream.metainfo == dict(classes=('a', 'b'))


def test_equal_sources_are_permuted_differently() -> None:
    streams = [EndlessDataset(Named(name, 20), 0) for name in 'ab']
    stream = MixedStream(streams, (1, 1))
    stream.reseed(5)
    samples = [stream[position] for position in range(40)]
    one, other = ([index for found, index, _ in samples if found == name] for name in 'ab')
    assert one != other


def test_a_single_stream_is_unchanged() -> None:
    """Its seed, order and draws are those that it has by itself."""
    stream, alone = mixed((1,), seed=7), EndlessDataset(Named('a', 3), endless.derive_seed(7))
    assert [stream[i] for i in range(12)] == [alone[i] for i in range(12)]
    assert [mixed((4,), seed=7)[i] for i in range(12)] == [alone[i] for i in range(12)]


def test_seed_changes_order_and_turns() -> None:
    one, other = mixed((1, 1)), mixed((1, 1), seed=6)
    turns = [[stream.locate(i)[0] for i in range(40)] for stream in (one, other)]
    assert turns[0] != turns[1]


@pytest.mark.parametrize('num_workers', [0, 2])
def test_any_number_of_workers_and_seeking(num_workers: int) -> None:
    expected = [mixed((2, 1))[i] for i in range(20)]
    assert take(mixed((2, 1)), 10, num_workers) == expected
    assert take(mixed((2, 1)), 5, num_workers, start=10) == expected[10:]


def test_two_ranks_see_what_one_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = mixed((1, 1))
    alone = take(stream, 20, size=4)
    parts = []
    for rank in range(2):
        monkeypatch.setattr(endless, 'get_dist_info', lambda rank=rank: (rank, 2))
        parts.append(take(stream, 20, size=2))
    for i in range(20):
        together = parts[0][2 * i : 2 * i + 2] + parts[1][2 * i : 2 * i + 2]
        assert sorted(together) == sorted(alone[4 * i : 4 * i + 4])
        assert Counter(name for name, *_ in together) == dict(a=2, b=2)
    for part in parts:  # no rank has one source alone
        assert {name for name, *_ in part} == {'a', 'b'}


def test_samples_tell_their_stream() -> None:
    class Samples(Named):
        def __getitem__(self, index: int) -> Any:
            return dict(data_samples=SegDataSample(metainfo=dict(name=self.name)))

    streams = [EndlessDataset(Samples(name, 4), 0) for name in 'ab']
    stream = MixedStream(streams, (1, 2))
    found = [stream[position]['data_samples'] for position in range(9)]
    assert [sample.stream for sample in found] == ['ab'.index(sample.name) for sample in found]
    assert len({sample.seed for sample in found}) == 9
