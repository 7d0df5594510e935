"""The constructor of the optimizer wrapper of adversarial training."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIMIZERS
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS
from torch import nn

from mmseg_uda.engine.optimizers.joint_optim_wrapper import JointOptimWrapperDict
from mmseg_uda.utils.arguments import check_choice, check_integer

__all__ = ['JointOptimWrapperConstructor']

PARAMWISE_RULES = {
    'custom_keys',
    'bias_lr_mult',
    'bias_decay_mult',
    'norm_decay_mult',
    'dwconv_decay_mult',
    'flat_decay_mult',
    'dcn_offset_lr_mult',
    'bypass_duplicate',
}


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class JointOptimWrapperConstructor:
    """Builds a :class:`JointOptimWrapperDict` from module names.

    Each key of ``optimizers`` names a submodule. Its optimizer takes the trainable parameters below
    that name, except those of a longer key. Parameters with equal settings share one group, so that
    multi-tensor optimizers stay fast.

    Args:
        optim_wrapper_cfg: ``dict(optimizers=dict(<submodule>=dict(optimizer=..., paramwise_cfg=...,
            constructor=..., clip_grad=...)), dtype=..., loss_scale=..., accumulative_counts=...)``.
            An optimizer's ``constructor`` is a subclass of mmengine's default one, such as
            :class:`BlockDecayOptimizerConstructor` or mmseg's
            ``LearningRateDecayOptimizerConstructor``; it gets the submodule, whose parameters have
            their own names (``backbone...``), and the optimizer's ``paramwise_cfg``.
            ``sqrt_batch_size=B`` of an optimizer multiplies its rate by the square root of the
            images per step: B of each process, in all processes and accumulated iterations
            (VFM-UDA).
        paramwise_cfg: Must be None: each optimizer's own dict has one.

    Raises:
        ValueError: If ``optimizers`` is missing or ``paramwise_cfg`` is given; when called, if a
            key names no submodule with trainable parameters, a trainable parameter has no optimizer
            or two, or a rule of ``paramwise_cfg`` is unknown.

    Examples:
        >>> optim_wrapper = dict(
        ...     constructor='JointOptimWrapperConstructor',
        ...     optimizers={
        ...         'student': dict(optimizer=dict(type='SGD', lr=2.5e-4),
        ...                         paramwise_cfg=dict(bias_lr_mult=2.)),
        ...         'discriminators': dict(optimizer=dict(type='Adam', lr=1e-4))})
    """

    def __init__(
        self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None
    ) -> None:
        cfg = dict(optim_wrapper_cfg)
        cfg.pop('type', None)
        if paramwise_cfg is not None:
            raise ValueError(
                'JointOptimWrapperConstructor.paramwise_cfg: expected none beside `optimizers`, '
                f'but got {paramwise_cfg!r}; write it into the dict of the optimizer it is for'
            )
        if not isinstance(cfg.get('optimizers'), dict) or not cfg['optimizers']:
            raise ValueError(
                'JointOptimWrapperConstructor.optimizers: expected a dict, but got '
                f'{cfg.get("optimizers")!r}; write a dict from submodule names to '
                'dict(optimizer=...)'
            )
        self.optimizers: dict[str, dict[str, Any]] = dict(cfg.pop('optimizers'))
        self.options = cfg

    def __call__(self, model: nn.Module) -> JointOptimWrapperDict:
        model = getattr(model, 'module', model)
        owners = self._assign(model)
        wrappers = {
            name: self._build_one(model, name, cfg, owners) for name, cfg in self.optimizers.items()
        }
        return JointOptimWrapperDict(**self.options, **wrappers)

    def _assign(self, model: nn.Module) -> dict[int, str]:
        """Map the id of each trainable parameter to the key of its optimizer."""
        owners: dict[int, str] = {}
        names: dict[int, str] = {}
        unassigned = []
        for name, param in model.named_parameters(remove_duplicate=False):
            if not param.requires_grad:
                continue
            claims = [key for key in self.optimizers if name.startswith(key + '.') or name == key]
            if not claims:
                unassigned.append(name)
                continue
            owner = max(claims, key=len)
            # A tied parameter comes once under each of its names.
            if owners.setdefault(id(param), owner) != owner:
                raise ValueError(
                    'JointOptimWrapperConstructor.optimizers: expected one for each parameter, but '
                    f'got `{owner}` for {name} and `{owners[id(param)]}` for the same tensor as '
                    f'{names[id(param)]}; write one key for both, or untie the weights'
                )
            names[id(param)] = name
        if unassigned:
            raise ValueError(
                'JointOptimWrapperConstructor.optimizers: expected one for each trainable '
                f'parameter, but got none for {len(unassigned)} ({unassigned[0]}, ...); write the '
                f'key `{unassigned[0].split(".")[0]}`, or freeze them'
            )
        return owners

    def _build_one(
        self, model: nn.Module, name: str, cfg: dict[str, Any], owners: dict[int, str]
    ) -> OptimWrapper:
        try:
            module = model.get_submodule(name)
        except AttributeError as error:
            raise ValueError(
                'JointOptimWrapperConstructor.optimizers: expected submodules of '
                f'{type(model).__name__} as keys, but got `{name}`; write one of '
                f'{[key for key, _ in model.named_children()]}'
            ) from error
        cfg = dict(cfg)
        batch_size = cfg.pop('sqrt_batch_size', None)
        if batch_size is not None:
            where = f'JointOptimWrapperConstructor.optimizers.{name}.sqrt_batch_size'
            check_integer(where, batch_size, 1)
            images = batch_size * get_world_size() * self.options.get('accumulative_counts', 1)
            cfg['optimizer'] = {**cfg['optimizer'], 'lr': cfg['optimizer']['lr'] * images**0.5}
        groups = self._group(module, name, cfg, owners)
        if not groups:
            raise ValueError(
                'JointOptimWrapperConstructor.optimizers: expected trainable parameters in '
                f'`{name}`, but got none; delete the key'
            )
        optimizer = OPTIMIZERS.build(dict(cfg.pop('optimizer'), params=groups))
        cfg.setdefault('type', 'OptimWrapper')
        return OPTIM_WRAPPERS.build(cfg, default_args=dict(optimizer=optimizer))

    def _group(
        self, module: nn.Module, name: str, cfg: dict[str, Any], owners: dict[int, str]
    ) -> list[dict[str, Any]]:
        """Group an optimizer's own parameters by the rules of its constructor."""
        constructor = cfg.pop('constructor', 'DefaultOptimWrapperConstructor')
        paramwise = dict(cfg.pop('paramwise_cfg', None) or {})
        found: list[dict[str, Any]] = []
        if constructor == 'DefaultOptimWrapperConstructor':
            self._check_rules(module, name, paramwise)
            rules = DefaultOptimWrapperConstructor(dict(cfg), paramwise)
            rules.add_params(found, module, prefix=name)
        else:
            where = f'JointOptimWrapperConstructor.optimizers.{name}.constructor'
            self._add_by(constructor, where, found, module, cfg, paramwise)
        # Constructors make a group per parameter, or several of any settings.
        groups: dict[tuple[Any, ...], dict[str, Any]] = {}
        for entry in found:
            own = [each for each in entry['params'] if owners.get(id(each)) == name]
            settings = {k: v for k, v in entry.items() if k not in ('params', 'param_names')}
            key = tuple(sorted((k, repr(v)) for k, v in settings.items()))
            if own:
                groups.setdefault(key, dict(params=[], **settings))['params'] += own
        return list(groups.values())

    @staticmethod
    def _add_by(
        constructor: Any,
        where: str,
        found: list[dict[str, Any]],
        module: nn.Module,
        cfg: dict[str, Any],
        paramwise: dict[str, Any],
    ) -> None:
        """Add a module's parameters as a constructor of mmseg or of a user does."""
        cls = constructor
        if isinstance(constructor, str):
            cls = OPTIM_WRAPPER_CONSTRUCTORS.get(constructor)
        if not (isinstance(cls, type) and issubclass(cls, DefaultOptimWrapperConstructor)):
            raise TypeError(
                f'{where}: expected a subclass of DefaultOptimWrapperConstructor, but got '
                f'{constructor!r}; write the name of one'
            )
        try:
            cls(dict(cfg), paramwise).add_params(found, module)
        except (AttributeError, KeyError, NotImplementedError, TypeError) as error:
            # mmseg's constructors look for a few backbones and keys, and say no more.
            raise ValueError(
                f'{where}: {cls.__name__} cannot group the parameters of {type(module).__name__} '
                f'with {type(getattr(module, "backbone", None)).__name__} by {paramwise!r}; write '
                'a backbone and a paramwise_cfg that it knows, or another constructor'
            ) from error

    @staticmethod
    def _check_rules(module: nn.Module, name: str, paramwise: dict[str, Any]) -> None:
        where = f'JointOptimWrapperConstructor.optimizers.{name}.paramwise_cfg'
        for rule in paramwise:
            check_choice(where, rule, sorted(PARAMWISE_RULES))
        names = [f'{name}.{key}' for key, _ in module.named_parameters()]
        for key in paramwise.get('custom_keys', {}):
            if not any(key in parameter for parameter in names):
                print_log(
                    f'optimizers.{name}.paramwise_cfg.custom_keys: no parameter has `{key}` in its '
                    'name',
                    'current',
                    logging.WARNING,
                )
