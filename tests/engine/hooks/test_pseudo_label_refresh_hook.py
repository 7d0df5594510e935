"""Rounds of self-training inside one run."""

from __future__ import annotations

import copy
import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import toys
from mmcv.transforms import BaseTransform, LoadAnnotations
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import TRANSFORMS
from torch.testing import assert_close

from mmseg_uda.artifacts.checkpoint import load_checkpoint
from mmseg_uda.engine.hooks import PseudoLabelRefreshHook, pseudo_label_refresh_hook
from mmseg_uda.engine.loops import pseudo_label_loop

LOAD = dict(type='LoadPseudoLabels', pseudo_dir=None, num_classes=toys.NUM_CLASSES)
SEGMENTOR = toys.segmentor_cfg(batch_norm=True, dropout=0.2)


class Recorder(Hook):
    """Names of the label folders of each iteration."""

    def __init__(self) -> None:
        self.rounds: list[set[str]] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.rounds.append(
            {
                Path(sample.pseudo_path).parent.name
                for sample in data_batch['target']['data_samples']
            }
        )


def config(
    tmp_path: Path,
    tag: str,
    max_iters: int = 7,
    load: dict[str, Any] = LOAD,
    hook: dict[str, Any] | None = None,
    segmentor: dict[str, Any] = SEGMENTOR,
    **changes: Any,
) -> Config:
    """A run that labels anew every three iterations; all read the same data."""
    model = toys.method_cfg('self_training', segmentor=segmentor)
    name = f'{tag}_{tmp_path.name}_{len(list(tmp_path.rglob("*.json")))}'
    options = dict(val_dataloader=None, val_cfg=None, val_evaluator=None, experiment_name=name)
    cfg = toys.runner_cfg(
        tmp_path.parent / 'refresh_data', tmp_path / tag, model, max_iters, **{**options, **changes}
    )
    cfg.default_hooks.checkpoint.interval = 1
    for loader in cfg.train_dataloader.values():
        loader.dataset.serialize_data = False  # which takes longer than all the rest
    pipeline = cfg.train_dataloader.target.dataset.pipeline
    pipeline[:] = [step for step in pipeline if step.type != 'LoadPseudoLabels']
    pipeline.insert(1, copy.deepcopy(load))
    cfg.custom_hooks = [dict(dict(type='PseudoLabelRefreshHook', interval=3), **hook or {})]
    return cfg


def train(cfg: Config) -> tuple[Runner, Recorder]:
    runner, recorder = Runner.from_cfg(cfg), Recorder()
    runner.register_hook(recorder)
    runner.train()
    return runner, recorder


def state(runner: Runner) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in runner.model.state_dict().items()}


def labels(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob('*.png')}


class Whole(NamedTuple):
    """A run that nothing interrupts."""

    folder: Path
    weights: dict[str, torch.Tensor]
    rounds: list[set[str]]

    def equals(self, runner: Runner) -> None:
        assert_close(state(runner), self.weights, atol=0, rtol=0)


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp('whole')
    runner, recorder = train(config(folder, 'run'))
    return Whole(folder / 'run', state(runner), recorder.rounds)


# -------------------------------------------------------------------------------------- the labels


@pytest.mark.parametrize(
    'hook', [None, dict(rule=dict(type='cbst', share=0.3)), dict(softmax_first=False)]
)
def test_labels_are_those_of_the_tool(tmp_path: Path, whole: Whole, hook: Any) -> None:
    """By the network of the round's iteration, whatever the rule."""
    folder = whole.folder
    if hook:
        folder = tmp_path / 'run'
        train(config(tmp_path, 'run', 4, hook=hook))
    cfg = config(tmp_path, 'tool')
    dataset = cfg.train_dataloader.target.dataset
    dataset.update(
        test_mode=True, pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    )
    cfg.update(
        train_dataloader=None,
        train_cfg=None,
        optim_wrapper=None,
        param_scheduler=None,
        test_evaluator=[],
        custom_hooks=[],
        load_from=str(folder / 'iter_3.pth'),
        test_dataloader=dict(batch_size=1, dataset=dataset),
        test_cfg=dict(
            type='PseudoLabelLoop',
            out_dir=str(tmp_path / 'tool'),
            **{'rule': 'bdl', **(hook or {})},
        ),
    )
    Runner.from_cfg(cfg).test()
    made = folder / 'pseudo_labels/round_1'
    assert len(labels(made)) == 7
    assert labels(made) == labels(tmp_path / 'tool')
    first, second, tool = (
        json.loads((path / 'manifest.json').read_text())
        for path in (folder / 'pseudo_labels/round_0', made, tmp_path / 'tool')
    )
    assert first['thresholds'] != second['thresholds'] == tool['thresholds']
    assert second['rule'] == tool['rule']


