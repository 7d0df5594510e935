"""Optimizer wrappers and their constructors."""

from mmseg_uda.engine.optimizers.accumulation import ends_with_a_step, iterations_per_step
from mmseg_uda.engine.optimizers.block_decay_constructor import BlockDecayOptimizerConstructor
from mmseg_uda.engine.optimizers.joint_optim_constructor import JointOptimWrapperConstructor
from mmseg_uda.engine.optimizers.joint_optim_wrapper import JointOptimWrapperDict

__all__ = [
    'BlockDecayOptimizerConstructor',
    'JointOptimWrapperConstructor',
    'JointOptimWrapperDict',
    'ends_with_a_step',
    'iterations_per_step',
]
