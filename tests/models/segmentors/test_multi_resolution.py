"""A student of two resolutions: its passes, losses, predictions, and the segmentors inside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import toys
from mmengine.config import ConfigDict
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor
from torch.testing import assert_close

from mmseg_uda.models.layers.detail_crops import draw_crops
from mmseg_uda.models.student_pass import student_pass
from mmseg_uda.structures import DomainBatch


def make(**changes: Any) -> Any:
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(toys.multi_resolution_cfg(**changes)))
    model.init_weights()
    return model


def batch_of(model: Any, data: Any = None) -> DomainBatch:
    return DomainBatch.collect(**model.data_preprocessor(data or toys.batch(), True))


def logits_at(head: Any, logits: Tensor, size: Any) -> Tensor:
    return resize(logits, size=size, mode='bilinear', align_corners=head.align_corners)


def test_losses_by_hand() -> None:
    """(1 - 0.1) of the fused logits' and 0.1 of the detail's, with weights of its pixels."""
    model = toys.shaken('mic_hrda', pseudo_threshold=0.6, lambda_mask=1.0).train()
    student, head = model.student, model.student.decode_head
    batch = batch_of(model)
    torch.manual_seed(0)
    losses = {key: value for step in model.losses(batch) for key, value in step.items()}
    teacher = model.predict_target(batch.target)
    masked = model.masked_images(batch, teacher)
    for images, labels, weight, name in (
        (batch.source.images, batch.source.labels, None, 'source'),
        (masked.images, masked.labels, masked.pixel_weight, 'masked'),
    ):
        crops = draw_crops(images, (16, 24), 8, [each.seed for each in batch.source.samples], name)
        if name == 'masked':
            seeds = [each.seed for each in batch.target.samples]
            crops = draw_crops(images, (16, 24), 8, seeds, name)
        fused, detail = head.fuse(student.extract_feat(images, crops))
        parts = dict(decode=(0.9, fused, labels, weight), detail=(0.1, detail, [], weight))
        cut = [
            slice(None),
            *(
                torch.stack([torch.arange(first, first + size) for first in corner])
                for corner, size in zip(zip(*crops.corners), (16, 24))
            ),
        ]
        index = torch.arange(2)[:, None, None], cut[1][:, :, None], cut[2][:, None, :]
        parts['detail'] = 0.1, detail, labels[index], None if weight is None else weight[index]
        for part, (share, logits, label, pixel_weight) in parts.items():
            terms = F.cross_entropy(
                logits_at(head, logits, label.shape[1:]), label, ignore_index=255, reduction='none'
            )
            if pixel_weight is None:
                expected = terms.sum() / (label != 255).sum()
                key = f'{name}.{part}.loss_ce'
            else:
                expected = (terms * pixel_weight).mean()
                key = f'{name}.{part}.loss_con'
            assert_close(losses[key], share * expected, atol=1e-5, rtol=1e-4, msg=key)


def test_every_pass_has_crops_of_its_own() -> None:
    model, seen = toys.shaken('mic_hrda').train(), {}
    record = model.record
    model.record = lambda output: (
        seen.update({output.domain: output.detail.crops}) or record(output)
    )
    data = toys.batch(8)
    for _ in model.losses(batch_of(model, data)):
        pass
    assert seen.keys() == {'source', 'mix', 'masked'}
    assert len({tuple(crops.corners) for crops in seen.values()}) == 3
    assert all(len(set(crops.corners)) > 1 for crops in seen.values())


def test_teacher_sees_all_slides_whatever_its_mode() -> None:
    for mode in ('train', 'eval', 'batch_statistics'):
        model = toys.shaken('hrda', teacher=dict(type='EMATeacher', mode=mode)).train()
        images = batch_of(model).target.images
        assert model.teacher(images).equal(model.teacher(images))
        module = model.teacher.module
        features = module.extract_feat(images)
        assert features.detail[0].shape == (2 * 12, 8, 4, 6)
        assert_close(module.decode_head(features), model.teacher(images))


@pytest.mark.parametrize('batch_norm', [False, True])
def test_encoder_runs_once_where_that_is_exact(
    batch_norm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Context and detail share a pass unless the statistics of a batch would mix them."""
    model = make(backbone=dict(batch_norm=batch_norm)).train()
    images = torch.randn(2, 3, 32, 48)
    forward, sizes = model.backbone.forward, []
    monkeypatch.setattr(
        model.backbone, 'forward', lambda x: sizes.append(tuple(x.shape)) or forward(x)
    )
    crops = draw_crops(images, (16, 24), 8, [1, 2])
    features = model.extract_feat(images, crops)
    one = (2, 3, 16, 24)
    assert sizes == ([one, one] if batch_norm else [(4, 3, 16, 24)])
    halves = F.avg_pool2d(images, 2)  # bilinear, by a half
    assert_close(features[0], forward(halves)[0])
    assert_close(features.detail[0], forward(crops.cut(images))[0])


