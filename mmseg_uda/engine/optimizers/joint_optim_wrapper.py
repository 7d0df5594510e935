"""Several optimizers, one iteration: the optimizer wrapper of adversarial training."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import Any, Iterator

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmseg.registry import OPTIM_WRAPPERS
from torch import Tensor, nn

from mmseg_uda.utils.arguments import check_choice, check_integer, check_number, expect

__all__ = ['JointOptimWrapperDict']

DTYPES = {None: None, 'float16': torch.float16, 'bfloat16': torch.bfloat16}


@OPTIM_WRAPPERS.register_module()
class JointOptimWrapperDict(OptimWrapperDict):
    """An :class:`OptimWrapperDict` whose optimizers share the forward, the backward and the step.

    Any number of :meth:`backward` calls may precede one :meth:`step`. Accumulation is counted in
    iterations, that is in calls of :meth:`step`. One gradient scaler serves all optimizers: if one
    of them overflows, all skip the step.

    Args:
        dtype: Autocast type: None (fp32), ``'bfloat16'`` or ``'float16'``; only ``'float16'``
            scales the loss.
        loss_scale: ``'dynamic'``, or a constant above 0 that an overflow does not lower.
        accumulative_counts: Iterations per optimizer step, at least 1.
        optim_wrappers: One plain :class:`OptimWrapper` per name.

    Raises:
        TypeError: If one of ``optim_wrappers`` is no plain :class:`OptimWrapper`.
        ValueError: If an argument is out of range, or one of ``optim_wrappers`` accumulates by
            itself.
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
        check_choice('JointOptimWrapperDict.dtype', dtype, tuple(DTYPES))
        check_integer('JointOptimWrapperDict.accumulative_counts', accumulative_counts, 1)
        if isinstance(loss_scale, str):
            key = 'JointOptimWrapperDict.loss_scale'
            expect(loss_scale == 'dynamic', key, "'dynamic' or a number above 0", loss_scale)
        else:
            check_number('JointOptimWrapperDict.loss_scale', loss_scale, '(0, inf)')
        for name, wrapper in optim_wrappers.items():
            self._check_wrapper(name, wrapper)
        super().__init__(**optim_wrappers)
        self.dtype = DTYPES[dtype]
        self.accumulative_counts = accumulative_counts
        self._fixed_scale = None if loss_scale == 'dynamic' else float(loss_scale)
        self.scaler = self._build_scaler() if dtype == 'float16' else None
        self.overflowed = False  # True if the latest step was skipped for infinite gradients
        self._inner_count = 0
        self._max_counts = -1

    @staticmethod
    def _check_wrapper(name: str, wrapper: Any) -> None:
        if type(wrapper) is not OptimWrapper:
            raise TypeError(
                f'JointOptimWrapperDict.{name}: expected an option or a plain OptimWrapper, but '
                f"got {type(wrapper).__name__}; write an optimizer's own options, such as "
                'clip_grad, into its dict inside `optimizers`, and dtype beside `optimizers`'
            )
        if wrapper._accumulative_counts != 1:
            raise ValueError(
                f'JointOptimWrapperDict.{name}.accumulative_counts: expected 1, as all optimizers '
                f'step together, but got {wrapper._accumulative_counts}; write it beside '
                '`optimizers`'
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
        """Return True if the current iteration ends with an optimizer step."""
        count = self._inner_count + 1
        return count % self.accumulative_counts == 0 or count == self._max_counts

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast, and skip gradient synchronisation where no step follows."""
        with ExitStack() as stack:
            if not self.should_update() and hasattr(model, 'no_sync'):
                stack.enter_context(model.no_sync())  # type: ignore[operator]
            if self.dtype is not None:
                stack.enter_context(torch.autocast(self._device.type, dtype=self.dtype))
            yield

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Divide by the number of iterations that share a step."""
        # The last group of a training may be shorter.
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
        """End the iteration; update all optimizers and clear gradients if a step is due."""
        self.overflowed = False
        if self.should_update():
            if self.scaler is None:
                for wrapper in self.optim_wrappers.values():
                    wrapper.step(**kwargs)
            else:
                self._scaled_step(self.scaler, **kwargs)
            self.zero_grad()
        self._inner_count += 1

    def _scaled_step(self, scaler: torch.amp.GradScaler, **kwargs: Any) -> None:
        # The scaler raises an error for an optimizer without any gradient.
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
        if overflows:  # an overflow in one optimizer makes all of them skip the step
            worst = torch.stack(overflows).max()
            for overflow in overflows:
                overflow.copy_(worst)
        for wrapper in wrappers:
            if wrapper.clip_grad_kwargs:
                wrapper._clip_grad()
            scaler.step(wrapper.optimizer, **kwargs)
        if overflows:
            self.overflowed = bool(worst)  # the scaler's steps have waited for it
            scaler.update(self._fixed_scale)  # None lets the scaler adapt

    def update_params(
        self,
        loss: Tensor,
        step_kwargs: dict[str, Any] | None = None,
        zero_kwargs: dict[str, Any] | None = None,
    ) -> None:
        """Run one backward and one step, for loops that have a single loss."""
        self.backward(loss)
        self.step(**(step_kwargs or {}))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every optimizer, and of the scaler."""
        state = super().state_dict()
        if self.scaler is not None:
            state['loss_scaler'] = self.scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state that :meth:`state_dict` returned.

        Raises:
            ValueError: The checkpoint was written with other optimizers.
        """
        state_dict = dict(state_dict)
        scaler_state = state_dict.pop('loss_scaler', None)
        if set(state_dict) != set(self.optim_wrappers):
            raise ValueError(
                'JointOptimWrapperDict: expected a checkpoint with the optimizers '
                f'{sorted(self.optim_wrappers)}, but got one with {sorted(state_dict)}; resume '
                'with the config that wrote the checkpoint, or start from it with `load_from`'
            )
        if self.scaler is not None and scaler_state:
            self.scaler.load_state_dict(scaler_state)
        super().load_state_dict(state_dict)
