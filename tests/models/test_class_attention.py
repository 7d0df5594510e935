"""SAM's attention of each class."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.testing import assert_close
from toys import NUM_CLASSES, build, segmentor_cfg

from mmseg_uda.models.class_attention import class_attention, self_attention_of

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
                entropy=dict(type='EntropyLoss', domains=['source']),
                sam=loss_cfg(domains=['source'], **features if kind == 'loss_features' else {}),
            ),
        )
    torch.manual_seed(2)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.eval()


def logits_model(logits: Tensor) -> Any:
    """A stand-in whose logits are given, to be looked at with ``plain=True``."""
    head = SimpleNamespace(forward=lambda inputs: inputs[0])
    return SimpleNamespace(decode_head=head, extract_feat=lambda image: (logits,))


def test_by_hand() -> None:
    # Of 2 x 2 pixels two are class 0, two are class 2, none is class 1.
    logits = torch.tensor([[3.0, 8.0, 0.0, 4.0], [0.0, 0.0, 0.0, 0.0], [0.0, 6.0, 5.0, 4.5]])
    found = class_attention(logits_model(logits.view(1, 3, 2, 2)), torch.zeros(1), plain=True)
    assert found.classes.tolist() == [0, 2]
    # p_0 is 1 / (1 + 2 exp(-3)) = .91 and 1 / (1 + exp(-2) + exp(-8)) = .88 at pixels 0 and 1, so
    # that the larger logit loses; p_2 is .99 at pixel 2 and .62 at pixel 3.
    assert found.positions.tolist() == [0, 2]
    length = 4.5**2 + 4**2
    cosines = [[1.0, 0.8, 0.0, 4 / length**0.5], [0.0, 0.6, 1.0, 4.5 / length**0.5]]
    assert_close(found.maps, torch.tensor(cosines).view(2, 2, 2))


def test_the_most_confident_pixel_is_of_the_class() -> None:
    # Pixel 1 has the greater p_0, .49, but is of class 1; pixel 0 is of class 0 with p_0 = .34.
    prob = torch.tensor([[0.34, 0.49], [0.33, 0.51], [0.33, 0.001]])
    model = logits_model(prob.log().view(1, 3, 1, 2))
    found = class_attention(model, torch.zeros(1), plain=True)
    assert found.classes.tolist() == [0, 1]
    assert found.positions.tolist() == [0, 1]


def test_logits_of_zeros() -> None:
    found = class_attention(logits_model(torch.zeros(1, 4, 3, 5)), torch.zeros(1), plain=True)
    assert found.classes.tolist() == [0]
    assert (found.maps == 0).all()


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
    view = class_attention(model, image, plain)
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
    view = class_attention(model, image)
    assert view.maps.shape[1:] == (8, 12)
    assert view.positions.max() < 96
    assert_close(view.maps.flatten(1).amax(1), torch.ones(len(view.maps)))


def test_models_without_self_attention() -> None:
    model = build('source_only').eval()
    assert self_attention_of(model) is None
    with pytest.raises(
        TypeError, match='a SelfAttentionLoss, but got SourceOnly; write plain=True'
    ):
        class_attention(model, torch.randn(1, 3, 32, 48))
    assert class_attention(model, torch.randn(1, 3, 32, 48), plain=True).maps.shape[1:] == (8, 12)
    with pytest.raises(ValueError, match='class_attention.image: expected one image, but got 2'):
        class_attention(model, torch.randn(2, 3, 32, 48), plain=True)
