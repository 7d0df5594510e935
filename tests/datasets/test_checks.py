from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmseg.datasets import BaseSegDataset, CityscapesDataset, MultiImageMixDataset

from mmseg_uda.artifacts.pseudo_labels import Manifest
from mmseg_uda.datasets.checks import (
    build_dataset,
    check_dataset,
    check_pseudo_labels,
    check_same_classes,
    check_unlabelled,
    pseudo_label_loaders,
    skip_hidden_files,
)
from mmseg_uda.datasets.folders import check_folders


@pytest.fixture
def folder(tmp_path):
    for path in ('images/a.jpg', 'labels/a.png'):
        (tmp_path / path).parent.mkdir()
        assert cv2.imwrite(str(tmp_path / path), np.zeros((2, 3), np.uint8))
    return tmp_path


def config(root, **kwargs):
    return {
        'type': 'CityscapesDataset',
        'data_root': str(root),
        'data_prefix': {'img_path': 'images', 'seg_map_path': 'labels'},
        'img_suffix': '.jpg',
        'seg_map_suffix': '.png',
        **kwargs,
    }


def build(root, cls=CityscapesDataset, **kwargs):
    cfg = config(root, **kwargs)
    cfg.pop('type')
    return cls(**cfg)


def test_folders_of_a_good_config(folder):
    check_folders(config(folder))


def test_missing_folder_inside_wrappers(folder):
    bad = config(folder, data_prefix={'img_path': 'nowhere'})
    concat = {'type': 'ConcatDataset', 'datasets': [config(folder), bad]}
    with pytest.raises(
        ValueError,
        match='CityscapesDataset: expected a directory in '
        r"source.dataset.datasets\[1\].data_prefix.img_path, but got '.*nowhere'",
    ):
        check_folders({'type': 'RepeatDataset', 'dataset': concat}, 'source')


def test_missing_list_file(folder):
    with pytest.raises(
        ValueError,
        match='CityscapesDataset: expected a list of samples in dataset.ann_file, but got '
        "'.*x.txt', which does not exist",
    ):
        check_folders(config(folder, ann_file='x.txt'))


def test_remote_data_is_not_looked_for():
    check_folders(config('s3://bucket', backend_args={'backend': 'petrel'}))


def test_good_dataset_gives_its_classes(folder):
    dataset = build(folder)
    assert check_dataset(dataset) == CityscapesDataset.METAINFO['classes']
    for wrapped in (ConcatDataset([dataset, dataset]), RepeatDataset(dataset, times=2)):
        assert check_dataset(wrapped) == CityscapesDataset.METAINFO['classes']


def test_folder_without_images(folder):
    place = r"in val\.data_prefix\.img_path, but got '.*images' without any"
    with pytest.raises(ValueError, match=f"CityscapesDataset: .* end in '.bmp' {place}"):
        check_folders(config(folder, img_suffix='.bmp'), 'val')
    default = config(folder)
    del default['img_suffix']
    with pytest.raises(ValueError, match=f"end in '_leftImg8bit.png' {place}"):
        check_folders(default, 'val')


def test_empty_dataset(folder):
    empty = build(folder, img_suffix='.bmp', serialize_data=False)
    with pytest.raises(
        ValueError,
        match='CityscapesDataset: expected samples in val, but got none; correct `data_prefix`, '
        '`ann_file` or `indices`',
    ):
        check_dataset(empty, 'val')


def test_empty_list(folder):
    (folder / 'none.txt').write_text('')
    with pytest.raises(
        ValueError,
        match='CityscapesDataset: expected a list of samples in dataset.ann_file, but got '
        "'.*none.txt', which is empty",
    ):
        check_folders(config(folder, ann_file='none.txt'))


def test_missing_label_inside_wrapper(folder):
    (folder / 'labels/a.png').unlink()
    with pytest.raises(
        ValueError,
        match=r"CityscapesDataset: expected the file '.*a.png', which val lists \(seg_map_path\), "
        'but it does not exist',
    ):
        check_dataset(RepeatDataset(build(folder), times=2), 'val')


def test_dataset_without_class_names(folder):
    with pytest.raises(
        ValueError,
        match='BaseSegDataset: expected class names in dataset, but got none; write '
        r'metainfo=dict\(classes=...\)',
    ):
        check_dataset(build(folder, cls=BaseSegDataset))


