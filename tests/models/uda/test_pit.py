"""PIT: its equations, its ablations, and what it shows."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import toys
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.models.layers import lse_pool
from mmseg_uda.structures import DomainBatch

CLASSIFIER = toys.segmentor_cfg()['decode_head']


def make(**expansion: Any) -> nn.Module:
    torch.manual_seed(0)
    model = MODELS.build(dict(type='PIT', segmentor=toys.expanded_cfg(**expansion)))
    model.init_weights()
    for param in model.parameters():
        nn.init.normal_(param, std=0.3)
    return model.train()


def prepared(model: nn.Module, pseudo: bool = False) -> dict[str, Any]:
    return model.data_preprocessor(toys.batch(pseudo=pseudo), True)


def losses_of(model: nn.Module) -> dict[str, Tensor]:
    return {
        key: value for key, value in model(**prepared(model), mode='loss').items() if 'loss' in key
    }


def gradients(model: nn.Module, *names: str) -> dict[str, Tensor]:
    """Of the sum of the losses whose keys contain one of the names."""
    model.zero_grad()
    losses = losses_of(model)
    sum(
        value for key, value in losses.items() if not names or any(name in key for name in names)
    ).backward()
    return {
        key: param.grad if param.grad is not None else torch.zeros_like(param)
        for key, param in model.named_parameters()
    }


def test_losses_are_the_equations() -> None:
    """Section 4.2, term by term, on maps at the size of the images."""
    model = make(
        r=(0.5, 1, 1.5),
        loss_decode=dict(loss_weight=0.3),
        loss_reconstruction=dict(loss_weight=0.7),
    )
    batch = DomainBatch.collect(**prepared(model))
    head, found = model.student.auxiliary_head, losses_of(model)
    for domain, images in batch:
        features = model.extract_feat(images.images)
        s, *units = (
            resize(each.forward(features), size=toys.SIZE, mode='bilinear', align_corners=True)
            for each in [model.decode_head, *head.units]
        )
        if domain == 'source':
            labels = images.labels
            y = torch.stack([(labels == c).sum((1, 2)) for c in range(toys.NUM_CLASSES)], 1)
            y = y / (labels != 255).sum((1, 2))[:, None]
            loss = nn.functional.cross_entropy(s, labels, ignore_index=255)
            assert_close(found['source.decode.loss_ce'], loss)
        else:
            y = torch.stack([each.image_label for each in images.samples])
            assert 'target.decode.loss_ce' not in found
        image = sum(
            nn.functional.binary_cross_entropy_with_logits(lse_pool(maps, r), y)
            for r, maps in zip((0.5, 1, 1.5), units)
        )
        assert_close(found[f'{domain}.expansion.loss_image'], 0.3 * image)
        summed = sum(w[:, None, None] * maps for w, maps in zip(head.reconstruction_weight, units))
        assert_close(
            found[f'{domain}.expansion.loss_reconstruction'], 0.7 * (summed - s).square().mean()
        )
    assert len(found) == 5


def test_every_term_reaches_all_it_should() -> None:
    """Nothing is detached, and w learns from L_r alone."""
    model = make()
    parts = dict(
        backbone='student.backbone.stem.weight',
        w='reconstruction_weight',
        fine='student.decode_head.branches.0.weight',
        unit='units.0.branches.0.weight',
    )
    reached = {}
    for term in (
        'source.decode',
        'source.expansion.loss_image',
        'target.expansion.loss_image',
        'source.expansion.loss_rec',
        'target.expansion.loss_rec',
    ):
        found = gradients(model, term)
        reached[term] = {
            part
            for part, name in parts.items()
            for key, gradient in found.items()
            if key.endswith(name) and gradient.abs().sum() > 0
        }
    assert reached == {
        'source.decode': {'backbone', 'fine'},
        'source.expansion.loss_image': {'backbone', 'unit'},
        'target.expansion.loss_image': {'backbone', 'unit'},
        'source.expansion.loss_rec': {'backbone', 'fine', 'unit', 'w'},
        'target.expansion.loss_rec': {'backbone', 'fine', 'unit', 'w'},
    }


def test_no_gradient_of_w_without_lambda_r() -> None:
    off = gradients(make(loss_reconstruction=dict(loss_weight=0.0)))
    name = 'student.auxiliary_head.reconstruction_weight'
    assert off[name].abs().sum() == 0
    assert gradients(make())[name].abs().sum() > 0
    assert name not in dict(make(loss_reconstruction=None).named_parameters())


# Table 3 and Table 4: what each leaves out, and what it must not leave out with it.
ABLATIONS: dict[str, tuple[dict[str, Any], set[str]]] = {
    '-L_c': (dict(loss_decode=dict(loss_weight=0.0)), {'loss_image'}),
    '-L_r': (dict(loss_reconstruction=None), {'loss_reconstruction'}),
    '-L_r(S)': (
        dict(loss_reconstruction=dict(domains=['target'])),
        {'source.expansion.loss_reconstruction'},
    ),
    'one unit': (dict(r=(1.0,)), set()),
    'four units': (dict(r=(0.5, 1.0, 1.5, 2.0)), set()),
}


@pytest.mark.parametrize('name', ABLATIONS)
def test_ablations(name: str) -> None:
    expansion, off = ABLATIONS[name]
    model = make(**expansion)
    active = {key for key, value in losses_of(model).items() if value > 0}
    whole = {key for key, value in losses_of(make()).items() if value > 0}
    assert whole - active == {key for key in whole if any(each in key for each in off)}
    assert len(model.expansion.units) == len(expansion.get('r', (0.5, 1.5)))
    used = gradients(model)
    assert all(
        gradient.abs().sum() > 0 for key, gradient in used.items() if '.units.' in key
    )  # by one of the two losses at least


def test_pooling_sees_images_as_they_are() -> None:
    """The source's ignored pixels are pooled unless they are left out; the target has none."""
    found = {kept: losses_of(make(pool_ignored=kept)) for kept in (True, False)}
    changed = {key for key in found[True] if not found[True][key].equal(found[False][key])}
    assert changed == {'source.expansion.loss_image'}


