"""Tools and parts of mmseg, mmengine and mim on methods, on their exports and on stock models.

``docs/toolbox.md`` has the same table for users. Tested elsewhere, on every method:
``init_model`` and ``inference_model`` (``tests/models/uda/test_inference.py``), mixed precision and
processes (``tests/models/uda``); accumulation and precision (``tests/engine/optimizers``);
``SampleClassMix`` and FDA (``tests/datasets/transforms``).
"""

from __future__ import annotations

import copy
import functools
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import mmseg
import numpy as np
import pytest
import torch
import toys
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.apis import MMSegInferencer, inference_model, init_model
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, MODELS, PARAM_SCHEDULERS
from torch import Tensor, nn
from torch.testing import assert_close

import mmseg_uda
from mmseg_uda.artifacts.checkpoint import load_checkpoint
from mmseg_uda.stages.export import export_segmentor

STOCK = Path(mmseg.__file__).parent / '.mim' / 'tools'
NAMES = ('cdanet', 'sam', 'dast', 'pit', 'camix')
KINDS = ('method', 'export')
SLOW = pytest.mark.slow


@DATASETS.register_module(force=True)
class ToyboxDataset(BaseSegDataset):
    """A dataset with the classes that confusion_matrix.py reads from its class."""

    METAINFO = toys.METAINFO


class Made(NamedTuple):
    """A trained method and its export."""

    root: Path
    method: Path
    export: Path

    def config(self, kind: str) -> str:
        return str(getattr(self, kind) / 'config.py')

    def checkpoint(self, kind: str) -> str:
        name = 'iter_2.pth' if kind == 'method' else 'segmentor.pth'
        return str(getattr(self, kind) / name)


def method_config(root: Path, name: str) -> Config:
    """What a user would write, with the parts of ``configs/_base_``."""
    cfg = toys.runner_cfg(root / 'data', root / name, toys.method_cfg(name), max_iters=2)
    cfg.custom_imports = dict(imports=['mmseg_uda'])
    cfg.test_dataloader.dataset.update(type='ToyboxDataset')
    cfg.test_dataloader.dataset.pop('metainfo')
    cfg.default_hooks.checkpoint.interval = 2
    cfg.visualizer = dict(
        type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name=name
    )
    cfg.tta_model = dict(type='SegTTAModel')
    flips = [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)]
    rest = [[dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]]
    cfg.tta_pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='TestTimeAug', transforms=[flips, *rest]),
    ]
    cfg.test_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    return cfg


@pytest.fixture(scope='session')
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    root = tmp_path_factory.mktemp('toolbox')

    @functools.cache
    def made(name: str) -> Made:
        found = Made(root, root / name, root / f'{name}_export')
        cfg = method_config(root, name)
        toys.train(copy.deepcopy(cfg))
        cfg.dump(found.config('method'))
        export_segmentor(
            found.checkpoint('method'),
            found.checkpoint('export'),
            found.config('method'),
            found.config('export'),
        )
        return found

    return made


@pytest.fixture
def stock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a tool of mmseg in this process and in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setenv('MPLBACKEND', 'Agg')

    def run(tool: str, *arguments: str) -> None:
        if not (STOCK / tool).is_file():
            pytest.skip('mmseg came without its tools')
        monkeypatch.setattr('sys.argv', [tool, *arguments])
        runpy.run_path(str(STOCK / tool), run_name='__main__')

    return run


def fresh(*names: str) -> list[str]:
    """Options without which runs of the same second share a visualizer or a logger."""
    name = '-'.join(names)
    return ['--cfg-options', f'experiment_name={name}', f'visualizer.name={name}']


def metrics(work_dir: Path) -> dict[str, float]:
    (path,) = (each for each in work_dir.glob('*/*.json'))
    return json.loads(path.read_text())


def weights(path: str | Path) -> dict[str, Tensor]:
    return load_checkpoint(str(path))['state_dict']


# ------------------------------------------------------------------------ tools of mmseg


@SLOW
@pytest.mark.parametrize('name', NAMES)
def test_train(name: str, make: Any, stock: Any, tmp_path: Path) -> None:
    made = make(name)
    stock('train.py', made.config('method'), '--work-dir', 'a', *fresh(name, 'stock'))
    ours = [made.config('method'), '--work-dir', 'b', *fresh(name, 'ours')]
    toys.load_script('tools/train.py').main(ours)
    found = (weights(tmp_path / each / 'iter_2.pth') for each in 'ab')
    assert_close(*found, rtol=0, atol=0)
    log = max(tmp_path.glob('a/*/vis_data/scalars.json'))
    pytest.importorskip('seaborn')  # analyze_logs.py needs it
    stock('analysis_tools/analyze_logs.py', str(log), '--keys', 'loss', '--out', 'curve.png')
    assert (tmp_path / 'curve.png').stat().st_size > 1000


