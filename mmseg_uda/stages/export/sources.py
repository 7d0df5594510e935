"""Classes of this package as one stand-alone Python file."""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from mmseg.registry import MODELS

from mmseg_uda.artifacts.digest import sha256
from mmseg_uda.version import __version__

__all__ = ['STAND_ALONE', 'stand_alone', 'stand_alone_name']

STAND_ALONE = 'mmseg_uda_networks_'  # beginning of the module's name

# A loss is part of no prediction; stock heads have this one.
LOSS, STOCK_LOSS = "'PixelCrossEntropyLoss'", "'CrossEntropyLoss', avg_non_ignore=True"
REGISTER = '@MODELS.register_module()'
HEAD = '''"""Networks of mmseg_uda {version} that stock MMSegmentation does not have: {names}.

A config beside this file imports it. It is copied from mmseg_uda (Apache License 2.0), which it
does not need. A process that imports both imports mmseg_uda first.
"""

from __future__ import annotations

{imports}


def register(cls):
    """Register a class, unless mmseg_uda has."""
    if cls.__name__ not in MODELS.module_dict:
        MODELS.register_module(module=cls)
    return cls


'''


def stand_alone(classes: Iterable[type]) -> str:
    """Write a Python file with registered classes and all that they need of this package.

    Raises:
        ValueError: Two modules define the same name.
    """
    bundle = _Bundle()
    names = []
    for cls in classes:
        names.append(cls.__name__)
        bundle.add(cls.__module__, cls.__name__)
    bundle.imports.add('from mmseg.registry import MODELS')
    head = HEAD.format(
        version=__version__,
        names=', '.join(dict.fromkeys(names)),
        imports='\n'.join(sorted(bundle.imports, key=lambda line: line.split()[1])),
    )
    body = '\n\n'.join(bundle.parts.values()).replace(REGISTER, '@register')
    return head + body.replace(LOSS, STOCK_LOSS)


def stand_alone_name(text: str) -> str:
    """Name of the module: two files of other content never have the same, so both can be loaded."""
    return f'{STAND_ALONE}{sha256([text])[:8]}'


class _Module:
    """Definitions and imports at the top level of a module, by name."""

    def __init__(self, name: str) -> None:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        self.lines = Path(spec.origin).read_text(encoding='utf-8').splitlines()
        self.defined: dict[str, ast.stmt] = {}
        self.ends: dict[ast.stmt, int] = {}  # line after the definition and its docstring
        self.imported: dict[str, tuple[str, str]] = {}  # module and name, of this package
        self.external: dict[str, str] = {}  # statement
        last: ast.stmt | None = None
        for node in ast.parse('\n'.join(self.lines)).body:
            self._read(node, last)
            last = node

    def _read(self, node: ast.stmt, last: ast.stmt | None) -> None:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            self.defined[node.name] = node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for each in (part for target in targets for part in ast.walk(target)):
                if isinstance(each, ast.Name):
                    self.defined[each.id] = node
        elif isinstance(node, ast.Import):
            for alias in node.names:
                self.external[alias.asname or alias.name] = f'import {_spell(alias)}'
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                module, own = str(node.module), alias.asname or alias.name
                if module.split('.')[0] == 'mmseg_uda':
                    self.imported[own] = module, alias.name
                else:
                    self.external[own] = f'from {module} import {_spell(alias)}'
        elif isinstance(node, ast.Expr) and isinstance(last, (ast.Assign, ast.AnnAssign)):
            self.ends[last] = node.end_lineno or 0

    def source(self, node: ast.stmt) -> str:
        """Text of a definition, with its decorators and the comments above it."""
        decorators = getattr(node, 'decorator_list', [])
        first = min([node.lineno, *(each.lineno for each in decorators)]) - 1
        while self.lines[first - 1].startswith('#'):
            first -= 1
        return '\n'.join(self.lines[first : self.ends.get(node, node.end_lineno or 0)]) + '\n'


@functools.cache
def _module(name: str) -> _Module:
    return _Module(name)


class _Bundle:
    """Definitions in an order in which each follows what it needs."""

    def __init__(self) -> None:
        self.parts: dict[tuple[str, int], str] = {}  # by module and line
        self.imports: set[str] = set()
        self._begun: set[tuple[str, int]] = set()
        self._origins: dict[str, str] = {}
        # Classes that are named by strings, in defaults of configs.
        self._registered = {
            name: cls.__module__
            for name, cls in MODELS.module_dict.items()
            if cls.__module__.startswith('mmseg_uda.') and f"'{name}'" != LOSS
        }

    def add(self, module_name: str, name: str) -> None:
        """Add a name of a module and all that its definition needs."""
        module = _module(module_name)
        if name in module.imported:
            self.add(*module.imported[name])
        elif name in module.external:
            self.imports.add(module.external[name])
        elif name in module.defined:
            origin = self._origins.setdefault(name, module_name)
            if origin != module_name:
                raise ValueError(
                    f'stand_alone: expected one definition of {name}, but got those of {origin} '
                    f'and {module_name}; rename one'
                )
            self._define(module_name, module.defined[name])

    def _define(self, module_name: str, node: ast.stmt) -> None:
        key = module_name, node.lineno
        if key in self._begun:
            return
        self._begun.add(key)
        for each in ast.walk(node):
            if isinstance(each, ast.Name):
                self.add(module_name, each.id)
            elif isinstance(each, ast.Constant) and isinstance(each.value, str):
                origin = self._registered.get(each.value)
                if origin:
                    self.add(origin, each.value)
        self.parts[key] = _module(module_name).source(node)


def _spell(alias: ast.alias) -> str:
    return f'{alias.name} as {alias.asname}' if alias.asname else alias.name
