"""A discriminator's confidence as attention."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import torch
import toys
from mmengine.config import ConfigDict
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.models.contexts import set_domain
from mmseg_uda.models.layers import DiscriminatorAttention
from mmseg_uda.models.segmentors import AttendedSegmentor

DISCOVERER = dict(type='FCDiscriminator', in_channels=8, channels=(4,), kernel_size=3, stride=1)
SHAPE = (2, 8, 3, 4)


def attention(**kwargs: Any) -> DiscriminatorAttention:
    torch.manual_seed(0)
    return DiscriminatorAttention('backbone', DISCOVERER, **kwargs)


def attended(**kwargs: Any) -> nn.Module:
    torch.manual_seed(0)
    return MODELS.build(ConfigDict(toys.attended_cfg(**kwargs)))


def slow(layer: DiscriminatorAttention, features: Tensor) -> Tensor:
    """f + f * tanh(|D(f)|), position by position."""
    score = layer.discriminator(features)
    out = features.clone()
    for n in range(features.shape[0]):
        for y in range(features.shape[2]):
            for x in range(features.shape[3]):
                alpha = torch.tanh(abs(score[n, 0, y, x]))
                out[n, :, y, x] = features[n, :, y, x] + alpha * features[n, :, y, x]
    return out


def test_equals_loops_and_its_bounds() -> None:
    layer, features = attention(), torch.randn(SHAPE) * 3
    out = layer(features)
    assert_close(out, slow(layer, features))
    assert (out.sign() == features.sign()).all()
    assert (out.abs() >= features.abs()).all()
    assert (out.abs() < 2 * features.abs()).all()
    published = features * (1 + layer.discriminator(features).tanh().abs())
    assert_close(out, published)


@pytest.mark.parametrize('detach', [False, True])
def test_gradients(detach: bool) -> None:
    """Not detached, the attention's own gradient reaches f; D's weights get none either way."""
    layer = attention(detach=detach).double()
    features = torch.randn(SHAPE, dtype=torch.float64, requires_grad=True)
    (got,) = torch.autograd.grad(layer(features).sum(), features)
    alpha = layer.discriminator(features).abs().tanh()
    expected = features * (1 + (alpha.detach() if detach else alpha))
    assert_close(got, torch.autograd.grad(expected.sum(), features)[0])
    layer(features).sum().backward()
    assert all(param.grad is None and param.requires_grad for param in layer.parameters())


def test_gradcheck() -> None:
    layer = attention().double()
    features = torch.randn(1, 8, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, features)


def test_source_is_left_alone() -> None:
    layer, features = attention(), torch.randn(SHAPE)
    with set_domain(layer, 'source'):
        assert layer(features) is features
    assert layer.domain == 'target'
    assert not layer(features).equal(features)


@pytest.mark.parametrize(
    ('kwargs', 'training', 'attends'),
    [
        ({}, True, True),
        ({}, False, True),
        (dict(attend=False), True, False),
        (dict(attend=False), False, False),
        (dict(test_attention=False), True, True),
        (dict(test_attention=False), False, False),
    ],
)
def test_when_it_attends(kwargs: dict[str, bool], training: bool, attends: bool) -> None:
    layer, features = attention(**kwargs).train(training), torch.randn(SHAPE)
    assert layer(features).equal(features) != attends


@pytest.mark.parametrize('attend', [True, False])
def test_watch(attend: bool) -> None:
    layer = attention(attend=attend)
    features = torch.randn(SHAPE, requires_grad=True)
    with layer.record() as seen:
        layer(features)
    assert seen.features.equal(features)
    assert not seen.features.requires_grad
    assert_close(seen.score, layer.discriminator(features))
    (got,) = torch.autograd.grad(seen.score.square().sum(), features)
    assert_close(
        got, torch.autograd.grad(layer.discriminator(features).square().sum(), features)[0]
    )
    with layer.record() as of_source, set_domain(layer, 'source'):
        layer(features)
    assert of_source.features.equal(features)
    assert not hasattr(of_source, 'score')
    assert layer._record is None


@pytest.mark.parametrize(
    ('attend_at', 'index'),
    [
        ('backbone', -1),
        ('backbone', 0),
        ('backbone.layer', -1),
        ('backbone.stem', -1),
        ('decode_head.branches.0', -1),
    ],
)
def test_attached_to_a_module(attend_at: str, index: int) -> None:
    """What the module gives is attended, and nothing else."""
    model = attended(
        attend_at=attend_at,
        index=index,
        discriminator=dict(DISCOVERER, in_channels=4 if 'head' in attend_at else 8),
    ).eval()
    seen: dict[str, Any] = {}
    module = model.get_submodule(attend_at)
    hooks = list(module._forward_hooks.values())
    module._forward_hooks.clear()
    module.register_forward_hook(lambda _, __, out: seen.update(before=out))
    for hook in hooks:
        module.register_forward_hook(hook)
    module.register_forward_hook(lambda _, __, out: seen.update(after=out))
    model(torch.randn(1, 3, *toys.SIZE))
    before, after = seen['before'], seen['after']
    if isinstance(before, tuple):
        assert isinstance(after, tuple)
        before, after = before[index], after[index]
    assert_close(after, slow(model.attention, before))


def test_stock_weights_keep_their_names() -> None:
    stock, model = MODELS.build(ConfigDict(toys.segmentor_cfg())), attended()
    extra = set(model.state_dict()) - set(stock.state_dict())
    assert set(stock.state_dict()) <= set(model.state_dict())
    assert extra == {
        f'attention.discriminator.layers.{i}.{k}' for i in (0, 2) for k in ('weight', 'bias')
    }
    for cls in (AttendedSegmentor, EncoderDecoder):
        assert isinstance(model, cls)
    assert type(model).__name__ == 'AttendedEncoderDecoder'


def test_copies_have_an_attention_of_their_own() -> None:
    """A teacher is a deep copy: changing its attention must not change the student's."""
    model = attended().eval()
    twin = copy.deepcopy(model)
    images = torch.randn(1, 3, *toys.SIZE)
    before = model(images)
    assert twin(images).equal(before)
    with torch.no_grad():
        twin.attention.discriminator.layers[2].bias.fill_(5.0)
    assert model(images).equal(before)
    assert not twin(images).equal(before)


