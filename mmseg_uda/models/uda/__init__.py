"""One file per adaptation method."""

from .adversarial import Adversarial
from .base import BaseUDASegmentor
from .cdanet import CDANet
from .source_only import SourceOnly

__all__ = ['Adversarial', 'BaseUDASegmentor', 'CDANet', 'SourceOnly']
