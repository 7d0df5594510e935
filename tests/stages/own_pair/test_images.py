"""Which label belongs to which image, and what images look like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_uda.datasets.images import IMAGES
from mmseg_uda.stages.own_pair.images import look_at_images, pair_labels


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def pairs(root: Path, images: str = 'images', labels: str = 'labels') -> dict[str, str]:
    found = pair_labels(str(root / images), str(root / labels))
    return {
        Path(image).relative_to(root / images).as_posix(): Path(label)
        .relative_to(root / labels)
        .as_posix()
        for image, label in zip(found.images, found.labels)
    }


def test_equal_names(tmp_path: Path) -> None:
    touch(tmp_path, 'images/a/1.jpg', 'images/10.PNG', 'labels/a/1.png', 'labels/10.png')
    assert pairs(tmp_path) == {'10.PNG': '10.png', 'a/1.jpg': 'a/1.png'}
    found = pair_labels(str(tmp_path / 'images'), str(tmp_path / 'labels'))
    assert (found.img_suffix, found.seg_map_suffix) == (IMAGES, IMAGES)


def test_endings_of_both(tmp_path: Path) -> None:
    """Cityscapes: of several files per image the train ids are taken."""
    touch(tmp_path, 'images/x/x_000001_leftImg8bit.png', 'images/y/y_000002_leftImg8bit.png')
    for name in ('x/x_000001', 'y/y_000002'):
        kinds = ('color', 'instanceIds', 'labelIds', 'labelTrainIds')
        touch(tmp_path, *(f'labels/{name}_gtFine_{kind}.png' for kind in kinds))
    found = pair_labels(str(tmp_path / 'images'), str(tmp_path / 'labels'))
    assert found.img_suffix == ('_leftImg8bit.png',)
    assert found.seg_map_suffix == ('_gtFine_labelTrainIds.png',)
    assert len(found.images) == 2
    prefer = '_gtFine_labelIds.png'
    found = pair_labels(str(tmp_path / 'images'), str(tmp_path / 'labels'), prefer)
    assert found.seg_map_suffix == (prefer,)


def test_labels_among_images(tmp_path: Path) -> None:
    touch(tmp_path, *(f'all/{name}.png' for name in ('1_rgb', '1_seg', '2_rgb', '2_seg')))
    with pytest.raises(ValueError, match='expected labels in'):
        pair_labels(str(tmp_path / 'all'), str(tmp_path / 'all'))
    touch(tmp_path, 'both/1.jpg', 'both/1_mask.png', 'both/2.jpg', 'both/2_mask.png')
    assert pairs(tmp_path, 'both', 'both') == {'1.jpg': '1_mask.png', '2.jpg': '2_mask.png'}


def test_images_and_labels_without_a_partner(tmp_path: Path) -> None:
    touch(tmp_path, 'images/1.jpg', 'images/2.jpg', 'labels/2.png', 'labels/3.png')
    found = pair_labels(str(tmp_path / 'images'), str(tmp_path / 'labels'))
    assert (found.unlabelled, found.unused) == (['1'], ['3'])


def test_directories_inside_each_other(tmp_path: Path) -> None:
    touch(tmp_path, '1.jpg', 'labels/1.png')
    with pytest.raises(ValueError, match='expected two directories side by side'):
        pair_labels(str(tmp_path), str(tmp_path / 'labels'))


def test_look(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ('a.png', 'b.png', 'c.png')]
    for path, size in zip(paths, ((4, 6), (8, 10))):
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(path)
    Path(paths[2]).write_bytes(b'no image')
    images = look_at_images(str(tmp_path), paths)
    assert images.sizes == {(6, 4): 1, (10, 8): 1}
    assert images.short_side == 8
    assert images.unreadable == [paths[2]]
    with pytest.raises(ValueError, match='expected images that can be read'):
        look_at_images(str(tmp_path), paths[2:])
