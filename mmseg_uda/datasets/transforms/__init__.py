"""Transforms of one sample: labels and positions of its pixels, and styles of another domain."""

from mmseg_uda.datasets.transforms.class_mix import SampleClassMix
from mmseg_uda.datasets.transforms.formatting import PackUDAInputs
from mmseg_uda.datasets.transforms.fourier import FourierAmplitudeMix, mix_amplitude
from mmseg_uda.datasets.transforms.image_labels import LoadImageLabels
from mmseg_uda.datasets.transforms.loading import LoadPseudoLabels, LoadSoftLabels
from mmseg_uda.datasets.transforms.mapped_labels import LoadMappedAnnotations
from mmseg_uda.datasets.transforms.margins import IgnoreMargins
from mmseg_uda.datasets.transforms.positions import TrackPositions

__all__ = [
    'FourierAmplitudeMix',
    'IgnoreMargins',
    'LoadImageLabels',
    'LoadMappedAnnotations',
    'LoadPseudoLabels',
    'LoadSoftLabels',
    'PackUDAInputs',
    'SampleClassMix',
    'TrackPositions',
    'mix_amplitude',
]
