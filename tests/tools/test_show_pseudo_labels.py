"""Pseudo labels over rounds."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from toys import NUM_CLASSES, SIZE, load_script, method_cfg, runner_cfg

from mmseg_uda.artifacts.pseudo_labels import Manifest, write_label
from mmseg_uda.utils.palettes import legend_of

HEIGHT, WIDTH = SIZE
PIXELS = 7 * HEIGHT * WIDTH
PALETTE = [[200, 0, 0], [0, 200, 0], [0, 0, 200], [90, 90, 0]]


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return load_script('tools/analysis_tools/show_pseudo_labels.py')


def write_round(folder: Path, labelled_rows: int, complete: bool = True) -> str:
    """Labels of class 0 above and class 2 below, the first rows of each image only.

    The network predicted classes 0, 1, and 2 in equal parts, and class 3 nowhere.
    """
    names = [f'{index}.png' for index in range(7)]
    folder.mkdir()
    for index, name in enumerate(names):
        label = np.full(SIZE, 255, np.uint8)
        label[:labelled_rows] = 2
        label[:index] = 0
        write_label(str(folder / name), label, [0] * NUM_CLASSES)
    zeros = sum(min(index, HEIGHT) * WIDTH for index in range(7))
    Manifest(
        rule=dict(type='bdl'),
        num_classes=NUM_CLASSES,
        config_sha256='',
        checkpoint_sha256='',
        files=names,
        predicted_pixels=[PIXELS // 2, PIXELS // 4, PIXELS // 4, 0],
        kept_pixels=[zeros, 0, 7 * labelled_rows * WIDTH - zeros, 0],
        complete=complete,
    ).write(str(folder))
    return str(folder)


@pytest.fixture
def rounds(tmp_path: Path) -> list[str]:
    cfg = runner_cfg(tmp_path / 'data', tmp_path / 'work', method_cfg('source_only'))
    cfg.train_dataloader.target.dataset.metainfo.palette = PALETTE
    cfg.train_dataloader.target.dataset.pipeline.insert(
        1, dict(type='LoadPseudoLabels', pseudo_dir='not/there', num_classes=NUM_CLASSES)
    )
    cfg.dump(tmp_path / 'config.py')
    return [write_round(tmp_path / f'round{rows}', rows) for rows in (8, 16)]


def run(tool: ModuleType, tmp_path: Path, *words: str) -> None:
    tool.main(
        [
            '--out',
            str(tmp_path / 'out'),
            *words,
            '--config',
            str(tmp_path / 'config.py'),
            '--cell-width',
            str(WIDTH),
        ]
    )


def test_pictures_table_and_plot(
    tool: ModuleType,
    tmp_path: Path,
    rounds: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figures = []
    monkeypatch.setattr(tool.plt, 'close', figures.append)
    run(tool, tmp_path, *rounds, '--images', '2')
    sheet = cv2.imread(str(tmp_path / 'out/labels.png'))[..., ::-1]
    width = 6 + 3 * (WIDTH + 6)
    legend = legend_of([0, 2, 255], 'abcd', PALETTE, width)  # those that were kept
    assert sheet.shape == (6 + 2 * (22 + HEIGHT + 6) + len(legend), width, 3)
    np.testing.assert_array_equal(sheet[-len(legend) :], legend)
    for row, index in enumerate((0, 3)):  # spread over the seven images
        top = 28 + row * (HEIGHT + 28)
        cells = [
            sheet[top : top + HEIGHT, left : left + WIDTH]
            for left in range(6, 3 * (WIDTH + 6), WIDTH + 6)
        ]
        image = cv2.imread(str(tmp_path / f'data/target/images/{index}.png'))[..., ::-1]
        np.testing.assert_array_equal(cells[0], image)
        for cell, rows in zip(cells[1:], (8, 16)):
            expected = np.zeros((*SIZE, 3), np.uint8)
            expected[:rows] = PALETTE[2]
            expected[:index] = PALETTE[0]
            np.testing.assert_array_equal(cell, expected)

    share = 100 * 21 * WIDTH / (PIXELS // 2)
    second = [100 * (7 * rows - 21) * WIDTH / (PIXELS // 4) for rows in (8, 16)]
    lines = (tmp_path / 'out/coverage.md').read_text().splitlines()
    assert lines == [
        '| class | round 1 | round 2 |',
        '|---|---|---|',
        f'| a | {share:.1f} | {share:.1f} |',
        '| b | 0.0 | 0.0 |',
        f'| c | {second[0]:.1f} | {second[1]:.1f} |',
        '| d | – | – |',
        '| **all** | 25.0 | 50.0 |',
    ]
    assert '| **all** | 25.0 | 50.0 |' in capsys.readouterr().out
    curves = {line.get_label(): line for line in figures[0].axes[0].lines}
    assert list(curves) == ['a', 'b', 'c', 'd', 'all']
    np.testing.assert_allclose(curves['c'].get_ydata(), second)
    np.testing.assert_allclose(curves['all'].get_ydata(), [25, 50])
    assert np.isnan(curves['d'].get_ydata()).all()
    assert curves['c'].get_color() == [0, 0, 200 / 255]
    assert cv2.imread(str(tmp_path / 'out/coverage.png')) is not None


def test_true_labels_judge(
    tool: ModuleType, tmp_path: Path, rounds: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """All of class 2, but for a column that has no label and one of class 0."""
    truth = tmp_path / 'data/target/truth'
    truth.mkdir()
    for index in range(7):
        label = np.full(SIZE, 2, np.uint8)
        label[:, 0], label[:, 1] = 255, 0
        cv2.imwrite(str(truth / f'{index}.png'), label)
    run(tool, tmp_path, *rounds, '--labels', 'truth')
    text = (tmp_path / 'out/coverage.md').read_text()
    assert text.strip() in capsys.readouterr().out
    kept, right, iou = (part.splitlines()[2:] for part in text.split(', %\n\n')[1:])
    assert '| **all** | 25.0 | 50.0 |' in kept
    width = WIDTH - 1  # of the pixels whose truth is known
    expected: dict[str, list[list[float]]] = {'right': [], 'iou': []}
    for rows in (8, 16):
        zeros, twos = 21, 7 * rows - 21  # rows of labels of class 0 and 2
        right_zeros, right_twos = zeros, twos * (width - 1)
        expected['right'].append(
            [1 / width, (width - 1) / width, (zeros + right_twos) / (7 * rows * width)]
        )
        union_zeros = zeros * width + 7 * HEIGHT - right_zeros
        union_twos = twos * width + 7 * HEIGHT * (width - 1) - right_twos
        shares = [right_zeros / union_zeros, right_twos / union_twos]
        expected['iou'].append([*shares, sum(shares) / 2])
    for lines, columns in zip((right, iou), expected.values()):
        values = 100 * np.array(columns).T
        a, b, c, d, mean = lines[:5]
        assert b == '| b | – | – |'
        assert d == '| d | – | – |'
        for line, name, row in zip((a, c, mean), ('a', 'c', '**all**'), values):
            assert line == f'| {name} | {row[0]:.1f} | {row[1]:.1f} |'


def test_true_labels_that_are_missing(tool: ModuleType, tmp_path: Path, rounds: list[str]) -> None:
    with pytest.raises(ValueError, match='truth'):
        run(tool, tmp_path, *rounds, '--labels', 'truth')
    nothing = ['val_dataloader=None', 'val_cfg=None', 'val_evaluator=None']
    with pytest.raises(ValueError, match='expected val_dataloader in the config'):
        run(tool, tmp_path, *rounds, '--labels', 'truth', '--cfg-options', *nothing)
    assert not (tmp_path / 'out').exists()


def test_captions_and_spread(tool: ModuleType, tmp_path: Path, rounds: list[str]) -> None:
    cfg = tool.Config.fromfile(tmp_path / 'config.py')
    dataset = tool.target_dataset(cfg)
    rows, _ = tool.image_rows(dataset, rounds, tool.read_manifests(rounds, NUM_CLASSES), 1)
    assert [[tile.caption for tile in row] for row in rows] == [
        ['0.png', 'round 1: 25.0 % kept', 'round 2: 50.0 % kept']
    ]
    assert tool.spread(2, 7) == [0, 3]
    assert tool.spread(3, 9) == [0, 3, 6]
    assert tool.spread(9, 3) == [0, 1, 2]


def test_errors(tool: ModuleType, tmp_path: Path, rounds: list[str]) -> None:
    with pytest.raises(SystemExit):
        run(tool, tmp_path, *rounds, '--images', '0')
    with pytest.raises(FileNotFoundError, match=r'no file .*manifest.json'):
        run(tool, tmp_path, str(tmp_path))
    unfinished = write_round(tmp_path / 'half', 4, complete=False)
    with pytest.raises(ValueError, match='not complete'):
        run(tool, tmp_path, rounds[0], unfinished)
    Path(rounds[1], '0.png').unlink()
    with pytest.raises(
        FileNotFoundError, match=r'0.png, but got no such file; run .* again to write it'
    ):
        run(tool, tmp_path, *rounds)
    source = f'train_dataloader.target.dataset.data_root={tmp_path / "elsewhere"}'
    (tmp_path / 'data/target').rename(tmp_path / 'elsewhere')
    for file in (tmp_path / 'elsewhere/images').iterdir():
        file.rename(file.with_stem(f'other_{file.stem}'))
    with pytest.raises(ValueError, match='but got none in every round for any of the 7; write'):
        run(tool, tmp_path, *rounds, '--cfg-options', source)
    with pytest.raises(ValueError, match='expected train_dataloader.target .* got none; write'):
        tool.target_dataset(tool.Config(dict(train_dataloader=None)))
    assert not (tmp_path / 'out').exists()


def test_out_is_a_directory_apart_from_the_rounds(
    tool: ModuleType, tmp_path: Path, rounds: list[str]
) -> None:
    for out in (rounds[1], str(Path(rounds[1], 'below'))):
        before = sorted(Path(rounds[1]).rglob('*'))
        with pytest.raises(ValueError, match='--out: expected a place apart from ROUND_DIR='):
            run(tool, tmp_path, *rounds, '--out', out)
        assert sorted(Path(rounds[1]).rglob('*')) == before
    (tmp_path / 'out').touch()
    with pytest.raises(ValueError, match='--out: expected a directory, but got the file .*out'):
        run(tool, tmp_path, *rounds)
