"""The config of a pipeline: read, changed by options, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg_uda.config.problems import ConfigError, Problem
from mmseg_uda.config.selection import SELECTIONS
from mmseg_uda.config.similar import nearest
from mmseg_uda.config.tables import choose, read_file
from mmseg_uda.pipeline.joined import join_cells
from mmseg_uda.pipeline.reuse import read_reuse
from mmseg_uda.pipeline.run import Pipeline
from mmseg_uda.pipeline.state import STAGE_NAME
from mmseg_uda.pipeline.tables import select_stages, successors
from mmseg_uda.pipeline.translated import translate_source
from mmseg_uda.stages import STAGES
from mmseg_uda.stages.base import Stage
from mmseg_uda.stages.context import PipelineContext
from mmseg_uda.utils.arguments import check_choice

__all__ = ['read_pipeline']

NAMES = (
    *('seed', 'select', 'work_dir', 'env_cfg', 'translated', 'translation'),
    *('cells', 'rows', 'metrics', 'links', 'pipeline', 'figures', 'reuse'),
)
RESERVED = 'replaced'  # the directory of archived results


def read_pipeline(
    path: str | Path,
    options: Mapping[str, Any] | None = None,
    work_dir: str | Path | None = None,
    launcher: str = 'none',
    rows: Sequence[str] | None = None,
    cell: str | None = None,
    checkpoint_on_signal: bool = False,
    check: bool = True,
) -> Pipeline:
    """Read and check a pipeline's config; data and weights are not looked at.

    Args:
        path: The config file.
        options: Changes of it; ``stages.NAME.…`` reaches a stage by its name.
        work_dir: Directory to write to; None takes the config's ``work_dir``, or else
            ``work_dirs/<name of the config>``.
        launcher: As for mmengine's runner.
        rows: Rows to run, if it is a table of ablations; None: all.
        cell: Its cell; None: all of a table, the only one of another pipeline.
        checkpoint_on_signal: As for :class:`PipelineContext`.
        check: Check the stages' configs and arguments, too.

    Raises:
        FileNotFoundError: There is no such config.
        ValueError: Names the stage and the key that is wrong.
        ConfigError: Lists everything that is wrong in the stages' configs and arguments.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'read_pipeline: no config file {path}{successors(path)}')
    content = read_file(path).to_dict()
    options = dict(options or {})
    if 'translated' in options:
        content['translated'] = options.pop('translated')
    name, table = select_stages(content, path, rows, cell)
    content['stages'] = join_cells(content.get('stages'), path)
    _check_names(content, path)
    if table is None:
        translate_source(content, path, cell)
    _apply(content, options)
    seed = content.get('seed')
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool) or seed < 0):
        raise ValueError(f'{path}: seed got {seed!r}; write an integer from 0 on')
    select = content.get('select', 'last')
    check_choice(f'{path}: select', select, SELECTIONS)
    given = work_dir or content.get('work_dir') or Path('work_dirs') / name
    if not isinstance(given, (str, Path)):
        raise ValueError(f'{path}: work_dir got {given!r}; write the path of a directory')
    work_dir = Path(given).resolve()
    context = PipelineContext(
        name, path.resolve().parent, work_dir, seed, launcher, checkpoint_on_signal, select
    )
    stages = [_build(index, each, context) for index, each in enumerate(content['stages'])]
    # In order, so that a stage can refer to earlier ones only.
    earlier: dict[str, Stage] = {}
    # Each once, under the first of the stages that read the same config.
    problems: dict[tuple[str, str], Problem] = {}
    for stage in stages:
        if stage.name in earlier:
            raise ValueError(f'stage {stage.name!r}: name is taken by 2 stages; write another one')
        try:
            if check:
                stage.check(earlier)
        except ConfigError as error:
            for each in error.problems:
                problems.setdefault((each.path.rpartition(': ')[2], each.message), each)
        earlier[stage.name] = stage
    if problems:
        raise ConfigError(list(problems.values()))
    reuse = read_reuse(f'{path}: reuse', content.get('reuse') or [])
    return Pipeline(context, stages, content.get('env_cfg') or {}, table, reuse)


def _check_names(content: Mapping[str, Any], path: Path) -> None:
    """Refuse a name that looks like a slip; any other is a variable of the config."""
    for name in content:
        similar = nearest(name, NAMES, cutoff=0.75)
        if similar and name not in (*NAMES, 'stages'):
            raise ValueError(
                f'{path}: nothing reads `{name}`; write `{similar}`, or choose another name'
            )
    stages = content.get('stages')
    if not isinstance(stages, (list, tuple)) or not stages:
        raise ValueError(
            f'{path}: stages got {stages!r}; write [dict(name=..., type=..., ...), ...]'
        )


def _apply(content: dict[str, Any], options: Mapping[str, Any]) -> None:
    """Set ``seed``, ``select``, ``work_dir``, ``reuse`` and values of stages."""
    by_name = {str(each.get('name')): each for each in content['stages'] if isinstance(each, dict)}
    for option, value in options.items():
        # stages.NAME.KEY or stages.NAME.options.PATH, whose path has dots of its own
        kind, name, key, path = [*option.split('.', 3), '', '', ''][:4]
        if option in ('seed', 'select', 'work_dir', 'reuse'):
            content[option] = value
        elif kind != 'stages' or not key or (path and key != 'options'):
            raise ValueError(
                f'--cfg-options got `{option}`; write seed, select, work_dir, reuse, translated, '
                'stages.NAME.KEY or stages.NAME.options.PATH'
            )
        else:
            stage = by_name[choose('stage', name, by_name, f'--cfg-options {option}')]
            stage[key] = {**stage.get('options', {}), path: value} if path else value


def _build(index: int, each: Any, context: PipelineContext) -> Stage:
    if not isinstance(each, Mapping):
        raise ValueError(f'stages[{index}] got {each!r}; write dict(name=..., type=..., ...)')
    arguments = dict(each)
    name, kind = arguments.pop('name', None), arguments.pop('type', None)
    if not isinstance(name, str) or not STAGE_NAME.fullmatch(name) or name == RESERVED:
        raise ValueError(
            f'stages[{index}].name got {name!r}; write letters, digits, _ and -, '
            f'but not {RESERVED!r}'
        )
    return STAGES[choose('type', kind, STAGES, f'stage {name!r}')](name, arguments, context)
