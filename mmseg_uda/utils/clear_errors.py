"""Errors of the toolboxes in the words of the config that caused them."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner, find_latest_checkpoint
from mmseg import registry as registries

from mmseg_uda.artifacts.checkpoint import load_checkpoint

__all__ = ['accepted_keys', 'clear_errors', 'find_class']

UNKNOWN_KEY = re.compile(r"(?:(\w+)\.)?__init__\(\) got an unexpected keyword argument '(\w+)'")
UNREADABLE = re.compile(r'Errno 22|zip|PytorchStreamReader|magic number|^$|Ran out of input')


@contextmanager
def clear_errors(cfg: Config) -> Iterator[None]:
    """Name the place in the config when a constructor refuses a key or a checkpoint is damaged.

    The toolboxes name the class that stumbled, often a base class that the config does not have,
    and of a damaged checkpoint not even the file.

    Args:
        cfg: The config that the block builds and runs.

    Raises:
        TypeError: A key is unknown.
        ValueError: A checkpoint cannot be read.
    """
    try:
        yield
    except TypeError as error:
        message = _unknown_key(cfg, str(error))
        if message is None:
            raise
        raise TypeError(message) from None
    except (OSError, EOFError, RuntimeError, UnpicklingError) as error:
        if UNREADABLE.search(str(error)):
            for path in _checkpoints(cfg):
                load_checkpoint(path)
        raise


def _unknown_key(cfg: Config, message: str) -> str | None:
    match = UNKNOWN_KEY.search(message)
    if match is None:
        return None
    owner, key = match.groups()
    # A config also has variables, such as pipelines, from which the parts that are built are made.
    used = inspect.signature(Runner.__init__).parameters
    places = list(_places(cfg.to_dict(), key))
    places.sort(key=lambda place: place[0].split('.')[0] not in used)
    for place, value, cls in places:
        keys = accepted_keys(cls)
        if key not in keys and owner in (None, *(base.__name__ for base in cls.__mro__)):
            similar = difflib.get_close_matches(key, keys, n=1)
            advice = f'write `{similar[0]}`' if similar else f'write one of {", ".join(keys)}'
            return f'{cls.__name__}: {place} got {value!r}, but has no key `{key}`; {advice}'
    return None


def _places(node: Any, key: str, path: str = '') -> Iterator[tuple[str, Any, type]]:
    """Where in the config a class is given ``key``: path, value, class."""
    if isinstance(node, Mapping):
        cls = find_class(node.get('type')) if key in node else None
        if cls is not None:
            yield f'{path}.{key}', node[key], cls
        children = list(node.items())
    else:
        children = list(enumerate(node)) if isinstance(node, (list, tuple)) else []
    for name, child in children:
        yield from _places(child, key, f'{path}.{name}' if path else str(name))


def find_class(name: Any) -> type | None:
    """The class behind a config's ``type``, from whichever registry of mmseg has it."""
    if inspect.isclass(name):
        return name
    if isinstance(name, str):
        for registry in vars(registries).values():
            found = registry.get(name) if isinstance(registry, Registry) else None
            if inspect.isclass(found):
                return found
    return None


def accepted_keys(cls: type) -> list[str]:
    """Named arguments of a constructor and of those to which it may hand on the rest."""
    keys: dict[str, None] = {}
    for base in cls.__mro__:
        if '__init__' not in vars(base) or base is object:
            continue
        parameters = list(inspect.signature(vars(base)['__init__']).parameters.values())[1:]
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        keys.update(dict.fromkeys(x.name for x in parameters if x.kind in named))
        if not any(x.kind is inspect.Parameter.VAR_KEYWORD for x in parameters):
            break
    return list(keys)


def _checkpoints(cfg: Config) -> Iterator[str]:
    """Local checkpoint files that the config makes the runner read."""
    latest = find_latest_checkpoint(cfg.work_dir) if cfg.get('resume') else None
    for path in (latest, cfg.get('load_from')):
        if path is not None and Path(path).is_file():
            yield path
