"""PyTorch files, read without running code that they may hold."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from packaging.version import Version

from mmseg_uda.artifacts.files import PathLike

__all__ = ['load_torch_file']

HAS_SAFE_GLOBALS = Version(torch.__version__) >= Version('2.6.0.dev0')
NUMPY_DTYPES = 'bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64'
# Names of classes and functions in torch's errors and in those of `_Unpickler`.
REFUSED = re.compile(r'GLOBAL (\S+)')
HTML = 'an HTML page (download the file, not the page that shows it)'
# First bytes of files that are often taken for checkpoints.
BEGINNINGS = {
    b'version https://git-lfs': 'a Git LFS pointer (run git lfs pull)',
    b'<!doctype html': HTML,
    b'<html': HTML,
}


def load_torch_file(path: PathLike, map_location: Any = 'cpu') -> Any:
    """Read a file that ``torch.save`` wrote: tensors, plain values and mmengine's records.

    Nothing else is built and nothing is called. From torch 2.6 on this is ``weights_only=True``.
    Older versions of it have a hole (CVE-2025-32434) and cannot read mmengine's records; there an
    unpickler of this module allows the same names.

    Args:
        path: The file.
        map_location: As for ``torch.load``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is of another kind, damaged, or asks for other classes or functions.
            The message is one line with the path.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'expected a PyTorch checkpoint, but there is no file {path}')
    try:
        if not HAS_SAFE_GLOBALS:
            return _load_restricted(path, map_location)
        with torch.serialization.safe_globals(_allowed_classes()):
            return torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # damaged files raise nearly every type
        # Without the cause: torch advises to switch the safety off.
        raise ValueError(_explain(Path(path), str(error) or type(error).__name__)) from None


def _explain(path: Path, error: str) -> str:
    refused = REFUSED.search(error)
    if refused:
        return (
            f'expected a checkpoint of weights and records, but got one that asks for '
            f'{refused[1]}, which could run any code: {path}; let someone who trusts its author '
            'load it and save its state_dict'
        )
    with open(path, 'rb') as file:
        begin = file.read(256).lstrip().lower()
    found = next((BEGINNINGS[key] for key in BEGINNINGS if begin.startswith(key)), None)
    if not begin:
        found = 'an empty file (copy or download it again)'
    elif begin.startswith(b'pk') and not zipfile.is_zipfile(path):
        found = 'a truncated file (copy or download it again)'
    elif found is None:
        reason = error.rpartition('WeightsUnpickler error:')[2].strip().split('\n')[0]
        found = f'a file that torch {torch.__version__} cannot read ({reason})'
    return f'expected a PyTorch checkpoint, but got {found}: {path}'


def _history_method(owner: type, name: str) -> Callable[..., Any]:
    """Stand in for ``getattr`` in checkpoints: give the public methods of ``HistoryBuffer``."""
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name.startswith('_'):
        raise ValueError(
            f'expected a public method of HistoryBuffer, but got attribute {name!r} of {owner!r}'
        )
    return getattr(owner, name)


def _allowed_classes() -> list[Any]:
    """List what mmengine's checkpoints hold besides tensors: numpy values and log records.

    A pair is an object and the name that stands for it in the file.
    """
    from mmengine.logging import HistoryBuffer

    core = np._core if hasattr(np, '_core') else np.core
    arrays = [
        (getattr(core.multiarray, name), f'numpy.{package}.multiarray.{name}')
        for name in ('_reconstruct', 'scalar')
        for package in ('core', '_core')  # numpy 1 and 2
    ]
    return [
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        *{type(np.dtype(name)) for name in NUMPY_DTYPES.split()},
        *arrays,
        # The plain one would let a checkpoint reach any attribute of any module.
        (_history_method, 'builtins.getattr'),
    ]


class _Unpickler(pickle.Unpickler):
    """Gives the classes and functions of an allow list, and refuses all others by name."""

    def find_class(self, module: str, name: str) -> Any:
        # The protocol of torch.save writes Python 2's name of the module.
        key = f'{module.replace("__builtin__", "builtins")}.{name}'
        if key not in _allowed_names():
            raise pickle.UnpicklingError(f'GLOBAL {key}')
        return _allowed_names()[key]


@cache
def _allowed_names() -> dict[str, Any]:
    """List the objects that :class:`_Unpickler` gives, by their names in files."""
    names = dict(torch._weights_only_unpickler._get_allowed_globals())
    for each in [*_allowed_classes(), set, complex, bytearray]:
        value, name = each if isinstance(each, tuple) else (each, None)
        names[name or f'{value.__module__}.{value.__qualname__}'] = value
    return {**names, '_codecs.encode': _encode_latin1}


def _encode_latin1(text: str, encoding: str) -> bytes:
    """Make the bytes of a numpy array, which the protocol of ``torch.save`` writes as text."""
    if encoding != 'latin1':
        raise ValueError(f"expected the encoding 'latin1', but got {encoding!r}")
    return text.encode('latin1')


def _load_restricted(path: PathLike, map_location: Any) -> Any:
    """Read a file with :class:`_Unpickler` in place of torch's unpicklers."""
    module = SimpleNamespace(
        __name__='restricted',
        Unpickler=_Unpickler,
        load=lambda file, **kwargs: _Unpickler(file, **kwargs).load(),
    )
    return torch.load(path, map_location=map_location, pickle_module=module, weights_only=False)
