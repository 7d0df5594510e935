"""What is MeanTeacher's own; the rest is in ``test_methods.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import toys
from mmengine.config import ConfigDict
from mmseg.models.utils import resize
from mmseg.registry import MODELS, TRANSFORMS
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.datasets.batch_transforms import Mixer
from mmseg_uda.engine.observe import preserve_state
from mmseg_uda.structures import DomainBatch, SegOutput, TeacherPrediction

HALF = toys.SIZE[1] // 2


@TRANSFORMS.register_module(force=True)
class LeftFromSource(Mixer):
    """The left half comes from the source."""

    def mask(
        self, batch: DomainBatch, teacher: TeacherPrediction, iteration: int, generators: Any = None
    ) -> Tensor:
        mask = torch.zeros_like(batch.source.images[:, :1])
        mask[..., :HALF] = 1
        return mask


@TRANSFORMS.register_module(force=True)
class Darker(nn.Module):
    """An augmentation; notes how it was told that images are normalised."""

    def forward(self, images: Tensor, mean: Any, std: Any, bgr: bool, generators: Any) -> Tensor:
        self.scale = dict(mean=mean, std=std, bgr=bgr)
        return images - 0.5


@MODELS.register_module(force=True)
class TopCounts(nn.Module):
    """Significance: the upper half, and a share of the rest that grows with the iteration."""

    def forward(
        self, teacher: nn.Module, images: Tensor, iteration: int, generators: Any
    ) -> Tensor:
        result = torch.ones_like(images[:, 0])
        result[:, toys.SIZE[0] // 2 :] = iteration / 10
        return result


def shaken(**changes: Any) -> nn.Module:
    """A student and a teacher that differ."""
    return toys.shaken('mean_teacher', **changes).train()


def losses_of(model: nn.Module) -> tuple[dict[str, Tensor], DomainBatch]:
    data = model.data_preprocessor(toys.batch(), True)
    return model(**data, mode='loss'), DomainBatch.collect(**data)


def probabilities(network: nn.Module, images: Tensor) -> Tensor:
    logits = network.decode_head(network.backbone(images))
    return resize(logits, size=toys.SIZE, mode='bilinear', align_corners=True).softmax(1)


def cross_entropy(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Of each pixel; 0 for ignored ones."""
    return F.nll_loss(
        probabilities(network, images).log(), labels, ignore_index=255, reduction='none'
    )


# ------------------------------------------------------------------------------------- objective


@pytest.mark.parametrize('label_weight', ['ratio', 'batch_ratio', 'scalar', 'pixel', None])
def test_plain_mean_teacher(label_weight: str | None) -> None:
    """Source CE, and CE on the target from the teacher's labels, weighed by its confidence."""
    model = shaken(label_weight=label_weight, pseudo_threshold=0.97)
    losses, batch = losses_of(model)
    conf, label = probabilities(model.teacher.module, batch.target.images).max(1)
    confident = (conf >= 0.97).float()
    weight = {
        'ratio': confident.mean((1, 2), keepdim=True),
        'batch_ratio': confident.mean(),
        'scalar': confident.mean(),
        'pixel': confident,
        None: torch.ones(()),
    }[label_weight]
    source = cross_entropy(model.student, batch.source.images, batch.source.labels)
    terms = cross_entropy(model.student, batch.target.images, label)
    right = probabilities(model.student, batch.target.images).argmax(1) == label
    expected = {
        'source.decode.loss_ce': source.sum() / (batch.source.labels != 255).sum(),
        'target.decode.loss_con': 0.5 * (weight * terms).mean(),
        'pseudo.confident_ratio': confident.mean(),
        'target.decode.agreement': right.float().mean(),
    }
    del losses['source.decode.acc_seg']
    assert_close(losses, expected)
    assert 0 < confident.mean() < 1
    assert confident[0].mean() != confident[1].mean()


