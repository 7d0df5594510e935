"""A small dataset of a user's own, and trainings on it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any, Callable, Mapping

import cv2
import numpy as np
import toys
from mmengine.config import Config

__all__ = ['OwnDataset']

BASE = toys.ROOT / 'configs/source_only/source-only_toy_1xb2-600_toy-street-256x128.py'
# Part of the user's dataset: domain and split of toy_street, number of images.
PARTS = {
    'source': ('source', 'train', 4),
    'target': ('target', 'train', 4),
    'val': ('target', 'val', 2),
}
CLASSES = tuple(f'c{i}' for i in range(19))
Edit = Callable[[np.ndarray, int], np.ndarray]


class OwnDataset:
    """A user's dataset ``root/{source,target,val}/{images,labels}`` and trainings on it.

    Args:
        root: Directory of the dataset and of what is trained on it.
        toy_street: Directory of the embedded data, whose images and labels it copies.
    """

    def __init__(self, root: Path, toy_street: Path) -> None:
        self.root = root
        self.toy_street = toy_street
        self.work_dir = root / 'work'

    def write(self, edits: Mapping[str, Edit] | None = None) -> None:
        """Write all files, named ``000.png`` and so on; the target has no labels.

        Args:
            edits: Function by directory, such as ``'source/labels'``, which takes an array and
                its index and returns the array to write.
        """
        for part, (domain, split, count) in PARTS.items():
            for kind in ('images', 'labels') if part != 'target' else ('images',):
                directory = self.root / part / kind
                directory.mkdir(parents=True)
                edit = (edits or {}).get(f'{part}/{kind}', lambda array, _: array)
                files = sorted((self.toy_street / domain / kind / split).glob('*.png'))
                for i, file in enumerate(files[:count]):
                    array = edit(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), i)
                    assert cv2.imwrite(str(directory / f'{i:03d}.png'), array)

    def config(self, classes: tuple[str, ...] = CLASSES) -> Config:
        """The shipped toy config of Source Only on this dataset, for two iterations."""
        cfg = Config.fromfile(BASE)
        cfg.model.segmentor.decode_head.num_classes = len(classes)
        for part, loader in (*cfg.train_dataloader.items(), ('val', cfg.val_dataloader)):
            labels = dict(seg_map_path='labels') if part != 'target' else {}
            loader.update(num_workers=0, persistent_workers=False)
            loader.dataset = dict(
                type='BaseSegDataset',
                data_root=str(self.root / part),
                data_prefix=dict(img_path='images', **labels),
                img_suffix='.png',
                seg_map_suffix='.png',
                metainfo=dict(classes=classes, palette=[[i, i, i] for i in range(len(classes))]),
                pipeline=loader.dataset.pipeline,
                test_mode=part == 'val',
            )
        cfg.test_dataloader = cfg.val_dataloader
        cfg.train_cfg.update(max_iters=2, val_interval=2)
        for hook in cfg.custom_hooks:
            hook.interval = 2
        # Runs of the same name in the same second would share a visualizer.
        cfg.experiment_name = cfg.visualizer.name = uuid.uuid4().hex
        return cfg

    def train(self, cfg: Config, *options: str) -> Path:
        """Run ``tools/train.py`` in this process and return the last checkpoint's path."""
        self._run('train', cfg, '--work-dir', str(self.work_dir), *options)
        return Path((self.work_dir / 'last_checkpoint').read_text())

    def test(self, cfg: Config, checkpoint: Path, *options: str) -> dict[str, Any]:
        """Run ``tools/test.py`` in this process and return its metrics, by name."""
        work_dir = self.root / 'test'
        self._run('test', cfg, str(checkpoint), '--work-dir', str(work_dir), *options)
        (metrics,) = work_dir.glob('*/*.json')
        return json.loads(metrics.read_text())

    def log(self) -> str:
        """Text of the last training's log file."""
        return max(self.work_dir.glob('*/*.log')).read_text()

    def _run(self, tool: str, cfg: Config, *arguments: str) -> None:
        path = self.root / 'config.py'
        cfg.dump(path)
        toys.load_script(f'tools/{tool}.py').main([str(path), *arguments])
