"""The endless stream and its positions."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from mmseg.structures import SegDataSample
from torch.utils.data import DataLoader, Dataset

from mmseg_uda.datasets import endless
from mmseg_uda.datasets.endless import EndlessDataset, PositionSampler, derive_seed, seeded
from mmseg_uda.structures import ImageBatch

LENGTH = 7


class Draws(Dataset):
    """Each sample is its index and a number of each random generator."""

    def __init__(self) -> None:
        self.metainfo = dict(classes=('a', 'b'))

    def __len__(self) -> int:
        return LENGTH

    def __getitem__(self, index: int) -> tuple[int, float, float, float]:
        return index, random.random(), float(np.random.rand()), float(torch.rand(()))


def take(
    stream: Dataset, count: int, num_workers: int = 0, start: int = 0, batch_size: int = 2
) -> list[Any]:
    """The first batches as tuples."""
    loader = DataLoader(
        stream,
        batch_size,
        sampler=PositionSampler(LENGTH, start),
        num_workers=num_workers,
        collate_fn=list,
    )
    return [sample for batch, _ in zip(loader, range(count)) for sample in batch]


def test_each_pass_is_another_permutation() -> None:
    stream = EndlessDataset(Draws(), seed=5)
    passes = [tuple(stream.index(LENGTH * i + j) for j in range(LENGTH)) for i in range(6)]
    for each in passes:
        assert sorted(each) == list(range(LENGTH))
    assert len(set(passes)) == 6
    assert len(stream) == LENGTH
    assert stream.metainfo == dict(classes=('a', 'b'))


def test_a_number_of_images_is_chosen_by_the_seed() -> None:
    def chosen(number: int, seed: int = 5) -> set[int]:
        stream = EndlessDataset(Draws(), seed=seed, num_images=number)
        assert len(stream) == number
        passes = [[stream.index(number * i + j) for j in range(number)] for i in range(6)]
        assert {tuple(sorted(each)) for each in passes} == {tuple(sorted(passes[0]))}
        return set(passes[0])

    assert [len(chosen(number)) for number in (1, 3, 5)] == [1, 3, 5]
    assert chosen(1) < chosen(3) < chosen(5)
    assert len({tuple(sorted(chosen(3, seed))) for seed in range(20)}) > 5
    assert chosen(LENGTH) == set(range(LENGTH))
    stream = EndlessDataset(PartlyDamaged({*range(LENGTH)} - chosen(3)), 5, num_images=3)
    assert {stream[i]['data_samples'].index for i in range(9)} == chosen(3)  # no other is read
    some = min(chosen(3))
    broken = EndlessDataset(PartlyDamaged({some}), 5, skip_broken=1, num_images=3)
    assert {broken[i]['data_samples'].index for i in range(30)} == chosen(3) - {some}


def test_without_shuffling() -> None:
    stream = EndlessDataset(Draws(), seed=5, shuffle=False)
    assert [stream.index(i) for i in range(2 * LENGTH)] == list(range(LENGTH)) * 2


def test_seed_changes_order_and_augmentation() -> None:
    one, other = (EndlessDataset(Draws(), seed=seed) for seed in (0, 1))
    assert [one.index(i) for i in range(LENGTH)] != [other.index(i) for i in range(LENGTH)]
    one.shuffle = other.shuffle = False
    for draw, another in zip(one[0][1:], other[0][1:]):
        assert draw != another


def test_sample_is_a_function_of_its_position() -> None:
    stream = EndlessDataset(Draws(), seed=5)
    expected = [stream[i] for i in range(20)]
    assert [stream[i] for i in reversed(range(20))] == expected[::-1]
    assert len({draws[1:] for draws in expected}) == 20  # the same image is drawn anew each pass
    np.random.seed(9)
    torch.manual_seed(9)
    random.seed(9)
    assert [stream[i] for i in range(20)] == expected


@pytest.mark.parametrize('num_workers', [0, 1, 2])
def test_any_number_of_workers(num_workers: int) -> None:
    stream = EndlessDataset(Draws(), seed=5)
    assert take(stream, 10, num_workers) == [stream[i] for i in range(20)]


def test_seeking() -> None:
    stream = EndlessDataset(Draws(), seed=5)
    assert take(stream, 5, start=10) == [stream[i] for i in range(10, 20)]


def test_global_random_state_is_untouched() -> None:
    def states() -> tuple[Any, ...]:
        return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()

    before = states()
    EndlessDataset(Draws(), seed=5)[3]
    assert states() == before
    with pytest.raises(ZeroDivisionError), seeded(3):
        torch.rand(1) / (1 // 0)
    assert states() == before


def test_two_ranks_see_what_one_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch by batch, and they share nothing."""
    stream = EndlessDataset(Draws(), seed=5)
    alone = take(stream, 6, batch_size=4)
    parts = []
    for rank in range(2):
        monkeypatch.setattr(endless, 'get_dist_info', lambda rank=rank: (rank, 2))
        parts.append(take(stream, 6, batch_size=2))
        assert len(PositionSampler(LENGTH)) == 4
    for i in range(6):
        together = parts[0][2 * i : 2 * i + 2] + parts[1][2 * i : 2 * i + 2]
        assert sorted(together) == sorted(alone[4 * i : 4 * i + 4])


