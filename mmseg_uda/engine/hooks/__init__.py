"""Hooks: everything that happens beside the training step."""

from mmseg_uda.engine.hooks.adabn_hook import AdaBNHook, build_target_loader
from mmseg_uda.engine.hooks.checkpoint_hook import CheckpointHook
from mmseg_uda.engine.hooks.ema_teacher_hook import EMATeacherHook
from mmseg_uda.engine.hooks.health_hook import HealthHook
from mmseg_uda.engine.hooks.pseudo_label_refresh_hook import PseudoLabelRefreshHook
from mmseg_uda.engine.hooks.reference_context_hook import ReferenceContextHook
from mmseg_uda.engine.hooks.stop_hook import StopHook
from mmseg_uda.engine.hooks.uda_visualization_hook import UDAVisualizationHook

__all__ = [
    'AdaBNHook',
    'CheckpointHook',
    'EMATeacherHook',
    'HealthHook',
    'PseudoLabelRefreshHook',
    'ReferenceContextHook',
    'StopHook',
    'UDAVisualizationHook',
    'build_target_loader',
]