def test_rounds_are_logged(whole: Whole) -> None:
    assert whole.rounds == [{f'round_{i // 3}'} for i in range(7)]
    scalars = next(whole.folder.rglob('scalars.json')).read_text().splitlines()
    logged = [line for line in map(json.loads, scalars) if 'pseudo.round' in line]
    assert [line['step'] for line in logged] == [0, 3, 6]
    last = logged[-1]
    assert last['pseudo.round'] == 2
    manifest = json.loads((whole.folder / 'pseudo_labels/round_2/manifest.json').read_text())
    assert last['pseudo.coverage'] == sum(manifest['kept_pixels']) / (7 * 32 * 48)
    for i, name in enumerate('abcd'):
        assert last[f'pseudo.threshold_{name}'] == manifest['thresholds'][i]
        assert last.get(f'pseudo.kept_{name}') == manifest['coverage'][i]
    assert not any('loss' in key for key in last)


def test_labelling_leaves_no_trace(tmp_path: Path, whole: Whole) -> None:
    """The labels of rounds 0 and 1, given instead, train the same network."""
    given = dict(LOAD, pseudo_dir=str(whole.folder / 'pseudo_labels/round_0'))
    cfg = config(tmp_path, 'given', 3, load=given)
    cfg.custom_hooks = []
    runner, _ = train(cfg)
    for key, value in load_checkpoint(str(whole.folder / 'iter_3.pth'))['state_dict'].items():
        assert_close(state(runner)[key], value, atol=0, rtol=0)
    runner, _ = train(config(tmp_path, 'begun', load=given, hook=dict(begin_with_labels=True)))
    whole.equals(runner)


@pytest.mark.parametrize(
    ('rounds', 'begin', 'expected'),
    [
        (1, False, '0000000'),
        (2, False, '0001111'),
        (9, False, '0001112'),
        (None, True, '0001112'),
        (1, True, '0001111'),
    ],
)
def test_rounds(
    tmp_path: Path, whole: Whole, rounds: int | None, begin: bool, expected: str
) -> None:
    load = dict(LOAD, pseudo_dir=str(whole.folder / 'pseudo_labels/round_0')) if begin else LOAD
    _, recorder = train(
        config(tmp_path, 'run', load=load, hook=dict(rounds=rounds, begin_with_labels=begin))
    )
    assert recorder.rounds == [{f'round_{i}'} for i in expected]
    made = {path.name for path in (tmp_path / 'run/pseudo_labels').iterdir()}
    assert made == {f'round_{i}' for i in expected if i != '0' or not begin}


@pytest.mark.parametrize('persistent', [False, True])
def test_workers_deliver_no_old_labels(tmp_path: Path, whole: Whole, persistent: bool) -> None:
    cfg = config(tmp_path, 'workers')
    cfg.train_dataloader.target.update(
        num_workers=2, persistent_workers=persistent, prefetch_factor=3
    )
    runner, recorder = train(cfg)
    assert recorder.rounds == whole.rounds
    whole.equals(runner)


