"""What is DAST's own; the rest is in ``test_methods.py``."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import toys
from mmseg.models.utils import resize
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.structures import DomainBatch


def shaken(**changes: Any) -> nn.Module:
    model = toys.build('dast', **changes).train()
    torch.manual_seed(1)
    with torch.no_grad():
        for param in model.parameters():
            param += 0.1 * torch.randn_like(param)
    return model


def losses_of(model: nn.Module) -> tuple[dict[str, Tensor], DomainBatch]:
    data = model.data_preprocessor(toys.batch(), True)
    return model(**data, mode='loss'), DomainBatch.collect(**data)


def by_hand(model: nn.Module, batch: DomainBatch) -> dict[str, Tensor]:
    """The objective as the paper writes it, on the bare parts of the network."""
    backbone, head = model.student.backbone, model.student.decode_head
    hooks = dict(backbone._forward_hooks)
    backbone._forward_hooks.clear()
    f_s, f_t = backbone(batch.source.images)[0], backbone(batch.target.images)[0]
    backbone._forward_hooks.update(hooks)
    discoverer, corrector = model.student.attention.discriminator, model.discriminators['corrector']

    def up(logits: Tensor) -> Tensor:
        return resize(logits, size=toys.SIZE, mode='bilinear', align_corners=True)

    score = discoverer(f_t)
    p_s, p_t = up(head((f_s,))), up(head((f_t * (1 + score.abs().tanh()),)))
    return {
        'source.decode.loss_ce': F.cross_entropy(p_s, batch.source.labels, ignore_index=255),
        'target.decode.loss_ce': F.cross_entropy(p_t, batch.target.labels, ignore_index=255),
        'adv.loss_discoverer': 0.1 * (score - 0).square().mean(),
        'adv.loss_corrector': 0.1 * corrector(p_t.softmax(1)).square().mean(),
        'disc.loss_discoverer': discoverer(f_s).square().mean() + (score - 1).square().mean(),
        'disc.loss_corrector': (
            corrector(p_s.softmax(1)).square().mean()
            + (corrector(p_t.softmax(1)) - 1).square().mean()
        ),
    }


def test_objective() -> None:
    """No 1/2 in the discriminators' losses; attention on the target only; D looks at f, not f'."""
    model = shaken()
    losses, batch = losses_of(model)
    expected = by_hand(model, batch)
    got = {key: value for key, value in losses.items() if 'loss' in key}
    assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_who_learns_from_what() -> None:
    """The network from the first four terms, each discriminator from its own alone."""
    model = shaken()
    losses, batch = losses_of(model)
    expected = by_hand(model, batch)
    for part, keys in {
        'student.backbone': ('source.decode', 'target.decode', 'adv.loss_d', 'adv.loss_c'),
        'student.decode_head': ('source.decode', 'target.decode', 'adv.loss_c'),
        'student.attention': ('disc.loss_discoverer',),
        'discriminators': ('disc.loss_corrector',),
    }.items():
        params = list(model.get_submodule(part).parameters())
        got = torch.autograd.grad(
            sum(v for k, v in losses.items() if 'loss' in k), params, retain_graph=True
        )
        wanted = torch.autograd.grad(
            sum(v for k, v in expected.items() if k.startswith(keys)), params, retain_graph=True
        )
        assert_close(got, wanted, rtol=1e-3, atol=1e-5)


def test_attention_off_is_two_discriminators() -> None:
    """The ablation +2D: the discoverer is fooled, and the prediction is the plain one."""
    model = shaken(segmentor=toys.attended_cfg(attend=False))
    losses, batch = losses_of(model)
    assert losses['adv.loss_discoverer'] > 0
    plain = toys.build('self_training')
    plain.student.load_state_dict(model.student.state_dict(), strict=False)
    output = plain.segment(batch.target, 'target')
    assert_close(
        losses['target.decode.loss_ce'],
        plain.supervised_losses(output, batch.target.labels)['target.decode.loss_ce'],
    )


def test_reweighted_corrector() -> None:
    model, plain = shaken(reweight_corrector=True), shaken()
    (losses, batch), (unweighted, _) = losses_of(model), losses_of(plain)
    with model.student.attention.record() as seen:
        target = model.segment(batch.target, 'target')
    prob = model.probabilities(target.seg_logits, batch.target.images)
    score = model.discriminators['corrector'](prob)
    weight = 1 + F.interpolate(seen.score.abs().tanh(), score.shape[2:], mode='bilinear')
    assert_close(losses['adv.loss_corrector'], 0.1 * (weight * score.square()).mean())
    assert losses.pop('adv.loss_corrector') != unweighted.pop('adv.loss_corrector')
    assert_close(losses, unweighted)


def test_test_uses_the_discoverer() -> None:
    model = shaken().eval()
    images = torch.randn(1, 3, *toys.SIZE)
    before = model(images)
    with torch.no_grad():
        model.student.attention.discriminator.layers[2].bias += 3.0
    assert not model(images).equal(before)
    with torch.no_grad():
        model.discriminators['corrector'].layers[0].weight += 3.0
    after = model(images)
    assert model(images).equal(after)


def test_visualize() -> None:
    model = shaken().eval()
    batch = DomainBatch.collect(**model.data_preprocessor(toys.batch(1), True))
    maps = model.visualize(batch)
    assert maps.keys() == {'attention'}
    assert maps['attention'].shape == (8, 12)
    assert_close(
        maps['attention'],
        model.student.attention.attention_map(model.student, batch.target.images)[0],
    )


def test_needs_an_attended_segmentor() -> None:
    with pytest.raises(
        TypeError,
        match='DAST.segmentor: expected an AttendedSegmentor, but got EncoderDecoder; '
        "write dict\\(type='AttendedSegmentor'",
    ):
        toys.build('dast', segmentor=toys.segmentor_cfg())
