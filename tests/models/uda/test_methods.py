"""What every method must satisfy. A new method joins by its line in ``toys.METHODS``."""

from __future__ import annotations

import gc
import json
import weakref
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import toys
import two_processes as processes
from mmengine.config import ConfigDict
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from torch import nn
from torch.testing import assert_close

from mmseg_uda.artifacts.checkpoint import load_checkpoint
from mmseg_uda.stages.cost import compile_parts
from mmseg_uda.structures import DomainBatch

every_method = pytest.mark.parametrize('name', toys.METHODS)
# Those that translate images, too.
every_model = pytest.mark.parametrize('name', toys.ALL)

# Losses and diagnostics of one batch; a change of them must be meant.
GOLDEN: dict[str, dict[str, float]] = json.loads(
    Path(__file__).with_name('golden_losses.json').read_text()
)


def all_losses(model: nn.Module, data: dict[str, Any] | None = None) -> dict[str, torch.Tensor]:
    """Losses and diagnostics of one training iteration."""
    model.train()
    torch.manual_seed(0)
    data = data or toys.batch(labels=hasattr(model, 'student'))
    return model(**model.data_preprocessor(data, True), mode='loss')


# ------------------------------------------------------------------------------------------ losses


def assert_golden(losses: dict[str, torch.Tensor], expected: dict[str, float]) -> None:
    got = {key: round(float(value), 5) for key, value in losses.items()}
    assert got.keys() == expected.keys(), f'golden_losses.json needs {json.dumps(got)}'
    for key, value in got.items():
        assert value == pytest.approx(expected[key], abs=1e-4 if 'loss' in key else 0.1), got


@every_model
def test_golden_losses(name: str) -> None:
    losses = all_losses(toys.shaken(name))
    assert_golden(losses, GOLDEN.get(name, {}))
    for key, value in losses.items():
        assert value.ndim == 0, key
        assert value.requires_grad == ('loss' in key), key


@pytest.mark.parametrize(
    'name',
    [name for name in toys.METHODS if name not in (*toys.STOCHASTIC, *toys.NEED_PSEUDO_LABELS)],
)
def test_pseudo_labels_only_add_losses(name: str) -> None:
    expected = {
        key: value
        for key, value in GOLDEN[name].items()
        if not (key.startswith('target.') and ('.loss_ce' in key or '.acc_seg' in key))
    }
    data = toys.batch()
    for sample in data['target']['data_samples']:
        del sample.pseudo_sem_seg
    assert_golden(all_losses(toys.shaken(name), data), expected)


@every_model
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = toys.build(name)
    gradients = processes.gradients(model, processes.joint_wrapper(model, name))
    for key, param in model.named_parameters():
        assert (gradients[key] is not None) == param.requires_grad, key
        assert gradients[key] is None or gradients[key].isfinite().all(), key


@every_model
def test_sequential_joint_and_stock_backward_agree(name: str) -> None:
    gradients = {}
    for how in ('sequential', 'joint', 'stock', 'mode=loss'):
        model = toys.build(name, backward='joint' if how == 'joint' else 'sequential')
        if how == 'mode=loss':
            total, _ = model.parse_losses(all_losses(model))
            total.backward()
            gradients[how] = {key: param.grad for key, param in model.named_parameters()}
        else:
            wrapper = (
                processes.plain_wrapper(model)
                if how == 'stock'
                else processes.joint_wrapper(model, name)
            )
            gradients[how] = processes.gradients(model, wrapper)
    for how in ('joint', 'stock', 'mode=loss'):
        assert_close(gradients[how], gradients['sequential'], atol=1e-6, rtol=1e-5)


@every_model
def test_log_of_both_backward_modes_agrees(name: str) -> None:
    logs = []
    for backward in ('sequential', 'joint'):
        model = toys.build(name, backward=backward).train()
        torch.manual_seed(0)
        wrapper = processes.joint_wrapper(model, name)
        logs.append(model.train_step(processes.batch_for(name), wrapper))
        assert not any(value.requires_grad for value in logs[0].values())
    assert_close(
        {k: float(v) for k, v in logs[0].items()},
        {k: float(v) for k, v in logs[1].items()},
        atol=1e-5,
        rtol=0,
    )
    trained = sum(v for k, v in logs[0].items() if 'loss' in k and k != 'loss')
    assert_close(logs[0]['loss'], trained, atol=1e-5, rtol=0)


