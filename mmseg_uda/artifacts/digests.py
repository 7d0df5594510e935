"""SHA-256 digests of what a folder of pseudo labels was made with."""

from __future__ import annotations

import hashlib
import json
import os.path as osp
from typing import Any

from torch import nn

__all__ = ['checkpoint_digest', 'config_digest']


def config_digest(*parts: Any) -> str:
    """Digest of configurations (nested dicts, lists and numbers), whatever their keys' order."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def checkpoint_digest(path: str | None, model: nn.Module) -> str:
    """Digest of the checkpoint's file, as ``sha256sum`` gives it.

    Weights that came from elsewhere (an URL, another object in memory) have no file: then it is
    the digest of all parameters and buffers.
    """
    digest = hashlib.sha256()
    if path is not None and osp.isfile(path):
        with open(path, 'rb') as file:
            while block := file.read(2**20):
                digest.update(block)
    else:
        for name, value in model.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
