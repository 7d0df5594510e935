"""Generated street scenes of two domains, for tests and the quick start."""

from mmseg_uda.datasets.toy_street.dataset import ToyStreetDataset

__all__ = ['ToyStreetDataset']
