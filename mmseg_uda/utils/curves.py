"""Curves over training: one panel per kind of value, seeds as a mean and a band."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmseg_uda.artifacts.run_logs import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    'LINES',
    'REFERENCE_STYLES',
    'Groups',
    'default_keys',
    'distinct_style',
    'draw_band',
    'draw_panel',
    'draw_panels',
    'group_lines',
    'panels',
]

# Label -> seeds -> key -> curve.
Groups = Mapping[str, Sequence[Mapping[str, Curve]]]
LINES = ('-', '--', ':', '-.')
AT_ONCE = 6  # lines of a panel that can be told apart
REFERENCE_STYLES = (dict(color='0.3', ls='--'), dict(color='0.6', ls='-.'))  # of no other line
INSIDE = 4  # lines of a legend that has room in its panel
NARROW = 30  # letters of a legend's line of which two have room side by side
SPAN = 100.0  # of the largest loss to the smallest, from which the axis is logarithmic
# Title of a panel, and the keys in it; the first that fits counts. Other keys have scales of their
# own, and so a panel each.
KINDS = {
    'mIoU, %': r'(^|/)mIoU(_|$)',
    'IoU of classes, %': r'(^|/)IoU_',
    'loss': r'loss',
    'ratio': r'ratio|rate$|share|agreement|confiden|significan',
    'entropy': r'entropy',
    'accuracy of discriminators': r'(^|\.)disc\.acc',
    'accuracy, %': r'(^|[/.])[am]?Acc(_|$)|acc_seg',
    'learning rate': r'(^|\.)lr$',
    'time, s': r'(^|/)(data_)?time$',
    'memory, MiB': r'(^|/)memory$',
}
# Not drawn unless they are asked for.
MINOR = ('accuracy, %', 'learning rate', 'time, s', 'memory, MiB', 'IoU of classes, %')


def kind(key: str) -> str:
    """The title of a key's panel."""
    return next((title for title, form in KINDS.items() if re.search(form, key)), key)


def panels(keys: Sequence[str]) -> dict[str, list[str]]:
    """Sort keys into panels: title -> keys, known kinds first."""
    titles = sorted({kind(key) for key in keys}, key=lambda title: (title not in KINDS, title))
    order = [title for title in KINDS if title in titles]
    order += [title for title in titles if title not in KINDS]
    return {title: [key for key in keys if kind(key) == title] for title in order}


def default_keys(groups: Groups) -> list[str]:
    """The keys that a run is judged by: all but times, rates and the like.

    Of several groups, four per panel at most, one for each kind of line; sums of losses come first.
    """
    found = dict.fromkeys(key for runs in groups.values() for curves in runs for key in curves)
    chosen = panels(sorted(found, key=lambda key: key != 'loss'))
    names = [title for title in chosen if title not in MINOR] or [*chosen]
    most = None if len(groups) == 1 else len(LINES)
    return [key for title in names for key in chosen[title][:most]]


def merge_seeds(curves: Sequence[Curve]) -> dict[int, list[float]]:
    """Values of all seeds by step, at the steps that all of them have; else at all steps."""
    if not curves:
        return {}
    steps = set.intersection(*map(set, curves)) or set().union(*curves)
    return {step: [curve[step] for curve in curves if step in curve] for step in sorted(steps)}


def group_lines(names: Sequence[str]) -> list[list[str]]:
    """Split the lines of a picture into panels of few, which can be told apart.

    Example:
        >>> group_lines(['a', 'b', 'c', 'd', 'e', 'f', 'g'])
        [['a', 'b', 'c', 'd'], ['e', 'f', 'g']]
    """
    number = max(1, math.ceil(len(names) / AT_ONCE))
    return [panel.tolist() for panel in np.array_split(names, number)]


