"""Bad inputs of every kind end a tool with one line; see docs/errors.md."""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
import toys
from bad_inputs import (
    rows_checkpoints,
    rows_command_line,
    rows_config,
    rows_data,
    rows_files,
    rows_pipelines,
)
from bad_inputs.table import Row, World, before

from mmseg_uda.utils.cli import run_main

MODULES = (rows_config, rows_data, rows_checkpoints, rows_files, rows_command_line, rows_pipelines)
ROWS = [row for module in MODULES for row in module.ROWS]
# Lines on the standard error that are no error: progress bars, and warnings of OpenCV.
PROGRESS = re.compile(r'\[[> ]*\] \d+/\d+|\[ WARN:')
# Rows that run as processes of their own, too: at least one of each kind and of each exit code.
PROCESSES = (
    'config, model: type',
    'config, head: key',
    'config, backbone: channels of the head',
    'config, loop: no interval',
    'config, environment: module',
    'data, colour label',
    'data, empty image file',
    'data, broken image read by a worker',
    'data, list with a blank line',
    'data, empty label of a prior',
    'data, empty image to translate',
    'checkpoint, pointer of Git LFS',
    'checkpoint, object',
    'checkpoint, weights of other classes',
    'pseudo labels, truncated',
    'image labels, pickled names',
    'prior, truncated',
    'translation, name above',
    'state, version',
    'command line, train config.py --resme',
    'command line, train config.py --cfg-options train_cfg.max_iters',
    'command line, dataset_converters/toy_street out --size 8 8',
    'pipeline, reference',
    'table, row',
    'file, syntax',
)
load_tool = functools.cache(toys.load_script)


@pytest.fixture(scope='session')
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp('world')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return World(root)


def check(row: Row, code: object, out: str, err: str, root: Path) -> None:
    """Check that a tool ended with a row's line, and that a log file has the rest."""
    lines = re.split('[\r\n]', err.replace(f'{root}/', ''))
    lines = [line for line in lines if line and not PROGRESS.match(line)]
    assert len(lines) == 1, f'expected one line, but got {lines}'
    assert row.pattern.search(lines[0]), f'expected {row.line}, but got {lines[0]}'
    assert code == row.code
    assert 'Traceback' not in out
    for log in root.rglob('*.log'):
        assert 'Traceback (most recent call last)' in log.read_text()


def mark(row: Row) -> object:
    return pytest.param(row, id=row.name, marks=[pytest.mark.slow] if row.slow else [])


@pytest.mark.parametrize('row', [mark(row) for row in ROWS])
def test_row(
    row: Row,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')
    world.set_up(row, tmp_path)
    tool, *arguments = shlex.split(row.command)
    path = toys.ROOT / f'tools/{tool}.py'
    module: ModuleType = load_tool(path)
    monkeypatch.setattr(sys, 'argv', [str(path), *arguments])
    with pytest.raises(SystemExit) as stopped:
        run_main(module.main)
    check(row, stopped.value.code, *capsys.readouterr(), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    'row', [row for row in ROWS if row.name in PROCESSES], ids=lambda row: row.name
)
def test_row_as_a_process(row: Row, world: World, tmp_path: Path) -> None:
    world.set_up(row, tmp_path)
    tool, *arguments = shlex.split(row.command)
    paths = [str(toys.ROOT), str(toys.ROOT / 'tests')]
    ended = subprocess.run(
        [sys.executable, '-W', 'ignore', toys.ROOT / f'tools/{tool}.py', *arguments],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths), 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
    )
    check(row, ended.returncode, ended.stdout, ended.stderr, tmp_path)


def test_the_table_covers_every_kind() -> None:
    kinds = Counter(row.name.split(',')[0] for row in ROWS)
    for kind in ('config', 'data', 'checkpoint', 'command line', 'pipeline', 'table', 'file'):
        assert kinds[kind] >= 5
    for kind in ('pseudo labels', 'image labels', 'prior', 'translation', 'state'):
        assert kinds[kind] >= 5
    levels = {row.name.split(':')[0] for row in rows_config.ROWS}
    assert len(levels) >= 20
    tools = {path.stem for path in (toys.ROOT / 'tools').rglob('*.py') if path.parent.name != 'dev'}
    assert {Path(row.command.split()[0]).name for row in ROWS} == tools


def test_counts() -> None:
    then = Counter(each['outcome'] for each in before().values())
    assert len({row.name for row in ROWS}) == len(ROWS) >= 150
    assert before().keys() == {row.name for row in ROWS}
    assert then['unclear'] + then['silent'] >= 100
    assert len({row.name for row in ROWS} & {*PROCESSES}) == len(PROCESSES) >= 20
    assert all(len(row.line) >= 15 for row in ROWS)
    counts = (
        f'{len(ROWS)} bad inputs, of which {then["unclear"] + then["silent"]} were once handled'
    )
    assert counts in (toys.ROOT / 'docs/errors.md').read_text()


def test_no_line_advises_a_destructive_flag() -> None:
    for row in ROWS:
        assert not re.search(r'write --overwrite|--force|\bdelete\b', row.line), row.name
