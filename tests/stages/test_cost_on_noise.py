"""The cost of an iteration on noise, without any file."""

from __future__ import annotations

import json
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import toys
from mmengine.config import Config

from mmseg_uda.benchmark import read_benchmark
from mmseg_uda.benchmark.config import digest_pipeline
from mmseg_uda.datasets.noise import NoiseDataset
from mmseg_uda.engine.noise import noise_dataset, with_noise
from mmseg_uda.pipeline import read_pipeline
from mmseg_uda.stages import cost

GPU = toys.ROOT / 'configs/benchmarks/gpu.py'


def config(tmp_path: Path, name: str = 'camix') -> Config:
    """A method whose data, prior and pseudo labels are nowhere."""
    cfg = toys.runner_cfg(tmp_path / 'data', tmp_path / 'work', toys.method_cfg(name))
    for loader in cfg.train_dataloader.values():
        loader.dataset.data_root = 'nowhere'
        loader.dataset.pipeline.insert(-1, dict(type='RandomCrop', crop_size=(32, 48)))
    if name == 'camix':
        cfg.model.mixer.prior = 'nowhere.npz'
    for key in ('work_dir', 'experiment_name'):
        cfg.pop(key)
    return cfg


def pipeline(tmp_path: Path, cfg: Config, **arguments: Any) -> Any:
    cfg.dump(tmp_path / 'method.py')
    stage = dict(name='cost', type='cost', config='method.py', repeat=1, noise=True, **arguments)
    (tmp_path / 'pipeline.py').write_text(f'stages = [{stage!r}]')
    return read_pipeline(tmp_path / 'pipeline.py', {}, tmp_path / 'run')


def test_samples_of_noise() -> None:
    fields = ['gt_sem_seg', 'pseudo_sem_seg', 'soft_label', 'image_label', 'label_mask']
    dataset = NoiseDataset((40, 70), 5, [*fields, 'prior_positions'], prior_size=(4, 6))
    first, again, other = dataset[3], dataset[3], dataset[4]
    assert first['inputs'].shape == (3, 40, 70)
    assert first['inputs'].equal(again['inputs'])
    assert not first['inputs'].equal(other['inputs'])
    sample = first['data_samples']
    assert sample.gt_sem_seg.data.shape == (1, 40, 70)
    assert len(sample.gt_sem_seg.data[0, :32, :32].unique()) == 1  # squares
    assert int(sample.pseudo_sem_seg.data.max()) < 5
    assert sample.soft_label.shape == (5, 5, 8)
    assert sample.image_label.shape == (5,)
    assert sample.label_mask.data.all()
    assert sample.prior_positions.prior_shape == (4, 6)


