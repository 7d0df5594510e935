"""Plots of a benchmark: curves over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.benchmark.table import Table
from mmseg_uda.utils.curves import REFERENCE_STYLES, distinct_style, draw_band, group_lines

__all__ = ['draw_curves']


def draw_curves(
    table: Table,
    titles: Mapping[str, str],
    path: Path,
    metrics: Sequence[str],
    references: Sequence[str],
) -> None:
    """Draw a column per metric and a row per few methods: means, and bands from least to most.

    Args:
        table: The results of a pair.
        titles: Titles by method.
        path: File to write, ``.png``.
        metrics: Names of the metrics; the first is the target's.
        references: Methods that every row shows in grey, two at most.
    """
    # Not at the top: Matplotlib takes a second that other uses of the package should not take.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    known = [method for method in references if method in table.found]
    groups = group_lines([method for method in table.found if method not in known])
    styles = dict(zip(known, REFERENCE_STYLES))
    size = 5.0 * len(metrics) + 2.4, 0.4 + 3.2 * len(groups)
    figure = Figure(figsize=size, layout='constrained')
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(groups), len(metrics), squeeze=False, sharex=True, sharey='col')
    for row, group in zip(rows, groups):
        styles.update((method, distinct_style(place)) for place, method in enumerate(group))
        for axes, metric in zip(row, metrics):
            for method in [*known, *group]:
                curves = table.curves(method, metric)
                points = {step: [*values.values()] for step, values in curves.items()}
                label = titles[method]
                draw_band(axes, points, marker='o', ms=3, label=label, **styles[method])
            axes.grid(alpha=0.3)
        handles, names = row[0].get_legend_handles_labels()
        row[-1].legend(
            handles,
            names,
            fontsize='small',
            loc='center left',
            bbox_to_anchor=(1.02, 0.5),
            frameon=False,
        )
    for axes, metric in zip(rows[0], metrics):
        domain = 'source' if metric.startswith('source/') else 'target'
        axes.set_title(f'{metric.removeprefix("source/")} of the {domain}')
    for axes in rows[-1]:
        axes.set_xlabel('iteration')
    with atomic_write(path) as partial:
        figure.savefig(partial, format='png', dpi=90, metadata={'Software': None})
