"""Loops."""

from mmseg_uda.engine.loops.prototype_loop import PrototypeLoop
from mmseg_uda.engine.loops.pseudo_label_loop import PseudoLabelLoop
from mmseg_uda.engine.loops.selection_val_loop import SelectionValLoop
from mmseg_uda.engine.loops.uda_train_loop import UDATrainLoop

__all__ = ['PrototypeLoop', 'PseudoLabelLoop', 'SelectionValLoop', 'UDATrainLoop']
