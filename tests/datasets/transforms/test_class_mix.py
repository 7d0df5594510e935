"""ClassMix of two samples, in stock models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys
from mmseg.registry import DATASETS

from mmseg_uda.config.check import check_config
from mmseg_uda.datasets.transforms import SampleClassMix


def sample(value: int, label: list[int]) -> dict[str, Any]:
    seg_map = np.array([label], np.uint8)
    return dict(img=np.full((*seg_map.shape, 3), value, np.uint8), gt_seg_map=seg_map)


@pytest.mark.parametrize(('share', 'number'), [(0.3, 1), (0.5, 2), (0.51, 2), (0.7, 3), (1, 3)])
def test_pastes_whole_classes(share: float, number: int) -> None:
    """Image and label of the pixels of so many of three classes; the ignore index is none."""
    other = sample(9, [0, 0, 2, 3, 3, 255])
    results = SampleClassMix(share)(dict(sample(1, [1] * 6), mix_results=[other]))
    pasted = results['img'][0, :, 0] == 9  # (W,)
    classes = set(other['gt_seg_map'][0, pasted].tolist())
    assert len(classes) == number
    assert pasted.tolist() == [label in classes for label in (0, 0, 2, 3, 3, 255)]
    assert np.array_equal(results['gt_seg_map'][0], np.where(pasted, other['gt_seg_map'][0], 1))
    assert results['img'].dtype == results['gt_seg_map'].dtype == np.uint8


def test_every_class_is_pasted_sometimes() -> None:
    mix, seen = SampleClassMix(0.3), set()
    for _ in range(40):
        results = mix(dict(sample(1, [1] * 3), mix_results=[sample(9, [0, 2, 3])]))
        seen.update(results['gt_seg_map'].ravel().tolist())
    assert seen == {0, 1, 2, 3}


def test_in_a_stock_dataset(tmp_path: Path) -> None:
    toys.write_domain(tmp_path, 'source', 3, seed=0)
    dataset = toys.dataset_cfg(tmp_path, 'source')
    *inner, pack = dataset['pipeline']
    cfg = dict(
        type='MultiImageMixDataset',
        dataset=dict(dataset, pipeline=inner),
        pipeline=[dict(type='SampleClassMix', share=1), pack],
    )
    assert check_config(dict(train_dataloader=dict(batch_size=2, dataset=cfg))) == []
    built = DATASETS.build(cfg)
    built.pipeline[0].get_indices = lambda data: len(data) - 1
    plain = DATASETS.build(dict(dataset, pipeline=[*inner[:2], pack]))
    labels = [each['data_samples'].gt_sem_seg.data for each in (built[0], plain[2])]
    # All classes of the last image, which may be mirrored.
    assert labels[0].equal(labels[1]) or labels[0].equal(labels[1].flip(-1))


def test_errors() -> None:
    with pytest.raises(ValueError, match=r'SampleClassMix\.share: expected a number in \(0, 1\]'):
        SampleClassMix(0)
    with pytest.raises(ValueError, match='got none; write it into .*MultiImageMixDataset'):
        SampleClassMix()(sample(1, [1]))
    with pytest.raises(ValueError, match=r'of one size, but got \(1, 2\) and \(1, 1\); write'):
        SampleClassMix()(dict(sample(1, [1, 1]), mix_results=[sample(9, [0])]))
