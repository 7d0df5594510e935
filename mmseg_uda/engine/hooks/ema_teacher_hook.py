"""Keeps a teacher behind its student."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_uda.engine.observe import unwrap_model

__all__ = ['EMATeacherHook']


@HOOKS.register_module()
class EMATeacherHook(Hook):
    """Updates a method's :class:`~mmseg_uda.models.teacher.EMATeacher` after its student's steps.

    Where gradients are accumulated, an iteration without a step of the optimizer leaves the teacher
    alone. The hook also tells the method the iteration, which its schedules follow: a method that
    counted for itself would start anew after a resume.
    """

    def before_train(self, runner: Runner) -> None:
        """Start from the student, whatever gave it its weights.

        Raises:
            TypeError: The model has no teacher.
        """
        model = unwrap_model(runner.model)
        if not hasattr(model, 'teacher'):
            raise TypeError(
                f'EMATeacherHook got {type(model).__name__}, which has no teacher; '
                "write model=dict(type='MeanTeacher', ...), or remove the hook"
            )
        if runner.iter == 0 and not model.teacher.steps:
            model.teacher.copy_from(model.student)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Tell the method which iteration begins."""
        unwrap_model(runner.model).iteration = runner.iter

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Follow the student's step, if there was one."""
        done = runner.iter + 1
        if done % _accumulated(runner.optim_wrapper) == 0 or done == runner.max_iters:
            model = unwrap_model(runner.model)
            model.teacher.update(model.student)


def _accumulated(optim_wrapper: Any) -> int:
    """Iterations per step, of a :class:`JointOptimWrapperDict` or of MMEngine's wrapper."""
    stock = getattr(optim_wrapper, '_accumulative_counts', 1)
    return int(getattr(optim_wrapper, 'accumulative_counts', stock))
