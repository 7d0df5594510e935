"""Batch norm and precision of methods: what settings promise holds in every pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import toys
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS, TRANSFORMS
from torch import nn
from torch.testing import assert_close

from mmseg_uda.models.layers import class_means
from mmseg_uda.models.teacher import agreement
from mmseg_uda.pseudo_labels import segment_probabilities
from mmseg_uda.structures import DomainBatch, MixedBatch


def resnet(**arguments: Any) -> dict[str, Any]:
    one = dict(num_stages=1, out_indices=(0,), strides=(1,), dilations=(1,))
    backbone = dict(type='ResNet', depth=18, base_channels=8, stem_channels=8, **one, **arguments)
    return {**toys.segmentor_cfg(), 'backbone': backbone}


def train(model: nn.Module, method: str, steps: int = 1) -> nn.Module:
    model.train()
    optimizers = build_optim_wrapper(model, toys.optim_wrapper_cfg(toys.method_cfg(method)))
    for index in range(steps):
        model.iteration = index
        model.train_step(toys.batch(seed=index), optimizers)
        if hasattr(model, 'teacher'):
            model.teacher.update(model.student)
    return model


@pytest.mark.parametrize('backward', ['sequential', 'joint'])
@pytest.mark.parametrize('statistics', ['both', 'target'])
def test_checkpointed_layers_count_a_batch_once(backward: str, statistics: str) -> None:
    """They are computed again in the backward pass, after `domain_pass` has ended."""
    norms = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        model = toys.build(
            'source_only',
            segmentor=resnet(with_cp=with_cp),
            norm_statistics=statistics,
            backward=backward,
        )
        norms.append(train(model, 'source_only').student.backbone.layer1[0].bn1)
    plain, again = norms
    assert_close(again.running_mean, plain.running_mean, atol=0, rtol=0)
    assert_close(again.running_var, plain.running_var, atol=0, rtol=0)
    assert bool(plain.running_mean.any()) == (statistics == 'both')


def test_frozen_statistics_are_frozen_in_the_teacher_too() -> None:
    model = toys.build(
        'mean_teacher', segmentor=toys.segmentor_cfg(batch_norm=True), norm_statistics='frozen'
    )
    before = model.teacher.module.backbone.norm.running_mean.clone()
    train(model, 'mean_teacher')
    assert torch.equal(model.teacher.module.backbone.norm.running_mean, before)


def test_a_teacher_in_evaluation_mode_has_the_students_statistics() -> None:
    model = toys.build(
        'mean_teacher',
        segmentor=toys.segmentor_cfg(batch_norm=True),
        teacher=dict(type='EMATeacher', alpha=0.5, mode='eval'),
    )
    train(model, 'mean_teacher', steps=3)
    ours, theirs = (each.backbone.norm for each in (model.teacher.module, model.student))
    assert theirs.running_mean.any()
    assert torch.equal(ours.running_mean, theirs.running_mean)
    assert torch.equal(ours.running_var, theirs.running_var)


def test_batch_statistics_leave_norm_eval_alone() -> None:
    teacher = dict(type='EMATeacher', alpha=0.9, mode='batch_statistics')
    for norm_eval in (False, True):
        model = toys.build('mean_teacher', segmentor=resnet(norm_eval=norm_eval), teacher=teacher)
        model.train()
        norm = model.teacher.module.backbone.bn1
        assert norm.training == model.student.backbone.bn1.training == (not norm_eval)
        assert not model.teacher.module.decode_head.training


def test_cdanet_refuses_batch_norm_that_sees_both_domains() -> None:
    head = toys.attention_head_cfg()
    head['classifier'] = dict(
        type='FCNHead',
        in_channels=8,
        channels=8,
        num_convs=1,
        num_classes=toys.NUM_CLASSES,
        in_index=-1,
        norm_cfg=dict(type='BN'),
        loss_decode=dict(type='PixelCrossEntropyLoss'),
    )
    segmentor = toys.segmentor_cfg(head, batch_norm=True)
    toys.build('cdanet', segmentor=segmentor, norm_statistics='both')
    with pytest.raises(ValueError, match=r"norm_statistics: expected 'both', as the decode"):
        toys.build('cdanet', segmentor=segmentor, norm_statistics='target')


def test_masked_tokens_train_the_patch_embedding() -> None:
    model = toys.build('vfm_uda', pseudo_threshold=0.0).train()
    batch = DomainBatch.collect(**model.data_preprocessor(toys.batch(pseudo=False), True))
    model.iteration = 0
    seen, teacher = model.augment_weakly(batch), model.predict_target(batch.target)
    for losses in model.target_losses(seen, teacher):
        model.zero_grad()
        sum(value for key, value in losses.items() if 'loss' in key).backward()
        assert model.student.backbone.stem.weight.grad.abs().sum() > 0


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_views_are_where_they_are_in_full_precision(dtype: torch.dtype) -> None:
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(128.0), indexing='ij')
    places = torch.stack([rows, columns, columns])[None]  # each pixel's own
    view = TRANSFORMS.build(dict(type='RandomView', size=(48, 96), ratio=(0.8, 1.2)))
    first = view(places, toys.generators(1))
    expected = first.warp(places)
    with torch.autocast('cpu', dtype):
        assert_close(first.warp(places), expected, atol=0, rtol=0)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_sums_over_many_pixels_do_not_overflow(dtype: torch.dtype) -> None:
    features = torch.full((1, 4, 128, 256), 5.0)
    labels = torch.zeros(1, 128, 256, dtype=torch.long)
    with torch.autocast('cpu', dtype):
        means, found = class_means(features.to(dtype), labels, 2)
    assert_close(means[0, 0].float(), torch.full((4,), 5.0))
    assert found.tolist() == [[True, False]]


@pytest.mark.parametrize('softmax_first', [False, True])
def test_pseudo_labels_of_a_teacher(softmax_first: bool) -> None:
    model = toys.build('mean_teacher', eval_on='teacher').eval()
    sample = toys.sample(1, None)
    data = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
    (probabilities,), _ = segment_probabilities(model, data, softmax_first=softmax_first)
    assert_close(probabilities.sum(0), torch.ones(probabilities.shape[1:]))


def test_ignored_labels_below_0() -> None:
    logits = torch.tensor([[[[5.0, 0.0]], [[0.0, 5.0]]]])  # (1, 2, 1, 2)
    labels = torch.tensor([[[-100, 1]]])
    weight, mask = torch.ones(1, 1, 2), torch.zeros(1, 1, 1, 2)
    mixed = MixedBatch(logits, labels, weight, None, mask, logits)
    assert agreement(logits, mixed) >= 0.5


def test_a_head_with_a_second_output_is_refused_when_it_is_built() -> None:
    head = dict(
        type='EncHead',
        in_channels=(8,),
        in_index=(0,),
        channels=8,
        num_codes=4,
        use_se_loss=True,
        add_lateral=False,
        num_classes=toys.NUM_CLASSES,
        loss_decode=dict(type='CrossEntropyLoss'),
        loss_se_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
    )
    with pytest.raises(TypeError, match='EncHead with its SE loss; write use_se_loss=False'):
        MODELS.build(dict(type='SourceOnly', segmentor=toys.segmentor_cfg(head)))
