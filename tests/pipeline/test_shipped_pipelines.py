"""Every method's shipped pipeline from raw data to the end, 10 iterations a stage, on tiny data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from config_files import FOLDER
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_uda.pipeline import read_pipeline
from mmseg_uda.pipeline.state import State
from mmseg_uda.stages import base

pytestmark = pytest.mark.slow
ITERATIONS = 10
CAMVID = (0, 1, 2, 5, 7, 8, 9, 10, 11, 13, 18)  # train ids
PIPELINES = {
    'adversarial/bdl_pipeline.py': {},
    'camix/camix_pipeline.py': {},
    'cdanet/cdanet_pipeline.py': {'translated': True},  # with CycleGAN
    'dast/dast_pipeline.py': {},
    'pit/pit_pipeline.py': {},
    'proda/proda_pipeline.py': {},
    'sam/sam_pipeline.py': {},
    'self_training/self-training_pipeline.py': {},
}
read_config = base.read_config


def write_data(root: Path) -> None:
    """Six source and four target images of 60x45 pixels in coloured blocks, and their labels."""
    generator = np.random.default_rng(0)
    for domain, split, count in (
        ('synth_street', 'train', 6),
        ('camvid_day', 'train', 4),
        ('camvid_day', 'val', 2),
    ):
        for kind in ('images', 'labels'):
            (root / domain / kind / split).mkdir(parents=True)
        for index in range(count):
            blocks = generator.choice(CAMVID, (3, 4)).astype(np.uint8)
            label = np.kron(blocks, np.ones((15, 15), np.uint8))
            shades = np.stack([label * 13, 255 - label * 7, label * 3 + 40], 2).astype(np.uint8)
            noise = generator.integers(0, 20, shades.shape).astype(np.uint8)
            image = cv2.add(shades, noise)
            assert cv2.imwrite(str(root / domain / 'images' / split / f'{index}.jpg'), image)
            assert cv2.imwrite(str(root / domain / 'labels' / split / f'{index}.png'), label)


@pytest.fixture(scope='module', autouse=True)
def _small_world(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Data, weights of the small network, and configs that train for a moment."""
    root = tmp_path_factory.mktemp('world')
    write_data(root)
    backbone = MODELS.build(dict(type='mmseg.MobileNetV2', widen_factor=0.35))
    torch.save(backbone.state_dict(), root / 'mobilenetv2_035.pth')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MMSEG_UDA_DATA', str(root))
        patch.setenv('MOBILENETV2_035', str(root / 'mobilenetv2_035.pth'))
        patch.setattr(base, 'read_config', shortened)
        patch.setattr('yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, True))
        yield


def shortened(path: Path) -> Config:
    """Read a config, with ten iterations, no workers, and images of a quarter of the size."""
    cfg = read_config(path)
    cfg.train_cfg.max_iters = ITERATIONS
    cfg.default_hooks.checkpoint.interval = ITERATIONS
    cfg.log_level = 'WARNING'
    shorten(cfg)
    return cfg


def shorten(node: Any) -> None:
    if isinstance(node, dict):
        if 'num_workers' in node:
            node.update(num_workers=0, persistent_workers=False)
        if node.get('type') == 'Resize':
            node['scale'] = (60, 45)
        if node.get('type') == 'RandomCrop':
            node['crop_size'] = (44, 44)
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, (dict, list, tuple)):
            shorten(child)


@pytest.mark.parametrize('name', PIPELINES)
def test_runs_to_its_end(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pipeline = read_pipeline(FOLDER / name, PIPELINES[name], tmp_path / 'work', cell='small-day')
    pipeline.run()
    records = State(tmp_path / 'work').stages
    assert {record.status for record in records.values()} == {'done'}
    assert records.keys() == pipeline.stages.keys()
    for stage in pipeline.stages.values():
        output = Path(tmp_path / 'work', records[stage.name].outputs['output'])
        assert output.exists()
        if stage.kind == 'train':
            assert output.name == f'iter_{ITERATIONS}.pth'
        if stage.kind == 'test':
            assert 0 <= records[stage.name].metrics['mIoU'] <= 100
        if stage.kind == 'export':
            assert output.with_suffix('.py').is_file()
    assert [step.action for step in pipeline.plan()] == ['skip'] * len(records)
