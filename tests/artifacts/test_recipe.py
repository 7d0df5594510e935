"""Comparison of recipes."""

from __future__ import annotations

import pytest

from mmseg_uda.artifacts.recipe import describe_differences, differences, raise_differences


def test_differences() -> None:
    old = dict(a=dict(b=[1, 2], c='x' * 50), d=1)
    new = dict(a=dict(b=[1, 3], c='y'), e=None)
    assert differences(old, new) == ['a.b.1: 2 -> 3', f"a.c: '{'x' * 36}... -> 'y'", 'd: 1 -> None']


def test_dicts_of_another_type_are_not_compared_further() -> None:
    old, new = dict(rule=dict(type='bdl', share=0.5)), dict(rule=dict(type='fixed', threshold=0.9))
    assert differences(old, new) == ["rule.type: 'bdl' -> 'fixed'"]


def test_two_differences_are_named_and_the_others_counted() -> None:
    old, new = dict.fromkeys('abcd', 1), dict.fromkeys('abcd', 2)
    assert describe_differences(old, new) == 'a: 1 -> 2; b: 1 -> 2 and 2 more'
    assert describe_differences(old, dict(old, c=3)) == 'c: 1 -> 3'
    assert describe_differences(old, dict(old)) == ''


def test_refusal() -> None:
    raise_differences('Tool', 'out', dict(seed=1), dict(seed=1))
    with pytest.raises(
        ValueError,
        match=r"Tool: 'out' was made with other settings \(seed: 1 -> 2\); write another path$",
    ):
        raise_differences('Tool', 'out', dict(seed=1), dict(seed=2))
