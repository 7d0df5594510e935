"""Dicts in a config from which something is built, and what builds it."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mmengine.evaluator import Evaluator
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import WEIGHT_INITIALIZERS, Registry
from mmengine.runner import (
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    LogProcessor,
    Runner,
    TestLoop,
    ValLoop,
)
from mmengine.utils.dl_utils import set_multi_processing
from mmseg import registry as mm
from torch.utils.data import DataLoader

__all__ = [
    'ALL',
    'ANYWHERE',
    'CONSTRUCTORS',
    'RUNNER_NAMES',
    'Node',
    'find_class',
    'known_names',
    'walk',
]

RUNNER_NAMES = frozenset(
    {
        *inspect.signature(Runner.__init__).parameters,
        'custom_imports',
        'runner_type',
        'model_wrapper_cfg',
        'activation_checkpointing',
        'compile',
        'efficient_conv_bn_eval',
    }
    - {'self', 'cfg'}
)
# Names that tools read. All others are a config's own variables, and their parts stand again in
# what is built of them.
TOOL_NAMES = ('tta_model', 'tta_pipeline')
# Optimizer constructors whose arguments are known here.
CONSTRUCTORS = (None, 'DefaultOptimWrapperConstructor', 'JointOptimWrapperConstructor')
ALL = tuple(each for each in vars(mm).values() if isinstance(each, Registry))


class Place(NamedTuple):
    """The dicts that one builder takes.

    Args:
        pattern: Regular expression, searched for in key paths without indices.
        registries: Where the builder looks up ``type``.
        given: Arguments that the builder adds; None if that cannot be told.
        default: Class or function without a ``type``; None if such a dict builds nothing.
        aside: Keys that the builder takes out.
        needs_type: A dict without ``type`` is a mistake.
    """

    pattern: str
    registries: tuple[Registry, ...] = ()
    given: tuple[str, ...] | None = ()
    default: Callable[..., Any] | None = None
    aside: tuple[str, ...] = ()
    needs_type: bool = False


# Signatures of what is read from a dict key by key, without a constructor.


def train_dataloader(
    source: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    target: Mapping[str, Any] | None = None,
) -> None: ...


def env_cfg(
    cudnn_benchmark: bool = False,
    mp_cfg: Mapping[str, Any] | None = None,
    dist_cfg: Mapping[str, Any] | None = None,
    resource_limit: int = 0,
) -> None: ...


def randomness(
    seed: int | None = None, diff_rank_seed: bool = False, deterministic: bool = False
) -> None: ...


def clip_grad(
    max_norm: float | None = None,
    norm_type: float = 2.0,
    clip_value: float | None = None,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> None: ...


def auto_scale_lr(base_batch_size: int = 0, enable: bool = False) -> None: ...


def paramwise_cfg(
    custom_keys: Mapping[str, Any] | None = None,
    bias_lr_mult: float | None = None,
    bias_decay_mult: float | None = None,
    norm_decay_mult: float | None = None,
    dwconv_decay_mult: float | None = None,
    dcn_offset_lr_mult: float | None = None,
    flat_decay_mult: float | None = None,
    bypass_duplicate: bool = False,
) -> None: ...


def custom_keys(lr_mult: float = 1.0, decay_mult: float = 1.0) -> None: ...


_LOOP = ('runner', 'dataloader', 'evaluator')
# The first pattern that is found in a path counts.
PLACES = (
    Place(r'norm_cfg$', (mm.MODELS,), None, aside=('requires_grad',)),
    Place(r'init_cfg$', (WEIGHT_INITIALIZERS,), aside=('override', 'name'), needs_type=True),
    Place(r'init_cfg\.override$', (WEIGHT_INITIALIZERS,), aside=('name',)),
    Place(r'^(model|data_preprocessor)$', (mm.MODELS,), needs_type=True),
    Place(r'^model\.(mixer|(weak_|mask_)?augment|mask|(weak|strong)_view)$', (mm.TRANSFORMS,)),
    Place(r'^model\.', ALL, None),
    Place(r'^tta_model$', (mm.MODELS,), ('module',), needs_type=True),
    Place(r'^model_wrapper_cfg$', (mm.MODEL_WRAPPERS,), ('module',), MMDistributedDataParallel),
    Place(r'(pipeline|\.transforms)$', (mm.TRANSFORMS,), needs_type=True),
    Place(r'datasets?$', (mm.DATASETS,), needs_type=True),
    Place(r'batch_sampler$', (mm.DATA_SAMPLERS,), ('sampler', 'batch_size')),
    Place(r'sampler$', (mm.DATA_SAMPLERS,), ('dataset',), needs_type=True),
    Place(
        r'^train_dataloader\.(source|target)$',
        default=DataLoader,
        aside=('num_batch_per_epoch', 'skip_broken', 'sampling', 'ratio', 'num_images'),
    ),
    Place(
        r'^train_dataloader\.source\.sampling$', (mm.DATA_SAMPLERS,), ('dataset',), needs_type=True
    ),
    Place(
        r'(_|\.)dataloader(\.source|\.target)?$', default=DataLoader, aside=('num_batch_per_epoch',)
    ),
    Place(r'^optim_wrapper$', (mm.OPTIM_WRAPPERS,), aside=('paramwise_cfg', 'constructor')),
    Place(
        r'^optim_wrapper\.optimizers\.[^.]+$',
        (mm.OPTIM_WRAPPERS,),
        aside=('paramwise_cfg', 'constructor', 'sqrt_batch_size'),
    ),
    Place(r'^optim_wrapper\.(.*\.)?optimizer$', (mm.OPTIMIZERS,), ('params',), needs_type=True),
    Place(r'paramwise_cfg$', default=paramwise_cfg),
    Place(r'^optim_wrapper\.(.*\.)?clip_grad$', default=clip_grad),
    Place(r'^optim_wrapper\.optimizers\..*\.custom_keys\.', default=custom_keys),
    Place(r'^param_scheduler(\.|$)', (mm.PARAM_SCHEDULERS,), ('optimizer',)),
    Place(r'^train_cfg$', (mm.LOOPS,), _LOOP, IterBasedTrainLoop, ('by_epoch',)),
    Place(r'^val_cfg$', (mm.LOOPS,), _LOOP, ValLoop),
    Place(r'^test_cfg$', (mm.LOOPS,), _LOOP, TestLoop),
    Place(r'(_|\.)evaluator(\.metrics)?$', (mm.METRICS, mm.EVALUATOR), (), Evaluator),
    Place(r'^default_hooks\.[^.]+$', (mm.HOOKS,), aside=('priority',), needs_type=True),
    Place(r'^custom_hooks$', (mm.HOOKS,), aside=('priority',), needs_type=True),
    Place(r'^visualizer$', (mm.VISUALIZERS,)),
    Place(r'vis_backends$', (mm.VISBACKENDS,), ('save_dir',), needs_type=True),
    Place(r'^log_processor$', (mm.LOG_PROCESSORS,), default=LogProcessor),
    Place(r'^env_cfg$', default=env_cfg),
    Place(r'^env_cfg\.mp_cfg$', (), ('distributed',), set_multi_processing),
    Place(r'^randomness$', default=randomness),
    Place(r'^auto_scale_lr$', default=auto_scale_lr),
)
ANYWHERE = Place('', ALL, None)


@dataclasses.dataclass(frozen=True)
class Node:
    """A dict from which something is built.

    Args:
        path: Its key path; empty for the whole config.
        cfg: The dict.
        place: What takes it.
    """

    path: str
    cfg: dict[str, Any]
    place: Place

    @property
    def kind(self) -> Any:
        """Its ``type``: a name, or in the newer style of configs a class."""
        return self.cfg.get('type')

    @functools.cached_property
    def target(self) -> Callable[..., Any] | None:
        """The class or function that is called; None if none is known."""
        if self.kind is None or not self.place.registries:
            return self.place.default
        return find_class(self.kind, self.place.registries)

    @property
    def name(self) -> str:
        """Name of what is called, for messages."""
        return getattr(self.target, '__name__', str(self.kind or self.path))

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments that the builder hands on."""
        return {k: v for k, v in self.cfg.items() if k != 'type' and k not in self.place.aside}


