"""Checkpoints: finding and reading them safely, and comparing their weights with a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import numpy as np
import torch
from packaging.version import Version
from torch import Tensor, nn

from mmseg_uda.artifacts.files import PathLike

__all__ = [
    'allow_checkpoint_classes',
    'check_checkpoint',
    'describe_mismatch',
    'find_checkpoints',
    'find_latest_checkpoint',
    'load_checkpoint',
    'load_into',
    'load_weights',
    'raise_mismatch',
    'strip_prefix',
    'weights_of',
]

NUMBERED = re.compile(r'(?!best_).*_(\d+)\.pth')


def _history_method(owner: type, name: str) -> Callable[..., Any]:
    """Stand in for ``getattr`` in checkpoints: give the public methods of ``HistoryBuffer``."""
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name.startswith('_'):
        raise ValueError(
            f'checkpoint asks for attribute {name!r} of {owner!r}; only public '
            'methods of HistoryBuffer are allowed'
        )
    return getattr(owner, name)


def allow_checkpoint_classes() -> None:
    """Let ``torch.load(weights_only=True)`` read the message hub of a mmengine checkpoint.

    ``weights_only=True`` is the default since torch 2.6, and the original mmengine cannot resume
    with it: its checkpoints hold ``HistoryBuffer`` objects (numpy arrays, and references to
    statistics methods by ``getattr``) and numpy scalars.
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
            # The plain one would let a checkpoint reach any attribute of any module.
            (_history_method, 'builtins.getattr'),
        ]
    )


def load_checkpoint(path: PathLike) -> dict[str, Any]:
    """Read a checkpoint of either family onto the CPU, with ``weights_only=True``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no checkpoint, or holds more than weights and training records.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'load_checkpoint: no checkpoint file {path}')
    allow_checkpoint_classes()  # each time: onedl-mmengine's loader takes the classes off the list
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
            f'load_checkpoint: expected the dict of a checkpoint, but {path} holds a '
            f'{type(checkpoint).__name__}'
        )
    return checkpoint


def check_checkpoint(path: PathLike) -> None:
    """Refuse a damaged checkpoint by name, which mmengine's runner does not give.

    The end of a whole file says that it is whole; no weight is read.

    Raises:
        ValueError: The file is no checkpoint.
    """
    if not is_zipfile(path):
        load_checkpoint(path)


def weights_of(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """Return the weights of a loaded checkpoint, which may be the file of a bare state dict."""
    return checkpoint.get('state_dict', checkpoint)


def load_weights(path: PathLike) -> dict[str, Tensor]:
    """Read the weights of a checkpoint, see :func:`load_checkpoint`."""
    return weights_of(load_checkpoint(path))


def strip_prefix(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Select the weights below a prefix, named without it."""
    return {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}


def find_checkpoints(directory: PathLike) -> list[Path]:
    """Find the numbered checkpoints of a training, the latest first; ``best_*`` are left out."""
    found = [
        (int(match[1]), path)
        for path in Path(directory).glob('*.pth')
        if (match := NUMBERED.fullmatch(path.name))
    ]
    return [path for _, path in sorted(found, reverse=True)]


def find_latest_checkpoint(directory: PathLike) -> Path | None:
    """Find the latest numbered checkpoint that can be read; None if there is none."""
    for path in find_checkpoints(directory):
        try:
            load_checkpoint(path)
        except ValueError:  # a killed process may leave a part of a file
            continue
        return path
    return None


def describe_mismatch(
    network: nn.Module, state_dict: Mapping[str, Tensor], prefix: str = ''
) -> str:
    """Describe which of a network's tensors are missing, or are parameters of another shape.

    Args:
        network: The network.
        state_dict: Weights.
        prefix: Prefix of the network's names in ``state_dict``.

    Returns:
        Number of tensors, and the first one's name; empty if all fit.
    """
    # Buffers may differ in shape: some grow with what they store.
    shapes = {key: parameter.shape for key, parameter in network.named_parameters()}
    keys = list(network.state_dict())
    wrong = []
    for key in keys:
        given = state_dict.get(prefix + key)
        # Old files have no num_batches_tracked; nothing is computed from it.
        missing = given is None and not key.endswith('num_batches_tracked')
        if missing or (given is not None and given.shape != shapes.get(key, given.shape)):
            wrong.append(prefix + key)
    if not wrong:
        return ''
    return (
        f'{len(wrong)} of {len(keys)} tensors are missing or of another shape, the first is '
        f'{wrong[0]}'
    )


def raise_mismatch(
    owner: str,
    network: nn.Module,
    state_dict: Mapping[str, Tensor],
    prefix: str = '',
    hint: str = '',
) -> None:
    """Refuse weights of another network, which mmengine would load in part.

    Args:
        owner: Name of the class or function that loads them, for errors.
        network: As for :func:`describe_mismatch`.
        state_dict: The same.
        prefix: The same.
        hint: Another way out, for the end of the error.

    Raises:
        ValueError: If a tensor is missing or a parameter has another shape.
    """
    wrong = describe_mismatch(network, state_dict, prefix)
    if wrong:
        raise ValueError(
            f'{owner}: expected a checkpoint of this method or of its segmentor, but {wrong}; '
            f'write the config that wrote the checkpoint, or another checkpoint of '
            f'{type(network).__name__}{hint}'
        )


def load_into(owner: str, model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load the weights of a segmentor or of a method's student; a method's other parts may lack.

    Raises:
        ValueError: If they are of another network.
    """
    if not hasattr(model, 'student'):  # a method checks its student, and its teacher, by itself
        raise_mismatch(owner, model, weights)
    model.load_state_dict(weights, strict=False)
