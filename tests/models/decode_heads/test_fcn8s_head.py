"""The head of FCN-8s."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_uda.models.backbones import VGG16FCN
from mmseg_uda.models.decode_heads import FCN8sHead
from mmseg_uda.models.decode_heads.fcn8s_head import bilinear_upsample

WIDTHS = (2, 2, 4, 5, 2)


def network(num_classes: int = 3, **kwargs: Any) -> tuple[VGG16FCN, FCN8sHead]:
    backbone = VGG16FCN(stage_channels=WIDTHS, fc_channels=6)
    head = FCN8sHead((4, 5, 6), num_classes=num_classes, score_init='normal', **kwargs)
    backbone.init_weights()
    head.init_weights()
    return backbone.eval(), head


def reference_upsample(scores: Tensor, scale: int) -> Tensor:
    """A dense transposed convolution whose kernel is bilinear on the diagonal of the classes."""
    channels, kernel = scores.shape[1], torch.zeros(2 * scale, 2 * scale)
    for y in range(2 * scale):
        for x in range(2 * scale):
            near_y = 1 - abs(y - (2 * scale - 1) / 2) / scale
            near_x = 1 - abs(x - (2 * scale - 1) / 2) / scale
            kernel[y, x] = near_y * near_x
    layer = nn.ConvTranspose2d(channels, channels, 2 * scale, stride=scale, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(channels):
            layer.weight[channel, channel] = kernel
    return layer(scores)


@pytest.mark.parametrize('scale', [2, 8])
def test_upsampling_is_the_reference_convolution(scale: int) -> None:
    scores = torch.randn(2, 3, 4, 5)
    actual = bilinear_upsample(scores, scale)
    assert actual.shape == (2, 3, 5 * scale, 6 * scale)
    torch.testing.assert_close(actual, reference_upsample(scores, scale))


@pytest.mark.parametrize('scale', [2, 8])
def test_upsampling_interpolates(scale: int) -> None:
    """Constants stay constant and ramps stay ramps, away from the border."""
    inside = slice(scale, -scale)
    constant = bilinear_upsample(torch.full((1, 2, 5, 6), 3.5), scale)[:, :, inside, inside]
    torch.testing.assert_close(constant, torch.full_like(constant, 3.5))
    ramp = bilinear_upsample(torch.arange(6.0).expand(1, 1, 5, 6), scale)[0, 0, inside, inside]
    torch.testing.assert_close(
        ramp.diff(dim=1), torch.full((ramp.shape[0], ramp.shape[1] - 1), 1 / scale)
    )


@pytest.mark.parametrize('size', [(1, 1), (31, 33), (32, 64), (45, 70), (67, 39)])
def test_output_has_the_size_of_the_image(size: tuple[int, int]) -> None:
    backbone, head = network()
    with torch.no_grad():
        assert head(backbone(torch.randn(1, 3, *size))).shape == (1, 3, *size)


def test_upsampling_is_frozen() -> None:
    assert {name.split('.')[0] for name in network()[1].state_dict()} == {
        'score_fr',
        'score_pool3',
        'score_pool4',
    }


def test_scores_at_stride8_of_the_papers_size() -> None:
    with torch.device('meta'):
        features = VGG16FCN()(torch.zeros(1, 3, 512, 1024))
        head = FCN8sHead(num_classes=19)
        assert head.scores_at_stride8(features).shape == (1, 19, 74, 138)
        assert head(features).shape == (1, 19, 512, 1024)


@pytest.mark.parametrize('scales', [(0.01, 0.0001), (0.57, 0.0057)])
def test_equals_the_description(scales: tuple[float, float]) -> None:
    pool4_scale, pool3_scale = scales
    given = {} if scales == (0.01, 0.0001) else dict(zip(('pool4_scale', 'pool3_scale'), scales))
    backbone, head = network(**given)
    with torch.no_grad():
        features = backbone(torch.randn(2, 3, 40, 50))
        pool3, pool4, fc7, _ = features
        scores = reference_upsample(head.score_fr(fc7), 2)
        height, width = scores.shape[2:]
        scores += head.score_pool4(pool4_scale * pool4)[:, :, 5 : 5 + height, 5 : 5 + width]
        scores = reference_upsample(scores, 2)
        height, width = scores.shape[2:]
        scores += head.score_pool3(pool3_scale * pool3)[:, :, 9 : 9 + height, 9 : 9 + width]
        torch.testing.assert_close(head.scores_at_stride8(features), scores)
        logits = reference_upsample(scores, 8)[:, :, 31 : 31 + 40, 31 : 31 + 50]
        torch.testing.assert_close(head(features), logits)
        torch.testing.assert_close(head.upsample(scores, (40, 50)), logits)


def test_logits_lie_over_their_pixels() -> None:
    """The crops centre the scores: mirroring the features mirrors the logits."""
    head = FCN8sHead((1, 1, 1), num_classes=2, score_init='normal')
    head.init_weights()
    pool3, pool4, fc7 = (torch.randn(1, 1, size, size) for size in (29, 15, 2))  # of 32x32 pixels
    size = torch.zeros(1, 0, 32, 32)
    mirrored = [maps.flip(3) for maps in (pool3, pool4, fc7)]
    # pool4 and pool3 only count inside their windows, 5 ... 10 and 9 ... 22.
    mirrored[0] = pool3.clone()
    mirrored[0][..., 9:23] = pool3[..., 9:23].flip(3)
    mirrored[1] = pool4.clone()
    mirrored[1][..., 5:11] = pool4[..., 5:11].flip(3)
    with torch.no_grad():
        scores = head.scores_at_stride8((pool3, pool4, fc7, size))
        flipped = head.scores_at_stride8((*mirrored, size))
    torch.testing.assert_close(flipped, scores.flip(3))


def test_every_parameter_gets_a_gradient() -> None:
    model = MODELS.build(
        dict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor'),
            backbone=dict(
                type='VGG16FCN', stage_channels=(8,) * 5, fc_channels=8, dropout_ratio=0.0
            ),
            decode_head=dict(
                type='FCN8sHead', in_channels=(8, 8, 8), num_classes=3, score_init='normal'
            ),
            test_cfg=dict(mode='whole'),
        )
    )
    assert sum(parameter.numel() for parameter in model.parameters()) < 100_000
    model.init_weights()
    label = PixelData(data=torch.randint(3, (1, 33, 47)))
    data = SegDataSample(gt_sem_seg=label, metainfo=dict(img_shape=(33, 47)))
    losses = model.loss(torch.randn(1, 3, 33, 47), [data])
    losses['decode.loss_ce'].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    label.data.fill_(255)
    assert model.loss(torch.randn(1, 3, 33, 47), [data])['decode.loss_ce'] == 0
    assert model.encode_decode(torch.randn(1, 3, 33, 47), [data.metainfo]).shape[2:] == (33, 47)


def test_score_convolutions_start_at_zero() -> None:
    """As in BDL's code; N(0, 0.01) and any other initialisation on demand."""
    scores = ('score_pool3', 'score_pool4', 'score_fr')
    head = FCN8sHead(num_classes=19)
    head.init_weights()
    for name in scores:
        conv = getattr(head, name)
        assert not conv.weight.any()
        assert not conv.bias.any()
    for arguments, std in (
        (dict(score_init='normal'), 0.01),
        (dict(init_cfg=dict(type='Normal', std=0.1, layer='Conv2d')), 0.1),
    ):
        head = FCN8sHead(num_classes=19, **arguments)
        head.init_weights()
        for name in scores:
            assert getattr(head, name).weight.std().item() == pytest.approx(std, rel=0.05)
            assert not getattr(head, name).bias.any()


def test_bad_arguments() -> None:
    with pytest.raises(
        ValueError, match=r'FCN8sHead\.in_channels: expected a list of 3 numbers, but got \(4,\)'
    ):
        FCN8sHead((4,), num_classes=3)
    with pytest.raises(ValueError, match=r"FCN8sHead\.score_init: expected .*, but got 'ones'"):
        FCN8sHead(num_classes=3, score_init='ones')
    with pytest.raises(
        ValueError, match=r'FCN8sHead\.pool4_scale: expected a finite number, but got nan'
    ):
        FCN8sHead(num_classes=3, pool4_scale=float('nan'))
    with pytest.raises(ValueError, match=r'but got 3 feature maps; write the backbone VGG16FCN'):
        FCN8sHead((1, 1, 1), num_classes=3)([torch.zeros(1, 1, 9, 9)] * 3)
