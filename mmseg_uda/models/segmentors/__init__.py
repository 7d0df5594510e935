"""Segmentors that MMSegmentation does not have."""

from mmseg_uda.models.segmentors.attended import attended_segmentor

__all__ = ['attended_segmentor']
