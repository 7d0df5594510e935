"""Import of timm where torchvision is compiled for another build of torch."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

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
