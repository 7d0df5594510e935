"""The classifier of DeepLab-v2."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_uda.models.decode_heads import DeepLabV2Head


def sample(label: torch.Tensor) -> SegDataSample:
    return SegDataSample(gt_sem_seg=PixelData(data=label[None]))


def slow(head: DeepLabV2Head, features: torch.Tensor, dilations: tuple[int, ...]) -> torch.Tensor:
    """The sum of the branches, pixel by pixel."""
    batch, _, height, width = features.shape
    logits = torch.zeros(batch, head.num_classes, height, width)
    for branch, d in zip(head.branches, dilations):
        logits += branch.bias[:, None, None]
        for y in range(height):
            for x in range(width):
                for i, dy in enumerate((-d, 0, d)):
                    for j, dx in enumerate((-d, 0, d)):
                        if 0 <= y + dy < height and 0 <= x + dx < width:
                            kernel = branch.weight[:, :, i, j]
                            logits[:, :, y, x] += features[:, :, y + dy, x + dx] @ kernel.T
    return logits


@pytest.mark.parametrize('aspp_branches', [None, 1, 2, 4])
def test_equals_slow_sum(aspp_branches: int | None) -> None:
    dilations = (1, 2, 3, 5)
    head = DeepLabV2Head(
        3, num_classes=4, dilations=dilations, aspp_branches=aspp_branches, in_index=1
    )
    assert len(head.branches) == (aspp_branches or 4)
    features = torch.randn(2, 3, 6, 7)
    with torch.no_grad():
        logits = head((torch.zeros(2, 1, 3, 3), features))
        torch.testing.assert_close(logits, slow(head, features, dilations))


def test_two_branches_are_the_first_two_of_four() -> None:
    four = DeepLabV2Head(3, num_classes=5)
    two = DeepLabV2Head(3, num_classes=5, aspp_branches=2)
    result = two.load_state_dict(four.state_dict(), strict=False)
    assert result.missing_keys == []
    features = torch.randn(1, 3, 15, 17)
    expected = sum(
        F.conv2d(features, branch.weight, branch.bias, padding=d, dilation=d)
        for branch, d in zip(four.branches, (6, 12))
    )
    torch.testing.assert_close(two((features,)), expected)
    assert not torch.allclose(four((features,)), expected)


def test_every_parameter_gets_a_gradient() -> None:
    head = DeepLabV2Head(2, num_classes=3)
    losses = head.loss(
        (torch.randn(1, 2, 30, 30),), [sample(torch.randint(3, (60, 60)))], train_cfg=dict()
    )
    losses['loss_ce'].backward()
    assert {name.split('.')[0] for name, _ in head.named_parameters()} == {'branches'}
    for name, parameter in head.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_initial_weights() -> None:
    head = DeepLabV2Head(64, num_classes=19)
    head.init_weights()
    for branch in head.branches:
        assert branch.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert branch.weight.mean().abs() < 1e-3
        assert branch.bias.abs().sum() == 0


def test_loss_is_the_mean_over_valid_pixels() -> None:
    head = DeepLabV2Head(2, num_classes=3)
    features = torch.randn(1, 2, 5, 5)
    label = torch.randint(3, (9, 9))
    label[:4] = 255
    loss = head.loss((features,), [sample(label)], train_cfg=dict())['loss_ce']
    logits = F.interpolate(head((features,)), size=(9, 9), mode='bilinear', align_corners=True)
    expected = F.cross_entropy(logits[0][:, label != 255].T, label[label != 255])
    torch.testing.assert_close(loss, expected)


def test_loss_is_zero_where_all_pixels_are_ignored() -> None:
    head = DeepLabV2Head(2, num_classes=3)
    losses = head.loss(
        (torch.randn(1, 2, 5, 5),), [sample(torch.full((9, 9), 255))], train_cfg=dict()
    )
    losses['loss_ce'].backward()
    assert losses['loss_ce'] == 0
    assert all(torch.isfinite(value).all() for value in losses.values())
    assert all(parameter.grad.abs().sum() == 0 for parameter in head.parameters())


def test_dropout_ratio() -> None:
    features = (torch.ones(1, 2, 5, 5),)
    head = DeepLabV2Head(2, num_classes=3, dropout_ratio=1.0)
    head.init_weights()
    assert head.train()(features).abs().sum() == 0
    assert head.eval()(features).abs().sum() > 0
    assert DeepLabV2Head(2, num_classes=3).dropout is None


def test_own_loss_is_used() -> None:
    loss = dict(type='CrossEntropyLoss', loss_name='loss_mine', loss_weight=2.0)
    head = DeepLabV2Head(2, num_classes=3, loss_decode=loss, align_corners=False)
    features, labels = (torch.randn(1, 2, 5, 5),), [sample(torch.randint(3, (5, 5)))]
    expected = 2 * F.cross_entropy(head(features), labels[0].gt_sem_seg.data)
    torch.testing.assert_close(head.loss(features, labels, dict())['loss_mine'], expected)
    assert not head.align_corners


def test_number_of_branches_is_checked() -> None:
    with pytest.raises(ValueError, match='from 1 to 4, .* but got 5'):
        DeepLabV2Head(2, num_classes=3, aspp_branches=5)


def test_unknown_argument_is_refused() -> None:
    with pytest.raises(TypeError, match='branches'):
        DeepLabV2Head(2, num_classes=3, branches=2)
