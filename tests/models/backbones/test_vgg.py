"""VGG-16 of DeepLab-v2 and of FCN-8s."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.runner import load_checkpoint
from torch import Tensor, nn

from mmseg_uda.models.backbones import VGG16FCN, VGG16DeepLab

WIDTHS = (2, 3, 4, 5, 6)


def torchvision_like(widths: tuple[int, ...] = WIDTHS, fc_channels: int = 7) -> dict[str, Tensor]:
    """A state dict with the layout of torchvision's ``vgg16`` and other widths."""
    features: list[nn.Module] = []
    in_channels = 3
    for width, convs in zip(widths, (2, 2, 3, 3, 3)):
        for _ in range(convs):
            features += [nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU()]
            in_channels = width
        features.append(nn.MaxPool2d(2))
    classifier = [
        nn.Linear(widths[-1] * 49, fc_channels),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(fc_channels, fc_channels),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(fc_channels, 10),
    ]
    parts = dict(features=nn.Sequential(*features), classifier=nn.Sequential(*classifier))
    return dict(nn.ModuleDict(parts).state_dict())


def tiny(backbone: type, **kwargs: Any) -> nn.Module:
    return backbone(stage_channels=WIDTHS, fc_channels=7, **kwargs)


@pytest.mark.parametrize(('size', 'expected'), [((512, 1024), (64, 128)), ((71, 101), (8, 12))])
def test_deeplab_features(size: tuple[int, int], expected: tuple[int, int]) -> None:
    with torch.device('meta'):
        (features,) = VGG16DeepLab()(torch.zeros(1, 3, *size))
    assert features.shape == (1, 1024, *expected)


def test_fcn_features() -> None:
    with torch.device('meta'):
        pool3, pool4, fc7, size = VGG16FCN()(torch.zeros(2, 3, 512, 1024))
    assert pool3.shape == (2, 256, 89, 153)
    assert pool4.shape == (2, 512, 45, 77)
    assert fc7.shape == (2, 4096, 17, 33)
    assert size.shape == (2, 0, 512, 1024)


def test_deeplab_equals_the_description() -> None:
    """Layer by layer: two pools fewer, dilation 2 in stage 5, dilation 4 in fc6 and fc7."""
    model, state = tiny(VGG16DeepLab), torchvision_like()
    model.load_state_dict({**model.state_dict(), **rename(state)}, strict=True)
    image = torch.randn(1, 3, 40, 48)
    x = image
    for index in (0, 2, 'pool', 5, 7, 'pool', 10, 12, 14, 'pool', 17, 19, 21, 24, 26, 28):
        if index == 'pool':
            x = F.max_pool2d(x, 2, 2)
            continue
        dilation = 2 if index >= 24 else 1
        weight, bias = state[f'features.{index}.weight'], state[f'features.{index}.bias']
        x = F.relu(F.conv2d(x, weight, bias, padding=dilation, dilation=dilation))
    for layer in (model.fc6, model.fc7):
        x = F.relu(F.conv2d(x, layer.weight, layer.bias, padding=4, dilation=4))
    torch.testing.assert_close(model(image)[0], x)


def test_fcn_is_the_classifier_run_as_a_convolution() -> None:
    """On a map of 7x7, fc6 and fc7 give what torchvision's fully connected layers give."""
    model, state = tiny(VGG16FCN).eval(), torchvision_like()
    model.load_state_dict(state, strict=True)
    maps = torch.randn(1, WIDTHS[-1], 7, 7)
    hidden = F.relu(
        F.linear(maps.flatten(1), state['classifier.0.weight'], state['classifier.0.bias'])
    )
    expected = F.linear(hidden, state['classifier.3.weight'], state['classifier.3.bias'])
    actual = model.fc7(F.relu(model.fc6(maps)))
    torch.testing.assert_close(actual.flatten(1), expected)


