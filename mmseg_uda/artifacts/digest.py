"""SHA-256 digests of values, files, directories and weights."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from mmseg_uda.artifacts.files import MANIFEST_NAME, PathLike, list_files

__all__ = ['digest_config', 'digest_path', 'digest_weights', 'sha256']

BLOCK = 2**20  # bytes


def sha256(parts: Iterable[str | bytes | NDArray[Any] | Tensor]) -> str:
    """Compute the digest of parts one after the other; arrays count by the bytes of their values.

    The parts' borders do not count: write lengths or shapes where they matter.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            part = part.encode(errors='surrogateescape')  # file names may be any bytes
        elif isinstance(part, Tensor):  # on any device
            part = part.detach().cpu().numpy()
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def digest_config(*parts: Any) -> str:
    """Compute the digest of nested dicts, lists and numbers; the order of keys does not count."""
    return sha256([json.dumps(_with_text_keys(parts), sort_keys=True, default=str)])


def _with_text_keys(value: Any) -> Any:
    """Turn keys into text that JSON cannot write or sort: colours, or ids beside names."""
    if isinstance(value, Mapping):
        kinds = {type(key) for key in value}
        keep = len(kinds) <= 1 and kinds <= {str, int, float, bool}
        return {
            key if keep or isinstance(key, str) else repr(key): _with_text_keys(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_with_text_keys(item) for item in value]
    return value


def digest_weights(module: nn.Module) -> str:
    """Compute the digest of all names and values of parameters and buffers."""
    return sha256(chain.from_iterable(module.state_dict().items()))


def digest_path(path: PathLike) -> str | None:
    """Compute the digest of a file or of a directory; None if there is neither.

    That of a file is the one of ``sha256sum``. That of a directory is of the names and sizes of all
    files below, and of a manifest's content: the content of images is too much to read before each
    stage of a pipeline.
    """
    if os.path.isfile(path):
        return sha256(_blocks(path))
    if not os.path.isdir(path):
        return None
    root, manifest = Path(path), Path(path, MANIFEST_NAME)
    lines = (f'{name} {os.path.getsize(root / name)}\n' for name in list_files(root))
    return sha256(chain(lines, [manifest.read_bytes()] if manifest.is_file() else []))


def _blocks(path: PathLike) -> Iterator[bytes]:
    with open(path, 'rb') as file:
        while block := file.read(BLOCK):
            yield block
