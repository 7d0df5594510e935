"""Styles of lines in plots."""

from __future__ import annotations

from mmseg_uda.utils.curves import distinct_style


def test_no_two_lines_are_alike() -> None:
    styles = [distinct_style(place) for place in range(80)]
    assert len({tuple(style.items()) for style in styles}) == 80
    assert [style['ls'] for style in styles[:21]] == ['-'] * 20 + ['--']
    assert distinct_style(80) == styles[0]
