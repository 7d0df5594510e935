"""Examination of a config, its weights and its data before a training: causes of bad numbers."""

from mmseg_uda.doctor.examine import examine
from mmseg_uda.doctor.finding import Finding, worst
from mmseg_uda.doctor.memory import plan_memory

__all__ = ['Finding', 'examine', 'plan_memory', 'worst']
