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
    assert ratios['memory'] < .25
    (row, ) = (line.split() for line in lines if line.startswith('peak beyond'))
    naive = 4 * 400**2 / 2**20
    assert 2 * naive <= float(row[-3]) <= 5 * naive
    assert 0 < ratios['time'] < float('inf')


def test_peak_memory_is_exact(tool: ModuleType) -> None:
    def call() -> tuple[torch.Tensor, ...]:
        scratch = torch.ones(1000)
        scratch = scratch + torch.ones(1000)  # three of them for a moment
        return (scratch[:10].clone(), )

    # What stays does not count, but it is not there yet when the peak is reached.
    assert tool.peak_memory(call, torch.device('cpu')) == 3 * 4000 - 40


def test_naive_form_is_the_printed_equation(tool: ModuleType) -> None:
    query, key, value, other = (torch.randn(1, c, 5, dtype=torch.float64) for c in (2, 2, 3, 3))
    to_target, to_source = tool.naive(query, key, value, other)
    for i in range(5):
        exp = torch.stack([(query[0, :, i] * key[0, :, j]).sum().exp() for j in range(5)])
        torch.testing.assert_close(to_source[0, :, i], other[0] @ (exp / exp.sum()))
    for j in range(5):
        exp = torch.stack([(query[0, :, i] * key[0, :, j]).sum().exp() for i in range(5)])
        torch.testing.assert_close(to_target[0, :, j], value[0] @ (exp / exp.sum()))
