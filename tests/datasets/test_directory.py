"""Images of any suffix, nested, with labels in ids of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_uda.config.check import check_config
from mmseg_uda.config.datasets import loads_labels, unlabelled_images
from mmseg_uda.datasets import DirectoryDataset
from mmseg_uda.datasets.checks import check_unlabelled
from mmseg_uda.datasets.class_map import UnlistedValueError
from mmseg_uda.datasets.directory import split_stems
from mmseg_uda.datasets.images import left_out_images
from mmseg_uda.datasets.label_values import check_label_values
from mmseg_uda.stages.source_labels import build_labels, label_of

CLASSES = ('road', 'car')
LOAD = dict(
    type='LoadMappedAnnotations',
    classes=CLASSES,
    label_map={7: 'road', 8: 'road', 26: 'car', 0: 'ignore'},
)


def write(path: Path, row: list[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array([row], np.uint8)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four nested images of three suffixes, with labels."""
    for name in ('b/1.PNG', 'a/x/0.jpg', '2.png', '3.JPEG'):
        write(tmp_path / 'images' / name, [0, 0, 0, 0])
        write((tmp_path / 'labels' / name).with_suffix('.png'), [7, 8, 26, 0])
    (tmp_path / 'images/notes.txt').touch()
    return tmp_path


def dataset(root: Path, load: dict[str, Any] = LOAD, **kwargs: Any) -> DirectoryDataset:
    prefix = kwargs.pop('data_prefix', dict(img_path='images', seg_map_path='labels'))
    return DirectoryDataset(
        data_root=str(root),
        data_prefix=prefix,
        metainfo=dict(classes=kwargs.pop('classes', CLASSES)),
        pipeline=[load],
        **kwargs,
    )


def names(images: DirectoryDataset, key: str = 'img_path') -> list[str]:
    root = images.data_prefix[key]
    paths = [images.get_data_info(index)[key] for index in range(len(images))]
    return [Path(path).relative_to(root).as_posix() for path in paths]


def test_all_suffixes_nested(root: Path) -> None:
    images = dataset(root)
    assert names(images) == ['2.png', '3.JPEG', 'a/x/0.jpg', 'b/1.PNG']
    assert names(images, 'seg_map_path') == ['2.png', '3.png', 'a/x/0.png', 'b/1.png']
    assert [images[i]['gt_seg_map'].tolist() for i in range(4)] == [[[0, 0, 1, 255]]] * 4
    assert left_out_images(images, 'train') == []
    assert check_label_values(images, 'source') == ''


@pytest.mark.parametrize('ending', ['_rgb.png', '.png'])
def test_endings_that_differ(tmp_path: Path, ending: str) -> None:
    write(tmp_path / f'all/0{ending}', [0])
    write(tmp_path / 'all/0_mask.png', [7])
    images = dataset(
        tmp_path,
        data_prefix=dict(img_path='all', seg_map_path='all'),
        img_suffix=ending,
        seg_map_suffix='_mask.png',
    )
    assert names(images) == [f'0{ending}']
    assert names(images, 'seg_map_path') == ['0_mask.png']


def test_list_of_names(root: Path) -> None:
    (root / 'list.txt').write_text('b/1\n2\n')
    assert names(dataset(root, ann_file='list.txt')) == ['b/1.PNG', '2.png']
    (root / 'list.txt').write_text('c/1\n')
    with pytest.raises(ValueError, match="expected an image for each sample.*first is 'c/1'"):
        dataset(root, ann_file='list.txt')


def test_images_without_label(root: Path) -> None:
    (root / 'labels/3.png').unlink()
    message = 'expected a label for each sample, but got none for 1, the first is .3. in'
    with pytest.raises(ValueError, match=message):
        dataset(root)
    assert names(dataset(root, skip_unlabelled=True)) == ['2.png', 'a/x/0.jpg', 'b/1.PNG']


def test_two_files_of_one_name(root: Path) -> None:
    write(root / 'images/2.jpg', [0])
    with pytest.raises(ValueError, match=r"expected one file per name, but got '2\.jpg' and '2\."):
        dataset(root)


def test_empty_directory(root: Path) -> None:
    with pytest.raises(ValueError, match=r"files that end in \('_rgb.png',\)"):
        dataset(root, img_suffix='_rgb.png')