def distinct_style(place: int) -> dict[str, Any]:
    """Give the colour and the kind of a line that no line at another of 80 places has.

    The ten strong colours of Matplotlib come first, then their light ones, then dashed lines.
    """
    from matplotlib import colormaps

    color = place % 20
    shade = f'C{color}' if color < 10 else colormaps['tab20'](2 * color - 19)
    return dict(color=shade, ls=LINES[place // 20 % len(LINES)])


def draw_band(axes: Axes, points: Mapping[int, Sequence[float]], **style: Any) -> None:
    """Draw a line of means, and a band from the least to the greatest value.

    Args:
        axes: Where to draw.
        points: Values of the seeds by step.
        style: Of the line; ``color`` is the band's too.
    """
    if not points:
        return
    means = [sum(values) / len(values) for values in points.values()]
    if len(points) == 1:  # a line of one point would be invisible
        style.setdefault('marker', 'o')
    (line,) = axes.plot([*points], means, **style)
    if max(map(len, points.values())) > 1:
        low, high = ([end(values) for values in points.values()] for end in (min, max))
        axes.fill_between([*points], low, high, color=line.get_color(), alpha=0.15, lw=0)


def draw_panel(axes: Axes, groups: Groups, keys: Sequence[str], title: str) -> None:
    """Draw the keys of one panel: a colour per group, a kind of line per key.

    With one group, a colour per key. A single key stands in the title, not in the legend. Of
    several groups and keys, the legend names each once.
    """
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    if len(keys) == 1 and not title.startswith(keys[0]):
        title = f'{title}: {keys[0]}'
    colors: dict[str, Any] = {}  # of the groups
    styles: dict[str, str] = {}  # of the keys
    for number, (label, runs) in enumerate(groups.items()):
        for place, key in enumerate(keys):
            alone = len(groups) == 1
            seeds = f' ({len(runs)} seeds)' if len(runs) > 1 else ''
            text = f'{label}{seeds}'
            if len(keys) > 1:
                text = key if alone else f'{text}: {key}'
            color, line = (place, 0) if alone else (number, place)
            points = merge_seeds([curves[key] for curves in runs if key in curves])
            if points:
                colors[f'{label}{seeds}'] = shade = distinct_style(color)['color']
                styles[key] = style = LINES[line % len(LINES)]
                draw_band(axes, points, color=shade, ls=style, lw=1.2, label=_plain(text))
    axes.set_title(_plain(title), fontsize='medium')
    axes.set_xlabel('iteration')
    axes.xaxis.set_major_locator(MaxNLocator('auto', integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    if 'loss' in title and _span_magnitudes(axes):
        axes.set_yscale('log')
    handles = [*axes.lines]
    if len(colors) > 1 and len(styles) > 1:
        handles = [Line2D([], [], color=each, label=_plain(name)) for name, each in colors.items()]
        handles += [
            Line2D([], [], color='0.4', ls=each, label=_plain(key)) for key, each in styles.items()
        ]
    if len(handles) > INSIDE:  # below the panel, where it hides no line
        longest = max(len(str(each.get_label())) for each in handles)
        axes.legend(
            handles=handles,
            fontsize='x-small',
            loc='upper center',
            bbox_to_anchor=(0.5, -0.2),
            ncols=2 if longest <= NARROW else 1,
            frameon=False,
        )
    elif handles:
        axes.legend(handles=handles, fontsize='x-small')


def _plain(text: str) -> str:
    """Escape what would begin a formula."""
    return text.replace('$', r'\$')


def _span_magnitudes(axes: Axes) -> bool:
    """Tell whether small values would lie on the axis beside large ones; never if one is 0."""
    drawn = (np.asarray(line.get_ydata(), dtype=float) for line in axes.lines)
    values = [value for each in drawn for value in each.tolist() if math.isfinite(value)]
    return bool(values) and min(values) > 0 and max(values) / min(values) > SPAN


def draw_panels(groups: Groups, keys: Sequence[str], title: str = '') -> Figure:
    """Draw one picture with a panel for each kind of key, at most two side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = panels(keys)
    columns = min(2, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(7 * columns, 4.5 * rows), layout='constrained')
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for (name, names), axes in zip(shown.items(), grid):
        draw_panel(axes, groups, names, name)
    for axes in grid:  # what is left of the last row
        axes.remove()
    if title:
        figure.suptitle(_plain(title))
    return figure
