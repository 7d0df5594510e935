"""One file per adaptation method."""

from mmseg_uda.models.uda.adversarial import Adversarial
from mmseg_uda.models.uda.base import BaseUDASegmentor
from mmseg_uda.models.uda.cdanet import CDANet
from mmseg_uda.models.uda.dast import DAST
from mmseg_uda.models.uda.distillation import Distillation
from mmseg_uda.models.uda.mean_teacher import MeanTeacher
from mmseg_uda.models.uda.mic import MIC
from mmseg_uda.models.uda.minent import MinEnt
from mmseg_uda.models.uda.pit import PIT
from mmseg_uda.models.uda.proda import ProDA
from mmseg_uda.models.uda.self_training import SelfTraining
from mmseg_uda.models.uda.source_only import SourceOnly

__all__ = [
    'DAST',
    'MIC',
    'PIT',
    'Adversarial',
    'BaseUDASegmentor',
    'CDANet',
    'Distillation',
    'MeanTeacher',
    'MinEnt',
    'ProDA',
    'SelfTraining',
    'SourceOnly',
]