def test_other_pipelines_and_wrapped_datasets(tmp_path: Path, monkeypatch: Any) -> None:
    read: list[Any] = []
    monkeypatch.setattr(LoadAnnotations, 'transform', lambda self, results: read.append(results))
    small = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(24, 16)),
        dict(type='PackSegInputs'),
    ]
    cfg = config(
        tmp_path,
        'given',
        1,
        hook=dict(
            pipeline=[
                *small[:2],
                dict(type='LoadAnnotations'),
                dict(type='mmseg.LoadAnnotations'),
                dict(type=OtherAnnotations),
                small[2],
            ]
        ),
    )
    source = cfg.train_dataloader.source.dataset.pipeline
    source[1:2] = [dict(type='Dummy')]

    @TRANSFORMS.register_module(name='Dummy', force=True)
    class Dummy:
        def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
            results['gt_seg_map'] = results['img'][..., 0] % 4
            return results

    train(cfg)
    cfg = config(tmp_path, 'derived', 1)
    target = cfg.train_dataloader.target.dataset
    target.pipeline[2:2] = [small[1], dict(type='RandomCrop', crop_size=(8, 8), cat_max_ratio=1.0)]
    wrapped = dict(
        type='ConcatDataset', datasets=[dict(type='RepeatDataset', times=2, dataset=target)]
    )
    cfg.train_dataloader.target.dataset = wrapped
    cfg.train_dataloader.source.dataset.pipeline = source
    train(cfg)
    one, other = (labels(tmp_path / f'{tag}/pseudo_labels/round_0') for tag in ('given', 'derived'))
    assert one == other
    assert len(one) == 7
    assert not read


# ------------------------------------------------------------------------------------------ resume


def resumed(tmp_path: Path, tag: str, iteration: int, **kwargs: Any) -> Config:
    cfg = config(tmp_path, tag, **kwargs)
    cfg.update(resume=True, load_from=str(tmp_path / tag / f'iter_{iteration}.pth'))
    return cfg


@pytest.mark.parametrize(('iteration', 'last_round'), [(2, 0), (3, 0), (3, 2), (4, 1), (6, 2)])
def test_resumed_run_is_the_whole_run(
    tmp_path: Path, whole: Whole, iteration: int, last_round: int
) -> None:
    """Killed before or after a round's labels, or much later than the checkpoint."""
    shutil.copytree(whole.folder, tmp_path / 'run')
    for number in range(last_round + 1, 3):
        shutil.rmtree(tmp_path / f'run/pseudo_labels/round_{number}')
    runner, recorder = train(resumed(tmp_path, 'run', iteration))
    assert recorder.rounds == whole.rounds[iteration:]
    whole.equals(runner)


@pytest.mark.parametrize(('written', 'checkpoint'), [(0, 2), (3, 2), (3, 3)])
def test_killed_while_labelling(
    tmp_path: Path, whole: Whole, monkeypatch: Any, written: int, checkpoint: int
) -> None:
    count = [0]
    write = pseudo_label_loop.write_label

    def write_and_die(*args: Any) -> None:
        count[0] += 1
        if count[0] > 7 + written:
            raise KeyboardInterrupt
        write(*args)

    monkeypatch.setattr(pseudo_label_loop, 'write_label', write_and_die)
    cfg = config(tmp_path, 'killed')
    cfg.default_hooks.checkpoint.interval = checkpoint
    with pytest.raises(KeyboardInterrupt):
        Runner.from_cfg(cfg).train()
    folder = tmp_path / 'killed/pseudo_labels/round_1'
    stamps = {path: path.stat().st_mtime_ns for path in folder.glob('*.png')}
    assert len(stamps) == written
    monkeypatch.setattr(pseudo_label_loop, 'write_label', write)
    assert (tmp_path / 'killed/last_checkpoint').read_text().endswith(f'iter_{checkpoint}.pth')
    runner, _ = train(resumed(tmp_path, 'killed', checkpoint))
    whole.equals(runner)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps  # finished, not repeated


