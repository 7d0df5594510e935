"""What the command lines share."""

from __future__ import annotations

import errno
import io
import logging
import multiprocessing
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import toys
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmseg_uda.config.problems import ConfigError, Problem
from mmseg_uda.utils.cli import build_runner, config_parser, load_config, run_main


def load(path: Path, *options: str) -> Config:
    args = config_parser(None, launcher=True).parse_args(options)
    return load_config(Namespace(config=str(path), work_dir=None, **vars(args)))


def read(folder: Path, text: str) -> None:
    path = folder / 'config.py'
    path.write_text(text)
    load(path)


@pytest.mark.parametrize(
    ('wrong', 'right'),
    [
        ('optim_wraper', 'optim_wrapper'),
        ('custom_hook', 'custom_hooks'),
        ('val_dataloder', 'val_dataloader'),
        ('train_dataloaders', 'train_dataloader'),
    ],
)
def test_misspelt_name_is_refused(tmp_path: Path, wrong: str, right: str) -> None:
    with pytest.raises(ValueError, match=f"{wrong}: nothing reads this name; write '{right}'"):
        read(tmp_path, f'{wrong} = dict()')


def test_own_names_are_allowed(tmp_path: Path) -> None:
    read(tmp_path, 'test_pipeline = []\ncrop_size = (1, 2)\nseed = 1')


def test_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'no config file .*no\.py'):
        load(tmp_path / 'no.py')


def test_row_and_cell(tmp_path: Path) -> None:
    (tmp_path / 'net.py').write_text('net = dict(width=1, depth=1)')
    table = tmp_path / 'ablations.py'
    table.write_text(
        "cells = {'a': 'net.py'}\nrows = {'wide': dict(options={'net.width': 2}, cells=['a'])}"
    )
    for options in (['--row', 'wide', '--cell', 'a'], ['--row', 'wide'], []):
        cfg = load(table, *options, '--cfg-options', 'net.depth=3')
        assert cfg.net == dict(width=2, depth=3)
        assert cfg.work_dir == 'work_dirs/net_wide'
    with pytest.raises(ValueError, match='expected a row, but got wid; write wide'):
        load(table, '--row', 'wid')


def test_mistakes_are_printed_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise ConfigError([Problem('a.b', 'is wrong'), Problem('c', 'is wrong, too')])

    with pytest.raises(SystemExit) as stopped:
        run_main(main)
    assert stopped.value.code == 2
    assert capsys.readouterr() == ('', 'a.b: is wrong\nc: is wrong, too\n')
    with pytest.raises(SystemExit) as stopped:
        run_main(lambda: 3)
    assert stopped.value.code == 3


@pytest.mark.parametrize(
    ('error', 'code', 'line'),
    [
        pytest.param(
            "raise ValueError('a.b: expected 1, but got 2')",
            2,
            'error: a.b: expected 1, but got 2',
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "json.loads('{')",
            1,
            'error: JSONDecodeError: Expecting property name',
            marks=pytest.mark.slow,
        ),
        pytest.param(
            'raise KeyboardInterrupt',
            130,
            'interrupted; the same command goes on where it can',
            marks=pytest.mark.slow,
        ),
    ],
    ids=['refused', 'failed elsewhere', 'interrupted'],
)
def test_a_tool_ends_with_one_line(tmp_path: Path, error: str, code: int, line: str) -> None:
    tool = tmp_path / 'tool.py'
    tool.write_text(
        f'import json, sys\nfrom mmseg_uda.utils.cli import run_main\ndef main():\n    {error}\n'
        'run_main(main)'
    )
    command = [sys.executable, '-W', 'ignore', str(tool)]  # each imports everything: seconds
    ended = subprocess.run(command, capture_output=True, text=True)
    lines = [each for each in ended.stderr.splitlines() if 'Traceback' in each or 'rror' in each]
    assert ended.returncode == code
    assert 'Traceback' not in ended.stderr
    assert line in ended.stderr
    assert len(lines) == line.startswith('error')


@pytest.mark.parametrize('text', ['a line\n', 'a line\n' * 100_000], ids=['buffered', 'long'])
def test_output_that_nobody_reads(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``tool | head`` ends without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, 'w') as output, monkeypatch.context() as patched:
        patched.setattr(sys, 'stdout', output)
        with pytest.raises(SystemExit) as stopped:
            run_main(lambda: output.write(text))
    assert stopped.value.code == 141
    assert capsys.readouterr().err == ''


def test_a_broken_pipe_of_another_process_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise BrokenPipeError(errno.EPIPE, 'Broken pipe')

    with pytest.raises(SystemExit) as stopped:
        run_main(main)
    assert stopped.value.code == 1
    assert 'error: BrokenPipeError' in capsys.readouterr().err


def test_traceback_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def main() -> None:
        assert sys.argv == ['tool.py', 'CONFIG']
        raise ValueError('wrong')

    monkeypatch.setattr(sys, 'argv', ['tool.py', 'CONFIG', '--traceback'])
    with pytest.raises(ValueError, match='wrong'):
        run_main(main)
    monkeypatch.setenv('MMSEG_UDA_TRACEBACK', '1')
    with pytest.raises(ValueError, match='wrong'):
        run_main(main)


def test_a_full_disk_ends_a_tool_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Writes of the toolboxes, whose errors name no file, and those of log files."""
    log = tmp_path / 'run.log'
    logger = MMLogger.get_instance(tmp_path.name, log_file=str(log), log_level='INFO')
    handler = next(each for each in logger.handlers if isinstance(each, logging.FileHandler))
    stream = handler.stream

    class FullDisk(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, 'No space left on device')

    def fill() -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    def write_log() -> None:
        handler.setStream(FullDisk())
        logger.info('a line')

    lines = []
    for main in (fill, write_log):
        with pytest.raises(SystemExit) as stopped:
            run_main(main)
        assert stopped.value.code == 1
        lines.append(capsys.readouterr().err)
    handler.setStream(stream)  # later tests log, too
    text = f'No space left on device; free space in {tmp_path}, or write elsewhere'
    ending = '(--traceback shows where)\n'
    assert lines[0] == f'error: OSError: [Errno 28] {text} {ending}'
    assert lines[1] == f'error: OSError: [Errno 28] {text}: {str(log)!r} {ending}'
    assert 'fill' in log.read_text()


def test_nothing_that_ran_leaves_workers(tmp_path: Path) -> None:
    cfg = toys.runner_cfg(tmp_path, tmp_path / 'work', toys.METHODS['source_only'], max_iters=2)
    cfg.train_cfg.val_interval = 1
    for loader in (*cfg.train_dataloader.values(), cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=1, persistent_workers=True)
    before = set(multiprocessing.active_children())
    runner = build_runner(cfg)
    for run in (runner.train, runner.val, runner.test):
        run()
        assert set(multiprocessing.active_children()) <= before
