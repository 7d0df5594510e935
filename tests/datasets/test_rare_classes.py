"""Rare class sampling, derived again by loops over pixels, images and crops."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import toys
from mmengine.registry import DATASETS

from mmseg_uda.datasets.endless import EndlessDataset, derive_seed, seeded
from mmseg_uda.datasets.rare_classes import RareClassSampling, class_probabilities
from mmseg_uda.stages.class_counts import make_class_counts

COUNT, CROP = 10, (8, 12)
POSITIONS = range(60)


def make_labels(seed: int = 0) -> list[np.ndarray]:
    """Maps of class 0 with a block each of classes 1 and 2; class 3 is nowhere, 255 in a row."""
    rng = np.random.default_rng(seed)
    labels = []
    for i in range(COUNT):
        label = np.zeros(toys.SIZE, np.uint8)
        top, left = (int(each) for each in rng.integers((0, 0), (20, 30)))
        if i % 2:
            label[top : top + 6, left : left + 10] = 1  # 60 pixels
        if i % 3 == 0:
            label[20:26, 2 + i : 6 + i] = 2  # 24 pixels
        label[0] = 255
        labels.append(label)
    return labels


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('rare')
    toys.write_domain(root, 'source', COUNT, 0)
    for i, label in enumerate(make_labels()):
        cv2.imwrite(str(root / f'source/labels/{i}.png'), label)
    make_class_counts(dataset_cfg(root), workers=0).write(root / 'counts.npz')
    return root


def dataset_cfg(data: Path, *wrapped: dict[str, Any]) -> dict[str, Any]:
    cfg = toys.dataset_cfg(data, 'source')
    crop = [dict(type='RandomCrop', crop_size=CROP)]
    cfg['pipeline'][2:2] = [dict(type='RandomApply', transforms=crop, prob=1.0), *wrapped]
    return cfg


def sampling(data: Path, cfg: dict[str, Any] | None = None, **changes: Any) -> RareClassSampling:
    options = dict(class_counts=str(data / 'counts.npz'), min_pixels=20, min_crop_ratio=0.5)
    dataset = DATASETS.build(cfg or dataset_cfg(data))
    return RareClassSampling(dataset, **{**options, **changes})


def stream(data: Path, seed: int = 5, skip_broken: int = 0, **changes: Any) -> EndlessDataset:
    rare = sampling(data, **changes)
    return EndlessDataset(rare.dataset, seed, skip_broken=skip_broken, sampling=rare)


def crop_of(sample: dict[str, Any]) -> np.ndarray:
    return sample['data_samples'].gt_sem_seg.data[0].numpy()


def class_of(sampled: EndlessDataset, position: int) -> int:
    assert sampled.sampling is not None
    return sampled.sampling.draw(sampled.seed, position).rare_class


@pytest.mark.parametrize('temperature', [0.01, 0.05, 100.0])
def test_probabilities_by_loops(temperature: float) -> None:
    pixels = {c: sum((label == c).sum() for label in make_labels()) for c in range(4)}
    labelled = sum(pixels.values())  # 255 is no part of it
    weights = {
        c: math.exp((1 - n / labelled) / temperature - 1 / temperature)
        for c, n in pixels.items()
        if n
    }
    expected = [weights.get(c, 0) / sum(weights.values()) for c in range(4)]
    counts = np.array([[(label == c).sum() for c in range(4)] for label in make_labels()])
    found = class_probabilities(counts, temperature)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert found[3] == 0
    assert found[2] > found[1] > found[0]  # the rarer, the likelier


def test_shares_are_those_of_the_set_and_not_means_of_images() -> None:
    counts = np.array([[900, 100], [5, 5]])
    f = 105 / 1010  # the mean of the images' shares is 0.3
    expected = 1 / (1 + math.exp((f - (1 - f)) / 0.5))
    assert class_probabilities(counts, 0.5)[1] == pytest.approx(expected)


def test_images_and_classes_are_drawn_as_often_as_they_should(data: Path) -> None:
    rare = sampling(data, temperature=0.05)
    draws = [rare.draw(0, position) for position in range(4000)]
    classes = np.bincount([each.rare_class for each in draws], minlength=4) / len(draws)
    np.testing.assert_allclose(classes, rare.probabilities, atol=0.03)
    for c, owners in ((1, {1, 3, 5, 7, 9}), (2, {0, 3, 6, 9})):
        images = [int(each.images[0]) for each in draws if each.rare_class == c]
        assert set(images) == owners
        shares = np.bincount(images)[sorted(owners)] / len(images)
        np.testing.assert_allclose(shares, 1 / len(owners), atol=0.04)


def test_threshold_is_strict(data: Path) -> None:
    assert len(sampling(data, min_pixels=23).images[2]) == 4
    with pytest.raises(
        ValueError,
        match=r"RareClassSampling.min_pixels: expected images with more than 24 pixels of 'c', "
        'but got at most 24; write a number below 24',
    ):
        sampling(data, min_pixels=24)


def test_limits(data: Path) -> None:
    """Of 10 images 4 show class 2, which is the rarest, and 5 show class 1."""
    free = sampling(data, temperature=0.01)
    loose = sampling(data, temperature=0.01, max_probability=0.999, max_repeats=2.6)
    assert free.probabilities[2] < 0.999
    for position in range(50):  # limits that are not reached change nothing
        first, second = (each.draw(0, position) for each in (free, loose))
        assert first.rare_class == second.rare_class
        np.testing.assert_array_equal(first.images, second.images)
    assert not loose.any_class
    rare = sampling(data, temperature=0.01, max_repeats=1.5, max_probability=0.1)
    assert rare.probabilities[2] == 0.1
    rare = sampling(data, temperature=0.01, max_repeats=0.5)
    np.testing.assert_allclose(rare.probabilities[2], 0.5 * 0.4)
    np.testing.assert_allclose(rare.any_class, 1 - rare.probabilities.sum())
    assert f', any {rare.any_class:.3f} (10 images)' in rare.describe()[0]
    draws = [rare.draw(0, position) for position in range(4000)]
    np.testing.assert_allclose(np.mean([each.rare_class == 2 for each in draws]), 0.2, atol=0.03)
    images = [int(each.images[0]) for each in draws if each.rare_class is None]
    np.testing.assert_allclose(np.bincount(images, minlength=10) / len(images), 0.1, atol=0.03)
    sampled = EndlessDataset(rare.dataset, 5, sampling=rare)
    assert {sampled.index(position) for position in range(300)} == set(range(10))
    assert sampled[0]['inputs'].shape[-2:] == CROP


def test_classes_that_no_image_shows_are_left_out(data: Path) -> None:
    rare = sampling(data, min_pixels=24, max_repeats=2)
    assert [len(images) for images in rare.images] == [10, 5, 0, 0]
    assert rare.probabilities[2:].tolist() == [0, 0]
    assert 2 not in {rare.draw(0, position).rare_class for position in range(100)}
    assert rare.describe()[1] == [
        "RareClassSampling: no image has more than 24 pixels of 'c', but at most 24, so it is not "
        'drawn; write a smaller min_pixels to draw it'
    ]
    rare = sampling(data, min_pixels=100000, max_repeats=2)
    assert rare.draw(0, 0).rare_class is None
    assert len(rare.describe()[1]) == 3


@pytest.mark.parametrize('retries', [0, 1, 10])
def test_crops_by_a_loop(data: Path, retries: int) -> None:
    """Crops of the same image, until one has more than 10 pixels; the last one is not checked."""
    sampled, labels, accepted = stream(data, retries=retries), make_labels(), 0
    for position in POSITIONS:
        rare_class, image = class_of(sampled, position), sampled.index(position)
        with seeded(derive_seed(5, position)):
            np.random.rand()  # of RandomApply
            for attempt in range(retries + 1):
                top = np.random.randint(0, toys.SIZE[0] - CROP[0] + 1)
                left = np.random.randint(0, toys.SIZE[1] - CROP[1] + 1)
                expected = labels[image][top : top + CROP[0], left : left + CROP[1]]
                if (expected == rare_class).sum() > 10 and attempt < retries:
                    break
        found = sampled[position]
        flipped = found['data_samples'].metainfo['flip']
        np.testing.assert_array_equal(crop_of(found), expected[:, ::-1] if flipped else expected)
        assert found['data_samples'].img_path.endswith(f'/{image}.png')
        accepted += int((expected == rare_class).sum() > 10)
    least = {0: 0, 1: 8, 10: 33}
    assert accepted >= least[retries]


def test_image_is_decoded_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sampled, calls = stream(data, min_crop_ratio=100.0), []
    read = cv2.imdecode
    monkeypatch.setattr('mmcv.image.io.cv2.imdecode', lambda *a: calls.append(1) or read(*a))
    sampled[0]
    assert len(calls) <= 2  # image and, by this backend, label; all eleven crops were tried


def test_position_alone_decides(data: Path) -> None:
    sampled = stream(data)
    expected = [crop_of(sampled[position]) for position in POSITIONS]
    np.random.seed(7)
    again = [crop_of(sampled[position]) for position in reversed(POSITIONS)][::-1]
    np.testing.assert_array_equal(expected, again)
    other = [class_of(stream(data, seed=6), position) for position in POSITIONS]
    assert other != [class_of(sampled, position) for position in POSITIONS]


def test_damaged_image_gives_place_to_one_with_the_same_class(data: Path, tmp_path: Path) -> None:
    whole = stream(data)
    (tmp_path / 'source').mkdir()
    for kind in ('images', 'labels'):
        (tmp_path / 'source' / kind).mkdir()
        for i in range(COUNT):
            content = (data / f'source/{kind}/{i}.png').read_bytes()
            broken = kind == 'images' and i == 3
            (tmp_path / f'source/{kind}/{i}.png').write_bytes(b'' if broken else content)
    cfg = dataset_cfg(tmp_path)
    rare = sampling(data, cfg)
    damaged = EndlessDataset(rare.dataset, 5, skip_broken=1, sampling=rare)
    met = 0
    for position in POSITIONS:
        sample, index = damaged[position]['data_samples'], whole.index(position)
        shown = int(sample.img_path.rpartition('/')[2][:-4])
        if index != 3:
            assert shown == index
            continue
        met += 1
        assert sample.broken[0][0].endswith('3.png')
        assert shown != 3
        assert shown in whole.sampling.images[class_of(whole, position)]
    assert met > 3
    assert damaged.sampling.wanted is None


@pytest.mark.parametrize('kind', ['RepeatDataset', 'ConcatDataset'])
def test_wrapped_datasets(data: Path, kind: str) -> None:
    inner = dataset_cfg(data)
    cfg = dict(type=kind, datasets=[inner, inner])
    if kind == 'RepeatDataset':
        cfg = dict(type=kind, dataset=inner, times=2)
    rare = sampling(data, cfg)
    np.testing.assert_array_equal(rare.probabilities, sampling(data).probabilities)
    assert list(rare.images[2]) == [0, 3, 6, 9, 10, 13, 16, 19]
    sampled = EndlessDataset(rare.dataset, 5, sampling=rare)
    enough = [(crop_of(sampled[p]) == class_of(sampled, p)).sum() > 10 for p in POSITIONS]
    assert sum(enough) >= 33  # about 8 by chance


def test_description(data: Path) -> None:
    text, few = sampling(data, temperature=1e9).describe()
    parts = 'c 0.333 (4 images), b 0.333 (5 images), a 0.333 (10 images)'
    assert text == f'RareClassSampling: probability of each class: {parts}'
    assert not few
    many = dict(type='RepeatDataset', dataset=dataset_cfg(data), times=1)
    rare = sampling(data, many)
    rare.images[2] = rare.images[2][:1]
    rare.dataset = range(101)
    (warning,) = rare.describe()[1]
    assert "only 1 of 101 images have more than 20 pixels of 'c', which is drawn with" in warning


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (dict(temperature=0), r'RareClassSampling.temperature: expected .*, but got 0'),
        (dict(min_pixels=-1), 'RareClassSampling.min_pixels: .*-1'),
        (dict(min_crop_ratio=-0.1), 'RareClassSampling.min_crop_ratio: .*-0.1'),
        (dict(retries=1.5), 'RareClassSampling.retries: .*1.5'),
        (dict(max_probability=0), 'RareClassSampling.max_probability: .*0'),
        (dict(max_repeats=0), 'RareClassSampling.max_repeats: .*0'),
    ],
)
def test_errors(data: Path, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        sampling(data, **changes)


def test_counts_of_something_else(data: Path) -> None:
    cfg = dataset_cfg(data)
    cfg['metainfo'] = dict(classes=tuple('abce'), palette=toys.METAINFO['palette'])
    with pytest.raises(ValueError, match=r"class_counts: expected counts of .*'e'.*, but got "):
        sampling(data, cfg)
    with pytest.raises(FileNotFoundError, match='none.npz'):
        sampling(data, class_counts='none.npz')
    cfg = dataset_cfg(data)
    cfg['data_prefix'] = dict(img_path='images')
    with pytest.raises(ValueError, match='expected a label file of each image'):
        sampling(data, cfg)
