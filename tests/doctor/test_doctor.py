"""Ten causes of "my numbers do not come out" are caught, and sound configs are left in peace."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import config_files
import cv2
import numpy as np
import pytest
import torch
import toys
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_uda.doctor import Finding, examine, worst

RESNET = dict(type='ResNetV1c', depth=50, base_channels=4, stem_channels=4, out_indices=(3,))
HEAD = dict(type='DeepLabV2Head', in_channels=128, in_index=0, num_classes=4, dilations=(1,))
RGB = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    size_divisor=1,
)
SHIPPED = (
    'source_only/source-only_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py',
    'cdanet/cdanet_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py',
    'dast/dast_vgg16-deeplabv2_1xb1-150k_gta2cityscapes-1280x720.py',
    'camix/camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py',
    'advent/advent_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py',
)


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    """A sound config of real images' statistics, with weights of its own network."""
    torch.manual_seed(0)
    weights = MODELS.build(RESNET).state_dict()
    torch.save(dict(state_dict=weights), tmp_path / 'resnet50.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'resnet50.pth'))
    segmentor = dict(
        type='EncoderDecoder',
        data_preprocessor=RGB,
        backbone=dict(RESNET, init_cfg=init),
        decode_head=HEAD,
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )
    model = dict(type='SourceOnly', segmentor=segmentor)
    cfg = toys.runner_cfg(tmp_path / 'data', tmp_path / 'work', model, max_iters=100)
    toys.write_domain(tmp_path / 'data', 'val', 3, 9)
    cfg.val_dataloader.dataset.data_root = str(tmp_path / 'data' / 'val')
    return cfg


def found(cfg: Config, check: str, **kwargs: Any) -> list[Finding]:
    return [each for each in examine(cfg, **kwargs) if each.check == check]


def test_a_sound_config(cfg: Config, tmp_path: Path) -> None:
    findings = list(examine(cfg, out=tmp_path / 'batch.png'))
    assert worst(findings) == 'ok', '\n'.join(map(str, findings))
    texts = {each.check: each.message for each in reversed(findings)}
    assert texts['weights'].startswith('resnet50.pth (sha256 ')
    assert texts['weights'].endswith('tensors of backbone, 100%')
    assert texts['labels'].startswith('source, 5 labels: a 25')
    assert texts['data'] == 'source: 5 images'
    assert texts['evaluation'].startswith('IoUMetric over 4 classes')
    height, width = cv2.imread(str(tmp_path / 'batch.png')).shape[:2]
    assert width > 3 * 384 > height


def weights_of_another_network(cfg: Config, root: Path) -> None:
    torch.save({'layers.0.weight': torch.zeros(3)}, root / 'resnet50.pth')


def channel_order(cfg: Config, root: Path) -> None:
    cfg.model.segmentor.data_preprocessor.bgr_to_rgb = False


def mean_in_another_range(cfg: Config, root: Path) -> None:
    cfg.model.segmentor.data_preprocessor.update(mean=[0.485, 0.456, 0.406])


def too_many_classes(cfg: Config, root: Path) -> None:
    cfg.model.segmentor.decode_head.num_classes = 19


def ids_for_train_ids(cfg: Config, root: Path) -> None:
    label = np.full(toys.SIZE, 26, np.uint8)  # car among Cityscapes' ids
    cv2.imwrite(str(root / 'data' / 'source' / 'labels' / '2.png'), label)


def evaluation_at_another_size(cfg: Config, root: Path) -> None:
    resize = dict(type='Resize', scale=(96, 64))
    cfg.val_dataloader.dataset.pipeline.insert(1, resize)


def half_changed(cfg: Config, root: Path) -> None:
    cfg.train_cfg.max_iters = 1000


def another_depth(cfg: Config, root: Path) -> None:
    torch.save(MODELS.build(dict(RESNET, depth=101)).state_dict(), root / 'resnet50.pth')


def batch_of_one(cfg: Config, root: Path) -> None:
    for domain in ('source', 'target'):
        cfg.train_dataloader[domain].batch_size = 1


def crops_larger_than_images(cfg: Config, root: Path) -> None:
    for domain in ('source', 'target'):
        crop = dict(type='RandomCrop', crop_size=(32, 96))
        cfg.train_dataloader[domain].dataset.pipeline.insert(-1, crop)


def target_is_source(cfg: Config, root: Path) -> None:
    cfg.train_dataloader.target.dataset.data_root = cfg.train_dataloader.source.dataset.data_root


@pytest.mark.parametrize(
    ('cause', 'check', 'verdict', 'message'),
    [
        (weights_of_another_network, 'weights', 'wrong', 'has 0 of 275 tensors of backbone, 0%'),
        (channel_order, 'channel order', 'wrong', 'but this mean is of RGB images'),
        (mean_in_another_range, 'normalisation', 'wrong', 'which is of images in [0, 1]'),
        (too_many_classes, 'config', 'wrong', '19'),
        (ids_for_train_ids, 'labels', 'wrong', 'got the value 26 in 100.0% of'),
        (
            evaluation_at_another_size,
            'evaluation',
            'wrong',
            'to 96 x 64 in validation, not resized in',
        ),
        (half_changed, 'schedule', 'wrong', 'the last 90% of the training have the smallest'),
        (another_depth, 'weights', 'wrong', 'such as layer3.6.conv1.weight, have no place'),
        (batch_of_one, 'batch norm', 'look', 'normalise by the statistics of one image'),
        (
            crops_larger_than_images,
            'crop',
            'look',
            'source: 5 of 5 images are smaller than the crop of 32 x 96 (height, width), the',
        ),
        (target_is_source, 'domains', 'wrong', 'source and target share 5 of 5 and 5 images'),
    ],
)
def test_causes_are_caught(
    cfg: Config,
    tmp_path: Path,
    cause: Callable[[Config, Path], None],
    check: str,
    verdict: str,
    message: str,
) -> None:
    cause(cfg, tmp_path)
    caught = [each for each in found(cfg, check) if each.verdict != 'ok']
    assert caught, check
    assert caught[0].verdict == verdict
    assert message in caught[0].message
    assert caught[0].remedy


@pytest.mark.parametrize('name', SHIPPED)
def test_shipped_configs_have_nothing_wrong(name: str) -> None:
    cfg = Config.fromfile(config_files.FOLDER / name)
    findings = list(examine(cfg, paper=cfg, data=False))
    assert [each for each in findings if each.verdict == 'wrong'] == []
    assert 'normalisation' in {each.check for each in findings if each.verdict == 'ok'}


def test_a_stage_without_its_first() -> None:
    name = 'proda/proda_r101-deeplabv2gn_1xb4-62k_gta2cityscapes-896x512_stage1.py'
    cfg = Config.fromfile(config_files.FOLDER / name)
    findings = [each for each in examine(cfg, data=False) if each.verdict != 'ok']
    assert ('normalisation', 'look') in [each[:2] for each in findings]  # images in [0, 1]
    (missing,) = [each for each in findings if each.verdict == 'wrong']
    assert missing.message.endswith("_warmup/iter_62000.pth', which does not exist")


@pytest.mark.parametrize('name', ['cdanet', 'dast', 'camix', 'pit', 'sam'])
def test_methods_have_nothing_wrong(name: str, tmp_path: Path) -> None:
    cfg = toys.runner_cfg(tmp_path / 'data', tmp_path / name, toys.method_cfg(name), max_iters=100)
    findings = list(examine(cfg))
    assert worst(findings) == 'look'  # random weights, validation on the target's training images
    assert {each.check for each in findings if each.verdict == 'look'} == {'weights', 'domains'}


def test_paper(cfg: Config) -> None:
    changed = Config(cfg.to_dict())
    changed.train_dataloader.source.batch_size = 8
    (finding,) = found(changed, 'paper', paper=cfg, data=False)
    assert finding.verdict == 'wrong'
    assert finding.message == 'batch 2 -> 8'
    changed.optim_wrapper.optimizers.student.optimizer.lr = 0.2
    (finding,) = found(changed, 'paper', paper=cfg, data=False)
    assert finding.verdict == 'look'
    assert finding.message == 'batch 2 -> 8, lr 0.05 -> 0.2'


def test_labels_of_the_target(cfg: Config) -> None:
    cfg.train_dataloader.target.dataset.pipeline.insert(1, dict(type='LoadAnnotations'))
    findings = [each for each in examine(cfg) if each.verdict == 'wrong']
    assert {'config', 'target labels'} == {each.check for each in findings}


def test_pseudo_labels_that_are_not_made_yet(tmp_path: Path) -> None:
    model = toys.method_cfg('self_training')
    cfg = toys.runner_cfg(tmp_path / 'data', tmp_path / 'work', model)
    (tmp_path / 'data' / 'target' / 'pseudo' / 'manifest.json').unlink()
    findings = [each for each in examine(cfg) if each.verdict == 'wrong']
    assert [each.check for each in findings] == ['pseudo labels']
    assert 'run tools/generate_pseudo_labels.py' in findings[0].message
    assert len(found(cfg, 'pixels')) == 2  # of images alone


def test_tool(cfg: Config, tmp_path: Path, capsys: Any) -> None:
    tool = toys.load_script('tools/doctor.py')
    cfg.dump(tmp_path / 'config.py')
    assert tool.main([str(tmp_path / 'config.py')]) == 0
    assert 'ok     target labels: no transform of the target loads' in capsys.readouterr().out
    target_is_source(cfg, tmp_path)
    cfg.dump(tmp_path / 'config.py')
    assert tool.main([str(tmp_path / 'config.py'), '--json']) == 2
    content = json.loads(capsys.readouterr().out)
    assert {'check', 'verdict', 'message', 'remedy'} == set(content[0])
    assert 'domains' in [each['check'] for each in content if each['verdict'] == 'wrong']
