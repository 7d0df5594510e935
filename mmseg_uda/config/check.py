"""Everything that is wrong in a config, found before anything is built for real.

No data, weights or GPU are needed, nothing is written, and no random state changes.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings
from mmseg.registry import HOOKS, METRICS, MODELS, RUNNERS, TRANSFORMS
from torch import nn

from mmseg_uda.config.agreement import check_agreement, check_layers, check_optimizers
from mmseg_uda.config.building import build_model, build_part, cannot_be_judged, explain, no_trace
from mmseg_uda.config.method import check_statistics
from mmseg_uda.config.metrics import check_metrics
from mmseg_uda.config.places import (
    ALL,
    CONSTRUCTORS,
    RUNNER_NAMES,
    TOOL_NAMES,
    Node,
    find_class,
    known_names,
    walk,
)
from mmseg_uda.config.problems import ConfigError, Problem
from mmseg_uda.config.shapes import check_shapes
from mmseg_uda.config.signatures import advice, check_names, is_stock
from mmseg_uda.config.similar import nearest
from mmseg_uda.config.values import check_values

__all__ = ['check_config', 'check_runnable', 'require_sound']

# Packages whose parts are built to see whether they raise: their constructors do nothing else. (The
# hook that mmseg has makes a visualizer.)
BUILT = {
    TRANSFORMS: ('mmcv', 'mmseg', 'mmseg_uda'),
    HOOKS: ('mmengine', 'mmseg_uda'),
    METRICS: ('mmseg_uda',),
}
# Of mmengine's runner, by name, and mmseg's.
DEFAULT_HOOKS = (
    'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint',
    'visualization',
)  # fmt: skip
OPTIMIZED = {'optim_wrapper', 'param_scheduler'}
NO_TYPE = "expected a dict with 'type'"


# Names of which a runner needs all or none.
GROUPS = (
    ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    ('val_dataloader', 'val_cfg', 'val_evaluator'),
    ('test_dataloader', 'test_cfg', 'test_evaluator'),
)


def check_runnable(cfg: Config | Mapping[str, Any]) -> list[Problem]:
    """Find the parts without which mmengine's runner is not built."""
    problems = []
    if not cfg.get('model'):
        problems.append(Problem('model', "expected a dict with 'type', but got none; write it"))
    for group in GROUPS:
        given = [key for key in group if cfg.get(key) is not None]
        for key in group if given else ():
            if key not in given:
                text = f'expected one beside {" and ".join(given)}, but got none; '
                problems.append(Problem(key, text + 'write it, or None for all three'))
    return problems


def require_sound(cfg: Config | Mapping[str, Any]) -> None:
    """Check a config.

    Raises:
        ConfigError: Lists everything that is wrong, one line each.
    """
    problems = check_config(cfg)
    if problems:
        raise ConfigError(problems)


def check_config(
    cfg: Config | Mapping[str, Any], models: list[tuple[Any, nn.Module]] | None = None
) -> list[Problem]:
    """Find everything that is wrong in a config; what cannot be judged passes.

    Args:
        cfg: Config for mmengine's runner, whole or in part.
        models: Models that were built for other configs, each behind its ``cfg.model``; one that is
            alike is not built again, and one that is built is added.
    """
    content = _plain(cfg.to_dict() if isinstance(cfg, Config) else cfg)
    problems = list(check_shapes(content))
    if problems:
        return problems  # what follows reads dicts
    try:
        import_modules_from_strings(**(content.get('custom_imports') or {'imports': []}))
    except (ImportError, TypeError) as error:
        return [Problem('custom_imports', ' '.join(str(error).split()))]
    problems = list(_check_top_level(content))
    scope = content.get('default_scope')
    with no_trace(scope if _is_scope(scope) else 'mmseg'):
        nodes = [node for node in walk(content) if not _is_foreign(node.path, content)]
        model, fails = _build_model(content, [] if models is None else models)
        disagreements = [*check_agreement(content, nodes), *check_metrics(content, nodes)]
        problems += _check_nodes(nodes, fails, disagreements)
        problems += disagreements
        broken = {problem.path.split('.')[0] for problem in problems}
        optimized = isinstance(content.get('optim_wrapper'), Mapping) and not broken & OPTIMIZED
        if model is not None:
            problems += [*check_statistics(nodes, model), *check_layers(nodes, model)]
            problems += check_optimizers(content, model) if optimized else []
    places = Counter(problem.path for problem in problems)
    return [
        problem
        for problem in dict.fromkeys(problems)
        if problem.message != NO_TYPE or places[problem.path] == 1  # what holds it says more
    ]


def _is_scope(name: Any) -> bool:
    """Tell scopes that have classes by now, or are packages whose import gives them some."""
    return isinstance(name, str) and (name in _scopes() or find_spec(name) is not None)


def _scopes() -> list[str]:
    root = MODELS.parent
    return ['mmengine', *(root.children if root else ())]


