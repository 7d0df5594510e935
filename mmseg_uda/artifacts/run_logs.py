"""Logged values, config and environment that a training left in its working directory, as data.

Nothing here runs what it reads: a dumped config is parsed, not imported.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from mmseg_uda.artifacts.files import explain_read_errors

__all__ = ['SEED', 'Curve', 'RunLog', 'group_seeds']

Curve = dict[int, float]  # step -> value
SCALARS = 'vis_data/scalars.json'
COUNTERS = ('step', 'iter', 'epoch')
SEED = re.compile(r'[-_/ ]?seed[-_]?\d+')
# Settings of a start, not of the run.
PLACES = ('work_dir', 'experiment_name', 'resume', 'launcher')
FACT = re.compile(r'^ {4}([\w.:/ ]+?): (.+)$')
CLASS_ROW = re.compile(r'^\| *(\S.*?) *\|' + r' *([\d.]+|nan) *\|' + r'[ \d.nan|]*$')


@dataclasses.dataclass
class RunLog:
    """The logs of one training.

    Args:
        name: Its name for people.
        path: Its working directory, or one ``scalars.json``.
    """

    name: str
    path: Path

    @cached_property
    def logs(self) -> list[Path]:
        """Files of logged values in the order in which they were written.

        Raises:
            FileNotFoundError: There is none.
        """
        if self.path.is_file():
            return [self.path]
        # A working directory has a directory per start, named by its time.
        logs = sorted(self.path.glob(f'*/{SCALARS}')) or sorted(self.path.glob(SCALARS))
        if not logs:
            raise FileNotFoundError(
                f'RunLog: expected a log or a directory with */{SCALARS}, but got {self.path}; '
                'write the work_dir of a run'
            )
        return logs

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """Logged values: key -> step -> value. After a resume the values of the later start hold.

        Raises:
            ValueError: There is none.
        """
        curves: dict[str, Curve] = {}
        for record in self._records():
            for key, value in record.items():
                number = isinstance(value, (int, float)) and not isinstance(value, bool)
                if number and key not in COUNTERS:
                    curves.setdefault(key, {})[record['step']] = value
        if not curves:
            raise ValueError(
                f'RunLog: expected lines of JSON with a step, but got none in {self.path}; write '
                'the work_dir of a run'
            )
        return {key: dict(sorted(curve.items())) for key, curve in curves.items()}

    def _records(self) -> Iterator[dict[str, Any]]:
        for log in self.logs:
            for line in log.read_text('utf-8', errors='replace').splitlines():
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):  # a killed process may leave half a line
                    continue
                if isinstance(record, dict) and isinstance(record.get('step'), int):
                    yield record

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The config of the last start; empty if none is there.

        What is no literal or ``dict(...)`` stays text.

        Raises:
            ValueError: It is no Python.
        """
        path = self.logs[-1].with_name('config.py')
        if not path.is_file():
            return {}
        with explain_read_errors('RunLog', path, 'rename it, to go without'):
            tree = ast.parse(path.read_text('utf-8'))
            return {
                target.id: _literal(node.value)
                for node in tree.body
                if isinstance(node, ast.Assign)
                for target in node.targets
                if isinstance(target, ast.Name)
            }

    @property
    def own_settings(self) -> dict[str, Any]:
        """The config without what any start of it would change: places, and how it was resumed."""
        own = {key: value for key, value in self.settings.items() if key not in PLACES}
        if self.settings.get('resume'):  # the checkpoint of an earlier start
            own.pop('load_from', None)
        return own

    @cached_property
    def _text(self) -> list[str]:
        """Lines of all text logs."""
        starts = dict.fromkeys(log.parents[1] for log in self.logs if log.parent.name == 'vis_data')
        paths = [path for start in starts for path in sorted(start.glob('*.log'))]
        return [line for path in paths for line in path.read_text('utf-8', 'replace').splitlines()]

    @cached_property
    def facts(self) -> dict[str, str]:
        """Machine and versions, as the text log lists them."""
        lines = iter(self._text)
        facts = {}
        for line in lines:
            if line.strip() in ('System environment:', 'Runtime environment:'):
                for row in lines:
                    if row.startswith('----'):
                        break
                    found = FACT.match(row)
                    if found:
                        facts[found[1]] = found[2]
        return facts

    @property
    def seed(self) -> int | None:
        """The seed of the run; None if it is unknown."""
        randomness = self.settings.get('randomness')
        seed = randomness.get('seed') if isinstance(randomness, dict) else None
        if seed is None and self.facts.get('seed', '').isdigit():
            seed = int(self.facts['seed'])
        return seed if isinstance(seed, int) else None

    @cached_property
    def class_iou(self) -> dict[str, float]:
        """IoU of each class in per cent in the last validation: from the scalars, or the text."""
        prefix = 'IoU_'
        logged = {
            key.removeprefix(prefix): [*curve.values()][-1]
            for key, curve in self.curves.items()
            if key.startswith(prefix)
        }
        return logged or _last_class_table(self._text)


def _last_class_table(lines: Sequence[str]) -> dict[str, float]:
    """Read the table that ``IoUMetric`` prints; its first column of numbers is the IoU."""
    table: dict[str, float] = {}
    for number, line in enumerate(lines):
        if not line.endswith('per class results:'):
            continue
        rows = (CLASS_ROW.match(row) for row in _table_lines(lines[number + 1 :]))
        table = {row[1]: float(row[2]) for row in rows if row}
    return table


def _table_lines(lines: Sequence[str]) -> Iterator[str]:
    seen = False
    for line in lines:
        if line.startswith(('|', '+')):
            seen = True
            yield line
        elif seen:
            return


def _literal(node: ast.expr) -> Any:
    if isinstance(node, (ast.Constant, ast.UnaryOp)):
        try:
            return ast.literal_eval(node)
        except ValueError:
            return ast.unparse(node)
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return [_literal(each) for each in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values)
        return {str(_literal(key)): _literal(value) for key, value in pairs if key is not None}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        return {each.arg: _literal(each.value) for each in node.keywords if each.arg is not None}
    return ast.unparse(node)


def group_seeds(runs: Sequence[RunLog]) -> dict[str, list[RunLog]]:
    """Group runs whose configs differ in the seed only; a run without a config stays alone.

    Returns:
        Groups by name: of several runs, the name that they share without their seeds.
    """
    groups: dict[str, list[RunLog]] = {}
    for run in runs:
        groups.setdefault(_seedless(run) or str(run.path), []).append(run)
    named: dict[str, list[RunLog]] = {}
    for group in groups.values():
        names = {SEED.sub('', run.name) for run in group}
        name = names.pop() if len(group) > 1 and len(names) == 1 else group[0].name
        named.setdefault(name if name not in named else group[0].name, []).extend(group)
    return named


def _seedless(run: RunLog) -> str:
    """The config as text without what differs between seeds."""
    settings = run.own_settings
    if not settings:
        return ''
    randomness = settings.get('randomness')
    if isinstance(randomness, dict):
        settings['randomness'] = {**randomness, 'seed': None}
    text = json.dumps(settings, sort_keys=True, default=str)
    work_dir = run.settings.get('work_dir')
    if isinstance(work_dir, str) and work_dir:
        text = text.replace(json.dumps(work_dir)[1:-1], '')
    return SEED.sub('', text)