def test_folder_of_another_network(tmp_path: Path, whole: Whole, capfd: Any) -> None:
    """Moved aside; and one with a missing file is completed."""
    run = tmp_path / 'run'
    shutil.copytree(whole.folder / 'pseudo_labels', run / 'pseudo_labels')
    runner, _ = train(config(tmp_path, 'run', 4, randomness=dict(seed=9), log_level='INFO'))
    aside = run / 'pseudo_labels/round_0.old-1'
    assert f'{run}/pseudo_labels/round_0 are in {aside} now: ' in capfd.readouterr().out
    assert labels(aside) == labels(whole.folder / 'pseudo_labels/round_0')
    expected = labels(whole.folder / 'pseudo_labels/round_1')
    assert labels(run / 'pseudo_labels/round_1') != expected
    shutil.rmtree(run / 'pseudo_labels')
    shutil.copytree(whole.folder / 'pseudo_labels', run / 'pseudo_labels')
    for name in ('iter_3.pth', 'pseudo_labels/round_1/manifest.json'):
        shutil.copy(whole.folder / name, run / name)
    stamp = (run / 'pseudo_labels/round_1/2.png').stat().st_mtime_ns
    (run / 'pseudo_labels/round_1/3.png').unlink()
    runner, _ = train(resumed(tmp_path, 'run', 3))
    whole.equals(runner)
    assert labels(run / 'pseudo_labels/round_1') == expected
    assert (run / 'pseudo_labels/round_1/2.png').stat().st_mtime_ns == stamp


def test_resume_needs_the_labels_it_was_trained_with(tmp_path: Path, whole: Whole) -> None:
    shutil.copytree(whole.folder, tmp_path / 'run')
    saved = load_checkpoint(str(tmp_path / 'run/iter_5.pth'))['pseudo_labels']
    assert (saved['round'], saved['iteration'], len(saved['network'])) == (1, 3, 64)

    def refused(match: str, **kwargs: Any) -> None:
        with pytest.raises(ValueError, match=match):
            Runner.from_cfg(resumed(tmp_path, 'run', 5, **kwargs)).train()

    refused(
        "expected the labels {.*'iteration': 3.*}, with which the checkpoint of iteration "
        r"5 was trained, but got others in '.*round_1' \(rule.*\)",
        hook=dict(rule='cbst'),
    )
    refused(r"got others in '.*round_1' \(made by .*'iteration': 4", hook=dict(interval=4))
    folder = tmp_path / 'run/pseudo_labels/round_1'
    text = (folder / 'manifest.json').read_text()
    (folder / 'manifest.json').write_text(text.replace(saved['network'], 'x'))
    refused("made by .*'network': 'x'")
    (folder / 'manifest.json').write_text(text.replace('"complete": true', '"complete": false'))
    refused('made by')
    (folder / 'manifest.json').unlink()
    refused(r'no manifest\.json')


# ---------------------------------------------------------------------------------- many processes


def _process(rank: int, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2')
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/meeting', rank=rank, world_size=2
    )
    runner, recorder = train(
        _run_of_two(
            tmp_path,
            f'rank_{rank}',
            1,
            launcher='pytorch',
            model_wrapper_cfg=dict(type='UDADistributedDataParallel'),
        )
    )
    torch.save(
        [state(runner), [sorted(names) for names in recorder.rounds]], tmp_path / f'{rank}.pth'
    )
    torch.distributed.destroy_process_group()


def _run_of_two(tmp_path: Path, tag: str, batch_size: int, **changes: Any) -> Config:
    # Every pixel is kept: each process averages over as many.
    return config(
        tmp_path,
        'one' if batch_size == 2 else 'two',
        4,
        batch_size=batch_size,
        hook=dict(rule=dict(type='fixed', threshold=0.01)),
        segmentor=toys.segmentor_cfg(),
        experiment_name=f'{tag}_{tmp_path.name}',
        **changes,
    )


