"""Optimizer wrappers."""

from .joint_optim_wrapper import JointOptimWrapperConstructor, JointOptimWrapperDict

__all__ = ['JointOptimWrapperConstructor', 'JointOptimWrapperDict']
