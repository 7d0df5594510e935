"""CycleGAN's losses, computed again from its networks, and what each of them trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
import toys
import two_processes as processes
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.config.check import check_config
from mmseg_uda.structures import DomainBatch


def unlabelled(model: nn.Module) -> DomainBatch:
    """A batch of both domains without labels, as the model gets it."""
    return DomainBatch.collect(**model.data_preprocessor(toys.batch(labels=False), True))


def by_hand(model: nn.Module, a: Tensor, b: Tensor) -> dict[str, float]:
    """The losses in the words of the paper: A is the source, G_A makes images of B."""
    g_a, g_b = model.generators['target'], model.generators['source']
    d_a, d_b = model.discriminators['target'], model.discriminators['source']
    fake_b, fake_a = g_a(a), g_b(b)
    losses = {
        'source.loss_gan': sum((score - 1) ** 2 for score in d_a(fake_b).flatten())
        / d_a(fake_b).numel(),
        'target.loss_gan': ((d_b(fake_a) - 1) ** 2).sum() / d_b(fake_a).numel(),
        'source.loss_cycle': 10 * (g_b(fake_b) - a).abs().sum() / a.numel(),
        'target.loss_cycle': 10 * (g_a(fake_a) - b).abs().sum() / b.numel(),
        'source.loss_identity': 5 * (g_b(a) - a).abs().sum() / a.numel(),
        'target.loss_identity': 5 * (g_a(b) - b).abs().sum() / b.numel(),
        'disc.loss_target': 0.5 * (((d_a(b) - 1) ** 2).mean() + (d_a(fake_b) ** 2).mean()),
        'disc.loss_source': 0.5 * (((d_b(a) - 1) ** 2).mean() + (d_b(fake_a) ** 2).mean()),
        'disc.acc_target': 0.5
        * ((d_a(b) > 0.5).float().mean() + (d_a(fake_b) < 0.5).float().mean()),
        'disc.acc_source': 0.5
        * ((d_b(a) > 0.5).float().mean() + (d_b(fake_a) < 0.5).float().mean()),
    }
    return {key: float(value) for key, value in losses.items()}


def losses_of(model: nn.Module, batch: DomainBatch) -> dict[str, Tensor]:
    return {key: value for step in model.losses(batch) for key, value in step.items()}


def test_losses_are_those_of_the_paper() -> None:
    model = toys.shaken('cyclegan', pool_size=0)
    batch = unlabelled(model)
    a, b = batch.source.images, batch.target.images
    found = {key: float(value) for key, value in losses_of(model, batch).items()}
    assert found == pytest.approx(by_hand(model, a, b), abs=1e-5)


def test_images_are_scaled_to_the_range_of_tanh() -> None:
    model, data = toys.build('cyclegan'), toys.batch(labels=False)
    images = model.data_preprocessor(data, True)['inputs']
    for domain in ('source', 'target'):
        bgr = torch.stack(data[domain]['inputs']).float()
        assert_close(images[domain], bgr.flip(1) / 127.5 - 1)


@pytest.mark.parametrize(
    ('key', 'loss'), [('lambda_cycle', 'cycle'), ('lambda_identity', 'identity')]
)
def test_weights(key: str, loss: str) -> None:
    plain = toys.build('cyclegan')
    batch = unlabelled(plain)
    before = losses_of(plain, batch)
    after = losses_of(toys.build('cyclegan', **{key: 1.0}), batch)
    default = dict(lambda_cycle=10, lambda_identity=5)[key]
    for name, value in before.items():
        factor = default if name.endswith(f'loss_{loss}') else 1
        assert_close(value, factor * after[name], msg=name)
    absent = losses_of(toys.build('cyclegan', lambda_identity=0), batch)
    assert before.keys() - absent.keys() == {'source.loss_identity', 'target.loss_identity'}


def test_each_loss_trains_its_own_networks() -> None:
    """Those of the generators leave the discriminators without a gradient, and vice versa."""
    model = toys.build('cyclegan_semantic', lambda_identity=5.0)
    batch = unlabelled(model)
    for step in model.losses(batch):
        model.zero_grad(set_to_none=True)
        sum(value for key, value in step.items() if 'loss' in key).backward()
        trained = {
            name.split('.')[0] for name, param in model.named_parameters() if param.grad is not None
        }
        assert trained == {'discriminators' if 'disc.' in str(step) else 'generators'}, step.keys()


@pytest.mark.parametrize('kept', ['generators', 'discriminators'])
def test_a_step_of_one_side_leaves_the_other(kept: str) -> None:
    model = toys.build('cyclegan').train()
    wrapper = processes.joint_wrapper(model, 'cyclegan')
    wrapper.optim_wrappers[kept].optimizer.param_groups[0]['lr'] = 0.0
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.train_step(toys.batch(labels=False), wrapper)
    for key, value in model.named_parameters():
        assert value.equal(before[key]) == key.startswith(kept), key


def test_equals_two_steps_one_after_the_other() -> None:
    """CycleGAN steps the generators, then the discriminators on the translations made before."""
    model, twin = toys.shaken('cyclegan', pool_size=0).train(), toys.shaken('cyclegan').train()
    model.train_step(toys.batch(labels=False), processes.joint_wrapper(model, 'cyclegan'))
    batch = unlabelled(twin)
    a, b = batch.source.images, batch.target.images
    sides = (twin.generators, twin.discriminators)
    steps = [torch.optim.SGD(each.parameters(), lr=1e-3, momentum=0.9) for each in sides]
    fake_b, fake_a = twin.generators['target'](a), twin.generators['source'](b)
    d_a, d_b = (twin.discriminators[key] for key in ('target', 'source'))
    total = (d_a(fake_b) - 1).square().mean() + (d_b(fake_a) - 1).square().mean()
    for one, fake, domain in ((a, fake_b, 'source'), (b, fake_a, 'target')):
        total = total + 10 * (twin.generators[domain](fake) - one).abs().mean()
        total = total + 5 * (twin.generators[domain](one) - one).abs().mean()
    total.backward()
    steps[0].step()
    sides[1].zero_grad()
    for network, real, fake in ((d_a, b, fake_b), (d_b, a, fake_a)):
        loss = (network(real) - 1).square().mean() + network(fake.detach()).square().mean()
        (0.5 * loss).backward()
    steps[1].step()
    ours = dict(model.named_parameters())
    assert_close(ours, dict(twin.named_parameters()), atol=2e-6, rtol=0)


def test_discriminators_see_earlier_translations() -> None:
    """Of a full pool; the first batch fills one of two images, the second meets them."""
    model = toys.shaken('cyclegan', pool_size=2)
    seen: list[Tensor] = []
    for domain in ('source', 'target'):
        model.discriminators[domain].register_forward_pre_hook(
            lambda _, inputs: seen.append(inputs[0])
        )
    first = unlabelled(model)
    losses_of(model, first)
    stored = model.pools['target'].images.clone()
    with torch.no_grad():
        assert_close(stored, model.generators['target'](first.source.images))
    data = toys.batch(8, seed=10, labels=False)
    second = DomainBatch.collect(**model.data_preprocessor(data, True))
    seen.clear()
    losses_of(model, second)
    shown = seen[-2]  # the target's discriminator comes last: translated, then real
    new = model.generators['target'](second.source.images)
    exchanged = [not torch.allclose(one, other, atol=1e-6) for one, other in zip(shown, new)]
    assert 0 < sum(exchanged) < 8
    assert not model.pools['target'].images.equal(stored)


def test_labels_are_refused() -> None:
    model, data = toys.build('cyclegan'), toys.batch(labels=False)
    label = PixelData(data=torch.zeros(1, *toys.SIZE, dtype=torch.int64))
    for domain in ('source', 'target'):
        data = toys.batch(labels=False)
        data[domain]['data_samples'][0].gt_sem_seg = label
        with pytest.raises(
            ValueError,
            match=f'the {domain} sample .* carries ground truth .gt_sem_seg.; remove '
            f'LoadAnnotations from train_dataloader.{domain}.dataset.pipeline',
        ):
            model.data_preprocessor(data, True)


@pytest.mark.parametrize('domain', ['source', 'target'])
def test_labels_are_refused_before_anything_is_built(domain: str, tmp_path: Path) -> None:
    cfg = toys.runner_cfg(tmp_path / 'data', tmp_path / 'run', toys.method_cfg('cyclegan'))
    assert check_config(cfg) == []
    pipeline = cfg.train_dataloader[domain].dataset.pipeline
    pipeline[1:1] = [
        dict(type='LoadAnnotations'),
        dict(type='RandomCrop', crop_size=(8, 8), cat_max_ratio=0.75),
    ]
    place = f'train_dataloader.{domain}.dataset.pipeline'
    assert [str(problem) for problem in check_config(cfg)] == [
        f'{place}.1.type: LoadAnnotations loads labels of the {domain}; remove it',
        f'{place}.2.cat_max_ratio: RandomCrop looks at labels of the {domain}; write 1.0',
    ]


def test_translates_source_images() -> None:
    model = toys.build('cyclegan')
    images = torch.rand(1, 3, 17, 22)
    assert model(images).equal(model.generators['target'](images))
    with pytest.raises(ValueError, match="expected a mode 'loss' or 'tensor', but got 'predict'"):
        model(images, mode='predict')


def test_pictures_show_translations_and_cycles() -> None:
    model = toys.shaken('cyclegan').eval()
    batch = unlabelled(model)
    with torch.no_grad():
        pictures = model.visualize(batch)
        made = model.generators['target'](batch.source.images)
        cycle = model.generators['source'](made)
    assert list(pictures) == [
        f'{domain} {kind}'
        for kind in ('translated', 'cycle', 'identity')
        for domain in ('source', 'target')
    ]
    assert_close(pictures['source translated'], (made[0] + 1) / 2)
    assert_close(pictures['source cycle'], (cycle[0] + 1) / 2)


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (
            dict(lambda_cycle=-1.0),
            r'CycleGAN.lambda_cycle: expected a number in \[0, inf\), but got -1',
        ),
        (dict(lambda_identity=-0.5), r'CycleGAN.lambda_identity: expected a number in \[0, inf\)'),
        (dict(pool_size=-1), 'CycleGAN.pool_size: expected an integer of at least 0, but got -1'),
        (dict(backward='both'), "CycleGAN.backward: expected one of .*, but got 'both'"),
        (dict(data_preprocessor=dict()), 'CycleGAN.data_preprocessor: expected None, as images'),
        (
            dict(generator=dict(type='ResNetGenerator', num_blocks=0)),
            'ResNetGenerator.num_blocks: expected an integer of at least 1, but got 0',
        ),
    ],
)
def test_wrong_arguments(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        MODELS.build(toys.method_cfg('cyclegan', **changes))


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_mixed_precision(dtype: str) -> None:
    """Losses and the pool stay in fp32, and one iteration gives about the same weights."""
    logs = {}
    models = [toys.shaken('cyclegan').train() for _ in range(2)]
    for model, options in zip(models, (dict(dtype=dtype, loss_scale=8.0), {})):
        wrapper = processes.joint_wrapper(model, 'cyclegan', **options)
        logs[bool(options)] = model.train_step(toys.batch(labels=False), wrapper)
    for key, value in logs[True].items():
        assert value.dtype is torch.float32, key
        assert_close(value, logs[False][key], atol=0.05, rtol=0.05, msg=key)
    assert models[0].pools['target'].images.dtype is torch.float32
    weights = [dict(model.named_parameters()) for model in models]
    assert_close(*weights, atol=5e-3, rtol=0)


def test_hooks_watch_a_translation(tmp_path: Path) -> None:
    """Panels have source and target side by side; there is no prediction to check."""
    cfg = toys.runner_cfg(
        tmp_path / 'data',
        tmp_path / 'run',
        toys.method_cfg('cyclegan'),
        2,
        custom_hooks=[
            dict(type='UDAVisualizationHook', interval=2, cell_width=48),
            dict(type='HealthHook', interval=1),
        ],
        visualizer=dict(
            type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='cyclegan'
        ),
    )
    toys.train(cfg)
    (panel,) = (tmp_path / 'run').rglob('train_2.png')
    height, width = cv2.imread(str(panel)).shape[:2]
    assert 2 * 48 <= width < 3 * 48  # two columns
    assert height > 4 * 32  # images, translations, cycles, identities
