"""Logs of a run, read as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmseg_uda.artifacts.run_logs import RunLog

TEXT = """2026/01/01 00:00:00 - mmengine - INFO -
------------------------------------------------------------
System environment:
    sys.platform: linux
    PyTorch: 2.4.0
    GPU 0: Toy GPU: 8 GB

Runtime environment:
    seed: 7
    Distributed launcher: none
------------------------------------------------------------
2026/01/01 00:00:01 - mmengine - INFO - per class results:
2026/01/01 00:00:01 - mmengine - INFO -
+------+------+------+
| Class | IoU | Acc |
+------+------+------+
| road | 1.0 | 2.0 |
+------+------+------+
2026/01/01 00:00:02 - mmengine - INFO - per class results:
2026/01/01 00:00:02 - mmengine - INFO -
+---------------+------+------+
|     Class     | IoU  | Acc  |
+---------------+------+------+
|      road     | 91.5 | 95.0 |
| traffic light | nan  | nan  |
+---------------+------+------+
| not a | 3.0 | table
"""


def write_start(work_dir: Path, records: list[dict[str, Any]], rest: str = '') -> Path:
    log = work_dir / 'vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text(''.join(json.dumps(record) + '\n' for record in records) + rest)
    return log


def test_a_resumed_run(tmp_path: Path) -> None:
    """Steps that were run again count once; the half-written line of a kill does not count."""
    first = [
        {'loss': 3.0, 'iter': 1, 'step': 1},
        *({'x': float(step), 'step': step} for step in (10, 20, 30)),
    ]
    log = write_start(tmp_path / '20260101_000000', first, '[1]\n{"step": "a"}\n{"x')
    write_start(tmp_path / '20260102_000000', [{'x': 60.0, 'step': 20}, {'x': 120.0, 'step': 40}])
    curves = RunLog('a', tmp_path).curves
    assert curves == {'loss': {1: 3.0}, 'x': {10: 10.0, 20: 60.0, 30: 30.0, 40: 120.0}}
    assert RunLog('a', log.parents[1]).curves == RunLog('a', log).curves
    assert RunLog('a', log).curves['x'][20] == 20


def test_config_machine_and_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = write_start(tmp_path / '1', [{'loss': 3.0, 'step': 1}])
    log.with_name('config.py').write_text(
        "a = dict(b=[1, -2, (True, None)], c={'d': 'e'})\n"
        "open('harm', 'w')\n"
        "f = open('harm', 'w')\n"
    )
    (tmp_path / '1/1.log').write_text(TEXT)
    run = RunLog('a', tmp_path)
    assert run.settings == {
        'a': {'b': [1, -2, [True, None]], 'c': {'d': 'e'}},
        'f': "open('harm', 'w')",
    }
    assert not Path('harm').exists()  # nothing is run
    assert (run.seed, run.facts['GPU 0'], run.facts['PyTorch']) == (7, 'Toy GPU: 8 GB', '2.4.0')
    assert str(run.class_iou) == "{'road': 91.5, 'traffic light': nan}"
    log.with_name('config.py').write_text('a = (')
    with pytest.raises(ValueError, match=r'cannot read .*config.py \(SyntaxError'):
        _ = RunLog('a', tmp_path).settings
