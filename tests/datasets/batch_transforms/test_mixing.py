"""Mixers that know nothing of context: pasting, CutMix, CowMix, ClassMix."""

from __future__ import annotations

import math
from itertools import combinations
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
import toys
from mmengine.structures import PixelData
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.testing import assert_close

from mmseg_uda.datasets.batch_transforms import Mixer, paste
from mmseg_uda.datasets.batch_transforms.class_mix import choose_classes, pixels_of, present_classes
from mmseg_uda.datasets.batch_transforms.cow_mix import cow_masks
from mmseg_uda.datasets.batch_transforms.cut_mix import rectangles
from mmseg_uda.structures import DomainBatch, ImageBatch, TeacherPrediction

CONFIGS = (
    dict(type='CutMix'),
    dict(type='CowMix', sigma=(1, 3)),
    dict(type='ClassMix'),
    dict(type='ClassMix', direction='target2source'),
    dict(type='ContextMix'),
)


def make_batch(
    source: Tensor, target: Tensor, num_classes: int = 4, device: str = 'cpu'
) -> tuple[DomainBatch, TeacherPrediction]:
    """A batch whose images say where each pixel is from: source i, target -i at pixel i.

    Args:
        source: Ground truth, shape (N, H, W).
        target: What the teacher says, shape (N, H, W).
    """
    number, height, width = source.shape
    images = torch.arange(1.0, 1 + number * 3 * height * width).view(number, 3, height, width)
    samples = [SegDataSample() for _ in range(number)]
    for sample, label in zip(samples, source):
        sample.gt_sem_seg = PixelData(data=label[None].to(device))
    probabilities = torch.nn.functional.one_hot(target, num_classes).permute(0, 3, 1, 2) * 0.5 + 0.1
    confidence, label = probabilities.max(1)
    batch = DomainBatch(
        ImageBatch(images.to(device), samples),
        ImageBatch(-images.to(device), [SegDataSample() for _ in range(number)]),
    )
    return batch, TeacherPrediction(*(x.to(device) for x in (probabilities, label, confidence)))


def labels(number: int = 2, height: int = 6, width: int = 8, num_classes: int = 4) -> Tensor:
    return torch.randint(num_classes, (number, height, width))


class Given(Mixer):
    """Pastes by the mask that it is given."""

    def __init__(self, pasted: Tensor) -> None:
        super().__init__()
        self.pasted = pasted

    def mask(self, *args: Any) -> Tensor:
        return self.pasted


# ----------------------------------------------------------------------------------------- pasting


def test_everything_is_pasted_by_one_mask() -> None:
    batch, teacher = make_batch(
        torch.tensor([[[0, 255], [2, 3]]]), torch.tensor([[[3, 2], [1, 0]]])
    )
    teacher = TeacherPrediction(
        teacher.probabilities,
        teacher.label,
        teacher.confidence,
        torch.tensor([[[0.2, 0.3], [0.4, 0.5]]]),
    )
    mask = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    mixed = Given(mask)(batch, teacher, 0, torch.tensor([[[0.6, 0.7], [0.8, 0.9]]]))
    assert_close(
        mixed.images,
        torch.tensor([[[[1.0, -2], [-3, 4]], [[5, -6], [-7, 8]], [[9, -10], [-11, 12]]]]),
    )
    assert mixed.labels.tolist() == [[[0, 2], [1, 3]]]
    assert mixed.labels.dtype == torch.int64
    assert_close(mixed.pixel_weight, torch.tensor([[[1.0, 0.7], [0.8, 1.0]]]))
    assert_close(mixed.significance, torch.tensor([[[1.0, 0.3], [0.4, 1.0]]]))
    assert mixed.mask is mask
    ignored = Given(torch.ones(1, 1, 2, 2))(batch, teacher, 0)
    assert ignored.labels.tolist() == [[[0, 255], [2, 3]]]