def test_split() -> None:
    stems = [f'{i:04d}' for i in range(1000)]
    held_out = split_stems(stems, 'val', 0.1)
    assert len(held_out) == 100
    assert held_out[:10] == stems[90:100]  # neighbours
    assert sorted([*held_out, *split_stems(stems, 'train', 0.1)]) == stems
    assert split_stems(stems, 'all', 0.1) == stems


@pytest.mark.parametrize('count', [10, 300, 30_000])
@pytest.mark.parametrize('share', [0.004, 0.0333, 0.1, 0.15, 0.3, 0.35, 0.4, 0.45, 0.5])
def test_size_of_the_parts(count: int, share: float) -> None:
    stems = [f'{i:05d}' for i in range(count)]
    held_out = split_stems(stems, 'val', share)
    assert len(held_out) == pytest.approx(max(1, count * share), abs=max(1, count / 100))
    assert sorted([*held_out, *split_stems(stems, 'train', share)]) == stems
    first = [stem for stem in held_out if str(int(stem) - 1).zfill(5) not in held_out]
    if count * share >= 10 and share <= 0.1:
        assert len(first) >= 9  # from all over the set


def test_parts(root: Path) -> None:
    assert names(dataset(root, part='val')) == ['b/1.PNG']
    assert names(dataset(root, part='train')) == ['2.png', '3.JPEG', 'a/x/0.jpg']
    with pytest.raises(ValueError, match='DirectoryDataset.part: expected one of'):
        dataset(root, part='test')


def test_unlisted_value_is_found_before_training(root: Path) -> None:
    write(root / 'labels/a/x/0.png', [7, 7, 7, 99])
    with pytest.raises(UnlistedValueError, match=r'label_map: .*a/x/0\.png: .* got 99 in 25\.0%'):
        check_label_values(dataset(root), 'source')


def test_labels_are_mapped_once(root: Path) -> None:
    with pytest.raises(ValueError, match='reduce_zero_label=True; write reduce_zero_label=False'):
        dataset(root, reduce_zero_label=True)[0]


def test_counts_as_a_loader_of_labels(root: Path) -> None:
    assert loads_labels(LOAD)
    with pytest.raises(ValueError, match='expected no ground truth in .*LoadMappedAnnotations'):
        check_unlabelled(dataset(root))
    cfg = dict(type='DirectoryDataset', data_prefix=dict(img_path='a', seg_map_path='b'))
    assert unlabelled_images(dict(cfg, pipeline=[LOAD]))['pipeline'] == []


def test_sixteen_bits_in_colours_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), np.full((2, 2, 3), 7, np.uint16))
    load = TRANSFORMS.build(LOAD)
    with pytest.raises(ValueError, match=r'LoadMappedAnnotations: .*a\.png: expected 8 bits per c'):
        load(dict(seg_map_path=str(path), seg_fields=[]))


def test_classes_of_loader_and_dataset_agree() -> None:
    def check(classes: tuple[str, ...], **load: Any) -> list[str]:
        images = dict(
            type='DirectoryDataset',
            metainfo=dict(classes=classes),
            pipeline=[dict(LOAD, **load)],
        )
        return [str(each) for each in check_config(dict(val_dataloader=dict(dataset=images)))]

    assert check(CLASSES) == []
    (problem,) = check(('car', 'road'))
    assert problem.startswith('val_dataloader.dataset.pipeline.0.classes: LoadMappedAnnotations: ')
    assert problem.endswith("['car', 'road'], but got ['road', 'car']; write the same")
    (problem,) = check(CLASSES, others='rest')
    assert "others: expected one of ('road', 'car', 'ignore', 'error'), but got 'rest'" in problem


def test_stages_count_mapped_labels(root: Path) -> None:
    """Class counts and spatial priors take the loader of the pipeline, whichever it is."""
    images = dict(
        type='DirectoryDataset',
        data_root=str(root),
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        metainfo=dict(classes=CLASSES),
        pipeline=[dict(type='LoadImageFromFile'), LOAD, dict(type='PackUDAInputs')],
    )
    labels, classes = build_labels(dict(type='RepeatDataset', times=2, dataset=images))
    assert classes == CLASSES
    assert len(labels) == 4
    assert label_of(labels[0], num_classes=2).tolist() == [[0, 0, 1, 255]]
