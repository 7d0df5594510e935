"""The cost of pseudo labels, as the tool measures it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import toys

from mmseg_uda.pseudo_labels import build_rule

SIZES = ['--images', '6', '--size', '32', '48', '--classes', '5']
PIXELS = 6 * 32 * 48


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return toys.load_script('tools/analysis_tools/pseudo_label_cost.py')


def test_exact_within_the_budget(tool: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    results = tool.main(SIZES)
    assert list(results) == ['bdl', 'cbst']
    for result in results.values():
        assert result['thresholds'] == result['labels'] == 0
        assert 0.3 < result['kept'] < 0.7
        assert min(result['time_naive'], result['time_streaming']) > 0
    assert results['bdl']['disk'] == 0
    assert results['cbst']['disk'] == 4 * 5 * PIXELS + 6 * 128
    # Class and confidence of every pixel, in float64.
    assert 16 * PIXELS < results['bdl']['memory_naive'] < 32 * PIXELS + 2**20
    out = capsys.readouterr().out
    assert '6 images of 32x48, 5 classes; budget 262144, 16384 bins' in out
    assert out.count('largest difference of thresholds') == 2


def test_histograms(tool: ModuleType) -> None:
    """Beyond the budget, thresholds are within a bin."""
    (result,) = tool.main([*SIZES, '--rules', 'bdl', '--budget', '100', '--bins', '4096']).values()
    assert 0 < result['thresholds'] < 1 / 4096
    assert 0 < result['labels'] < 0.01


def test_memory_of_the_naive_form_grows_with_the_images(tool: ModuleType) -> None:
    flags = ['--size', '64', '64', '--classes', '3', '--rules', 'bdl', '--budget', '1000']
    few, many = (tool.main([*flags, '--images', str(count)])['bdl'] for count in (10, 40))
    assert many['memory_naive'] - few['memory_naive'] >= 30 * 64 * 64 * 16
    assert many['memory_streaming'] < few['memory_streaming'] + 2**16


@pytest.mark.parametrize('name', ['bdl', 'cbst'])
def test_naive_forms_by_hand(tool: ModuleType, tmp_path: Path, name: str) -> None:
    """Two images of two pixels and three classes, of which the last is never predicted."""
    maps = torch.tensor(
        [[[0.6, 0.2], [0.3, 0.7], [0.1, 0.1]], [[0.8, 0.55], [0.1, 0.4], [0.1, 0.05]]]
    )

    def images() -> Iterator[torch.Tensor]:
        yield from maps[:, :, None]  # (C, 1, 2)

    if name == 'bdl':
        generate = partial(tool.naive_bdl, build_rule(name), 3, 2, (1, 2))
        # Class 0: .55, .6, .8 -> element round(1.5) = 2; class 1: .7 -> round(.5) = 0.
        expected, kept = [0.8, 0.7, 0.0], [[[255, 1]], [[0, 255]]]
    else:
        generate = partial(tool.naive_cbst, build_rule(dict(type=name, stride=1)), 3, tmp_path)
        # Class 0: .8, .6, .55 -> element floor(1.5) - 1 = 0; class 1: .7; no element: 1.
        expected, kept = [0.8, 0.7, 1.0], [[[255, 1]], [[0, 255]]]
    thresholds, labels = generate(images)
    assert thresholds == pytest.approx(expected)
    np.testing.assert_array_equal(list(labels), kept)
