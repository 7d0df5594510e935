"""Data transforms: pseudo labels beside stock mmseg pipelines."""

from .formatting import PackUDAInputs
from .loading import LoadPseudoLabels

__all__ = ['LoadPseudoLabels', 'PackUDAInputs']
