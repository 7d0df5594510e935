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


def test_projection_shortcut() -> None:
    """The last bottleneck alone has a shortcut more; its input is not passed on as it is."""
    plain, model = CeilPoolResNet(**DEEPLAB), CeilPoolResNet(projection_shortcut=True, **DEEPLAB)
    result = model.load_state_dict(plain.state_dict(), strict=False)  # as pretrained weights do
    assert result.unexpected_keys == []
    assert {key.rpartition('.')[0] for key in result.missing_keys} == {
        'layer4.2.downsample.0',
        'layer4.2.downsample.1',
    }
    conv, norm = model.layer4[2].downsample
    assert (conv.weight.shape, conv.bias) == ((128, 128, 1, 1), None)
    assert conv.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert norm.weight.tolist() == [1] * 128
    assert norm.bias.tolist() == [0] * 128
    assert (conv.weight.requires_grad, norm.weight.requires_grad) == (True, False)
    for each in (plain, model):
        each.eval()
    images = torch.randn(1, 3, 33, 33)
    seen: list[torch.Tensor] = []
    plain.layer4[2].register_forward_hook(lambda block, given, got: seen.append(given[0]))
    (expected,) = plain(images)
    (features,) = model(images)
    # The block before its last ReLU is the residual plus the shortcut.
    block, given = plain.layer4[2], seen[0]
    residual = block.norm3(
        block.conv3(
            block.relu(block.norm2(block.conv2(block.relu(block.norm1(block.conv1(given))))))
        )
    )
    torch.testing.assert_close(expected, (residual + given).relu())
    shortcut = torch.einsum('oi,nihw->nohw', conv.weight[:, :, 0, 0], given) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(features, (residual + shortcut).relu())
    frozen = CeilPoolResNet(projection_shortcut=True, frozen_stages=4, **DEEPLAB)
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
