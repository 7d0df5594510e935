"""The page of single changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import toys

from mmseg_uda.benchmark import read_benchmark
from mmseg_uda.benchmark.report import write_report
from mmseg_uda.benchmark.results import Results

made = toys.load_script('tests/benchmark/made_results.py')
METHODS = dict(low='Source only', dacs='DACS', rcs='DACS + RCS', none='Without runs')
COMPARISONS = [
    dict(title='Parts', steps=[['dacs', 'rcs'], ['rcs', 'none']]),
    dict(title='Later', steps=[['low', 'none']]),
]


def points(early: float, last: float, **classes: float) -> dict[int, dict[str, float]]:
    return {10: dict(mIoU=early), 20: dict(mIoU=last, **classes)}


def page(tmp_path: Path) -> str:
    benchmark = made.benchmark(tmp_path, METHODS, 3, ('day', 'dusk'), comparisons=COMPARISONS)
    results = Results(benchmark, tmp_path / 'docs')
    # By day the gains of seeds 0 and 1 are 2 and 4; seed 2 has no partner.
    made.write(results, 'day', 'dacs', 0, points(10, 30, IoU_car=50, IoU_sky=80, IoU_road=9))
    made.write(results, 'day', 'dacs', 1, points(12, 34, IoU_car=60, IoU_sky=82, IoU_road=9))
    made.write(results, 'day', 'dacs', 2, points(0, 0, IoU_car=0, IoU_sky=0, IoU_road=0))
    made.write(results, 'day', 'rcs', 0, points(5, 32, IoU_car=55, IoU_sky=70, IoU_road=9))
    made.write(results, 'day', 'rcs', 1, points(9, 38, IoU_car=65, IoU_sky=72, IoU_road=9))
    # At dusk one seed loses 5.
    made.write(results, 'dusk', 'dacs', 0, points(10, 40))
    made.write(results, 'dusk', 'rcs', 0, points(10, 35))
    write_report(results)
    return (tmp_path / 'docs/made-comparisons.md').read_text()


def test_rows_by_hand(tmp_path: Path) -> None:
    text = page(tmp_path)
    # t of one degree of freedom is 12.706: 3 ± 12.706 * 1.4142 / sqrt(2), and -4 ± 12.706.
    assert (
        '| DACS → DACS + RCS | day: 0, 1 | 32.0 ± 2.8 | 35.0 ± 4.2 | +3.0 [-9.7, +15.7] '
        '| -4.0 [-16.7, +8.7] | sky -10.0, car +5.0 |'
    ) in text
    assert '| DACS → DACS + RCS | dusk: 0 | 40.0 | 35.0 | -5.0 | +0.0 |  |' in text
    # 2, 4 and -5: mean 1/3, standard deviation 4.726, t of two degrees 4.303.
    assert '| DACS → DACS + RCS | all pairs |  |  | +0.3 [-11.4, +12.1] |  |  |' in text
    assert 'Without runs' not in text
    assert text.rstrip().endswith('## Later\n\nNo run of both methods is done yet.')


@pytest.mark.parametrize(
    ('sign', 'text'), [(1, '**+3.0 [+2.8, +3.2]**'), (-1, '**-3.0 [-3.2, -2.8]**')]
)
def test_differences_from_nothing_are_bold(tmp_path: Path, sign: int, text: str) -> None:
    benchmark = made.benchmark(tmp_path, METHODS, 3, ('day',), comparisons=COMPARISONS)
    results = Results(benchmark, tmp_path / 'docs')
    for seed, gain in enumerate((2.9, 3.0, 3.1)):
        made.write(results, 'day', 'dacs', seed, {20: dict(mIoU=30 + seed)})
        made.write(results, 'day', 'rcs', seed, {20: dict(mIoU=30 + seed + sign * gain)})
    write_report(results)
    (row,) = [
        line
        for line in (tmp_path / 'docs/made-comparisons.md').read_text().splitlines()
        if line.startswith('| DACS →')
    ]
    assert f'| {text} |  |  |' in row  # one point: there is no earlier one
    (tmp_path / 'docs/made-comparisons.md').unlink()
    write_report(results)  # the page comes back
    assert (tmp_path / 'docs/made-comparisons.md').is_file()


@pytest.mark.parametrize(
    ('steps', 'message'),
    [([['dacs', 'rsc']], 'rsc.*rcs'), ([['dacs', 'rcs', 'low']], 'lists of 2 methods')],
)
def test_wrong_steps(tmp_path: Path, steps: list[list[str]], message: str) -> None:
    wrong = [dict(title='Parts', steps=steps)]
    with pytest.raises(ValueError, match=message):
        made.benchmark(tmp_path, METHODS, 1, ('day',), comparisons=wrong)


def test_steps_of_the_small_pairs_are_in_levels() -> None:
    """All methods that the page compares have runs."""
    benchmark = read_benchmark(toys.ROOT / 'configs/benchmarks/small_real.py')
    steps = [step for each in benchmark.comparisons for step in each['steps']]
    assert len(steps) > 20
    assert {name for step in steps for name in step} <= {run.method for run in benchmark.runs}
