"""Worth of adaptation and of labels: a page and a plot by the number of labelled images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.benchmark.config import Benchmark
from mmseg_uda.benchmark.statistics import paired
from mmseg_uda.benchmark.table import (
    METRIC,
    Table,
    format_difference,
    format_rows,
    format_spread,
    mean_of,
    write_page,
)

__all__ = ['value_files', 'write_value']

HELP = (
    'mIoU in per cent on the target: mean ± standard deviation over seeds. The gap is the distance '
    'from the first method to the last, which has all labels of the target. Gains and parts of the '
    'gap are taken seed by seed; gains have the 95 % interval of their mean.'
)
NONE = 'No run is done yet.'


def value_files(benchmark: Benchmark) -> list[str]:
    """Names of the page and its plot; none if the benchmark does not compare labels."""
    name = f'{benchmark.name}-value'
    return [f'{name}.md', f'plots/{name}.png'] if benchmark.value else []


def write_value(benchmark: Benchmark, tables: Mapping[str, Table], root: Path) -> None:
    """Write the page and its plot, if the benchmark compares labels.

    Args:
        benchmark: The benchmark.
        tables: Its results by pair.
        root: Directory of all benchmarks' pages.
    """
    if not benchmark.value:
        return
    page, picture = value_files(benchmark)
    shown = [*benchmark.value['floor'], *benchmark.value['labels'], benchmark.value['ceiling']]
    lines = [f'# {benchmark.title}: what labels are worth', '', HELP, '']
    if any(name in table.found for table in tables.values() for name in shown):
        _draw(benchmark, tables, root / picture)
        lines += [f'![mIoU by the number of labelled target images]({picture})', '']
    for pair, title in benchmark.pairs.items():
        rows = [*_rows(benchmark, tables[pair])]
        gains = [f'above {benchmark.methods[method]}' for method in benchmark.value['floor']]
        header = ['method', 'target labels', 'seeds', 'mIoU', *gains, 'of the gap']
        lines += [f'## {title}', '', *(format_rows(header, rows) if rows else [NONE]), '']
    write_page(root / page, lines)


def _rows(benchmark: Benchmark, table: Table) -> Iterator[list[str]]:
    value = benchmark.value
    floor, ceiling = value['floor'], value['ceiling']
    labels = {**dict.fromkeys(floor, '0'), **value['labels'], ceiling: 'all'}
    low, high = (table.last(method, METRIC) for method in (floor[0], ceiling))
    for method, number in labels.items():
        scores = table.last(method, METRIC)
        if not scores:
            continue
        earlier = floor[: floor.index(method)] if method in floor else floor
        gains = [
            format_difference(paired(scores, table.last(other, METRIC))) if other in earlier else ''
            for other in floor
        ]
        seeds = ', '.join(map(str, sorted(scores)))
        share = _share_of_gap(scores, low, high)
        yield [
            benchmark.methods[method],
            str(number),
            seeds,
            format_spread(scores),
            *gains,
            '' if math.isnan(share) else f'{share:.0%}',
        ]


def _share_of_gap(
    scores: Mapping[int, float], low: Mapping[int, float], high: Mapping[int, float]
) -> float:
    """The part of the gap that a method closes, over the seeds of all three; NaN without any."""
    seeds = scores.keys() & low.keys() & high.keys()
    mean, first, last = (
        mean_of({seed: each[seed] for seed in seeds}) for each in (scores, low, high)
    )
    return (mean - first) / (last - first) if last != first else math.nan


def _draw(benchmark: Benchmark, tables: Mapping[str, Table], path: Path) -> None:
    """Draw a panel per pair: points are seeds, the line is their mean."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0 * len(tables), 4.4), layout='constrained')
    FigureCanvasAgg(figure)
    value = benchmark.value
    flat = {**dict.fromkeys(value['floor'], '--'), value['ceiling']: '-'}
    adapted = f'{benchmark.methods[min(value["labels"], key=value["labels"].get)]} + N labels'
    panels = figure.subplots(1, len(tables), squeeze=False, sharey=True)[0]
    for axes, (pair, table) in zip(panels, tables.items()):
        for place, (method, style) in enumerate(flat.items()):
            scores = table.last(method, METRIC)
            if scores:
                label = benchmark.methods[method]
                axes.axhline(mean_of(scores), color=f'C{place + 1}', ls=style, label=label)
        curve = {
            number: table.last(method, METRIC)
            for method, number in value['labels'].items()
            if table.last(method, METRIC)
        }
        places = range(len(curve))
        axes.plot(places, [mean_of(each) for each in curve.values()], color='C0', label=adapted)
        for place, scores in zip(places, curve.values()):
            axes.plot([place] * len(scores), [*scores.values()], 'o', color='C0', ms=4)
        axes.set_xticks(places, [str(number) for number in curve])
        axes.set_title(benchmark.pairs[pair])
        axes.set_xlabel('N, labelled target images')
        axes.grid(alpha=0.3)
    panels[0].set_ylabel('mIoU, %')
    shown = {
        name: handle for axes in panels for handle, name in zip(*axes.get_legend_handles_labels())
    }
    figure.legend(
        [*shown.values()], [*shown], loc='outside lower center', ncols=len(shown), frameon=False
    )
    with atomic_write(path) as partial:
        figure.savefig(partial, format='png', dpi=120, metadata={'Software': None})
