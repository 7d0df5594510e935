"""The first command, with two iterations a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
import toys
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmseg_uda.compat import import_timm
from mmseg_uda.stages import base

TOOL = toys.load_script('tools/quickstart.py')
read_config = base.read_config


def run_here(tool: Path, *arguments: object) -> None:
    """Run a tool in this process, as another takes seconds to import everything."""
    toys.load_script(tool).main([str(each) for each in arguments])


def test_exit_code_of_a_tool_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / 'a.py').write_text('import sys; sys.exit(int(sys.argv[1]))')
    TOOL.run_tool(tmp_path / 'a.py', 0)
    with pytest.raises(SystemExit) as caught:
        TOOL.run_tool(tmp_path / 'a.py', 3)
    assert caught.value.code == 3


def shortened(path: Path) -> Config:
    """Read a config, with two iterations and no workers."""
    cfg = read_config(path)
    cfg.train_cfg.max_iters = cfg.default_hooks.checkpoint.interval = 2
    for loader in (*cfg.train_dataloader.values(), cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
    return cfg


def test_table_and_sheet_and_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ('MMSEG_UDA_DATA', 'EFFICIENTNET_LITE0'):
        monkeypatch.setenv(name, '')  # the tool sets it; have it restored
    monkeypatch.setattr(base, 'read_config', shortened)
    monkeypatch.setattr(TOOL, 'run_tool', run_here)
    monkeypatch.setattr(TOOL, 'NUM_TRAIN', 2)
    monkeypatch.setattr(TOOL, 'NUM_VAL', 2)
    weights = import_timm().create_model('tf_efficientnet_lite0').state_dict()
    torch.save(dict(state_dict=weights), tmp_path / 'efficientnet_lite0.pth')
    TOOL.main(['--work-dir', str(tmp_path)])
    first = capfd.readouterr().out
    lines = first.split('IoU on the target, %')[1].splitlines()
    assert lines[0].split() == ['source', 'only', 'DACS', 'gain']
    assert sum(line.startswith(('road', 'train', 'bicycle', 'mIoU')) for line in lines) == 4
    sheet = cv2.imread(str(tmp_path / 'contact_sheet_seed0.png'))
    assert sheet.shape[0] > 6 * 128
    assert sheet.std() > 10
    log = (tmp_path / 'seed0/dacs').rglob('*.log')
    assert 'source_only/iter_2.pth' in next(log).read_text()  # where DACS starts

    def refuse(*args: Any) -> None:
        raise AssertionError('a result that is there was computed again')

    monkeypatch.setattr(TOOL.Runner, 'test', refuse)
    monkeypatch.setattr(TOOL.Runner, 'train', refuse)
    DefaultScope._instance_dict.clear()  # as in a new process
    TOOL.main(['--work-dir', str(tmp_path)])
    again = capfd.readouterr().out
    assert again.split('IoU on')[1].splitlines()[:23] == first.split('IoU on')[1].splitlines()[:23]
    # A damaged checkpoint is trained again.
    path = tmp_path / 'seed0/dacs/iter_2.pth'
    path.write_bytes(path.read_bytes()[:-99])
    DefaultScope._instance_dict.clear()
    with pytest.raises(AssertionError, match='computed again'):
        TOOL.main(['--work-dir', str(tmp_path)])


def test_table_numbers() -> None:
    nan = float('nan')
    before = {'aAcc': 1.0, 'mIoU': 10.0, 'IoU_road': 20.04, 'IoU_train': nan}
    after = {'aAcc': 1.0, 'mIoU': 15.5, 'IoU_road': 30.0, 'IoU_train': 2.0}
    rows = [line.split() for line in TOOL.table({'a': before, 'b': after}).splitlines()]
    assert ['road', '20.0', '30.0', '+10.0'] in rows
    assert ['train', '-', '2.0', '-'] in rows
    assert ['mIoU', '10.0', '15.5', '+5.5'] in rows
