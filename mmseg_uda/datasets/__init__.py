"""Datasets, their checks and their transforms."""

from mmseg_uda.datasets import batch_transforms, transforms
from mmseg_uda.datasets.both_domains import BothDomains
from mmseg_uda.datasets.directory import DirectoryDataset
from mmseg_uda.datasets.gta import GTADataset
from mmseg_uda.datasets.mirrored import MirroredViews
from mmseg_uda.datasets.noise import NoiseDataset
from mmseg_uda.datasets.street import StreetDataset
from mmseg_uda.datasets.synthia import SYNTHIADataset
from mmseg_uda.datasets.toy_street import ToyStreetDataset

__all__ = [
    'BothDomains',
    'DirectoryDataset',
    'GTADataset',
    'MirroredViews',
    'NoiseDataset',
    'SYNTHIADataset',
    'StreetDataset',
    'ToyStreetDataset',
    'batch_transforms',
    'transforms',
]
