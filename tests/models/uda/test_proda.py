"""ProDA: its stages from the bare parts of the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import toys
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.artifacts.checkpoint import load_checkpoint
from mmseg_uda.datasets.batch_transforms import View
from mmseg_uda.models import FixedTeacher
from mmseg_uda.structures import DomainBatch

QUARTER = (6, 8)  # of the views, 24 x 32


def batch_of(model: nn.Module) -> DomainBatch:
    return DomainBatch.collect(**model.data_preprocessor(toys.batch(), True))


def losses_of(model: nn.Module) -> dict[str, Tensor]:
    return model.train()(**model.data_preprocessor(toys.batch(), True), mode='loss')


def views_of(model: nn.Module) -> tuple[View, Tensor, View, Tensor]:
    """The views and the images of an iteration, which follow from the images' seeds."""
    target = batch_of(model).target
    weak = model.weak_view(target.images, target.generators)
    images = weak.warp(target.images)
    scale = model.data_preprocessor.scale()
    changed, strong = model.strong_view(images, **scale, generators=target.generators)
    return weak, images, strong, changed


def distance_logits(features: Tensor, model: nn.Module) -> Tensor:
    """-d to each prototype, by hand; the last class has none."""
    mu = model.prototypes.values
    logits = [-(features - v.view(1, -1, 1, 1)).square().sum(1).sqrt() for v in mu[:-1]]
    return torch.stack([*logits, torch.full_like(logits[0], -1e6)], 1)


