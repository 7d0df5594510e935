"""Configs without a model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import toys
from mmengine.config import Config

from mmseg_uda.config.required import require_model

LINE = r'^{}: expected the config of a training, but got {} without `model`; write the config'


def test_model() -> None:
    require_model('Reader', Config(dict(model=dict(type='DACS'))))
    for content in ({}, dict(model=None)):
        with pytest.raises(ValueError, match=LINE.format('Reader', 'a config')):
            require_model('Reader', Config(content))


def test_tools_name_the_file_of_a_pipeline(tmp_path: Path) -> None:
    path = tmp_path / 'my_pipeline.py'
    Config(dict(stages=[dict(name='a', type='train', config='a.py')])).dump(path)
    tool = toys.load_script('tools/analysis_tools/memory_plan.py')
    with pytest.raises(ValueError, match=LINE.format('memory_plan', '.*my_pipeline.py')):
        tool.main([str(path)])
    torch.save(dict(state_dict={'student.a': torch.ones(1)}), tmp_path / 'a.pth')
    tool = toys.load_script('tools/export_segmentor.py')
    words = [str(tmp_path / name) for name in ('a.pth', 'b.pth')]
    with pytest.raises(ValueError, match=LINE.format('export_segmentor', '.*my_pipeline.py')):
        tool.main([*words, '--config', str(path)])
    assert not (tmp_path / 'b.pth').exists()