@torch.no_grad()
def test_sizes_at_test_time() -> None:
    """Any size: resized to the next multiples of 8, and logits to the images."""
    model = make().eval()
    images = torch.randn(1, 3, 33, 50)
    larger = F.interpolate(images, (40, 56), mode='bilinear')
    expected = model.decode_head(model.extract_feat(larger))
    assert expected.shape == (1, 4, 10, 14)
    assert_close(model(images), expected)
    logits = model.encode_decode(images, [dict(img_shape=(33, 50))])
    assert_close(logits, logits_at(model.decode_head, expected, (33, 50)))
    windows = model.test_cfg = ConfigDict(mode='slide', crop_size=(32, 32), stride=(32, 18))
    slid = model.inference(images[..., :32, :], [dict(img_shape=(32, 50), ori_shape=(32, 50))])
    first, second = (
        model.encode_decode(images[..., :32, left : left + 32], [dict(img_shape=(32, 32))])
        for left in (0, 18)
    )
    assert windows.mode == 'slide'
    assert_close(slid[..., :18], first[..., :18])
    assert_close(slid[..., 18:32], (first[..., 18:] + second[..., :14]) / 2)


@pytest.mark.parametrize(
    ('name', 'stride'), [('unet', 1), ('fcn', 8), ('segformer', 4), ('deeplab_ceil', 8)]
)
def test_any_encoder_decoder(name: str, stride: int) -> None:
    """Stock backbones, necks and heads, and ceil-mode pooling."""
    resnet = dict(type='ResNetV1c', depth=18, base_channels=4, stem_channels=4, num_stages=4)
    dilated = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), out_indices=(3,))
    head = dict(num_classes=4, channels=4)
    segmentors = dict(
        unet=(
            dict(type='UNet', base_channels=4),
            dict(head, type='FCNHead', in_channels=4, in_index=4, num_convs=1, concat_input=False),
        ),
        fcn=(
            dict(resnet, **dilated),
            dict(head, type='FCNHead', in_channels=32, in_index=0, num_convs=1),
        ),
        segformer=(
            dict(
                type='MixVisionTransformer',
                embed_dims=4,
                num_heads=(1, 1, 1, 1),
                num_layers=(1, 1, 1, 1),
            ),
            dict(head, type='SegformerHead', in_channels=[4, 4, 4, 4], in_index=[0, 1, 2, 3]),
        ),
        deeplab_ceil=(
            dict(resnet, type='CeilPoolResNet', **dilated),
            dict(type='DeepLabV2Head', in_channels=32, in_index=0, num_classes=4, dilations=(1,)),
        ),
    )
    backbone, decode_head = segmentors[name]
    model = MODELS.build(
        ConfigDict(
            type='SourceOnly',
            segmentor=dict(
                toys.multi_resolution_cfg(),
                backbone=backbone,
                decode_head=decode_head,
                attention=None,
                detail_size=(64, 64),
                stride=stride,
            ),
        )
    )
    model.init_weights()
    images = torch.randn(2, 3, 128, 192)
    batch = batch_of(model)
    output = student_pass(model.student.train(), replace(batch.source, images=images), 'source')
    assert output.seg_logits.shape == (2, 4, 128 // stride, 192 // stride)
    assert output.detail.seg_logits.shape == (2, 4, 64 // stride, 64 // stride)
    (output.seg_logits.square().mean() + output.detail.seg_logits.square().mean()).backward()
    missing = [key for key, p in model.student.named_parameters() if p.grad is None]
    assert missing == []
    with torch.no_grad():
        assert model.student.eval()(images[:1]).shape == (1, 4, 128 // stride, 192 // stride)


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (dict(detail_size=(16, 20)), r'detail_size: expected multiples of 8, but got \(16, 20\)'),
        (dict(slide_step=(4, 8)), r'slide_step: expected multiples of 8, but got \(4, 8\)'),
        (dict(detail_size=(16,)), 'MultiResolutionSegmentor.detail_size: expected a list of 2'),
        (dict(detail_weight=1), r'detail_weight: expected a number in \[0, 1\), but got 1'),
        (dict(segmentor_type='ResNet'), "segmentor_type: expected the name of a seg.*'ResNet'"),
    ],
)
def test_wrong_arguments(changes: dict[str, Any], match: str) -> None:
    with pytest.raises((TypeError, ValueError), match=match):
        make(**changes)
