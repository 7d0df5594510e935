"""Examples in docstrings run, and public parts of some rooms have one."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

PACKAGE = Path(__file__).parents[1] / 'mmseg_uda'
PATHS = sorted(path for path in PACKAGE.rglob('*.py') if '.mim' not in path.parts)
# Rooms in which every public class that computes, and every public function of arrays, has one.
ROOMS = ('models/losses', 'models/layers', 'datasets/transforms', 'datasets/batch_transforms')


def name_of(path: Path) -> str:
    return '.'.join(('mmseg_uda', *path.relative_to(PACKAGE).with_suffix('').parts))


def computes(value: Any) -> bool:
    """True for transforms and networks, and for functions of tensors or arrays."""
    if inspect.isclass(value):
        return any(callable(getattr(value, name, None)) for name in ('forward', 'transform'))
    types = str(getattr(value, '__annotations__', {}))
    return inspect.isfunction(value) and ('Tensor' in types or 'ndarray' in types)


def without_example(module: ModuleType) -> list[str]:
    """Public names that have no example, in their docstring or in one of a method."""
    missing = []
    for name in module.__all__:
        value = getattr(module, name)
        parts = [value, *vars(value).values()] if inspect.isclass(value) else [value]
        texts = [part.__doc__ for part in parts if callable(part) and part.__doc__]
        if computes(value) and not any('>>>' in text for text in texts):
            missing.append(name)
    return missing


@pytest.mark.parametrize(
    'name', [name_of(path) for path in PATHS if '>>> ' in path.read_text(encoding='utf-8')]
)
def test_examples_run(name: str) -> None:
    torch.manual_seed(0)
    results = doctest.testmod(import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize(
    'name',
    [
        name_of(path)
        for path in PATHS
        if path.relative_to(PACKAGE).parent.as_posix() in ROOMS and path.stem != '__init__'
    ],
)
def test_public_parts_have_an_example(name: str) -> None:
    assert without_example(import_module(name)) == []
