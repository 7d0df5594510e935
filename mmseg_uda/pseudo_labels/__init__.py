"""Pseudo labels: selection rules, statistics in bounded memory, inference."""

from mmseg_uda.pseudo_labels.inference import segment_probabilities
from mmseg_uda.pseudo_labels.rules import RULES, PseudoLabelRule, build_rule
from mmseg_uda.pseudo_labels.statistics import ConfidencePools

__all__ = ['RULES', 'ConfidencePools', 'PseudoLabelRule', 'build_rule', 'segment_probabilities']
