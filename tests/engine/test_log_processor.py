from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import toys
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmseg_uda.artifacts.run_logs import RunLog
from mmseg_uda.stages.train import run_training
from mmseg_uda.utils.cli import build_runner

TIME = r'\d\d/\d\d \d\d:\d\d:\d\d  '


def config(root: Path, **processor: Any) -> Config:
    return toys.runner_cfg(
        root,
        root / 'work',
        toys.METHODS['source_only'],
        max_iters=4,
        train_cfg=dict(type='UDATrainLoop', max_iters=4, val_interval=2),
        vis_backends=[dict(type='LocalVisBackend')],
        visualizer=dict(
            type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name=root.name
        ),
        log_processor=dict(type='TerminalLogProcessor', by_epoch=False, **processor),
        log_level='INFO',
        experiment_name=root.name,
    )


def train(cfg: Config) -> None:
    MMLogger._instance_dict.pop(cfg.experiment_name, None)
    run_training(cfg)


def test_terminal_is_short_and_the_file_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 30
    assert re.fullmatch(TIME + r'log with config, environment and all losses: \S+\.log', lines[0])
    first = next(line for line in lines if ' iter ' in line)
    assert re.fullmatch(TIME + r'iter 1/4  eta \d:\d\d:\d\d  loss [\d.]+  lr [\d.e-]+', first)
    last = [line for line in lines if ' iter ' in line][-1]
    assert re.search(r'iter 4/4  .* mIoU \d+\.\d\d  lr ', last)  # of the validation at 2
    metrics = r'validation at 2: mIoU [\d.]+  aAcc [\d.]+  mAcc [\d.]+'
    assert any(re.fullmatch(TIME + metrics, line) for line in lines)
    assert not any(line.startswith(('+-', 'model = ')) for line in lines)

    (log,) = tmp_path.glob('work/*/*.log')
    text = log.read_text()
    for part in ('Config:\n', 'System environment:', 'Hooks will be executed', 'per class results'):
        assert part in text
    assert re.search(r'Iter\(train\) \[1/4\].*source\.decode\.loss_ce: ', text)


def test_what_reads_logs_is_as_before(tmp_path: Path) -> None:
    """mmengine's processor gives the same values, and the same lines in the file."""
    runs = {}
    for name in ('TerminalLogProcessor', 'LogProcessor'):
        cfg = config(tmp_path / name)
        cfg.log_processor.type = name
        train(cfg)
        (log,) = (tmp_path / name).glob('work/*/*.log')
        lines = re.findall(r'INFO - (Iter\(.*)', log.read_text())
        clocks = r'(eta|time|data_time): [\d.:]+'
        runs[name] = [re.sub(clocks, '', line) for line in lines]
        scalars = log.with_name('vis_data') / 'scalars.json'
        for line in scalars.read_text().splitlines():
            values = json.loads(line)
            runs[name].append({k: v for k, v in values.items() if 'time' not in k})
        read = RunLog(name, tmp_path / name / 'work')
        assert set(read.class_iou) == set(toys.METAINFO['classes'])
        assert read.facts['sys.platform'] == sys.platform
    assert runs['TerminalLogProcessor'] == runs['LogProcessor']
    assert len(runs['LogProcessor']) > 10


def test_tables_are_for_the_file_from_the_first_validation_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = config(tmp_path)
    cfg.default_hooks.logger.interval = 100  # no line about the training comes before
    train(cfg)
    text = capsys.readouterr().out
    assert text.count('validation at ') == 2
    assert '+--' not in text
    assert 'per class results' not in text


def test_switched_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(config(tmp_path, compact=False))
    text = capsys.readouterr().out
    assert 'Config:\n' in text
    assert re.search(r'mmengine - .*INFO.* - Iter\(train\) \[1/4\]', text)


def test_long_validations_and_tests_show_where_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('mmseg_uda.engine.log_processor.PAUSE', 0)
    cfg = config(tmp_path)
    MMLogger._instance_dict.pop(cfg.experiment_name, None)
    build_runner(cfg).test()
    lines = capsys.readouterr().out.splitlines()
    shown = [line for line in lines if re.search(r' test \d/7  eta \d:\d\d:\d\d', line)]
    assert [re.search(r'\d/7', line)[0] for line in shown] == [f'{i}/7' for i in range(1, 8)]
    assert any(line.startswith('+-') for line in lines)  # the result of a test is shown
    assert re.search(r'test: mIoU [\d.]+  aAcc', lines[-1])
