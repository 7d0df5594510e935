"""Study of choices by scores without labels: rank correlation with the target's mIoU, regret."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from mmseg_uda.benchmark.results import read_result
from mmseg_uda.benchmark.statistics import Summary, summarize
from mmseg_uda.benchmark.table import METRIC, SOURCE_METRIC
from mmseg_uda.evaluation import SCORES

__all__ = [
    'LEVELS',
    'Candidate',
    'Choice',
    'Study',
    'compare',
    'rank_correlation',
    'read_candidates',
    'study',
]

VARIANT = '__'  # between a method and its hyper-parameters in the names of a benchmark
LEAST = 3  # candidates of which a choice is one
EFFECTIVE = 'effective_classes'
LAST = 'last'  # a choice without a score
LEVELS = {
    'checkpoints': 'between the checkpoints of a run',
    'methods': 'between methods, by their last checkpoints',
    'hyper-parameters': 'between hyper-parameters of a method, by their last checkpoints',
}


class Candidate(NamedTuple):
    """A checkpoint that may be chosen.

    Args:
        benchmark: Its benchmark; between candidates of two nothing is chosen.
        pair: The pair of domains.
        method: The method, of which hyper-parameters stand behind ``__``.
        seed: The seed.
        step: Its iteration.
        miou: The target's mIoU in per cent, which no choice sees.
        scores: Scores by name; greater is better in all of them.
        classes: Effective number of predicted classes; NaN if unknown.
    """

    benchmark: str
    pair: str
    method: str
    seed: int
    step: int
    miou: float
    scores: dict[str, float]
    classes: float

    @property
    def run(self) -> tuple[str, str, str, int]:
        """The run that wrote it: benchmark, pair, method and seed."""
        return self.benchmark, self.pair, self.method, self.seed

    @property
    def name(self) -> str:
        return f'{self.pair}/{self.method}-seed{self.seed}, iteration {self.step}'


class Choice(NamedTuple):
    """A score's choice among candidates.

    Args:
        level: A key of ``LEVELS``.
        score: Name of the score.
        correlation: Spearman's rank correlation with the mIoU; NaN if all values are alike.
        regret: mIoU of the best candidate minus that of the chosen one, in points.
        chosen: What it chose.
        best: What the labels would choose.
        group: Which choice of the level it is; scores that made the same one have the same.
        candidates: Those that have the score.
    """

    level: str
    score: str
    correlation: float
    regret: float
    chosen: Candidate
    best: Candidate
    group: tuple[Any, ...]
    candidates: Sequence[Candidate]


class Study(NamedTuple):
    """A score at a level.

    Args:
        groups: Number of choices.
        candidates: Number of candidates in all of them.
        correlation: Summary of the correlations; None without any.
        regret: Summary of the regrets.
        worst: The choice with the largest regret.
    """

    groups: int
    candidates: int
    correlation: Summary | None
    regret: Summary
    worst: Choice


def read_candidates(paths: Iterable[Path]) -> Iterator[Candidate]:
    """Read results of benchmarks.

    Args:
        paths: Files, or directories of them.

    Yields:
        The checkpoints. One that two benchmarks scored comes once, with the scores of both: the
        same pair, method, seed, iteration and mIoU.

    Raises:
        FileNotFoundError: There is no result.
        ValueError: A file is no result.
    """
    files = [
        file
        for path in paths
        for file in (sorted(path.rglob('*.json')) if path.is_dir() else [path])
    ]
    if not files:
        raise FileNotFoundError(
            'selection study: expected results of tools/benchmark.py (*.json), but got none; run a '
            'benchmark first'
        )
    found: dict[tuple[Any, ...], Candidate] = {}
    for file in files:
        content = read_result(file, 'selection study', 'write results of tools/benchmark.py')
        for step, metrics in content['points'].items():
            if METRIC not in metrics:
                continue
            place = content['pair'], content['method'], content['seed'], int(step)
            miou = metrics[METRIC]
            new = Candidate(content['benchmark'], *place, miou, *_scores_of(metrics))
            known = found.setdefault((*place, miou), new)
            known.scores.update({**new.scores, **known.scores})
    yield from found.values()


def _scores_of(metrics: dict[str, Any]) -> tuple[dict[str, float], float]:
    """Scores, of which greater is better, and the effective number of classes."""
    scores, classes = {}, math.nan
    if SOURCE_METRIC in metrics:
        scores[SOURCE_METRIC] = float(metrics[SOURCE_METRIC])
    for key, value in metrics.items():
        name = key.rpartition('/')[2]
        if name in SCORES:
            scores[name] = -float(value) if SCORES[name].rule == 'less' else float(value)
            classes = float(value) if name == EFFECTIVE else classes
    return scores, classes


def study(candidates: Sequence[Candidate]) -> tuple[dict[str, dict[str, Study]], list[Choice]]:
    """Let every score choose at every level.

    Returns:
        Studies by level and score, those with the least regret first, and all choices. ``last``
        always takes the last checkpoint, and ``any`` is the mean regret of a random choice.
    """
    choices = [choice for group in _groups(candidates) for choice in _choices(*group)]
    studies: dict[str, dict[str, Study]] = {}
    for level in LEVELS:
        found: dict[str, Study] = {}
        for score in dict.fromkeys(each.score for each in choices if each.level == level):
            own = [each for each in choices if (each.level, each.score) == (level, score)]
            known = [each.correlation for each in own if not math.isnan(each.correlation)]
            found[score] = Study(
                len(own),
                sum(len(each.candidates) for each in own),
                summarize(known) if known else None,
                summarize([each.regret for each in own]),
                max(own, key=lambda each: each.regret),
            )
        ranked = sorted(found.items(), key=lambda item: item[1].regret.mean)
        studies[level] = dict(ranked)
    return studies, choices


def compare(choices: Sequence[Choice], level: str, ours: str, theirs: str) -> Summary | None:
    """Compare the regrets of two scores, choice by choice, over the candidates that have both.

    Args:
        choices: As :func:`study` gives them.
        level: A key of ``LEVELS``.
        ours: A score, or ``last``.
        theirs: The score whose regret is subtracted.

    Returns:
        The differences in points; None without a common choice.
    """
    made = {(each.score, each.group): each for each in choices if each.level == level}
    differences = []
    for score, group in made:
        if score != ours or (theirs, group) not in made:
            continue
        others = made[theirs, group].candidates
        both = [each for each in made[ours, group].candidates if each in others]
        if len(both) >= LEAST:
            taken = [_choose(score, both).miou for score in (theirs, ours)]
            differences.append(taken[0] - taken[1])
    return summarize(differences) if differences else None


def _groups(
    candidates: Sequence[Candidate],
) -> Iterator[tuple[str, tuple[Any, ...], list[Candidate]]]:
    """Level, name and candidates of each choice."""
    groups: dict[tuple[str, tuple[Any, ...]], list[Candidate]] = {}
    runs: dict[tuple[Any, ...], Candidate] = {}
    for each in candidates:
        groups.setdefault(('checkpoints', each.run), []).append(each)
        runs[each.run] = max(each, runs.get(each.run, each), key=lambda found: found.step)
    for each in runs.values():
        base = each.method.partition(VARIANT)[0]
        place = each.benchmark, each.pair, each.seed
        groups.setdefault(('hyper-parameters', (*place, base)), []).append(each)
        if each.method == base:
            groups.setdefault(('methods', place), []).append(each)
    for (level, name), group in groups.items():
        if len(group) >= LEAST:
            yield level, name, group


def _choices(level: str, name: tuple[Any, ...], group: Sequence[Candidate]) -> Iterator[Choice]:
    for score in dict.fromkeys(key for each in group for key in each.scores):
        able = [each for each in group if score in each.scores]
        if len(able) >= LEAST:
            best, chosen = max(able, key=_miou), _choose(score, able)
            correlation = rank_correlation(
                [each.scores[score] for each in able], [each.miou for each in able]
            )
            regret = best.miou - chosen.miou
            yield Choice(level, score, correlation, regret, chosen, best, name, able)
    best = max(group, key=_miou)
    if level == 'checkpoints':
        last = _choose(LAST, group)
        yield Choice(level, LAST, math.nan, best.miou - last.miou, last, best, name, group)
    average = best.miou - mean(each.miou for each in group)
    yield Choice(level, 'any', math.nan, average, min(group, key=_miou), best, name, group)


def _miou(candidate: Candidate) -> float:
    return candidate.miou


def _choose(score: str, group: Sequence[Candidate]) -> Candidate:
    """Choose by a score, the later candidate of equal ones; ``last`` takes the last one."""
    if score == LAST:
        return max(group, key=lambda each: each.step)
    return max(group, key=lambda each: (each.scores[score], each.step))


def rank_correlation(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Compute Spearman's rank correlation; equal values share their mean rank.

    Args:
        ours: Values.
        theirs: Values of the same things.

    Returns:
        In [-1, 1]; NaN if all values of one are equal.

    Example:
        >>> rank_correlation([1, 2, 3, 4], [10, 20, 40, 30])
        0.8
    """
    one, other = _ranks(ours), _ranks(theirs)
    middle = (len(one) + 1) / 2
    products = sum((a - middle) * (b - middle) for a, b in zip(one, other))
    squares = [sum((rank - middle) ** 2 for rank in ranks) for ranks in (one, other)]
    return products / math.sqrt(squares[0] * squares[1]) if all(squares) else math.nan


def _ranks(values: Sequence[float]) -> list[float]:
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]
