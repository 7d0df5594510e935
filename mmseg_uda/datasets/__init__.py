"""Data sets, their checks and their transforms."""

from .checks import (
    check_dataset,
    check_folders,
    check_image_labels,
    check_pseudo_labels,
    check_same_classes,
    check_unlabelled,
    pseudo_label_loaders,
)
from .gta import GTADataset
from .source_labels import make_spatial_prior
from .spatial_prior import PriorRecipe, SpatialPrior
from .street import StreetDataset
from .synthia import SYNTHIADataset
from .toy_street import ToyStreetDataset
from .transforms import (
    ClassMix,
    ContextMix,
    CowMix,
    CutMix,
    FourierAmplitudeMix,
    LoadImageLabels,
    LoadPseudoLabels,
    Mixer,
    PackUDAInputs,
    StrongAugment,
    TrackPositions,
    mix_amplitude,
    paste,
)
from .translation import TranslationManifest, translate_folder

__all__ = [
    'ClassMix',
    'ContextMix',
    'CowMix',
    'CutMix',
    'FourierAmplitudeMix',
    'GTADataset',
    'LoadImageLabels',
    'LoadPseudoLabels',
    'Mixer',
    'PackUDAInputs',
    'PriorRecipe',
    'SYNTHIADataset',
    'SpatialPrior',
    'StreetDataset',
    'StrongAugment',
    'ToyStreetDataset',
    'TrackPositions',
    'TranslationManifest',
    'check_dataset',
    'check_folders',
    'check_image_labels',
    'check_pseudo_labels',
    'check_same_classes',
    'check_unlabelled',
    'make_spatial_prior',
    'mix_amplitude',
    'paste',
    'pseudo_label_loaders',
    'translate_folder',
]
