import cv2
import numpy as np
import pytest
from mmseg.datasets import CityscapesDataset
from mmseg.registry import DATASETS

from mmseg_uda.datasets import SYNTHIADataset


def test_lists_converted_labels(tmp_path):
    for path in ('RGB/0000000.png', 'GT/LABELS/0000000_labelTrainIds.png'):
        (tmp_path / path).parent.mkdir(parents=True)
        assert cv2.imwrite(str(tmp_path / path), np.zeros((2, 3), np.uint8))
    dataset = DATASETS.build(
        {
            'type': 'SYNTHIADataset',
            'data_root': str(tmp_path),
            'data_prefix': {'img_path': 'RGB', 'seg_map_path': 'GT/LABELS'},
        }
    )
    assert isinstance(dataset, SYNTHIADataset)
    assert dataset.metainfo['classes'] == CityscapesDataset.METAINFO['classes']
    assert dataset.get_data_info(0)['seg_map_path'].endswith('0000000_labelTrainIds.png')


def test_missing_folder_names_the_class(tmp_path):
    with pytest.raises(
        ValueError,
        match='SYNTHIADataset: expected a directory in dataset.data_prefix.img_path, but got '
        "'.*RGB'",
    ):
        SYNTHIADataset(data_root=str(tmp_path), data_prefix={'img_path': 'RGB'})