@pytest.mark.parametrize(
    ('weight', 'expected'),
    [
        (None, [[1.0, 1.0], [1.0, 1.0]]),
        (torch.tensor(0.25), [[0.25, 1.0], [0.25, 1.0]]),
        (torch.tensor([[[0.5]], [[0.75]]]), [[0.5, 1.0], [0.75, 1.0]]),
    ],
)
def test_weight_of_the_target(weight: Tensor | None, expected: list[list[float]]) -> None:
    batch, teacher = make_batch(labels(2, 1, 2), labels(2, 1, 2))
    mask = torch.tensor([0.0, 1.0]).expand(2, 1, 1, 2)
    mixed = Given(mask)(batch, teacher, 0, weight)
    assert_close(mixed.pixel_weight[:, 0], torch.tensor(expected))
    assert mixed.significance is None


def test_paste_of_images_and_maps() -> None:
    mask = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    assert paste(mask, torch.ones(1, 3, 1, 2), torch.zeros(1, 3, 1, 2)).tolist() == [[[[1, 0]]] * 3]
    assert paste(mask, torch.ones(1, 1, 2), torch.zeros(1, 1, 2)).tolist() == [[[1, 0]]]


def test_batch_transforms_are_told_from_transforms_of_samples() -> None:
    ours = {
        name: getattr(cls, 'is_batch_transform', False)
        for name, cls in TRANSFORMS.module_dict.items()
        if cls.__module__.startswith('mmseg_uda')
    }
    batch = {name for name, flag in ours.items() if flag}
    assert batch == {cfg['type'] for cfg in CONFIGS} | {
        'BlockMask',
        'RandAugment',
        'RandomView',
        'StrongAugment',
    }
    assert {'FourierAmplitudeMix', 'PackUDAInputs', 'TrackPositions'} <= set(ours) - batch


def test_no_graph() -> None:
    batch, teacher = make_batch(labels(), labels())
    batch.source.images.requires_grad_()
    weight = torch.ones(2, 6, 8, requires_grad=True)
    mixed = TRANSFORMS.build(dict(type='CutMix'))(batch, teacher, 0, weight)
    assert not mixed.images.requires_grad
    assert not mixed.pixel_weight.requires_grad


@pytest.mark.parametrize('cfg', CONFIGS, ids=str)
def test_every_mixer(cfg: dict[str, Any]) -> None:
    batch, teacher = make_batch(labels(), labels())
    mixer = TRANSFORMS.build(cfg)
    assert not mixer.state_dict()
    mixer.check(4)
    mixed = mixer(batch, teacher, 0, torch.tensor(0.5))
    assert mixed.mask.shape == (2, 1, 6, 8)
    assert set(mixed.mask.unique().tolist()) <= {0.0, 1.0}
    from_source = mixed.mask[:, 0] == 1
    assert torch.equal(mixed.images > 0, mixed.mask.expand_as(mixed.images) == 1)
    assert_close(mixed.images.abs(), batch.source.images)
    assert torch.equal(mixed.labels, torch.where(from_source, batch.source.labels, teacher.label))
    assert_close(mixed.pixel_weight, 0.5 + 0.5 * from_source)
    again = mixer.mask(batch, teacher, 0, toys.generators(2, 3))
    assert torch.equal(again, mixer.mask(batch, teacher, 0, toys.generators(2, 3)))
    masks = {
        tuple(mixer.mask(batch, teacher, 0, toys.generators(2, seed)).flatten().tolist())
        for seed in range(8)
    }
    assert len(masks) > 1
    torch.manual_seed(5)
    first = mixer.mask(batch, teacher, 0)
    torch.manual_seed(5)
    assert torch.equal(first, mixer.mask(batch, teacher, 0))


@pytest.mark.parametrize('cfg', CONFIGS, ids=str)
def test_an_image_is_mixed_as_it_would_be_alone(cfg: dict[str, Any]) -> None:
    source, target, mixer = labels(), labels(), TRANSFORMS.build(cfg)
    together = mixer.mask(*make_batch(source, target), 0, toys.generators(2))
    for index, generator in enumerate(toys.generators(2)):
        batch, teacher = make_batch(source[index, None], target[index, None])
        alone = mixer.mask(batch, teacher, 0, [generator])
        assert torch.equal(alone[0], together[index])


