"""The first command, but for the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
import toys
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS

TOOL = toys.load_script('tools/quickstart.py')


def untrained(method: str, folder: Path, seed: int) -> Path:
    """What training would leave, after no iteration at all."""
    path = folder / 'iter_0.pth'
    if not path.exists():
        folder.mkdir(parents=True)
        torch.manual_seed(seed)
        model = MODELS.build(Config.fromfile(TOOL.config_of(method)).model)
        model.init_weights()
        torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return path


def run_here(tool: Path, *arguments: object) -> None:
    """Run a tool in this process, as another takes seconds to import everything."""
    toys.load_script(tool).main([str(each) for each in arguments])


def test_exit_code_of_a_tool_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / 'a.py').write_text('import sys; sys.exit(int(sys.argv[1]))')
    TOOL.run_tool(tmp_path / 'a.py', 0)
    with pytest.raises(SystemExit) as caught:
        TOOL.run_tool(tmp_path / 'a.py', 3)
    assert caught.value.code == 3


def test_table_and_sheet_and_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv('MMSEG_UDA_DATA', '')  # the tool sets it; have it restored
    monkeypatch.setattr(TOOL, 'train', untrained)
    monkeypatch.setattr(TOOL, 'run_tool', run_here)
    monkeypatch.setattr(TOOL, 'NUM_TRAIN', 1)
    monkeypatch.setattr(TOOL, 'NUM_VAL', 2)
    TOOL.main(['--work-dir', str(tmp_path)])
    first = capfd.readouterr().out
    lines = first.split('IoU on the target, %')[1].splitlines()
    assert lines[0].split() == ['source', 'only', 'CDANet', 'gain']
    assert sum(line.startswith(('road', 'train', 'bicycle', 'mIoU')) for line in lines) == 4
    sheet = cv2.imread(str(tmp_path / 'contact_sheet_seed0.png'))
    assert sheet.shape[0] > 6 * 128
    assert sheet.std() > 10

    def refuse(*args: Any) -> None:
        raise AssertionError('a result that is there was computed again')

    monkeypatch.setattr(TOOL.Runner, 'test', refuse)
    DefaultScope._instance_dict.clear()  # as in a new process
    TOOL.main(['--work-dir', str(tmp_path)])
    again = capfd.readouterr().out
    assert again.split('IoU on')[1].splitlines()[:23] == first.split('IoU on')[1].splitlines()[:23]


def test_damaged_checkpoints_are_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(TOOL, 'run_tool', lambda *arguments: calls.append(arguments))
    path = tmp_path / 'iter_600.pth'
    torch.save(dict(state_dict={}, meta=dict(iter=600)), path)
    assert TOOL.train('CDANet', tmp_path, 0) == path
    assert not calls
    path.write_bytes(path.read_bytes()[:-99])
    assert TOOL.train('CDANet', tmp_path, 0) == path
    assert '--resume' in calls[0]


def test_table_numbers() -> None:
    nan = float('nan')
    before = {'aAcc': 1.0, 'mIoU': 10.0, 'IoU_road': 20.04, 'IoU_train': nan}
    after = {'aAcc': 1.0, 'mIoU': 15.5, 'IoU_road': 30.0, 'IoU_train': 2.0}
    rows = [line.split() for line in TOOL.table({'a': before, 'b': after}).splitlines()]
    assert ['road', '20.0', '30.0', '+10.0'] in rows
    assert ['train', '-', '2.0', '-'] in rows
    assert ['mIoU', '10.0', '15.5', '+5.5'] in rows
