"""Loops."""

from .pseudo_label_loop import PseudoLabelLoop
from .selection_val_loop import SelectionValLoop
from .uda_train_loop import UDATrainLoop

__all__ = ['PseudoLabelLoop', 'SelectionValLoop', 'UDATrainLoop']
