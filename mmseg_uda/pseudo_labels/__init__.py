"""Pseudo labels: selection rules, statistics in bounded memory, and the folder's manifest."""

from .inference import segment_probabilities
from .manifest import FORMAT_VERSION, MANIFEST_NAME, Manifest, label_names
from .rules import RULES, BDLRule, CBSTRule, FixedRule, GlobalRule, PseudoLabelRule, build_rule
from .statistics import ConfidencePools

__all__ = [
    'FORMAT_VERSION',
    'MANIFEST_NAME',
    'RULES',
    'BDLRule',
    'CBSTRule',
    'ConfidencePools',
    'FixedRule',
    'GlobalRule',
    'Manifest',
    'PseudoLabelRule',
    'build_rule',
    'label_names',
    'segment_probabilities',
]
