"""The spatial prior: counts, smoothing, normalisation, datasets."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import pytest
from mmengine.config import Config

from mmseg_uda.artifacts.spatial_prior import PriorRecipe
from mmseg_uda.stages.source_labels import only_labels, source_dataset
from mmseg_uda.stages.spatial_prior import (
    Counts,
    build_prior,
    count_classes,
    make_spatial_prior,
    normalize,
    prior_size,
    resize_nearest,
    smooth,
)

CLASSES = tuple('abc')
METAINFO = dict(classes=CLASSES, palette=[[i] * 3 for i in range(3)])


def maps(number: int = 4, size: tuple[int, int] = (9, 14), seed: int = 0) -> list[np.ndarray]:
    """Random label maps of 3 classes with ignored pixels; class 2 is never in the upper half."""
    labels = np.random.default_rng(seed).choice([0, 1, 2, 255], (number, *size)).astype(np.uint8)
    labels[:, : size[0] // 2][labels[:, : size[0] // 2] == 2] = 1
    return list(labels)


def dataset_cfg(root: Path, labels: list[np.ndarray], **kwargs: Any) -> dict[str, Any]:
    """A folder of label maps, with images beside them that no one reads."""
    for kind in ('images', 'labels'):
        (root / kind).mkdir(parents=True, exist_ok=True)
    for index, label in enumerate(labels):
        cv2.imwrite(str(root / 'labels' / f'{index}.png'), label)
        (root / 'images' / f'{index}.jpg').write_text('no image')
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='RandomCrop', crop_size=(2, 2)),
        dict(type='PackUDAInputs'),
    ]
    return dict(
        type='BaseSegDataset',
        data_root=str(root),
        metainfo=METAINFO,
        pipeline=pipeline,
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        **kwargs,
    )


def count(labels: list[np.ndarray]) -> Counts:
    return count_classes(labels, 3, 9, 14)


# ------------------------------------------------------------------------------------------ counts


def test_counts_by_brute_force() -> None:
    labels = maps()
    counted = count(labels)
    for c, y, x in product(range(3), range(9), range(14)):
        assert counted.counts[c, y, x] == sum(int(label[y, x] == c) for label in labels)
    assert counted.images == 4
    assert counted.counts.sum() < 4 * 9 * 14  # ignored pixels count nowhere


@pytest.mark.parametrize('size', [(18, 28), (5, 7), (13, 29)])
def test_label_maps_of_other_sizes(size: tuple[int, int]) -> None:
    """They are resized as mmseg resizes labels."""
    labels = maps(size=size)
    resized = [mmcv.imresize(label, (14, 9), interpolation='nearest') for label in labels]
    assert np.array_equal(count(labels).counts, count(resized).counts)
    for y, x in product(range(9), range(14)):
        assert (
            resize_nearest(labels[0], 9, 14)[y, x] == labels[0][y * size[0] // 9, x * size[1] // 14]
        )


def test_digest_is_of_what_was_counted() -> None:
    labels = maps()
    assert count(labels).digest == count(maps()).digest
    assert len({count(each).digest for each in (labels, labels[::-1], labels[:3])}) == 3


# --------------------------------------------------------------------------------------- smoothing


@pytest.mark.parametrize(('kernel', 'sigma'), [(5, None), (7, 1.0), (1, None)])
@pytest.mark.parametrize('border', ['constant', 'reflect', 'replicate'])
def test_smoothing_by_brute_force(kernel: int, sigma: float | None, border: str) -> None:
    frequencies = np.random.default_rng(1).random((2, 6, 8))
    radius, deviation = kernel // 2, sigma or kernel / 6
    weights = np.array([math.exp(-0.5 * (i / deviation) ** 2) for i in range(-radius, radius + 1)])
    weights /= weights.sum()
    mode = dict(constant='constant', reflect='reflect', replicate='edge')[border]
    padded = np.pad(frequencies, ((0, 0), (radius, radius), (radius, radius)), mode)
    expected = np.zeros_like(frequencies)
    for dy, dx in product(range(kernel), repeat=2):
        expected += weights[dy] * weights[dx] * padded[:, dy : dy + 6, dx : dx + 8]
    found = smooth(frequencies, PriorRecipe(6, 8, kernel, sigma, border))
    np.testing.assert_allclose(found, expected, atol=1e-9)


# ----------------------------------------------------------------------------------- normalisation


def test_norms() -> None:
    frequencies = np.array(
        [[[1.0, 3.0], [0.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]
    )
    assert normalize(frequencies, 'class').tolist() == [
        [[0.25, 0.75], [0, 0]],
        [[0.5, 0], [0.5, 0]],
        [[0, 0], [0, 0]],
    ]
    assert normalize(frequencies, 'pixel').tolist() == [
        [[0.5, 1], [0, 0]],
        [[0.5, 0], [1, 0]],
        [[0, 0], [0, 0]],
    ]
    assert normalize(frequencies, 'none').tolist() == frequencies.tolist()
    assert normalize(frequencies, 'class').dtype == np.float32


def test_whole_recipe() -> None:
    labels, recipe = maps(), PriorRecipe(9, 14, kernel=3, sigma=0.8)
    prior = build_prior(labels, recipe, CLASSES)
    shares = np.stack([np.mean([label == c for label in labels], 0) for c in range(3)])
    blurred = np.stack(
        [cv2.GaussianBlur(each, (3, 3), 0.8, borderType=cv2.BORDER_CONSTANT) for each in shares]
    )
    np.testing.assert_allclose(
        prior.values, blurred / blurred.sum((1, 2), keepdims=True), rtol=1e-6
    )
    np.testing.assert_allclose(prior.values.sum((1, 2)), 1, rtol=1e-6)
    assert not prior.values[2, :3].any()  # class 2 is below row 4, and the window reaches one more
    assert prior.values[2, 3].any()
    expected = dict(
        height=9,
        width=14,
        kernel=3,
        sigma=0.8,
        border='constant',
        norm='class',
        classes=list(CLASSES),
        images=4,
        labels_sha256=count(labels).digest,
    )
    assert {key: prior.recipe[key] for key in expected} == expected


# -------------------------------------------------------------------------------------- data sets


def test_of_a_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole label maps by the config's own loading; its crops and its images play no part."""
    monkeypatch.setattr('mmseg_uda.utils.progress.PAUSE', 0.0)
    labels = maps(size=(18, 28))
    cfg = dataset_cfg(tmp_path, labels)
    recipe = PriorRecipe(9, 14, kernel=1)
    expected = build_prior(labels, recipe, CLASSES)
    for workers in (0, 1):
        found = make_spatial_prior(cfg, recipe, workers)
        assert np.array_equal(found.values, expected.values)
        assert found.recipe == expected.recipe
    assert 'labels: 4 of 4' in capsys.readouterr().err


