"""The networks of ``configs/_base_/models``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import toys
import two_processes
from exported_pairs import export
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.apis import init_model
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_uda.artifacts.checkpoint_sources import resolve_checkpoint
from mmseg_uda.config.building import build_model

FOLDER = Path(__file__).parents[2] / 'configs' / '_base_' / 'models'

# Millions of parameters, and the size of the logits for a (512, 1024) image.
NETWORKS = {
    'deeplabv2_r101_caffe': (43.901, (65, 129)),
    'deeplabv2_r101_coco': (43.901, (65, 129)),
    'deeplabv2_r101_torchvision': (43.901, (65, 129)),
    'deeplabv2_vgg16_caffe': (29.573, (64, 128)),
    'deeplabv2_vgg16_torchvision': (29.573, (64, 128)),
    'fcn8s_vgg16_caffe': (134.353, (512, 1024)),
    'fcn8s_vgg16_torchvision': (134.353, (512, 1024)),
    'deeplabv2_mobilenetv2': (2.031, (64, 128)),
    'deeplabv2_mobilenetv2-035': (0.327, (64, 128)),
    'toy_mobilenetv2': (0.562, (64, 128)),
    'deeplabv2_r101_two_levels': (44.602, (65, 129)),
    'deeplabv2gn_r101': (65.064, (65, 129)),
    'deeplabv2_mobilenetv2-035_two_levels': (0.349, (64, 128)),
    'deeplabv3plus_mobilenetv2': (2.810, (128, 256)),
    'deeplabv3plus_efficientnet-lite0': (3.957, (128, 256)),
    'segformer_mit-b0': (3.720, (128, 256)),
    'daformer_mit-b0': (6.901, (128, 256)),
    'daformer_mit-b1': (16.864, (128, 256)),
    'daformer_mit-b2': (27.909, (128, 256)),
    'daformer_mit-b3': (47.784, (128, 256)),
    'daformer_mit-b4': (64.555, (128, 256)),
    'daformer_mit-b5': (85.155, (128, 256)),
    'daformer_swin-t': (31.339, (128, 256)),
    'daformer_convnext-t': (31.637, (128, 256)),
    'daformer_dinov2-b': (97.898, (160, 320)),
    'deeplabv2_efficientnet-lite0': (3.178, (32, 64)),
    'hrda_mit-b5': (85.686, (128, 256)),
    'vfm_uda_dinov2-s': (22.511, (160, 320)),
    'vfm_uda_dinov2-b': (88.392, (160, 320)),
    'vfm_uda_dinov2-l': (307.587, (160, 320)),
}
MADE = {
    'deeplabv2_mobilenetv2-035': 'mobilenetv2_035_imagenet',
    'deeplabv2_mobilenetv2-035_two_levels': 'mobilenetv2_035_imagenet',
    'deeplabv3plus_mobilenetv2': 'mobilenetv2_imagenet',
    'deeplabv3plus_efficientnet-lite0': 'efficientnet_lite0',
}
NO_SEGMENTORS = {'cyclegan_resnet9', 'proda_distillation_r101'}


def test_all_are_listed() -> None:
    assert {path.stem for path in FOLDER.glob('*.py')} == NETWORKS.keys() | NO_SEGMENTORS


@pytest.mark.parametrize('name', NETWORKS)
def test_network(name: str) -> None:
    millions, size = NETWORKS[name]
    config = Config.fromfile(FOLDER / f'{name}.py').model
    model = build_model(dict(model=config))
    logits = model(torch.zeros(1, 3, 512, 1024, device='meta'))
    assert logits.shape == (1, 19, *size)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert parameters / 1e6 == pytest.approx(millions, abs=1e-3)
    init_cfg = model.backbone.init_cfg
    if name == 'toy_mobilenetv2':
        assert all(cfg['type'] != 'Pretrained' for cfg in init_cfg)
    elif name in MADE:  # no public file: the config says how to make it
        assert init_cfg['checkpoint'] == f'checkpoints/{MADE[name]}.pth'
    else:
        assert init_cfg['checkpoint'].startswith(('https://', 'http://', 'mmcls://', 'timm://'))
        assert resolve_checkpoint(init_cfg['checkpoint']).startswith('http')


@pytest.mark.parametrize('name', ['deeplabv2_r101', 'deeplabv2_vgg16', 'fcn8s_vgg16'])
def test_variants_differ_in_weights_and_scale(name: str) -> None:
    caffe, torchvision = (
        Config.fromfile(FOLDER / f'{name}_{kind}.py').model.to_dict()
        for kind in ('caffe', 'torchvision')
    )
    expected = dict(
        mean=[104.00698793, 116.66876762, 122.67891434], std=[1.0] * 3, bgr_to_rgb=False
    )
    assert expected.items() <= caffe['data_preprocessor'].items()
    expected = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)
    assert expected.items() <= torchvision['data_preprocessor'].items()
    for model in (caffe, torchvision):
        for key in expected:
            del model['data_preprocessor'][key]
        del model['backbone']['init_cfg']
    assert caffe == torchvision


CAFFE = [
    'deeplabv2_r101_caffe',
    'deeplabv2_r101_coco',
    'deeplabv2_vgg16_caffe',
    'fcn8s_vgg16_caffe',
]


@pytest.mark.parametrize('name', CAFFE)
def test_caffes_images_are_bgr_less_the_mean(name: str) -> None:
    cfg = Config.fromfile(FOLDER / f'{name}.py').model
    preprocessor = MODELS.build(cfg.data_preprocessor)
    mean = torch.tensor([104.00698793, 116.66876762, 122.67891434]).view(3, 1, 1)
    red = torch.tensor([0.0, 0.0, 255.0]).view(3, 1, 1)  # as files are read: BGR
    images = [color.expand(3, 4, 6).clone() for color in (mean, red)]
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 4, 6, dtype=torch.long)))
    batch = preprocessor(dict(inputs=images, data_samples=[sample, sample.clone()]), True)
    grey, pure_red = batch['inputs']
    assert not grey.any()
    torch.testing.assert_close(pure_red, (red - mean).expand(3, 4, 6))
    # The first layer of Caffe takes blue first: RGB and swapped channels give the same response.
    conv = torch.nn.Conv2d(3, 2, 3)
    swapped = torch.nn.functional.conv2d(pure_red.flip(0), conv.weight.flip(1), conv.bias)
    torch.testing.assert_close(conv(pure_red), swapped)


# Fewer channels than the networks have.
NARROW = {
    'deeplabv2_r101': dict(depth=50, stem_channels=2, base_channels=2),
    'deeplabv2_vgg16': dict(stage_channels=(2, 3, 4, 5, 6), fc_channels=7),
    'fcn8s_vgg16': dict(stage_channels=(2, 3, 4, 5, 6), fc_channels=7),
}


def published(name: str, backbone: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A stand-in for a file of weights, with its names and random values."""
    if 'r101' in name:
        prefix = '' if name.endswith('_coco') else 'Scale.'
        state = {
            prefix + key: torch.rand_like(value)
            for key, value in backbone.state_dict().items()
            if not key.endswith('num_batches_tracked')  # the files are older than these
        }
        return {**state, f'{prefix}layer5.conv2d_list.0.weight': torch.rand(21, 2, 3, 3)}
    names = [f'features.{n}' for n in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)]
    widths = (3, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6)
    state = {}
    for layer, inner, outer in zip(names, widths, widths[1:]):
        state[f'{layer}.weight'] = torch.rand(outer, inner, 3, 3)
        state[f'{layer}.bias'] = torch.rand(outer)
    for number, inner, outer in ((1, 6 * 49, 7), (4, 7, 7), (6, 7, 9)):
        state[f'classifier.{number}.weight'] = torch.rand(outer, inner)
        state[f'classifier.{number}.bias'] = torch.rand(outer)
    return state