@pytest.mark.parametrize('iteration', [0, 3])
def test_algorithm_1(iteration: int) -> None:
    """Images, labels, weights and significance are mixed by one mask; only images augmented."""
    model = shaken(
        mixer=dict(type='LeftFromSource'),
        significance=dict(type='TopCounts'),
        augment=dict(type='Darker'),
        label_weight='ratio',
        pseudo_threshold=0.97,
        consistency=dict(type='ConsistencyLoss'),
    )
    model.iteration = iteration
    losses, batch = losses_of(model)
    conf, label = probabilities(model.teacher.module, batch.target.images).max(1)
    x_m, y_m = batch.target.images.clone(), label.clone()
    x_m[..., :HALF] = batch.source.images[..., :HALF]
    y_m[..., :HALF] = batch.source.labels[..., :HALF]
    u_m, weight = torch.ones_like(conf), (conf >= 0.97).float().mean((1, 2), keepdim=True)
    u_m[:, toys.SIZE[0] // 2 :, HALF:] = iteration / 10
    weight = weight.expand_as(conf).clone()
    weight[..., :HALF] = 1
    terms = cross_entropy(model.student, x_m - 0.5, y_m)
    assert_close(losses['mix.decode.loss_con'], (u_m * weight * terms).sum() / u_m.sum())
    assert_close(losses['pseudo.significant_ratio'], torch.tensor(0.5 + iteration / 20))
    right = probabilities(model.student, x_m - 0.5).argmax(1) == label
    assert_close(losses['mix.decode.agreement'], right[..., HALF:].float().mean())
    assert losses['mix.source_ratio'] == 0.5
    assert model.augment.scale['bgr']
    assert_close(model.augment.scale['mean'].flatten(), torch.full((3,), 127.0))
    assert_close(model.augment.scale['std'].flatten(), torch.full((3,), 64.0))


@pytest.mark.parametrize('mixer', [None, dict(type='LeftFromSource')])
def test_mse_of_the_published_code(mixer: dict[str, str] | None) -> None:
    """q times the mean of (softmax of the mixed image - softmax of the unmixed target)^2."""
    model = shaken(
        mixer=mixer,
        augment=dict(type='Darker'),
        label_weight='scalar',
        pseudo_threshold=0.97,
        consistency=dict(
            type='ConsistencyLoss',
            kind='mse',
            target='unmixed_probability',
            normalize='official',
        ),
    )
    losses, batch = losses_of(model)
    teacher = probabilities(model.teacher.module, batch.target.images)
    x_m = batch.target.images.clone()
    if mixer:
        x_m[..., :HALF] = batch.source.images[..., :HALF]
    q = (teacher.amax(1) >= 0.97).float().mean()
    assert 0 < q < 1
    expected = q * (probabilities(model.student, x_m - 0.5) - teacher).square().mean()
    assert_close(losses['mix.decode.loss_con' if mixer else 'target.decode.loss_con'], expected)


def test_scalar_weight_weighs_the_source_too() -> None:
    model = shaken(
        mixer=dict(type='LeftFromSource'),
        label_weight='scalar',
        pseudo_threshold=0.97,
        consistency=dict(type='ConsistencyLoss', normalize='official'),
    )
    losses, batch = losses_of(model)
    conf, label = probabilities(model.teacher.module, batch.target.images).max(1)
    x_m, y_m = batch.target.images.clone(), label.clone()
    x_m[..., :HALF] = batch.source.images[..., :HALF]
    y_m[..., :HALF] = batch.source.labels[..., :HALF]
    terms = cross_entropy(model.student, x_m, y_m)
    expected = (conf >= 0.97).float().mean() * terms.mean()
    assert_close(losses['mix.decode.loss_con'], expected)


def test_a_further_consistency_term() -> None:
    """A subclass adds a pass; the teacher predicts once, and each pass has names of its own."""
    model = shaken(
        type='ToyMaskedTeacher', mixer=dict(type='LeftFromSource'), pseudo_threshold=0.97
    )
    predicted = []
    model.teacher.register_forward_hook(lambda *_: predicted.append(1))
    losses, batch = losses_of(model)
    assert predicted == [1]
    assert {key for key in losses if not key.startswith('source')} == {
        'mix.decode.loss_con',
        'mix.decode.agreement',
        'masked.decode.loss_con',
        'masked.decode.agreement',
        'mix.source_ratio',
        'pseudo.confident_ratio',
    }
    label = probabilities(model.teacher.module, batch.target.images).argmax(1)
    masked = batch.target.images.clone()
    masked[..., ::4] = 0
    terms = cross_entropy(model.student, masked, label)
    assert_close(losses['masked.decode.loss_con'], 0.5 * terms.mean())
    right = probabilities(model.student, masked).argmax(1) == label
    assert_close(losses['masked.decode.agreement'], right.float().mean())


def test_gradients_reach_the_student_alone() -> None:
    model = shaken(mixer=dict(type='ClassMix'), significance=toys.SIGNIFICANCE)
    losses, _ = losses_of(model)
    losses['mix.decode.loss_con'].backward()
    assert all(param.grad is not None for param in model.student.parameters())
    assert all(param.grad is None for param in model.teacher.parameters())


def test_labels_that_weigh_nothing() -> None:
    losses, _ = losses_of(toys.build('mean_teacher', label_weight='pixel').train())
    assert losses['pseudo.confident_ratio'] == 0
    assert losses['target.decode.loss_con'] == 0


def test_auxiliary_heads_learn_from_the_source() -> None:
    segmentor = toys.segmentor_cfg()
    segmentor['auxiliary_head'] = dict(segmentor['decode_head'])
    losses, _ = losses_of(shaken(segmentor=segmentor, mixer=dict(type='CutMix')))
    assert {key for key in losses if 'loss' in key} == {
        'source.decode.loss_ce',
        'source.aux_0.loss_ce',
        'mix.decode.loss_con',
    }


@pytest.mark.parametrize(
    ('mixed', 'domains'),
    [(False, ['target']), (True, ['mix']), (True, ['mix', 'target']), (False, ['source'])],
)
def test_regularizers_see_the_passes_that_they_ask_for(mixed: bool, domains: list[str]) -> None:
    sam = dict(toys.SELF_ATTENTION_LOSS, domains=domains)
    mixer = dict(type='CutMix') if mixed else None
    losses, _ = losses_of(shaken(mixer=mixer, regularizers=dict(sam=sam)))
    expected = [f'{domain}.sam.loss_self_attention' for domain in domains]
    assert [key for key in losses if 'sam' in key] == expected


def test_regularizers_get_the_images_and_labels_of_the_pass() -> None:
    class Look(nn.Module):
        def forward(self, output: SegOutput) -> dict[str, Tensor]:
            seen[output.domain] = output.batch
            return {}

    seen: dict[str, Any] = {}
    model = shaken(mixer=dict(type='LeftFromSource'))
    model.regularizers['look'] = Look()
    _, batch = losses_of(model)
    assert seen['source'].images is batch.source.images
    assert seen['source'].labels.equal(batch.source.labels)
    assert seen['mix'].labels[..., :HALF].equal(batch.source.labels[..., :HALF])
    assert model._passes == []


def test_average_with_the_mirrored_image() -> None:
    """Of probabilities, not of logits."""
    model = shaken(teacher=dict(type='EMATeacher', mode='eval', mirrored=True))
    _, batch = losses_of(model)
    images, teacher = batch.target.images, model.teacher.module
    mirrored = probabilities(teacher, images.flip(3)).flip(3)
    expected = (probabilities(teacher, images) + mirrored) / 2
    found = model.predict_target(batch.target)
    assert_close(found.probabilities, expected)
    assert_close((found.confidence, found.label), tuple(expected.max(1)))
    logits = teacher.decode_head(teacher.backbone(images))
    flipped = teacher.decode_head(teacher.backbone(images.flip(3))).flip(3)
    other = resize((logits + flipped) / 2, size=toys.SIZE, mode='bilinear', align_corners=True)
    assert (other.softmax(1) - expected).abs().max() > 1e-3


def test_attention_of_dast() -> None:
    """It looks at mixed images and at those of the teacher, which has its own."""
    model = shaken(segmentor=toys.attended_cfg(), mixer=dict(type='CutMix'))
    before = losses_of(model)[0]['mix.decode.loss_con']
    torch.manual_seed(0)
    expected = losses_of(model)[0]
    for network in (model.student, model.teacher.module):
        network.attention.attend = False
        torch.manual_seed(0)
        losses = losses_of(model)[0]
        network.attention.attend = True
        assert losses['source.decode.loss_ce'] == expected['source.decode.loss_ce']
        assert losses['mix.decode.loss_con'] != expected['mix.decode.loss_con']
    assert before.isfinite()


# ----------------------------------------------------------------------------- what others see


def test_begins_as_the_student() -> None:
    model = toys.build('mean_teacher', segmentor=toys.segmentor_cfg(batch_norm=True))
    assert_close(model.teacher.module.state_dict(), model.student.state_dict(), atol=0, rtol=0)
    assert model.student.decode_head.branches[0].weight.any()


@pytest.mark.parametrize('eval_on', ['student', 'teacher'])
def test_eval_on(eval_on: str) -> None:
    segmentor = ConfigDict(toys.segmentor_cfg(batch_norm=True))
    model = shaken(eval_on=eval_on, segmentor=segmentor).eval()
    network, other = model.student, model.teacher.module
    if eval_on == 'teacher':
        network, other = other, network
    images = torch.randn(2, 3, *toys.SIZE)
    metas = [dict(img_shape=toys.SIZE)] * 2
    with torch.no_grad():
        assert model(images).equal(network(images))
        assert not model(images).equal(other(images))
        assert model.encode_decode(images, metas).equal(network.encode_decode(images, metas))
        assert model.extract_feat(images)[0].equal(network.extract_feat(images)[0])
        data = toys.batch(pseudo=False)['target']
        predicted = model.test_step(data)
        expected = network.predict(model.data_preprocessor(data)['inputs'])
        for ours, theirs in zip(predicted, expected):
            assert ours.seg_logits.data.equal(theirs.seg_logits.data)
    assert model.backbone is network.backbone
    assert model.decode_head is network.decode_head


def test_panel() -> None:
    model = shaken(mixer=dict(type='LeftFromSource'), significance=dict(type='TopCounts'))
    data = model.data_preprocessor(toys.batch(1), True)
    batch = DomainBatch.collect(**data)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with preserve_state(model):
        maps = model.visualize(batch)
    assert list(maps) == [
        'teacher label',
        'teacher confidence',
        'significance',
        'mask: 1 = source',
        'mixed image',
        'mixed label',
        'mixed significance',
    ]
    assert maps['mask: 1 = source'][:, :HALF].all()
    assert not maps['mask: 1 = source'][:, HALF:].any()
    raw = toys.batch(1)
    mixed = torch.cat(
        [raw['source']['inputs'][0][..., :HALF], raw['target']['inputs'][0][..., HALF:]], -1
    )
    assert_close(maps['mixed image'], mixed.flip(0) / 255, atol=1e-6, rtol=0)
    assert maps['mixed label'][:, :HALF].equal(batch.source.labels[0, :, :HALF])
    assert maps['mixed label'][:, HALF:].equal(maps['teacher label'][:, HALF:])
    assert_close(
        maps['teacher confidence'],
        probabilities(model.teacher.module, batch.target.images)[0].amax(0),
    )
    assert maps['significance'].shape == maps['mixed significance'].shape == toys.SIZE
    assert_close(model.state_dict(), before, atol=0, rtol=0)
    with preserve_state(model):
        plain = shaken().visualize(batch)
    assert set(maps) - set(plain) == {'significance', 'mixed significance'}


def test_panels_in_training(tmp_path: Path) -> None:
    """One per logged iteration, and training is the same with and without them."""
    weights = []
    for panels in (False, True):
        hooks = [
            dict(type='EMATeacherHook'),
            *([dict(type='UDAVisualizationHook', interval=2)] if panels else []),
        ]
        cfg = toys.runner_cfg(
            tmp_path, tmp_path / f'run{panels}', toys.method_cfg('camix'), 4, custom_hooks=hooks
        )
        weights.append(toys.train(cfg).model.state_dict())
    assert_close(weights[0], weights[1], atol=0, rtol=0)
    assert len(list(tmp_path.glob('runTrue/**/train_*.png'))) == 2


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ('changes', 'error', 'match'),
    [
        (
            dict(label_weight='image'),
            ValueError,
            "MeanTeacher.label_weight: expected one of .* but got 'image'",
        ),
        (dict(eval_on='ema'), ValueError, "one of .'student', 'teacher'., but got 'ema'"),
        (
            dict(pseudo_threshold=96.8),
            ValueError,
            'pseudo_threshold: expected a number in .0, 1., but got 96.8',
        ),
        (
            dict(mixer=dict(type='RandomFlip', prob=0.5)),
            TypeError,
            'MeanTeacher.mixer: expected a mixer of two domains, but got RandomFlip; write',
        ),
        (
            dict(mixer=dict(type='ContextMix', meta_classes={6: (5,)})),
            ValueError,
            'ContextMix.meta_classes: expected classes 0..3 of the student, but got class 6; '
            'correct meta_classes or num_classes',
        ),
    ],
)
def test_wrong_arguments(changes: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        toys.build('mean_teacher', **changes)


def test_old_name_of_the_label_weight() -> None:
    cfg = toys.method_cfg('mean_teacher')
    del cfg['label_weight']
    with pytest.warns(DeprecationWarning, match='please use "label_weight" instead'):
        model = MODELS.build(dict(cfg, confidence='batch_ratio'))
    assert model.label_weight == 'batch_ratio'
    assert MODELS.build(cfg).label_weight == 'ratio'


def test_without_an_iteration() -> None:
    model = MODELS.build(toys.method_cfg('mean_teacher'))
    with pytest.raises(
        RuntimeError, match='MeanTeacher.iteration: expected a number, but got None; write'
    ):
        losses_of(model)