def _check_top_level(content: Mapping[str, Any]) -> Iterator[Problem]:
    """Other names are the config's own variables, unless they look like one of the runner's."""
    scope, runner = content.get('default_scope'), content.get('runner_type')
    if isinstance(scope, str) and not _is_scope(scope):
        text = f'expected the scope of a toolbox, but got {scope!r}; {advice(scope, _scopes())}'
        yield Problem('default_scope', text)
    if isinstance(runner, str) and find_class(runner, (RUNNERS,)) is None:
        hint = advice(runner, known_names((RUNNERS,)))
        yield Problem('runner_type', f'expected a registered runner, but got {runner!r}; {hint}')
    for name in content:
        yield from _near_miss(name, name, RUNNER_NAMES)
        yield from _near_miss(name, name, TOOL_NAMES, 0.95)  # test_pipeline is another one
    hooks = content.get('default_hooks')
    for name in hooks if isinstance(hooks, Mapping) else ():
        yield from _near_miss(f'default_hooks.{name}', name, DEFAULT_HOOKS)


def _near_miss(
    path: str, name: str, known: Collection[str], cutoff: float = 0.88
) -> Iterator[Problem]:
    similar = None if name in known else nearest(name, known, cutoff)
    if similar:
        text = f'nothing reads this name; write {similar!r}, or choose another one'
        yield Problem(path, text)


def _plain(node: Any) -> Any:
    """A copy in built-in types, without the scopes that mmengine leaves in inherited parts."""
    if isinstance(node, (list, tuple)):
        return type(node)(map(_plain, node))
    if not isinstance(node, Mapping):
        return node
    plain = {key: _plain(value) for key, value in node.items() if key != '_scope_'}
    scope, kind = node.get('_scope_', 'mmseg'), str(node.get('type', '.'))
    if scope not in ('mmseg', 'mmseg_uda', 'mmengine') and '.' not in kind:
        plain['type'] = f'{scope}.{kind}'
    return plain


def _is_foreign(path: str, content: Mapping[str, Any]) -> bool:
    """Tell what only an optimizer constructor of others understands."""
    wrapper = content.get('optim_wrapper')
    if not path.startswith('optim_wrapper') or not isinstance(wrapper, Mapping):
        return False
    if wrapper.get('constructor') not in CONSTRUCTORS:
        return True
    return any(
        path.startswith(f'optim_wrapper.optimizers.{key}.paramwise_cfg')
        for key, each in (wrapper.get('optimizers') or {}).items()
        if isinstance(each, Mapping) and each.get('constructor') not in CONSTRUCTORS
    )


def _build_model(
    content: Mapping[str, Any], models: list[tuple[Any, nn.Module]]
) -> tuple[nn.Module | None, bool]:
    """The model if it can be built, and whether it certainly cannot."""
    cfg = content.get('model')
    if not isinstance(cfg, Mapping):
        return None, False
    for known, model in models:
        if known == cfg:
            return model, False
    try:
        model = build_model(content)
    except Exception as error:  # whatever it is, it is a finding
        return None, not cannot_be_judged(error)
    models.append((cfg, model))
    return model, False


def _check_nodes(nodes: list[Node], model_fails: Any, known: list[Problem]) -> list[Problem]:
    """Check inner parts first: what holds a broken one is not built."""
    problems: list[Problem] = []
    for node in reversed(nodes):
        broken = any(each.path.startswith(f'{node.path}.') for each in [*problems, *known])
        problems = [*_check_node(node, broken, model_fails), *problems]
    return problems


def _check_node(node: Node, broken: bool, model_fails: Any) -> Iterator[Problem]:
    in_model = node.path.split('.')[0] == 'model'
    target, registries = node.target, node.place.registries
    if target is None:
        if node.kind is None:
            got = f', but got the keys {", ".join(map(str, node.cfg))}' if node.cfg else ''
            yield Problem(node.path, f'{NO_TYPE}{got}')
        elif registries is not ALL or (in_model and model_fails):
            kind = 'class' if registries is ALL else registries[0].name
            scope, dot, _ = str(node.kind).rpartition('.')
            hint = advice(node.kind, known_names(registries))
            hint = f'import {scope} in custom_imports' if dot else hint
            yield Problem(
                f'{node.path}.type',
                f'expected the name of a registered {kind}, but got {node.kind!r}; {hint}',
            )
        return
    values = list(check_values(node.path, target, node.arguments))
    yield from values
    if not node.path:
        return
    if not in_model and registries == (TRANSFORMS,) and _takes_batches(target):
        key = 'mixer' if hasattr(target, 'mask') else 'augment'
        yield Problem(
            f'{node.path}.type',
            f'{node.name} changes whole batches, not samples; write '
            f'model.{key}=dict(type={node.name!r}, ...) and remove it here',
        )
        return
    names = list(check_names(node.path, target, node.arguments, node.place.given))
    yield from names
    if (model_fails if in_model else _is_built(node)) and not (broken or values or names):
        yield from _try(node)


def _takes_batches(target: Any) -> bool:
    """Tell transforms of batches, which are modules, from those of samples."""
    return inspect.isclass(target) and issubclass(target, nn.Module)


def _is_built(node: Node) -> bool:
    """Tell whether the part's constructor may be called to see if it raises."""
    if 'output_dir' in node.cfg:  # mmseg's metric makes it
        return False
    return any(
        is_stock(node.target, packages)
        for registry, packages in BUILT.items()
        if registry in node.place.registries
    )


def _try(node: Node) -> Iterator[Problem]:
    try:
        build_part(node)
    except Exception as error:  # whatever it is, it is a finding
        given_later = node.place.given is None and 'missing' in str(error)
        if not given_later and not cannot_be_judged(error):
            yield explain(node, error)