def test_stock_amp_on_a_method_is_refused(make: Any, stock: Any) -> None:
    options = ('--cfg-options', 'optim_wrapper.type=JointOptimWrapperDict')  # as configs/_base_ has
    with pytest.raises(AssertionError, match='only supported when .* got JointOptimWrapperDict'):
        stock('train.py', make('cdanet').config('method'), '--amp', '--work-dir', 'a', *options)


@SLOW
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('name', NAMES)
def test_test(name: str, kind: str, make: Any, stock: Any, tmp_path: Path) -> None:
    """The scores of stock and own test.py, of methods and exports; a confusion matrix of those."""
    files = [make(name).config(kind), make(name).checkpoint(kind)]
    case = f'{name}-{kind}'
    stock('test.py', *files, '--work-dir', 'a', '--out', 'out', *fresh(case, 'stock'))
    toys.load_script('tools/test.py').main([*files, '--work-dir', 'b', *fresh(case, 'ours')])
    for key in ('mIoU', 'aAcc'):
        assert metrics(tmp_path / 'a')[key] == metrics(tmp_path / 'b')[key]
    stock('test.py', *files, '--work-dir', 'tta', '--tta', *fresh(case, 'tta'))
    assert 0 <= metrics(tmp_path / 'tta')['mIoU'] <= 100
    stock('analysis_tools/confusion_matrix.py', files[0], 'out', 'matrix')
    assert list((tmp_path / 'matrix').glob('*.png'))


@pytest.mark.parametrize('name', NAMES)
def test_tta_of_a_method_is_that_of_its_export(name: str, make: Any) -> None:
    """The mean of the probabilities of an image and its mirror image."""
    made, predicted = make(name), []
    for kind in KINDS:
        cfg = Config.fromfile(made.config(kind))
        assert cfg.tta_pipeline[1].type == 'TestTimeAug'
        model = MODELS.build(dict(cfg.tta_model, module=cfg.model)).eval()
        model.module.load_state_dict(weights(made.checkpoint(kind)), strict=kind == 'method')
        dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, pipeline=cfg.tta_pipeline))
        views = dataset[0]  # two of each key
        with torch.no_grad():
            (sample,) = model.test_step({key: [[each] for each in views[key]] for key in views})
            plain, mirrored = (
                model.module.test_step({key: [values[view]] for key, values in views.items()})[0]
                for view in (0, 1)
            )
        mean = (plain.seg_logits.data.softmax(0) + mirrored.seg_logits.data.softmax(0)) / 2
        assert torch.equal(sample.pred_sem_seg.data[0], mean.argmax(0))
        predicted.append(sample.pred_sem_seg.data)
    assert torch.equal(*predicted)


@pytest.mark.parametrize('kind', KINDS)
def test_print_config(kind: str, make: Any, stock: Any, tmp_path: Path, capsys: Any) -> None:
    config = make('pit').config(kind)
    stock('misc/print_config.py', config, '--graph')
    said = capsys.readouterr().out
    assert 'DeepLabV2Head' in said.partition('Model graph')[2]
    assert Config.fromfile(tmp_path / 'example.py').model == Config.fromfile(config).model


@pytest.mark.skipif(mmseg.__version__ == '1.2.2', reason='fails on any config with mmengine 0.10')
@pytest.mark.parametrize('name', NAMES)
def test_get_flops(name: str, make: Any, stock: Any, capsys: Any) -> None:
    stock('analysis_tools/get_flops.py', make(name).config('export'), '--shape', '32', '32')
    assert 'Flops' in capsys.readouterr().out


@SLOW
@pytest.mark.parametrize('name', NAMES)
def test_benchmark(name: str, make: Any, stock: Any, tmp_path: Path) -> None:
    made = make(name)
    cfg = Config.fromfile(made.config('export'))  # the tool measures 200 images
    cfg.test_dataloader.dataset = dict(
        type='RepeatDataset', times=100, dataset=cfg.test_dataloader.dataset
    )
    cfg.dump(tmp_path / 'config.py')
    arguments = ['config.py', made.checkpoint('export'), '--work-dir', '.']
    stock('analysis_tools/benchmark.py', *arguments)
    (found,) = tmp_path.glob('fps_*.json')
    assert json.loads(found.read_text())['average_fps'] > 0


