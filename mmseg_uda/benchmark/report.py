"""The page of a benchmark, made of its results alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

from mmseg_uda.artifacts.digest import digest_path
from mmseg_uda.artifacts.files import write_json
from mmseg_uda.artifacts.outputs import clear_outputs, keep_other_file
from mmseg_uda.benchmark.comparison import comparison_files, write_comparisons
from mmseg_uda.benchmark.plots import draw_curves
from mmseg_uda.benchmark.results import Results, describe_code, describe_machine
from mmseg_uda.benchmark.statistics import paired, summarize
from mmseg_uda.benchmark.table import (
    CLASS_PREFIX,
    COST_HEADER,
    COST_HELP,
    DIFFERENCES,
    METRIC,
    SOURCE_METRIC,
    Table,
    format_cost,
    format_difference,
    format_number,
    format_rows,
    format_spread,
    mean_of,
    write_page,
)
from mmseg_uda.benchmark.value import value_files, write_value
from mmseg_uda.evaluation import SCORES
from mmseg_uda.pipeline.report import format_time

__all__ = ['write_report']

SCORE_HELP = (
    'Scores are those of the last iteration; no checkpoint is chosen by the target. mIoU in per '
    f'cent: mean ± standard deviation over seeds. {DIFFERENCES}'
)
PLOT_HELP = (
    'Lines are means over seeds, bands reach from the least to the greatest. '
    'All rows have one scale, and the same grey lines. Iterations are those of the last training.'
)
CPU_HELP = (
    'It is processor time on a CPU, so that other programs do not count; they do in the wall time '
    'of the training.'
)
GPU_HELP = (
    'Each pass is timed alone, from an idle GPU to an idle GPU, so that an iteration of short '
    'passes can take less than their sum. Waits are the operations of an iteration at which the '
    'host waits for the GPU: the copies of images and labels at its start, and that of its losses '
    'for the log at its end.'
)
CODE = 'python tools/benchmark.py {path}'


def write_report(results: Results) -> Path:
    """Write the page and the plots of a benchmark.

    Pages and plots of before are replaced if they are as they were written; others, and those that
    somebody has edited, are moved aside. ``plots/<name>.json`` holds their digests.

    Returns:
        The page: ``<name>.md`` beside the directory ``results``.
    """
    benchmark = results.benchmark
    references = [*dict.fromkeys((benchmark.baseline, benchmark.bar))]
    root = results.directory.parents[1]
    manifest = root / 'plots' / f'{benchmark.name}.json'
    page = root / f'{benchmark.name}.md'
    names = [page.name, *(f'plots/{benchmark.name}-{pair}.png' for pair in benchmark.pairs)]
    names += [*value_files(benchmark), *comparison_files(benchmark)]
    pictures: list[tuple[Table, Path, list[str]]] = []
    done = sum(results.path(run).is_file() for run in benchmark.runs)
    lines = [f'# {benchmark.title}', '']
    lines += [*benchmark.description.strip().splitlines(), ''] if benchmark.description else []
    tables = {pair: Table(results, pair) for pair in benchmark.pairs}
    scored = any(table.metrics('') for table in tables.values())
    text = f'{done} of {len(benchmark.runs)} runs are done.'
    lines += [f'{text} {SCORE_HELP}' if scored else text, '']
    lines += ['```bash', CODE.format(path=benchmark.path.as_posix()), '```', '']
    for pair, table in tables.items():
        if not table.found:
            continue
        lines += [f'## {benchmark.pairs[pair]}', '']
        if table.metrics(''):
            picture = Path('plots', f'{benchmark.name}-{pair}.png')
            lines += [*_main_table(results, table), '']
            known = (METRIC, SOURCE_METRIC)
            if drawn := [key for key in known if _has_curve(table, key)]:
                pictures.append((table, root / picture, drawn))
                lines += [f'![mIoU over training]({picture.as_posix()})', '', PLOT_HELP, '']
            lines += ['### Classes', '', *_class_table(results, table), '']
            if scores := _score_table(results, table):
                lines += ['### Scores without labels', '', *scores, '']
        lines += ['### Cost', '', *_cost_section(results, table), '']
    lines += ['## Origin', '', *_origin(results)]
    recorded = _recorded(manifest)
    if manifest.is_file() and not recorded:
        keep_other_file(manifest)
    clear_outputs(root, names, recorded)  # once all results could be read
    write_page(page, lines)
    for table, picture, drawn in pictures:
        draw_curves(table, benchmark.methods, picture, drawn, references)
    write_value(benchmark, tables, root)
    write_comparisons(benchmark, tables, root)
    written = {name: digest_path(root / name) for name in names if (root / name).is_file()}
    write_json(manifest, written)
    return page


def _recorded(manifest: Path) -> dict[str, str]:
    """Read the digests of pages and plots; none, so that all are moved aside, if that fails."""
    try:
        found = json.loads(manifest.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    is_ours = isinstance(found, dict) and all(
        re.fullmatch('[0-9a-f]{64}', str(each)) for each in found.values()
    )
    return found if is_ours else {}


def _has_curve(table: Table, metric: str) -> bool:
    """Tell whether a method has a value of a metric at two points of the training."""
    return any(len(table.curves(method, metric)) > 1 for method in table.found)


def _main_table(results: Results, table: Table) -> list[str]:
    benchmark = results.benchmark
    names = [benchmark.methods[name] for name in (benchmark.baseline, benchmark.bar)]
    header = ['method', 'seeds', 'mIoU', *(f'gain over {name}' for name in names), 'source mIoU']
    rows = []
    for method, seeds in table.found.items():
        values, source = (table.last(method, key) for key in (METRIC, SOURCE_METRIC))
        differences = [
            '' if method == other else format_difference(paired(values, table.last(other, METRIC)))
            for other in (benchmark.baseline, benchmark.bar)
        ]
        numbers = [format_spread(values), *differences, format_spread(source)]
        rows.append([benchmark.methods[method], ', '.join(map(str, sorted(seeds))), *numbers])
    return format_rows(header, rows)


def _class_table(results: Results, table: Table) -> list[str]:
    means = {
        method: {key: mean_of(table.last(method, key)) for key in table.metrics(CLASS_PREFIX)}
        for method in table.found
    }
    # A class that the pair lacks has no value, or 0 where it is predicted.
    shown = [
        key for key in table.metrics(CLASS_PREFIX) if any(each[key] > 0 for each in means.values())
    ]
    rows = (
        [results.benchmark.methods[method], *(format_number(each[key]) for key in shown)]
        for method, each in means.items()
    )
    return format_rows(['method', *(key.removeprefix(CLASS_PREFIX) for key in shown)], rows)


def _score_table(results: Results, table: Table) -> list[str]:
    keys = [key for key in table.metrics('') if key.rpartition('/')[2] in SCORES]
    if not keys:
        return []
    names = [key.rpartition('/')[2] for key in keys]
    header = [f'{name} {"↓" if SCORES[name].rule == "less" else "↑"}' for name in names]
    rows = (
        [
            results.benchmark.methods[method],
            *(format_spread(table.last(method, key), 3) for key in keys),
        ]
        for method in table.found
    )
    return format_rows(['method', *(each.replace('_', ' ') for each in header)], rows)


def _cost_section(results: Results, table: Table) -> list[str]:
    on_gpu = results.benchmark.device == 'cuda'
    header = [*COST_HEADER, 'waits' if on_gpu else 'training, h:m:s']
    rows = []
    for method, seeds in table.found.items():
        costs = [content['cost'] for content in seeds.values() if content['cost']]
        if not costs:
            continue
        if on_gpu:
            last = f'{summarize([cost["host_waits"] for cost in costs]).mean:g}'
        else:
            trainings = (content['seconds'].get(content['training']) for content in seeds.values())
            seconds = [each for each in trainings if each]  # 0 if another pipeline trained
            last = format_time(summarize(seconds).mean) if seconds else '-'
        rows.append([results.benchmark.methods[method], *format_cost(costs), last])
    text = f'{COST_HELP} {GPU_HELP if on_gpu else CPU_HELP}'
    return [text, '', *format_rows(['method', *header], rows)]


def _origin(results: Results) -> list[str]:
    """Versions of the code, machines and commands."""
    contents = [content for _, content in results]
    codes, machines = (
        '; '.join(dict.fromkeys(map(describe, contents))) or 'none'
        for describe in (describe_code, describe_machine)
    )
    lines = [
        f'Code: {codes}. Machine: {machines}. Every file in '
        f'[results/{results.benchmark.name}](results/{results.benchmark.name}) has its command:',
        '',
        '```bash',
    ]
    return [*lines, *dict.fromkeys(content['command'] for content in contents), '```']