def rename(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The convolutions of a torchvision state dict under our names, written out."""
    ours = {
        0: 'conv1.0',
        2: 'conv1.2',
        5: 'conv2.0',
        7: 'conv2.2',
        10: 'conv3.0',
        12: 'conv3.2',
        14: 'conv3.4',
        17: 'conv4.0',
        19: 'conv4.2',
        21: 'conv4.4',
        24: 'conv5.0',
        26: 'conv5.2',
        28: 'conv5.4',
    }
    return {
        f'{name}.{kind}': state[f'features.{index}.{kind}']
        for index, name in ours.items()
        for kind in ('weight', 'bias')
    }


@pytest.mark.parametrize('backbone', [VGG16DeepLab, VGG16FCN])
@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_torchvision_weights_load(backbone: type, prefix: str) -> None:
    state = torchvision_like()
    model = tiny(backbone)
    parent = nn.ModuleDict(dict(backbone=model)) if prefix else model
    result = parent.load_state_dict(
        {prefix + key: value for key, value in state.items()}, strict=False
    )
    assert result.unexpected_keys == []
    random = {'fc6', 'fc7'} if backbone is VGG16DeepLab else set()
    assert {key[len(prefix) :].split('.')[0] for key in result.missing_keys} == random
    for name, value in rename(state).items():
        torch.testing.assert_close(model.state_dict()[name], value)


@pytest.mark.parametrize('backbone', [VGG16DeepLab, VGG16FCN])
def test_pytorch_vggs_names_load(backbone: type) -> None:
    """The file of the Caffe weights numbers its linear layers 1, 4 and 6 instead of 0, 3 and 6."""
    state = torchvision_like()
    numbers = {'classifier.0': 'classifier.1', 'classifier.3': 'classifier.4'}
    caffe = {}
    for key, value in state.items():
        layer, _, kind = key.rpartition('.')
        caffe[f'{numbers.get(layer, layer)}.{kind}'] = value
    assert [key for key in caffe if key.startswith('classifier')][::2] == [
        'classifier.1.weight',
        'classifier.4.weight',
        'classifier.6.weight',
    ]
    models = [tiny(backbone), tiny(backbone)]
    for model, content in zip(models, (state, caffe)):
        result = model.load_state_dict(content, strict=False)
        assert result.unexpected_keys == []
        assert len(result.missing_keys) == (4 if backbone is VGG16DeepLab else 0)
    loaded = [
        {key: value for key, value in model.state_dict().items() if key not in result.missing_keys}
        for model in models
    ]
    torch.testing.assert_close(*loaded)
    if backbone is VGG16FCN:
        fc6 = caffe['classifier.1.weight'].view(7, WIDTHS[-1], 7, 7)
        torch.testing.assert_close(models[1].fc6.weight, fc6)
        fc7 = caffe['classifier.4.weight'].view(7, 7, 1, 1)
        torch.testing.assert_close(models[1].fc7.weight, fc7)


def test_names_are_torchvisions() -> None:
    torchvision = pytest.importorskip('torchvision')
    with torch.device('meta'):
        state = torchvision.models.vgg16().state_dict()
        for backbone, missing in ((VGG16DeepLab, 4), (VGG16FCN, 0)):
            model = backbone()
            result = model.load_state_dict(state, strict=False, assign=True)
            assert len(result.missing_keys) == missing
            assert result.unexpected_keys == []


@pytest.mark.parametrize('backbone', [VGG16DeepLab, VGG16FCN])
def test_pretrained_init(backbone: type, tmp_path: Path) -> None:
    state = torchvision_like()
    torch.save(state, tmp_path / 'vgg16.pth')
    checkpoint = str(tmp_path / 'vgg16.pth')
    model = tiny(backbone, init_cfg=dict(type='Pretrained', checkpoint=checkpoint))
    model.init_weights()
    torch.testing.assert_close(model.conv5[4].weight, state['features.28.weight'])
    if backbone is VGG16FCN:
        torch.testing.assert_close(model.fc7.bias, state['classifier.3.bias'])


def test_other_widths_are_reported() -> None:
    with pytest.raises(RuntimeError, match=r'size mismatch for fc6\.weight'):
        tiny(VGG16FCN).load_state_dict(torchvision_like(fc_channels=8))


@pytest.mark.parametrize('backbone', [VGG16DeepLab, VGG16FCN])
def test_own_checkpoint_loads_strictly(backbone: type, tmp_path: Path) -> None:
    model, other = tiny(backbone), tiny(backbone)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'own.pth')
    load_checkpoint(other, str(tmp_path / 'own.pth'), strict=True)
    torch.testing.assert_close(other.state_dict(), model.state_dict())


@pytest.mark.parametrize('backbone', [VGG16DeepLab, VGG16FCN])
def test_every_parameter_gets_a_gradient(backbone: type) -> None:
    model = backbone(stage_channels=(8,) * 5, fc_channels=8)
    model.init_weights()
    features = model(torch.randn(2, 3, 32, 32))
    sum(feature.square().sum() for feature in features).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_stage_is_hookable() -> None:
    model, seen = tiny(VGG16DeepLab), []
    model.get_submodule('conv5').register_forward_hook(lambda *args: seen.append(args[2].shape))
    model(torch.randn(1, 3, 32, 48))
    assert seen == [(1, 6, 4, 6)]


def test_dropout_ratio() -> None:
    model = VGG16FCN(stage_channels=(2,) * 5, fc_channels=64, dropout_ratio=1.0).train()
    assert model(torch.randn(1, 3, 16, 16))[2].abs().sum() == 0
    assert model.eval()(torch.randn(1, 3, 16, 16))[2].abs().sum() > 0


def test_number_of_stages_is_checked() -> None:
    with pytest.raises(
        ValueError,
        match=r'VGG16DeepLab\.stage_channels: expected a list of 5 numbers, but got \(4, 4\)',
    ):
        VGG16DeepLab(stage_channels=(4, 4))
