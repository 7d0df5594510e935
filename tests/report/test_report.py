"""The page about runs: its numbers, its texts as data, its look in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from toys import load_script

EVIL = '<script>document.title="taken"</script>&"\''


class Page(HTMLParser):
    """Reads the rows of all tables, and checks that every tag is closed."""

    VOID = ('meta', 'link', 'img')

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.sources: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [str(value) for key, value in attrs if key in ('src', 'href')]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == 'tr':
            self.rows.append([])
        if tag in ('td', 'th'):
            self.rows[-1].append('')

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ('td', 'th'):
            self.rows[-1][-1] += data


def write_training(work_dir: Path, seed: int, rate: float, miou: float, car: float) -> Path:
    log = work_dir / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    records = [
        {'loss': 3.0, 'pseudo.confident_ratio': 0.25, 'step': 1},
        {'loss': 2.0, 'pseudo.confident_ratio': 0.75, 'step': 2},
        {'mIoU': miou, 'IoU_car': car, 'unlabelled/entropy': 0.125, 'step': 2},
    ]
    log.write_text(''.join(json.dumps(record) + '\n' for record in records))
    log.with_name('config.py').write_text(
        f'model = dict(note={EVIL!r}, rate={rate})\n'
        f'randomness = dict(seed={seed})\nwork_dir = {str(work_dir)!r}\n'
    )
    (work_dir / 'toy.py').write_text('')
    (work_dir / '20260101_000000/20260101_000000.log').write_text(
        f'----\nSystem environment:\n    GPU 0: {EVIL}\n    PyTorch: 2.4.0\n'
        f'    numpy_random_seed: {seed}\n\n----\n'
    )
    return work_dir


def write_result(root: Path, method: str, seed: int, **content: Any) -> None:
    """Write a result of a benchmark."""
    result = dict(
        format_version=1,
        benchmark='small',
        pair='day',
        method=method,
        seed=seed,
        points={},
        code=dict(version='1.0', commit='abc'),
        machine='Toy CPU',
        command=f'python benchmark.py --only {seed}',
        digest='0' * 64,
        cost={},
        seconds={},
        training=None,
        finished='2026-01-01',
    )
    root.mkdir(exist_ok=True)
    (root / f'{method}-seed{seed}.json').write_text(json.dumps({**result, **content}))


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return load_script('tools/analysis_tools/report.py')


@pytest.fixture(scope='module')
def html(tool: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page about three trainings, a pipeline and two results of a benchmark."""
    root = tmp_path_factory.mktemp('runs')
    runs = [
        write_training(root / 'dacs-seed0', 0, 0.5, 40.0, 70.0),
        write_training(root / 'dacs-seed1', 1, 0.5, 44.0, 80.0),
        write_training(root / 'mic', 0, 0.25, 50.0, 90.0),
    ]
    with (runs[2] / '20260101_000000/vis_data/config.py').open('a') as file:
        file.write("resume = True\nload_from = 'iter_1.pth'\n")
    cv2.imwrite(str(runs[0] / 'contact_sheet.png'), np.full((40, 2000, 3), 90, np.uint8))
    (runs[1] / 'contact_sheet.png').write_text('no picture')
    pipeline = root / 'pipeline-seed4'
    labels = pipeline / 'labels'
    labels.mkdir(parents=True)
    manifest = dict(
        format_version=1,
        complete=True,
        rule={'type': 'bdl'},
        num_classes=2,
        config_sha256='',
        checkpoint_sha256='',
        files=['a.png'],
        predicted_pixels=[200, 0],
        kept_pixels=[50, 0],
    )
    (labels / 'manifest.json').write_text(json.dumps(manifest))
    stages = dict(
        labels=dict(type='pseudo_label', status='done', coverage={EVIL: [200, 50], 'bus': [0, 0]}),
        second=dict(type='train', status='failed', seconds=61.0, attempts=2, error=EVIL),
        test=dict(type='test', status='done', metrics={'mIoU': 61.5}),
    )
    content = dict(format_version=1, stages=stages)
    (pipeline / 'pipeline.json').write_text(json.dumps(content))
    results = root / 'results'
    for seed, value in ((0, 10.0), (1, 13.0)):
        write_result(results, 'pit', seed, points={'5': {'mIoU': 1.0}, '10': {'mIoU': value}})
    out = root / 'report.html'
    tool.main([*map(str, [*runs, pipeline, results]), '--title', EVIL, '--out', str(out)])
    return out


def test_numbers(html: Path) -> None:
    root = html.parent
    rows = Page(html.read_text('utf-8')).rows
    dacs, mic = f'{root}/dacs', f'{root}/mic'
    assert rows[rows.index(['run', 'seeds', 'iteration', 'mIoU']) + 1 :][:4] == [
        [dacs, '0, 1', '2', '42.00 ± 2.83 [40.00, 44.00]'],
        [mic, '0', '2', '50.00'],
        ['small/day/pit', '0, 1', '10', '11.50 ± 2.12 [10.00, 13.00]'],
        [f'{root}/pipeline/test', '4', '', '61.50'],
    ]
    for row in (
        [mic, 'training', '1', '2'],
        [f'{root}/results', 'benchmark', '2', '10'],
        [f'{root}/pipeline-seed4', 'pipeline', '0', '–'],
        ['class', dacs, mic],
        ['car', '75.0 ± 7.1 [70.0, 80.0]', '90.0'],
        [dacs, '0.125 ± 0.000 [0.125, 0.125]'],
        [mic, 'pseudo.confident_ratio', '0.250', '0.750'],
        [f'{root}/pipeline-seed4/labels', '1', '', '25.0', '25.0 –'],
        ['second', 'train', 'failed', '0:01:01', '2', '', EVIL],
        [EVIL, '25.0'],
        ['bus', '–'],
        [mic, 'model.rate', '0.5 → 0.25'],
        ['small/day/pit-seed1', '2026-01-01', '1.0 at abc', 'Toy CPU'],
    ):
        assert row in rows
    assert not any('load_from' in cell for row in rows for cell in row)  # of a resumed run


