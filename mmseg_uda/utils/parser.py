"""Parsers of command lines, whose errors are one line."""

from __future__ import annotations

import re
from argparse import Action, ArgumentError, ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from mmengine.config import DictAction

from mmseg_uda.config.signatures import advice

__all__ = ['Options', 'ToolParser', 'at_least', 'device_name']


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
    """``KEY=VALUE ...``; mmengine's action raises bare errors."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        for value in values:
            if not value.partition('=')[0] or '=' not in value:
                raise ArgumentError(self, f'expected KEY=VALUE, but got {value}')
        try:
            super().__call__(parser, namespace, values, option_string)
        except AssertionError as error:
            raise ArgumentError(self, f'{error}; close each bracket') from None