@every_method
@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_mixed_precision(name: str, dtype: str) -> None:
    """Losses stay in fp32, and one iteration gives about the weights of full precision."""
    model, twin = toys.build(name).train(), toys.build(name).train()
    start = model.student.backbone.stem.weight.clone()
    logs = {}
    for each, options in ((model, dict(dtype=dtype, loss_scale=8.0)), (twin, {})):
        torch.manual_seed(0)
        wrapper = processes.joint_wrapper(each, name, **options)
        logs[each] = each.train_step(toys.batch(), wrapper)
    for key, value in logs[model].items():
        assert value.dtype is torch.float32, key
        if 'loss' in key:
            assert_close(value, logs[twin][key], atol=2e-2, rtol=0)
    assert not model.student.backbone.stem.weight.equal(start)
    for key, value in model.student.state_dict().items():
        assert_close(value, twin.student.state_dict()[key], atol=5e-3, rtol=0)


COMPILED_BY_DEFAULT = ('camix', 'dast_reweighted', 'hrda', 'pit')


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(name, marks=() if name in COMPILED_BY_DEFAULT else pytest.mark.slow)
        for name in toys.METHODS
    ],
)
def test_compiled_parts_train_the_same(name: str) -> None:
    """Whatever breaks a graph, such as the hooks of an attention, runs as it is."""
    model, twin = toys.build(name).train(), toys.build(name).train()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compile_parts(model, backend='eager')
    for each in (model, twin):
        torch.manual_seed(0)
        each.train_step(processes.batch_for(name), processes.joint_wrapper(each, name))
    assert torch._dynamo.utils.counters['frames']['ok'] > 0
    assert_close(dict(model.state_dict()), dict(twin.state_dict()), atol=1e-6, rtol=1e-5)


# ------------------------------------------------------------------------------------------ memory


@pytest.mark.parametrize(
    'name', ['adversarial', 'self_training', 'pit', 'mean_teacher', 'masked_mean_teacher']
)
def test_features_are_freed_before_the_next_pass(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = toys.build(name).train()
    extract_feat, earlier = model.student.extract_feat, []

    def extract(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        assert not any(reference() is not None for reference in earlier)
        features = extract_feat(images)
        earlier.extend(map(weakref.ref, features))
        return features

    monkeypatch.setattr(model.student, 'extract_feat', extract)
    model.train_step(toys.batch(), processes.joint_wrapper(model, name))
    assert len(earlier) == (3 if name == 'masked_mean_teacher' else 2)


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('adversarial', [0, 1, 1]),
        ('adversarial_multi', [0, 2, 2, 1]),
        ('dast', [0, 1, 1, 2]),
        ('cdanet', [3, 4, 4, 4]),
    ],
)
def test_probabilities_at_the_size_of_the_images(name: str, expected: list[int]) -> None:
    """Those of the source are computed where a discriminator reads them, one view at a time."""
    model = toys.build(name).train()
    steps = model._steps(DomainBatch.collect(**model.data_preprocessor(toys.batch(), True)))
    alive = []
    for losses in steps:
        model.parse_losses(losses)[0].backward()
        del losses
        shapes = [each.shape for each in gc.get_objects() if type(each) is torch.Tensor]
        alive.append(shapes.count((2, toys.NUM_CLASSES, *toys.SIZE)))
    assert alive == expected


# ---------------------------------------------------------------------------------- target labels


