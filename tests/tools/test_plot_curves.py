"""Curves over training."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import pytest
from toys import load_script, method_cfg, runner_cfg, train


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return load_script('tools/analysis_tools/plot_curves.py')


def write_log(path: Path, records: list[dict[str, Any]], rest: str = '') -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(record) + '\n' for record in records) + rest)
    return path


def entropies(*steps: int, scale: float = 1.0) -> list[dict[str, Any]]:
    return [
        {'entropy/right': scale * step, 'entropy/wrong': 2 * scale * step, 'step': step}
        for step in steps
    ]


def test_reads_a_resumed_run(tool: ModuleType, tmp_path: Path) -> None:
    """Steps that were run again count once; the half-written line of a kill does not count."""
    train_log = [{'loss': 3.0, 'iter': 1, 'step': 1}]
    write_log(
        tmp_path / 'a/20260101_000000/vis_data/scalars.json',
        train_log + entropies(10, 20, 30),
        '{"entropy/ri',
    )
    write_log(tmp_path / 'a/20260102_000000/vis_data/scalars.json', entropies(20, 40, scale=3))
    curves = tool.read_curves(tmp_path / 'a')
    assert curves == {
        'loss': {1: 3.0},
        'entropy/right': {10: 10.0, 20: 60.0, 30: 30.0, 40: 120.0},
        'entropy/wrong': {10: 20.0, 20: 120.0, 30: 60.0, 40: 240.0},
    }
    first = tmp_path / 'a/20260101_000000'
    assert tool.read_curves(first) == tool.read_curves(first / 'vis_data/scalars.json')
    assert tool.read_curves(first)['entropy/right'][20] == 20


def test_plots_several_runs(
    tool: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = [
        str(write_log(tmp_path / name, entropies(1, 2, scale=scale)))
        for name, scale in (('a/x.json', 1.0), ('b/x.json', 5.0))
    ]
    figures = []
    monkeypatch.setattr(tool.plt, 'close', figures.append)
    tool.main([*paths, '--labels', 'ours', 'theirs', '--out', str(tmp_path / 'out/x.png')])
    (axes,) = figures[0].axes
    lines = [
        (
            line.get_label(),
            line.get_color(),
            line.get_linestyle(),
            list(line.get_xdata()),
            list(line.get_ydata()),
        )
        for line in axes.lines
    ]
    assert lines == [
        ('ours: entropy/right', 'C0', '-', [1, 2], [1, 2]),
        ('ours: entropy/wrong', 'C0', '--', [1, 2], [2, 4]),
        ('theirs: entropy/right', 'C1', '-', [1, 2], [5, 10]),
        ('theirs: entropy/wrong', 'C1', '--', [1, 2], [10, 20]),
    ]
    assert cv2.imread(str(tmp_path / 'out/x.png')).shape == (675, 1050, 3)
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['x.png']
    assert 'theirs: entropy/wrong 20 at 2 (2 points)' in capsys.readouterr().out
    tool.main(
        [
            paths[0],
            '--keys',
            'entropy/wrong',
            '--title',
            'over training',
            '--out',
            str(tmp_path / 'x.pdf'),
        ]
    )
    (axes,) = figures[1].axes
    assert [line.get_label() for line in axes.lines] == [f'{paths[0]}: entropy/wrong']
    assert axes.get_title() == 'over training'
    assert (tmp_path / 'x.pdf').read_bytes().startswith(b'%PDF')


def test_a_real_run(tool: ModuleType, tmp_path: Path) -> None:
    cfg = runner_cfg(
        tmp_path,
        tmp_path / 'work',
        method_cfg('source_only'),
        max_iters=4,
        val_evaluator=[dict(type='IoUMetric'), dict(type='EntropyMetric')],
    )
    cfg.train_cfg.update(val_interval=2, val_begin=1)
    train(cfg)
    curves = tool.read_curves(tmp_path / 'work')
    assert list(curves['entropy/right']) == [2, 4]
    assert list(curves['loss']) == [1, 2, 3, 4]
    assert all(0 < value <= 1 for value in curves['entropy/wrong'].values())
    tool.main([str(tmp_path / 'work'), '--out', str(tmp_path / 'x.png')])
    assert cv2.imread(str(tmp_path / 'x.png')) is not None


def test_errors(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_log(tmp_path / 'a/x.json', entropies(1)))
    with pytest.raises(ValueError, match=r"'mIoU' in .*x.json, but got none; write one of entropy"):
        tool.main([path, '--keys', 'mIoU'])
    with pytest.raises(ValueError, match='--labels, but got .* twice; write different names'):
        tool.main([path, path])
    with pytest.raises(
        FileNotFoundError, match='expected a log or .*, but got .*a; write the work_dir'
    ):
        tool.main([str(tmp_path / 'a')])
    with pytest.raises(SystemExit):
        tool.main([path, '--labels', 'a', 'b'])
    assert '--labels got 2 names for 1 runs' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tool.main([path, '--keys', *'abcde'])
    assert 'write at most 4' in capsys.readouterr().err
