"""Loops."""

from .pseudo_label_loop import PseudoLabelLoop
from .uda_train_loop import UDATrainLoop

__all__ = ['PseudoLabelLoop', 'UDATrainLoop']
