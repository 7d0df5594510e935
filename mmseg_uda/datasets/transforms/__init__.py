"""Data transforms: pseudo labels beside stock mmseg pipelines, and styles of another domain."""

from .formatting import PackUDAInputs
from .fourier import FourierAmplitudeMix, mix_amplitude
from .loading import LoadPseudoLabels

__all__ = ['FourierAmplitudeMix', 'LoadPseudoLabels', 'PackUDAInputs', 'mix_amplitude']