def test_texts_are_data(html: Path) -> None:
    """Nothing is loaded from elsewhere, and no text of an input becomes a part of the page."""
    text = html.read_text('utf-8')
    page = Page(text)
    assert EVIL not in text
    assert 'script' not in page.tags
    assert all(source.startswith('data:') for source in page.sources)
    assert len(page.sources) == 8  # the icon, four charts of logs and two of results, a picture
    assert 'contact_sheet.png: no picture that can be read' in text
    assert 'python tools/train.py' in text
    assert '/dacs-seed0; ' in text  # one table of their machine
    assert 'python benchmark.py --only 1' in text
    assert [path.name for path in html.parent.glob('report*')] == ['report.html']


def test_costs(tool: ModuleType, tmp_path: Path) -> None:
    """A benchmark of costs alone has no scores, but time and memory, in the mean over seeds."""
    cost = dict(iteration_s=0.25, passes_s=0.125, ratio=2.0, learning_passes=2.0)
    cost.update(labelling_passes=1.0, peak_memory_mib=400.0)
    results = tmp_path / 'results'
    write_result(results, 'pit', 0, cost=dict(cost, machine='torch 2, Toy GPU'))
    write_result(results, 'pit', 1, cost=dict(cost, iteration_s=0.75, peak_memory_mib=200.0))
    write_result(results, 'dacs', 0)
    out = tmp_path / 'report.html'
    tool.main([str(results), '--out', str(out)])
    text = out.read_text('utf-8')
    rows = Page(text).rows
    header = ['method', 'iteration, s', 'bare passes, s', 'ratio', 'passes: learning + labelling']
    place = rows.index([*header, 'peak memory, MiB'])
    assert rows[place + 1] == ['pit', '0.500', '0.125', '2.00', '2 + 1', '300']
    assert rows[place + 2][0] == 'run'  # dacs was not measured
    origin = ['small/day/pit-seed0', '2026-01-01', '1.0 at abc', 'Toy CPU, torch 2, Toy GPU']
    assert origin in rows
    assert text.count('<figure>') == 2
    assert '<h2>Scores' not in text
    del cost['ratio']
    write_result(results, 'pit', 2, cost=cost)
    with pytest.raises(ValueError, match="pit-seed2.json .*expected the key 'ratio'"):
        tool.main([str(results), '--out', str(tmp_path / 'x.html')])


@pytest.mark.parametrize(
    ('name', 'content', 'line'),
    [
        ('none', None, 'expected the work_dir of a training'),
        ('a.json', '{"points": {}}', "cannot read .*a.json .*expected the key 'benchmark'"),
        ('b.json', '[', 'cannot read .*b.json .JSONDecodeError'),
    ],
)
def test_errors(
    tool: ModuleType, tmp_path: Path, name: str, content: str | None, line: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=line):
        tool.main([str(tmp_path / name), '--out', str(tmp_path / 'x.html')])
    assert not (tmp_path / 'x.html').exists()


@pytest.mark.slow
@pytest.mark.parametrize('width', [1280, 390])
@pytest.mark.skipif(shutil.which('chromium') is None, reason='there is no chromium')
def test_screenshot(html: Path, tmp_path: Path, width: int) -> None:
    """A browser shows the page at the widths of a desktop and a phone, without errors."""
    # In a frame, as windows of Chromium are at least 500 pixels wide.
    style = f'width: {width}px; height: 900px; border: 0'
    frame = tmp_path / 'frame.html'
    frame.write_text(f'<body style="margin: 0"><iframe src="{html.as_uri()}" style="{style}">')
    errors, _ = shoot(frame, tmp_path)
    assert errors == []
    frame.write_text(frame.read_text() + '</iframe><script>console.error("seen")</script>')
    errors, image = shoot(frame, tmp_path)
    assert len(errors) == 1  # so errors are seen
    assert image[:, :width].std() > 10  # something is drawn


def shoot(path: Path, directory: Path) -> tuple[list[str], np.ndarray]:
    """Open a page, and return the lines of the browser's console and a picture of 1280 x 900."""
    shot = directory / 'shot.png'
    command = [
        'chromium',
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--hide-scrollbars',
        '--enable-logging=stderr',
        f'--user-data-dir={directory / "profile"}',
        '--window-size=1280,900',
        f'--screenshot={shot}',
        path.as_uri(),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    image = cv2.imread(str(shot))
    assert image.shape == (900, 1280, 3)
    return re.findall('.*CONSOLE.*', ended.stderr), image
