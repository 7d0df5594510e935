"""Segmentors that MMSegmentation does not have."""

from mmseg_uda.models.segmentors.attended import AttendedSegmentor

__all__ = ['AttendedSegmentor']
