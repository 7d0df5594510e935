"""Stage A of SAM: what the head scores, and what of it is trained."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.testing import assert_close
from toys import NUM_CLASSES, segmentor_cfg

from mmseg_uda.models.decode_heads import SelfAttentionHead, raw_logits
from mmseg_uda.models.losses import SelfAttentionLoss

DEEPLAB = segmentor_cfg()['decode_head']
FCN8S = dict(type='FCN8sHead', in_channels=(4, 5, 6), num_classes=NUM_CLASSES)
STOCK = dict(
    type='FCNHead',
    in_channels=(8, 3),
    in_index=(0, 1),
    input_transform='resize_concat',
    channels=4,
    num_convs=1,
    num_classes=NUM_CLASSES,
)
FORMS = [
    dict(attend=attend, skip=skip) for attend in ('logits', 'features') for skip in (True, False)
]


def make(classifier: dict[str, Any] = DEEPLAB, **kwargs: Any) -> SelfAttentionHead:
    head = MODELS.build(dict(type='SelfAttentionHead', classifier=classifier, **kwargs))
    for param in head.parameters():
        torch.nn.init.normal_(param, std=0.3)
    return head.eval()


def inputs_of(classifier: dict[str, Any]) -> tuple[Tensor, ...]:
    if classifier is FCN8S:  # a 16 x 24 image's maps, padded by 100
        return (
            torch.randn(2, 4, 27, 28),
            torch.randn(2, 5, 14, 14),
            torch.randn(2, 6, 2, 2),
            torch.empty(2, 0, 16, 24),
        )
    return torch.randn(2, 8, 3, 4), torch.randn(2, 3, 3, 4)


def maps_of(classifier: dict[str, Any]) -> tuple[Tensor, ...]:
    return inputs_of(classifier)[:1] if classifier is DEEPLAB else inputs_of(classifier)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('classifier', [DEEPLAB, FCN8S, STOCK])
def test_forward_is_the_equation(classifier: dict[str, Any], form: dict[str, Any]) -> None:
    head, maps = make(classifier, **form), maps_of(classifier)
    inner, attention = head.classifier, head.self_attention
    kept = 1 if form['skip'] else 0
    if form['attend'] == 'features':
        index = {id(DEEPLAB): 0, id(FCN8S): 2, id(STOCK): 1}[id(classifier)]
        changed = list(maps)
        changed[index] = attention(maps[index]) + kept * maps[index]
        expected = inner.forward(changed)
    elif classifier is FCN8S:
        scores = inner.scores_at_stride8(maps)
        expected = inner.upsample(attention(scores) + kept * scores, (16, 24))
    else:
        scores = inner.forward(maps)
        expected = attention(scores) + kept * scores
    assert_close(head(maps), expected)
    assert (head(maps) - inner.forward(maps)).abs().max() > 1e-3


@pytest.mark.parametrize('classifier', [DEEPLAB, FCN8S, STOCK])
def test_raw_logits_are_half_of_forward(classifier: dict[str, Any]) -> None:
    head, maps = make(classifier).classifier, maps_of(classifier)
    scores, upsample = raw_logits(head, maps)
    assert_close(upsample(scores), head.forward(maps))
    assert (scores.shape[2:] < upsample(scores).shape[2:]) == (classifier is FCN8S)


def test_which_feature_map() -> None:
    head, maps = make(FCN8S, attend='features', in_index=1), inputs_of(FCN8S)
    changed = list(maps)
    changed[1] = maps[1] + head.self_attention(maps[1])
    assert_close(head(maps), head.classifier(changed))
    assert make(STOCK, attend='features', in_index=0).self_attention.conv.in_channels == 8
    with pytest.raises(ValueError, match=r'in_index: expected one of \(0, 1, 2\), but got 3'):
        make(FCN8S, attend='features', in_index=3)


@pytest.mark.parametrize('form', FORMS)
def test_everything_is_trained(form: dict[str, Any]) -> None:
    head = make(**form).train()
    samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 4, (1, 12, 16))))] * 2
    losses = head.loss(maps_of(DEEPLAB), samples, {})
    assert set(losses) == {'loss_ce', 'acc_seg'}
    losses['loss_ce'].backward()
    assert all(param.grad.abs().sum() > 0 for param in head.parameters())


def test_it_answers_for_its_classifier() -> None:
    cfg = dict(
        DEEPLAB,
        ignore_index=7,
        align_corners=False,
        sampler=dict(type='OHEMPixelSampler', thresh=0.5),
    )
    head = make(cfg)
    inner = head.classifier
    for name in (
        'in_channels',
        'in_index',
        'channels',
        'num_classes',
        'out_channels',
        'threshold',
        'ignore_index',
        'align_corners',
        'input_transform',
        'loss_decode',
        'sampler',
    ):
        assert getattr(head, name) is getattr(inner, name), name
    assert inner.ignore_index == 7
    assert inner.sampler is not None


def test_the_modules_own_arguments_and_initialisation() -> None:
    head = MODELS.build(
        dict(
            type='SelfAttentionHead',
            classifier=DEEPLAB,
            init_cfg=dict(type='Constant', layer='Conv2d', val=0.25),
            self_attention=dict(kernel_size=3, out_channels=5),
        )
    )
    assert head.self_attention.conv.weight.shape == (5, NUM_CLASSES, 3, 3)
    head.init_weights()
    assert (head.self_attention.conv.weight == 0.25).all()
    assert not list(make(self_attention=dict(with_conv=False)).self_attention.parameters())
    head = MODELS.build(dict(type='SelfAttentionHead', classifier=DEEPLAB))
    before = head.self_attention.conv.weight.clone()
    head.init_weights()
    assert torch.equal(head.self_attention.conv.weight, before)  # PyTorch's
    assert head.classifier.branches[0].weight.std() < 0.02  # the classifier's own


@pytest.mark.parametrize('prefix', ['', 'student.'])
def test_the_loss_reads_its_checkpoint(tmp_path: Any, prefix: str) -> None:
    segmentor = MODELS.build(segmentor_cfg(dict(type='SelfAttentionHead', classifier=DEEPLAB)))
    state = {f'{prefix}{key}': value for key, value in segmentor.state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'stage_a.pth')
    loss = SelfAttentionLoss(
        dict(type='SelfAttentionModule', in_channels=NUM_CLASSES), str(tmp_path / 'stage_a.pth')
    )
    loss.init_weights()
    assert_close(
        loss.self_attention.state_dict(), segmentor.decode_head.self_attention.state_dict()
    )


@MODELS.register_module(force=True)
class OwnLossByFeat(BaseDecodeHead):
    def forward(self, inputs: Any) -> None: ...

    def loss_by_feat(self, seg_logits: Any, batch_data_samples: Any) -> None: ...


@MODELS.register_module(force=True)
class OwnLoss(BaseDecodeHead):
    def forward(self, inputs: Any) -> None: ...

    def loss(self, inputs: Any, batch_data_samples: Any, train_cfg: Any) -> None: ...


def test_wrong_arguments() -> None:
    with pytest.raises(
        ValueError,
        match=r"SelfAttentionHead\.attend: expected one of \('logits', 'features'\), but got 'x'",
    ):
        make(attend='x')
    with pytest.raises(ValueError, match="in_index: expected None with attend='logits', but got 2"):
        make(in_index=2)
    cfg = dict(in_channels=8, channels=8, num_classes=NUM_CLASSES)
    with pytest.raises(
        TypeError, match='classifier: .* stock `loss_by_feat`, but got OwnLossByFeat'
    ):
        make(dict(cfg, type='OwnLossByFeat'))
    with pytest.raises(
        TypeError, match=r'SelfAttentionHead\.classifier: .* stock `loss`, but got OwnLoss'
    ):
        make(dict(cfg, type='OwnLoss'))
