"""Ready files for pairs of public datasets, on tiny trees in the layouts of their archives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import toys
from mmengine.config import Config
from PIL import Image

from mmseg_uda.config.check import check_config
from mmseg_uda.datasets.checks import build_dataset, check_dataset, check_same_classes

DATASETS = toys.ROOT / 'configs/_base_/datasets'
CITYSCAPES = ('cityscapes/leftImg8bit/train/x/x_leftImg8bit.png',)
CITYSCAPES_LABELS = ('cityscapes/gtFine/train/x/x_gtFine_labelTrainIds.png',)
ACDC = ('fog', 'night', 'rain', 'snow')
# Per pair: images, labels, rows of values in labels of the validation set, train ids of them.
TREES: dict[str, tuple[tuple[str, ...], tuple[str, ...], list[int], list[int]]] = {
    'cityscapes2acdc': (
        (
            *CITYSCAPES,
            *(f'acdc/rgb_anon/{c}/{s}/q/q_rgb_anon.png' for c in ACDC for s in ('train', 'val')),
        ),
        (*CITYSCAPES_LABELS, *(f'acdc/gt/{c}/val/q/q_gt_labelTrainIds.png' for c in ACDC)),
        [0, 18, 255],
        [0, 18, 255],
    ),
    'cityscapes2dark_zurich': (
        (
            *CITYSCAPES,
            *(f'dark_zurich/rgb_anon/{s}/night/q/q_rgb_anon.png' for s in ('train', 'val')),
        ),
        (*CITYSCAPES_LABELS, 'dark_zurich/gt/val/night/q/q_gt_labelTrainIds.png'),
        [0, 18, 255],
        [0, 18, 255],
    ),
    'cityscapes2bdd100k': (
        (*CITYSCAPES, 'bdd100k/images/10k/train/a.jpg', 'bdd100k/images/10k/val/b.jpg'),
        (*CITYSCAPES_LABELS, 'bdd100k/labels/sem_seg/masks/val/b.png'),
        [0, 18, 255],
        [0, 18, 255],
    ),
    'gta2mapillary': (
        (
            'gta/images/1.png',
            'mapillary/training/images/a.jpg',
            'mapillary/validation/images/b.jpg',
        ),
        ('gta/labels/1_labelTrainIds.png', 'mapillary/validation/v1.2/labels/b.png'),
        [13, 24, 2, 22, 52, 65, 0],
        [0, 0, 1, 12, 18, 255, 255],
    ),
    **{
        f'loveda_{one.lower()}2{other.lower()}': (
            tuple(
                f'loveDA/{part}/images_png/0.png'
                for part in (f'Train/{one}', f'Train/{other}', f'Val/{other}')
            ),
            tuple(f'loveDA/{part}/masks_png/0.png' for part in (f'Train/{one}', f'Val/{other}')),
            [0, 1, 7],
            [255, 0, 6],
        )
        for one, other in (('Rural', 'Urban'), ('Urban', 'Rural'))
    },
    **{
        f'{one}2{other}': (
            tuple(
                f'{each}/img_dir/{part}/0.png' for each in (one, other) for part in ('train', 'val')
            ),
            (f'{one}/ann_dir/train/0.png', f'{other}/ann_dir/val/0.png'),
            [0, 1, 6],
            [255, 0, 5],
        )
        for one, other in (('potsdam', 'vaihingen'), ('vaihingen', 'potsdam'))
    },
}


# Of two directions one is enough for every run.
OTHER_DIRECTIONS = ('loveda_urban2rural', 'vaihingen2potsdam')


@pytest.mark.parametrize(
    'name',
    [pytest.param(n, marks=pytest.mark.slow) if n in OTHER_DIRECTIONS else n for n in TREES],
)
def test_pair(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels, values, train_ids = TREES[name]
    rows = np.array([values, values], np.uint8)  # of one row the stock loader makes a vector
    for path in images:
        write(tmp_path / path, np.zeros((2, len(values), 3), np.uint8))
    for path in labels:
        write(tmp_path / path, rows)
    (tmp_path / 'gta').mkdir(exist_ok=True)
    (tmp_path / 'gta/train.txt').write_text('1')
    monkeypatch.setenv('MMSEG_UDA_DATA', str(tmp_path))
    cfg = Config.fromfile(DATASETS / f'{name}.py')
    assert check_config(cfg) == []
    built = {}
    for domain in ('source', 'target'):
        built[domain] = build_dataset(cfg.train_dataloader[domain].dataset)
        check_dataset(built[domain])
    check_same_classes(built['source'], built['target'])
    assert len(built['target']) == (4 if name == 'cityscapes2acdc' else 1)
    # Labels alone: enlarging the images to 1024 pixels takes the time.
    dataset = cfg.test_dataloader.dataset
    for each in dataset.get('datasets', [dataset]):
        each.pipeline = [step for step in each.pipeline if 'Annotations' in step.type]
    validation = build_dataset(dataset)
    check_dataset(validation)
    assert validation[0]['gt_seg_map'].tolist() == [train_ids] * 2
    assert cfg.val_dataloader.dataset.type == dataset.type


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def test_every_class_of_mapillary_is_mapped() -> None:
    cfg = Config.fromfile(DATASETS / 'gta2mapillary.py')
    assert sorted(set(cfg.label_map.values())) == sorted(cfg.classes)
    assert len(cfg.label_map) == 25
