"""Sections of a report: contents, scores, curves, pseudo labels, pictures, configs and origin."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from matplotlib.figure import Figure

from mmseg_uda.artifacts.recipe import differences
from mmseg_uda.artifacts.run_logs import SEED, RunLog, group_seeds
from mmseg_uda.benchmark.statistics import summarize
from mmseg_uda.benchmark.table import format_summary
from mmseg_uda.evaluation import SCORES
from mmseg_uda.pipeline.report import COVERAGE, format_time
from mmseg_uda.report.card import format_card
from mmseg_uda.report.page import chart, code, page, paragraph, picture, section, table
from mmseg_uda.report.sources import Source, StoredRun
from mmseg_uda.utils.curves import default_keys, draw_panel, kind, panels
from mmseg_uda.version import __version__

__all__ = ['format_report']

Groups = Mapping[str, Sequence[RunLog]]
SCORE_HELP = (
    'Scores are those of the last validation; no checkpoint is chosen by the target. Mean ± '
    'standard deviation over seeds, and [least, greatest].'
)
# Facts that differ by seed, have a place of their own, or go on over many lines.
HIDDEN = ('seed', 'numpy_random_seed', 'command', 'PyTorch compiling details')


def format_report(sources: Sequence[Source], title: str) -> str:
    """Format the page.

    Args:
        sources: What it is about; the first run is the one to which configs are compared.
        title: Its heading.
    """
    runs = [run for source in sources for run in source.runs]
    stored = [run for run in runs if isinstance(run, StoredRun)]
    trained = [run for run in runs if not isinstance(run, StoredRun)]
    groups = group(runs)
    scored = {**groups, **group([run for source in sources for run in source.tests])}
    parts = [
        _overview(sources),
        *format_card(stored),
        _scores(scored),
        _classes(scored),
        _curves(group(trained)),
        _label_free(scored),
        _pseudo_labels(sources, groups),
        *(_pipeline(source) for source in sources if source.stages),
        _pictures(sources),
        _configs(groups),
        _origin(trained, stored),
    ]
    return page(title, filter(None, parts))


def group(runs: Sequence[RunLog]) -> dict[str, list[RunLog]]:
    """Put the seeds of a method together: of stored runs by their names, else by their configs."""
    groups = group_seeds([run for run in runs if not isinstance(run, StoredRun)])
    for run in runs:
        if isinstance(run, StoredRun):
            groups.setdefault(SEED.sub('', run.name), []).append(run)
    return groups


def _last(runs: Sequence[RunLog], key: str) -> list[float]:
    """The last value of each seed that has one."""
    values = ([*run.curves[key].values()][-1] for run in runs if key in run.curves)
    return [value for value in values if not math.isnan(value)]


def _keys(groups: Groups) -> list[str]:
    return [*dict.fromkeys(key for runs in groups.values() for run in runs for key in run.curves)]


def _spread(values: Sequence[float], digits: int = 2) -> str:
    if not values:
        return '–'
    text = format_summary(summarize(values), digits)
    ends = ', '.join(f'{end(values):.{digits}f}' for end in (min, max))
    return text if len(values) == 1 else f'{text} [{ends}]'


def _seeds(runs: Iterable[RunLog]) -> str:
    seeds = [run.seed for run in runs]
    return ', '.join('?' if seed is None else str(seed) for seed in seeds)


def _overview(sources: Sequence[Source]) -> str:
    rows = []
    for source in sources:
        steps = [max(curve) for run in source.runs for curve in run.curves.values()]
        last = str(max(steps)) if steps else '–'
        rows.append([str(source.path), source.kind, str(len(source.runs)), last])
    return section('Contents', table(['read', 'kind', 'runs', 'last iteration'], rows))


def _scores(groups: Groups) -> str:
    keys = [key for key in _keys(groups) if kind(key) == 'mIoU, %']
    if not keys:
        trained = any(run.logs for runs in groups.values() for run in runs)
        text = 'No validation has logged an mIoU.'
        return section('Scores', paragraph(text)) if trained else ''
    rows = []
    for name, runs in groups.items():
        steps = {max(run.curves[key]) for run in runs for key in keys if key in run.curves}
        if steps:
            at = ', '.join(map(str, sorted(steps))) if steps != {0} else ''
            cells = [_spread(_last(runs, key)) for key in keys]
            rows.append([name, _seeds(runs), at, *cells])
    return section(
        'Scores', table(['run', 'seeds', 'iteration', *keys], rows), paragraph(SCORE_HELP)
    )


def _classes(groups: Groups) -> str:
    shown = {name: runs for name, runs in groups.items() if any(run.class_iou for run in runs)}
    classes = dict.fromkeys(key for runs in shown.values() for run in runs for key in run.class_iou)
    if not classes:
        return ''
    rows = []
    for key in classes:
        values = ([run.class_iou.get(key, math.nan) for run in runs] for runs in shown.values())
        known = ([value for value in each if not math.isnan(value)] for each in values)
        rows.append([key, *(_spread(each, 1) for each in known)])
    return section('IoU of classes, %', table(['class', *shown], rows))


def _curves(groups: Groups) -> str:
    if not groups:
        return ''
    curves = {name: [run.curves for run in runs] for name, runs in groups.items()}
    charts = []
    for title, keys in panels(default_keys(curves)).items():
        figure = Figure(figsize=(5.2, 3.6), layout='constrained')
        draw_panel(figure.subplots(), curves, keys, title)
        charts.append(chart(figure, f'{title} over training: {", ".join(keys)}'))
    text = 'Lines are means over seeds, bands reach from the least to the greatest.'
    return section('Curves', f'<div class="charts">{"".join(charts)}</div>', paragraph(text))


def _label_free(groups: Groups) -> str:
    keys = [key for key in _keys(groups) if key.rpartition('/')[2] in SCORES]
    if not keys:
        return ''
    rules = [SCORES[key.rpartition('/')[2]].rule for key in keys]
    header = [f'{key} {"↓" if rule == "less" else "↑"}' for key, rule in zip(keys, rules)]
    rows = [
        [name, *(_spread(_last(runs, key), 3) for key in keys)] for name, runs in groups.items()
    ]
    text = 'Arrows show which values are taken for better; no label of the target is used.'
    return section('Scores without labels', table(['run', *header], rows), paragraph(text))


def _pseudo_labels(sources: Sequence[Source], groups: Groups) -> str:
    keys = [key for key in _keys(groups) if key.endswith('confident_ratio')]
    rows = [
        [name, key, *(_spread([*values], 3) for values in _ends(runs, key))]
        for name, runs in groups.items()
        for key in keys
        if any(key in run.curves for run in runs)
    ]
    parts = [table(['run', 'logged', 'first', 'last'], rows)] if rows else []
    rows = []
    for source in sources:
        for place, manifest in source.manifests():
            shares = ('–' if each is None else f'{100 * each:.1f}' for each in manifest.coverage)
            state = '' if manifest.complete else 'incomplete'
            total = f'{100 * manifest.kept_share:.1f}'
            rows.append([place, str(len(manifest.files)), state, total, ' '.join(shares)])
    if rows:
        header = ['directory', 'images', 'state', 'kept, % of all', 'kept, % by class id']
        parts += [table(header, rows), paragraph(COVERAGE)]
    return section('Pseudo labels', *parts) if parts else ''


def _ends(runs: Sequence[RunLog], key: str) -> Iterator[list[float]]:
    for place in (0, -1):
        yield [[*run.curves[key].values()][place] for run in runs if key in run.curves]


def _pipeline(source: Source) -> str:
    rows = [
        [
            name,
            each.type,
            each.status,
            format_time(each.seconds),
            str(each.attempts),
            each.outputs.get('output', ''),
            '; '.join(filter(None, (each.error, each.note))),
        ]
        for name, each in source.stages.items()
    ]
    header = ['stage', 'type', 'status', 'time', 'attempts', 'output', 'notes']
    parts = [table(header, rows)]
    metrics = {name: each.metrics for name, each in source.stages.items() if each.metrics}
    keys = dict.fromkeys(key for each in metrics.values() for key in each)
    if metrics:
        lines = [
            [key, *(f'{each[key]:.4g}' if key in each else '' for each in metrics.values())]
            for key in keys
        ]
        parts.append(table(['metric', *metrics], lines))
    coverage = {name: each.coverage for name, each in source.stages.items() if each.coverage}
    classes = dict.fromkeys(key for each in coverage.values() for key in each)
    if coverage:
        lines = [
            [key, *(_share(each.get(key, [0, 0])) for each in coverage.values())] for key in classes
        ]
        parts += [table(['class', *coverage], lines), paragraph(COVERAGE)]
    return section(f'Pipeline {source.path}', *parts)


def _share(counts: Sequence[int]) -> str:
    predicted, kept = counts
    return f'{100 * kept / predicted:.1f}' if predicted else '–'


def _pictures(sources: Sequence[Source]) -> str:
    figures = [picture(path) for source in sources for path in source.pictures()]
    return section('Pictures', *figures) if figures else ''


def _configs(groups: Groups) -> str:
    """Differences of each group's config from the first one's."""
    known = {name: runs[0].own_settings for name, runs in groups.items() if runs[0].settings}
    if len(known) < 2:
        return ''
    (first, base), *others = known.items()
    rows = []
    for name, settings in others:
        lines = (line.partition(': ') for line in differences(base, settings))
        rows += [[name, key, value.replace(' -> ', ' → ')] for key, _, value in lines]
    if not rows:
        return section('Differences of configs', paragraph('There are none.'))
    text = f'Values of {first} → values of the run.'
    return section('Differences of configs', table(['run', 'key', 'values'], rows), paragraph(text))


def _origin(trained: Sequence[RunLog], stored: Sequence[RunLog]) -> str:
    """Commands, versions and machines; trainings that have the same share a table."""
    facts: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for run in trained:
        shown = {key: value for key, value in run.facts.items() if key not in HIDDEN}
        facts.setdefault(tuple(shown.items()), []).append(run.name)
    commands = [run.facts.get('command') or _command(run) for run in (*trained, *stored)]
    parts = [code(dict.fromkeys(filter(None, commands)))] if any(commands) else []
    for known, names in facts.items():
        if known:
            parts += [paragraph('; '.join(names)), table(['what', 'value'], known)]
    if stored:
        keys = ('finished', 'code', 'machine')
        rows = [[run.name, *(run.facts[key] for key in keys)] for run in stored]
        parts.append(table(['run', *keys], rows))
    parts.append(paragraph(f'Written by mmseg_uda {__version__}.'))
    return section('Origin', *parts)


def _command(run: RunLog) -> str:
    """The command that trains a run again, from the config in its directory."""
    configs = [*run.path.glob('*.py')] if run.path.is_dir() else []
    last = max(configs, key=lambda path: path.stat().st_mtime, default=None)  # of the last start
    return f'python tools/train.py {last} --work-dir NEW_DIRECTORY' if last else ''
