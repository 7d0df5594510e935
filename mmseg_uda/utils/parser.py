"""Parsers of command lines, whose errors are one line."""

from __future__ import annotations

import ast
import re
from argparse import Action, ArgumentError, ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import torch
from mmengine.config import DictAction

from mmseg_uda.config.signatures import advice

__all__ = ['Options', 'ToolParser', 'at_least', 'device_name', 'read_literal']

DICT = re.compile(r"""([\[(].*)?(\bdict\(|\{\s*[}'"])""", re.DOTALL)


class ToolParser(ArgumentParser):
    """A parser whose errors are one line that names the nearest flag or choice."""

    def error(self, message: str) -> NoReturn:
        """End the process with 2."""
        self.exit(2, f'error: {message} ({self.prog} --help lists all)\n')

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse arguments; see the base class."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flags = [word.split('=')[0] for word in unknown if word.startswith('-')]
            hint = advice(flags[0], self._option_string_actions) if flags else 'remove them'
            self.error(f'expected known arguments, but got {" ".join(unknown)}; {hint}')
        return found

    def _check_value(self, action: Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            words = ', '.join(map(str, action.choices))
            text = f'expected one of {words}, but got {value}; {advice(value, action.choices)}'
            raise ArgumentError(action, text)


def at_least(least: int) -> Callable[[str], int]:
    """Make an argument's type: integers from ``least`` on."""

    def read(text: str) -> int:
        if not re.fullmatch(r'-?\d+', text) or int(text) < least:
            raise ArgumentTypeError(f'expected an integer from {least} on, but got {text}')
        return int(text)

    return read


def device_name(text: str) -> str:
    """Check an argument that names a device."""
    try:
        torch.device(text)
    except RuntimeError:
        raise ArgumentTypeError(
            f'expected a device, such as cpu or cuda:0, but got {text}'
        ) from None
    return text


class Options(DictAction):
    """``KEY=VALUE ...``; beyond mmengine's action it reads dicts, and its errors are one line."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        for value in values:
            if not value.partition('=')[0] or '=' not in value:
                raise ArgumentError(self, f'expected KEY=VALUE, but got {value}')
        try:
            super().__call__(parser, namespace, values, option_string)
        except AssertionError as error:
            raise ArgumentError(self, f'{error}; close each bracket') from None
        except ValueError as error:
            raise ArgumentError(self, str(error)) from None

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        if DICT.match(val):
            return read_literal(val)
        # mmengine's own way removes all blanks, which paths may have.
        if val.startswith(('[', '(')):
            with suppress(SyntaxError, ValueError):
                return ast.literal_eval(val)
        elif ',' not in val:
            return DictAction._parse_int_float_bool(val.strip().strip('\'"'))
        return DictAction._parse_iterable(val)


def read_literal(text: str) -> Any:
    """Read a Python literal in which dicts may be written as ``dict(key=value)``.

    Raises:
        ValueError: The text is no literal.

    Example:
        >>> read_literal("[dict(type='AdaBNHook', num_images=200)]")
        [{'type': 'AdaBNHook', 'num_images': 200}]
    """
    try:
        tree = ast.parse(text.strip(), mode='eval')
        return ast.literal_eval(_DictCalls().visit(tree))
    except (SyntaxError, ValueError):
        raise ValueError(
            f"expected a Python literal, such as [dict(type='AdaBNHook')], but got {text}; quote "
            'strings and close each bracket'
        ) from None


class _DictCalls(ast.NodeTransformer):
    """Replaces ``dict(key=value)`` by ``{'key': value}``."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        keys = [keyword.arg for keyword in node.keywords]
        if not isinstance(node.func, ast.Name) or node.func.id != 'dict' or node.args:
            return node
        values = [keyword.value for keyword in node.keywords]
        return ast.Dict([None if key is None else ast.Constant(key) for key in keys], values)