def test_attention_map() -> None:
    model, images = attended().eval(), torch.randn(2, 3, *toys.SIZE)
    seen = {}
    model.backbone.layer.register_forward_hook(lambda _, __, out: seen.update(f=out))
    got = model.attention.attention_map(model, images)
    assert got.shape == (2, 8, 12)
    assert_close(got, model.attention.discriminator(seen['f'].relu()).abs().tanh()[:, 0].detach())


@pytest.mark.parametrize('case', ['new', 'loaded', 'tested', 'off'])
def test_random_attention_is_named_once(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    place = 'mmseg_uda.models.layers.discriminator_attention.print_log'
    monkeypatch.setattr(place, lambda text, *_: said.append(text))
    layer = attention(attend=case != 'off').train(case != 'tested')
    if case == 'loaded':
        layer.load_state_dict(attention().state_dict())
    for _ in range(2):
        layer(torch.rand(SHAPE))
    assert len(said) == (case == 'new')
    assert all('neither trained nor loaded' in text for text in said)
    assert toys.build('dast').student.attention.knows_domains


def test_errors() -> None:
    with pytest.raises(
        ValueError,
        match=r"attend_at: expected the name of a module, but got 'backbone.layer9'; write for "
        r"example one of \['data_preprocessor', 'backbone', ",
    ):
        attended(attend_at='backbone.layer9')
    with pytest.raises(ValueError, match='without the attribute `attention`, but got Attended'):
        attention().attach(attended())
    for change, got in ((dict(stride=2), (1, 16, 24)), (dict(padding=0), (1, 60, 92))):
        with pytest.raises(
            ValueError,
            match=r'discriminator: expected scores of shape \(1, 64, 96\) for a map of 64 x 96, '
            rf'but got {re.escape(str(got))}; write kernel_size=3, stride=1, padding=1',
        ):
            attended(discriminator=dict(DISCOVERER, **change))
    strided = attended()
    strided.attention.discriminator = nn.AvgPool2d(4)  # does not tell its channels when it is built
    with pytest.raises(
        ValueError,
        match=r'discriminator: expected scores of shape \(1, 8, 12\) for a map of 8 x 12, but got '
        r'\(8, 2, 3\); write kernel_size=3, stride=1, padding=1',
    ):
        strided(torch.randn(1, 3, *toys.SIZE))
    with pytest.raises(TypeError, match='nonsense'):
        attended(nonsense=1)
    for name in ('FCNHead', 'Nothing'):
        with pytest.raises(
            TypeError,
            match=f"AttendedSegmentor.segmentor_type: expected .* but got '{name}'; write",
        ):
            MODELS.build(dict(toys.attended_cfg(), segmentor_type=name))
