"""Choosing without labels, on made results whose answers are known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import toys

from mmseg_uda.benchmark.results import Results
from mmseg_uda.benchmark.selection import (
    Candidate,
    compare,
    rank_correlation,
    read_candidates,
    study,
)
from mmseg_uda.benchmark.selection_page import format_selection, recommend
from mmseg_uda.engine.hooks.health_hook import DIVERGENCE

made = toys.load_script('tests/benchmark/made_results.py')
METHODS = dict(low='Source only', adabn='AdaBN', dacs='DACS', dacs__lr1='1', dacs__lr2='2')


@pytest.mark.parametrize(
    ('ours', 'theirs', 'expected'),
    [
        ([1, 2, 3], [10, 20, 30], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 2, 3, 4], [1, 3, 2, 4], 0.8),  # 1 - 6 * 2 / (4 * 15)
        ([1, 1, 2], [5, 7, 9], math.sqrt(3) / 2),  # ranks 1.5, 1.5, 3
        ([0, 0, 0], [1, 2, 3], math.nan),
    ],
)
def test_rank_correlation(ours: list[float], theirs: list[float], expected: float) -> None:
    assert rank_correlation(ours, theirs) == pytest.approx(expected, nan_ok=True)


def write(root: Path) -> Path:
    """Entropy falls as the mIoU rises, except for the last checkpoint, which has collapsed."""
    benchmark = made.benchmark(root, METHODS, 2, ('day',))
    results = Results(benchmark, root / 'docs')
    level = dict(low=20, adabn=30, dacs=35, dacs__lr1=32, dacs__lr2=33)
    for method, base in level.items():
        for seed in range(2):
            points = {}
            for step, (gain, entropy, classes) in enumerate(
                [(0, 0.5, 8.0), (4, 0.4, 8.0), (6, 0.3, 8.0), (-5, 0.1, 2.0)], 1
            ):
                points[step] = {
                    'mIoU': base + gain + seed,
                    'source/mIoU': 60 + gain,
                    'unlabelled/entropy': entropy - base / 1000,
                    'unlabelled/effective_classes': classes,
                }
            made.write(results, 'day', method, seed, points)
    return results.directory


def test_answers_that_are_known(tmp_path: Path) -> None:
    studies, choices = study([*read_candidates([write(tmp_path)])])
    checkpoints = studies['checkpoints']
    assert {each.groups for each in checkpoints.values()} == {10}
    source, entropy, classes = (
        checkpoints[name] for name in ('source/mIoU', 'entropy', 'effective_classes')
    )
    assert (source.correlation.mean, source.regret.mean) == (1.0, 0.0)
    assert entropy.correlation.mean == pytest.approx(-0.2)  # of ranks 2 3 4 1 and 1 2 3 4
    assert entropy.regret.mean == 11  # the collapsed one, 6 + 5 below the best
    assert classes.regret.mean == 0  # of equal ones the latest
    assert checkpoints['last'].regret.mean == 11
    assert checkpoints['any'].regret.mean == pytest.approx(6 - 1.25)
    # Methods: the last checkpoints of source only, AdaBN and DACS, of two seeds.
    assert {each.groups for each in studies['methods'].values()} == {2}
    assert studies['methods']['entropy'].correlation.mean == pytest.approx(1.0)
    assert studies['methods']['entropy'].regret.mean == 0
    assert studies['methods']['effective_classes'].correlation is None  # all alike
    assert 'last' not in studies['methods']
    hyper = studies['hyper-parameters']
    assert {each.groups for each in hyper.values()} == {2}
    assert hyper['any'].regret.mean == pytest.approx(35 - (35 + 32 + 33) / 3)
    assert [*checkpoints][-1] in ('entropy', 'last')  # the least regret comes first
    text = recommend(studies, choices)
    first, others = text.split(" Write `save_best='source/mIoU'`. ")
    best = 'Between the checkpoints of a run, `source/mIoU` has the least regret, 0.0 points'
    assert first.startswith(best)
    assert '; the interval cannot distinguish it from `effective_classes`' in first
    assert others.startswith('Between methods, `')
    assert '. Between hyper-parameters of a method, `source/mIoU` has' in others


def test_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = write(tmp_path)
    tool = toys.load_script('tools/analysis_tools/selection_study.py')
    tool.main([str(results), '--out', str(tmp_path / 'selection.md')])
    text = (tmp_path / 'selection.md').read_text()
    assert '40 checkpoints of 10 runs:' in text
    assert '| source/mIoU | 10 | 40 | 1.00 ± 0.00 | 0.0 ± 0.0 [0.0, 0.0] | 0.0 |' in text
    assert '| entropy | 10 | 40 | -0.20 ± 0.00 | 11.0 ± 0.0 [11.0, 11.0] | 11.0 | day/' in text
    assert ' choices lost 3 points or more. In 10 of them the chosen network' in text
    assert ' (effective numbers; collapse), in 10 its entropy is less than 50% of that' in text
    row = 'iteration 4 | 25.0 | 36.0 | 2.0 / 8.0 | collapse, over-confident |'
    assert f'| entropy | day/adabn-seed0, {row}' in text
    assert text.count('| collapse') == 3  # of one score
    few = str(tmp_path / 'few.md')
    tool.main([str(results), '--without', 'dacs', 'adabn', '--out', few])
    text = Path(few).read_text()
    assert '24 checkpoints of 6 runs:' in text
    assert '--without dacs adabn\n```' in text
    assert 'day/adabn' not in text
    with pytest.raises(ValueError, match='--without: expected a method, but got dacz; write dacs'):
        tool.main([str(results), '--without', 'dacz', '--out', few])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='expected results of tools/benchmark.py'):
        tool.main([str(tmp_path / 'empty'), '--out', str(tmp_path / 'other.md')])
    (tmp_path / 'bad').mkdir()
    (tmp_path / 'bad/a.json').write_text('{"points": {}}')
    with pytest.raises(ValueError, match='selection study.*a.json'):
        tool.main([str(tmp_path / 'bad'), '--out', str(tmp_path / 'other.md')])


def test_benchmarks_are_not_mixed() -> None:
    """The same pair, method and seed in another benchmark are other runs."""
    run = [
        Candidate('one', 'day', 'dacs', 0, step, 30.0 + step, dict(entropy=step / 10), math.nan)
        for step in range(3)
    ]
    other = [each._replace(benchmark='other', step=9, scores={}) for each in run[:1]]
    studies, choices = study([*run, *other])
    assert studies['checkpoints']['entropy'].groups == 1
    assert all(each.best == run[-1] for each in choices)
    assert '4 checkpoints of 2 runs:' in format_selection([*run, *other], 'command')
    text = 'Between the checkpoints of a run there is one choice, from which nothing follows.'
    assert recommend(studies, choices) == text


def test_scores_of_two_benchmarks_are_joined(tmp_path: Path) -> None:
    """Another benchmark adds a score of some of the same checkpoints."""
    first = write(tmp_path)
    second = tmp_path / 'docs/results/second'
    for file in sorted(first.rglob('dacs*.json')):
        content = json.loads(file.read_text('utf-8')) | dict(benchmark='second')
        for step, metrics in content['points'].items():
            content['points'][step] = {
                'mIoU': metrics['mIoU'],
                'unlabelled/teacher_agreement': 1 - int(step) / 10,
            }
        path = second / file.relative_to(first)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), 'utf-8')
    candidates = [*read_candidates([first.parent])]
    assert len(candidates) == 40
    studies, _ = study(candidates)
    alone, _ = study([*read_candidates([first])])
    chosen = studies['checkpoints'].pop('teacher_agreement')
    assert (chosen.groups, chosen.regret.mean) == (6, 6.0)  # three settings, two seeds, step 1
    assert studies['hyper-parameters'].pop('teacher_agreement').groups == 2
    for level, scores in studies.items():  # of methods only one has it
        assert [*scores] == [*alone[level]]
        assert [each.regret for each in scores.values()] == [
            each.regret for each in alone[level].values()
        ]
    # A network of other scores on the target is another one.
    for file in second.rglob('*.json'):
        file.write_text(file.read_text('utf-8').replace('"mIoU": ', '"mIoU": 1'), 'utf-8')
    assert len([*read_candidates([first.parent])]) == 64


def test_scores_are_compared_over_the_candidates_that_have_both() -> None:
    """A score of few choices does not win by them, nor by easier candidates."""

    def run(seed: int, known: range, right: bool) -> list[Candidate]:
        """Five checkpoints; the common score takes the second, the rare one the last or first."""
        scores = [
            {'entropy': entropy}
            | ({'rare': float(step if right else -step)} if step in known else {})
            for step, entropy in enumerate((0.0, 9.0, 1.0, 2.0, 3.0))
        ]
        return [
            Candidate('one', 'day', 'dacs', seed, step, miou + seed / 10, scores[step], math.nan)
            for step, miou in enumerate((10, 30, 20, 25, 40))
        ]

    runs = [run(seed, range(5 if seed < 2 else 0), right=True) for seed in range(6)]
    studies, choices = study([each for group in runs for each in group])
    checkpoints = studies['checkpoints']
    assert [checkpoints[name].groups for name in ('rare', 'entropy')] == [2, 6]
    assert next(iter(checkpoints)) == 'rare'  # without a regret, in two choices of six
    assert compare(choices, 'checkpoints', 'rare', 'entropy').mean == -10
    text = recommend(studies, choices)
    common = 'of the scores that most candidates have, `entropy` has the least regret, 10.0 points'
    assert text.startswith(f'Between the checkpoints of a run, {common}')
    # Of the first four the second is the best, which only the common score takes.
    runs = [run(seed, range(4), right=False) for seed in range(3)]
    _, choices = study([each for group in runs for each in group])
    difference = compare(choices, 'checkpoints', 'rare', 'entropy')
    assert (difference.mean, difference.number) == (20, 3)
    assert compare(choices, 'checkpoints', 'rare', 'missing') is None


def test_a_score_of_few_candidates_is_not_recommended() -> None:
    """Two groups of seven methods, three of which have the rare score, too."""
    candidates = [
        Candidate(
            'toy',
            'day',
            f'method{index}',
            seed,
            1,
            30.0 + index + seed,
            dict(entropy=float(-index), **(dict(rare=float(index)) if index < 3 else {})),
            math.nan,
        )
        for seed in range(2)
        for index in range(7)
    ]
    studies, choices = study(candidates)
    methods = studies['methods']
    assert (methods['rare'].groups, methods['rare'].candidates) == (2, 6)
    assert (methods['entropy'].groups, methods['entropy'].candidates) == (2, 14)
    assert (methods['rare'].regret.mean, methods['entropy'].regret.mean) == (0, 6)
    assert recommend(studies, choices).startswith(
        'Between methods, of the scores that most candidates have, `entropy` has the least regret'
    )


def test_warnings_beside_what_the_runs_lost() -> None:
    """Those whose classes drifted, the greatest loss first, and the mean loss of both kinds."""
    runs = dict(drifts=[(30, 0.1), (32, 0.26), (28, 0.3)], falls=[(40, 0.3), (20, 0.2)])
    runs.update(well=[(30, 0.1), (31, 0.24), (30, 0.1)], unknown=[(30, None)])
    candidates = [
        Candidate(
            'toy', 'day', method, 0, step, miou, {} if d is None else {DIVERGENCE: -d}, math.nan
        )
        for method, points in runs.items()
        for step, (miou, d) in enumerate(points, 1)
    ]
    lines = format_selection(candidates, 'command').splitlines()
    text, _, *rows = lines[lines.index('## Warnings') + 2 : lines.index('## Recommendation') - 1]
    assert 'passes 0.25: in 2 of the 3 runs that have this score. These end 12.0 ± 11.3 ' in text
    assert ', the others 1.0' in text
    assert rows[2:] == [
        '| day/falls-seed0 | 1 | 0.20 | 40.0 | 20.0 |',
        '| day/drifts-seed0 | 2 | 0.30 | 32.0 | 28.0 |',
    ]


def test_few_candidates() -> None:
    one = Candidate('toy', 'day', 'dacs', 0, 1, 30.0, dict(entropy=-0.5), math.nan)
    studies, choices = study([one, one._replace(step=2)])
    assert studies == {'checkpoints': {}, 'methods': {}, 'hyper-parameters': {}}
    text = format_selection([one], 'command')
    assert text.count('There is no group of three candidates yet.') == 3
    assert recommend(studies, choices) == 'There are no results yet.'
    assert 'in 0 of the 0 runs that have this score.\n' in text
