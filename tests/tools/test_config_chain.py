"""``docs/chain.md`` has the differences between the configs as they are."""

from __future__ import annotations

from types import ModuleType

import pytest
import toys


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return toys.load_script('tools/dev/config_chain.py')


def test_page_is_up_to_date(tool: ModuleType) -> None:
    tool.main(['--check'])


def test_difference(tool: ModuleType) -> None:
    old = dict(
        model=dict(type='A', lr=1, part=dict(type='X', size=2), same=dict(type='Y', size=3)),
        steps=[dict(type='Load'), dict(type='Crop', size=(1, 2))],
    )
    new = dict(
        model=dict(type='B', part=dict(type='Z'), same=dict(type='Y', size=4)),
        steps=[dict(type='Load'), dict(type='Flip', prob=0.5), dict(type='Crop', size=(1, 2))],
    )
    assert list(tool.difference(old, new)) == [
        ('model.type', '`A`', '`B`'),
        ('model.part', '`X(size=2)`', '`Z()`'),
        ('model.same.size', '`3`', '`4`'),
        ('model.lr', '`1`', '–'),
        ('steps.Flip', '–', '`Flip(prob=0.5)`'),
    ]
    assert list(tool.difference(old, old)) == []


def test_too_many_keys(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, 'LIMIT', 3)
    with pytest.raises(
        ValueError, match='mic_mit.*: expected at most 3 keys that differ from hrda'
    ):
        tool.make_page(tool.CHAIN[2:4])
