"""Offline jobs: one file per job, with the computing and its stage of a pipeline."""

from mmseg_uda.stages.base import Stage
from mmseg_uda.stages.class_counts import ClassCountsStage
from mmseg_uda.stages.cost import CostStage
from mmseg_uda.stages.export import ExportStage
from mmseg_uda.stages.image_labels.stage import ImageLabelsStage
from mmseg_uda.stages.prototypes import PrototypeStage
from mmseg_uda.stages.pseudo_labels import PseudoLabelStage
from mmseg_uda.stages.score import ScoreStage
from mmseg_uda.stages.show import ShowStage
from mmseg_uda.stages.spatial_prior import SpatialPriorStage
from mmseg_uda.stages.test import TestStage
from mmseg_uda.stages.train import TrainStage
from mmseg_uda.stages.translation import TranslateStage

__all__ = ['STAGES']

# Types of stages by their name in configs. A new type is one class and its line here.
STAGES: dict[str, type[Stage]] = {
    stage.kind: stage
    for stage in (
        TrainStage,
        PseudoLabelStage,
        PrototypeStage,
        TestStage,
        ExportStage,
        TranslateStage,
        SpatialPriorStage,
        ClassCountsStage,
        ImageLabelsStage,
        ScoreStage,
        CostStage,
        ShowStage,
    )
}