def features_and_logits(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    (features,) = network.backbone(images)
    return features, sum(branch(features) for branch in network.decode_head.branches)


# ---------------------------------------------------------------------------------------- stage 1


def test_equations_of_stage_1() -> None:
    model = toys.shaken('proda')
    losses = losses_of(model)
    weak, images, strong, changed = views_of(model)
    with torch.no_grad():
        whole, _ = features_and_logits(model.teacher.module, batch_of(model).target.images)
        teacher = weak.warp(whole, QUARTER)
        soft = torch.stack([toys.soft_label(i).float() for i in (0, 1)])
        aligned = model.student.decode_head.align_corners
        soft = F.interpolate(soft, whole.shape[2:], mode='bilinear', align_corners=aligned)
        omega = distance_logits(teacher, model).softmax(1)
        label = (omega * weak.warp(soft, QUARTER)).argmax(1)
    _, logits = features_and_logits(model.student, images)
    prob = logits.softmax(1)
    own = prob.gather(1, label.unsqueeze(1))
    assert_close(losses['weak.decode.loss_denoised_ce'], -0.1 * own.log().mean())
    assert_close(
        losses['weak.decode.loss_denoised_rce'], 9.2103404 * (1 - own).mean(), atol=1e-4, rtol=0
    )
    assert_close(losses['weak.decode.loss_denoised_reg'], -0.1 * prob.log().mean())

    features, _ = features_and_logits(model.student, changed)
    z_t = strong.warp(distance_logits(teacher, model).softmax(1), QUARTER, mode='nearest')
    z_s = distance_logits(features, model).log_softmax(1)
    shown = z_t.sum(1) > 0
    terms = (torch.xlogy(z_t, z_t) - z_t * z_s).sum(1)[shown]
    assert 0 < shown.float().mean() < 1
    assert_close(losses['strong.decode.loss_structure'], 10 * terms.mean() / 4)


def test_structure_per_pixel() -> None:
    """The same term, for which the weight is divided by the number of classes."""
    element = losses_of(toys.shaken('proda'))['strong.decode.loss_structure']
    model = toys.shaken('proda', structure_per='pixel', lambda_structure=2.5)
    assert_close(losses_of(model)['strong.decode.loss_structure'], element)


def test_sure_soft_labels_stay() -> None:
    """One-hot labels are those of the warm-up, whatever the prototypes say."""
    model = toys.shaken('proda')
    batch = batch_of(model)
    for sample in batch.target.samples:
        hard = sample.soft_label.argmax(0, keepdim=True)
        sample.soft_label = torch.zeros_like(sample.soft_label).scatter_(0, hard, 1.0)
    view = View(torch.eye(2, 3).repeat(2, 1, 1), toys.SIZE)
    model.prototypes.counts.fill_(1)
    _, labels = model.denoise(batch.target, view)
    soft = F.interpolate(batch.target.soft_labels, (8, 12), mode='bilinear', align_corners=False)
    certain = soft.amax(1) == 1
    assert certain.any()
    assert labels[certain].equal(soft.argmax(1)[certain])


@pytest.mark.parametrize('threshold', [0.0, 0.6, 1.0])
def test_threshold(threshold: float) -> None:
    model = toys.shaken('proda', pseudo_threshold=threshold)
    _, labels = model.denoise(batch_of(model).target, views_of(model)[0])
    share = (labels != 255).float().mean()
    assert {0.0: share == 1, 0.6: 0 < share < 1, 1.0: share < 0.5}[threshold]


def test_a_class_without_a_prototype_gets_no_label() -> None:
    model = toys.shaken('proda', pseudo_threshold=0.0)
    batch = batch_of(model)
    for sample in batch.target.samples:
        sample.soft_label = torch.zeros_like(sample.soft_label)
        sample.soft_label[0, :, :3], sample.soft_label[1, :, 3:] = 1, 1
    model.prototypes.counts.fill_(1)
    model.prototypes.counts[1] = 0
    view = View(torch.eye(2, 3).repeat(2, 1, 1), toys.SIZE)
    _, labels = model.denoise(batch.target, view)
    assert set(labels.unique().tolist()) == {0, 255}
    assert (labels[:, :, 0] == 0).all()
    assert (labels[:, :, -1] == 255).all()


def test_prototypes_move_after_the_step() -> None:
    """To the teacher's means over whole images, one image after the other."""
    model = toys.shaken('proda')
    before = model.prototypes.values.clone()
    losses_of(model)
    assert model.prototypes.values.equal(before)
    with torch.no_grad():
        images = batch_of(model).target.images
        features, logits = features_and_logits(model.teacher.module, images)
    expected, counts = before.clone(), model.prototypes.counts.clone()
    for feature, label in zip(features, logits.argmax(1)):
        for c in range(4):
            if (label == c).sum() >= 2:
                m = 0.1 if counts[c] else 1.0
                expected[c] = (1 - m) * expected[c] + m * feature[:, label == c].mean(1)
                counts[c] += 1
    model.after_step()
    assert_close(model.prototypes.values, expected)
    assert model.prototypes.counts.equal(counts)
    assert not model.prototypes.values.equal(before)
    again = model.prototypes.values.clone()
    model.after_step()  # no images, no move
    assert model.prototypes.values.equal(again)


def test_a_run_updates_and_saves_prototypes(tmp_path: Path) -> None:
    cfg = toys.runner_cfg(tmp_path, tmp_path / 'run', toys.method_cfg('proda'), max_iters=3)
    runner = Runner.from_cfg(cfg)
    runner.train()
    saved = load_checkpoint(tmp_path / 'run' / 'iter_3.pth')['state_dict']
    assert saved['prototypes.values'].equal(runner.model.prototypes.values)
    assert 0 < int(saved['prototypes.counts'].max()) <= 6  # three batches of two images


def test_a_classifier_with_its_own_features() -> None:
    """The default: the input of mmseg's ``conv_seg``."""
    head = dict(
        type='ASPPGNHead', in_channels=8, in_index=-1, channels=16, num_classes=4,
        dilations=(1,), num_groups=2,
    )  # fmt: skip
    model = toys.build(
        'proda', segmentor=toys.segmentor_cfg(head), feature_at='decode_head.conv_seg'
    )
    assert model.prototypes.values.shape == (4, 16)
    losses = losses_of(model)
    loss, _ = model.parse_losses(losses)
    loss.backward()
    for name, param in model.student.named_parameters():
        assert param.grad is not None, name


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (dict(structure_per='image'), 'ProDA.structure_per: expected one of'),
        (dict(reduction=0), 'ProDA.reduction: expected an integer of at least 1, but got 0'),
        (dict(tau=0), r'ProDA.tau: expected a number in \(0, inf\), but got 0'),
        (dict(prototype_momentum=2), r'ProDA.prototype_momentum: expected a number in \[0, 1\]'),
        (dict(min_pixels=-1), 'ProDA.min_pixels: expected an integer of at least 0, but got -1'),
        (dict(lambda_reg=-1.0), r'ProDA.lambda_reg: expected a number in \[0, inf\), but got -1.0'),
        (dict(pseudo_threshold=2), r'ProDA.pseudo_threshold: expected a number in \[0, 1\]'),
        (
            dict(feature_at='decode_head.conv_seg'),
            'ProDA.feature_at: expected the name of a convolution of EncoderDecoder, but got '
            "'decode_head.conv_seg'",
        ),
        (dict(feature_at='backbone.norm'), 'ProDA.feature_at: expected the name of a convolution'),
    ],
)
def test_errors(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        toys.build('proda', **changes)


def test_errors_of_a_batch() -> None:
    model = toys.build('proda')
    data = model.data_preprocessor(toys.batch(), True)
    data['data_samples']['target'][0].set_metainfo(dict(img_shape=(20, 48)))
    with pytest.raises(ValueError, match=r'of one size, but got padded ones of \(32, 48\)'):
        model(**data, mode='loss')
    del data['data_samples']['target'][0].soft_label
    with pytest.raises(ValueError, match='ProDA: expected target images with soft labels, but got'):
        model(**data, mode='loss')
    model.iteration = None
    with pytest.raises(RuntimeError, match='ProDA.iteration: expected a number, but got None'):
        model(**data, mode='loss')


# --------------------------------------------------------------------------------- stages 2 and 3


@pytest.mark.parametrize('form', ['kl', 'official'])
def test_equations_of_distillation(form: str) -> None:
    model = toys.shaken('distillation', form=form, lambda_kd=0.5)
    losses = losses_of(model)
    weak, _, strong, changed = views_of(model)
    labels = batch_of(model).target.labels
    labels = strong.warp_labels(weak.warp_labels(labels, 255), 255)
    _, logits = features_and_logits(model.student, changed)
    full = F.interpolate(logits, (24, 32), mode='bilinear', align_corners=True)
    assert_close(losses['strong.decode.loss_ce'], F.cross_entropy(full, labels, ignore_index=255))
    with torch.no_grad():
        _, teacher = features_and_logits(model.fixed_teacher.module, changed)
    p_t, p_s = teacher.softmax(1), logits.softmax(1)
    terms = p_t * (p_t.log() - (p_s.log() if form == 'kl' else p_s))
    assert_close(losses['strong.decode.loss_kd'], 0.5 * terms.mean())


def test_sam_regularises_the_source_and_the_strong_view() -> None:
    losses = losses_of(toys.shaken('distillation_sam'))
    assert [key for key in losses if '.sam.' in key] == [
        f'{domain}.sam.loss_self_attention' for domain in ('source', 'strong')
    ]


def test_fixed_teacher(tmp_path: Path) -> None:
    """It comes from its file alone, never from a checkpoint of the training, and never trains."""
    trained = toys.shaken('source_only')
    torch.save(dict(state_dict=trained.state_dict()), tmp_path / 'stage.pth')
    cfg = dict(type='FixedTeacher', segmentor=toys.segmentor_cfg())
    model = toys.build(
        'distillation', fixed_teacher=dict(cfg, checkpoint=str(tmp_path / 'stage.pth'))
    )
    model.train()
    teacher = model.fixed_teacher.module
    for key, value in trained.student.state_dict().items():
        assert teacher.state_dict()[key].equal(value), key
    assert not teacher.training
    assert not any(param.requires_grad for param in teacher.parameters())
    assert not any('fixed_teacher' in key for key in model.state_dict())
    before = teacher.backbone.stem.weight.clone()
    model.load_state_dict(toys.shaken('distillation').state_dict(), strict=True)
    assert teacher.backbone.stem.weight.equal(before)

    missing = toys.build('distillation', fixed_teacher=dict(cfg, checkpoint='missing.pth'))
    with pytest.raises(FileNotFoundError, match='FixedTeacher.checkpoint: expected the checkpoint'):
        losses_of(missing)
    torch.save(dict(state_dict={'student.x': torch.ones(1)}), tmp_path / 'stage.pth')
    other = FixedTeacher(toys.segmentor_cfg(), str(tmp_path / 'stage.pth'))
    with pytest.raises(ValueError, match='FixedTeacher.checkpoint: expected a checkpoint of this'):
        other.init_weights()


def test_errors_of_distillation() -> None:
    with pytest.raises(ValueError, match="Distillation.form: expected one of .* but got 'l2'"):
        toys.build('distillation', form='l2')
    with pytest.raises(ValueError, match=r'Distillation.lambda_kd: expected a number in \[0, inf'):
        toys.build('distillation', lambda_kd=-1.0)
    segmentor = toys.segmentor_cfg()
    segmentor['decode_head'] = dict(segmentor['decode_head'], num_classes=5)
    with pytest.raises(ValueError, match='expected 4 outputs, as the student has, but got 5'):
        toys.build('distillation', fixed_teacher=dict(type='FixedTeacher', segmentor=segmentor))
    model = toys.build('distillation')
    data = model.data_preprocessor(toys.batch(pseudo=False), True)
    with pytest.raises(ValueError, match='Distillation: expected target images with pseudo labels'):
        model(**data, mode='loss')
