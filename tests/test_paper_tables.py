"""Every table and figure of the papers has a command in configs/README.md, which needs no hand."""

from __future__ import annotations

import copy
import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
import toys
from config_files import FOLDER, read
from mmengine.config import Config

from mmseg_uda.artifacts.digest import digest_config
from mmseg_uda.stages import base
from mmseg_uda.stages.image_labels import stage as image_labels

ITEMS = {  # the papers' tables, and their figures that show results
    'CDANet': {*(f'Table {n}' for n in range(1, 6)), 'Figure 5', 'Figure 6'},
    'SAM': {
        *(f'Table {n}' for n in (1, 2, 3, 4, 5, 'A.1', 'A.2', 'A.3', 'A.4', 'A.5')),
        *(f'Figure {n}' for n in (3, 4, 'D.1', 'E.1', 'E.2', 'E.3', 'E.4')),
    },
    'PIT': {*(f'Table {n}' for n in range(1, 6)), 'Figure 2', 'Figure 3'},
    'DAST': {*(f'Table {n}' for n in range(1, 5)), 'Figure 3', 'Figure 4'},
    'CAMix': {*(f'Table {n}' for n in range(1, 7)), 'Figure 3', 'Figure 4'},
}
# Directories and lists that the data of a benchmark consist of, below MMSEG_UDA_DATA.
DATA = {
    'gta': ('gta/images', 'gta/labels', 'gta/train.txt'),
    'synthia': ('synthia/RGB', 'synthia/GT/LABELS', 'synthia/train.txt'),
    'cityscapes': tuple(
        f'cityscapes/{kind}/{split}'
        for kind in ('leftImg8bit', 'gtFine')
        for split in ('train', 'val')
    ),
}
# Data that a command reads beside the images of the target and what it is tested on.
WEAK = 'cityscapes/gtFine/train'  # image-level labels that are given
SIMCLR = 'checkpoints/simclr_r101_1x_sk0.pth'


class Command(NamedTuple):
    """A line of the table in one cell."""

    paper: str
    items: frozenset[str]
    arguments: tuple[str, ...]

    @property
    def benchmark(self) -> str:
        return 'synthia' if 'synthia' in self.arguments[-1] else 'gta'

    @property
    def text(self) -> str:
        return ' '.join(self.arguments)


def items_of(text: str) -> frozenset[str]:
    """``Tables A.2, A.3`` as ``{'Table A.2', 'Table A.3'}``."""
    kind, numbers = re.match(r'(Table|Figure)s? (.*)', text).groups()
    return frozenset(f'{kind} {n}' for n in re.findall(r'(?:[A-E]\.)?\d', numbers))


def read_commands() -> Iterator[Command]:
    text = (FOLDER / 'README.md').read_text()
    lines = text.partition('## Every table and figure')[2].partition('\n## ')[0].splitlines()
    for line in lines:
        if not line.startswith('| ') or line.startswith('| paper'):
            continue
        paper, item, command, cells, _ = (part.strip() for part in line.strip('|').split(' | '))
        paper = paper.strip('| ')
        items = items_of(item) if paper in ITEMS else frozenset([item])
        for cell in cells.split():
            yield Command(paper, items, (*command.strip('`').split(), '--cell', cell.strip('`')))


COMMANDS = list(read_commands())
UNIQUE = {each.text: each for each in COMMANDS}  # some serve two tables
# Cheap ones of each paper; the others take the rest of a minute each on a busy machine.
FAST = {
    'cdanet/cdanet_pipeline.py --cell vgg16-gta',
    'pit/pit_pipeline.py --cell r101-gta-weak',
    'dast/ablations.py --row da --cell r101-gta',
    'camix/ablations.py --row source-only camix --cell r101-synthia',
}


@pytest.mark.parametrize('paper', ITEMS)
def test_every_table_and_figure_has_a_command(paper: str) -> None:
    assert {item for each in COMMANDS if each.paper == paper for item in each.items} == ITEMS[paper]


@pytest.fixture(scope='module')
def tool() -> Any:
    return toys.load_script('tools/run_pipeline.py')


@pytest.fixture
def _shared_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read and check each config once for all commands."""
    monkeypatch.setattr(Config, 'fromfile', lambda path: copy.deepcopy(read(Path(path).resolve())))
    monkeypatch.setattr(base, 'check_config', check_once)
    monkeypatch.setattr(image_labels, 'find_spec', lambda name: object())
    monkeypatch.setenv('LOCAL_RANK', '0')


CHECKED: dict[str, Any] = {}
check_config = base.check_config


def check_once(cfg: dict[str, Any], models: list[Any]) -> Any:
    key = digest_config(cfg)
    if key not in CHECKED:
        CHECKED[key] = list(check_config(cfg, models))
    return CHECKED[key]


@pytest.fixture(scope='module')
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One image in each directory of the benchmarks, in their layout."""
    root = tmp_path_factory.mktemp('tree')
    image = np.zeros((8, 16, 3), np.uint8)
    names = {
        'gta/images': '1.png',
        'gta/labels': '1_labelTrainIds.png',
        'synthia/RGB': '1.png',
        'synthia/GT/LABELS': '1_labelTrainIds.png',
    }
    for path in sum(DATA.values(), ()):
        (root / 'data' / path).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith('.txt'):
            (root / 'data' / path).write_text('1\n')
            continue
        suffix = 'leftImg8bit' if 'leftImg8bit' in path else 'gtFine_labelTrainIds'
        name = names.get(path, f'town/town_0_{suffix}.png')
        (root / 'data' / path / name).parent.mkdir(parents=True, exist_ok=True)
        content = image if 'RGB' in path or 'images' in path or 'left' in path else image[..., 0]
        assert cv2.imwrite(str(root / 'data' / path / name), content)
    (root / SIMCLR).parent.mkdir()
    (root / SIMCLR).touch()
    return root


def expected(command: Command) -> set[str]:
    """All data and weights that a command reads."""
    found = {*DATA[command.benchmark], *DATA['cityscapes']} - {WEAK}
    if command.paper == 'shared':
        found = {path for path in found if 'abels' not in path.lower() and not path.endswith('val')}
        found -= {'cityscapes/gtFine/val'}
    if 'weak' in command.text:
        found |= {WEAK}
    found = {f'data/{path}' for path in found}
    if command.arguments[0].startswith('proda'):
        found |= {SIMCLR}
    return found


@pytest.mark.usefixtures('_shared_reading')
@pytest.mark.parametrize(
    'text',
    [each if each in FAST else pytest.param(each, marks=pytest.mark.slow) for each in UNIQUE],
)
def test_dry_run(
    text: str,
    tool: Any,
    tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without data everything that is missing is named; with them nothing else is asked for."""
    command = UNIQUE[text]
    call = functools.partial(
        tool.main, [str(FOLDER / command.arguments[0]), *command.arguments[1:], '--dry-run']
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match='expected') as caught:
        call()
    missing = {re.search(r"but got '([^']*)'", line)[1] for line in str(caught.value).splitlines()}
    assert missing == expected(command)
    monkeypatch.chdir(tree)
    before = sorted(tree.rglob('*'))
    call()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith('[')]
    assert lines
    assert all(': run, ' in line for line in lines)
    assert sorted(tree.rglob('*')) == before
    if '--row' in command.arguments:
        rows = command.arguments[command.arguments.index('--row') + 1 : -2]
        tested = [line for line in lines if '_test (test)' in line]
        assert 1 <= len(tested) <= len(rows)
    assert os.getcwd() == str(tree)
