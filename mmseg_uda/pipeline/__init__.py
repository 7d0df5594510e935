"""Methods of several stages, from raw data to the final number by one command."""

from mmseg_uda.pipeline.pipeline import Pipeline, Step
from mmseg_uda.pipeline.reading import read_pipeline

__all__ = ['Pipeline', 'Step', 'read_pipeline']
