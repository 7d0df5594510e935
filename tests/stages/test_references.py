"""References to outputs of earlier stages."""

from __future__ import annotations

from mmseg_uda.stages.references import find_references, split_reference, substitute


def test_references() -> None:
    value = {'a': ['{x}/{y.best}', 1], 'b': 'iter_{}.pth'}
    assert list(find_references(value)) == ['x', 'y.best']
    assert [split_reference(each) for each in ('x', 'y.best')] == [('x', 'output'), ('y', 'best')]
    assert substitute(value, str.upper) == {'a': ['X/Y.BEST', 1], 'b': 'iter_{}.pth'}
