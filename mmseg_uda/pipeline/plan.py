"""The plan for a stage: skip it, run it, resume it, or archive its directory and run it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Container
from typing import Any

from mmseg_uda.artifacts.digest import digest_config
from mmseg_uda.artifacts.files import list_files
from mmseg_uda.artifacts.recipe import describe_differences
from mmseg_uda.pipeline.state import RECIPE_NAME, State, read_recipe
from mmseg_uda.stages.base import Stage
from mmseg_uda.stages.references import split_reference

__all__ = ['Plan', 'plan_stage']


@dataclasses.dataclass
class Plan:
    """The plan for a stage.

    Args:
        stage: Its name.
        action: ``skip``, ``run``, ``resume``, ``reuse`` another pipeline's result, or ``replace``:
            archive its directory and run.
        reason: Why.
        recipe: All that decides the result; empty if an earlier stage must run first.
    """

    stage: str
    action: str
    reason: str
    recipe: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Digest of the recipe."""
        return digest_config(self.recipe)


def plan_stage(stage: Stage, state: State, pending: Container[str] = ()) -> Plan:
    """Compare a stage with its last attempt.

    Args:
        stage: The stage.
        state: The state of its pipeline.
        pending: Names of stages that will run before it.

    Raises:
        ValueError: An earlier stage did not make an output that the stage refers to.
    """
    needs = {}
    for reference in stage.references:
        other, part = split_reference(reference)
        if other in pending:
            # Its recipe is not known before the other stage has made its output.
            return Plan(stage.name, 'run', f'needs {other!r}, which runs first')
        needs[reference] = state.stages[other].digests.get(part)
        if needs[reference] is None:
            raise ValueError(
                f'stage {stage.name!r}: refers to {{{reference}}}, but {other!r} ended without '
                'one; look at its validation and save_best'
            )
    # Through JSON, which makes lists of tuples, so that it compares with a recipe from a file.
    recipe = json.loads(json.dumps({**stage.recipe(), 'needs': needs}, default=str))
    plan = Plan(stage.name, 'run', 'it is not done', recipe)
    record = state.stages.get(stage.name)
    if record is not None and record.status == 'done' and record.digest == plan.digest:
        # Later stages must not read an output that was changed since then.
        changed = state.changed_output(stage.name)
        plan.action, plan.reason = 'skip', 'it is done'
        if changed:
            plan.action, plan.reason = 'replace', f'its output {changed} is gone or was changed'
    elif next(list_files(stage.directory), None) is not None:  # more than a killed process's .tmp
        old = read_recipe(stage.directory)
        plan.action = 'resume' if old == recipe else 'replace'
        if old is None:
            plan.reason = f'its directory has no {RECIPE_NAME}'
        elif old != recipe:
            plan.reason = f'changed: {describe_differences(old, recipe)}'
        else:
            failed = record is not None and record.status == 'failed'
            plan.reason = 'it failed' if failed else 'it was cut off'
    return plan
