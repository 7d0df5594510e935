"""Pictures of networks, as a stage and for tools."""

from mmseg_uda.stages.show.attention import KINDS, show_attention
from mmseg_uda.stages.show.stage import ShowStage

__all__ = ['KINDS', 'ShowStage', 'show_attention']
