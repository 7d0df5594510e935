"""Data transforms: what travels with images, styles of another domain, mixing, augmentation."""

from .class_mix import ClassMix
from .context_mix import ContextMix
from .cow_mix import CowMix
from .cut_mix import CutMix
from .formatting import PackUDAInputs
from .fourier import FourierAmplitudeMix, mix_amplitude
from .image_labels import LoadImageLabels
from .loading import LoadPseudoLabels
from .mixing import Mixer, paste
from .positions import TrackPositions
from .strong_augment import StrongAugment

__all__ = [
    'ClassMix',
    'ContextMix',
    'CowMix',
    'CutMix',
    'FourierAmplitudeMix',
    'LoadImageLabels',
    'LoadPseudoLabels',
    'Mixer',
    'PackUDAInputs',
    'StrongAugment',
    'TrackPositions',
    'mix_amplitude',
    'paste',
]
