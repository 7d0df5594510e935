"""Curves over training."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from toys import load_script, method_cfg, runner_cfg, train

from mmseg_uda.artifacts.run_logs import RunLog
from mmseg_uda.utils.curves import draw_panel


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return load_script('tools/analysis_tools/plot_curves.py')


@pytest.fixture
def figures(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that the tool draws."""
    drawn: list[Figure] = []
    draw = tool.draw_panels

    def record(*args: Any) -> Figure:
        drawn.append(draw(*args))
        return drawn[-1]

    monkeypatch.setattr(tool, 'draw_panels', record)
    return drawn


def write_log(path: Path, records: list[dict[str, Any]]) -> str:
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(record) + '\n' for record in records))
    return str(path)


def entropies(*steps: int, scale: float = 1.0) -> list[dict[str, Any]]:
    return [
        {'entropy/right': scale * step, 'entropy/wrong': 2 * scale * step, 'step': step}
        for step in steps
    ]


def lines(axes: Any) -> list[tuple[Any, ...]]:
    return [
        (each.get_label(), each.get_color(), each.get_linestyle(), [*each.get_ydata()])
        for each in axes.lines
    ]


def test_plots_several_runs(
    tool: ModuleType, tmp_path: Path, figures: list[Figure], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [
        write_log(tmp_path / name, entropies(1, 2, scale=scale))
        for name, scale in (('a/x.json', 1.0), ('b/x.json', 5.0))
    ]
    tool.main([*paths, '--labels', 'ours', 'theirs', '--out', str(tmp_path / 'out/x.png')])
    (axes,) = figures[0].axes
    assert lines(axes) == [
        ('ours: entropy/right', 'C0', '-', [1, 2]),
        ('ours: entropy/wrong', 'C0', '--', [2, 4]),
        ('theirs: entropy/right', 'C1', '-', [5, 10]),
        ('theirs: entropy/wrong', 'C1', '--', [10, 20]),
    ]
    assert cv2.imread(str(tmp_path / 'out/x.png')).shape == (675, 1050, 3)
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['x.png']
    assert 'theirs: entropy/wrong 20 at 2 (2 points)' in capsys.readouterr().out
    legend = axes.get_legend()
    assert [(text.get_text()) for text in legend.get_texts()] == [
        'ours',
        'theirs',
        'entropy/right',
        'entropy/wrong',
    ]
    out = tmp_path / 'x.pdf'
    tool.main([paths[0], '--keys', 'entropy/wrong', '--title', 'over time', '--out', str(out)])
    (axes,) = figures[1].axes
    assert lines(axes) == [(paths[0], 'C0', '-', [2, 4])]
    assert axes.get_title() == 'entropy: entropy/wrong'
    assert figures[1].get_suptitle() == 'over time'
    assert out.read_bytes().startswith(b'%PDF')


def test_a_panel_per_kind(tool: ModuleType, tmp_path: Path, figures: list[Figure]) -> None:
    """Keys of one scale share a panel; times and rates are drawn on demand."""
    log = write_log(
        tmp_path / 'a/x.json',
        [
            {'loss': 3.0, 'source.decode.loss_ce': 2.0, 'time': 0.1, 'student.lr': 0.1, 'step': 1},
            {'pseudo.confident_ratio': 0.5, 'loss': 2.0, 'step': 2},
            {'mIoU': 16.0, 'IoU_car': 20.0, 'unlabelled/mutual_information': 1.5, 'step': 2},
        ],
    )
    tool.main([log, '--out', str(tmp_path / 'x.png')])
    shown = {axes.get_title(): [line[0] for line in lines(axes)] for axes in figures[0].axes}
    assert shown == {
        'mIoU, %': [log],
        'loss': ['loss', 'source.decode.loss_ce'],
        'ratio: pseudo.confident_ratio': [log],
        'unlabelled/mutual_information': [log],
    }
    tool.main([log, '--keys', 'time', 'IoU_car', '--out', str(tmp_path / 'y.png')])
    assert [axes.get_title() for axes in figures[1].axes] == [
        'IoU of classes, %: IoU_car',
        'time, s',
    ]


def test_panels_can_be_read(tool: ModuleType, tmp_path: Path, figures: list[Figure]) -> None:
    """No empty axes, small losses beside large ones, legends that hide no line."""
    losses = {f'adv.loss_{name}': 0.001 for name in 'abcd'}
    accuracy = {f'disc.acc_source_{name}': 0.5 for name in 'abcd'}
    records = [{'step': step, 'mIoU': 1.0, 'loss': 2.0, **losses, **accuracy} for step in (1, 2)]
    log = write_log(tmp_path / 'a/x.json', records)
    tool.main([log, '--out', str(tmp_path / 'x.png')])
    names = ['mIoU, %', 'loss', 'accuracy of discriminators']
    assert [axes.get_title() for axes in figures[0].axes] == names
    assert [axes.get_yscale() for axes in figures[0].axes] == ['linear', 'log', 'linear']
    figures[0].canvas.draw()
    below = [
        axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0
        for axes in figures[0].axes
    ]
    assert below == [False, True, False]  # of one, five and four lines
    one = write_log(tmp_path / 'c/x.json', records[:1])
    name = 'a_directory/with_a_long_name/of_a_run_on_some_pair'
    for runs, labels in (([one], [name]), ([log, one], ['a', name])):
        groups = dict(zip(labels, ([RunLog('', Path(run)).curves] for run in runs)))
        figure = Figure(figsize=(5.2, 3.6), layout='constrained')
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        draw_panel(axes, groups, ['loss', *losses], 'loss')
        figure.canvas.draw()
        assert axes.get_position().width > 0.6  # a wide legend leaves the panel its room
        assert all(tick == int(tick) for tick in axes.get_xticks())
    zero = write_log(tmp_path / 'b/x.json', [{'step': 1, 'loss': 2.0, 'adv.loss_a': 0.0}])
    tool.main([zero, '--out', str(tmp_path / 'y.png')])
    assert figures[1].axes[0].get_yscale() == 'linear'  # a logarithm would hide the zero


def test_seeds_become_a_band(
    tool: ModuleType, tmp_path: Path, figures: list[Figure], capsys: pytest.CaptureFixture[str]
) -> None:
    """Configs that differ in the seed and the place only make one line; another config does not."""
    dirs = []
    for name, seed, lr, value in (('a', 0, 1, 10.0), ('a', 1, 1, 14.0), ('b', 0, 2, 40.0)):
        work_dir = tmp_path / f'{name}-seed{seed}'
        log = Path(write_log(work_dir / '1/vis_data/scalars.json', [{'mIoU': value, 'step': 5}]))
        log.with_name('config.py').write_text(
            f'lr = {lr}\nrandomness = dict(seed={seed})\nwork_dir = {str(work_dir)!r}\n'
        )
        dirs.append(str(work_dir))
    tool.main([*dirs, '--out', str(tmp_path / 'x.png')])
    (axes,) = figures[0].axes
    assert lines(axes) == [
        (f'{tmp_path}/a (2 seeds)', 'C0', '-', [12]),
        (dirs[2], 'C1', '-', [40]),
    ]
    (band,) = axes.collections
    assert {y for _, y in band.get_paths()[0].vertices} == {10, 14}
    out = ['--out', str(tmp_path / 'y.png')]
    tool.main([*dirs, '--labels', 'a', 'b', 'b', '--seeds', *out])
    assert [line[3] for line in lines(figures[1].axes[0])] == [[10], [27]]
    tool.main([*dirs, '--seeds', *out])
    assert lines(figures[2].axes[0])[0][0] == f'{tmp_path} (3 seeds)'
    with pytest.raises(ValueError, match="got 'b' twice; write different names, or --seeds"):
        tool.main([*dirs, '--labels', 'a', 'b', 'b', *out])


def test_a_real_run(tool: ModuleType, tmp_path: Path, figures: list[Figure]) -> None:
    cfg = runner_cfg(tmp_path, tmp_path / 'work', method_cfg('source_only'), max_iters=2)
    cfg.train_cfg.update(val_interval=2, val_begin=1)
    train(cfg)
    tool.main([str(tmp_path / 'work'), '--out', str(tmp_path / 'x.png')])
    miou, loss = figures[0].axes
    assert [line[0] for line in lines(miou)] == [str(tmp_path / 'work')]
    assert len(lines(loss)[0][3]) == 2
    assert cv2.imread(str(tmp_path / 'x.png')) is not None


def test_errors(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_log(tmp_path / 'a/x.json', entropies(1))
    with pytest.raises(ValueError, match=r"'mIoU' in .*x.json, but got none; write one of entropy"):
        tool.main([path, '--keys', 'mIoU'])
    with pytest.raises(
        FileNotFoundError, match='expected a log or .*, but got .*a; write the work_dir'
    ):
        tool.main([str(tmp_path / 'a')])
    with pytest.raises(SystemExit):
        tool.main([path, '--labels', 'a', 'b'])
    assert '--labels got 2 names for 1 runs' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tool.main([path, path, '--keys', *(f'loss_{name}' for name in 'abcde')])
    assert "at most 4 keys in one panel of several runs, but got 5 for 'loss'" in (
        capsys.readouterr().err
    )
