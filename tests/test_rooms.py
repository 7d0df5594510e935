"""Imports run from higher rooms to lower ones only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'mmseg_uda'
# From the lowest room to the highest, as docs/architecture.md shows them.
ROOMS = (
    'version',
    'compat',
    'registry',
    'structures',
    'artifacts',
    'config',
    'utils',
    'datasets',
    'models',
    'pseudo_labels',
    'engine',
    'evaluation',
    'stages',
    'pipeline',
    'benchmark',
    'report',
    'doctor',
    'apis',
)


def imports(path: Path) -> Iterator[str]:
    """Rooms that a module imports, inside of functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        modules = []
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f'{path}: write imports in full'
            modules = [node.module or '']
            if node.module == 'mmseg_uda':
                modules = [f'mmseg_uda.{name.name}' for name in node.names]
        elif isinstance(node, ast.Import):
            modules = [name.name for name in node.names]
        for module in modules:
            if module.startswith('mmseg_uda.'):
                yield module.split('.')[1]


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


MODULES = [path for path in sorted(PACKAGE.rglob('*.py')) if room(path) not in ('__init__', '.mim')]


def test_every_room_has_its_place() -> None:
    assert {room(path) for path in MODULES} <= set(ROOMS)


@pytest.mark.parametrize('name', ROOMS)
def test_no_import_runs_upward(name: str) -> None:
    upward = [
        f'{path.relative_to(PACKAGE)} imports {other}'
        for path in MODULES
        if room(path) == name
        for other in imports(path)
        if ROOMS.index(other) > ROOMS.index(name)
    ]
    assert not upward, '\n'.join(upward)
