"""Every test starts from the same random state, with the package registered."""

from __future__ import annotations

import gc
import importlib.util
import random
import sys
from pathlib import Path
from typing import Iterator

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

import mmseg_uda  # noqa: F401  (registers)

sys.path.insert(0, str(Path(__file__).parent))  # tests/toys.py is what tests share
torch.set_num_threads(1)

# Operators that torchvision describes to torch when timm imports it.
TORCHVISION_OPERATORS = (
    *('_deform_conv2d_backward', '_ps_roi_align_backward', '_ps_roi_pool_backward'),
    *('_roi_align_backward', '_roi_pool_backward', 'deform_conv2d', 'nms', 'ps_roi_align'),
    *('ps_roi_pool', 'qnms', 'qroi_align', 'roi_align', 'roi_pool'),
)


def declare_torchvision_operators() -> torch.library.Library | None:
    """Let timm import a torchvision that is compiled for another build of torch.

    A package index pairs torch for CPUs with such a torchvision. No test calls its operators.

    Returns:
        What holds the declarations as long as it lives; None if torchvision fits or is missing.
    """
    spec = importlib.util.find_spec('torchvision')
    if spec is None or spec.origin is None:
        return None
    try:
        for compiled in Path(spec.origin).parent.glob('_C*'):
            torch.ops.load_library(compiled)
    except OSError:
        library = torch.library.Library('torchvision', 'DEF')
        for name in TORCHVISION_OPERATORS:
            library.define(f'{name}(Tensor x) -> Tensor')
        return library
    return None


TORCHVISION = declare_torchvision_operators()
gc.freeze()  # mmengine collects garbage often; what was imported stays


@pytest.fixture(autouse=True, scope='session')
def _plain_configs() -> Iterator[None]:
    """A runner lays its config out several times; the formatter takes seconds, changes nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for place in ('yapf.yapflib.yapf_api.FormatCode', 'mmengine.config.config.FormatCode'):
            patch.setattr(place, lambda text, **_: (text, True), raising=False)
        yield


@pytest.fixture(autouse=True, scope='session')
def _no_power_failures() -> Iterator[None]:
    """Files need not reach the disk itself: thousands of them would take half a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('os.fsync', lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def _seed() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    init_default_scope('mmseg')
