"""Update of an averaged teacher."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_uda.engine.observe import unwrap_model
from mmseg_uda.engine.optimizers import ends_with_a_step

__all__ = ['EMATeacherHook']


@HOOKS.register_module()
class EMATeacherHook(Hook):
    """Update a method's :class:`~mmseg_uda.models.teacher.EMATeacher` after its student's steps.

    With accumulated gradients, an iteration without a step of the optimizer does not change the
    teacher; nor does one whose gradients overflowed in half precision. The hook also sets the
    method's ``iteration``, which its schedules follow: a counter of the method's own would start at
    0 after a resume. After each iteration it calls the method's ``after_step``, if there is one
    (prototypes of ProDA).
    """

    def before_train(self, runner: Runner) -> None:
        """Start from the student, after its weights were initialised or loaded.

        Raises:
            TypeError: The model has no teacher.
        """
        model = unwrap_model(runner.model)
        if not hasattr(model, 'teacher'):
            raise TypeError(
                'EMATeacherHook: expected a method with a teacher, but got '
                f"{type(model).__name__}; write model=dict(type='MeanTeacher', ...), or remove the "
                'hook'
            )
        # A resumed teacher has steps: the checkpoint holds its weights.
        if runner.iter == 0 and not model.teacher.steps:
            model.teacher.copy_from(model.student)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Set the method's iteration."""
        unwrap_model(runner.model).iteration = runner.iter

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Update the teacher if the student was updated, and what else a method updates."""
        model = unwrap_model(runner.model)
        skipped = getattr(runner.optim_wrapper, 'overflowed', False)
        if ends_with_a_step(runner, runner.iter + 1) and not skipped:
            model.teacher.update(model.student)
        if hasattr(model, 'after_step'):
            model.after_step()