def test_target_pipeline_must_not_load_labels(folder):
    check_unlabelled(build(folder, pipeline=[{'type': 'LoadImageFromFile'}]))
    labelled = build(folder, pipeline=[{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}])
    with pytest.raises(
        ValueError,
        match='CityscapesDataset: expected no ground truth in '
        'train_dataloader.target.dataset.pipeline, because adaptation never reads target '
        'labels, but got LoadAnnotations',
    ):
        check_unlabelled(RepeatDataset(labelled, times=2))
    hidden = {'type': 'RandomApply', 'transforms': [{'type': 'mmcv.LoadAnnotations'}]}
    with pytest.raises(
        ValueError,
        match='MultiImageMixDataset: expected no ground truth in '
        'train_dataloader.target.dataset.pipeline, because adaptation never reads target '
        'labels, but got LoadAnnotations',
    ):
        check_unlabelled(MultiImageMixDataset(ConcatDataset([build(folder)]), [hidden]))


def test_every_target_image_needs_its_pseudo_label(folder, tmp_path):
    pipeline = [
        {'type': 'LoadImageFromFile'},
        {'type': 'LoadPseudoLabels', 'pseudo_dir': str(tmp_path / 'pseudo')},
    ]
    dataset = RepeatDataset(build(folder, pipeline=pipeline), times=2)
    with pytest.raises(FileNotFoundError, match='manifest'):
        check_pseudo_labels(dataset)
    names = [
        Path(dataset.dataset.get_data_info(i)['img_path']).with_suffix('.png').name
        for i in range(len(dataset.dataset))
    ]
    Manifest(
        rule={'type': 'bdl'},
        num_classes=19,
        config_sha256='c',
        checkpoint_sha256='w',
        files=names,
        thresholds=[0.5] * 19,
        complete=True,
    ).write(str(tmp_path / 'pseudo'))
    for name in names[1:]:
        (tmp_path / 'pseudo' / name).touch()
    with pytest.raises(FileNotFoundError, match=f'expected the file .*{names[0]}'):
        check_pseudo_labels(dataset)
    (tmp_path / 'pseudo' / names[0]).touch()
    check_pseudo_labels(dataset)
    ((transform, inner),) = pseudo_label_loaders(dataset)
    assert inner is dataset.dataset
    transform.read_from(None)
    check_pseudo_labels(dataset, made_in_training=True)
    with pytest.raises(
        ValueError,
        match='LoadPseudoLabels.pseudo_dir: expected a directory, but got None, and no hook '
        'makes labels',
    ):
        check_pseudo_labels(dataset)


def test_same_classes(folder):
    source = build(folder)
    check_same_classes(source, build(folder))
    fewer = build(folder, metainfo={'classes': ('road', 'building')})
    with pytest.raises(
        ValueError,
        match='train_dataloader: expected the same classes in the same order in source and '
        'target, but got 19 classes of CityscapesDataset and 2 of CityscapesDataset, first '
        "difference 1: 'sidewalk' and 'building'",
    ):
        check_same_classes(source, fewer)


@pytest.mark.parametrize('kind', ['ConcatDataset', 'RepeatDataset', 'MultiImageMixDataset'])
def test_wrappers_count_anew_without_hidden_files(tmp_path: Path, kind: str) -> None:
    """A position beyond the samples that are left would end a training somewhere."""
    folders = []
    for name in 'ab':
        for image in ('0.png', '1.png', '.ipynb_checkpoints/0.png'):
            path = tmp_path / name / image
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
        folders.append(
            dict(
                type='BaseSegDataset',
                data_prefix=dict(img_path=str(tmp_path / name)),
                img_suffix='.png',
                metainfo=dict(classes=('a', 'b')),
                pipeline=[dict(type='LoadImageFromFile')],
                test_mode=True,
            )
        )
    arguments = {
        'ConcatDataset': dict(datasets=folders),
        'RepeatDataset': dict(dataset=folders[0], times=3),
        'MultiImageMixDataset': dict(dataset=folders[0], pipeline=[]),
    }[kind]
    dataset = build_dataset(dict(type=kind, **arguments))
    skip_hidden_files(dataset)
    assert len(dataset) == {'ConcatDataset': 4, 'RepeatDataset': 6, 'MultiImageMixDataset': 2}[kind]
    paths = [dataset[index]['img_path'] for index in range(len(dataset))]
    assert not any('.ipynb' in path for path in paths)
