"""Results of other pipelines, taken where a stage would make the same."""

from __future__ import annotations

import dataclasses
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg_uda.artifacts.digest import digest_config
from mmseg_uda.artifacts.files import write_json
from mmseg_uda.pipeline.plan import Plan
from mmseg_uda.pipeline.state import RECIPE_NAME, STATE_NAME, State, read_recipe
from mmseg_uda.stages.references import substitute

__all__ = ['adopt', 'find_finished', 'read_reuse']


def read_reuse(key: str, given: Any) -> list[Path]:
    """Read the directory of another pipeline, or several.

    Args:
        key: The key or option that names them, for errors.
        given: Its value.

    Raises:
        ValueError: It is of another kind, or a directory has no ``pipeline.json``.
    """
    given = given if isinstance(given, (list, tuple)) else [given]
    for each in given:
        if not isinstance(each, str) or not Path(each, STATE_NAME).is_file():
            raise ValueError(
                f'{key}: expected directories of pipelines, but got {each!r}; write those that '
                f'have a {STATE_NAME}'
            )
    return [Path(each).resolve() for each in given]


def find_finished(plan: Plan, directories: Sequence[Path]) -> tuple[State, str] | None:
    """Find a finished stage of other pipelines with the same recipe, whatever its name.

    Args:
        plan: Plan of the stage, with its recipe.
        directories: Directories of the other pipelines.

    Returns:
        The other pipeline's state and the name there, or None.
    """
    wanted = _content(plan.recipe)
    for directory in directories:
        state = State(directory)
        for name, record in state.stages.items():
            recipe = read_recipe(directory / name) if record.status == 'done' else None
            if recipe is None or digest_config(recipe) != record.digest:
                continue
            if _content(recipe) == wanted and not state.changed_output(name):
                return state, name
    return None


def _content(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Give a recipe with digests in place of the names of earlier stages."""
    needs = recipe['needs']
    parts = {key: part for key, part in recipe.items() if key != 'needs'}
    return substitute(parts, lambda reference: needs.get(reference, f'{{{reference}}}'))


def adopt(state: State, plan: Plan, found: tuple[State, str]) -> None:
    """Take the results of another pipeline's stage, by hard links where the file system has them.

    Args:
        state: State of this pipeline.
        plan: Plan of the stage, whose directory does not exist.
        found: As :func:`find_finished` gives it.
    """
    other, name = found
    # A name of its own: what a killed start leaves is in nobody's way, and nothing is deleted.
    partial = state.directory / f'{plan.stage}.{secrets.token_hex(8)}.tmp'
    shutil.copytree(other.directory / name, partial, copy_function=_link)
    write_json(partial / RECIPE_NAME, plan.recipe)  # a new file: the link's is not written to
    partial.rename(state.directory / plan.stage)
    record = other.stages[name]
    state.stages[plan.stage] = dataclasses.replace(
        record,
        digest=plan.digest,
        outputs=dict(_renamed(record.outputs, name, plan.stage)),
        seconds=0.0,
        attempts=0,
        note=f'from {other.directory / name}',
    )
    state.save()


def _renamed(outputs: Mapping[str, str], old: str, new: str) -> Iterator[tuple[str, str]]:
    for part, path in outputs.items():
        yield part, Path(new, Path(path).relative_to(old)).as_posix()


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