@every_model
@pytest.mark.parametrize('backward', ['sequential', pytest.param('joint', marks=pytest.mark.slow)])
def test_an_iteration_stays_on_the_device(
    name: str, backward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for the device once, at its end, for all scalars of the log together.

    The meta device holds no values: reading one, or a tensor made on the CPU, would raise.
    """
    monkeypatch.setattr(torch, 'autocast', lambda *_, **__: nullcontext())  # meta has none
    model = toys.build(name, backward=backward).train().to('meta')
    wrapper = processes.joint_wrapper(model, name)
    copied, stepped = [], []
    monkeypatch.setattr(torch.Tensor, 'cpu', lambda values: copied.append(values) or values)
    monkeypatch.setattr(wrapper, 'step', lambda **_: stepped.append(len(copied)))
    logs = model.train_step(processes.batch_for(name), wrapper)
    assert stepped == [0]
    (packed,) = copied
    assert str(packed.device) == 'meta'
    assert packed.shape == (len(logs),)
    with pytest.raises(RuntimeError, match='meta'):
        logs['loss'].item()


@every_method
def test_target_labels_are_refused(name: str) -> None:
    data = toys.batch()
    for sample in data['target']['data_samples']:
        sample.gt_sem_seg = PixelData(data=torch.zeros(1, *toys.SIZE, dtype=torch.int64))
    model = toys.build(name)
    if 'target' not in model.domains:  # labels that nobody looks at do no harm
        assert model.data_preprocessor(data, True)['inputs'].keys() == {'source'}
        return
    with pytest.raises(
        ValueError,
        match='1000.png carries ground truth .gt_sem_seg.; remove '
        'LoadAnnotations from train_dataloader.target.dataset.pipeline',
    ):
        all_losses(model, data)


@pytest.mark.parametrize(
    ('name', 'pseudo'),
    [
        (name, pseudo)
        for name in toys.METHODS
        for pseudo in (True, False)
        if pseudo or name not in toys.NEED_PSEUDO_LABELS
    ],
)
def test_target_labels_cannot_change_a_loss(name: str, pseudo: bool) -> None:
    """Not even those that come in behind the preprocessor's back."""
    model = toys.build(name).train()
    losses = []
    for label in (None, 0, 3):
        data = model.data_preprocessor(toys.batch(pseudo=pseudo), True)
        for sample in data['data_samples'].get('target', ()) if label is not None else ():
            sample.gt_sem_seg = PixelData(data=torch.full((1, *toys.SIZE), label))
        torch.manual_seed(0)
        losses.append(model(**data, mode='loss'))
    for leaked in losses[1:]:
        assert_close(leaked, losses[0], atol=0, rtol=0)


# ------------------------------------------------------------------------------------------- state


@every_method
def test_losses_leave_the_state_alone(name: str) -> None:
    """Except batch-norm statistics: a method that counts or averages does so in its step."""
    segmentor = toys.method_cfg(name)['segmentor']
    segmentor['backbone']['batch_norm'] = True
    model = toys.build(name, segmentor=segmentor)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for _ in range(2):
        all_losses(model)
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    networks = ['student']
    if hasattr(model, 'teacher') and model.teacher.mode != 'eval':
        networks.append('teacher.module')
    assert changed == {
        f'{network}.backbone.norm.{key}'
        for network in networks
        for key in ('running_mean', 'running_var', 'num_batches_tracked')
    }
    assert not model._passes


@every_method
def test_predicts_as_the_bare_student(name: str) -> None:
    cfg = ConfigDict(toys.method_cfg(name))
    model, stock = MODELS.build(cfg).eval(), MODELS.build(cfg.segmentor).eval()
    stock.load_state_dict(model.student.state_dict(), strict=True)
    data = toys.batch(pseudo=False)['target']
    with torch.no_grad():
        ours = model.test_step(data)
        theirs = stock.test_step(toys.batch(pseudo=False)['target'])
        for one, other in zip(ours, theirs):
            assert one.pred_sem_seg.data.equal(other.pred_sem_seg.data)
            assert one.seg_logits.data.equal(other.seg_logits.data)
        images = torch.randn(2, 3, *toys.SIZE)
        assert model(images).equal(stock(images))
        logits = model.encode_decode(images, [dict(img_shape=toys.SIZE)])
        assert logits.shape == (2, toys.NUM_CLASSES, *toys.SIZE)
        assert model.extract_feat(images)[0].equal(stock.extract_feat(images)[0])


# ------------------------------------------------------------------------------------------ resume


class DataRecorder(Hook):
    """Writes down which images came, and how they were flipped."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.seen.append(
            [
                (domain, sample.img_path, sample.get('flip_direction'))
                for domain in ('source', 'target')
                for sample in data_batch[domain]['data_samples']
            ]
        )


def record_run(work_dir: Path, name: str, max_iters: int, **changes: Any) -> tuple[dict, list]:
    """Train and give the checkpoint and the data back."""
    cfg = toys.runner_cfg(work_dir.parent, work_dir, toys.method_cfg(name), max_iters, **changes)
    runner = Runner.from_cfg(cfg)
    recorder = DataRecorder()
    runner.register_hook(recorder)
    runner.train()
    return load_checkpoint(work_dir / f'iter_{max_iters}.pth'), recorder.seen


def plain(value: Any) -> Any:
    """What can be compared by ``==``."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


@pytest.mark.parametrize(
    ('name', 'num_workers'), [*((name, 0) for name in toys.ALL), ('adversarial', 2)]
)
def test_resume(name: str, num_workers: int, tmp_path: Path) -> None:
    """Ten iterations = five, and five more after resuming: bit by bit, in all state and data."""
    tag = f'{name}{num_workers}'
    whole, data = record_run(tmp_path / f'whole_{tag}', name, 10, num_workers=num_workers)
    _, first = record_run(tmp_path / f'first_{tag}', name, 5, num_workers=num_workers)
    resumed, second = record_run(
        tmp_path / f'second_{tag}',
        name,
        10,
        num_workers=num_workers,
        load_from=str(tmp_path / f'first_{tag}' / 'iter_5.pth'),
        resume=True,
    )
    assert len(data) == 10
    assert first + second == data
    assert len({str(images) for images in data}) > 5
    for key in ('state_dict', 'optimizer', 'param_schedulers'):
        assert plain(resumed[key]) == plain(whole[key]), key
    scalars, again = (checkpoint['message_hub']['log_scalars'] for checkpoint in (whole, resumed))
    assert scalars.keys() == again.keys()
    assert any('lr' in key for key in scalars)
    for key in scalars:
        if 'time' not in key:
            assert again[key].data[0].tolist() == scalars[key].data[0].tolist(), key
