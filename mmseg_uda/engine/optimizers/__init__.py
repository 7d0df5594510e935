"""Optimizer wrappers."""

from mmseg_uda.engine.optimizers.joint_optim_wrapper import (
    JointOptimWrapperConstructor,
    JointOptimWrapperDict,
)

__all__ = ['JointOptimWrapperConstructor', 'JointOptimWrapperDict']
