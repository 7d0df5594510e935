"""What CAMix and PIT prescribe, config by config, and the mixing of papers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import toys
from config_files import ALL, FOLDER, load, read
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from test_paper_configs import decay_of, rates_of

from mmseg_uda.config.building import build_model, build_optimizers
from mmseg_uda.datasets.batch_transforms import StrongAugment
from mmseg_uda.models.data_preprocessor import UDADataPreprocessor
from mmseg_uda.models.layers import self_attention

CAMIX = 'camix/camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py'
TEACHER = 'mean_teacher/mean-teacher_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py'
PIT = 'pit/pit_r101-deeplabv2_1xb4-200k_gta2cityscapes-1280x640.py'
OURS = [name for name in ALL if name.startswith(('camix/', 'mean_teacher/', 'pit/'))]
TEACHERS = [name for name in OURS if load(name).model.type == 'MeanTeacher']


@pytest.mark.parametrize('name', TEACHERS)
def test_teachers_have_what_they_need(name: str) -> None:
    cfg = load(name)
    assert [hook.type for hook in cfg.custom_hooks].count('EMATeacherHook') == 1
    assert (cfg.model.teacher.alpha, cfg.model.teacher.get('mode', 'train')) == (
        0.99,
        'eval' if name.endswith('_teacher-eval.py') else 'train',
    )
    assert cfg.model.get('pseudo_threshold', 0.968) == 0.968
    steps = [step.type for step in cfg.train_dataloader.target.dataset.pipeline]
    if (cfg.model.get('mixer') or {}).get('prior'):
        assert 'TrackPositions' in steps
    if 'TrackPositions' in steps:
        tracked = cfg.train_dataloader.target.dataset.pipeline[steps.index('TrackPositions')]
        resized = cfg.train_dataloader.target.dataset.pipeline[steps.index('Resize')]
        assert (tracked.width, tracked.height) == resized.scale  # each pixel is its own cell
        moving = [steps.index(each) for each in ('RandomCrop', 'RandomFlip') if each in steps]
        assert steps.index('Resize') < steps.index('TrackPositions') < min(moving)


def test_w_of_pit_with_the_backbones_rate() -> None:
    """The row plain-weights; by default w has the units' rate and decay."""
    row = PIT.replace('.py', '_plain-weights.py')
    for name, rate, decay in ((PIT, 2.5e-4, 5e-4), (row, 2.5e-5, 0.0)):
        cfg = load(name).to_dict()
        model = build_model(cfg)
        weight = dict(model.named_parameters())['student.auxiliary_head.reconstruction_weight']
        (group,) = (
            group
            for wrapper in build_optimizers(cfg, model).values()
            for group in wrapper.optimizer.param_groups
            if any(param is weight for param in group['params'])
        )
        assert group['lr'] == pytest.approx(rate)
        assert group['weight_decay'] == decay


def test_strong_augmentation_does_not_see_the_scale() -> None:
    """BGR in [0, 255] less a mean, or RGB of unit variance: the same pictures come out."""
    image = torch.randint(256, (3, 16, 24), dtype=torch.uint8)
    pictures = []
    for kind in ('caffe', 'torchvision'):
        base = read(FOLDER / f'_base_/models/deeplabv2_vgg16_{kind}.py')
        preprocessor = UDADataPreprocessor(base.model.data_preprocessor)
        sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 16, 24)))
        batch = preprocessor.target(dict(inputs=[image], data_samples=[sample]), True)
        augment = StrongAugment(jitter_prob=1.0, blur_prob=1.0)
        changed = augment(batch['inputs'], **preprocessor.scale(), generators=toys.generators(3, 1))
        pictures.append(preprocessor.pictures(changed))
        assert (pictures[-1] - preprocessor.pictures(batch['inputs'])).abs().max() > 0.01
    torch.testing.assert_close(*pictures, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    'name', [name for name in TEACHERS if load(name).model.get('significance')]
)
def test_noise_is_a_tenth_of_a_deviation_of_the_images(name: str) -> None:
    """A deviation is 1 where images are divided by it, and about 57 where they are not."""
    model = load(name).model
    divided = model.segmentor.data_preprocessor.std != [1.0] * 3
    deviation = 1.0 if divided else 57.0
    significance = model.significance
    assert significance.get('noise_std', 0.1) == pytest.approx(0.1 * deviation)
    assert significance.get('noise_clip', 0.2) == pytest.approx(0.2 * deviation)


@pytest.mark.parametrize(
    ('name', 'warmup', 'ramp'),
    [(CAMIX, 110000, 130000), (CAMIX.replace('gta2', 'synthia2'), 40000, 10000)],
)
def test_camix_settings(name: str, warmup: int, ramp: int) -> None:
    cfg = load(name)
    model, mixer, significance = cfg.model, cfg.model.mixer, cfg.model.significance
    assert mixer.meta_classes == {6: (5,), 7: (5,), 5: (6, 7), 12: (18, 17)}
    assert (mixer.share, mixer.warmup_iters, significance.ramp_iters) == (0.5, warmup, ramp)
    assert (significance.passes, significance.beta, significance.gamma) == (8, 0.75, -5.0)
    std = 57.0  # of images that are not divided
    assert model.segmentor.data_preprocessor.std == [1.0] * 3
    assert significance.noise_std == pytest.approx(0.1 * std)
    assert significance.noise_clip == pytest.approx(0.2 * std)
    assert (model.consistency.kind, model.consistency.normalize) == ('ce', 'significance')
    assert (model.eval_on, model.label_weight) == ('student', 'batch_ratio')
    rates_of(name, {'student.backbone.': ('SGD', 2.5e-4), 'student.decode_head.': ('SGD', 2.5e-3)})
    assert decay_of(name) == cfg.train_cfg.max_iters == 250000