@pytest.mark.parametrize('cfg', CONFIGS, ids=str)
def test_never_waits_for_the_device(cfg: dict[str, Any]) -> None:
    """Tensors of the meta device have no values that one could wait for."""
    batch, teacher = make_batch(labels(), labels(), device='meta')
    mixed = TRANSFORMS.build(cfg).to('meta')(batch, teacher, 0, torch.ones(2, 6, 8, device='meta'))
    assert mixed.images.is_meta
    assert mixed.labels.dtype == torch.int64
    assert mixed.mask.shape == (2, 1, 6, 8)


def test_sizes_that_differ() -> None:
    batch, teacher = make_batch(labels(), labels())
    other = make_batch(labels(2, 6, 7), labels(2, 6, 7))
    mixer = TRANSFORMS.build(dict(type='CutMix'))
    with pytest.raises(
        ValueError,
        match=r'CutMix: expected source and target images of one shape, but got \(2, 3, 6, '
        r'7\) and \(2, 3, 6, 8\); write the same batch_size and the same '
        'RandomCrop.crop_size for both',
    ):
        mixer(DomainBatch(other[0].source, batch.target), teacher, 0)
    fewer = make_batch(labels(1), labels(1))[0]
    with pytest.raises(ValueError, match='the same batch_size'):
        mixer(DomainBatch(fewer.source, batch.target), teacher, 0)
    with pytest.raises(
        ValueError, match=r"teacher's labels of shape \(2, 6, 8\), but got \(2, 6, 7\)"
    ):
        mixer(batch, other[1], 0)


# ------------------------------------------------------------------------------------------ CutMix


def test_rectangles() -> None:
    height, width, ratio, number = 40, 64, 0.3, 200
    masks = rectangles(torch.empty(number, 3, height, width), ratio, toys.generators(number))
    drawn = [torch.rand(3, generator=each) for each in toys.generators(number)]
    shape, down, across = torch.stack(drawn, 1)
    tops = []
    for index, mask in enumerate(masks[:, 0].numpy()):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        tall, wide = (
            round(height * ratio ** float(shape[index])),
            round(width * ratio ** (1 - float(shape[index]))),
        )
        assert (len(rows), len(columns)) == (tall, wide)
        assert mask.sum() == tall * wide  # one full rectangle
        assert rows[0] == int(down[index] * (height - tall + 1))
        assert columns[0] == int(across[index] * (width - wide + 1))
        assert rows[-1] - rows[0] == tall - 1
        tops.append((rows[0] == 0, rows[-1] == height - 1))
    assert abs(masks.mean().item() - ratio) < 0.01
    assert np.array(tops).any(0).all()  # it reaches both borders


def test_cut_mix_ratio() -> None:
    batch, teacher = make_batch(labels(1, 20, 20), labels(1, 20, 20))
    mask = TRANSFORMS.build(dict(type='CutMix', ratio=0.25)).mask(
        batch, teacher, 0, toys.generators(1)
    )
    assert torch.equal(mask, rectangles(batch.target.images, 0.25, toys.generators(1)))
    assert rectangles(torch.empty(20, 3, 1, 1), 0.01).all()  # at least one pixel


# ------------------------------------------------------------------------------------------ CowMix


def test_cow_masks() -> None:
    """Against sums over all pixels, with a Gaussian that is normalised."""
    images, sigma, ratio = torch.empty(2, 3, 9, 12), (1.0, 4.0), 0.3
    masks = cow_masks(images, sigma, ratio, toys.generators(2))
    for index, draws in enumerate(toys.generators(2)):
        deviation = sigma[0] * (sigma[1] / sigma[0]) ** torch.rand((), generator=draws).item()
        noise = torch.randn((9, 12), generator=draws).double().numpy()
        smooth = np.zeros((9, 12))
        for y in range(9):
            for x in range(12):
                smooth[y, x] = sum(
                    noise[v, u]
                    * math.exp(-((y - v) ** 2 + (x - u) ** 2) / 2 / deviation**2)
                    / (2 * math.pi * deviation**2)
                    for v in range(9)
                    for u in range(12)
                )
        threshold = smooth.mean() + NormalDist().inv_cdf(ratio) * smooth.std()
        assert np.array_equal(masks[index, 0].numpy(), smooth < threshold)