@SLOW
def test_mim(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('mim')
    if not (Path(mmseg_uda.__file__).parent / '.mim' / 'model-index.yml').is_file():
        pytest.skip('mim finds an installed package alone')
    made = make('cdanet')
    cfg = method_config(made.root, 'cdanet')
    cfg.custom_imports.imports.append('toys')
    dataset = toys.dataset_cfg(made.root / 'data', 'target', train=False)
    cfg.val_dataloader.dataset = cfg.test_dataloader.dataset = dataset
    cfg.dump(tmp_path / 'config.py')
    paths = (str(Path(__file__).parent), os.environ.get('PYTHONPATH', ''))
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(paths))
    checkpoint = made.checkpoint('method')
    for number, command in enumerate(
        (
            ['run', 'mmseg_uda', 'train', 'config.py'],
            ['train', 'mmseg_uda', 'config.py', '--gpus', '0'],
            ['run', 'mmseg_uda', 'test', 'config.py', checkpoint],
            ['test', 'mmseg_uda', 'config.py', '--checkpoint', checkpoint, '--gpus', '0'],
        )
    ):
        command += ['--work-dir', str(number)]
        subprocess.run([sys.executable, '-m', 'mim', *command], cwd=tmp_path, check=True)
    assert all((tmp_path / each / 'iter_2.pth').is_file() for each in '01')
    assert metrics(tmp_path / '2')['mIoU'] == metrics(tmp_path / '3')['mIoU']
    command = ['search', 'mmseg_uda', '--model', 'cdanet']
    found = subprocess.check_output([sys.executable, '-m', 'mim', *command], text=True)
    assert 'configs/cdanet/cdanet_' in found


# ------------------------------------------------------------------------ inference and export