@pytest.mark.parametrize('data', ['gta2cityscapes-1280x640', 'synthia2cityscapes-1280x760'])
@pytest.mark.parametrize('network', ['r101-deeplabv2', 'vgg16-fcn8s'])
def test_pit_settings(network: str, data: str) -> None:
    """Section 5.2: the same for both networks and both benchmarks."""
    name = f'pit/pit_{network}_1xb4-200k_{data}.py'
    segmentor = load(name).model.segmentor
    head = segmentor.auxiliary_head
    assert head.unit == segmentor.decode_head
    assert head.r == (0.5, 1.0, 1.5)
    assert head.loss_decode.loss_weight == head.loss_reconstruction.loss_weight == 0.5
    assert (head.image_label, head.loss_reconstruction.domains) == ('share', ('source', 'target'))
    heads = {f'student.{part}.': ('SGD', 2.5e-4) for part in ('decode_head', 'auxiliary_head')}
    rates_of(name, {'student.backbone.': ('SGD', 2.5e-5), **heads})
    assert decay_of(name) == load(name).train_cfg.max_iters == 200000


# ------------------------------------------------------------------ an iteration, in shapes only


def parts_of(name: str) -> str:
    model = copy.deepcopy(load(name).to_dict())['model']
    for switch in ('eval_on', 'teacher', 'consistency', 'label_weight'):
        model.pop(switch, None)
    for part in ('mixer', 'significance'):
        model[part] = (model.get(part) or {}).get('type')
    return repr(model)


@pytest.mark.parametrize(
    'name',
    [
        name if 'mobilenetv2' in name else pytest.param(name, marks=pytest.mark.slow)
        for name in {parts_of(name): name for name in OURS}.values()
    ],
)
def test_parts_fit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every network with its mixer: the losses of an iteration, without memory."""
    monkeypatch.setattr(self_attention, 'cosine_attend', lambda feature, value, chunk: value)
    cfg = copy.deepcopy(load(name).to_dict())
    for regularizer in cfg['model'].get('regularizers', {}).values():
        regularizer['allow_untrained'] = True
    if (cfg['model'].get('mixer') or {}).get('prior'):
        cfg['model']['mixer'].update(prior=None, warmup_iters=0)  # its file is not there
    model = build_model(cfg)
    model.iteration = 0
    label = PixelData(data=torch.zeros(1, 65, 97, dtype=torch.long, device='meta'))
    samples = {'source': SegDataSample(gt_sem_seg=label), 'target': SegDataSample()}
    samples['target'].image_label = torch.zeros(19, device='meta')
    images = torch.empty(1, 3, 65, 97, device='meta')
    losses = model.loss(
        dict.fromkeys(samples, images), {domain: [sample] for domain, sample in samples.items()}
    )
    assert losses['source.decode.loss_ce'].shape == ()
    student = 'mix' if cfg['model'].get('mixer') else 'target'
    assert (f'{student}.decode.loss_con' in losses) == (cfg['model']['type'] == 'MeanTeacher')
    assert ('mix.sam.loss_self_attention' in losses) == name.endswith('_sam.py')
    assert ('source.aux_0.loss_image' in losses) == name.endswith('512x512_pit.py')
    assert ('target.expansion.loss_image' in losses) == (cfg['model']['type'] == 'PIT')


# ------------------------------------------------------------------------------ papers, mixed


def step(model: Any, model_cfg: dict[str, Any]) -> dict[str, Any]:
    wrapper = build_optim_wrapper(model, toys.optim_wrapper_cfg(model_cfg))
    return model.train_step(toys.batch(pseudo=False), wrapper)


def test_camix_with_sam_and_pit() -> None:
    changes = dict(
        segmentor=toys.expanded_cfg(loss_reconstruction=None),
        regularizers=dict(sam=dict(toys.SELF_ATTENTION_LOSS, domains=('source', 'mix'))),
    )
    model = toys.build('camix', **changes)
    units = copy.deepcopy(model.student.auxiliary_head.state_dict())
    logs = step(model, toys.method_cfg('camix', **changes))
    assert {
        'source.aux_0.loss_image',
        'source.sam.loss_self_attention',
        'mix.sam.loss_self_attention',
        'mix.decode.loss_con',
    } <= logs.keys()
    assert all(
        not torch.equal(value, units[key])
        for key, value in model.student.auxiliary_head.state_dict().items()
    )


def test_discoverer_of_dast_stays_as_it_was() -> None:
    """In a mean teacher nobody trains it, so that config loads a trained one."""
    changes = dict(segmentor=toys.attended_cfg())
    model = toys.build('dacs', **changes)
    before = copy.deepcopy(model.state_dict())
    seen = []
    model.student.attention.discriminator.register_forward_hook(lambda *_: seen.append('student'))
    model.teacher.module.attention.discriminator.register_forward_hook(
        lambda *_: seen.append('teacher')
    )
    step(model, dict(toys.method_cfg('dacs'), segmentor={}))
    model.teacher.update(model.student)
    assert seen == ['teacher', 'student']  # target images, then mixed ones; never the source
    for key, value in model.state_dict().items():
        if 'attention.discriminator' in key:
            assert torch.equal(value, before[key]), key
    assert not torch.equal(
        model.student.backbone.stem.weight, before['student.backbone.stem.weight']
    )
    name = TEACHER.replace('.py', '_dast.py')
    dast = load('dast/dast_r101-deeplabv2_1xb1-150k_gta2cityscapes-1280x720.py')
    assert load(name).model.segmentor == dast.model.segmentor
    assert Path(load(name).load_from).name == f'iter_{dast.train_cfg.max_iters}.pth'
