"""A config for two domains of a user's own, from a look at their directories."""

from mmseg_uda.stages.own_pair.options import PairOptions
from mmseg_uda.stages.own_pair.pair import init_pair

__all__ = ['PairOptions', 'init_pair']
