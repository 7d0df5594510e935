"""Maps with a progress bar."""

from __future__ import annotations

import pytest

from mmseg_uda.utils.processes import map_with_progress


@pytest.mark.parametrize('nproc', [1, 2])
def test_results_keep_their_order(nproc: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert map_with_progress(abs, [-3, 2, -1], nproc) == [3, 2, 1]
    captured = capsys.readouterr()
    assert '3/3' in captured.err
    assert captured.out == ''
    assert map_with_progress(abs, [], nproc) == []
