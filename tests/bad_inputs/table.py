"""Rows of a table of bad inputs, and the directory in which their commands run."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import toys
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_uda.artifacts.spatial_prior import SpatialPrior

__all__ = ['Row', 'World']

# New content of a file, or what makes it of the old one; None removes it.
Change = bytes | str | None | Callable[[bytes], bytes]
METHODS = {
    'config': 'adversarial',
    'teacher': 'camix',
    'self': 'self_training',
    'pit': 'pit',
    'attention': 'cdanet',
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A wrong input, and the line with which a tool refuses it.

    Args:
        name: Name of the row.
        command: A tool below ``tools``, and its arguments.
        line: The expected line; ``...`` stands for any text.
        values: Changed values of a config, by dotted path; one of ``REMOVE`` removes the key.
        config: The config that they change.
        files: Changes of files.
        code: The expected exit code.
        slow: It takes long, as a training begins.
    """

    name: str
    command: str
    line: str
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    config: str = 'config.py'
    files: Mapping[str, Change] = dataclasses.field(default_factory=dict)
    code: int = 2
    slow: bool = False

    @property
    def pattern(self) -> re.Pattern[str]:
        """The expected line as a regular expression."""
        return re.compile('.*'.join(map(re.escape, self.line.split('...'))))


REMOVE = object()


class World:
    """A small project of a user's own: configs, data, a checkpoint and files of our tools.

    All paths in it are relative to its directory.

    Args:
        root: Its directory, which is the working directory.
    """

    def __init__(self, root: Path) -> None:
        init_default_scope('mmseg')
        self.root = root
        self.configs = {}
        for name, method in METHODS.items():
            model = toys.method_cfg(method)
            model['segmentor']['backbone']['batch_norm'] = True
            cfg = toys.runner_cfg(
                Path('data'),
                Path('work_dirs/run'),
                model,
                max_iters=2,
                custom_imports=dict(imports=['toys'], allow_failed_imports=False),
            )
            self.configs[f'{name}.py'] = self._spread(cfg)
        for name, cfg in self.configs.items():
            write_config(Path(name), cfg)
        network = MODELS.build(copy.deepcopy(self.configs['config.py']['model']))
        meta = dict(iter=2, epoch=0, dataset_meta=toys.METAINFO)
        torch.save(dict(state_dict=network.state_dict(), meta=meta), 'model.pth')
        self.write_prior()
        Path('ablations.py').write_text(TABLE)
        Path('all_pipeline.py').write_text(PIPELINE)

    @staticmethod
    def _spread(cfg: Config) -> dict[str, Any]:
        """The config without its name, which every run needs for itself."""
        content = cfg.to_dict()
        content.pop('experiment_name')
        content['visualizer'] = dict(
            type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')]
        )
        return content

    @staticmethod
    def write_prior() -> None:
        values = np.full((toys.NUM_CLASSES, *toys.SIZE), 1 / toys.NUM_CLASSES, np.float32)
        height, width = toys.SIZE
        SpatialPrior(values, dict(format_version=1, height=height, width=width)).write('prior.npz')

    def set_up(self, row: Row, root: Path) -> None:
        """Copy the project to a directory, and change it as a row says."""
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        if row.values:
            cfg = copy.deepcopy(self.configs[row.config])
            for path, value in row.values.items():
                change_value(cfg, path, value)
            write_config(root / row.config, cfg)
        for name, change in row.files.items():
            change_file(root / name, change)


def change_value(cfg: Any, path: str, value: Any) -> None:
    """Change one value of a nested config."""
    *parents, last = path.split('.')
    for key in parents:
        cfg = cfg[int(key) if isinstance(cfg, (list, tuple)) else key]
    if value is REMOVE:
        del cfg[last]
    else:
        cfg[int(last) if isinstance(cfg, list) else last] = value


def write_config(path: Path, cfg: Mapping[str, Any]) -> None:
    """Write a config with a name that no other run of this process has."""
    lines = [f'{key} = {value!r}\n' for key, value in cfg.items()]
    lines.insert(0, "nan = float('nan')\n")
    path.write_text("experiment_name = __import__('uuid').uuid4().hex\n" + ''.join(lines))


def change_file(path: Path, change: Change) -> None:
    """Change one file."""
    if callable(change):
        change = change(path.read_bytes() if path.is_file() else b'')
    if change is None:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(change.encode() if isinstance(change, str) else change)


TABLE = """
cells = dict(small='config.py', large='teacher.py')
rows = dict(
    plain=dict(paper=(40.0, 50.0)),
    least_squares=dict(
        options={'model.adversarial_loss.mode': 'least_squares'}, paper=(41.0, None)
    ),
)
"""
PIPELINE = """
stages = [
    dict(name='first', type='train', config='config.py'),
    dict(name='labels', type='pseudo_label', config='config.py', checkpoint='{first}'),
    dict(
        name='second',
        type='train',
        config='self.py',
        options={'train_dataloader.target.dataset.pipeline.1.pseudo_dir': '{labels}'},
    ),
    dict(name='test', type='test', config='self.py', checkpoint='{second}'),
]
"""


def before() -> dict[str, dict[str, Any]]:
    """What became of each row at 887ccc7: outcome, exit code, and first line."""
    return json.loads(Path(__file__).with_name('before.json').read_text())
