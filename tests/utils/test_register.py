"""The package in ``mmengine.hub``."""

from __future__ import annotations

from pathlib import Path

import pytest
import toys
from mmengine.hub import get_model
from mmengine.registry import DefaultScope

from mmseg_uda.models.uda import CDANet

NAME = 'cdanet/cdanet_toy_1xb2-600_toy-street-256x128.py'


def test_hub_builds_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / '.mim').mkdir()  # where an installed package has its configs
    (tmp_path / '.mim' / 'configs').symlink_to(toys.ROOT / 'configs')
    (tmp_path / '.mim' / 'model-index.yml').symlink_to(toys.ROOT / 'model-index.yml')
    monkeypatch.setattr('mmengine.hub.hub.install_package', lambda package: None)
    monkeypatch.setattr('mmengine.hub.hub.get_installed_path', lambda package: str(tmp_path))
    assert type(get_model(f'mmseg_uda::{NAME}')) is CDANet
    assert DefaultScope.get_current_instance().scope_name == 'mmseg'  # as before
