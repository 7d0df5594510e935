"""Several optimizers, one iteration: the optimizer wrapper of adversarial training."""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager
from typing import Any, Iterator

import torch
from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper, OptimWrapperDict
from mmengine.registry import OPTIMIZERS
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS
from torch import Tensor, nn

__all__ = ['JointOptimWrapperConstructor', 'JointOptimWrapperDict']

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
DTYPES = {None: None, 'float16': torch.float16, 'bfloat16': torch.bfloat16}


@OPTIM_WRAPPERS.register_module()
class JointOptimWrapperDict(OptimWrapperDict):
    """An :class:`OptimWrapperDict` that forwards, backs up and steps as one.

    Any number of :meth:`backward` calls may come before one :meth:`step`; accumulation is counted
    in iterations (calls of :meth:`step`), and one gradient scaler serves all optimizers: where one
    of them overflows, all skip the step.

    Args:
        dtype: Autocast type, ``None`` (fp32), ``'bfloat16'`` or ``'float16'``; only the last one
            scales the loss.
        loss_scale: ``'dynamic'``, or a constant that an overflow does not lower.
        accumulative_counts: Iterations per optimizer step.
        optim_wrappers: One plain :class:`OptimWrapper` per name.
    """

    takes_several_backwards = True
    """A method may call :meth:`backward` for each of its losses before one :meth:`step`."""

    def __init__(
        self,
        dtype: str | None = None,
        loss_scale: str | float = 'dynamic',
        accumulative_counts: int = 1,
        **optim_wrappers: OptimWrapper,
    ) -> None:
        for name, wrapper in optim_wrappers.items():
            self._check_wrapper(name, wrapper)
        super().__init__(**optim_wrappers)
        if dtype not in DTYPES:
            raise ValueError(
                f'JointOptimWrapperDict.dtype got {dtype!r}; write one of {list(DTYPES)}'
            )
        if not isinstance(accumulative_counts, int) or accumulative_counts < 1:
            raise ValueError(
                'JointOptimWrapperDict.accumulative_counts got '
                f'{accumulative_counts}; write an integer of at least 1'
            )
        if loss_scale != 'dynamic' and not (
            isinstance(loss_scale, (int, float)) and loss_scale > 0
        ):
            raise ValueError(
                f'JointOptimWrapperDict.loss_scale got {loss_scale!r}; write '
                "'dynamic' or a number above 0"
            )
        self.dtype = DTYPES[dtype]
        self.accumulative_counts = accumulative_counts
        self._fixed_scale = None if loss_scale == 'dynamic' else float(loss_scale)
        self.scaler = self._build_scaler() if dtype == 'float16' else None
        self._inner_count = 0
        self._max_counts = -1

    @staticmethod
    def _check_wrapper(name: str, wrapper: Any) -> None:
        if type(wrapper) is not OptimWrapper:
            raise TypeError(
                f'JointOptimWrapperDict.{name} got {type(wrapper).__name__}, neither one of its '
                "options nor a plain OptimWrapper; write an optimizer's own options, such as "
                'clip_grad, into its dict inside `optimizers`, and dtype beside `optimizers`'
            )
        if wrapper._accumulative_counts != 1:
            raise ValueError(
                f'JointOptimWrapperDict.{name}.accumulative_counts got '
                f'{wrapper._accumulative_counts}; write it beside `optimizers`: all step together'
            )

    def _build_scaler(self) -> torch.amp.GradScaler:
        scale = self._fixed_scale or 2.0**16
        if not hasattr(torch.amp, 'GradScaler'):  # torch < 2.3
            return torch.cuda.amp.GradScaler(init_scale=scale)
        return torch.amp.GradScaler(self._device.type, init_scale=scale)

    @property
    def _device(self) -> torch.device:
        wrapper = next(iter(self.optim_wrappers.values()))
        return wrapper.optimizer.param_groups[0]['params'][0].device

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Start counting iterations at ``init_counts`` of ``max_counts``."""
        self._inner_count, self._max_counts = init_counts, max_counts

    def should_update(self) -> bool:
        """Whether the iteration under way ends with an optimizer step."""
        count = self._inner_count + 1
        return count % self.accumulative_counts == 0 or count == self._max_counts

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast, and no gradient synchronisation where no step follows."""
        with ExitStack() as stack:
            if not self.should_update() and hasattr(model, 'no_sync'):
                stack.enter_context(model.no_sync())  # type: ignore[operator]
            if self.dtype is not None:
                stack.enter_context(torch.autocast(self._device.type, dtype=self.dtype))
            yield

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Divide by the iterations that share a step; the last group may be shorter."""
        counts = self.accumulative_counts
        remainder = self._max_counts % counts
        if self._max_counts > 0 and remainder and self._inner_count >= self._max_counts - remainder:
            counts = remainder
        return loss / counts

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Back-propagate one of the iteration's losses."""
        loss = self.scale_loss(loss)
        if self.scaler is not None:
            loss = self.scaler.scale(loss)
        loss.backward(**kwargs)  # type: ignore[no-untyped-call]

    def step(self, **kwargs: Any) -> None:
        """End the iteration: update all optimizers and clear gradients if it is time to."""
        if self.should_update():
            if self.scaler is None:
                for wrapper in self.optim_wrappers.values():
                    wrapper.step(**kwargs)
            else:
                self._scaled_step(self.scaler, **kwargs)
            self.zero_grad()
        self._inner_count += 1

    def _scaled_step(self, scaler: torch.amp.GradScaler, **kwargs: Any) -> None:
        # The scaler refuses an optimizer that got no gradient at all.
        wrappers = [
            wrapper
            for wrapper in self.optim_wrappers.values()
            if any(
                param.grad is not None
                for group in wrapper.optimizer.param_groups
                for param in group['params']
            )
        ]
        overflows: list[Tensor] = []
        for wrapper in wrappers:
            scaler.unscale_(wrapper.optimizer)
            overflows += scaler._found_inf_per_device(wrapper.optimizer).values()
        if overflows:  # one optimizer's overflow is everybody's
            worst = torch.stack(overflows).max()
            for overflow in overflows:
                overflow.copy_(worst)
        for wrapper in wrappers:
            if wrapper.clip_grad_kwargs:
                wrapper._clip_grad()
            scaler.step(wrapper.optimizer, **kwargs)
        if overflows:
            scaler.update(self._fixed_scale)  # None: as the overflows say

    def update_params(
        self,
        loss: Tensor,
        step_kwargs: dict[str, Any] | None = None,
        zero_kwargs: dict[str, Any] | None = None,
    ) -> None:
        """One backward and one step, for loops that have a single loss."""
        self.backward(loss)
        self.step(**(step_kwargs or {}))

    def state_dict(self) -> dict[str, Any]:
        """State of every optimizer, and of the scaler."""
        state = super().state_dict()
        if self.scaler is not None:
            state['loss_scaler'] = self.scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what :meth:`state_dict` gave.

        Raises:
            ValueError: The checkpoint was written with other optimizers.
        """
        state_dict = dict(state_dict)
        scaler_state = state_dict.pop('loss_scaler', None)
        if set(state_dict) != set(self.optim_wrappers):
            raise ValueError(
                f'JointOptimWrapperDict cannot resume: the checkpoint has the optimizers '
                f'{sorted(state_dict)}, the config {sorted(self.optim_wrappers)}; resume with the '
                'config that wrote the checkpoint, or start from it with `load_from`'
            )
        if self.scaler is not None and scaler_state:
            self.scaler.load_state_dict(scaler_state)
        super().load_state_dict(state_dict)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class JointOptimWrapperConstructor:
    """Builds a :class:`JointOptimWrapperDict` from module names.

    Each key of ``optimizers`` names a submodule; its optimizer takes the trainable parameters below
    that name, except those that a longer key claims. Equal settings share one parameter group, so
    that multi-tensor optimizers stay fast.

    Args:
        optim_wrapper_cfg: ``dict(optimizers=dict(<submodule>=dict(optimizer=..., paramwise_cfg=...,
            clip_grad=...)), dtype=..., loss_scale=..., accumulative_counts=...)``.
        paramwise_cfg: Must be None: it belongs into each optimizer's own dict.

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
                'JointOptimWrapperConstructor.paramwise_cfg is set beside '
                '`optimizers`; write it into the dict of the optimizer it is for'
            )
        if not isinstance(cfg.get('optimizers'), dict) or not cfg['optimizers']:
            raise ValueError(
                'JointOptimWrapperConstructor.optimizers got '
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
        """Owner of each trainable parameter, by identity."""
        owners: dict[int, str] = {}
        names: dict[int, str] = {}
        homeless = []
        for name, param in model.named_parameters(remove_duplicate=False):
            if not param.requires_grad:
                continue
            claims = [key for key in self.optimizers if name.startswith(key + '.') or name == key]
            if not claims:
                homeless.append(name)
                continue
            owner = max(claims, key=len)
            if owners.setdefault(id(param), owner) != owner:
                raise ValueError(
                    f'JointOptimWrapperConstructor.optimizers gives {name} to `{owner}` and, as '
                    f'{names[id(param)]}, to `{owners[id(param)]}`; a parameter can have only one '
                    'optimizer: remove one of them or untie the weights'
                )
            names[id(param)] = name
        if homeless:
            raise ValueError(
                f'JointOptimWrapperConstructor.optimizers leaves {len(homeless)} trainable '
                f'parameters without optimizer ({homeless[0]}, ...); add the key '
                f'`{homeless[0].split(".")[0]}` or freeze them'
            )
        return owners

    def _build_one(
        self, model: nn.Module, name: str, cfg: dict[str, Any], owners: dict[int, str]
    ) -> OptimWrapper:
        try:
            module = model.get_submodule(name)
        except AttributeError as error:
            raise ValueError(
                f'JointOptimWrapperConstructor.optimizers got the key `{name}`, but '
                f'{type(model).__name__} has no such submodule; write one of '
                f'{[key for key, _ in model.named_children()]}'
            ) from error
        cfg = dict(cfg)
        paramwise = dict(cfg.pop('paramwise_cfg', None) or {})
        unknown = sorted(paramwise.keys() - PARAMWISE_RULES)
        if unknown:
            raise ValueError(
                f'JointOptimWrapperConstructor.optimizers.{name}.paramwise_cfg got '
                f'the rule {unknown[0]!r}; write one of {sorted(PARAMWISE_RULES)}'
            )
        # The stock constructor applies the rules; we regroup what it says of our own parameters.
        rules = DefaultOptimWrapperConstructor(dict(cfg), paramwise)
        per_parameter: list[dict[str, Any]] = []
        rules.add_params(per_parameter, module, prefix=name)
        names = [f'{name}.{key}' for key, _ in module.named_parameters()]
        for key in paramwise.get('custom_keys', {}):
            if not any(key in parameter for parameter in names):
                print_log(
                    f'optimizers.{name}.paramwise_cfg.custom_keys: no parameter has a name '
                    f'with `{key}`',
                    logger='current',
                    level=logging.WARNING,
                )
        groups: dict[tuple[Any, ...], dict[str, Any]] = {}
        for entry in per_parameter:
            (param,) = entry['params']
            if owners.get(id(param)) != name:
                continue
            settings = {key: value for key, value in entry.items() if key != 'params'}
            key = tuple(sorted((k, repr(v)) for k, v in settings.items()))
            groups.setdefault(key, dict(params=[], **settings))['params'].append(param)
        if not groups:
            raise ValueError(
                f'JointOptimWrapperConstructor.optimizers got the key `{name}`, which '
                'has no trainable parameter; remove it'
            )
        optimizer = OPTIMIZERS.build(dict(cfg.pop('optimizer'), params=list(groups.values())))
        cfg.setdefault('type', 'OptimWrapper')
        return OPTIM_WRAPPERS.build(cfg, default_args=dict(optimizer=optimizer))
