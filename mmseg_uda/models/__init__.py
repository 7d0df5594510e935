"""Networks, losses and adaptation methods."""

from . import backbones, decode_heads, discriminators, layers, losses, uda
from .data_preprocessor import UDADataPreprocessor
from .pretrained import explain_missing_weights
from .significance import EntropySignificance
from .teacher import EMATeacher

__all__ = [
    'EMATeacher',
    'EntropySignificance',
    'UDADataPreprocessor',
    'backbones',
    'decode_heads',
    'discriminators',
    'explain_missing_weights',
    'layers',
    'losses',
    'uda',
]
