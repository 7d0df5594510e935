"""Which label belongs to which image."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmseg_uda.datasets.directory import find_stems
from mmseg_uda.datasets.images import IMAGES
from mmseg_uda.stages.own_pair.pairing import pair_labels


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


@pytest.mark.parametrize(
    ('image', 'label', 'affixes'),
    [
        ('img_{:03}.jpg', 'mask_{:03}.png', ('img_', '', 'mask_', '')),
        ('IMG{}.jpg', 'MASK{}.png', ('IMG', '', 'MASK', '')),
        ('{}.jpg', 'gt-{}.png', ('', '', 'gt-', '')),
        ('frame_{:03}_rgb.jpg', 'label {:03}.png', ('frame_', '_rgb', 'label ', '')),
        ('{:03}rgb.jpg', '{:03}seg.png', ('', 'rgb', '', 'seg')),
        ('c_{:06}_leftImg8bit.png', 'c_{:06}_gtFine_labelIds.png', None),
        ('town/x_{}.jpg', 'town/y_{}.png', ('x_', '', 'y_', '')),
    ],
)
def test_beginnings_and_endings(
    tmp_path: Path, image: str, label: str, affixes: tuple[str, ...] | None
) -> None:
    numbers = (1, 2, 12, 21)
    for number in numbers:
        touch(tmp_path, f'images/{image.format(number)}', f'labels/{label.format(number)}')
    expected = {image.format(number): label.format(number) for number in numbers}
    assert pairs(tmp_path) == expected
    found = pair_labels(str(tmp_path / 'images'), str(tmp_path / 'labels'))
    if affixes is None:
        affixes = ('', '_leftImg8bit', '', '_gtFine_labelIds')
    assert (found.img_prefix, found.seg_map_prefix) == affixes[::2]
    for suffixes, ending in zip((found.img_suffix, found.seg_map_suffix), affixes[1::2]):
        assert all(suffix.startswith(ending) for suffix in suffixes)
    # The dataset finds the same pairs.
    images = find_stems(str(tmp_path / 'images'), found.img_suffix, found.img_prefix)
    labels = find_stems(str(tmp_path / 'labels'), found.seg_map_suffix, found.seg_map_prefix)
    assert {images[stem]: labels[stem] for stem in images} == expected


def test_other_kinds_of_labels_are_left_out(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        touch(tmp_path, f'images/img_{number}.jpg', f'labels/mask_{number}.png')
        touch(tmp_path, f'labels/color_{number}.png')
    assert pairs(tmp_path) == {f'img_{n}.jpg': f'mask_{n}.png' for n in (1, 2, 3)}


def test_ambiguous_labels_are_refused(tmp_path: Path) -> None:
    for number in (1, 2):
        touch(tmp_path, f'images/{number}.jpg', f'labels/a_{number}.png', f'labels/b_{number}.png')
    message = (
        r"expected one label for each image in '.*labels', but got several kinds that fit, "
        r'a_\* and b_\*; move the others elsewhere'
    )
    with pytest.raises(ValueError, match=message):
        pairs(tmp_path)


def test_a_number_is_no_part_of_a_longer_one(tmp_path: Path) -> None:
    touch(tmp_path, 'images/img_1.jpg', 'images/img_2.jpg', 'labels/mask_11.png')
    with pytest.raises(ValueError, match="none that fit, such as 'img_1' and 'mask_11'"):
        pairs(tmp_path)


def test_labels_with_a_beginning_among_images(tmp_path: Path) -> None:
    touch(tmp_path, *(f'all/{name}' for name in ('1.jpg', 'mask_1.png', '2.jpg', 'mask_2.png')))
    assert pairs(tmp_path, 'all', 'all') == {'1.jpg': 'mask_1.png', '2.jpg': 'mask_2.png'}