@pytest.mark.parametrize('name', CAFFE)
def test_published_weights_load(name: str, tmp_path: Path) -> None:
    """Through init_cfg, as in training; every tensor of the backbone but those left out."""
    cfg = Config.fromfile(FOLDER / f'{name}.py').model.backbone.to_dict()
    cfg.update(NARROW[name.rpartition('_')[0]])
    backbone = MODELS.build(cfg)
    content = published(name, backbone)
    backbone.init_cfg['checkpoint'] = str(tmp_path / 'weights.pth')
    torch.save(content, tmp_path / 'weights.pth')
    backbone.init_weights()
    # Tensors come in the network's order in all files; views of one another, as fc6 is a layer.
    expected = [value for key, value in content.items() if not key.endswith('tracked')]
    expected = expected[: {'deeplabv2_vgg16_caffe': 26, 'fcn8s_vgg16_caffe': 30}.get(name, -1)]
    loaded = {
        key: value
        for key, value in backbone.state_dict().items()
        if not key.endswith('tracked')
        and not (name == 'deeplabv2_vgg16_caffe' and key.startswith('fc'))
    }
    assert len(loaded) == len(expected)
    for (key, value), other in zip(loaded.items(), expected):
        torch.testing.assert_close(value, other.view_as(value), rtol=0, atol=0, msg=key)


