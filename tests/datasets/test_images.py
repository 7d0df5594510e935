"""Images that suffixes leave out, and images of two datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dataset import ConcatDataset
from mmseg.datasets import BaseSegDataset

from mmseg_uda.datasets.images import left_out_images, shared_images


def dataset(root: Path, *names: str, labels: str = 'labels', **kwargs: Any) -> BaseSegDataset:
    for name in names:
        (root / 'images' / name).parent.mkdir(parents=True, exist_ok=True)
        (root / 'images' / name).touch()
    (root / 'labels').mkdir(exist_ok=True)
    prefix = dict(img_path='images', seg_map_path=labels)
    metainfo = dict(classes=('a', 'b'))
    return BaseSegDataset(data_root=str(root), data_prefix=prefix, metainfo=metainfo, **kwargs)


def test_other_suffixes_are_counted(tmp_path: Path) -> None:
    names = ('0.jpg', 'x/1.jpg', '2.PNG', 'x/3.PNG', '4.jpeg', 'notes.txt', '.5.png')
    images = dataset(tmp_path, *names)
    warning = (
        f"train: img_suffix='.jpg' takes 2 of 5 images in {tmp_path}/images; 2 end in .PNG, 1 end "
        'in .jpeg'
    )
    assert left_out_images(images, 'train') == [warning]
    assert left_out_images(ConcatDataset([images, images]), 'train') == [warning] * 2


def test_nothing_is_left_out(tmp_path: Path) -> None:
    among = dataset(
        tmp_path / 'a', '0.jpg', '0_seg.png', labels='images', seg_map_suffix='_seg.png'
    )
    assert left_out_images(among, 'train') == []
    (tmp_path / 'list.txt').write_text('0')
    listed = dataset(tmp_path / 'b', '0.jpg', '1.png', ann_file=str(tmp_path / 'list.txt'))
    assert left_out_images(listed, 'train') == []


def test_shared_images(tmp_path: Path) -> None:
    one = dataset(tmp_path / 'a', '0.jpg', '1.jpg')
    (tmp_path / 'link').symlink_to(tmp_path / 'a')
    linked = dataset(tmp_path / 'link', indices=1)
    assert shared_images(one, 'source', linked, 'target') == (
        'source and target share 1 of 2 and 1 images; correct `data_prefix` or `ann_file` unless '
        'you mean it'
    )
    other = dataset(tmp_path / 'b', '0.jpg', '1.jpg')
    assert shared_images(one, 'source', other, 'target') == ''