def test_weak_supervision() -> None:
    """Presence on both domains: counted on the source, given on the target."""
    model = make(image_label='presence')
    data = prepared(model)
    for sample in data['data_samples']['target']:
        sample.image_label = torch.tensor([1.0, 0, 1, 0])
    found = model(**data, mode='loss')
    batch = DomainBatch.collect(**data)
    for domain, y in (('source', torch.ones(2, 4)), ('target', torch.tensor([[1.0, 0, 1, 0]] * 2))):
        images = getattr(batch, domain)
        features = model.extract_feat(images.images)
        scores = model.expansion.pool(model.expansion(features), toys.SIZE)
        expected = sum(
            0.5 * nn.functional.binary_cross_entropy_with_logits(each, y) for each in scores
        )
        assert_close(found[f'{domain}.expansion.loss_image'], expected)


def test_other_auxiliary_heads_learn_as_ever() -> None:
    segmentor = toys.expanded_cfg()
    segmentor['auxiliary_head'] = [segmentor['auxiliary_head'], CLASSIFIER]
    model = MODELS.build(dict(type='PIT', segmentor=segmentor))
    model.init_weights()
    keys = set(model(**prepared(model, pseudo=True), mode='loss'))
    assert keys == {
        f'{domain}.{key}'
        for domain in ('source', 'target')
        for key in (
            'decode.loss_ce',
            'decode.acc_seg',
            'aux_0.loss_ce',
            'aux_0.acc_seg',
            'expansion.loss_image',
            'expansion.loss_reconstruction',
        )
    }


@pytest.mark.parametrize('method', ['source_only', 'self_training', 'dacs'])
def test_units_beside_another_method(method: str) -> None:
    """As an auxiliary head it takes labels of images from those of pixels."""
    head = dict(type='LSEExpansionHead', unit=CLASSIFIER, r=(1.0,))
    model = toys.build(method, segmentor=dict(toys.segmentor_cfg(), auxiliary_head=head)).train()
    data = prepared(model, pseudo=True)
    losses = model(**data, mode='loss')
    domains = ('source', 'target') if method == 'self_training' else ('source',)
    batch = DomainBatch.collect(**data)
    for domain in ('source', 'target'):
        key = f'{domain}.aux_0.loss_image'
        assert (key in losses) == (domain in domains)
        if domain in domains:
            images = getattr(batch, domain)
            expansion = model.student.auxiliary_head
            maps = expansion(model.student.extract_feat(images.images))
            assert_close(
                losses[key], expansion.loss_by_pixel_labels(maps, images.labels)['loss_image']
            )


# ------------------------------------------------------------------------------------ what is shown


def test_class_activation_maps() -> None:
    model = make(r=(0.5, 1.5)).eval()
    data = model.data_preprocessor(toys.batch(1), True)
    data['data_samples']['target'][0].image_label = torch.tensor([0.1, 0.2, 0.1, 0.6])
    batch = DomainBatch.collect(**data)
    shown = model.visualize(batch)
    assert list(shown) == [
        f'class {c}: {what}' for c in (3, 1) for what in ('unit r=0.5', 'unit r=1.5', 'fine')
    ]
    features = model.extract_feat(batch.target.images)
    assert_close(
        shown['class 1: unit r=1.5'], model.expansion.units[1].forward(features)[0, 1].detach()
    )
    assert_close(shown['class 3: fine'], model.decode_head.forward(features)[0, 3].detach())
    del batch.target.samples[0].image_label
    assert model.visualize(batch) == {}


# ------------------------------------------------------------------------------------------ errors


def test_image_labels_are_missing() -> None:
    model = make()
    data = prepared(model)
    del data['data_samples']['target'][1].image_label
    with pytest.raises(
        ValueError,
        match='PIT: expected target images with image-level labels, but got none; write '
        r"dict\(type='LoadImageLabels', label_file=...\) into "
        'train_dataloader.target.dataset.pipeline',
    ):
        model(**data, mode='loss')


def test_image_labels_of_other_classes() -> None:
    model = make()
    data = prepared(model)
    for sample in data['data_samples']['target']:
        sample.image_label = torch.ones(3)
    with pytest.raises(
        ValueError,
        match='PIT: expected image-level labels of 4 classes, as the student predicts, but got 3',
    ):
        model(**data, mode='loss')


@pytest.mark.parametrize('heads', [None, CLASSIFIER, [toys.expanded_cfg()['auxiliary_head']] * 2])
def test_one_expansion_head(heads: Any) -> None:
    segmentor = dict(toys.segmentor_cfg(), auxiliary_head=copy.deepcopy(heads))
    number = 2 if isinstance(heads, list) else 0
    with pytest.raises(
        TypeError,
        match=f'PIT.segmentor.auxiliary_head: expected one expansion head, but got {number}; '
        "write dict.type='LSEExpansionHead'",
    ):
        MODELS.build(dict(type='PIT', segmentor=segmentor))


def test_classes_agree() -> None:
    with pytest.raises(
        ValueError,
        match=r'PIT.segmentor.auxiliary_head\[0\].num_classes: expected 4, .* but got 3',
    ):
        make(unit=dict(CLASSIFIER, num_classes=3))
