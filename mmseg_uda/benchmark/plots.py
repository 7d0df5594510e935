"""Plots of a benchmark: curves over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.benchmark.table import Table
from mmseg_uda.utils.curves import distinct_style, draw_band

__all__ = ['draw_curves']


def draw_curves(
    table: Table, titles: Mapping[str, str], path: Path, metrics: Sequence[str]
) -> None:
    """Draw a panel per metric, a kind of line per method: the mean, a band from least to most.

    Args:
        table: The results of a pair.
        titles: Titles by method.
        path: File to write, ``.png``.
        metrics: Names of the metrics; the first is the target's.
    """
    # Not at the top: Matplotlib takes a second that other uses of the package should not take.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(5.5 * len(metrics), 4.2 + 0.07 * len(table.found)), layout='constrained'
    )
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics):
        for place, method in enumerate(table.found):
            curves = table.curves(method, metric)
            points = {step: [*values.values()] for step, values in curves.items()}
            style = distinct_style(place)
            draw_band(axes, points, marker='o', ms=3, label=titles[method], **style)
        axes.set_title(
            f'{metric.removeprefix("source/")} of the '
            f'{"source" if metric.startswith("source/") else "target"}'
        )
        axes.set_xlabel('iteration')
        axes.grid(alpha=0.3)
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(lines, names, fontsize='small', ncols=4, loc='outside lower center')
    with atomic_write(path) as partial:
        figure.savefig(partial, format='png', dpi=120, metadata={'Software': None})