def test_two_processes_are_one(tmp_path: Path) -> None:
    one, _ = train(_run_of_two(tmp_path, 'one', 2))
    torch.multiprocessing.start_processes(_process, (tmp_path,), nprocs=2, start_method='fork')
    (first, rounds), (second, others) = (
        torch.load(tmp_path / f'{rank}.pth', weights_only=True) for rank in range(2)
    )
    assert rounds == others == [['round_0']] * 3 + [['round_1']]
    assert_close(first, second, atol=0, rtol=0)
    expected = {f'module.{key}': value for key, value in state(one).items()}
    assert_close(first, expected, atol=2e-6, rtol=0)
    for number in range(2):
        folders = [tmp_path / f'{tag}/pseudo_labels/round_{number}' for tag in ('one', 'two')]
        assert len(labels(folders[0])) == 7
        assert labels(folders[0]) == labels(folders[1])
        if not number:  # afterwards they differ by rounding
            manifests = [(folder / 'manifest.json').read_text() for folder in folders]
            assert manifests[0] == manifests[1]


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ('arguments', 'match'),
    [
        (
            dict(interval=0),
            'PseudoLabelRefreshHook.interval: expected an integer of at least 1, but got 0',
        ),
        (
            dict(interval=None),
            'PseudoLabelRefreshHook.interval: expected an integer of at least 1, but got None',
        ),
        (
            dict(interval=3, rounds=0),
            'PseudoLabelRefreshHook.rounds: expected an integer of at least 1, but got 0',
        ),
        (dict(interval=3, rule='x'), r'rule\.type: .*but got .x'),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        PseudoLabelRefreshHook(**arguments)


@TRANSFORMS.register_module(force=True)
class OtherAnnotations(LoadAnnotations):
    """Ground truth under another name."""


@TRANSFORMS.register_module(force=True)
class Stranger(BaseTransform):
    """It may load anything."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        return results


@pytest.mark.parametrize(
    ('hook', 'load', 'match'),
    [
        (
            dict(),
            None,
            'PseudoLabelRefreshHook: expected LoadPseudoLabels in '
            'train_dataloader.target.dataset.pipeline, but got none',
        ),
        (
            dict(),
            dict(pseudo_dir='{labels}'),
            'LoadPseudoLabels.pseudo_dir: expected None, because of '
            "PseudoLabelRefreshHook.begin_with_labels=False, but got '.*round_0'",
        ),
        (
            dict(begin_with_labels=True),
            dict(),
            'LoadPseudoLabels.pseudo_dir: expected the directory of the first labels, because '
            'of PseudoLabelRefreshHook.begin_with_labels=True, but got None',
        ),
        (
            dict(),
            dict(num_classes=19),
            'LoadPseudoLabels.num_classes: expected 4, the classes of the target, but got 19',
        ),
        (
            dict(pipeline=[dict(type='Stranger')]),
            dict(),
            'expected transforms that state `loads_labels`, but got Stranger; write',
        ),
        (
            dict(),
            dict(also='RandomResize'),
            'PseudoLabelRefreshHook.pipeline: expected a pipeline, because a test may need '
            "RandomResize of the target's training pipeline, but got None",
        ),
        (
            dict(),
            dict(also='CLAHE'),
            'PseudoLabelRefreshHook.pipeline: expected a pipeline, because a test may need '
            "CLAHE of the target's training pipeline, but got None",
        ),
    ],
)
def test_bad_configs(
    tmp_path: Path, whole: Whole, hook: dict[str, Any], load: Any, match: str
) -> None:
    also = (load or {}).pop('also', None)
    if load and 'pseudo_dir' in load:
        load = dict(pseudo_dir=str(whole.folder / 'pseudo_labels/round_0'))
    cfg = config(tmp_path, 'bad', hook=hook, load=dict(LOAD, **load or {}))
    pipeline = cfg.train_dataloader.target.dataset.pipeline
    if load is None:
        del pipeline[1]
    if also:
        pipeline.insert(2, dict(type=also, **dict(scale=(48, 32)) if 'Res' in also else {}))
    with pytest.raises(ValueError, match=match):
        Runner.from_cfg(cfg).train()
    assert not (tmp_path / 'bad/pseudo_labels').exists()


def test_none_needs_the_hook(tmp_path: Path) -> None:
    cfg = config(tmp_path, 'alone')
    cfg.custom_hooks = []
    with pytest.raises(
        ValueError,
        match='LoadPseudoLabels.pseudo_dir: expected a directory, but got None, and no hook '
        'makes labels',
    ):
        Runner.from_cfg(cfg).train()


def test_another_loop(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(pseudo_label_refresh_hook, 'UDATrainLoop', int)
    with pytest.raises(
        TypeError,
        match=r"expected train_cfg=dict\(type='UDATrainLoop', ...\), but got UDATrainLoop",
    ):
        Runner.from_cfg(config(tmp_path, 'loop')).train()
