"""The head of CDANet against its equations, with the layers taken one by one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.testing import assert_close
from toys import NUM_CLASSES, attention_head_cfg, build, segmentor_cfg

from mmseg_uda.models.decode_heads import CrossDomainAttentionHead

CHANNELS = 8
MODULES = [(1.0, 1.0), (1.0, None), (None, 1.0), (None, None)]
CONTEXTS = ('self', 'reference', 'none')


def make(**kwargs: Any) -> CrossDomainAttentionHead:
    """With weights large enough for every part to show in the result."""
    torch.manual_seed(0)
    head = MODELS.build(dict(attention_head_cfg(), **kwargs))
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.3)
    return head.eval()


def features(count: int = 2, size: tuple[int, int] = (3, 4)) -> tuple[Tensor]:
    return (torch.randn(count, CHANNELS, *size),)


def fit(x: Tensor, goal: Tensor) -> Tensor:
    return F.interpolate(x, goal.shape[2:], mode='bilinear', align_corners=True)


def slow_views(
    head: CrossDomainAttentionHead,
    source: Tensor,
    target: Tensor,
    weights: tuple[float | None, float | None],
) -> tuple[dict, dict]:
    """What the classifier scores in each domain; eq. (1)-(8) with whole maps."""
    views: tuple[dict[str, Tensor], dict[str, Tensor]] = ({}, {})
    if weights[0] is not None:
        a_s, a_t = head.conv_spatial(source), head.conv_spatial(target)
        module = head.spatial
        energy = torch.einsum(
            'bdi,bdj->bij', module.query(a_s).flatten(2), module.key(a_t).flatten(2)
        )
        to_s = torch.einsum('bij,bcj->bci', energy.softmax(2), module.value(a_t).flatten(2))
        to_t = torch.einsum('bij,bci->bcj', energy.softmax(1), module.value(a_s).flatten(2))
        views[0]['spatial'] = a_s + weights[0] * to_s.view_as(a_s)
        views[1]['spatial'] = a_t + weights[0] * to_t.view_as(a_t)
    if weights[1] is not None:
        b_s, b_t = head.conv_channel(source), head.conv_channel(target)
        energy = torch.einsum('bip,bjp->bij', b_s.flatten(2), b_t.flatten(2))
        views[0]['channel'] = b_s + weights[1] * torch.einsum(
            'bij,bjhw->bihw', energy.softmax(2), b_t
        )
        views[1]['channel'] = b_t + weights[1] * torch.einsum(
            'bij,bihw->bjhw', energy.softmax(1), b_s
        )
    for side, x in zip(views, (source, target)):
        side['main'] = head.aggregate(torch.cat(list(side.values()), 1)) if side else x
    return views


def plain(
    head: CrossDomainAttentionHead, weights: tuple[float | None, float | None], target: Tensor
) -> Tensor:
    """Aggregate without exchange."""
    parts = [
        conv(target)
        for conv, weight in (
            (getattr(head, 'conv_spatial', None), weights[0]),
            (getattr(head, 'conv_channel', None), weights[1]),
        )
        if weight is not None
    ]
    return head.aggregate(torch.cat(parts, 1)) if parts else target


@pytest.mark.parametrize('resize_to', ['target', 'source'])
@pytest.mark.parametrize('weights', [*MODULES, (0.3, 2.0)])
@pytest.mark.parametrize('size', [(3, 4), (5, 2)])
def test_pair_equals_equations(
    weights: tuple[float | None, float | None], resize_to: str, size: tuple[int, int]
) -> None:
    head = make(spatial_weight=weights[0], channel_weight=weights[1], resize_to=resize_to)
    (source,), (target,) = features(size=size), features()
    got = head.forward_pair((source,), (target,))
    if resize_to == 'target':
        source = fit(source, target)
    else:
        target = fit(target, source)
    expected = slow_views(head, source, target, weights)
    names = {'main', *(n for n, w in zip(('spatial', 'channel'), weights) if w is not None)}
    assert set(head.views) == names
    assert head.views[0] == 'main'
    for side, views in zip(got, expected):
        assert set(side) == names
        for name in names:
            assert side[name].shape == (2, NUM_CLASSES, *target.shape[2:])
            assert_close(side[name], head.classifier((views[name],)))


@pytest.mark.parametrize('weights', MODULES)
@pytest.mark.parametrize('context', CONTEXTS)
def test_forward_equals_equations(context: str, weights: tuple[float | None, float | None]) -> None:
    head = make(spatial_weight=weights[0], channel_weight=weights[1], test_context=context)
    (target,), (stored,) = features(), features(3, (2, 5))
    head.set_reference(stored)
    got = head(head_input := (target,))
    assert head_input[0] is target
    if context == 'none':
        expected = head.classifier((plain(head, weights, target),))
    elif context == 'self':
        expected = head.classifier((slow_views(head, target, target, weights)[1]['main'],))
    else:  # probabilities averaged over the stored images, each with both target images
        probs = []
        for image in stored:
            source = fit(image.expand(2, -1, -1, -1), target)
            main = slow_views(head, source, target, weights)[1]['main']
            probs.append(head.classifier((main,)).softmax(1))
        expected = torch.stack(probs).mean(0)
        got = got.softmax(1)
        assert_close(head((target,)).exp().sum(1), torch.ones(2, 3, 4))
    assert_close(got, expected)


@pytest.mark.parametrize('context', CONTEXTS)
def test_without_modules_it_is_the_classifier(context: str) -> None:
    head = make(spatial_weight=None, channel_weight=None, test_context=context)
    head.set_reference(features(1)[0])
    inputs = features()
    logits = head.classifier(inputs)
    assert_close(head(inputs).softmax(1), logits.softmax(1))
    if context != 'reference':
        assert torch.equal(head(inputs), logits)
    source, target = head.forward_pair(features(), inputs)
    assert list(source) == list(target) == ['main']
    assert torch.equal(target['main'], logits)
    assert {name.split('.')[0] for name, _ in head.named_parameters()} == {'classifier'}


@pytest.mark.parametrize('weights', MODULES)
def test_every_parameter_and_both_images_get_gradients(
    weights: tuple[float | None, float | None],
) -> None:
    head = make(spatial_weight=weights[0], channel_weight=weights[1])
    (source,), (target,) = features(), features()
    for x in (source, target):
        x.requires_grad_()
    _, views = head.forward_pair((source,), (target,))
    assert views.keys() == set(head.views)
    sum(logits.square().mean() for logits in views.values()).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    assert target.grad.any()
    # Target logits reach the source image through the attention: nothing is detached.
    assert (source.grad is not None and bool(source.grad.any())) == (weights != (None, None))


def result(head: CrossDomainAttentionHead) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    first, last, small = (
        torch.randn(1, CHANNELS, *size, generator=generator) for size in ((3, 4), (3, 4), (2, 3))
    )
    head.set_reference(small)
    with torch.no_grad():
        pair = head.forward_pair((small, small), (first, last))
        return torch.cat(
            [x.flatten() for side in pair for x in side.values()]
            + [head((first, last)).softmax(1).flatten()]
        )


@pytest.mark.parametrize(
    'changes',
    [
        dict(spatial_weight=0.5),
        dict(spatial_weight=None),
        dict(channel_weight=0.5),
        dict(channel_weight=None),
        dict(reduction=4),
        dict(kernel_size=3),
        dict(resize_to='source'),
        dict(test_context='reference'),
        dict(test_context='none'),
        dict(in_index=0),
        dict(classifier=dict(segmentor_cfg()['decode_head'], dilations=(1, 3))),
    ],
    ids=lambda changes: '-'.join(f'{k}={v}' for k, v in changes.items())[:40],
)
def test_every_argument_changes_the_result(changes: dict[str, Any]) -> None:
    standard, changed = make(), make(**changes)
    one, other = result(standard), result(changed)
    assert one.shape != other.shape or (one - other).abs().max() > 1e-3


def test_in_channels_initialisation_and_what_comes_from_the_classifier() -> None:
    classifier = dict(
        segmentor_cfg()['decode_head'],
        ignore_index=7,
        align_corners=False,
        sampler=dict(type='OHEMPixelSampler'),
    )
    cfg = dict(attention_head_cfg(), in_channels=64, classifier=classifier)
    head = MODELS.build(cfg)
    head.init_weights()
    for name, parameter in head.named_parameters():
        if name.endswith('bias'):
            assert not parameter.any(), name
        else:
            assert 0.007 < parameter.std() < 0.013, name
    assert head.in_channels == head.classifier.in_channels == 64
    for key in ('num_classes', 'ignore_index', 'align_corners', 'loss_decode', 'sampler'):
        assert getattr(head, key) is getattr(head.classifier, key), key
    assert (head.ignore_index, head.align_corners) == (7, False)
    assert head.sampler is not None
    zeros = MODELS.build(dict(cfg, init_cfg=dict(type='Constant', layer='Conv2d', val=0)))
    zeros.init_weights()
    assert not zeros.aggregate.weight.any()


def test_attention_maps() -> None:
    head = make()
    (source,), (target,) = features(size=(2, 5)), features()
    positions = torch.tensor([7, 0])
    maps = head.attention_maps((source,), (target,), positions)
    assert maps.shape == (2, 2, 2, 5)
    a_s, a_t = head.conv_spatial(source), head.conv_spatial(target)
    energy = torch.einsum(
        'bdi,bdj->bji', head.spatial.query(a_s).flatten(2), head.spatial.key(a_t).flatten(2)
    )
    assert_close(maps.flatten(2), energy[:, positions].softmax(2))


def test_errors() -> None:
    with pytest.raises(
        ValueError, match="test_context: expected one of .'self', .* but got 'other'"
    ):
        make(test_context='other')
    with pytest.raises(
        ValueError, match="resize_to: expected one of .'source', 'target'., but got 'both'"
    ):
        make(resize_to='both')
    with pytest.raises(ValueError, match='got 2 and 1; write the same batch_size'):
        make().forward_pair(features(2), features(1))
    with pytest.raises(ValueError, match='spatial_weight: expected a number, .* but got None'):
        make(spatial_weight=None).attention_maps(features(), features(), torch.tensor([0]))
    head = make(test_context='reference').eval()
    with pytest.raises(ValueError, match='expects stored source features, but got none; write'):
        head(features())
    for shape in ((CHANNELS, 3, 4), (1, CHANNELS + 1, 3, 4)):
        with pytest.raises(ValueError, match=r'expected the shape \(K, .*, h, w\), but got'):
            head.set_reference(torch.zeros(shape))
    head.set_reference(features()[0])
    head.set_reference(None)
    with pytest.raises(ValueError, match='stored source features'):
        head(features())
    with pytest.raises(TypeError, match='unknown'):
        make(unknown=1)


def test_own_context_before_features_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """In stock training and while tracing, said once."""
    said: list[str] = []
    monkeypatch.setattr(
        'mmseg_uda.models.decode_heads.cross_domain_attention_head.print_log',
        lambda text, *_: said.append(text),
    )
    head, other = (make(test_context=context).train() for context in ('reference', 'self'))
    other.load_state_dict(head.state_dict())
    inputs = features()
    for _ in range(2):
        assert_close(head(inputs), other(inputs), rtol=0, atol=0)
    traced = torch.jit.trace(head.eval(), (inputs,), check_trace=False)
    assert_close(traced(inputs), other.eval()(inputs))
    assert len(said) == 1
    assert "no features are stored for test_context='reference'" in said[0]
    head.set_reference(features(3)[0])
    assert not torch.equal(head(inputs), other(inputs))


@pytest.mark.parametrize('context', CONTEXTS)
def test_in_a_stock_segmentor(context: str) -> None:
    model = MODELS.build(ConfigDict(segmentor_cfg(attention_head_cfg(test_context=context))))
    model.init_weights()
    model.decode_head.set_reference(features(2, (2, 5))[0])
    images = torch.randn(2, 3, 32, 48)
    samples = [
        SegDataSample(
            metainfo=dict(img_shape=(32, 48), ori_shape=(64, 96), pad_shape=(32, 48)),
            gt_sem_seg=PixelData(data=torch.randint(NUM_CLASSES, (1, 32, 48))),
        )
        for _ in range(2)
    ]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(15):
        loss = model.loss(images, samples)['decode.loss_ce']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    model.eval()
    with torch.no_grad():
        predictions = model.predict(images, samples)
    assert all(p.pred_sem_seg.data.shape == (1, 64, 96) for p in predictions)
    assert all(p.seg_logits.data.shape == (NUM_CLASSES, 64, 96) for p in predictions)


@pytest.mark.parametrize(('stored', 'own'), [(2, 0), (2, 2), (1, 3), (0, 2), (0, 0)])
def test_state_round_trip(stored: int, own: int) -> None:
    head, other = make(test_context='reference'), make(test_context='reference')
    for target, count in ((head, stored), (other, own)):
        if count:
            target.set_reference(features(count, (2, 2 + count))[0])
    nn.init.normal_(other.aggregate.weight)
    state = copy.deepcopy(head.state_dict())
    other.load_state_dict(state)
    assert_close(other.state_dict(), state, atol=0, rtol=0)
    if stored:
        inputs = features()
        assert torch.equal(other(inputs), head(inputs))
    state.pop('reference')
    with pytest.raises(RuntimeError, match='Missing key.*reference'):
        other.load_state_dict(state)


@pytest.mark.parametrize('count', [0, 2])
def test_state_round_trip_of_the_method(count: int) -> None:
    model, other = build('cdanet'), build('cdanet')
    if count:
        model.decode_head.set_reference(features(count)[0])
    state = copy.deepcopy(model.state_dict())
    other.load_state_dict(state)
    assert_close(other.state_dict(), state, atol=0, rtol=0)
    model.student.load_state_dict(
        {k[len('student.') :]: v for k, v in state.items() if k.startswith('student.')}
    )
    key = 'student.decode_head.aggregate.weight'
    state[key] = state[key][:1]
    with pytest.raises(
        ValueError, match=f'of this method or of its segmentor, but 1 of .* first is {key}'
    ):
        other.load_state_dict(state)
