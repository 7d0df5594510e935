"""Errors name the config key that caused them."""

from __future__ import annotations

import pytest

from mmseg_uda.utils.errors import error_context


@pytest.mark.parametrize('kind', [FileNotFoundError, ValueError])
def test_key_comes_first(kind: type[Exception]) -> None:
    message = '^Loader.path: no such thing$'
    with pytest.raises(kind, match=message) as error, error_context('Loader.path'):
        raise kind('no such thing')
    assert isinstance(error.value.__cause__, kind)


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError, match='^.x.$'), error_context('Loader.path'):
        raise KeyError('x')
