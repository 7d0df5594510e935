"""``tools/run_pipeline.py`` and its launchers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
import toys

from mmseg_uda.pipeline.state import State
from mmseg_uda.utils.signals import Stop

TOOLS = toys.ROOT / 'tools'
run_toy = toys.load_script('tests/pipeline/run_toy.py')


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The tool on labels of an untrained network, and their export."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.chdir(tmp_path)
    stages = [dict(run_toy.STAGES[0], options={'train_cfg.max_iters': 1}), run_toy.STAGES[1]]
    config = str(run_toy.write_configs(tmp_path / 'configs', stages))
    tool = toys.load_script('tools/run_pipeline.py')
    return lambda *options: tool.main([config, *options])


def test_dry_run_writes_nothing(call, tmp_path, capsys):
    before = sorted(tmp_path.rglob('*'))
    call('--dry-run')
    out = capsys.readouterr().out
    assert out.startswith(f'2 stages, in {tmp_path}/work_dirs/toy_pipeline: stage0, labels1\n')
    assert '[1/2] stage0 (train): run, it is not done\n      config: source.py\n' in out
    assert "[2/2] labels1 (pseudo_label): run, needs 'stage0', which runs first" in out
    assert '      checkpoint: {stage0}\n' in out
    assert sorted(tmp_path.rglob('*')) == before


def test_dry_run_without_the_data_names_the_stages(call, capsys):
    key = 'stages.stage0.options.train_dataloader.target.dataset.data_root'
    with pytest.raises(ValueError, match='absent'):
        call('--dry-run', '--cfg-options', f'{key}=absent')
    assert ': stage0, labels1\n' in capsys.readouterr().out


def test_trainings_are_told_to_save_a_checkpoint(call, tmp_path, monkeypatch):
    def stop(cfg: object, checkpoint_on_signal: bool) -> None:
        raise Stop(signal.SIGTERM, f'told: {checkpoint_on_signal}')

    monkeypatch.setattr('mmseg_uda.stages.train.run_training', stop)
    for options, told in (['--checkpoint-on-signal'], True), ([], False):
        with pytest.raises(Stop):
            call('--work-dir', 'here', *options)
        record = State(tmp_path / 'here').stages['stage0']
        assert (record.status, record.error) == (
            'interrupted',
            f'Stop: terminated; told: {told}',
        )


def test_run(call, tmp_path, capsys):
    call('--work-dir', 'here', '--cfg-options', 'stages.labels1.rule=bdl', 'seed=3')
    assert len(list((tmp_path / 'here/labels1/labels').glob('*.png'))) == 7
    call('--work-dir', 'here', '--dry-run', '--cfg-options', 'stages.labels1.rule=bdl', 'seed=3')
    assert capsys.readouterr().out.count('skip, it is done') == 2
    call('--work-dir', 'here', '--dry-run', '--cfg-options', 'seed=3')
    assert 'changed: arguments.rule.' in capsys.readouterr().out
    call(
        '--work-dir',
        'here',
        '--dry-run',
        '--from',
        'labels1',
        '--cfg-options',
        'stages.labels1.rule=bdl',
        'seed=3',
    )
    assert "labels1 (pseudo_label): replace, from 'labels1' on" in capsys.readouterr().out


def test_rows_and_cell(call, tmp_path, capsys):
    rows = {row: dict(cells=['a', 'b'], links={}) for row in ('x', 'y', 'z')}
    table = tmp_path / 'configs/ablations.py'
    table.write_text(f"cells = dict(a='source.py', b='source.py')\nrows = {rows}")
    toys.load_script('tools/run_pipeline.py').main(
        [str(table), '--dry-run', '--row', 'x', 'z', '--cell', 'b']
    )
    assert re.findall(r'\] (\w+) \(', capsys.readouterr().out) == [
        'x_b',
        'x_b_test',
        'z_b',
        'z_b_test',
    ]


@pytest.mark.parametrize('launcher', ['torchrun', 'srun'])
def test_launchers(tmp_path, launcher):
    """With a launcher that only writes down how it was called."""
    (tmp_path / launcher).write_text('#!/bin/sh\nfor i in "$@"; do echo "$i"; done\n')
    (tmp_path / launcher).chmod(0o755)
    env = {**os.environ, 'PATH': f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'}
    script, given, name = (
        ('dist_run_pipeline.sh', ['a b.py', '2'], 'pytorch')
        if launcher == 'torchrun'
        else ('slurm_run_pipeline.sh', ['gpu', 'job', 'a b.py'], 'slurm')
    )
    words = subprocess.run(
        ['bash', str(TOOLS / script), *given, '--from', 'x'],
        env=env,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert words[-6:] == [
        str(TOOLS / 'run_pipeline.py'),
        'a b.py',
        '--launcher',
        name,
        '--from',
        'x',
    ]
    failed = subprocess.run(
        ['bash', str(TOOLS / script), *given[:-1]],
        env=env,
        text=True,
        capture_output=True,
        check=False,
    )
    assert f'usage: {script}' in failed.stderr
