"""What the tests of predictions share."""

from __future__ import annotations

from pathlib import Path

import predicting
import pytest


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return predicting.make_root(tmp_path_factory.mktemp('predict'))
