"""Networks, losses and adaptation methods."""

from mmseg_uda.models import (
    backbones,
    decode_heads,
    discriminators,
    layers,
    losses,
    segmentors,
    translation,
    uda,
)
from mmseg_uda.models.data_preprocessor import UDADataPreprocessor
from mmseg_uda.models.pretrained import explain_missing_weights
from mmseg_uda.models.significance import EntropySignificance
from mmseg_uda.models.teacher import EMATeacher, FixedTeacher

__all__ = [
    'EMATeacher',
    'EntropySignificance',
    'FixedTeacher',
    'UDADataPreprocessor',
    'backbones',
    'decode_heads',
    'discriminators',
    'explain_missing_weights',
    'layers',
    'losses',
    'segmentors',
    'translation',
    'uda',
]