def test_a_config_without_files(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    changed = with_noise(cfg)
    assert changed.train_dataloader.source.dataset == dict(
        type='NoiseDataset', size=(32, 48), num_classes=4, fields=['gt_sem_seg'], channels=3
    )
    assert changed.train_dataloader.target.dataset.fields == []
    assert 'prior' not in changed.model.mixer
    assert changed.val_dataloader is None
    assert cfg.model.mixer.prior == 'nowhere.npz'  # the config itself is as it was
    sam = config(tmp_path, 'sam')
    sam.model.regularizers.sam.pop('allow_untrained')
    sam.model.regularizers.sam.checkpoint = 'nowhere.pth'
    changed = with_noise(sam, (8, 8)).model.regularizers.sam
    assert (changed.allow_untrained, 'checkpoint' in changed) == (True, False)
    assert noise_dataset(sam, 'target')['fields'] == ['pseudo_sem_seg']


def test_measured_on_noise(tmp_path: Path) -> None:
    run = pipeline(tmp_path, config(tmp_path), crop=[32, 32], device='cpu')
    run.run()
    metrics = json.loads((tmp_path / 'run/cost/metrics.json').read_text())
    assert metrics['learning_passes'] == 2
    assert metrics['labelling_passes'] == 3  # the teacher, and two passes for the significance
    assert metrics['iteration_s'] > metrics['passes_s'] > 0
    assert metrics['peak_memory_mib'] > 0.1
    assert len(digest_pipeline(run)) == 64  # it has no scores


@pytest.mark.parametrize(
    ('first', 'second', 'waits'), [(True, True, True), (True, False, True), (False, False, False)]
)
def test_one_measurement_at_a_time(
    first: bool, second: bool, waits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    lines: list[str] = []
    monkeypatch.setattr(cost, 'print_log', lambda text, logger: lines.append(text))
    order: list[str] = []

    def measure() -> None:
        with cost.gpu_turn(second):
            order.append('second')

    with cost.gpu_turn(first):
        thread = threading.Thread(target=measure)
        thread.start()
        while not lines and thread.is_alive():
            time.sleep(0.01)
        order.append('first')
    thread.join()
    assert order == (['first', 'second'] if waits else ['second', 'first'])
    assert len(lines) == waits
    if waits:
        assert 'waits for another measurement, which holds' in lines[0]
        assert str(tmp_path) in lines[0]


def test_bare_passes_have_the_precision_of_the_iteration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: list[torch.dtype] = []

    def student_pass(*args: Any) -> Any:
        output = original(*args)
        kinds.append(output.seg_logits.dtype)
        return output

    original = cost.student_pass
    monkeypatch.setattr(cost, 'student_pass', student_pass)
    cfg = config(tmp_path)
    cfg.optim_wrapper.dtype = 'bfloat16'
    pipeline(tmp_path, cfg, crop=[32, 32]).run()
    assert set(kinds) == {torch.bfloat16}


def test_compiled_passes_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []

    def compile_eagerly(call: Any) -> Any:
        compiled.append(call)
        return original(call, backend='eager')  # without a C++ compiler, and faster

    original = torch.compile
    monkeypatch.setattr(torch, 'compile', compile_eagerly)
    pipeline(tmp_path, config(tmp_path), crop=[32, 32], compile=True).run()
    assert len(compiled) == 4  # backbone and head of student and teacher
    metrics = json.loads((tmp_path / 'run/cost/metrics.json').read_text())
    assert (metrics['learning_passes'], metrics['labelling_passes']) == (2, 3)


def test_waits_of_the_host_are_counted_by_place(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[str] = []
    monkeypatch.setattr(torch.cuda, 'synchronize', lambda: None)
    monkeypatch.setattr(torch.cuda, 'set_sync_debug_mode', modes.append)

    def step() -> None:
        for _ in range(2):
            warnings.warn('called a synchronizing CUDA operation (of c10)', stacklevel=1)
        warnings.warn('something else', stacklevel=1)

    (place,) = (found := cost.count_waits(step))
    assert found[place] == 2
    assert place.startswith(f'{__file__}:')
    assert modes == ['warn', 'default']


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_refused_without_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        ValueError, match='expected a GPU, but found none; write device=cpu'
    ) as text:
        pipeline(tmp_path, config(tmp_path), device='cuda').run()
    assert '\n' not in str(text.value).strip()
    tool = toys.load_script('tools/benchmark.py')
    with pytest.raises(ValueError, match='gpu.py: expected a GPU, but found none; run one cell'):
        tool.main([str(GPU), '--out', str(tmp_path)])


def test_cells_of_the_gpu_benchmark() -> None:
    """A cell per method and variant, each a method's paper cell."""
    benchmark = read_benchmark(GPU)
    assert len(benchmark.runs) == 16 * 4
    assert benchmark.device == 'cuda'
    (run,) = benchmark.select(['gta/mic_compiled'])
    (stage,) = benchmark.pipeline(run, check=False).stages.values()
    assert stage.arguments['compile']
    cfg = stage.load()
    assert cfg.model.type == 'MIC'
    assert cfg.optim_wrapper.dtype == 'bfloat16'
    assert cfg.train_dataloader.source.dataset.size == (512, 512)
    assert cfg.model.segmentor.backbone.init_cfg is None


@pytest.mark.slow
@pytest.mark.parametrize('name', Config.fromfile(GPU).configs)
def test_every_method_is_measured(name: str, tmp_path: Path) -> None:
    """At a tiny size on this CPU."""
    values: dict[str, Any] = dict(device='cpu', crop=[64, 64], repeat=1)
    if name.endswith('hrda'):
        key = 'model.segmentor'
        values['options'] = {f'{key}.detail_size': (32, 32), f'{key}.slide_step': (16, 16)}
    options = {f'stages.{name}_fp32.{key}': value for key, value in values.items()}
    read_pipeline(GPU, options, tmp_path, cell=f'gta-{name}_fp32').run()
    metrics = json.loads((tmp_path / f'{name}_fp32/metrics.json').read_text())
    assert metrics['iteration_s'] > 0
