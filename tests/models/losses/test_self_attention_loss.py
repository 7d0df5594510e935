"""The self-attention loss against loops over its equations, and where its weights are from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmseg_uda.models.losses import SelfAttentionLoss
from mmseg_uda.models.losses.self_attention_loss import DISTANCES
from mmseg_uda.structures import SegOutput

CHANNELS = 3
MODULE = dict(type='SelfAttentionModule', in_channels=CHANNELS)
NO_CONV = dict(MODULE, with_conv=False)


def make(module: dict[str, Any] = MODULE, **kwargs: Any) -> SelfAttentionLoss:
    kwargs.setdefault('allow_untrained', 'checkpoint' not in kwargs)
    return MODELS.build(dict(type='SelfAttentionLoss', self_attention=module, **kwargs))


def output(logits: Tensor, domain: str = 'target', **kwargs: Any) -> SegOutput:
    raw_logits = kwargs.pop('raw_logits', logits)
    return SegOutput(kwargs.pop('features', ()), logits, domain, raw_logits, **kwargs)


def value_of(loss: SelfAttentionLoss, *args: Any, **kwargs: Any) -> Tensor:
    losses = loss(output(*args, **kwargs))
    assert list(losses) == ['loss_self_attention']
    return losses['loss_self_attention']


def slow_distance(loss_type: str, o: Tensor, t: Tensor) -> float:
    """Mean over elements or pixels, one by one."""
    terms = []
    for n in range(o.shape[0]):
        for y in range(o.shape[2]):
            for x in range(o.shape[3]):
                a, b = o[n, :, y, x].tolist(), t[n, :, y, x].tolist()
                gaps = [abs(i - j) for i, j in zip(a, b)]
                if loss_type == 'l1':
                    terms += gaps
                elif loss_type == 'l2':
                    terms += [gap**2 for gap in gaps]
                elif loss_type == 'smooth_l1':
                    terms += [gap**2 / 2 if gap < 1 else gap - 0.5 for gap in gaps]
                elif loss_type == 'kl':
                    p, q = ([math.exp(i) / sum(map(math.exp, v)) for i in v] for v in (b, a))
                    terms.append(sum(i * math.log(i / j) for i, j in zip(p, q)))
                else:
                    dot = sum(i * j for i, j in zip(a, b))
                    terms.append(1 - dot / math.hypot(*a) / math.hypot(*b))
    return sum(terms) / len(terms)


@pytest.mark.parametrize('form', ['residual', 'attended'])
@pytest.mark.parametrize('loss_type', DISTANCES)
def test_equals_loops(loss_type: str, form: str) -> None:
    loss = make(form=form, loss_type=loss_type, loss_weight=0.7)
    logits = 3 * torch.randn(2, CHANNELS, 3, 4)
    target = loss.self_attention(logits) + (logits if form == 'residual' else 0)
    assert float(value_of(loss, logits)) == pytest.approx(
        0.7 * slow_distance(loss_type, logits, target), rel=1e-4
    )


def test_direction_of_the_divergence() -> None:
    logits = 3 * torch.randn(2, CHANNELS, 3, 4, requires_grad=True)
    values = {}
    for direction in ('target_output', 'output_target'):
        loss = make(loss_type='kl', direction=direction, loss_weight=1.0)
        loss.self_attention.load_state_dict(make().self_attention.state_dict())
        with torch.no_grad():
            target = logits + loss.self_attention(logits)
        pair = (logits, target) if direction == 'target_output' else (target, logits)
        value = value_of(loss, logits)
        values[direction] = float(value.detach())
        expected = slow_distance('kl', *(each.detach() for each in pair))
        assert values[direction] == pytest.approx(expected, rel=1e-4)
        (gradient,) = torch.autograd.grad(value, logits)
        # d/do of KL(t || o) is q - p; of KL(o || t) it is q (log q/p - KL), both per pixel.
        q, p = logits.detach().softmax(1), target.softmax(1)
        ratio = (q / p).log()
        reverse = q * (ratio - (q * ratio).sum(1, keepdim=True))
        by_hand = (q - p if direction == 'target_output' else reverse) / (2 * 3 * 4)
        assert_close(gradient, by_hand, atol=1e-6, rtol=1e-4)
    assert values['target_output'] != pytest.approx(values['output_target'], rel=1e-2)
    with pytest.raises(ValueError, match=r"direction: expected .*, but got 'both'"):
        make(direction='both')


def test_by_hand() -> None:
    # Two pixels of cosine 0.6: 5 / 8 of oneself and 3 / 8 of the other, without a convolution.
    logits = torch.tensor([[5.0, 3.0], [0.0, 4.0]]).view(1, 2, 1, 2)
    attended = torch.tensor([[4.25, 3.75], [1.5, 2.5]])
    module = dict(NO_CONV, in_channels=2)
    assert_close(
        value_of(make(module), logits), 0.1 * attended.mean()
    )  # the defaults: (8), l1, 0.1
    gaps = torch.tensor([0.75, 0.75, 1.5, 1.5])
    for loss_type, expected in (('l1', gaps.mean()), ('l2', gaps.square().mean())):
        loss = make(module, form='attended', loss_type=loss_type, loss_weight=1.0)
        assert_close(value_of(loss, logits), expected)


@pytest.mark.parametrize('form', ['residual', 'attended'])
@pytest.mark.parametrize('loss_type', DISTANCES)
def test_the_target_is_detached(loss_type: str, form: str) -> None:
    loss = make(form=form, loss_type=loss_type, loss_weight=1.0).double()
    logits = torch.randn(1, CHANNELS, 2, 3).double().requires_grad_()
    target = (loss.self_attention(logits) + (logits if form == 'residual' else 0)).detach()
    # With a constant for a target the gradient is the same, and that of the distance.
    assert_close(
        torch.autograd.grad(value_of(loss, logits), logits),
        torch.autograd.grad(DISTANCES[loss_type](logits, target), logits),
    )
    assert gradcheck(lambda o: DISTANCES[loss_type](o, target), (logits,))
    if loss_type == 'l1' and form == 'residual':  # grows without end, as it is printed
        assert_close(
            torch.autograd.grad(value_of(loss, logits), logits)[0],
            -loss.self_attention(logits).sign() / logits.numel(),
        )


def test_layers() -> None:
    logits, scores = torch.randn(1, CHANNELS, 8, 8), torch.randn(1, CHANNELS, 2, 2)
    features = (torch.randn(1, CHANNELS, 4, 4), torch.randn(1, CHANNELS, 2, 2))
    of_logits = make(NO_CONV, layer='logits')
    of_features = make(NO_CONV, layer='features')
    expected = {
        name: float(value_of(of_logits, x))
        for name, x in (
            ('logits', logits),
            ('scores', scores),
            ('first', features[0]),
            ('last', features[1]),
        )
    }
    kwargs = dict(features=features)
    assert float(value_of(of_logits, logits, **kwargs)) == expected['logits']
    assert float(value_of(of_logits, logits, raw_logits=scores, **kwargs)) == expected['scores']
    assert float(value_of(of_features, logits, raw_logits=scores, **kwargs)) == expected['last']
    first = make(NO_CONV, layer='features', in_index=0)
    assert float(value_of(first, logits, **kwargs)) == expected['first']


def test_domains() -> None:
    logits = torch.randn(1, CHANNELS, 2, 2)
    assert make()(output(logits, 'source'))
    assert make()(output(logits, 'target'))
    target_only = make(domains=['target'])
    assert target_only(output(logits, 'source')) == {}
    assert target_only(output(logits, 'target'))


@pytest.mark.parametrize('loss_type', DISTANCES)
def test_half_precision_computes_in_fp32(loss_type: str) -> None:
    logits = torch.randn(1, CHANNELS, 4, 4).bfloat16()
    got = value_of(make(NO_CONV, loss_type=loss_type), logits)
    assert got.dtype == torch.float32
    assert torch.equal(got, value_of(make(NO_CONV, loss_type=loss_type), logits.float()))


def test_the_module_is_frozen() -> None:
    loss = make()
    conv = nn.Conv2d(CHANNELS, CHANNELS, 1)
    model = nn.ModuleDict(dict(loss=loss, conv=conv))
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    assert sorted(before) == ['self_attention.conv.bias', 'self_attention.conv.weight']
    for mode in (True, False, True):
        model.train(mode)
        assert loss.training == mode
        assert not any(part.training for part in loss.self_attention.modules())
    assert not any(param.requires_grad for param in loss.parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=0.1)
    for _ in range(3):
        value_of(loss, conv(torch.randn(1, CHANNELS, 3, 3))).backward()
        optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in loss.state_dict().items())
    assert all(param.grad is None for param in loss.parameters())
    assert all(param.grad.abs().sum() > 0 for param in conv.parameters())


# ------------------------------------------------------------------------------------- checkpoints

WEIGHTS = {
    'conv.weight': torch.linspace(-1, 2, CHANNELS**2).view(CHANNELS, CHANNELS, 1, 1),
    'conv.bias': torch.ones(CHANNELS),
}


def save(path: Path, *prefixes: str, weights: dict[str, Tensor] = WEIGHTS) -> str:
    state = {f'{prefix}{name}': value for prefix in prefixes for name, value in weights.items()}
    torch.save(dict(state_dict={'backbone.conv.weight': torch.ones(1), **state}), path)
    return str(path)


@pytest.mark.parametrize(
    'prefix',
    ['self_attention.', 'decode_head.self_attention.', 'student.decode_head.self_attention.'],
)
def test_weights_come_from_stage_a(tmp_path: Path, prefix: str) -> None:
    loss = make(checkpoint=save(tmp_path / 'a.pth', prefix))
    loss.init_weights()
    assert_close(loss.self_attention.state_dict(), WEIGHTS, rtol=0, atol=0)
    assert not any(param.requires_grad for param in loss.parameters())
    assert loss(output(torch.randn(1, CHANNELS, 2, 2)))


def test_a_checkpoint_wins_over_the_models_initialisation(tmp_path: Path) -> None:
    module = dict(MODULE, init_cfg=dict(type='Constant', layer='Conv2d', val=0.5))
    loss = make(module, checkpoint=save(tmp_path / 'a.pth', 'self_attention.'))
    loss.init_weights()
    assert_close(loss.self_attention.state_dict(), WEIGHTS)


@pytest.mark.parametrize('checkpoint', [None, 'gone.pth'])
def test_resuming_needs_no_file(checkpoint: str | None) -> None:
    loss = make(checkpoint=checkpoint)
    loss.init_weights()
    nn.ModuleDict(dict(sam=loss)).load_state_dict(
        {f'sam.self_attention.{name}': value for name, value in WEIGHTS.items()}
    )
    assert_close(loss.self_attention.state_dict(), WEIGHTS)
    assert loss(output(torch.randn(1, CHANNELS, 2, 2)))


@pytest.mark.parametrize(
    ('checkpoint', 'error', 'message'),
    [
        (
            None,
            ValueError,
            r'checkpoint: expected a checkpoint of stage A, but got None.*write its path',
        ),
        (
            'gone.pth',
            FileNotFoundError,
            r'checkpoint: .* but gone\.pth does not exist; train stage',
        ),
    ],
)
@pytest.mark.parametrize('half', [False, True])
def test_untrained_attention_is_not_followed(
    checkpoint: str | None, error: type[Exception], message: str, half: bool
) -> None:
    loss, logits = make(checkpoint=checkpoint), torch.randn(1, CHANNELS, 2, 2)
    loss.init_weights()
    if half:  # some weights of a checkpoint are not enough
        loss.load_state_dict({'self_attention.conv.bias': torch.ones(CHANNELS)}, strict=False)
    with pytest.raises(error, match=message):
        loss(output(logits))
    assert make(checkpoint=checkpoint, allow_untrained=True)(output(logits))
    assert make(NO_CONV, allow_untrained=False)(output(logits))  # has nothing to train


def test_unfit_checkpoints(tmp_path: Path) -> None:
    none = make(checkpoint=save(tmp_path / 'none.pth', 'my_self_attention.'))
    with pytest.raises(ValueError, match=r'one self-attention in .*none\.pth, but got none; write'):
        none.init_weights()
    several = make(checkpoint=save(tmp_path / 'two.pth', 'a.self_attention.', 'self_attention.'))
    with pytest.raises(ValueError, match=r"but got \['a\.self_attention\.', 'self_attention\.'\]"):
        several.init_weights()
    path = save(tmp_path / 'shape.pth', 'decode_head.self_attention.')
    other = make(dict(MODULE, out_channels=2), checkpoint=path)
    with pytest.raises(
        ValueError,
        match=r'but got decode_head\.self_attention\.\* of another shape: 2 of 2 tensors .* is '
        r'conv\.weight; write the self_attention config',
    ):
        other.init_weights()
    path = save(tmp_path / 'part.pth', 'self_attention.', weights={'conv.bias': torch.ones(3)})
    with pytest.raises(ValueError, match='1 of 2 tensors are missing .* is conv.weight'):
        make(checkpoint=path).init_weights()


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (
            dict(form='both'),
            r"SelfAttentionLoss\.form: expected one of \('residual', .* but got 'both'",
        ),
        (dict(loss_type='mse'), r"loss_type: expected one of \('l1', 'l2', .* but got 'mse'"),
        (dict(layer='both'), r"layer: expected one of \('logits', 'features'\), but got 'both'"),
        (dict(domains='target'), r"domains: expected a list .* but got 'target'"),
        (dict(domains=[]), r'domains: expected a list .* but got \[\]'),
        (
            dict(module=NO_CONV, checkpoint='a.pth'),
            r"expected None, because self_attention has no weights, but got 'a\.pth'",
        ),
    ],
)
def test_wrong_arguments(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**kwargs)