@pytest.mark.parametrize('ratio', [0.2, 0.5, 0.7])
def test_cow_mix_share(ratio: float) -> None:
    batch, teacher = make_batch(labels(40, 32, 32), labels(40, 32, 32))
    mixer = TRANSFORMS.build(dict(type='CowMix', sigma=(1, 2), ratio=ratio))
    assert abs(mixer.mask(batch, teacher, 0, toys.generators(40)).mean() - ratio) < 0.02


def test_cow_mix_sigma() -> None:
    def edges(sigma: tuple[float, float]) -> float:
        mask = cow_masks(torch.empty(10, 3, 32, 32), sigma, 0.5, toys.generators(10))
        return mask.diff(dim=-1).abs().mean().item()

    batch, teacher = make_batch(labels(10, 32, 32), labels(10, 32, 32))
    mask = TRANSFORMS.build(dict(type='CowMix', sigma=(1, 4))).mask(
        batch, teacher, 0, toys.generators(10)
    )
    assert torch.equal(mask, cow_masks(batch.target.images, (1, 4), 0.5, toys.generators(10)))
    assert edges((1, 1)) > 2 * edges((4, 4))
    assert edges((1, 1)) > edges((1, 4)) > edges((4, 4))


# ---------------------------------------------------------------------------------------- ClassMix


def test_present_classes() -> None:
    found = present_classes(torch.tensor([[[0, 3]], [[255, 255]], [[-1, 1]], [[4, 2]]]), 4)
    assert found.tolist() == [
        [True, False, False, True],
        [False] * 4,
        [False, True, False, False],
        [False, False, True, False],
    ]


@pytest.mark.parametrize(
    ('number', 'share', 'expected'),
    [
        (0, 0.5, 0),
        (1, 0.5, 1),
        (2, 0.5, 1),
        (3, 0.5, 2),
        (4, 0.5, 2),
        (7, 0.5, 4),
        (10, 0.3, 3),
        (5, 1.0, 5),
        (5, 0.01, 1),
        (19, 0.5, 10),
    ],
)
def test_how_many_classes(number: int, share: float, expected: int) -> None:
    present = torch.zeros(30, 20, dtype=torch.bool)
    for row in present:
        row[torch.randperm(20)[:number]] = True
    chosen = choose_classes(present, share)
    assert not (chosen & ~present).any()
    assert (chosen.sum(1) == expected).all()


def test_each_subset_is_equally_likely() -> None:
    present = torch.tensor([True, False, True, True, False, True, True]).expand(20000, 7)
    chosen = choose_classes(present, 0.5, toys.generators(20000))  # 3 of 5: 10 subsets
    values, counts = (chosen.long() * 2 ** torch.arange(7)).sum(1).unique(return_counts=True)
    subsets = {sum(2**index for index in each) for each in combinations((0, 2, 3, 5, 6), 3)}
    assert set(values.tolist()) == subsets
    assert ((counts - 2000).abs() < 5 * 2000**0.5).all()


def test_pixels_of() -> None:
    chosen = torch.tensor([[True, False, True], [False, True, False]])
    found = pixels_of(chosen, torch.tensor([[[0, 1], [2, 255]], [[0, 1], [-1, 3]]]))
    assert found.tolist() == [[[[1, 0], [1, 0]]], [[[0, 1], [0, 0]]]]


