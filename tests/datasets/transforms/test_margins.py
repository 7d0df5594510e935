"""Margins move with the image, from the pipeline to the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import toys
from mmcv.transforms import Compose
from mmengine.structures import PixelData
from mmseg.registry import TRANSFORMS
from torch.testing import assert_close

from mmseg_uda.datasets.transforms import IgnoreMargins
from mmseg_uda.structures import DomainBatch

MARGINS = dict(type='IgnoreMargins', top=0.25, bottom=0.125, left=0.5, right=0.1)
HRDA = dict(top=30 / 1024, bottom=240 / 1024, left=30 / 2048, right=30 / 2048)


def run(image: np.ndarray, *steps: dict[str, Any]) -> dict[str, Any]:
    pipeline = Compose([TRANSFORMS.build(each) for each in (*steps, dict(type='PackUDAInputs'))])
    size = image.shape[:2]
    results = pipeline(dict(img=image, img_path='a.png', img_shape=size, ori_shape=size))
    assert results is not None
    return results


def inside(row: float, column: float, height: int = 24, width: int = 40) -> bool:
    return 0.25 * height <= row < 0.875 * height and 0.5 * width <= column < width - round(
        0.1 * width
    )


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('direction', ['horizontal', 'vertical'])
def test_crop_and_flip_move_margins_with_pixels(seed: int, direction: str) -> None:
    np.random.seed(seed)
    rows, columns = np.mgrid[:24, :40].astype(np.float32)
    packed = run(
        np.stack([rows, columns, rows], -1),
        MARGINS,
        dict(type='RandomCrop', crop_size=(16, 30), cat_max_ratio=1.0),
        dict(type='RandomFlip', prob=0.5, direction=direction),
    )
    mask = packed['data_samples'].label_mask.data
    assert mask.dtype is torch.bool
    rows, columns, _ = packed['inputs'].tolist()
    expected = [[inside(r, c) for r, c in zip(*pair)] for pair in zip(rows, columns)]
    assert mask.tolist() == [expected]
    assert 0 < mask.float().mean() < 1


def test_rows_and_columns_of_hrda() -> None:
    """30, 240, 30 and 30 of 1024 x 2048; 15, 120, 15 and 15 at half the size, by resize or not."""
    small = IgnoreMargins(**HRDA)(dict(img=np.zeros((512, 1024, 3), np.uint8)))['label_mask']
    rows, columns = small.nonzero()
    assert (rows.min(), 511 - rows.max(), columns.min(), 1023 - columns.max()) == (15, 120, 15, 15)
    packed = run(
        np.zeros((1024, 2048, 3), np.uint8),
        dict(type='IgnoreMargins', **HRDA),
        dict(type='Resize', scale=(1024, 512)),
    )
    assert packed['data_samples'].label_mask.data[0].numpy().astype(np.uint8).tobytes() == (
        small.tobytes()
    )


def test_rotation_fills_with_what_does_not_count() -> None:
    packed = run(
        np.zeros((24, 40, 3), np.uint8),
        dict(type='IgnoreMargins'),
        dict(type='RandomRotate', prob=1.0, degree=(45.0, 45.0)),
    )
    mask = packed['data_samples'].label_mask.data[0]
    assert not mask[0, 0]
    assert mask[12, 20]


def with_mask(data: dict[str, Any]) -> dict[str, Any]:
    """A batch whose first target image has a mask of the left two thirds."""
    mask = torch.zeros(1, *toys.SIZE, dtype=torch.bool)
    mask[..., :32] = True
    for sample in data['target']['data_samples']:
        sample.label_mask = PixelData(data=mask)
    return data


@pytest.mark.parametrize('label_weight', ['ratio', 'batch_ratio', 'scalar', 'pixel', None])
def test_weight_of_the_labels(label_weight: str | None) -> None:
    """0 in margins, where confident pixels count nevertheless; pasted pixels have none."""
    model = toys.shaken('dacs', label_weight=label_weight, pseudo_threshold=0.6).train()
    free = DomainBatch.collect(**model.data_preprocessor(toys.batch(), True))
    batch = DomainBatch.collect(**model.data_preprocessor(with_mask(toys.batch()), True))
    weights = []
    for each in (free, batch):
        teacher = model.predict_target(each.target)
        weights.append(model.mix(each, teacher))
    plain, mixed = weights
    pasted = plain.mask[:, 0] > 0.5
    assert mixed.mask.equal(plain.mask)
    expected = plain.pixel_weight.clone()
    expected[~pasted & (torch.arange(48) >= 32)] = 0
    assert_close(mixed.pixel_weight, expected, atol=0, rtol=0)
    unmixed = model.label_target(batch.target.images, model.predict_target(batch.target))
    assert unmixed.pixel_weight[..., 32:].eq(0).all()


def test_padding_does_not_count() -> None:
    """The preprocessor pads smaller images of a batch at the bottom and the right."""
    model = toys.build('dacs')
    data = with_mask(toys.batch())
    inputs = data['target']['inputs']
    inputs[1] = F.pad(inputs[1], (0, 4, 0, 8))
    sample = data['target']['data_samples'][1]
    mask = torch.ones(1, toys.SIZE[0] + 8, toys.SIZE[1] + 4, dtype=torch.bool)
    data['target']['data_samples'][1] = type(sample)(
        metainfo=dict(sample.metainfo, img_shape=mask.shape[1:]), label_mask=PixelData(data=mask)
    )
    del data['target']['data_samples'][0].pseudo_sem_seg
    target = model.data_preprocessor(data, True)['data_samples']['target']
    found = torch.cat([each.label_mask.data for each in target])
    assert found.shape == (2, toys.SIZE[0] + 8, toys.SIZE[1] + 4)
    assert found[1].all()
    assert not found[0, toys.SIZE[0] :].any()
    assert found[0, : toys.SIZE[0], :32].all()


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (dict(top=1.0), r'IgnoreMargins.top: expected a number in \[0, 1\), but got 1.0'),
        (dict(left=-0.1), 'IgnoreMargins.left'),
        (dict(left=0.5, right=0.5), 'IgnoreMargins.left: expected less than 1 with right, but got'),
    ],
)
def test_wrong_arguments(changes: dict[str, float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        IgnoreMargins(**changes)


def test_flipped_images_are_refused() -> None:
    with pytest.raises(ValueError, match='IgnoreMargins before RandomCrop and RandomFlip'):
        IgnoreMargins()(dict(img=np.zeros((2, 2, 3)), flip=True))
