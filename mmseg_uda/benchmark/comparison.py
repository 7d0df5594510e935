"""One change at a time: a page of the differences between two methods, seed by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mmseg_uda.benchmark.config import Benchmark
from mmseg_uda.benchmark.statistics import Summary, paired
from mmseg_uda.benchmark.table import (
    CLASS_PREFIX,
    DIFFERENCES,
    METRIC,
    Table,
    format_difference,
    format_rows,
    format_spread,
    write_page,
)

__all__ = ['comparison_files', 'write_comparisons']

HELP = (
    'mIoU in per cent on the target after the last iteration, over the seeds that both methods '
    f'have: mean ± standard deviation. {DIFFERENCES} **Bold**: the interval excludes 0. The '
    'early difference is that at the first point of the training that was scored. The classes are '
    'those whose IoU changes most.'
)
COLUMNS = ['change', 'pair: seeds', 'before', 'after', 'difference', 'early', 'classes']
ALL = 'all pairs'
NONE = 'No run of both methods is done yet.'
SHOWN_CLASSES = 3


def comparison_files(benchmark: Benchmark) -> list[str]:
    """Name of the page; none if the benchmark compares nothing."""
    return [f'{benchmark.name}-comparisons.md'] if benchmark.comparisons else []


def write_comparisons(benchmark: Benchmark, tables: Mapping[str, Table], root: Path) -> None:
    """Write the page, if the benchmark compares methods.

    Args:
        benchmark: The benchmark.
        tables: Its results by pair.
        root: Directory of all benchmarks' pages.
    """
    if not benchmark.comparisons:
        return
    (page,) = comparison_files(benchmark)
    lines = [f'# {benchmark.title}: one change at a time', '', HELP, '']
    for comparison in benchmark.comparisons:
        rows = [
            [f'{benchmark.methods[before]} → {benchmark.methods[after]}', *row]
            for before, after in comparison['steps']
            for row in _rows(tables, before, after)
        ]
        lines += [
            f'## {comparison["title"]}',
            '',
            *(format_rows(COLUMNS, rows) if rows else [NONE]),
            '',
        ]
    write_page(root / page, lines)


def _rows(tables: Mapping[str, Table], before: str, after: str) -> Iterator[list[str]]:
    """A row per pair and, where several have both methods, one over all of them."""
    old: dict[tuple[str, int], float] = {}
    new: dict[tuple[str, int], float] = {}
    for pair, table in tables.items():
        first, last = (table.last(method, METRIC) for method in (before, after))
        seeds = sorted(first.keys() & last.keys())
        if not seeds:
            continue
        first, last = ({seed: each[seed] for seed in seeds} for each in (first, last))
        old.update({(pair, seed): value for seed, value in first.items()})
        new.update({(pair, seed): value for seed, value in last.items()})
        yield [
            f'{pair}: {", ".join(map(str, seeds))}',
            format_spread(first),
            format_spread(last),
            _judged(paired(last, first)),
            format_difference(_early(table, before, after)),
            ', '.join(f'{name} {value:+.1f}' for name, value in _classes(table, before, after)),
        ]
    if len({pair for pair, _ in old}) > 1:
        yield [ALL, '', '', _judged(paired(new, old)), '', '']


def _judged(difference: Summary | None) -> str:
    """Write a difference, bold if its interval excludes 0."""
    text = format_difference(difference)
    return f'**{text}**' if difference and difference.differs else text


def _early(table: Table, before: str, after: str) -> Summary | None:
    """The difference at the first point of the training, where that is not the last one."""
    curves = [table.curves(method, METRIC) for method in (before, after)]
    points = sorted(curves[0].keys() & curves[1].keys())
    if len(points) < 2:
        return None
    first, last = (curve[points[0]] for curve in curves)
    return paired(last, first)


def _classes(table: Table, before: str, after: str) -> list[tuple[str, float]]:
    """The classes that change most, with the mean differences of their IoU."""
    changes = {
        key.removeprefix(CLASS_PREFIX): paired(table.last(after, key), table.last(before, key))
        for key in table.metrics(CLASS_PREFIX)
    }
    found = [(name, change.mean) for name, change in changes.items() if change and change.mean]
    return sorted(found, key=lambda item: -abs(item[1]))[:SHOWN_CLASSES]