def test_class_mix_takes_whole_classes_of_the_source() -> None:
    source = torch.tensor([[[0, 0, 1, 1], [2, 2, 255, 255]]])
    batch, teacher = make_batch(source, torch.full((1, 2, 4), 3))
    mixer = TRANSFORMS.build(dict(type='ClassMix'))
    seen = set()
    for seed in range(40):
        mask = mixer.mask(batch, teacher, 0, toys.generators(1, seed))[0, 0].bool()
        chosen = set(source[0][mask].tolist())
        seen.add(tuple(sorted(chosen)))
        assert torch.equal(mask, torch.isin(source[0], torch.tensor(sorted(chosen))))
    assert seen == {(0, 1), (0, 2), (1, 2)}  # 2 of 3, never the ignored pixels


def test_class_mix_takes_whole_classes_of_the_target() -> None:
    target = torch.tensor([[[0, 1, 2, 3]]])
    batch, teacher = make_batch(torch.full((1, 1, 4), 255), target)
    mixer = TRANSFORMS.build(dict(type='ClassMix', direction='target2source'))
    seen = set()
    for seed in range(60):
        mask = mixer.mask(batch, teacher, 0, toys.generators(1, seed))[0, 0].bool()
        seen.add(tuple(target[0][~mask].tolist()))
    assert seen == set(combinations(range(4), 2))


@pytest.mark.parametrize(('direction', 'value'), [('source2target', 0), ('target2source', 1)])
def test_nothing_to_choose(direction: str, value: int) -> None:
    """Without a class nothing of its domain is pasted; a teacher always has one."""
    source = torch.full((1, 2, 2), 255 if value == 0 else 1)
    batch, teacher = make_batch(source, torch.zeros(1, 2, 2, dtype=torch.long))
    if value == 1:
        teacher = TeacherPrediction(
            teacher.probabilities, torch.full((1, 2, 2), 255), teacher.confidence
        )
    mask = TRANSFORMS.build(dict(type='ClassMix', direction=direction)).mask(batch, teacher, 0)
    assert (mask == value).all()


def test_class_mix_share() -> None:
    batch, teacher = make_batch(torch.arange(4).view(1, 1, 4), labels(1, 1, 4))
    assert TRANSFORMS.build(dict(type='ClassMix', share=1.0)).mask(batch, teacher, 0).all()
    assert TRANSFORMS.build(dict(type='ClassMix', share=0.25)).mask(batch, teacher, 0).sum() == 1


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ('cfg', 'match'),
    [
        (
            dict(type='CutMix', ratio=1.0),
            r'CutMix.ratio: expected a number in \(0, 1\), but got 1.0',
        ),
        (
            dict(type='CutMix', ratio=True),
            r'CutMix.ratio: expected a number in \(0, 1\), but got True',
        ),
        (
            dict(type='CutMix', ratio='half'),
            r"CutMix.ratio: expected a number in \(0, 1\), but got 'half'",
        ),
        (
            dict(type='CowMix', ratio=0),
            r'CowMix.ratio: expected a number in \(0, 1\), but got 0',
        ),
        (
            dict(type='CowMix', sigma=(3, 2)),
            r'CowMix.sigma: expected \(smallest, largest\), but got \(3, 2\)',
        ),
        (
            dict(type='CowMix', sigma=(0, 2)),
            r'CowMix.sigma: expected a number in \(0, inf\), but got 0',
        ),
        (
            dict(type='CowMix', sigma=4),
            r'CowMix.sigma: expected a list of 2 numbers, but got 4',
        ),
        (
            dict(type='ClassMix', direction='both'),
            'ClassMix.direction: expected one of '
            r"\('source2target', 'target2source'\), but "
            "got 'both'",
        ),
        (
            dict(type='ClassMix', share=0),
            r'ClassMix.share: expected a number in \(0, 1\], but got 0',
        ),
        (
            dict(type='ClassMix', share=1.5),
            r'ClassMix.share: expected a number in \(0, 1\], but got 1.5',
        ),
    ],
)
def test_errors(cfg: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        TRANSFORMS.build(cfg)


def test_base() -> None:
    batch, teacher = make_batch(labels(), labels())
    with pytest.raises(NotImplementedError):
        Mixer()(batch, teacher, 0)
