"""The configs of the package, by name: files, rows of tables, pipelines and their cells."""

from __future__ import annotations

import copy
import functools
import os
import re
from pathlib import Path
from unittest import mock

from mmengine.config import Config, utils

from mmseg_uda.config.tables import Table

__all__ = [
    'ALL',
    'BENCHMARKS',
    'CONFIGS',
    'FOLDER',
    'NAME',
    'PIPELINES',
    'ROWS',
    'TABLES',
    'load',
    'read',
]

for _variable in ('MMSEG_UDA_DATA', 'MMSEG_UDA_PSEUDO_LABELS', 'MOBILENETV2', 'MOBILENETV2_035'):
    os.environ.pop(_variable, None)  # configs without anybody's paths
FOLDER = Path(__file__).parents[1] / 'configs'
_FILES = {path.relative_to(FOLDER).as_posix(): path for path in sorted(FOLDER.glob('[!_]*/*.py'))}
# A benchmark's cell: NAME:CELL, its file and the cell.
BENCHMARKS = {
    f'{name}:{cell}': (_FILES[name], cell)
    for name in _FILES
    if name.startswith('benchmarks/')
    for cell in Config.fromfile(_FILES[name]).cells
}
_FILES = {name: path for name, path in _FILES.items() if not name.startswith('benchmarks/')}
TABLES = {name: Table(path) for name, path in _FILES.items() if path.name == 'ablations.py'}
# A pipeline's cell: NAME:CELL, its file and the cell.
PIPELINES = {
    f'{name}:{cell}' if cell else name: (path, cell)
    for name, path in _FILES.items()
    if name.endswith('_pipeline.py')
    for cell in Config.fromfile(path).get('cells', [None])
}
CONFIGS = {
    name: path
    for name, path in _FILES.items()
    if name not in TABLES and not name.endswith('_pipeline.py') and 'benchmarks' not in name
}
# A row in a cell has a name as if it were a file; rows that change nothing are files.
ROWS = {
    (table.path.parent / f'{table.stem(*pair)}.py').relative_to(FOLDER).as_posix(): (table, *pair)
    for table in TABLES.values()
    for pair in table.pairs()
    if table.options(*pair)
}
ALL = [*CONFIGS, *ROWS]
NAME = re.compile(
    r'(?P<method>[a-z0-9-]+)_(?P<network>[a-z0-9-]+)_(?P<gpus>\d+)xb(?P<batch>\d+)-(?P<iters>\d+k?)'
    r'_(?P<data>[a-z0-9_-]+?)-(?P<crop>\d+x\d+)(?:_(?P<variant>[a-z0-9-]+))?'
)

# mmengine parses every metafile of mmseg for each base that a config takes from there.
utils.load = functools.cache(utils.load)
read = functools.cache(Config.fromfile)


@functools.cache
def load(name: str) -> Config:
    """A config, or a row as ``<cell's file>_<row>.py``, that all callers share; copy it before you
    change it.
    """
    if name in CONFIGS:
        return read(CONFIGS[name])
    table, row, cell = ROWS[name]
    # Rows share their cell's file, which is slow to read.
    with mock.patch.object(Config, 'fromfile', lambda path: copy.deepcopy(read(path))):
        return table.load(row, cell)