def walk(cfg: Mapping[str, Any]) -> Iterator[Node]:
    """All dicts of a config from which something is built, outer ones first."""
    runner = find_class(cfg.get('runner_type'), (mm.RUNNERS,)) or Runner
    read = {key: cfg[key] for key in cfg if key in RUNNER_NAMES or key in TOOL_NAMES}
    yield Node('', read, Place('', default=runner))
    for key, value in read.items():
        yield from _walk(value, key)


def _walk(value: Any, path: str) -> Iterator[Node]:
    children: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        place = _place_of(path, value)
        if place is not None:
            yield Node(path, dict(value), place)
        if value.get('type') != 'Albu':  # whose transforms are in no registry
            children = value.items()
    elif isinstance(value, (list, tuple)):
        children = enumerate(value)
    elif isinstance(value, (str, int, float)) and '_dataloader.' in path:
        place = _place_of(path, {})
        if place is not None and place.needs_type:  # no dict at all
            yield Node(path, {}, place)
    for key, child in children:
        yield from _walk(child, f'{path}.{key}')


def _place_of(path: str, cfg: Mapping[str, Any]) -> Place | None:
    bare = re.sub(r'\.\d+(?=\.|$)', '', path)
    for place in PLACES:
        if re.search(place.pattern, bare):
            if place.default is DataLoader and {'source', 'target'} & cfg.keys():
                return Place('', default=train_dataloader)
            if place.default is IterBasedTrainLoop and cfg.get('by_epoch'):
                place = place._replace(default=EpochBasedTrainLoop)
            nothing = not cfg and bare.endswith('init_cfg')  # an empty one initialises nothing
            built = 'type' in cfg or place.default or (place.needs_type and not nothing)
            return place if built else None
    return ANYWHERE if 'type' in cfg else None


def find_class(kind: Any, registries: tuple[Registry, ...]) -> Callable[..., Any] | None:
    """The class or function behind a ``type``; None if no registry has it."""
    if callable(kind):
        return kind
    found = (each.get(kind) for each in registries if isinstance(kind, str))
    return next((each for each in found if each is not None), None)


def known_names(registries: tuple[Registry, ...]) -> set[str]:
    """Names that registries and their parents know."""
    names: set[str] = set()
    for each in registries:
        registry: Registry | None = each
        while registry is not None:
            names.update(registry.module_dict)
            registry = registry.parent
    return names
