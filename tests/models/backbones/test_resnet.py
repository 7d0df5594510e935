"""The ResNet of DeepLab-v2."""

from __future__ import annotations

import pytest
import torch
from mmseg.models import ResNet
from torch import nn

from mmseg_uda.models.backbones import CeilPoolResNet

DEEPLAB = dict(
    depth=50,
    stem_channels=4,
    base_channels=4,
    strides=(1, 2, 1, 1),
    dilations=(1, 1, 2, 4),
    contract_dilation=False,
    style='caffe',
    out_indices=(3,),
    norm_cfg=dict(type='BN', requires_grad=False),
    norm_eval=False,
)


@pytest.mark.parametrize(
    ('ceil_mode', 'size', 'expected'),
    [
        (True, (512, 1024), (65, 129)),
        (False, (512, 1024), (64, 128)),
        (True, (64, 128), (9, 17)),
        (True, (71, 101), (10, 13)),
    ],
)
def test_size_of_features(
    ceil_mode: bool, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    with torch.device('meta'):
        (features,) = CeilPoolResNet(ceil_mode=ceil_mode, **DEEPLAB)(torch.zeros(1, 3, *size))
    assert features.shape == (1, 128, *expected)


def test_only_the_pool_differs_from_mmseg() -> None:
    ours, stock = CeilPoolResNet(**DEEPLAB), ResNet(**DEEPLAB)
    stock.load_state_dict(ours.state_dict(), strict=True)
    image = torch.randn(2, 3, 62, 62)  # the stem gives 31: an odd size, pooled alike by both
    torch.testing.assert_close(ours(image), stock(image))


def test_caffe_layout() -> None:
    model = CeilPoolResNet(**DEEPLAB)
    assert model.layer2[0].conv1.stride == (2, 2)
    assert model.layer2[0].conv2.stride == (1, 1)
    assert {block.conv2.dilation for block in model.layer3} == {(2, 2)}
    assert {block.conv2.dilation for block in model.layer4} == {(4, 4)}


def test_batch_norm_is_frozen_but_uses_batch_statistics() -> None:
    model = CeilPoolResNet(**DEEPLAB)
    model.train()
    model(torch.randn(2, 3, 33, 33))[0].square().sum().backward()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.training
            assert not module.weight.requires_grad
            assert not module.bias.requires_grad
            assert module.num_batches_tracked == 1
    for name, parameter in model.named_parameters():
        assert not parameter.requires_grad or parameter.grad is not None, name
