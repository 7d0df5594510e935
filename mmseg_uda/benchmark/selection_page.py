"""The page about choosing without labels."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Mapping, Sequence

from mmseg_uda.benchmark.selection import LAST, LEVELS, Candidate, Choice, Study, compare, study
from mmseg_uda.benchmark.statistics import Summary, summarize
from mmseg_uda.benchmark.table import SOURCE_METRIC, format_rows, format_summary
from mmseg_uda.engine.hooks.health_hook import DIVERGENCE, DRIFTED

__all__ = ['format_selection', 'recommend']

CHOOSES_NOTHING = (LAST, 'any')
COLLAPSED = 0.7  # share of the effective classes of the best
OVERCONFIDENT = 0.5  # share of the entropy of the best
FAILED = 3.0  # points of mIoU
FAILURES_OF_A_SCORE = 3  # in the table
INTRODUCTION = """
**Question.** Which score, computed without any label of the target, chooses well: between
checkpoints of a run, between methods, between hyper-parameters?

**Method.** Every score chooses the candidate that it takes for the best. Its regret is the
target's mIoU of the best candidate minus that of the chosen one, in points; the labels are used
for that alone. The rank correlation is Spearman's, between a score (its sign so that greater is
better) and the mIoU. Both are means over all groups of at least three candidates, ± the standard
deviation, with the 95 % interval of the mean regret. `last` always takes the last checkpoint, and
`any` is a random choice. `source/mIoU` and `weighted_source_error` need labels of the source. A
score that only some candidates have, such as `teacher_agreement`, chooses between these.
Hyper-parameters of a method are the benchmark's methods `METHOD__VALUE`.
"""
LIMITS = """
Groups share networks, seeds and pairs, so they are not independent, and the intervals are too
narrow. A score that is better within the intervals is not better. What holds for these pairs and
this network need not hold for others: `tools/analysis_tools/selection_study.py` computes the page
for results of your own.
"""


def format_selection(candidates: Sequence[Candidate], command: str) -> str:
    """Format the page.

    Args:
        candidates: All checkpoints.
        command: The command that makes it.
    """
    studies, choices = study(candidates)
    runs = {each.run for each in candidates}
    lines = ['# Choosing without labels', *INTRODUCTION.splitlines()]
    lines += [f'{len(candidates)} checkpoints of {len(runs)} runs:', '', '```bash', command, '```']
    for level, title in LEVELS.items():
        lines += ['', f'## Choosing {title}', '', *_table(studies[level])]
    lines += ['', '## Failures', '', *_failures(choices)]
    lines += ['', '## Warnings', '', *_warnings(candidates)]
    lines += ['', '## Recommendation', '', recommend(studies, choices)]
    return '\n'.join([*lines, '', '## Limits', *LIMITS.splitlines()]).rstrip() + '\n'


def _table(studies: Mapping[str, Study]) -> list[str]:
    if not studies:
        return ['There is no group of three candidates yet.']
    header = ['score', 'groups', 'candidates', 'rank correlation', 'mean regret']
    header += ['largest regret', 'where']
    rows = [
        [
            name,
            str(each.groups),
            str(each.candidates),
            format_summary(each.correlation, 2) if each.correlation else '–',
            f'{format_summary(each.regret)}{_interval(each.regret)}',
            '' if name == 'any' else f'{each.worst.regret:.1f}',
            '' if name == 'any' else each.worst.chosen.name,
        ]
        for name, each in studies.items()
    ]
    return format_rows(header, rows)


def _failures(choices: Sequence[Choice]) -> list[str]:
    """Large regrets, and why the choice looked good."""
    bad = [each for each in choices if each.score not in CHOOSES_NOTHING and each.regret >= FAILED]
    if not bad:
        return [f'No score chose a candidate {FAILED:g} points or more below the best.']
    bad.sort(key=lambda each: -each.regret)
    shown = {
        score: [each for each in bad if each.score == score][:FAILURES_OF_A_SCORE]
        for score in dict.fromkeys(each.score for each in bad)
    }
    rows = [
        [
            each.score,
            each.chosen.name,
            f'{each.chosen.miou:.1f}',
            f'{each.best.miou:.1f}',
            f'{each.chosen.classes:.1f} / {each.best.classes:.1f}',
            ', '.join(causes_of(each)),
        ]
        for failures in shown.values()
        for each in failures
    ]
    numbers = Counter(cause for each in bad for cause in causes_of(each))
    text = (
        f'{len(bad)} choices lost {FAILED:g} points or more. In {numbers["collapse"]} of them the '
        f'chosen network predicts less than {COLLAPSED:.0%} of the classes of the best one '
        f'(effective numbers; collapse), in {numbers["over-confident"]} its entropy is less than '
        f'{OVERCONFIDENT:.0%} of that of the best one (over-confident). The largest of each score:'
    )
    header = ['score', 'chose', 'mIoU', 'best', 'classes of both', '']
    return [text, '', *format_rows(header, rows)]


def _warnings(candidates: Sequence[Candidate]) -> list[str]:
    """Runs in which ``HealthHook`` warns that the predicted classes have drifted."""
    runs: dict[tuple[str, str, str, int], list[Candidate]] = {}
    for each in candidates:
        if DIVERGENCE in each.scores:
            runs.setdefault(each.run, []).append(each)
    losses: list[float] = []  # of the runs without a warning
    warned: list[tuple[float, list[str]]] = []
    for group in runs.values():
        best, last = (max(group, key=operator.attrgetter(key)) for key in ('miou', 'step'))
        loss = best.miou - last.miou
        steps = [each.step for each in group if -each.scores[DIVERGENCE] > DRIFTED]
        if not steps:
            losses.append(loss)
            continue
        numbers = f'{-last.scores[DIVERGENCE]:.2f}', f'{best.miou:.1f}', f'{last.miou:.1f}'
        warned.append((loss, [last.name.partition(',')[0], str(min(steps)), *numbers]))
    text = (
        f'`HealthHook` warns where `{DIVERGENCE}` passes {DRIFTED:g}: in {len(warned)} of the '
        f'{len(runs)} runs that have this score.'
    )
    if not warned:
        return [text]
    lost = format_summary(summarize([loss for loss, _ in warned]))
    text += f' These end {lost} points below their best checkpoint'
    text += f', the others {format_summary(summarize(losses))}.' if losses else '.'
    text += ' The threshold was set on the first 97 runs of `small_real`; only later ones test it.'
    header = ['run', 'warns in iteration', 'divergence at the end', 'best mIoU', 'last mIoU']
    rows = [row for _, row in sorted(warned, reverse=True)]
    return [text, '', *format_rows(header, rows)]


def causes_of(choice: Choice) -> list[str]:
    """Name what makes the chosen network look better than the best one."""
    chosen, best = choice.chosen, choice.best
    causes = ['collapse'] if chosen.classes < COLLAPSED * best.classes else []
    ours, theirs = (-each.scores.get('entropy', math.nan) for each in (chosen, best))
    return [*causes, 'over-confident'] if ours < OVERCONFIDENT * theirs else causes


def recommend(studies: Mapping[str, Mapping[str, Study]], choices: Sequence[Choice]) -> str:
    """Say which score chose best at each level, which are as good, and whether one is needed.

    Args:
        studies: As :func:`study` gives them.
        choices: The same.
    """
    sentences = []
    for level, title in LEVELS.items():
        scores = [name for name in studies[level] if name not in CHOOSES_NOTHING]
        most = max((studies[level][name].candidates for name in scores), default=0)
        # A score that few candidates have is not compared by its mean, which is of other choices.
        common = [name for name in scores if 2 * studies[level][name].candidates >= most]
        if not common:
            continue
        best = common[0]
        first = title.partition(',')[0].capitalize()
        if studies[level][best].regret.half is None:  # one group has no interval
            sentences.append(f'{first} there is one choice, from which nothing follows.')
            continue
        differences = {name: compare(choices, level, name, best) for name in scores}
        differences.pop(best)
        equal, unknown = [], []
        for name, each in differences.items():
            if each is None or each.half is None:
                unknown.append(f'`{name}`')
            elif not _worse(each):
                equal.append(f'`{name}`')
        least = studies[level][best].regret.mean
        among = '' if len(common) == len(scores) else 'of the scores that most candidates have, '
        text = f'{first}, {among}`{best}` has the least regret, {least:.1f} points'
        if equal:
            text += f'; the interval cannot distinguish it from {", ".join(equal)}'
        if unknown:
            text += f'; too few common choices to compare it with {", ".join(unknown)}'
        sentences.append(f'{text}.')
        if level != 'checkpoints':
            continue
        if not _worse(compare(choices, level, LAST, best)):
            sentences.append('The last checkpoint is not worse either: no choice is needed.')
        elif best == SOURCE_METRIC:
            sentences.append(f"Write `save_best='{SOURCE_METRIC}'`.")
        else:
            sentences.append(f"Write `save_best='unlabelled/{best}'` with its rule.")
    return ' '.join(sentences) or 'There are no results yet.'


def _worse(difference: Summary | None) -> bool:
    """Tell whether a difference of regrets is positive beyond its interval."""
    return bool(difference and difference.differs and difference.mean > 0)


def _interval(summary: Summary) -> str:
    if summary.half is None:
        return ''
    ends = summary.mean - summary.half, summary.mean + summary.half
    low, high = (round(end, 1) + 0.0 for end in ends)  # no -0.0
    return f' [{low:.1f}, {high:.1f}]'
