"""The state of a pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmseg_uda.pipeline.plan import Plan
from mmseg_uda.pipeline.state import StageRecord, State
from mmseg_uda.stages.base import Result


def test_state(tmp_path: Path) -> None:
    state = State(tmp_path)
    recipe = dict(type='train')
    state.begin(Plan('a', 'run', '', recipe), 1)
    state.stages['a'].started -= 100
    (tmp_path / 'a' / 'log').write_text('')  # a sign of life
    state.save()
    state = State(tmp_path)
    state.begin(Plan('a', 'resume', '', recipe), 1)
    assert state.stages['a'].seconds == pytest.approx(100, abs=5)
    state.fail('a', 'failed', 'E')
    assert (state.stages['a'].attempts, state.stages['a'].error) == (2, 'E')
    with pytest.raises(FileNotFoundError, match="stage 'a' ended without its output .*none"):
        state.finish('a', Result({'output': tmp_path / 'a/none'}))
    state.begin(Plan('a', 'replace', 'note', recipe), 1)
    assert state.stages['a'].note == 'note'
    assert (state.stages['a'].attempts, state.stages['a'].seconds) == (1, 0)
    for text in ('{', '{"format_version": 0}', '{}'):
        state.path.write_text(text)
        with pytest.raises(ValueError, match='State: cannot read .*pipeline.json .*; rename it'):
            State(tmp_path)


@pytest.mark.parametrize('name', ['../other', '/abs/other', '.', '', 'a/b', 'a b'])
def test_stages_of_other_directories(tmp_path: Path, name: str) -> None:
    """A file from somebody else: a report would embed the training of that directory."""
    state = State(tmp_path)
    state.stages[name] = StageRecord('train', 'done')
    state.save()
    with pytest.raises(ValueError, match=f'cannot read .*expected names of .*{name!r}.*; rename'):
        State(tmp_path)
