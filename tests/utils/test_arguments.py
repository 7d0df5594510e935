"""Checks of constructor arguments."""

from __future__ import annotations

import re

import numpy as np
import pytest
from torch import nn

from mmseg_uda.utils.arguments import (
    check_choice,
    check_integer,
    check_loss_name,
    check_number,
    check_sequence,
    expect,
)


def test_values_that_are_allowed() -> None:
    expect(True, 'A.b', 'a number', 1)
    check_choice('A.b', None, ('x', None))
    check_loss_name(nn.Identity(), 'my_loss')


def test_values_that_are_not() -> None:
    with pytest.raises(ValueError, match="^A.b: expected a number, but got '1'$"):
        expect(False, 'A.b', 'a number', '1')
    with pytest.raises(ValueError, match=r"^A.b: expected one of \('x', None\), but got 'y'$"):
        check_choice('A.b', 'y', ('x', None))
    message = '^Identity.loss_name: expected a name that contains `loss`, but got .cost.$'
    with pytest.raises(ValueError, match=message):
        check_loss_name(nn.Identity(), 'cost')


@pytest.mark.parametrize(
    ('interval', 'allowed', 'refused'),
    [
        ('[0, 1]', (0, 1, 0.5, np.float32(0.25)), (-1e-9, 1.1, float('nan'), True, '0.5', None)),
        ('(0, 1)', (1e-9,), (0, 1)),
        ('(0, inf)', (1e30,), (0, float('inf'))),
        ('(-inf, 0]', (-1e30, 0), (1e-9, -float('inf'))),
    ],
)
def test_numbers(interval: str, allowed: tuple, refused: tuple) -> None:
    for value in allowed:
        check_number('A.b', value, interval)
    for value in refused:
        message = f'A.b: expected a number in {interval}, but got {value!r}'
        with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
            check_number('A.b', value, interval)


def test_integers() -> None:
    for value in (1, np.int64(2)):
        check_integer('A.b', value, 1)
    check_integer('A.b', -7)
    for wrong in (0, 1.0, True, '1', None):
        with pytest.raises(ValueError, match=r'^A.b: expected an integer of at least 1, but got '):
            check_integer('A.b', wrong, 1)
    with pytest.raises(ValueError, match=r'^A.b: expected an integer, but got 0.5$'):
        check_integer('A.b', 0.5)


def test_sequences() -> None:
    check_sequence('A.b', [1, 2.5], check_number, '(0, inf)', length=2)
    check_sequence('A.b', (1,), check_integer)
    for wrong in (1, '12', (1,)):
        with pytest.raises(ValueError, match='^A.b: expected a list of 2 numbers, but got '):
            check_sequence('A.b', wrong, check_number, length=2)
    with pytest.raises(ValueError, match=r'^A.b: expected a list of numbers, but got \[\]$'):
        check_sequence('A.b', [], check_number)
    with pytest.raises(ValueError, match='^A.b: expected an integer of at least 0, but got -1$'):
        check_sequence('A.b', [0, -1], check_integer, 0)
