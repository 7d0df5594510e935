"""Segmentors that MMSegmentation does not have."""

from mmseg_uda.models.segmentors.attended import AttendedSegmentor
from mmseg_uda.models.segmentors.ensemble import EnsembleSegmentor
from mmseg_uda.models.segmentors.multi_resolution import MultiResolutionSegmentor

__all__ = ['AttendedSegmentor', 'EnsembleSegmentor', 'MultiResolutionSegmentor']
