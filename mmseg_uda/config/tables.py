"""Tables of ablations: every row changes a few values of a paper's configs.

A table is a config of its own, ``configs/<method>/ablations.py``, of rows and cells. A cell is a
network on a benchmark and names a config file; a row names what differs there, and the paper's
numbers. ``tools/run_pipeline.py`` runs a table; docs/pipelines.md describes its keys.
"""

from __future__ import annotations

import copy
import dataclasses
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_uda.config.similar import nearest

__all__ = ['Row', 'Table', 'choose', 'read_config', 'read_file']


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table.

    Args:
        text: The row in words, for the report.
        table: The paper's table that has it.
        options: Values that it changes in each cell's config, by dotted path.
        cell_options: Further ones of single cells.
        config: File to which they apply; ``{cell}`` is the cell's file without its suffix. A dict
            has a file for each cell.
        checkpoint: ``{NAME}`` of a stage of the table's pipeline, if the row trains nothing and
            tests that one's checkpoint.
        paper: The paper's numbers in the order of the cells, None where it has none.
        cells: Cells that have the row; empty: those with a number.
        links: Options that only a run of the table adds, with ``{NAME}`` for the output of another
            row or of a stage of the table's pipeline; None: those of the table.
        variant: The pipeline's cell, if it has a name beyond the table's: ``<cell>-<variant>``.
    """

    text: str = ''
    table: str = ''
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    cell_options: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    config: str | Mapping[str, str] = '{cell}.py'
    checkpoint: str = ''
    paper: Sequence[float | None] = ()
    cells: Sequence[str] = ()
    links: Mapping[str, str] | None = None
    variant: str = ''


class Table:
    """A table of ablations.

    Args:
        path: Its file.

    Attributes:
        cells: Name and config file of every cell, relative to the table's directory.
        rows: Name and content of every row.
        metrics: The metric that a cell's numbers are of, if it is not ``mIoU``.
        links: Options that a run of the table adds to every row, see :class:`Row`.
        pipeline: File of the pipeline whose stages the links name.
        figures: Arguments of the ``show`` stages by figure; ``rows`` and ``cells`` choose rows.

    Raises:
        ValueError: A key is unknown, or a row names a cell or a file that is not there.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        content = read_file(self.path).to_dict()
        self.cells: dict[str, str] = content.get('cells', {})
        self.metrics: dict[str, str] = content.get('metrics', {})
        self.links: dict[str, str] = content.get('links', {})
        self.pipeline: str | None = content.get('pipeline')
        self.figures: dict[str, dict[str, Any]] = content.get('figures', {})
        self.rows: dict[str, Row] = {}
        for name, given in content.get('rows', {}).items():
            where = f'{self.path}: row {name!r}'
            for key in given:
                choose('key', key, Row.__dataclass_fields__, where)
            self.rows[name] = Row(**given)
            if len(self.rows[name].paper) > len(self.cells):
                raise ValueError(
                    f'{where}: expected at most {len(self.cells)} numbers, one per cell, but got '
                    f'paper={self.rows[name].paper}'
                )
            if not self.cells_of(name):
                raise ValueError(f'{where}: expected a cell, but got none; write cells or paper')
            for cell in (*self.cells_of(name), *self.rows[name].cell_options):
                choose('cell', cell, self.cells, where)
                if not self.file(name, cell).is_file():
                    raise ValueError(
                        f'{where}: cell {cell!r} is {self.file(name, cell)}, which does not '
                        'exist; correct the path'
                    )
        for name, figure in self.figures.items():
            for row in figure.get('rows', ()):
                choose('row', row, self.rows, f'{self.path}: figure {name!r}')
            for cell in figure.get('cells', ()):
                choose('cell', cell, self.cells, f'{self.path}: figure {name!r}')

    def cells_of(self, row: str) -> tuple[str, ...]:
        """The cells that have a row."""
        return tuple(self.rows[row].cells) or tuple(self.paper(row))

    def paper(self, row: str) -> dict[str, float]:
        """The cells of a row that the paper has, and its numbers."""
        numbers = zip(self.cells, self.rows[row].paper)
        return {cell: number for cell, number in numbers if number is not None}

    def pairs(self) -> list[tuple[str, str]]:
        """Row and cell of every config of the table, cell by cell."""
        return [
            (row, cell) for cell in self.cells for row in self.rows if cell in self.cells_of(row)
        ]

    def find(self, row: str | None, cell: str | None) -> tuple[str, str]:
        """Check a row and a cell; None is the only one there is.

        Raises:
            ValueError: There is no such row or cell, or there are several.
        """
        row = choose('row', row, self.rows, str(self.path))
        return row, choose('cell', cell, self.cells_of(row), f'{self.path}: row {row!r}')

    def file(self, row: str, cell: str) -> Path:
        """The config file that a row starts from."""
        config = self.rows[row].config
        if not isinstance(config, str):
            config = config[choose('cell', cell, config, f'{self.path}: row {row!r}: config')]
        stem = self.cells[cell].removesuffix('.py')
        return self.path.parent / config.replace('{cell}', stem)

    def options(self, row: str, cell: str) -> dict[str, Any]:
        """The values that a row changes in a cell, by dotted path."""
        return {**self.rows[row].options, **self.rows[row].cell_options.get(cell, {})}

    def stem(self, row: str, cell: str) -> str:
        """The config's name: ``<cell's file>_<row>``, or the file's if the row changes nothing."""
        if not self.options(row, cell):
            return self.file(row, cell).stem
        return f'{Path(self.cells[cell]).stem}_{row}'

    def load(self, row: str, cell: str) -> Config:
        """Read the config of a row in a cell; its name is :meth:`stem`."""
        cfg = read_file(self.file(row, cell))
        cfg.merge_from_dict(copy.deepcopy(self.options(row, cell)))  # it takes `_delete_` out
        name = self.path.with_name(f'{self.stem(row, cell)}.py')
        object.__setattr__(cfg, '_filename', str(name))  # a runner names its copy of it so
        return cfg


