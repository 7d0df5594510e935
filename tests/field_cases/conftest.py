"""A user's dataset for the situations that public bug reports of this field describe."""

from __future__ import annotations

from pathlib import Path

import pytest
import toys
from field_cases.own_dataset import OwnDataset


@pytest.fixture(scope='session')
def toy_street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded data, four images of 64 x 128 pixels for training and two for validation."""
    root = tmp_path_factory.mktemp('toy_street')
    sizes = ['--train', '4', '--val', '2', '--size', '64', '128', '--nproc', '1']
    toys.load_script('tools/dataset_converters/toy_street.py').main([str(root), *sizes])
    return root


@pytest.fixture
def own(tmp_path: Path, toy_street: Path, monkeypatch: pytest.MonkeyPatch) -> OwnDataset:
    """A user's dataset, not written yet."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    return OwnDataset(tmp_path, toy_street)
