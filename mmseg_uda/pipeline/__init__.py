"""Methods of several stages, from raw data to the final number by one command."""

from mmseg_uda.pipeline.config import read_pipeline
from mmseg_uda.pipeline.plan import Plan
from mmseg_uda.pipeline.run import Pipeline

__all__ = ['Pipeline', 'Plan', 'read_pipeline']
