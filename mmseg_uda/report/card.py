"""The report card of a benchmark: methods on pairs, their classes, curves, cost and gain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmseg_uda.benchmark.statistics import paired
from mmseg_uda.benchmark.table import (
    COST_HEADER,
    COST_HELP,
    METRIC,
    format_cost,
    format_difference,
    mean_of,
)
from mmseg_uda.report.page import chart, paragraph, section, table
from mmseg_uda.report.sources import StoredRun
from mmseg_uda.utils.curves import (
    REFERENCE_STYLES,
    distinct_style,
    draw_band,
    group_lines,
    merge_seeds,
)

__all__ = ['format_card']

BASELINE = 'source_only'
LARGEST = 30.0  # points of IoU with the darkest colour
MOST_NAMES = 12  # beside points, so that they can be read
COSTS = {'iteration_s': 'seconds per iteration', 'peak_memory_mib': 'peak memory, MiB'}
HELP = (
    'Points are seeds, ticks their means; the dotted line is {0}. Gains over {0} are taken seed by '
    'seed, with the 95 % interval of their mean. Scores are those of the last iteration.'
)
RANKS = ' Numbers beside points are ranks in the table.'

# Seed by method, and the run.
Runs = Mapping[str, Mapping[int, StoredRun]]


def format_card(runs: Sequence[StoredRun]) -> list[str]:
    """Format a section per benchmark and pair: scores and costs of its methods.

    Args:
        runs: Results of benchmarks, of any pairs and methods.
    """
    pairs: dict[tuple[str, str], dict[str, dict[int, StoredRun]]] = {}
    for run in runs:
        methods = pairs.setdefault((run.benchmark, run.pair), {})
        methods.setdefault(run.method, {})[run.number or 0] = run
    cards = (_pair(*place, methods) for place, methods in pairs.items())
    return [*filter(None, cards)]


def _pair(benchmark: str, pair: str, methods: Runs) -> str:
    parts = [*_gains(methods, pair), *_cost_table(methods, pair)]
    return section(f'Benchmark {benchmark}: {pair}', *parts) if parts else ''


def _gains(methods: Runs, pair: str) -> Iterator[str]:
    """Format scores, curves, classes and gains; nothing in a benchmark of costs alone."""
    scores = _scores(methods)
    if not scores:
        return
    methods = {method: methods[method] for method in scores}  # the best one first
    base = BASELINE if BASELINE in scores else min(scores, key=lambda each: mean_of(scores[each]))
    charts = [
        chart(_points(scores, base), f'mIoU of methods on {pair}'),
        *_heat_map(methods, base, pair),
        *_curves(methods, scores, base, pair),
        *_cost_by_gain(methods, scores, base, pair),
    ]
    rows = [
        [
            str(rank),
            method,
            ', '.join(map(str, sorted(values))),
            f'{mean_of(values):.1f}',
            '' if method == base else format_difference(paired(values, scores[base])),
        ]
        for rank, (method, values) in enumerate(scores.items(), 1)
    ]
    yield table(['rank', 'method', 'seeds', 'mIoU', f'gain over {base}'], rows)
    yield f'<div class="charts">{"".join(charts)}</div>'
    yield paragraph(HELP.format(base) + (RANKS if len(scores) > MOST_NAMES else ''))


def _scores(methods: Runs) -> dict[str, dict[int, float]]:
    """The last mIoU by method and seed, the best method first."""
    found = {
        method: {
            seed: run.curves[METRIC][max(run.curves[METRIC])]
            for seed, run in seeds.items()
            if run.curves.get(METRIC)
        }
        for method, seeds in methods.items()
    }
    known = {method: values for method, values in found.items() if values}
    return dict(sorted(known.items(), key=lambda item: -mean_of(item[1])))


def _style(method: str, scores: Mapping[str, object], base: str) -> dict[str, Any]:
    return REFERENCE_STYLES[0] if method == base else distinct_style([*scores].index(method))


def _figure(height: float = 3.6) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, height), layout='constrained')
    return figure, figure.subplots()


def _points(scores: Mapping[str, Mapping[int, float]], base: str) -> Figure:
    """A row per method, the best one on top."""
    figure, axes = _figure(1.2 + 0.3 * len(scores))
    ranked = [*scores][::-1]
    for place, method in enumerate(ranked):
        values, colour = [*scores[method].values()], _style(method, scores, base)['color']
        axes.plot(values, [place] * len(values), 'o', color=colour, ms=5, alpha=0.7)
        axes.plot([mean(values)], [place], '|', color=colour, ms=16, mew=2)
    axes.axvline(mean_of(scores[base]), color='0.5', ls=':')
    axes.set_yticks(range(len(ranked)), ranked)
    axes.set_ylim(-0.6, len(ranked) - 0.4)
    axes.set_title('mIoU, %', fontsize='medium')
    axes.grid(axis='x', alpha=0.3)
    return figure


def _curves(methods: Runs, scores: Mapping[str, object], base: str, pair: str) -> Iterator[str]:
    """Draw means and bands over training, few methods at once, each time with the baseline."""
    groups = group_lines([method for method in scores if method != base])
    for number, group in enumerate(groups, 1):
        figure, axes = _figure(4.2)
        for method in [base, *group]:
            runs = methods[method].values()
            points = merge_seeds([run.curves[METRIC] for run in runs if METRIC in run.curves])
            style = _style(method, scores, base)
            draw_band(axes, points, label=method, lw=1.2, **style)
        part = f', {number} of {len(groups)}' if len(groups) > 1 else ''
        axes.set_title(f'mIoU, %, over training{part}', fontsize='medium')
        axes.set_xlabel('iteration')
        axes.grid(alpha=0.3)
        figure.legend(fontsize='x-small', ncols=2, loc='outside lower center')
        yield chart(figure, f'mIoU over training on {pair}{part}')


def _heat_map(methods: Runs, base: str, pair: str) -> Iterator[str]:
    """IoU of each class against the baseline, in points."""
    means = {method: _class_means(seeds) for method, seeds in methods.items()}
    known = means.get(base, {})
    classes = [key for key in known if any(each.get(key, 0) > 0 for each in means.values())]
    others = [method for method in means if method != base and means[method]]
    if not classes or not others:
        return
    values = np.array(
        [[means[method].get(key, np.nan) - known[key] for key in classes] for method in others]
    )
    figure, axes = _figure(1.6 + 0.3 * len(others))
    axes.imshow(values, cmap='RdBu', vmin=-LARGEST, vmax=LARGEST, aspect='auto')
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            colour = 'white' if abs(value) > 0.6 * LARGEST else 'black'
            text = f'{value:+.0f}'
            axes.text(column, row, text, ha='center', va='center', fontsize=6, color=colour)
    axes.set_xticks(range(len(classes)), classes, rotation=60, ha='right', fontsize='x-small')
    axes.set_yticks(range(len(others)), others, fontsize='x-small')
    axes.set_title(f'IoU of classes against {base}, points', fontsize='medium')
    yield chart(figure, f'IoU of each class against {base} on {pair}, in points')


def _class_means(seeds: Mapping[int, StoredRun]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for run in seeds.values():
        for key, value in run.class_iou.items():
            found.setdefault(key, []).append(value)
    return {key: mean(values) for key, values in found.items()}


def _cost_table(methods: Runs, pair: str) -> Iterator[str]:
    """Time and memory of an iteration of each method, as numbers and as bars."""
    costs = _costs(methods)
    if not costs:
        return
    yield table(['method', *COST_HEADER], [[name, *format_cost(costs[name])] for name in costs])
    bars = (chart(_bars(costs, key), f'{title} on {pair}') for key, title in COSTS.items())
    yield f'<div class="charts">{"".join(bars)}</div>'
    yield paragraph(f'{COST_HELP} Ticks are the bare passes.')


def _costs(methods: Runs) -> dict[str, list[dict[str, Any]]]:
    """The costs of each method that was measured, one of each seed."""
    found = {name: [run.cost for run in seeds.values()] for name, seeds in methods.items()}
    known = {name: [*filter(None, costs)] for name, costs in found.items()}
    return {name: costs for name, costs in known.items() if costs}


def _bars(costs: Mapping[str, Sequence[Mapping[str, Any]]], key: str) -> Figure:
    figure, axes = _figure(1.2 + 0.22 * len(costs))
    for place, known in enumerate(costs.values()):
        axes.barh(place, mean(cost[key] for cost in known), color='#6a9fd4')
        if key == 'iteration_s':
            axes.plot([mean(cost['passes_s'] for cost in known)], [place], '|', color='0.1', ms=8)
    axes.set_yticks(range(len(costs)), costs, fontsize='x-small')
    axes.set_ylim(len(costs) - 0.4, -0.6)
    axes.set_title(COSTS[key], fontsize='medium')
    axes.grid(axis='x', alpha=0.3)
    return figure


def _cost_by_gain(
    methods: Runs, scores: Mapping[str, Mapping[int, float]], base: str, pair: str
) -> Iterator[str]:
    """Draw the cost of each method against its gain."""
    names = [*scores] if len(scores) <= MOST_NAMES else [*map(str, range(1, len(scores) + 1))]
    costs = _costs(methods)
    if len(costs) < 2:
        return
    gains = {method: paired(scores[method], scores[base]) for method in costs}
    for key, title in COSTS.items():
        figure, axes = _figure()
        for name, method in zip(names, scores):
            if gain := gains.get(method):
                place = mean(cost[key] for cost in costs[method]), gain.mean
                axes.plot(*place, 'o', color=_style(method, scores, base)['color'])
                axes.annotate(name, place, (4, 3), textcoords='offset points', fontsize='x-small')
        axes.axhline(0, color='0.5', ls=':')
        axes.margins(0.18)
        axes.set_xlabel(title)
        axes.set_title(f'gain over {base}, points of mIoU', fontsize='medium')
        axes.grid(alpha=0.3)
        yield chart(figure, f'gain over {base} by {title} on {pair}')
