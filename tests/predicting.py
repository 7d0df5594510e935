"""Images, a checkpoint and its config, to be predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import toys
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

from mmseg_uda.stages.prediction import PredictOptions, run_prediction

CLASSES = tuple('abcd')
LABEL_MAP = {7: 'a', 8: 'a', 300: 'b', 20: 'c', 30: 'd', 0: 'ignore'}
SIZES = {'town/0.JPG': (32, 48), 'town/1.png': (32, 48), '2.png': (40, 40)}
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeShortestEdge', scale=32, max_size=256),
    dict(type='LoadMappedAnnotations', classes=CLASSES, label_map=LABEL_MAP),
    dict(type='PackSegInputs'),
]


def config(**dataset: Any) -> Config:
    images = dict(
        type='DirectoryDataset',
        metainfo=dict(classes=CLASSES, palette=[[200, 0, 0], [0, 200, 0], [0, 0, 200], [9, 9, 9]]),
        data_prefix=dict(img_path='nowhere', seg_map_path='nowhere'),
        pipeline=PIPELINE,
    )
    return Config(
        dict(
            default_scope='mmseg',
            model=toys.method_cfg('dacs', regularizers=None),
            test_pipeline=PIPELINE,
            test_dataloader=dict(batch_size=1, dataset={**images, **dataset}),
        )
    )


def make_root(root: Path) -> Path:
    """Make images of several suffixes and sizes, a checkpoint, and its config beside it."""
    rng = np.random.default_rng(0)
    for name, size in SIZES.items():
        path = root / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(path)
    torch.manual_seed(0)
    init_default_scope('mmseg')
    model = MODELS.build(config().model)
    model.init_weights()
    (root / 'work').mkdir()
    content = dict(state_dict=model.state_dict(), meta=dict(dataset_meta=toys.METAINFO))
    torch.save(content, root / 'work/iter_1.pth')
    config().dump(root / 'work/config.py')
    return root


def labels(out: Path) -> dict[str, np.ndarray]:
    found = sorted((out / 'labels').rglob('*.png'))
    return {
        path.relative_to(out / 'labels').as_posix(): np.array(Image.open(path)) for path in found
    }


def run(root: Path, out: Path, cfg: Config | None = None, **options: Any) -> list[str]:
    checkpoint = str(root / 'work/iter_1.pth')
    chosen = PredictOptions(**options)
    return run_prediction(
        cfg or config(), checkpoint, str(root / 'images'), str(out), 'cpu', chosen
    )