def test_damaged_file_is_named() -> None:
    class Damaged(Draws):
        def get_data_info(self, index: int) -> dict[str, Any]:
            return dict(img_path='a.png', seg_map_path=f'{index}.png', seg_fields=[])

        def __getitem__(self, index: int) -> Any:
            raise OSError('image file is truncated')

    stream = EndlessDataset(Damaged(), seed=0, shuffle=False)
    with pytest.raises(
        OSError,
        match=r'Damaged: expected readable files, but got the sample with img_path=a.png, '
        r'seg_map_path=2.png: image file is truncated',
    ):
        stream[2]


class PartlyDamaged(Draws):
    """Samples of which those with an index in ``damaged`` cannot be read."""

    def __init__(self, damaged: set[int], error: type[Exception] = OSError) -> None:
        super().__init__()
        self.damaged = damaged
        self.error = error

    def get_data_info(self, index: int) -> dict[str, Any]:
        return dict(img_path=f'{index}.png')

    def __getitem__(self, index: int) -> Any:
        if index in self.damaged:
            raise self.error('failed to load image')
        meta = dict(index=index, draws=super().__getitem__(index)[1:])
        return dict(data_samples=SegDataSample(metainfo=meta))


@pytest.mark.parametrize('error', [OSError, SyntaxError, AssertionError])
@pytest.mark.parametrize('num_workers', [0, 1])
def test_others_take_the_place_of_damaged_samples(error: type[Exception], num_workers: int) -> None:
    def samples(damaged: set[int], skip_broken: int, workers: int = 0) -> list[Any]:
        dataset = PartlyDamaged(damaged, error)
        stream = EndlessDataset(dataset, seed=5, skip_broken=skip_broken)
        return [each['data_samples'] for each in take(stream, 20, workers)]

    whole = samples(set(), 0)
    found = samples({1, 4}, 2, num_workers)
    places = [each.index for each in whole]
    instead = [each.index for each, place in zip(found, places) if place in (1, 4)]
    assert len(instead) >= 10
    assert len(set(instead)) > 2  # not always the same
    assert not {1, 4} & set(instead)
    for each, original, place in zip(found, whole, places):
        if place in (1, 4):
            assert each.broken[0] == (
                f'the sample with img_path={place}.png',
                'failed to load image',
            )
        else:
            assert (each.index, each.draws) == (place, original.draws)
            assert 'broken' not in each
        assert each.seed == original.seed
    again = samples({1, 4}, 2)
    assert [each.index for each in again] == [each.index for each in found]
    assert [each.draws for each in again] == [each.draws for each in found]
    pattern = r'got the sample with img_path=\d.png: failed to load image; skip_broken=2'
    with pytest.raises(OSError, match=pattern):
        samples(set(range(LENGTH)), 2)
    with pytest.raises(OSError, match='all 7 samples are broken'):
        samples(set(range(LENGTH)), 99)


@pytest.mark.parametrize(
    'error', [FileNotFoundError(2, 'missing', 'a.png'), AssertionError('a slip'), ValueError('x')]
)
def test_missing_files_and_slips_are_not_skipped(error: Exception) -> None:
    class Failing(Draws):
        def __getitem__(self, index: int) -> Any:
            raise error

    with pytest.raises(type(error)) as raised:
        EndlessDataset(Failing(), seed=0, skip_broken=9)[0]
    assert raised.value is error


def test_seed_of_what_a_method_draws() -> None:
    """It follows from seed and position, and is not that of the pipeline."""

    class Samples(Draws):
        def __getitem__(self, index: int) -> dict[str, Any]:
            drawn = torch.rand(3)
            return dict(inputs=drawn, data_samples=SegDataSample(metainfo=dict(img_path='a.png')))

    stream = EndlessDataset(Samples(), seed=5)
    samples = [stream[position] for position in range(50)]
    seeds = [sample['data_samples'].seed for sample in samples]
    assert seeds == [derive_seed(5, position, 1) for position in range(50)]
    assert len(set(seeds)) == 50
    batch = ImageBatch(torch.zeros(50, 3, 1, 1), [sample['data_samples'] for sample in samples])
    for generator, sample in zip(batch.generators, samples):
        assert not torch.rand(3, generator=generator).equal(sample['inputs'])
    assert batch.generators[0].initial_seed() == seeds[0]
    assert batch.generators is batch.generators  # a method goes on drawing from them


def test_samples_without_a_seed_follow_the_global_generator() -> None:
    batches = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        batches.append(ImageBatch(torch.zeros(2, 3, 1, 1), [SegDataSample()] * 2))
        batches[-1].generators  # noqa: B018  (drawn here)
    seeds = [[each.initial_seed() for each in batch.generators] for batch in batches]
    assert seeds[0] == seeds[1] != seeds[2]
    assert seeds[0][0] != seeds[0][1]


def test_derived_seeds() -> None:
    seeds = {derive_seed(seed, position) for seed in range(20) for position in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derive_seed(1, 2) != derive_seed(2, 1)
    assert derive_seed(0) == derive_seed(0)