def test_label_loading_is_the_configs(tmp_path: Path) -> None:
    labels = maps()
    cfg = dataset_cfg(tmp_path, labels, reduce_zero_label=True)
    found = make_spatial_prior(cfg, PriorRecipe(9, 14, 1, norm='none'), 0)
    shifted = [
        np.where(label == 0, 255, np.where(label == 255, 255, label - 1)) for label in labels
    ]
    assert np.array_equal(found.values * 4, count(shifted).counts)


def test_data_sets_inside_others(tmp_path: Path) -> None:
    parts = [dataset_cfg(tmp_path / str(seed), maps(seed=seed)) for seed in range(2)]
    cfg = dict(type='RepeatDataset', times=1, dataset=dict(type='ConcatDataset', datasets=parts))
    found = make_spatial_prior(cfg, PriorRecipe(9, 14), 0)
    assert found.recipe['labels_sha256'] == count(maps(seed=0) + maps(seed=1)).digest
    assert parts[0]['pipeline'][0]['type'] == 'LoadImageFromFile'  # configs stay as they are


def test_size_of_a_config() -> None:
    track = dict(type='TrackPositions', height=5, width=7)
    inner = dict(pipeline=[dict(type='LoadImageFromFile'), track])
    for dataset in (inner, dict(dataset=inner), dict(datasets=[dict(pipeline=[]), inner])):
        cfg = Config(dict(train_dataloader=dict(target=dict(dataset=dataset))))
        assert prior_size(cfg) == (5, 7)
    with pytest.raises(
        ValueError,
        match='the config has no TrackPositions in train_dataloader.target.dataset.pipeline',
    ):
        prior_size(Config(dict(model=dict())))


# ------------------------------------------------------------------------------------------ errors


def test_label_with_channels() -> None:
    message = r'resize_nearest.label: expected a label map of shape \(H, W\), but got \(4, 6, 3\)'
    with pytest.raises(ValueError, match=message):
        count([np.zeros((4, 6, 3), np.uint8)])


@pytest.mark.parametrize('labels', [[np.full((9, 14), 255, np.uint8)], []])
def test_nothing_to_count(labels: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match='expected labelled pixels, but got none; correct the sou'):
        build_prior(labels, PriorRecipe(9, 14), CLASSES)


def test_data_that_are_missing(tmp_path: Path) -> None:
    cfg = dataset_cfg(tmp_path, maps(1))
    with pytest.raises(ValueError, match='train_dataloader.source.dataset.data_prefix.img_path'):
        make_spatial_prior(dict(cfg, data_root=str(tmp_path / 'none')), PriorRecipe(9, 14), 0)
    with pytest.raises(ValueError, match='pipeline loads no labels; add LoadAnnotations'):
        only_labels(dict(cfg, pipeline=[dict(type='LoadImageFromFile')]))
    with pytest.raises(ValueError, match='the config has no train_dataloader.source.dataset'):
        source_dataset(Config(dict(train_dataloader=dict(batch_size=1))))
