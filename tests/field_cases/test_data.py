"""Datasets of users' own, as public bug reports describe them: handled or named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Callable

import cv2
import numpy as np
import pytest
import toys
from field_cases.own_dataset import OwnDataset
from mmengine.config import Config

Array = np.ndarray
SHORTER = r'63\D{1,3}128|128\D{1,3}63'  # size of a label that lacks a row, in either order
SIZE = r'64\D{1,3}128|128\D{1,3}64'


def names(file: str, *parts: str) -> str:
    """A pattern that finds a file's name and each part, itself a pattern, in any order."""
    return '(?s)' + ''.join(f'(?=.*(?:{part}))' for part in (re.escape(file), *parts))


def one_row_shorter(label: Array, index: int) -> Array:
    return label[:-1]


def second_one_row_shorter(label: Array, index: int) -> Array:
    return label[:-1] if index == 1 else label


def three_channels(label: Array, index: int) -> Array:
    return np.dstack([label] * 3)


def high_byte(label: Array, index: int) -> Array:
    return label.astype(np.uint16) * 256


def grey(image: Array, index: int) -> Array:
    return image.mean(-1).astype(np.uint8)


@pytest.mark.parametrize(
    ('directory', 'edit', 'message'),
    [
        pytest.param(
            'source/labels',
            one_row_shorter,
            names('source/labels/00', SHORTER, SIZE),
            id='every source label of another size',
        ),
        pytest.param(
            'source/labels',
            second_one_row_shorter,
            names('source/labels/001.png', SHORTER, SIZE),
            id='one source label of another size',
        ),
        pytest.param(
            'val/labels',
            one_row_shorter,
            names('val/labels/00', SHORTER, SIZE),
            id='validation label of another size',
        ),
        pytest.param(
            'source/labels',
            three_channels,
            names('source/labels/00', 'RGB|channels'),
            id='labels of three channels',
        ),
        pytest.param(
            'source/labels',
            high_byte,
            names('source/labels/00', 'I;16|uint16|16.bit'),
            id='labels of 16 bits',
        ),
    ],
)
def test_label_of_another_form_is_named(
    own: OwnDataset, directory: str, edit: Callable[[Array, int], Array], message: str
) -> None:
    own.write({directory: edit})
    with pytest.raises((OSError, ValueError), match=message):
        own.train(own.config())


def test_empty_image_file_is_named(own: OwnDataset) -> None:
    own.write()
    (own.root / 'target/images/001.png').write_bytes(b'')
    with pytest.raises((OSError, ValueError), match=names('target/images/001.png')):
        own.train(own.config())


def test_class_without_a_pixel_is_warned_of(own: OwnDataset) -> None:
    def mask(label: Array, index: int) -> Array:
        return np.where(label == 13, 255, 0).astype(np.uint8)

    own.write({'source/labels': mask, 'val/labels': mask})
    own.train(own.config(classes=('rest', 'car')))
    assert re.search(r'WARNING.*\bcar\b', own.log())


def grey_config(
    own: OwnDataset, color_type: str = 'grayscale', in_channels: int = 1, mean: float = 120.0
) -> Config:
    """The toy config for images of one channel: MobileNetV2 takes three, MiT any number."""
    cfg = own.config()
    for loader in (*cfg.train_dataloader.values(), cfg.val_dataloader):
        loader.dataset.pipeline[0].color_type = color_type
    cfg.test_dataloader = cfg.val_dataloader
    cfg.model.segmentor.data_preprocessor.update(mean=[mean], std=[mean / 2], bgr_to_rgb=False)
    cfg.model.segmentor.backbone = dict(
        type='MixVisionTransformer',
        in_channels=in_channels,
        embed_dims=8,
        num_layers=[1] * 4,
        num_heads=[1] * 4,
    )
    cfg.model.segmentor.decode_head = dict(
        type='SegformerHead',
        in_channels=[8] * 4,
        in_index=[0, 1, 2, 3],
        channels=16,
        num_classes=19,
        norm_cfg=dict(type='BN'),
        loss_decode=dict(type='CrossEntropyLoss'),
    )
    return cfg


GREY = {f'{part}/images': grey for part in ('source', 'target', 'val')}


def test_images_of_one_channel(own: OwnDataset) -> None:
    own.write(GREY)
    assert own.train(grey_config(own)).name == 'iter_2.pth'
    assert list(own.work_dir.rglob('train_2.png'))  # the picture of both domains


def test_strong_augmentation_of_one_channel(own: OwnDataset) -> None:
    own.write(GREY)
    cfg = grey_config(own)
    cfg.model.update(
        type='MeanTeacher',
        teacher=dict(type='EMATeacher', alpha=0.9),
        augment=dict(type='StrongAugment'),
        consistency=dict(type='ConsistencyLoss'),
        label_weight='batch_ratio',
    )
    cfg.custom_hooks.append(dict(type='EMATeacherHook'))
    assert own.train(cfg).name == 'iter_2.pth'


