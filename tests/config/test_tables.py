"""Tables of ablations: rows become configs, and mistakes one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mmseg_uda.benchmark.config import read_benchmark
from mmseg_uda.config.tables import Table, read_config

CELLS = {'big': 'net_big.py', 'small': 'net_small.py'}
ROWS: dict[str, Any] = {
    'all': dict(paper=(50.0, 40.0)),
    'no-loss': dict(options={'model.loss.weight': 0.0}, paper=(45.0,)),
    'width': dict(
        options={'model.loss': dict(_delete_=True, type='L')},
        cell_options={'small': {'model.width': 8}},
        paper=(None, 39.0),
    ),
    'other': dict(config='{cell}_other.py', cells=['big']),
    'other-wide': dict(config='{cell}_other.py', options={'model.width': 2}, cells=['big']),
}


def write(folder: Path, rows: dict[str, Any] = ROWS, **more: Any) -> Path:
    for name, width in (('net_big', 64), ('net_small', 4), ('net_big_other', 1)):
        (folder / f'{name}.py').write_text(
            f'model = dict(width={width}, loss=dict(type="L", weight=1.0))'
        )
    path = folder / 'ablations.py'
    values = {'cells': CELLS, 'rows': rows, **more}
    path.write_text('\n'.join(f'{key} = {value!r}' for key, value in values.items()))
    return path


@pytest.mark.parametrize(
    ('row', 'cell', 'name', 'width', 'loss'),
    [
        ('all', 'big', 'net_big', 64, dict(type='L', weight=1.0)),
        ('no-loss', 'big', 'net_big_no-loss', 64, dict(type='L', weight=0.0)),
        ('no-loss', None, 'net_big_no-loss', 64, dict(type='L', weight=0.0)),
        ('width', 'small', 'net_small_width', 8, dict(type='L')),
        ('other', None, 'net_big_other', 1, dict(type='L', weight=1.0)),
        ('other-wide', None, 'net_big_other-wide', 2, dict(type='L', weight=1.0)),
    ],
)
def test_row(
    tmp_path: Path, row: str, cell: str | None, name: str, width: int, loss: dict[str, Any]
) -> None:
    path = write(tmp_path)
    table = Table(path)
    for cfg in (
        read_config(path, row, cell),
        read_config(f'{path}:{row}:{cell}' if cell else f'{path}:{row}'),
        table.load(*table.find(row, cell)),
        table.load(*table.find(row, cell)),  # a second time, the same
    ):
        assert (cfg.model.width, cfg.model.loss) == (width, loss)
        assert Path(cfg.filename) == tmp_path / f'{name}.py'


def test_rows_are_in_the_cells_that_have_a_number(tmp_path: Path) -> None:
    table = Table(write(tmp_path))
    assert table.pairs() == [
        ('all', 'big'),
        ('no-loss', 'big'),
        ('other', 'big'),
        ('other-wide', 'big'),
        ('all', 'small'),
        ('width', 'small'),
    ]
    assert table.paper('all') == {'big': 50.0, 'small': 40.0}
    assert table.paper('width') == {'small': 39.0}


@pytest.mark.parametrize(
    ('row', 'cell', 'message'),
    [
        ('no-los', 'big', 'expected a row, but got no-los; write no-loss'),
        (None, 'big', 'expected a row, but got none; write one of all, no-loss, width, other, '),
        ('xyz', None, 'expected a row, but got xyz; write one of all, no-loss'),
        ('all', None, "row 'all': expected a cell, but got none; write one of big, small"),
        ('all', 'bigg', "row 'all': expected a cell, but got bigg; write big"),
        ('no-loss', 'small', "row 'no-loss': expected a cell, but got small; write one of big"),
    ],
)
def test_wrong_names(tmp_path: Path, row: str | None, cell: str | None, message: str) -> None:
    path = write(tmp_path)
    with pytest.raises(ValueError, match=f'^{re.escape(str(path))}: {message}'):
        read_config(path, row, cell)


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        (dict(option={}), 'expected a key, but got option; write options'),
        (
            dict(paper=(1.0, 2.0, 3.0)),
            r'expected at most 2 numbers, .* got paper=\(1.0, 2.0, 3.0\)',
        ),
        (dict(cells=['bg']), 'expected a cell, but got bg; write big'),
        (dict(cells=['big'], cell_options={'smal': {}}), 'a cell, but got smal; write small'),
        (dict(options={}), 'expected a cell, but got none; write cells or paper'),
        (
            dict(config='{cell}_no.py', paper=(1.0,)),
            "cell 'big' is .*net_big_no.py, which does not exist; correct the path",
        ),
    ],
)
def test_wrong_table(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    path = write(tmp_path, {'row': changed})
    with pytest.raises(ValueError, match=f"ablations.py: row 'row': .*{message}"):
        read_config(path, 'row', 'big')


def test_file_that_became_a_row_names_it(tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        read_config(tmp_path / 'net_big_no-loss.py')
    assert str(caught.value) == (
        f"no config file {tmp_path}/net_big_no-loss.py: it is now row 'no-loss' of {path}; write "
        f'{path} --row no-loss --cell big, or, in a pipeline, ablations.py:no-loss:big'
    )
    with pytest.raises(FileNotFoundError, match=r'no config file .*xyz\.py; write .*/net_big\.py$'):
        read_config(tmp_path / 'net_big_xyz.py')


def test_file_is_no_table(tmp_path: Path) -> None:
    write(tmp_path)
    assert read_config(tmp_path / 'net_big.py').model.width == 64
    with pytest.raises(ValueError, match='net_big.py: expected a table for --row and --cell, but'):
        read_config(tmp_path / 'net_big.py', 'all')


def test_error_without_the_whole_config(tmp_path: Path) -> None:
    """mmengine's error for a list instead of a dict begins with the dict."""
    (tmp_path / 'base.py').write_text(f'part = {list(range(300))}\n')
    (tmp_path / 'child.py').write_text(f"_base_ = './base.py'\npart = dict(a={[*range(300)]})\n")
    message = (
        r'child.py.*: \[TypeError\] part=.* \.\.\. .*in base config. You may set `_delete_=True`'
    )
    with pytest.raises(ValueError, match=message) as error:
        read_config(tmp_path / 'child.py')
    assert len(str(error.value)) < 400 + 200


def test_benchmark_with_an_error_is_named(tmp_path: Path) -> None:
    (tmp_path / 'mine.py').write_text('title = 1\nlevels = dict(a=b)\n')
    with pytest.raises(ValueError, match=r"mine.py, line 2: \[NameError\] name 'b' is not defined"):
        read_benchmark(tmp_path / 'mine.py')
