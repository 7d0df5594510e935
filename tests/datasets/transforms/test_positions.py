"""Positions in a spatial prior, through the pipeline to the device."""

from __future__ import annotations

from typing import Any

import mmcv
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.structures import PixelData
from mmseg.registry import MODELS, TRANSFORMS
from mmseg.structures import SegDataSample

from mmseg_uda.datasets.transforms import PackUDAInputs, TrackPositions

TRACK = dict(type='TrackPositions', height=24, width=36)


def run(image: np.ndarray, *transforms: dict[str, Any]) -> dict[str, Any]:
    pipeline = Compose([TRANSFORMS.build(each) for each in transforms])
    height, width = image.shape[:2]
    results = pipeline(
        dict(img=image, img_path='a.png', img_shape=(height, width), ori_shape=(height, width))
    )
    assert results is not None
    return results


def coordinates(height: int, width: int) -> np.ndarray:
    """An image that says where each of its pixels is: (row, column, 0), float32."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([rows, columns, np.zeros_like(rows)], -1)


@pytest.mark.parametrize('order', [0, 1])
@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('direction', ['horizontal', 'vertical'])
def test_crop_and_flip_move_positions_with_pixels(order: int, seed: int, direction: str) -> None:
    """Each pixel of the crop finds the cell that it came from."""
    np.random.seed(seed)
    steps = [
        TRACK,
        dict(type='RandomCrop', crop_size=(10, 14), cat_max_ratio=1.0),
        dict(type='RandomFlip', prob=0.5, direction=direction),
        dict(type='PackUDAInputs'),
    ]
    if order:
        steps[1:3] = steps[2:0:-1]
    packed = run(coordinates(24, 36), *steps)
    rows, columns, _ = packed['inputs']
    positions = packed['data_samples'].prior_positions
    assert positions.data.dtype == torch.int32
    assert positions.data.shape == (1, 10, 14)
    assert torch.equal(positions.data[0].float(), rows * 36 + columns)
    assert positions.prior_shape == (24, 36)


@pytest.mark.parametrize('size', [(24, 36), (48, 72), (50, 61), (37, 131), (45, 67), (24, 100)])
@pytest.mark.parametrize('after', [False, True])
def test_resize_to_the_prior_gives_each_pixel_its_own_cell(
    size: tuple[int, int], after: bool
) -> None:
    steps = [TRACK, dict(type='Resize', scale=(36, 24))]
    packed = run(
        np.zeros((*size, 3), np.uint8),
        *(steps[::-1] if after else steps),
        dict(type='PackUDAInputs'),
    )
    positions = packed['data_samples'].prior_positions.data
    assert torch.equal(positions, torch.arange(24 * 36, dtype=torch.int32).view(1, 24, 36))


@pytest.mark.parametrize('size', [(24, 36), (48, 72), (50, 61), (12, 9), (96, 144)])
def test_prior_of_another_size(size: tuple[int, int]) -> None:
    """Native images: pixels lie in the cell that covers them, to within one cell."""
    positions = run(np.zeros((*size, 3), np.uint8), TRACK, dict(type='PackUDAInputs'))[
        'data_samples'
    ].prior_positions.data[0]
    rows, columns = positions.div(36, rounding_mode='floor'), positions % 36
    for found, length, cells in ((rows[:, 0], size[0], 24), (columns[0], size[1], 36)):
        exact = (torch.arange(length) + 0.5) * cells / length - 0.5
        assert (found - exact).abs().max() <= max(1, cells / length)
        assert (found.diff() >= 0).all()
    assert torch.equal(positions, rows[:, :1] * 36 + columns[:1])


@pytest.mark.parametrize('seed', range(4))
def test_resize_crop_flip_and_padding_together(seed: int) -> None:
    """A random scale, a crop larger than the image, a flip, and the preprocessor's padding."""
    np.random.seed(seed)
    crop = (20, 30)
    steps = [
        TRACK,
        dict(type='RandomResize', scale=(36, 24), ratio_range=(0.5, 1.5)),
        dict(type='RandomCrop', crop_size=crop, cat_max_ratio=1.0),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackUDAInputs'),
    ]
    label = np.arange(24 * 36, dtype=np.float32).reshape(24, 36)
    packed = run(label[..., None].repeat(3, -1), *steps[:1], dict(type='PackUDAInputs'))
    assert torch.equal(packed['inputs'][0], packed['data_samples'].prior_positions.data[0].float())
    # The same nearest resize for the image as for maps: they must stay equal to the last pixel.
    steps[1]['resize_type'], steps[1]['interpolation'] = 'Resize', 'nearest'
    packed = run(label[..., None].repeat(3, -1), *steps)
    image, sample = packed['inputs'][0], packed['data_samples']
    assert torch.equal(image, sample.prior_positions.data[0].float())
    preprocessor = MODELS.build(
        dict(type='UDADataPreprocessor', source=dict(type='SegDataPreProcessor', size=(40, 60)))
    )
    source = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 40, 60, dtype=torch.long)))
    batch = preprocessor(
        dict(
            source=dict(inputs=[torch.zeros(3, 40, 60)], data_samples=[source]),
            target=dict(inputs=[packed['inputs']], data_samples=[sample]),
        ),
        True,
    )
    padded = batch['data_samples']['target'][0].prior_positions
    height, width = image.shape
    assert padded.data.shape == (1, 40, 60)
    assert padded.prior_shape == (24, 36)
    assert torch.equal(padded.data[0, :height, :width].float(), image)
    assert (padded.data[0, height:] == -1).all()
    assert (padded.data[0, :, width:] == -1).all()


