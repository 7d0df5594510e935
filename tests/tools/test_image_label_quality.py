"""``tools/analysis_tools/image_label_quality.py``: its numbers by hand, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys

from mmseg_uda.artifacts.image_labels import ImageLabels

tool = toys.load_script('tools/analysis_tools/image_label_quality.py')
RECIPE = dict(classes=['road', 'car', 'never'], source_mean=[0.5, 0.5, 0.0])


def write(path: Path, labels: list[list[float]], kind: str = 'share', **recipe: Any) -> str:
    names = [f'{i}.png' for i in range(len(labels))]
    ImageLabels(names, np.array(labels, np.float32), kind, recipe).write(str(path))
    return str(path)


def test_numbers_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predicted = write(
        tmp_path / 'p.npz', [[0.75, 0.25, 0], [0.25, 0.75, 0], [0.1, 0.2, 0.7]], **RECIPE
    )
    true = write(tmp_path / 't.npz', [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 0]])  # the last: no class
    found = tool.main([predicted, true])
    assert found == {
        'predicted': pytest.approx((-(np.log(0.75) + 0.5 * np.log(0.25 * 0.75)) / 2, 0.5)),
        "always the source's mean": pytest.approx((np.log(2), 0.5)),
        "always the target's mean": pytest.approx(
            (-(np.log(0.75) + 0.5 * np.log(0.75 * 0.25)) / 2, 0.5)
        ),
    }
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert said[0][:2] == ['2', 'images']
    assert said[6:] == [
        ['road', '50.0', '75.0', '50.0', '1.00'],
        ['car', '50.0', '25.0', '50.0', '1.00'],
    ]


def test_a_constant_label_has_no_correlation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predicted = write(tmp_path / 'p.npz', [[0.5, 0.5, 0], [0.5, 0.5, 0]], **RECIPE)
    tool.main([predicted, write(tmp_path / 't.npz', [[1, 0, 0], [0.5, 0.5, 0]])])
    assert capsys.readouterr().out.splitlines()[6].split()[-1] == 'nan'


def test_what_does_not_belong_together(tmp_path: Path) -> None:
    predicted = write(tmp_path / 'p.npz', [[0.5, 0.5, 0]], **RECIPE)
    with pytest.raises(ValueError, match="kind 'share' in .* but got 'presence'; make them with"):
        tool.main([predicted, write(tmp_path / 'a.npz', [[1, 0, 1]], 'presence')])
    with pytest.raises(ValueError, match='the 1 images and 3 classes of .* got others .2 and 3.;'):
        tool.main([predicted, write(tmp_path / 'b.npz', [[1, 0, 0], [1, 0, 0]])])
    with pytest.raises(ValueError, match='expected predictions in .* but got none; write'):
        tool.main([write(tmp_path / 'c.npz', [[1, 0, 0]]), predicted])
