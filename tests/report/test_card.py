"""The report card of a benchmark, from made results."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import toys

from mmseg_uda.benchmark.results import Results
from mmseg_uda.benchmark.table import COST_HEADER
from mmseg_uda.report import format_report, read_source
from mmseg_uda.report.card import format_card

made = toys.load_script('tests/benchmark/made_results.py')
METHODS = dict(source_only='Source only', adabn='AdaBN', dacs='DACS')
SCORES = dict(source_only=(20, 22), adabn=(28, 30), dacs=(31, 36))


@pytest.fixture(scope='module')
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('card')
    found = Results(made.benchmark(root, METHODS, 2, ('day', 'dusk')), root / 'docs')
    for method, scores in SCORES.items():
        for seed, score in enumerate(scores):
            points = {
                step: {
                    'mIoU': score - 10 + step,
                    'IoU_road': 50.0 + score,
                    'IoU_car': 80.0 - score,
                    'IoU_train': 0.0,
                    'unlabelled/entropy': 0.5,
                }
                for step in (5, 10)
            }
            made.write(found, 'day', method, seed, points)
    return found.directory


def test_sections(results: Path) -> None:
    source = read_source(results)
    (card,) = format_card(source.runs)  # dusk has no run
    rows = re.findall('<tr>(.*?)</tr>', card)
    cells = [re.findall('<t[dh][^>]*>(.*?)</t[dh]>', row) for row in rows]
    assert cells == [
        ['rank', 'method', 'seeds', 'mIoU', 'gain over source_only'],
        ['1', 'dacs', '0, 1', '33.5', '+12.5 [-6.6, +31.6]'],
        ['2', 'adabn', '0, 1', '29.0', '+8.0 [+8.0, +8.0]'],
        ['3', 'source_only', '0, 1', '21.0', ''],
        ['method', *COST_HEADER],
        *([method, '0.500', '0.400', '1.25', '2 + 1', '100'] for method in sorted(METHODS)),
    ]
    assert re.findall('alt="(.*?)"', card) == [
        'mIoU of methods on day',
        'IoU of each class against source_only on day, in points',
        'mIoU over training on day',
        'gain over source_only by seconds per iteration on day',
        'gain over source_only by peak memory, MiB on day',
        'seconds per iteration on day',
        'peak memory, MiB on day',
    ]
    page = format_report([source], 'Card')
    assert page.count('<h2>Benchmark made: ') == 1
    assert 'Scores without labels' in page
    assert '<script' not in page


def test_benchmarks_are_not_pooled(results: Path, tmp_path: Path) -> None:
    """The same pair, method and seed in another benchmark is another run."""
    copy = tmp_path / 'other'
    shutil.copytree(results, copy)
    for path in copy.rglob('*.json'):
        path.write_text(path.read_text().replace('"benchmark": "made"', '"benchmark": "other"'))
    sources = [read_source(path) for path in (results, copy)]
    page = format_report(sources, 'Two')
    for name in ('made', 'other'):
        assert page.count(f'<h2>Benchmark {name}: day</h2>') == 1
        assert f'<td>{name}/day/dacs</td><td class=n>0, 1</td>' in page


def test_without_classes_cost_and_baseline(results: Path) -> None:
    runs = [run for run in read_source(results).runs if run.method != 'source_only']
    for run in runs:
        run.cost = {}
        run.values = {'mIoU': run.values['mIoU']}
    (card,) = format_card(runs)
    assert 'gain over adabn' in card  # the least one
    assert len(re.findall('<img', card)) == 2
    assert format_card([]) == []


def test_many_methods(tmp_path: Path) -> None:
    """Points of many methods have numbers instead of names, and few lines share a chart."""
    methods = {name: name for name in ('source_only', *map('method_{}'.format, range(13)))}
    found = Results(made.benchmark(tmp_path, methods, 1, ('day',)), tmp_path / 'docs')
    for place, method in enumerate(methods):
        made.write(found, 'day', method, 0, {5: {'mIoU': 20.0 + place}})
    runs = read_source(found.directory).runs
    for number, numbered, parts in ((12, False, 2), (13, True, 2), (14, True, 3)):
        (card,) = format_card(runs[:number])
        assert ('are ranks in the table' in card) == numbered
        assert f'mIoU over training on day, {parts} of {parts}' in card
