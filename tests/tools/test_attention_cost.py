"""The cost tool measures what it says."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
import toys

SIZES = ['--positions', '400', '--channels', '32', '--repeat', '1']


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return toys.load_script('tools/analysis_tools/attention_cost.py')


@pytest.mark.parametrize('directions', [1, 2])
def test_comparison(tool: ModuleType, capsys: pytest.CaptureFixture[str], directions: int) -> None:
    ratios = tool.main([*SIZES, '--chunk', '8000', '--directions', str(directions)])
    lines = capsys.readouterr().out.splitlines()
    errors = [line.split() for line in lines if line.startswith(('output for', 'gradient of'))]
    assert len(errors) == 2 + 2 * directions
    assert all(float(words[-1]) < 1e-5 for words in errors)
    assert ratios['memory'] < 0.25
    (row,) = (line.split() for line in lines if line.startswith('peak beyond'))
    naive = 4 * 400**2 / 2**20
    assert 2 * naive <= float(row[-3]) <= 5 * naive
    assert 0 < ratios['time'] < float('inf')


def test_naive_form_is_the_printed_equation(tool: ModuleType) -> None:
    query, key, value, other = (torch.randn(1, c, 5, dtype=torch.float64) for c in (2, 2, 3, 3))
    to_target, to_source = tool.naive(query, key, value, other)
    for i in range(5):
        exp = torch.stack([(query[0, :, i] * key[0, :, j]).sum().exp() for j in range(5)])
        torch.testing.assert_close(to_source[0, :, i], other[0] @ (exp / exp.sum()))
    for j in range(5):
        exp = torch.stack([(query[0, :, i] * key[0, :, j]).sum().exp() for i in range(5)])
        torch.testing.assert_close(to_target[0, :, j], value[0] @ (exp / exp.sum()))


@pytest.mark.parametrize('gradients', [True, False])
def test_comparison_of_sams(
    tool: ModuleType, capsys: pytest.CaptureFixture[str], gradients: bool
) -> None:
    flags = ['--attention', 'sam', '--positions', '400', '--repeat', '1', '--chunk', '8000']
    ratios = tool.main([*flags, *([] if gradients else ['--no-gradients'])])
    lines = capsys.readouterr().out.splitlines()
    assert any('400 positions, 19 channels (self-attention by cosines)' in line for line in lines)
    errors = [line.split() for line in lines if line.startswith(('output', 'gradient of'))]
    assert len(errors) == (3 if gradients else 1)
    assert all(float(words[-1]) < 1e-5 for words in errors)
    assert ratios['memory'] < 0.25
    (row,) = (line.split() for line in lines if line.startswith('peak beyond'))
    assert 2 <= float(row[-3]) / (4 * 400**2 / 2**20) <= (7 if gradients else 2.5)


def test_naive_cosines_are_the_printed_equation(tool: ModuleType) -> None:
    feature, value = (torch.randn(1, c, 5, dtype=torch.float64) for c in (3, 2))
    (out,) = tool.naive_cosine(feature, value)
    for i in range(5):
        cosine = torch.cosine_similarity(feature[0, :, i, None], feature[0], 0).clamp(min=0)
        torch.testing.assert_close(out[0, :, i], value[0] @ (cosine / cosine.sum()))
