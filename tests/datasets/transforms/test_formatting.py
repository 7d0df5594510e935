"""Packing of pseudo labels."""

import numpy as np
import pytest
import torch
from mmseg.datasets.transforms import PackSegInputs

from mmseg_uda.datasets.transforms import PackUDAInputs


def make_results(**extra):
    return dict(
        img=np.zeros((4, 6, 3), np.uint8),
        img_path='a.png',
        ori_shape=(4, 6),
        img_shape=(4, 6),
        **extra,
    )


def test_pseudo_label_is_packed_beside_ground_truth():
    label = np.arange(24, dtype=np.uint8).reshape(4, 6)
    truth = np.full((4, 6), 3, np.uint8)
    packed = PackUDAInputs()(
        make_results(pseudo_seg_map=label, gt_seg_map=truth, pseudo_path='x/a.png')
    )
    sample = packed['data_samples']
    assert sample.pseudo_sem_seg.data.dtype == torch.int64
    torch.testing.assert_close(sample.pseudo_sem_seg.data, torch.arange(24).view(1, 4, 6))
    torch.testing.assert_close(sample.gt_sem_seg.data, torch.full((1, 4, 6), 3))
    assert sample.pseudo_path == 'x/a.png'


def test_without_pseudo_label_as_stock():
    ours, stock = PackUDAInputs()(make_results()), PackSegInputs()(make_results())
    assert 'pseudo_sem_seg' not in ours['data_samples']
    assert 'pseudo_path' not in ours['data_samples'].metainfo
    assert ours['data_samples'].metainfo == stock['data_samples'].metainfo
    torch.testing.assert_close(ours['inputs'], stock['inputs'])


def test_meta_keys():
    packed = PackUDAInputs(meta_keys=['img_path'])(make_results())
    assert packed['data_samples'].metainfo == {'img_path': 'a.png'}


@pytest.mark.parametrize(
    ('shape', 'match'),
    [
        ((4, 5), 'before the transforms'),
        (
            (1, 4, 6),
            r'PackUDAInputs.pseudo_seg_map: expected shape \(4, 6\), the size of the image, but '
            r'got \(1, 4, 6\)',
        ),
    ],
)
def test_wrong_shape(shape, match):
    with pytest.raises(ValueError, match=match):
        PackUDAInputs()(make_results(pseudo_seg_map=np.zeros(shape, np.uint8)))
