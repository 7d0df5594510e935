import math

import numpy as np
import pytest
import torch
from mmseg.datasets import CityscapesDataset
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS

from mmseg_uda.evaluation import CLASS_SUBSETS, SubsetIoUMetric

CLASSES = CityscapesDataset.METAINFO['classes']


def run(metric, pairs):
    metric.dataset_meta = {'classes': CLASSES}
    for prediction, label in pairs:
        metric.process(
            {}, [{'pred_sem_seg': {'data': prediction[None]}, 'gt_sem_seg': {'data': label[None]}}]
        )
    return metric.evaluate(len(pairs))


def random_pairs(count=3, absent=()):
    generator = torch.Generator().manual_seed(0)
    ids = torch.tensor([index for index in range(19) if index not in absent])
    pairs = []
    for _ in range(count):
        prediction, label = ids[torch.randint(len(ids), (2, 12, 9), generator=generator)]
        label = torch.where(torch.rand(12, 9, generator=generator) < 0.5, prediction, label)
        label[0] = 255
        pairs.append((prediction, label))
    return pairs


def looped_iou(pairs, train_id):
    """IoU of one class, pixel by pixel; NaN if no labelled pixel has or gets the class."""
    intersection = union = 0
    for prediction, label in pairs:
        for predicted, true in zip(prediction.flatten().tolist(), label.flatten().tolist()):
            if true == 255:
                continue
            intersection += predicted == train_id and true == train_id
            union += predicted == train_id or true == train_id
    return intersection / union if union else math.nan


@pytest.mark.parametrize('absent', [(), (9, 14, 16), (3, 4, 5)])
def test_means_equal_the_looped_computation(absent):
    pairs = random_pairs(absent=absent)
    names = ('synthia16', 'synthia13', 'camvid11')
    metrics = run(METRICS.build({'type': 'SubsetIoUMetric', 'subsets': names}), pairs)
    for name in names:
        values = [looped_iou(pairs, index) for index in CLASS_SUBSETS[name]]
        mean = 100 * np.mean([value for value in values if not math.isnan(value)])
        assert metrics[f'mIoU_{name}'] == pytest.approx(mean, abs=0.006)  # rounded to 2 decimals
    assert metrics['mIoU'] == metrics['mIoU_synthia16']
    assert metrics['mAcc'] == metrics['mAcc_synthia16']


def test_all_classes_equal_the_stock_metric():
    pairs = random_pairs()
    stock = run(IoUMetric(iou_metrics=['mIoU', 'mFscore']), pairs)
    metrics = run(SubsetIoUMetric('cityscapes19', iou_metrics=['mIoU', 'mFscore']), pairs)
    assert {key: metrics[key] for key in stock} == pytest.approx(stock)
    assert metrics['mFscore_cityscapes19'] == pytest.approx(stock['mFscore'])


def test_predictions_outside_the_subset_are_errors():
    label = torch.zeros(2, 2, dtype=torch.long)
    prediction = torch.tensor([[0, 0], [0, 9]])
    metrics = run(SubsetIoUMetric({'only_road': (0,)}), [(prediction, label)])
    assert metrics['mIoU'] == 75
    assert metrics['aAcc'] == 75


def test_absent_classes_are_left_out_unless_told():
    label = torch.tensor([[0, 1], [0, 1]])
    pairs = [(torch.tensor([[0, 1], [0, 2]]), label)]
    # road 1, sidewalk 1/2, building only predicted: 0, wall absent
    subsets = {'four': (0, 1, 2, 3), 'absent': (3,)}
    metrics = run(SubsetIoUMetric(subsets), pairs)
    assert metrics['mIoU_four'] == 50
    assert math.isnan(metrics['mIoU_absent'])
    metrics = run(SubsetIoUMetric(subsets, nan_to_num=0), pairs)
    assert metrics['mIoU_four'] == 37.5
    assert metrics['mIoU_absent'] == 0


def test_subsets_of_the_benchmarks():
    assert set(CLASS_SUBSETS['cityscapes19']) - set(CLASS_SUBSETS['synthia16']) == {9, 14, 16}
    assert set(CLASS_SUBSETS['synthia16']) - set(CLASS_SUBSETS['synthia13']) == {3, 4, 5}
    assert {name: len(subset) for name, subset in CLASS_SUBSETS.items()} == {
        'cityscapes19': 19,
        'synthia16': 16,
        'synthia13': 13,
        'camvid11': 11,
    }


def test_format_only_writes_predictions(tmp_path):
    metric = SubsetIoUMetric('synthia16', format_only=True, output_dir=str(tmp_path))
    metric.dataset_meta = {'classes': CLASSES}
    metric.process({}, [{'pred_sem_seg': {'data': torch.zeros(1, 2, 2)}, 'img_path': 'a/b.png'}])
    assert (tmp_path / 'b.png').is_file()
    assert metric.compute_metrics([]) == {}


@pytest.mark.parametrize(
    ('subsets', 'message'),
    [
        (
            'synthia17',
            r"SubsetIoUMetric.subsets: expected one of \['camvid11', 'cityscapes19', "
            r"'synthia13', 'synthia16'\], or a dict of name and train ids, but got 'synthia17'",
        ),
        ({'mine': 'synthia17'}, "got 'synthia17'"),
        (
            {'mine': ()},
            r"SubsetIoUMetric.subsets\['mine'\]: expected at least one train id, and none "
            r'twice, but got \[\]',
        ),
        (
            {'mine': (1, 1)},
            r"SubsetIoUMetric.subsets\['mine'\]: expected at least one train id, and none "
            r'twice, but got \[1, 1\]',
        ),
        (
            {'mine': (-1,)},
            r"SubsetIoUMetric.subsets\['mine'\]: expected at least one train id, and none "
            r'twice, but got \[-1\]',
        ),
        (
            {'mine': (1.5,)},
            r"SubsetIoUMetric.subsets\['mine'\]: expected at least one train id, and none "
            r'twice, but got \[1.5\]',
        ),
        (
            {},
            r"SubsetIoUMetric.subsets: expected one or several of \['camvid11', 'cityscapes19', "
            r"'synthia13', 'synthia16'\], but got \{\}",
        ),
    ],
)
def test_wrong_subset(subsets, message):
    with pytest.raises(ValueError, match=message):
        SubsetIoUMetric(subsets)


def test_subset_beyond_the_classes():
    with pytest.raises(
        ValueError,
        match=r"SubsetIoUMetric.subsets\['mine'\]: expected train ids in 0..18, the classes of "
        r'the dataset, but got \[0, 19\]',
    ):
        run(SubsetIoUMetric({'mine': (0, 19)}), random_pairs(1))


def test_label_out_of_range():
    label = torch.full((2, 2), 33)
    with pytest.raises(
        ValueError,
        match=r"SubsetIoUMetric: expected labels in 0..18 or 255 \(ignored\), but got 33 in 'a "
        "ground truth'",
    ):
        run(SubsetIoUMetric(), [(torch.zeros_like(label), label)])
