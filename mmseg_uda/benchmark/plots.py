"""Plots of a benchmark: curves over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.benchmark.table import Table
from mmseg_uda.utils.curves import draw_band

__all__ = ['draw_curves']


def draw_curves(
    table: Table, titles: Mapping[str, str], path: Path, metrics: Sequence[str]
) -> None:
    """Draw one panel per metric, one colour per method: the mean, and a band from least to most.

    Args:
        table: The results of a pair.
        titles: Titles by method; a method's colour is that of its place here.
        path: File to write, ``.png``.
        metrics: Names of the metrics; the first is the target's.
    """
    # Not at the top: Matplotlib takes a second that other uses of the package should not take.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * len(metrics), 4.2), layout='constrained')
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics):
        for method in table.found:
            curves = table.curves(method, metric)
            color = f'C{[*titles].index(method) % 10}'
            points = {step: [*values.values()] for step, values in curves.items()}
            draw_band(axes, points, marker='o', ms=3, color=color, label=titles[method])
        axes.set_title(
            f'{metric.removeprefix("source/")} of the '
            f'{"source" if metric.startswith("source/") else "target"}'
        )
        axes.set_xlabel('iteration')
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize='small')
    with atomic_write(path) as partial:
        figure.savefig(partial, format='png', dpi=120, metadata={'Software': None})