def test_small_network_trains() -> None:
    model = MODELS.build(Config.fromfile(FOLDER / 'toy_mobilenetv2.py').model)
    model.init_weights()
    model.train()
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=torch.randint(19, (1, 65, 97)))) for _ in range(2)
    ]
    model.loss(torch.randn(2, 3, 65, 97), samples)['decode.loss_ce'].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


# Narrow and shallow networks of the families that papers of today compare.
HEAD = dict(channels=8, dilations=(1, 2), num_classes=toys.NUM_CLASSES)
VIT = dict(depth=4, embed_dim=16, num_heads=2, img_size=28, with_cp=True)
ONE_LAYER = dict(depths=(1, 1, 1, 1), with_cp=True, drop_path_rate=0.1)
TINY: dict[str, dict[str, Any]] = {
    'daformer_mit-b0': dict(
        backbone=dict(embed_dims=4, num_layers=[1] * 4, with_cp=True),
        decode_head=dict(HEAD, in_channels=[4, 8, 20, 32]),
    ),
    'daformer_swin-t': dict(
        backbone=dict(ONE_LAYER, embed_dims=8, num_heads=[1, 2, 2, 2], window_size=4),
        decode_head=dict(HEAD, in_channels=[8, 16, 32, 64]),
    ),
    'daformer_convnext-t': dict(
        backbone=dict(ONE_LAYER, model_name='convnext_atto', dims=(8, 8, 8, 8)),
        decode_head=dict(HEAD, in_channels=[8] * 4),
    ),
    'deeplabv2_efficientnet-lite0': dict(decode_head=dict(num_classes=toys.NUM_CLASSES)),
    'daformer_dinov2-b': dict(
        backbone=dict(VIT, out_indices=(0, 1, 2, 3)),
        neck=dict(embed_dim=16),
        decode_head=dict(HEAD, in_channels=[16] * 4),
    ),
    'vfm_uda_dinov2-b': dict(
        backbone=VIT, decode_head=dict(in_channels=16, num_classes=toys.NUM_CLASSES)
    ),
}


@pytest.mark.parametrize('name', TINY)
def test_families_train_and_leave(name: str, tmp_path: Path) -> None:
    """One iteration of MIC trains every parameter; stock mmseg loads the exported pair."""
    config = Config.fromfile(FOLDER / f'{name}.py')
    config.merge_from_dict(dict(model=TINY[name]))
    segmentor = dict(config.model.to_dict(), test_cfg=dict(mode='whole'))
    segmentor['backbone']['init_cfg'] = None
    if 'size' in segmentor['data_preprocessor']:  # 1024 x 1024, to which it pads
        segmentor['data_preprocessor']['size'] = toys.SIZE
    method = toys.build('mic', segmentor=segmentor, regularizers=None)
    wrapper = build_optim_wrapper(method, toys.optim_wrapper_cfg(dict(segmentor=segmentor)))
    gradients = two_processes.gradients(method, wrapper)
    for key, _ in method.student.named_parameters():
        gradient = gradients[f'student.{key}']
        assert gradient.isfinite().all(), key
        assert gradient.any(), key

    method = export(tmp_path / 'pair', segmentor)
    exported = init_model(
        str(tmp_path / 'pair' / 'config.py'), str(tmp_path / 'pair' / 'a.pth'), device='cpu'
    )
    images = torch.randn(1, 3, *toys.SIZE)
    with torch.no_grad():
        expected = method.student.encode_decode(images, [dict(img_shape=toys.SIZE)])
        found = exported.encode_decode(images, [dict(img_shape=toys.SIZE)])
    torch.testing.assert_close(found, expected)
