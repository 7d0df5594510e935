"""The loss of a frozen segmentor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import toys
import two_processes as processes
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.models.translation import SemanticConsistency
from mmseg_uda.structures import DomainBatch


def build(**changes: Any) -> SemanticConsistency:
    torch.manual_seed(0)
    segmentor = toys.segmentor_cfg(batch_norm=True)
    segmentor['data_preprocessor'] = dict(
        type='SegDataPreProcessor', mean=[10.0, 20.0, 30.0], std=[2.0, 3.0, 4.0], **changes
    )
    loss = SemanticConsistency(segmentor, allow_untrained=True)
    loss.segmentor.init_weights()
    return loss


@pytest.mark.parametrize('to_rgb', [False, True])
def test_scores_are_normalised_logits(to_rgb: bool) -> None:
    loss = build(bgr_to_rgb=to_rgb)
    images = torch.rand(2, 3, *toys.SIZE) * 2 - 1
    pixels = (images + 1) * 127.5
    pixels = pixels if to_rgb else pixels.flip(1)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in ([10.0, 20, 30], [2.0, 3, 4]))
    logits = loss.segmentor.decode_head(loss.segmentor.extract_feat((pixels - mean) / std))
    expected = torch.empty_like(logits)
    for n, c in ((n, c) for n in range(2) for c in range(toys.NUM_CLASSES)):
        values = logits[n, c]
        expected[n, c] = (values - values.mean()) / (values.var(unbiased=False) + 1e-5).sqrt()
    assert_close(loss(images), expected, atol=1e-4, rtol=1e-4)


def test_equal_images_cost_nothing() -> None:
    """The translation equals its original, and so does the cycle, for a network that copies."""
    model = toys.build('cyclegan_semantic')
    model.generators = nn.ModuleDict(dict(source=nn.Identity(), target=nn.Identity()))
    batch = DomainBatch.collect(**model.data_preprocessor(toys.batch(labels=False), True))
    for domain, each in batch:
        losses = model.cycle_losses(domain, each.images, each.images)
        assert losses[f'{domain}.loss_semantic'] == 0
        assert losses[f'{domain}.loss_semantic_cycle'] == 0


def test_affine_changes_of_a_channel_cost_nothing() -> None:
    loss = build()
    images = torch.rand(1, 3, *toys.SIZE) * 2 - 1
    before = loss(images)
    with torch.no_grad():
        for i, branch in enumerate(loss.segmentor.decode_head.branches):
            scale = torch.tensor([0.5, 2.0, 3.0, 1.5])
            branch.weight *= scale.view(-1, 1, 1, 1)
            branch.bias.mul_(scale).add_(i + torch.arange(4.0))
    assert_close(loss(images), before, atol=2e-3, rtol=1e-3)


def test_losses_of_both_weights() -> None:
    model = toys.shaken('cyclegan_semantic')
    batch = DomainBatch.collect(**model.data_preprocessor(toys.batch(labels=False), True))
    images = batch.source.images
    made = model.generators['target'](images)
    losses = model.cycle_losses('source', images, made)
    score, cycle = model.semantic, model.generators['source'](made)
    for key, weight, other in (('semantic', 0.1, made), ('semantic_cycle', 10, cycle)):
        expected = weight * (score(other) - score(images)).square().mean()
        assert_close(losses[f'source.loss_{key}'], expected)


def test_segmentor_never_changes() -> None:
    model = toys.build('cyclegan_semantic').train()
    before = {key: value.clone() for key, value in model.semantic.state_dict().items()}
    assert any('running_mean' in key for key in before)
    wrapper = processes.joint_wrapper(model, 'cyclegan_semantic')
    model.train_step(toys.batch(labels=False), wrapper)
    for key, value in model.semantic.state_dict().items():
        assert value.equal(before[key]), key
    assert not any(module.training for module in model.semantic.segmentor.modules())


def cfg(checkpoint: Path | None) -> dict[str, Any]:
    semantic = dict(
        type='SemanticConsistency',
        segmentor=toys.segmentor_cfg(),
        checkpoint=str(checkpoint) if checkpoint else None,
    )
    return toys.method_cfg('cyclegan', semantic=semantic)


def scores(model: nn.Module) -> Tensor:
    return model.semantic(torch.zeros(1, 3, *toys.SIZE))


@pytest.mark.parametrize('of_method', [False, True])
def test_checkpoint_of_a_segmentor_or_a_method(of_method: bool, tmp_path: Path) -> None:
    trained = toys.shaken('source_only')
    weights = trained if of_method else trained.student
    torch.save(dict(state_dict=weights.state_dict()), tmp_path / 'trained.pth')
    model = MODELS.build(cfg(tmp_path / 'trained.pth'))
    model.init_weights()
    for key, value in model.semantic.segmentor.state_dict().items():
        assert value.equal(trained.student.state_dict()[key]), key
    resumed = MODELS.build(cfg(None))
    resumed.load_state_dict(model.state_dict())
    assert scores(resumed).equal(scores(model))


def test_untrained_segmentor_is_refused(tmp_path: Path) -> None:
    model = MODELS.build(cfg(tmp_path / 'gone.pth'))
    model.init_weights()
    with pytest.raises(ValueError, match="expected a trained segmentor, but got '.*gone.pth'"):
        scores(model)
    torch.save(toys.build('cyclegan').state_dict(), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='SemanticConsistency.checkpoint: expected a checkpoint'):
        MODELS.build(cfg(tmp_path / 'other.pth')).init_weights()
