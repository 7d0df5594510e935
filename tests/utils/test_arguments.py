"""Checks of constructor arguments."""

from __future__ import annotations

import pytest
from torch import nn

from mmseg_uda.utils.arguments import check_choice, check_loss_name, expect


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
