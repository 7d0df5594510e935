"""Methods of several stages, from raw data to the final number by one command."""

from .pipeline import Pipeline, Step
from .reading import read_pipeline
from .stage import ConfigStage, Result, Settings, Stage
from .stages import STAGES

__all__ = [
    'STAGES',
    'ConfigStage',
    'Pipeline',
    'Result',
    'Settings',
    'Stage',
    'Step',
    'read_pipeline',
]
