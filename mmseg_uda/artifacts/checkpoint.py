"""Checkpoints: reading them safely, and comparing their weights with a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from packaging.version import Version
from torch import Tensor, nn

__all__ = ['allow_checkpoint_classes', 'describe_mismatch', 'load_checkpoint']


def _history_method(owner: type, name: str) -> Callable[..., Any]:
    """``getattr`` for what a checkpoint takes from ``HistoryBuffer``: its public methods."""
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name.startswith('_'):
        raise ValueError(
            f'checkpoint asks for attribute {name!r} of {owner!r}; only public '
            'methods of HistoryBuffer are allowed'
        )
    return getattr(owner, name)


def allow_checkpoint_classes() -> None:
    """Let ``torch.load(weights_only=True)`` read the message hub of a mmengine checkpoint.

    The default since torch 2.6, with which the original mmengine cannot resume: its checkpoints
    hold ``HistoryBuffer`` objects (numpy arrays, and references to statistics methods by
    ``getattr``) and numpy scalars. Plain ``getattr`` would let a checkpoint reach anything, so
    that name is bound to a function that gives out the statistics methods alone.
    """
    from mmengine.logging import HistoryBuffer

    if Version(torch.__version__) < Version('2.6.0.dev0'):
        return
    dtypes = {
        type(np.dtype(name))
        for name in ('bool', 'int32', 'int64', 'uint8', 'float16', 'float32', 'float64')
    }
    core = np._core if hasattr(np, '_core') else np.core
    arrays = [
        (getattr(core.multiarray, name), f'numpy.{package}.multiarray.{name}')
        for name in ('_reconstruct', 'scalar')
        for package in ('core', '_core')
    ]
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            np.ndarray,
            np.dtype,
            *dtypes,
            *arrays,
            (_history_method, 'builtins.getattr'),
        ]
    )


def load_checkpoint(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint of either family onto the CPU, with ``weights_only=True``.

    The classes are allowed anew each time: onedl-mmengine's loader takes them off the list again.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no checkpoint, or holds more than weights and training records.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'load_checkpoint: no checkpoint file {path}')
    allow_checkpoint_classes()
    try:
        checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except (UnpicklingError, EOFError, RuntimeError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f'load_checkpoint: {path} is no checkpoint that torch {torch.__version__} '
            f'reads with weights_only=True: {reason}'
        ) from error
    if not isinstance(checkpoint, dict):
        raise ValueError(
            f'load_checkpoint: {path} holds a {type(checkpoint).__name__}, not the '
            'dictionary of a checkpoint'
        )
    return checkpoint


def describe_mismatch(
    network: nn.Module, state_dict: Mapping[str, Tensor], prefix: str = ''
) -> str:
    """What of a network's state is missing, or is a parameter of another shape.

    Buffers may differ in shape: some grow with what they store. ``num_batches_tracked`` may be
    missing, as in old files; nothing is computed from it.

    Args:
        network: The network.
        state_dict: Weights.
        prefix: What stands before the network's own names there.

    Returns:
        How many tensors, and which is the first; empty where all fit.
    """
    shapes = {key: parameter.shape for key, parameter in network.named_parameters()}
    keys = list(network.state_dict())
    wrong = []
    for key in keys:
        given = state_dict.get(prefix + key)
        missing = given is None and not key.endswith('num_batches_tracked')
        if missing or (given is not None and given.shape != shapes.get(key, given.shape)):
            wrong.append(prefix + key)
    if not wrong:
        return ''
    return (
        f'{len(wrong)} of {len(keys)} tensors are missing or of another shape, the first is '
        f'{wrong[0]}'
    )
