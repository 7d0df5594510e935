"""The tool of benchmarks: flags, the list, the page; real processes that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toys

from mmseg_uda.benchmark import read_benchmark

tool = toys.load_script('tools/benchmark.py')
toy = toys.load_script('tests/benchmark/toy_benchmark.py')


def test_list_and_page_without_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = toy.write(tmp_path)
    out = ['--out', str(tmp_path / 'docs')]
    assert tool.main([str(path), '--list', '--only', 'pair/dacs', *out]) == 0
    command = f'python tools/run_pipeline.py {path} --cell pair-dacs --cfg-options seed=0'
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.split(maxsplit=2) == ['missing', 'pair/dacs-seed0', command]
    assert tool.main([str(path), '--report', *out]) == 0
    page = tmp_path / 'docs/toy.md'
    assert capsys.readouterr().out.splitlines()[-1] == str(page)
    assert '0 of 5 runs are done.' in page.read_text()


def test_wrong_flags(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tool.main(['x.py', '--jobs', '0'])
    assert '--jobs: expected an integer from 1 on, but got 0' in capsys.readouterr().err


def start(path: Path, root: Path) -> subprocess.Popen[str]:
    paths = [str(toys.ROOT), str(toys.ROOT / 'tests'), os.environ.get('PYTHONPATH', '')]
    command = [sys.executable, tool.__file__, str(path), '--only', 'pair/adabn-seed0']
    command += ['--work-dir', str(root / 'work'), '--out', str(root / 'docs'), '--nice', '1']
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(paths)),
    )


@pytest.mark.slow
def test_killed_benchmark_goes_on(tmp_path: Path) -> None:
    """Stopped in its first training, it stops its run; started again, it ends with all results."""
    path = toy.write(tmp_path / 'configs')
    process = start(path, tmp_path)
    state = tmp_path / 'work/pair-seed0/pipeline.json'
    deadline = time.monotonic() + 400
    while not state.is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 143, output
    again = start(path, tmp_path)
    output, _ = again.communicate(timeout=600)
    assert again.returncode == 0, output
    assert 'pair/adabn-seed0: done' in output
    benchmark = read_benchmark(path)
    content = json.loads((tmp_path / 'docs/results/toy/pair/adabn-seed0.json').read_text())
    (run,) = benchmark.select(['pair/adabn-seed0'])
    assert content['digest'] == benchmark.digest(run)
    assert list(content['points']) == ['2', '4']
    assert (tmp_path / 'docs/toy.md').is_file()


@pytest.mark.parametrize(
    ('options', 'line'),
    [
        (['--reuse', '{file}'], '--reuse: expected directories of pipelines, but got .*a file'),
        (['--out', '{file}'], '--out: expected a directory, but got the file .*a file'),
    ],
)
def test_wrong_paths_are_refused_first(tmp_path: Path, options: list[str], line: str) -> None:
    tool = toys.load_script('tools/benchmark.py')
    file = tmp_path / 'a file'
    file.touch()
    options = [each.format(file=file) for each in options]
    with pytest.raises(ValueError, match=line):
        tool.main(['no such benchmark.py', *options])
