"""AdaptSegNet, AdvEnt and MinEnt, from the parts of their networks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import toys
from torch import Tensor, nn
from torch.testing import assert_close

ADVERSARIAL = ('adversarial_multi', 'advent')


def by_hand(model: nn.Module, domain: str, align: str) -> dict[str, Tensor]:
    """The maps of both levels, without the methods' code: softmax of upsampled logits, or I."""
    data = model.data_preprocessor(toys.batch(), True)
    images = data['inputs'][domain]
    first, last = model.student.backbone(images)
    maps = {}
    for name, head, features in (
        ('main', model.student.decode_head, last),
        ('aux_0', model.student.auxiliary_head, first),
    ):
        logits = sum(branch(features) for branch in head.branches)
        prob = F.interpolate(logits, images.shape[2:], mode='bilinear', align_corners=True).exp()
        prob = prob / prob.sum(1, keepdim=True)
        maps[name] = prob if align == 'probability' else -prob * prob.log2() / math.log2(4)
    return maps


def losses_of(model: nn.Module) -> dict[str, Tensor]:
    return model.train()(**model.data_preprocessor(toys.batch(), True), mode='loss')


@pytest.mark.parametrize('name', ADVERSARIAL)
def test_equations_at_both_levels(name: str) -> None:
    model = toys.shaken(name)
    losses = losses_of(model)
    source, target = (by_hand(model, each, model.align) for each in ('source', 'target'))
    assert set(model.discriminators) == {'main', 'aux_0'}
    for view, weight in (('main', 0.1), ('aux_0', 0.02)):
        score = {
            d: model.discriminators[view](maps[view])
            for d, maps in (('source', source), ('target', target))
        }
        assert_close(losses[f'adv.loss_{view}'], weight * F.softplus(score['target']).mean())
        expected = F.softplus(score['source']).mean() + F.softplus(-score['target']).mean()
        assert_close(losses[f'disc.loss_{view}'], 0.5 * expected)


def test_minent_at_both_levels() -> None:
    model = toys.shaken('minent')
    losses = losses_of(model)
    maps = by_hand(model, 'target', 'self_information')
    for level, weight in (('main', 0.1), ('aux_0', 0.02)):
        expected = weight * maps[level].sum(1).mean()
        assert_close(losses[f'target.loss_entropy_{level}'], expected)
    assert not any('target.decode' in key for key in losses)  # pseudo labels are not used


@pytest.mark.parametrize(
    ('name', 'key'),
    [(name, 'adv.loss_{}') for name in ADVERSARIAL] + [('minent', 'target.loss_entropy_{}')],
)
def test_auxiliary_terms_stop_at_their_level(name: str, key: str) -> None:
    model = toys.shaken(name)
    losses = losses_of(model)
    parts = dict(
        layer=model.student.backbone.layer.weight,
        stem=model.student.backbone.stem.weight,
        decode_head=model.student.decode_head.branches[0].weight,
    )
    for level, reached in (('aux_0', {'stem'}), ('main', set(parts))):
        grads = torch.autograd.grad(
            losses[key.format(level)], parts.values(), retain_graph=True, allow_unused=True
        )
        assert {part for part, grad in zip(parts, grads) if grad is not None} == reached


def test_one_level_is_the_decode_head() -> None:
    """Auxiliary heads learn labels, and have no discriminator."""
    model = toys.shaken('adversarial_multi', auxiliary_weight=None)
    losses = losses_of(model)
    assert set(model.discriminators) == {'main'}
    assert 'source.aux_0.loss_ce' in losses
    assert [key for key in losses if key.startswith('adv.')] == ['adv.loss_main']
    assert [key for key in losses_of(toys.shaken('minent', auxiliary_weight=None)) if 'ent' in key]


@pytest.mark.parametrize('name', ['adversarial_multi', 'minent'])
@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (
            dict(auxiliary_weight=-1.0),
            r'auxiliary_weight: expected a number in \[0, inf\), but got -1.0',
        ),
        (
            dict(segmentor=toys.segmentor_cfg()),
            'segmentor.auxiliary_head: expected heads with 4 outputs, but got None; write '
            'auxiliary_weight=None',
        ),
    ],
)
def test_errors(name: str, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        toys.build(name, **changes)


def test_errors_of_one_method() -> None:
    with pytest.raises(ValueError, match="Adversarial.align: expected one of .* but got 'logits'"):
        toys.build('adversarial', align='logits')
    with pytest.raises(
        ValueError, match=r'MinEnt.lambda_ent: expected a number in \[0, inf\), but got -0.1'
    ):
        toys.build('minent', lambda_ent=-0.1)
