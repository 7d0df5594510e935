"""SAM's attention of each class."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.testing import assert_close
from toys import NUM_CLASSES, build, segmentor_cfg

from mmseg_uda.models.class_view import class_view, self_attention_of

MODULE = dict(type='SelfAttentionModule', in_channels=NUM_CLASSES)
CLASSIFIER = segmentor_cfg()['decode_head']


def loss_cfg(**kwargs: Any) -> dict[str, Any]:
    return {**dict(type='SelfAttentionLoss', self_attention=MODULE, allow_untrained=True), **kwargs}


def make(kind: str) -> nn.Module:
    """A model with a self-attention of a kind."""
    torch.manual_seed(0)
    if kind.startswith('head'):
        model = MODELS.build(
            segmentor_cfg(
                dict(type='SelfAttentionHead', classifier=CLASSIFIER, attend=kind.partition('_')[2])
            )
        )
    elif kind == 'stock':
        model = MODELS.build(
            segmentor_cfg(
                dict(type='RegularizedHead', head=CLASSIFIER, regularizers=dict(sam=loss_cfg()))
            )
        )
    else:
        features = dict(layer='features', self_attention=dict(MODULE, in_channels=8))
        model = build(
            'source_only',
            regularizers=dict(
                entropy=dict(type='EntropyLoss'),
                sam=loss_cfg(**features if kind == 'loss_features' else {}),
            ),
        )
    torch.manual_seed(2)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.eval()


def looped(weight: Tensor | None, scores: Tensor, x: Tensor) -> dict[int, tuple[int, Tensor]]:
    """Class -> its most confident pixel, and every pixel's cosine to it where it is positive."""
    feature = x[0].flatten(1) if weight is None else weight[:, :, 0, 0] @ x[0].flatten(1)
    prob = scores[0].flatten(1).softmax(0)
    found: dict[int, tuple[int, Tensor]] = {}
    for label in prob.argmax(0).unique().tolist():
        pixels = [i for i in range(prob.shape[1]) if prob[:, i].argmax() == label]
        best = max(pixels, key=lambda i: prob[:, i].max().item())
        cosine = torch.stack(
            [
                torch.cosine_similarity(feature[:, i], feature[:, best], 0)
                for i in range(prob.shape[1])
            ]
        )
        found[label] = best, cosine.clamp(min=0).reshape(x.shape[2:])
    return found


@pytest.mark.parametrize('kind', ['head_logits', 'head_features', 'stock', 'loss', 'loss_features'])
@pytest.mark.parametrize('plain', [False, True])
@torch.no_grad()
def test_equals_the_looped_computation(kind: str, plain: bool) -> None:
    model = make(kind)
    image = torch.randn(1, 3, 32, 48)
    (part,) = [module for name, module in model.named_modules() if name.endswith('self_attention')]
    part.conv.bias.zero_()
    view = class_view(model, image, plain)
    features = model.extract_feat(image)
    head = getattr(model.decode_head, 'classifier', model.decode_head)
    scores = head.forward(features)
    x = features[0] if kind.endswith('features') and not plain else scores
    expected = looped(None if plain else part.conv.weight, scores, x)
    assert sorted(view.classes.tolist()) == sorted(expected)
    for label, position, values in zip(view.classes.tolist(), view.positions.tolist(), view.maps):
        assert position == expected[label][0]
        assert_close(values, expected[label][1], atol=1e-5, rtol=1e-5)
    sizes = [(scores.argmax(1) == label).sum().item() for label in view.classes.tolist()]
    assert len(sizes) > 1
    assert sizes == sorted(sizes, reverse=True)


@torch.no_grad()
def test_scores_of_another_size() -> None:
    """Positions are those of the map that is attended, as with FCN-8s."""
    model = make('loss_features')
    head, image = model.decode_head, torch.randn(1, 3, 32, 48)
    scores = resize(head.forward(model.extract_feat(image)), scale_factor=2, mode='bilinear')
    head.forward = lambda inputs: scores
    view = class_view(model, image)
    assert view.maps.shape[1:] == (8, 12)
    assert view.positions.max() < 96
    assert_close(view.maps.flatten(1).amax(1), torch.ones(len(view.maps)))


def test_models_without_self_attention() -> None:
    model = build('source_only').eval()
    assert self_attention_of(model) is None
    with pytest.raises(TypeError, match='got SourceOnly without .*; write .*plain=True'):
        class_view(model, torch.randn(1, 3, 32, 48))
    assert class_view(model, torch.randn(1, 3, 32, 48), plain=True).maps.shape[1:] == (8, 12)
