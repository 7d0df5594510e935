"""Every test starts from the same random state, with the package registered."""

from __future__ import annotations

import functools
import gc
import os
import random
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Iterator

import numpy as np
import pytest
import torch
from mmengine.dataset import base_dataset
from mmengine.optim.optimizer import default_constructor
from mmengine.registry import init_default_scope
from mmengine.runner import runner

import mmseg_uda  # noqa: F401  (registers)
from mmseg_uda.compat import import_timm

sys.path.insert(0, str(Path(__file__).parent))  # tests/toys.py is what tests share

torch.set_num_threads(1)
with warnings.catch_warnings():  # declares what an unfit torchvision lacks, of which it warns
    warnings.simplefilter('ignore')
    import_timm()
# Tests write and remove 100,000 small files, many of them copies of configs that mmengine makes.
MEMORY = Path('/dev/shm')
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 * 2**30:
    tempfile.tempdir = str(MEMORY)
gc.freeze()  # what was imported stays


@pytest.fixture(autouse=True, scope='session')
def _without_waits() -> Iterator[None]:
    """Leave out what takes time in every run of a toolbox, and changes no result."""
    with pytest.MonkeyPatch.context() as patch:
        # A runner lays its config out several times; the formatter takes seconds.
        for place in ('yapf.yapflib.yapf_api.FormatCode', 'mmengine.config.config.FormatCode'):
            patch.setattr(place, lambda text, **_: (text, True), raising=False)
        # An optimizer's constructor tries to import mmcv's operators again for every module.
        looks = functools.cache(default_constructor.mmcv_full_available)
        patch.setattr(default_constructor, 'mmcv_full_available', looks)
        # Every dataset collects all garbage once: a sixth of the time of all tests.
        patch.setattr(base_dataset, 'gc', SimpleNamespace(collect=lambda: 0))
        # Every runner logs the machine, for which it asks compilers in processes of their own.
        patch.setattr(runner, 'collect_env', functools.cache(runner.collect_env))
        # Files need not reach the disk itself: thousands of them would take half a minute.
        patch.setattr('os.fsync', lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def _seed() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    init_default_scope('mmseg')
