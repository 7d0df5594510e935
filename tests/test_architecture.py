"""The recipe in docs/architecture.md is executed, and its tree is that of the package."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import toys
from mmseg.registry import MODELS
from test_rooms import ROOMS

from mmseg_uda.artifacts.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / 'docs/architecture.md').read_text(encoding='utf-8')
RECIPE = PAGE[PAGE.index('## A new paper') :]
LOSSES = ('source.decode.loss_ce', 'adv.loss_main', 'target.decode.loss_ce', 'disc.loss_main')


def code_blocks() -> list[str]:
    blocks = re.findall(r'^ *```python\n(.*?)^ *```', RECIPE, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


@pytest.fixture
def my_paper(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Config of the method that the page shows, which is registered for one test."""
    source, entry = code_blocks()
    module = ModuleType('my_paper')
    monkeypatch.setattr(MODELS, '_module_dict', dict(MODELS._module_dict))
    exec(compile(source, 'my_paper.py', 'exec'), vars(module))
    assert module.__all__ == ['MyPaper']
    names = dict(vars(toys), METHODS={})
    exec(compile(entry, 'toys.py', 'exec'), names)
    return names['METHODS']['my_paper']


def test_recipe_trains_and_resumes(my_paper: Any, tmp_path: Path) -> None:
    whole = toys.train(toys.runner_cfg(tmp_path, tmp_path / 'whole', my_paper, 3))
    logged = whole.message_hub.log_scalars
    for name in LOSSES:
        values = logged[f'train/{name}'].data[0]
        assert len(values) == 3
        assert values[0] > 0
    hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2))
    toys.train(toys.runner_cfg(tmp_path, tmp_path / 'first', my_paper, 2, default_hooks=hooks))
    checkpoint = str(tmp_path / 'first' / 'iter_2.pth')
    assert load_checkpoint(checkpoint)['meta']['iter'] == 2
    cfg = toys.runner_cfg(
        tmp_path, tmp_path / 'second', my_paper, 3, load_from=checkpoint, resume=True
    )
    resumed = toys.train(cfg)
    expected = whole.model.state_dict()
    assert resumed.model.state_dict().keys() == expected.keys()
    for key, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[key]), key


def test_files_that_the_recipe_names_exist() -> None:
    paths = re.findall(r'`((?:mmseg_uda|tests|configs)/[\w./]+)`', RECIPE)
    present = [path for path in paths if 'my_paper' not in path]
    assert len(present) >= 5
    assert [path for path in present if not (ROOT / path).exists()] == []


def test_tree_shows_the_rooms_in_their_order() -> None:
    tree = PAGE[PAGE.index('mmseg_uda/   ') : PAGE.index('configs/_base_')]
    rooms = [line.split('   ')[0] for line in tree.splitlines() if re.match(r'  \w', line)]
    names = re.findall(r'\w+(?=/|\.py)', ' '.join(rooms))
    assert tuple(names) == ROOMS


@pytest.mark.parametrize('room', ['models', 'engine'])
def test_tree_shows_every_module(room: str) -> None:
    tree = PAGE[PAGE.index('mmseg_uda/   ') : PAGE.index('configs/_base_')]
    part = re.search(rf'^  {room}/\n((?:    .*\n)+)', tree, re.MULTILINE)
    assert part is not None
    shown = set(re.findall(r'^    (\w+)(?:/|\.py)', part[1], re.MULTILINE))
    paths = (ROOT / 'mmseg_uda' / room).iterdir()
    assert shown == {path.stem for path in paths if path.stem not in ('__init__', '__pycache__')}
