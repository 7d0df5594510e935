"""Digests of what a killed entry point and an undisturbed one must have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mmseg_uda.artifacts.checkpoint import load_checkpoint
from mmseg_uda.artifacts.digest import digest_config, sha256
from mmseg_uda.pipeline.state import STATE_NAME, State

__all__ = ['outcome']

# Files whose content differs between runs: logs, times, and copies of configs with their paths.
UNCOMPARED = re.compile(
    r'\.(log|lock)$|(^|/)(\d{8}_\d{6}|vis_data)/|(^|/)(report\.md|last_checkpoint|cfg_\w+\.py)$'
)


def outcome(out: Path, whole: bool = True) -> dict[str, str]:
    """Digest everything below a directory that must be the same in every run.

    Args:
        out: The directory.
        whole: Also what is named as temporary, of which nothing should be left.

    Raises:
        ValueError: A file is damaged, and does not look so.
    """
    digests = {}
    for name, path in compared_files(out):
        if path.suffix == '.tmp' and not whole:
            continue
        try:
            digests[name] = digest_file(path)
        except Exception as error:  # decoders raise anything
            raise ValueError(f'{name} is half a file ({error})') from error
    return digests


def compared_files(out: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(out.rglob('*')):
        name = path.relative_to(out).as_posix()
        if path.is_file() and not UNCOMPARED.search(name):
            yield name, path


def digest_file(path: Path) -> str:
    if path.name == STATE_NAME:
        records = State(path.parent).stages.items()
        keys = ('status', 'outputs', 'metrics', 'coverage')
        return digest_config(
            [(name, *(getattr(each, key) for key in keys)) for name, each in records]
        )
    if path.suffix == '.pth':
        content = load_checkpoint(path)
        kept = ('state_dict', 'optimizer', 'param_schedulers')
        return sha256(parts_of([content.get(key) for key in kept]))
    if path.suffix == '.png':
        with Image.open(path) as image:
            image.load()
    elif path.suffix == '.npz':
        with np.load(path) as arrays:
            dict(arrays)
    elif path.suffix == '.json':
        json.loads(path.read_text())
        # Digests of checkpoints, which hold the time of their writing.
        return sha256([re.sub(r'[0-9a-f]{64}', '', path.read_text())])
    return sha256([path.read_bytes()])


def parts_of(value: Any) -> Iterator[Any]:
    """Yield the numbers in nested dicts and lists."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for each in value.items() if isinstance(value, dict) else value:
            yield from parts_of(each)
    else:
        yield repr(value)
