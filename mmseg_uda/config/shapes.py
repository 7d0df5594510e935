"""Values of a config that are no dict, or no list of dicts, where one is expected."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mmseg_uda.config.places import RUNNER_NAMES, TOOL_NAMES
from mmseg_uda.config.problems import Problem

__all__ = ['check_shapes']

# One dict. Elsewhere a list of dicts may be one part after the other.
ONE = re.compile(
    r"""
    ^(
        (train|val|test)_cfg | model | data_preprocessor | tta_model | model_wrapper_cfg
        | optim_wrapper(\.optimizers(\.[^.]+)?)? | default_hooks(\.[^.]+)? | custom_imports
        | env_cfg(\.(mp|dist)_cfg)? | visualizer | log_processor | randomness | auto_scale_lr
        | optim_wrapper\..*(optimizer|paramwise_cfg|clip_grad|custom_keys)
    )$
    | (^|_|\.)dataloader(\.target|(\.source)?\.sampling)?$
    | (_|\.)dataloader(\.source|\.target)?\.(dataset|sampler|batch_sampler)$
    """,
    re.VERBOSE,
)
# An item of a list of dicts; one of TestTimeAug's transforms is a list again.
ITEM = re.compile(
    r'(^|_|\.)(pipeline|transforms|datasets|custom_hooks|vis_backends|param_scheduler|evaluator)'
    r'(\.\d+)+$|^train_dataloader\.source\.\d+$'
)
SCALARS = (type(None), bool, int, float, str)
# A class of a user's may take any value; what is not in `model` goes to mmengine's runner.
OPEN = 'model.'
# These are built whatever else is given.
NEEDED = re.compile(r'dataloader(\.source|\.target)?\.dataset$|^optim_wrapper(\..*)?\.optimizer$')


def check_shapes(content: Mapping[str, Any]) -> Iterator[Problem]:
    """Find lists, numbers and None where a dict is expected.

    Args:
        content: A config in built-in types.

    Example:
        >>> [str(each) for each in check_shapes({'train_cfg': [{'max_iters': 10}]})]
        ['train_cfg: expected a dict, but got a list; remove the brackets around it']
    """
    for key in content:
        if key in RUNNER_NAMES or key in TOOL_NAMES:
            yield from _check(content[key], str(key))


def _check(value: Any, path: str) -> Iterator[Problem]:
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from _check(child, f'{path}.{key}')
    elif isinstance(value, (list, tuple)):
        if ONE.search(path):
            text = 'expected a dict, but got a list; remove the brackets around it'
            yield Problem(path, text)
        for i, child in enumerate(value):
            yield from _check(child, f'{path}.{i}')
    elif value is None and NEEDED.search(path):
        yield Problem(path, 'expected a dict, but got None; write it')
    elif isinstance(value, SCALARS) and not path.startswith(OPEN):
        is_part = ONE.search(path) if value is not None else None
        if is_part or ITEM.search(path):
            wanted = f'type={value!r}' if isinstance(value, str) else '...'
            yield Problem(path, f'expected a dict, but got {value!r}; write dict({wanted})')