IMAGE = np.random.default_rng(0).integers(0, 256, (*toys.SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize('name', NAMES)
def test_inference(name: str, make: Any) -> None:
    """init_model and MMSegInferencer predict the same with the method and with its export."""
    made, logits = make(name), []
    for kind in KINDS:
        files = made.config(kind), made.checkpoint(kind)
        model = init_model(*files, device='cpu')
        logits.append(inference_model(model, IMAGE).seg_logits.data)
        inferencer = MMSegInferencer(*files, device='cpu')
        found = inferencer(IMAGE)['predictions']
        assert np.array_equal(found, logits[-1].argmax(0).numpy())
        assert inferencer.model.dataset_meta['classes'] == toys.METAINFO['classes']
    assert_close(*logits, rtol=0, atol=0)


def exported(made: Made) -> nn.Module:
    return init_model(made.config('export'), made.checkpoint('export'), device='cpu')


def traced(model: nn.Module, images: Tensor, path: Path) -> nn.Module:
    return torch.jit.trace(model, images)


def torch_exported(model: nn.Module, images: Tensor, path: Path) -> nn.Module:
    return torch.export.export(model, (images,)).module()


def fused(model: nn.Module, images: Tensor, path: Path) -> nn.Module:
    from mmcv.cnn.utils import fuse_conv_bn

    return fuse_conv_bn(model)


def compiled(model: nn.Module, images: Tensor, path: Path) -> nn.Module:
    return torch.compile(model, backend='aot_eager')


def onnx(model: nn.Module, images: Tensor, path: Path) -> Callable[[Tensor], Tensor]:
    pytest.importorskip('onnx')
    runtime = pytest.importorskip('onnxruntime')
    torch.onnx.export(model, (images,), str(path), dynamo=False)
    session = runtime.InferenceSession(str(path))
    (name,) = (each.name for each in session.get_inputs())
    return lambda batch: torch.from_numpy(session.run(None, {name: batch.numpy()})[0])


@pytest.mark.parametrize(
    'convert',
    [traced, fused, *(pytest.param(each, marks=SLOW) for each in (torch_exported, compiled, onnx))],
)
@pytest.mark.parametrize('name', NAMES)
def test_conversion(name: str, convert: Any, make: Any, tmp_path: Path) -> None:
    """Converted on one image, compared on another one."""
    images, others = torch.randn(2, 1, 3, *toys.SIZE)
    expected = exported(make(name))(others).detach()
    model = exported(make(name)).requires_grad_(False)
    found = convert(model, images, tmp_path / 'model.onnx')(others)
    assert_close(found.detach(), expected, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------ training by mmengine


class Seen(NamedTuple):
    """What is checked of a training."""

    runner: Runner
    lr: float
    state: dict[str, Tensor]


def run(root: Path, name: str, case: str, iters: int = 4, **changes: Any) -> Seen:
    cfg = method_config(root, name)
    cfg.work_dir = str(root / f'{name}-{case}')
    cfg.experiment_name = cfg.visualizer.name = f'{name}-{case}'
    cfg.train_cfg.max_iters = iters
    cfg.default_hooks.checkpoint.interval = iters
    cfg.merge_from_dict(changes)
    runner = toys.train(cfg)
    (group,) = runner.optim_wrapper['student'].optimizer.param_groups
    return Seen(runner, group['lr'], weights(Path(cfg.work_dir) / f'iter_{runner.iter}.pth'))


def every(*names: str) -> Any:
    """The first method in the default suite, the others in the slow one."""
    return pytest.mark.parametrize(
        'name', [names[0], *(pytest.param(n, marks=SLOW) for n in names[1:])]
    )


SCHEDULES: dict[str, dict[str, Any]] = {
    'linear': dict(type='LinearLR', start_factor=0.5, end=10),
    'cosine': dict(type='CosineAnnealingLR', T_max=10, end=10),
    'one cycle': dict(type='OneCycleLR', eta_max=0.5, total_steps=10, end=10),
    'multi step': dict(type='MultiStepLR', milestones=[2, 5], gamma=0.1, end=10),
}


def scheduled(schedule: dict[str, Any], steps: int) -> float:
    """The learning rate of a single optimizer after some steps."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.05, momentum=0.9)
    scheduler = PARAM_SCHEDULERS.build(dict(schedule, optimizer=optimizer, by_epoch=False))
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
    return optimizer.param_groups[0]['lr']


@pytest.mark.parametrize('case', SCHEDULES)
@every(*NAMES)
def test_schedules(name: str, case: str, make: Any) -> None:
    """Every optimizer follows its schedule, the checkpoint keeps it, and a resumed run goes on."""
    changes = dict(param_scheduler=[dict(SCHEDULES[case], by_epoch=False)])
    case = case.replace(' ', '-')
    assert run(make(name).root, name, case, **changes).lr == scheduled(
        changes['param_scheduler'][0], 4
    )
    more = run(make(name).root, name, case, 6, resume=True, **changes)
    assert more.lr == scheduled(changes['param_scheduler'][0], 6)


@every(*NAMES)
def test_hooks(name: str, make: Any) -> None:
    """EMAHook saves the mean of the weights; EarlyStopping stops; others change nothing."""
    root = make(name).root
    first, second = (run(root, name, f'plain-{n}', n).state for n in (1, 2))
    hooks = list(method_config(root, name).custom_hooks)
    profiler = dict(type='ProfilerHook', by_epoch=False, profile_times=2, on_trace_ready=None)
    watched = run(
        root, name, 'watched', 2, custom_hooks=[*hooks, dict(type='SyncBuffersHook'), profiler]
    )
    assert_close(watched.state, second, rtol=0, atol=0)

    ema = run(root, name, 'ema', 2, custom_hooks=[*hooks, dict(type='EMAHook', momentum=0.5)])
    key = next(key for key in second if key.endswith('decode_head.weight') or 'layer.weight' in key)
    assert_close(ema.state[key], (first[key] + second[key]) / 2)

    stop = dict(type='EarlyStoppingHook', monitor='mIoU', patience=1, min_delta=200.0)
    early = dict(
        custom_hooks=[*hooks, stop],
        train_cfg=dict(type='UDATrainLoop', max_iters=8, val_interval=1, val_begin=1),
        **{'default_hooks.checkpoint.interval': 1},
    )
    assert run(root, name, 'early', 8, **early).runner.iter == 2


OPTIONS = {
    'checkpointing': dict(activation_checkpointing=['student.backbone.layer']),
    'compile': dict(compile=dict(backend='eager')),
}


@SLOW
@pytest.mark.parametrize(
    ('name', 'case'),
    # Compiling takes a minute or two each: one with an adversary, one with a teacher.
    [*((name, 'checkpointing') for name in NAMES), ('cdanet', 'compile'), ('camix', 'compile')],
)
def test_same_weights_with(name: str, case: str, make: Any) -> None:
    """Of other ways to compute the same."""
    root = make(name).root
    plain, other = (run(root, name, key, 2, **OPTIONS.get(key, {})) for key in ('plain', case))
    assert_close(other.state, plain.state, rtol=0, atol=1e-5)
    torch._dynamo.reset()


# ------------------------------------------------------------------------ parts in stock models


def sampled(root: Path) -> dict[str, Any]:
    style = dict(type='FourierAmplitudeMix', style_dir=str(root / 'data/target/images'), beta=0.01)
    dataset = toys.dataset_cfg(root / 'data', 'source')
    dataset['pipeline'].insert(2, style)
    return {'train_dataloader.dataset': dataset}


def mixed(root: Path) -> dict[str, Any]:
    dataset = toys.dataset_cfg(root / 'data', 'source')
    *inner, pack = dataset['pipeline']
    wrapper = dict(type='MultiImageMixDataset', dataset=dict(dataset, pipeline=inner))
    return {'train_dataloader.dataset': dict(wrapper, pipeline=[dict(type='SampleClassMix'), pack])}


def selected(root: Path) -> dict[str, Any]:
    dataset = toys.dataset_cfg(root / 'data', 'source', train=False)
    loader = dict(batch_size=1, dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=False))
    further = dict(more=dict(dataloader=loader, evaluator=dict(type='IoUMetric')))
    return dict(val_cfg=dict(type='SelectionValLoop', selection=further))


CLASSIFIER = toys.segmentor_cfg()['decode_head']
# Changes of a stock config.
PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    'cross-domain head': lambda _: dict(model=toys.segmentor_cfg(toys.attention_head_cfg())),
    'regularised head': lambda _: dict(
        model=toys.segmentor_cfg(
            dict(
                type='RegularizedHead',
                head=CLASSIFIER,
                regularizers=dict(e=dict(type='EntropyLoss', domains=('source',))),
            )
        )
    ),
    'self-attention head': lambda _: dict(
        model=toys.segmentor_cfg(dict(type='SelfAttentionHead', classifier=CLASSIFIER))
    ),
    'LSE head': lambda _: dict(model=toys.expanded_cfg(loss_reconstruction=None)),
    'attention of a discriminator': lambda _: dict(model=toys.attended_cfg(attend=False)),
    'subset metric': lambda _: dict(
        val_evaluator=dict(type='SubsetIoUMetric', subsets=dict(first=[0, 1]), iou_metrics=['mIoU'])
    ),
    'entropy metric': lambda _: dict(
        val_evaluator=[dict(type='IoUMetric'), dict(type='EntropyMetric')]
    ),
    'AdaBN': lambda _: {
        'model': toys.segmentor_cfg(batch_norm=True),
        'custom_hooks': [dict(type='AdaBNHook')],
    },
    'health': lambda _: dict(custom_hooks=[dict(type='HealthHook', interval=1)]),
    'selection': selected,
    'FDA': sampled,
    'class mix': mixed,
}


@SLOW
@pytest.mark.parametrize('part', PARTS)
def test_part_in_a_stock_model(part: str, make: Any, tmp_path: Path) -> None:
    """Two iterations and a validation."""
    root = make('sam').root
    cfg = method_config(root, 'source_only')
    cfg.work_dir, cfg.experiment_name = str(tmp_path), f'part {part}'
    cfg.visualizer.name = part
    cfg.model = toys.segmentor_cfg()
    cfg.optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05))
    cfg.train_dataloader = dict(
        batch_size=2,
        sampler=dict(type='InfiniteSampler', shuffle=True),
        dataset=toys.dataset_cfg(root / 'data', 'source'),
    )
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
    for key, value in PARTS[part](root).items():
        if '.' in key:
            cfg.train_dataloader.dataset = value
        else:
            cfg[key] = value
    runner = Runner.from_cfg(cfg)
    runner.model.init_weights()
    runner.model._is_init = True
    before = copy.deepcopy(runner.model.state_dict())
    runner.train()
    assert any(not torch.equal(before[k], v) for k, v in runner.model.state_dict().items())
    assert 0 <= runner.message_hub.get_scalar('val/mIoU').current() <= 100


def test_flops_of_a_reference_head_without_features(capsys: pytest.CaptureFixture[str]) -> None:
    """An export that is built without its checkpoint; its own context costs the same."""
    counts = []
    for context in ('reference', 'self'):
        model = MODELS.build(toys.segmentor_cfg(toys.attention_head_cfg(test_context=context)))
        images = torch.rand(1, 3, *toys.SIZE)
        found = get_model_complexity_info(model.eval(), inputs=images, show_table=False)
        counts.append(found['flops'])
    assert counts[0] == counts[1] > 0
