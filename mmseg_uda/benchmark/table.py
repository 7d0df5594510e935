"""Results of a benchmark as tables: values by method and seed, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.benchmark.results import COST_KEYS, Results
from mmseg_uda.benchmark.statistics import Summary, summarize

__all__ = [
    'CLASS_PREFIX',
    'COST_HEADER',
    'COST_HELP',
    'DIFFERENCES',
    'METRIC',
    'SOURCE_METRIC',
    'Table',
    'format_cost',
    'format_difference',
    'format_number',
    'format_rows',
    'format_spread',
    'format_summary',
    'mean_of',
    'write_page',
]

METRIC, SOURCE_METRIC = 'mIoU', 'source/mIoU'
CLASS_PREFIX = 'IoU_'
DIFFERENCES = (
    'Differences are taken seed by seed, with the 95 % interval of their mean '
    "(Student's t; with two seeds it is wide, and with one there is none)."
)
COST_HELP = (
    'Time of one iteration, and of its bare passes through backbone and head, with backward '
    '(learning) or without (labelling). Peak memory is that of tensors which an iteration adds to '
    'weights and optimizer.'
)
COST_HEADER = (  # of COST_KEYS, with the numbers of passes in one
    'iteration, s', 'bare passes, s', 'ratio', 'passes: learning + labelling', 'peak memory, MiB',
)  # fmt: skip


class Table:
    """The results of a pair: values by method and seed.

    Args:
        results: The benchmark's results.
        pair: The pair.
    """

    def __init__(self, results: Results, pair: str) -> None:
        self.found: dict[str, dict[int, dict[str, Any]]] = {}
        for run, content in results:
            if run.pair == pair:
                self.found.setdefault(run.method, {})[run.seed] = content
        order = [*results.benchmark.methods]
        self.found = dict(sorted(self.found.items(), key=lambda item: order.index(item[0])))

    def curves(self, method: str, metric: str) -> dict[int, dict[int, float]]:
        """A metric by iteration and seed."""
        curves: dict[int, dict[int, float]] = {}
        for seed, content in self.found[method].items():
            for point, metrics in content['points'].items():
                if metric in metrics:
                    curves.setdefault(int(point), {})[seed] = metrics[metric]
        return dict(sorted(curves.items()))

    def last(self, method: str, metric: str) -> dict[int, float]:
        """A metric by seed, at its last iteration; empty for a method without results."""
        curves = self.curves(method, metric) if method in self.found else {}
        last: dict[int, float] = {}
        for values in curves.values():
            last.update(values)
        return last

    def metrics(self, prefix: str) -> list[str]:
        """Names of metrics that begin with a prefix, in their order."""
        points = (
            metrics
            for seeds in self.found.values()
            for content in seeds.values()
            for metrics in content['points'].values()
        )
        return [*dict.fromkeys(key for each in points for key in each if key.startswith(prefix))]


def format_cost(costs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write the means of costs of the same method, in the order of ``COST_HEADER``."""
    time, passes, ratio, learning, labelling, memory = (
        summarize([cost[key] for cost in costs]).mean for key in COST_KEYS
    )
    return [
        f'{time:.3f}',
        f'{passes:.3f}',
        f'{ratio:.2f}',
        f'{learning:g} + {labelling:g}',
        f'{memory:.0f}',
    ]


def format_rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Write a table in Markdown."""
    lines = [header, ['---'] * len(header), *rows]
    return [f'| {" | ".join(line)} |' for line in lines]


def write_page(path: Path, lines: Sequence[str]) -> None:
    """Write a page of Markdown, which ends with one line break."""
    with atomic_write(path) as partial:
        partial.write_text('\n'.join(lines).rstrip() + '\n', encoding='utf-8')


def mean_of(values: Mapping[Any, float]) -> float:
    return sum(values.values()) / len(values) if values else math.nan


def format_number(value: float) -> str:
    return '–' if math.isnan(value) else f'{value:.1f}'


def format_summary(summary: Summary, digits: int = 1) -> str:
    """Write a mean and, of several values, their standard deviation."""
    text = f'{summary.mean:.{digits}f}'
    return text if summary.spread is None else f'{text} ± {summary.spread:.{digits}f}'


def format_spread(values: Mapping[Any, float], digits: int = 1) -> str:
    return format_summary(summarize([*values.values()]), digits) if values else ''


def format_difference(summary: Summary | None) -> str:
    if summary is None:
        return ''
    if summary.half is None:
        return f'{summary.mean:+.1f}'
    low, high = summary.mean - summary.half, summary.mean + summary.half
    return f'{summary.mean:+.1f} [{low:+.1f}, {high:+.1f}]'
