"""Settings that a command line or a pipeline changes in a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmseg_uda.config.places import RUNNER_NAMES
from mmseg_uda.config.problems import ConfigError, Problem
from mmseg_uda.config.signatures import advice
from mmseg_uda.config.similar import nearest

__all__ = ['merge_options']


def merge_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Merge dotted keys into a config, in place.

    mmengine invents what is missing on the way. Invented arguments of a constructor are found when
    the config is checked; what nothing would find is refused here.

    Raises:
        ConfigError: Lists the keys that have no place in the config.
    """
    added = {key.removesuffix('.type') for key in options if str(key).endswith('.type')}
    added |= {
        key for key, value in options.items() if isinstance(value, Mapping) and 'type' in value
    }
    problems = [found for key in options if (found := _merge(cfg, key, options[key], added))]
    if problems:
        raise ConfigError(problems)


def _merge(cfg: Config, key: Any, value: Any, added: set[Any]) -> Problem | None:
    """Merge one key; ``added`` are the parts that the options give a type, new ones or not."""
    if not isinstance(key, str):
        return Problem(str(key), 'expected a dotted key path, but got no string')
    node: Any = cfg._cfg_dict
    parts = key.split('.')
    for depth, part in enumerate(parts):
        path = '.'.join(parts[:depth]) or 'config'
        if isinstance(node, list):
            if not part.isdigit() or int(part) >= len(node):
                return Problem(
                    key, f'{path} has no item {part!r}; write a number below {len(node)}'
                )
            node = node[int(part)]
        elif not isinstance(node, Mapping):
            return Problem(key, f'{path} is {node!r}, which has no parts; shorten the path')
        elif part in node:
            node = node[part]
        elif others := [each for each in node if not isinstance(each, str)]:
            text = f'{path} has keys that are no strings, such as {others[0]!r}'
            return Problem(key, f'{text}; write the whole dict in a config of your own')
        elif depth == 0 and part not in RUNNER_NAMES:
            return Problem(key, f'nothing reads {part!r}; {advice(part, RUNNER_NAMES)}')
        elif '.'.join(parts[: depth + 1]) in added or path.endswith('.custom_keys'):
            break  # with a name of its own, which may resemble another one
        elif 'type' not in node and nearest(part, node, cutoff=0.8):
            return Problem(key, f'{path} has no {part!r}; {advice(part, node)}')
        else:
            break
    else:
        if isinstance(value, Mapping) and not isinstance(node, Mapping):
            if node is not None and not value.get('_delete_'):
                text = f'expected a value such as {node!r}, but got {value!r}; '
                return Problem(key, f"{text}add '_delete_': True to replace it by a dict")
            value = {**value, '_delete_': True}  # or mmengine would not put a dict there
    try:
        cfg.merge_from_dict({key: value})
    except (AttributeError, TypeError) as error:  # keys that are no strings; a dict inside a value
        return Problem(key, f"cannot be merged ({error}); add '_delete_': True to replace the dict")
    return None
