"""Checkpoints: finding and reading them safely, and comparing their weights with a network."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from torch import Tensor, nn

from mmseg_uda.artifacts.files import PathLike
from mmseg_uda.artifacts.torch_files import load_torch_file

__all__ = [
    'check_state',
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


def load_checkpoint(path: PathLike, map_location: Any = 'cpu') -> dict[str, Any]:
    """Read a checkpoint of either toolbox family without running code that it may hold.

    Args:
        path: The file.
        map_location: As for ``torch.load``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no checkpoint, holds more than weights and records of a training
            (see :func:`load_torch_file`), or a weight has no name, is no tensor, or is NaN or
            infinite.
    """
    checkpoint = load_torch_file(path, map_location)
    if not isinstance(checkpoint, dict) or not isinstance(weights_of(checkpoint), dict):
        raise ValueError(
            f'expected a checkpoint, which is a dict of weights, but got another object: {path}; '
            'write the file of a checkpoint or of a state_dict'
        )
    if not isinstance(checkpoint.get('meta', {}), dict):
        raise ValueError(
            f'expected a checkpoint whose meta is a dict, but got {checkpoint["meta"]!r}: {path}; '
            'write another checkpoint'
        )
    for name, value in weights_of(checkpoint).items():
        _check_weight(name, value, 'state_dict' in checkpoint, path)
    return checkpoint


def _check_weight(name: Any, value: Any, alone: bool, path: PathLike) -> None:
    """Check a weight, or a record, if they are not ``alone``: a bare state dict may have some."""
    if not isinstance(name, str):
        raise ValueError(
            f'expected weights with names, but got the key {name!r}: {path}; write the file of a '
            'checkpoint or of a state_dict'
        )
    # PyTorch lets modules store anything under the one name.
    if alone and not isinstance(value, Tensor) and not name.endswith('_extra_state'):
        raise ValueError(
            f'expected tensors as weights, but got {type(value).__name__} in {name}: {path}; write '
            'another checkpoint'
        )
    if isinstance(value, Tensor) and value.is_floating_point() and not value.isfinite().all():
        raise ValueError(
            f'expected finite weights, but got NaN or infinity in {name}: {path}; write an '
            'earlier checkpoint of that training'
        )


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


def check_state(path: PathLike) -> None:
    """Check that a training can go on from a file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read, or holds weights alone.
    """
    content = load_torch_file(path)
    meta = content.get('meta') if isinstance(content, dict) else None
    if not isinstance(meta, dict) or 'iter' not in meta:
        raise ValueError(f'expected the state of a training, but got weights alone: {path}')


def find_latest_checkpoint(directory: PathLike) -> Path | None:
    """Find the latest checkpoint from which a training can go on; None if there is none.

    The log names later ones that cannot be read. mmengine's note ``last_checkpoint`` counts last,
    because a killed process may leave it empty, and a moved directory leaves it wrong.
    """
    found, note = find_checkpoints(directory), Path(directory, 'last_checkpoint')
    if note.is_file():
        noted = Path(note.read_text(encoding='utf-8', errors='replace').strip())
        found += [noted] if noted.is_file() else []
    for path in found:
        try:
            check_state(path)
        except (ValueError, OSError) as error:
            print_log(f'Not resumed from {path}: {error}', 'current', logging.WARNING)
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
        shape = getattr(given, 'shape', None)  # a bare state dict may hold texts, too
        if missing or (given is not None and shape != shapes.get(key, shape)):
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
