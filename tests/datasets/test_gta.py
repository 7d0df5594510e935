import cv2
import numpy as np
import pytest
from mmseg.datasets import CityscapesDataset
from mmseg.registry import DATASETS

from mmseg_uda.datasets import GTADataset


def write_png(path, height=4, width=6, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width), value, np.uint8))


@pytest.fixture
def gta(tmp_path):
    for name in ('00001', '00002'):
        write_png(tmp_path / f'images/{name}.png')
        write_png(tmp_path / f'labels/{name}_labelTrainIds.png', value=13)
    return tmp_path


def build(root, **kwargs):
    kwargs.setdefault('data_prefix', {'img_path': 'images', 'seg_map_path': 'labels'})
    return DATASETS.build({'type': 'GTADataset', 'data_root': str(root), **kwargs})


def test_lists_images_with_converted_labels(gta):
    write_png(gta / 'labels/00001.png')  # the raw label beside the converted one
    dataset = build(gta)
    assert isinstance(dataset, GTADataset)
    assert dataset.metainfo['classes'] == CityscapesDataset.METAINFO['classes']
    assert [dataset.get_data_info(index)['seg_map_path'] for index in range(len(dataset))] == [
        str(gta / 'labels/00001_labelTrainIds.png'),
        str(gta / 'labels/00002_labelTrainIds.png'),
    ]


def test_pipeline_loads_train_ids(gta):
    dataset = build(gta, pipeline=[{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}])
    sample = dataset[0]
    assert sample['img'].shape == (4, 6, 3)
    assert np.unique(sample['gt_seg_map']).tolist() == [13]


def test_list_file_leaves_samples_out(gta):
    (gta / 'labels/00002_labelTrainIds.png').unlink()
    (gta / 'train.txt').write_text('00001\n')
    assert len(build(gta, ann_file='train.txt')) == 1


def test_without_labels_needs_no_label_folder(gta):
    dataset = build(gta, data_prefix={'img_path': 'images'})
    assert 'seg_map_path' not in dataset.get_data_info(0)


def test_missing_folder_names_class_key_and_path(tmp_path):
    with pytest.raises(
        ValueError,
        match='GTADataset: expected a directory in dataset.data_prefix.img_path, but got '
        "'.*images'",
    ):
        build(tmp_path)


def test_missing_label_folder_names_the_converter(tmp_path):
    write_png(tmp_path / 'images/00001.png')
    with pytest.raises(
        ValueError,
        match='GTADataset: expected a directory in dataset.data_prefix.seg_map_path, but got '
        "'.*labels'",
    ):
        build(tmp_path)


def test_missing_list_file(gta):
    with pytest.raises(
        ValueError,
        match='GTADataset: expected a list of samples in dataset.ann_file, but got '
        "'.*train.txt', which does not exist",
    ):
        build(gta, ann_file='train.txt')


def test_empty_folder(gta):
    with pytest.raises(
        ValueError,
        match="GTADataset: expected files that end in '.jpg' in dataset.data_prefix.img_path, "
        "but got '.*images' without any",
    ):
        build(gta, img_suffix='.jpg')


def test_missing_label_is_named(gta):
    (gta / 'labels/00002_labelTrainIds.png').unlink()
    with pytest.raises(ValueError, match=r'00002_labelTrainIds.png.*does not exist'):
        build(gta)


def test_missing_listed_image_is_named(gta):
    (gta / 'train.txt').write_text('00001\n00009\n')
    with pytest.raises(
        ValueError,
        match=r"GTADataset: expected the file '.*00009.png', which dataset lists \(img_path\), "
        'but it does not exist; correct `data_prefix.img_path` or `ann_file`',
    ):
        build(gta, ann_file='train.txt')


def test_lazy_init_defers_the_checks(tmp_path):
    dataset = build(tmp_path, lazy_init=True)
    with pytest.raises(
        ValueError,
        match='GTADataset: expected a directory in dataset.data_prefix.img_path, but got '
        "'.*images'",
    ):
        dataset.full_init()
