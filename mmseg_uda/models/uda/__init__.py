"""One file per adaptation method."""

from .adversarial import Adversarial
from .base import BaseUDASegmentor
from .cdanet import CDANet
from .dast import DAST
from .mean_teacher import MeanTeacher
from .pit import PIT
from .self_training import SelfTraining
from .source_only import SourceOnly

__all__ = [
    'DAST',
    'PIT',
    'Adversarial',
    'BaseUDASegmentor',
    'CDANet',
    'MeanTeacher',
    'SelfTraining',
    'SourceOnly',
]
