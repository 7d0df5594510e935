"""Data sets, their checks and their transforms."""

from .checks import (
    check_dataset,
    check_folders,
    check_pseudo_labels,
    check_same_classes,
    check_unlabelled,
    pseudo_label_loaders,
)
from .gta import GTADataset
from .street import StreetDataset
from .synthia import SYNTHIADataset
from .toy_street import ToyStreetDataset
from .transforms import FourierAmplitudeMix, LoadPseudoLabels, PackUDAInputs, mix_amplitude
from .translation import TranslationManifest, translate_folder

__all__ = [
    'FourierAmplitudeMix', 'GTADataset', 'LoadPseudoLabels', 'PackUDAInputs', 'SYNTHIADataset',
    'StreetDataset', 'ToyStreetDataset', 'TranslationManifest', 'check_dataset', 'check_folders',
    'check_pseudo_labels', 'check_same_classes', 'check_unlabelled', 'mix_amplitude',
    'pseudo_label_loaders', 'translate_folder'
]