def test_four_channels_of_16_bits(own: OwnDataset) -> None:
    def infrared(image: Array, index: int) -> Array:
        return np.dstack([image, image[..., :1]]).astype(np.uint16) * 257

    own.write({f'{part}/images': infrared for part in ('source', 'target', 'val')})
    cfg = grey_config(own, 'unchanged', 4, 30000.0)
    cfg.model.update(
        type='MeanTeacher',
        teacher=dict(type='EMATeacher', alpha=0.9),
        mixer=dict(type='ClassMix'),
        consistency=dict(type='ConsistencyLoss'),
    )
    cfg.custom_hooks.append(dict(type='EMATeacherHook'))
    assert own.train(cfg).name == 'iter_2.pth'
    (panel,) = own.work_dir.rglob('train_2.png')
    assert 50 < cv2.imread(str(panel))[40:80, 20:200].mean() < 200  # neither black nor white
    assert 'drawing raised' not in own.log()


def test_blank_line_of_a_list_is_named(own: OwnDataset) -> None:
    own.write()
    (own.root / 'source/list.txt').write_text('000\n001\n\n')
    cfg = own.config()
    cfg.train_dataloader.source.dataset.ann_file = 'list.txt'
    with pytest.raises(ValueError, match=names('list.txt', 'line 3')):
        own.train(cfg)


@pytest.mark.parametrize(
    ('lines', 'missing'),
    [
        (['000.png', '001.png'], '000.png.png'),
        (['images/000.png labels/000.png'], 'images/000.png labels/000.png.png'),
    ],
    ids=['names with suffix', 'pairs of image and label'],
)
def test_list_in_another_format_is_named(own: OwnDataset, lines: list[str], missing: str) -> None:
    own.write()
    (own.root / 'source/list.txt').write_text('\n'.join(lines))
    cfg = own.config()
    cfg.train_dataloader.source.dataset.ann_file = 'list.txt'
    with pytest.raises(ValueError, match=names('source/images/' + missing, 'ann_file')):
        own.train(cfg)


def test_hidden_directory_below_the_images_is_skipped(own: OwnDataset) -> None:
    own.write()
    hidden = own.root / 'source/images/.ipynb_checkpoints'
    hidden.mkdir()
    (hidden / '000-checkpoint.png').write_bytes((own.root / 'source/images/000.png').read_bytes())
    assert own.train(own.config()).name == 'iter_2.pth'


def write_label(path: Path, class_id: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((2, 3), class_id, np.uint8))


def convert(dataset: str, root: Path) -> int:
    return toys.load_script(f'tools/dataset_converters/{dataset}.py').main(
        [str(root), '--nproc', '1']
    )


def test_converter_follows_links(tmp_path: Path) -> None:
    for split, root in (('train', tmp_path / 'disk'), ('val', tmp_path / 'cityscapes')):
        for kind in ('gtFine', 'leftImg8bit'):
            suffix = {'gtFine': 'gtFine_labelIds'}.get(kind, kind)
            write_label(root / kind / split / f'ulm/ulm_0_{suffix}.png', 7)
    for kind in ('gtFine', 'leftImg8bit'):
        (tmp_path / 'cityscapes' / kind / 'train').symlink_to(tmp_path / 'disk' / kind / 'train')
    assert convert('cityscapes', tmp_path / 'cityscapes') == 0
    for split in ('train', 'val'):
        assert (tmp_path / f'cityscapes/{split}.txt').read_text() == 'ulm/ulm_0\n'


def test_converter_skips_hidden_files(tmp_path: Path) -> None:
    write_label(tmp_path / 'images/00000.png', 0)
    write_label(tmp_path / 'labels/00000.png', 7)
    write_label(tmp_path / 'labels/.ipynb_checkpoints/00000-checkpoint.png', 7)
    (tmp_path / 'labels/._00000.png').write_bytes(b'AppleDouble')
    assert convert('gta', tmp_path) == 0
    assert (tmp_path / 'train.txt').read_text() == '00000\n'


def test_what_is_trained_on_is_said(own: OwnDataset) -> None:
    own.write()
    image = own.root / 'source/images/000.png'
    image.with_name('004.PNG').write_bytes(image.read_bytes())
    cfg = own.config()
    cfg.train_dataloader.target.dataset.data_root = str(own.root / 'val')
    own.train(cfg)
    log = own.log()
    assert log.count('UDATrainLoop: source 4 images, target 2 images\n') == 1
    assert re.search(r'WARNING.*takes 4 of 5 images in \S+source/images; 1 end in \.PNG\n', log)
    assert re.search(
        r'WARNING.*train_dataloader.target.dataset and val_dataloader.dataset share 2 of 2 and 2 '
        r'images',
        log,
    )