def test_padding_of_transforms_is_nowhere() -> None:
    np.random.seed(0)
    packed = run(
        np.zeros((24, 36, 3), np.uint8),
        TRACK,
        dict(type='RandomRotate', prob=1.0, degree=(90.0, 90.0)),
        dict(type='PackUDAInputs'),
    )
    positions = packed['data_samples'].prior_positions.data[0]
    expected = mmcv.imrotate(
        np.arange(24 * 36, dtype=np.float32).reshape(24, 36),
        90.0,
        border_value=-1,
        interpolation='nearest',
    )
    assert torch.equal(positions, torch.from_numpy(expected).int())
    assert (positions == -1).any()


def test_positions_move_to_the_device() -> None:
    preprocessor = MODELS.build(
        dict(type='UDADataPreprocessor', source=dict(type='SegDataPreProcessor'))
    )
    for each in (preprocessor.source, preprocessor.target):
        each.to('meta')
    source = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 24, 36, dtype=torch.long)))
    packed = run(np.zeros((24, 36, 3), np.uint8), TRACK, dict(type='PackUDAInputs'))
    batch = preprocessor(
        dict(
            source=dict(inputs=[torch.zeros(3, 24, 36)], data_samples=[source]),
            target=dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']]),
        ),
        True,
    )
    assert batch['data_samples']['target'][0].prior_positions.data.is_meta


def test_largest_prior_is_exact() -> None:
    transform = TrackPositions(1024, 2048)
    results = PackUDAInputs()(transform(dict(img=np.zeros((1024, 2048, 3), np.uint8))))
    positions = results['data_samples'].prior_positions.data
    assert torch.equal(positions.view(-1), torch.arange(1024 * 2048, dtype=torch.int32))
    assert repr(transform) == 'TrackPositions(height=1024, width=2048)'


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ('size', 'match'),
    [
        ((0, 4), 'TrackPositions.height: expected an integer of at least 1, but got 0'),
        ((4, 2.0), 'TrackPositions.width: expected an integer of at least 1, but got 2.0'),
        ((True, 4), 'TrackPositions.height: expected an integer of at least 1, but got True'),
        (
            (4096, 4096),
            'TrackPositions: expected at most 16776960 cells, as float32 can count, but got '
            'height=4096, width=4096; make a smaller spatial prior',
        ),
    ],
)
def test_errors(size: tuple[Any, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        TrackPositions(*size)


def test_flipped_image() -> None:
    with pytest.raises(ValueError, match='write TrackPositions before RandomCrop and RandomFlip'):
        run(np.zeros((8, 8, 3), np.uint8), dict(type='RandomFlip', prob=1.0), TRACK)


def test_transform_that_leaves_positions_behind() -> None:
    with pytest.raises(
        ValueError,
        match=r'PackUDAInputs.prior_positions: expected shape \(32, 48\), the size of the image, '
        r'but got \(24, 36\)',
    ):
        run(
            np.zeros((24, 36, 3), np.uint8),
            TRACK,
            dict(type='Pad', size=(48, 32)),
            dict(type='PackUDAInputs'),
        )
