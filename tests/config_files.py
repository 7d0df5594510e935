"""The configs of the package, by name."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from mmengine.config import Config

__all__ = ['CONFIGS', 'FOLDER', 'NAME', 'PIPELINES', 'load', 'read']

FOLDER = Path(__file__).parents[1] / 'configs'
_FILES = {path.relative_to(FOLDER).as_posix(): path for path in sorted(FOLDER.glob('[!_]*/*.py'))}
PIPELINES = {name: path for name, path in _FILES.items() if name.endswith('_pipeline.py')}
CONFIGS = {name: path for name, path in _FILES.items() if name not in PIPELINES}
NAME = re.compile(
    r'(?P<method>[a-z0-9-]+)_(?P<network>[a-z0-9-]+)_(?P<gpus>\d+)xb(?P<batch>\d+)-(?P<iters>\d+k?)'
    r'_(?P<data>[a-z0-9_-]+?)-(?P<crop>\d+x\d+)(?:_(?P<variant>[a-z0-9-]+))?'
)

read = functools.cache(Config.fromfile)


def load(name: str) -> Config:
    """A config that all callers share; copy it before you change it."""
    return read(CONFIGS[name])