def choose(kind: str, name: str | None, known: Iterable[str], where: str) -> str:
    """Check a name; None is the only one there is.

    Raises:
        ValueError: It is unknown, or None where there are several; names the nearest ones.
    """
    known = list(known)
    if name is None and len(known) == 1:
        return known[0]
    if name in known:
        return str(name)
    similar = nearest(name or '', known) or f'one of {", ".join(known)}'
    raise ValueError(f'{where}: expected a {kind}, but got {name or "none"}; write {similar}')


def read_file(path: str | Path) -> Config:
    """Read a config file, which is a program.

    Raises:
        ValueError: Names the file, and the line if one is known.
    """
    try:
        return Config.fromfile(path)
    except Exception as error:  # configs are programs: anything can happen in them
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == str(Path(path).absolute())
        ]
        lines += [error.lineno] if isinstance(error, SyntaxError) else []
        where = f', line {lines[-1]}' if lines else ''
        first: BaseException = error
        while isinstance(first, ImportError) and isinstance(first.__context__, ImportError):
            first = first.__context__  # mmengine's own lists all directories of modules
        text = shorten_middle(' '.join(str(getattr(first, 'msg', first)).split()))
        if isinstance(first, ModuleNotFoundError):
            text += '; correct custom_imports, or write its directory into PYTHONPATH'
        raise ValueError(f'{path}{where}: [{type(first).__name__}] {text}') from error


def shorten_middle(text: str, most: int = 400) -> str:
    """Leave the middle of a long text out: mmengine's errors may begin with a whole config.

    Example:
        >>> shorten_middle('model={...} cannot inherit from base', most=20)
        'model ... from base'
    """
    if len(text) <= most:
        return text
    first = most // 4
    return f'{text[:first].rstrip()} ... {text[first + 5 - most :].lstrip()}'


def read_config(path: str | Path, row: str | None = None, cell: str | None = None) -> Config:
    """Read a config: a file, or a row of a table.

    Args:
        path: The file. ``TABLE.py:ROW:CELL`` names a row, too.
        row: Row, if the file is a table.
        cell: Cell; None if the row has only one.

    Raises:
        FileNotFoundError: There is no such file; if it became a row, the row is named.
        ValueError: There is no such row or cell, or the table is wrong.
    """
    stem, _, names = str(path).partition('.py:')
    if names:
        path = f'{stem}.py'
        row, _, rest = names.partition(':')
        cell = rest or None
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no config file {path}{_successor(path)}')
    cfg = read_file(path)
    if row is None and cell is None and 'rows' not in cfg:
        return cfg
    if 'rows' not in cfg:
        raise ValueError(f'{path}: expected a table for --row and --cell, but it has no `rows`')
    table = Table(path)
    return table.load(*table.find(row, cell))


def _successor(path: Path) -> str:
    """Say what to write for a file that is not there; empty if nothing is like it."""
    for file in sorted(path.parent.glob('ablations.py')):
        table = Table(file)
        for row, cell in table.pairs():
            if table.stem(row, cell) == path.stem:
                return (
                    f': it is now row {row!r} of {file}; write {file} --row {row} --cell {cell}, '
                    f'or, in a pipeline, {file.name}:{row}:{cell}'
                )
    names = [file.name for file in path.parent.glob('*.py')]
    similar = nearest(path.name, names)
    return f'; write {path.with_name(similar)}' if similar else ''
