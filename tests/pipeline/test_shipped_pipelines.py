"""Every method's shipped pipeline from raw data to the end, 10 iterations a stage, on tiny data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import toys
from config_files import FOLDER
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_uda.compat import import_timm
from mmseg_uda.pipeline import read_pipeline
from mmseg_uda.pipeline.state import State
from mmseg_uda.stages import base

pytestmark = pytest.mark.slow
ITERATIONS = 10
CAMVID = (0, 1, 2, 5, 7, 8, 9, 10, 11, 13, 18)  # train ids
# The cell, and options. Transformers have no small cell: the test makes their networks small.
PIPELINES: dict[str, tuple[str, dict[str, Any]]] = {
    'adversarial/bdl_pipeline.py': ('small-day', {}),
    'advent/advent_pipeline.py': ('small-day', {}),
    'camix/camix_pipeline.py': ('small-day', {}),
    'cdanet/cdanet_pipeline.py': ('small-day', {'translated': True}),  # with CycleGAN
    'daformer/daformer_pipeline.py': ('b5-gta', {}),
    'dast/dast_pipeline.py': ('small-day', {}),
    'hrda/hrda_pipeline.py': ('b5-gta', {}),
    'mean_teacher/mean-teacher_pipeline.py': ('toy', {}),
    'mic/mic_pipeline.py': ('hrda-gta', {}),
    'pit/pit_pipeline.py': ('small-day', {}),
    'proda/proda_pipeline.py': ('small-day', {}),
    'sam/sam_pipeline.py': ('small-day', {}),
    'self_training/self-training_pipeline.py': ('small-day', {}),
    'vfm_uda/vfm-uda_pipeline.py': ('b-gta', {}),
}
SIZES = {'crop_size', 'detail_size', 'input_size', 'scale', 'size', 'slide_step', 'stride'}
LEVELS = [8, 16, 40, 64]  # channels of the small MiT
SMALL = {
    'MixVisionTransformer': dict(embed_dims=8, num_layers=[1, 1, 1, 1], init_cfg=None),
    'DAFormerHead': dict(in_channels=LEVELS, channels=16),
    'FeatureDistance': dict(allow_untrained=True),
    'RareClassSampling': dict(min_pixels=100),
    'vit_base_patch14_dinov2': dict(model_name='vit_tiny_patch16_224', depth=1, init_cfg=None),
    'VFMUDAHead': dict(in_channels=192),
}
read_config = base.read_config


def write_data(root: Path) -> None:
    """Six source and some target images of 60x45 pixels in coloured blocks, and their labels."""
    generator = np.random.default_rng(0)
    frame, label_ids = '{0}_leftImg8bit.png', '{0}_gtFine_labelTrainIds.png'
    for images, labels, count in (
        ('synth_street/images/train/{0}.jpg', 'synth_street/labels/train/{0}.png', 6),
        ('camvid_day/images/train/{0}.jpg', 'camvid_day/labels/train/{0}.png', 4),
        ('camvid_day/images/val/{0}.jpg', 'camvid_day/labels/val/{0}.png', 2),
        ('gta/images/{0}.png', 'gta/labels/{0}_labelTrainIds.png', 6),
        *(
            (f'cityscapes/leftImg8bit/{split}/{frame}', f'cityscapes/gtFine/{split}/{label_ids}', 2)
            for split in ('train', 'val')
        ),
    ):
        for path in (images, labels):
            (root / path).parent.mkdir(parents=True)
        for index in range(count):
            blocks = generator.choice(CAMVID, (3, 4)).astype(np.uint8)
            label = np.kron(blocks, np.ones((15, 15), np.uint8))
            shades = np.stack([label * 13, 255 - label * 7, label * 3 + 40], 2).astype(np.uint8)
            noise = generator.integers(0, 20, shades.shape).astype(np.uint8)
            assert cv2.imwrite(str(root / images.format(index)), cv2.add(shades, noise))
            assert cv2.imwrite(str(root / labels.format(index)), label)
    (root / 'gta/train.txt').write_text('\n'.join(map(str, range(6))))


@pytest.fixture(scope='module', autouse=True)
def _small_world(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Data, weights of the small network, and configs that train for a moment."""
    root = tmp_path_factory.mktemp('world')
    write_data(root)
    backbone = MODELS.build(dict(type='mmseg.MobileNetV2', widen_factor=0.35))
    torch.save(backbone.state_dict(), root / 'mobilenetv2_035.pth')
    network = import_timm().create_model('tf_efficientnet_lite0')
    torch.save(network.state_dict(), root / 'efficientnet_lite0.pth')
    toy_street = toys.load_script('tools/dataset_converters/toy_street.py')
    toy_street.main([str(root / 'toy_street'), '--train=4', '--val=2', '--nproc=1'])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MMSEG_UDA_DATA', str(root))
        patch.setenv('MOBILENETV2_035', str(root / 'mobilenetv2_035.pth'))
        patch.setenv('EFFICIENTNET_LITE0', str(root / 'efficientnet_lite0.pth'))
        patch.setattr(base, 'read_config', shortened)
        patch.setattr('yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, True))
        yield


def shortened(path: Path) -> Config:
    """Read a config, with ten iterations, no workers, and images of a part of the size."""
    cfg = read_config(path)
    cfg.train_cfg.max_iters = ITERATIONS
    cfg.default_hooks.checkpoint.interval = ITERATIONS
    cfg.log_level = 'WARNING'
    shorten([*cfg.values()])
    return cfg


def shorten(node: Any) -> None:
    if isinstance(node, dict):
        if 'num_workers' in node:
            node.update(num_workers=0, persistent_workers=False)
        node.update(SMALL.get(node.get('model_name', node.get('type')), {}))
        for key in SIZES & node.keys():
            if isinstance(node[key], (list, tuple)) and min(node[key]) >= 256:
                node[key] = tuple(side // 16 for side in node[key])
            elif node.get('type') == 'Resize':
                node['scale'] = (60, 45)
            elif node.get('type') == 'RandomCrop':
                node['crop_size'] = (44, 44)
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, (dict, list, tuple)):
            shorten(child)


@pytest.mark.parametrize('name', PIPELINES)
def test_runs_to_its_end(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cell, options = PIPELINES[name]
    pipeline = read_pipeline(FOLDER / name, options, tmp_path / 'work', cell=cell)
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
