"""What several readers of a config need to know about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from inspect import signature

from mmengine.runner import Runner

__all__ = ['RUNNER_NAMES', 'misspelt_names']

RUNNER_NAMES = frozenset(
    {
        *signature(Runner.__init__).parameters,
        'custom_imports',
        'runner_type',
        'model_wrapper_cfg',
        'activation_checkpointing',
        'compile',
        'efficient_conv_bn_eval',
    }
    - {'self', 'cfg'}
)


def misspelt_names(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Top-level names that look like one of the runner's, which would ignore them in silence.

    Yields:
        The name, and the runner's.
    """
    for name in names:
        if name not in RUNNER_NAMES:
            for similar in difflib.get_close_matches(name, RUNNER_NAMES, n=1, cutoff=0.88):
                yield name, similar
