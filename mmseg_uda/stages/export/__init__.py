"""Export of a trained method's network: for stock mmseg, and in other formats."""

from mmseg_uda.stages.export.plain import plain_config
from mmseg_uda.stages.export.segmentor import Exported, export_segmentor
from mmseg_uda.stages.export.stage import ExportStage

__all__ = ['ExportStage', 'Exported', 'export_segmentor', 'plain_config']
