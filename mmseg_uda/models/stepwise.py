"""Training step of models that yield their losses one after the other."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Iterator

import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmseg.utils import SampleList
from torch import Tensor, nn

from mmseg_uda.models.contexts import frozen_bn_stats
from mmseg_uda.structures import DomainBatch, Losses
from mmseg_uda.utils.arguments import check_choice

__all__ = ['StepwiseModel']


class StepwiseModel(BaseModel):
    """A model that yields its losses on a batch of both domains.

    A subclass implements :meth:`losses`, a generator with one ``dict`` of losses per step of the
    algorithm. Each of them is back-propagated, and its graph freed, before the next one is computed
    (``backward='sequential'``), or all are summed first (``'joint'``); the gradients are the same.

    Args:
        args: As for the next base class.
        backward: ``'sequential'`` (memory of about one pass) or ``'joint'``.
        kwargs: As for the next base class.

    Raises:
        ValueError: ``backward`` is unknown.
    """

    takes_domains: ClassVar[bool] = True
    """Training batches are ``dict(source=..., target=...)``, which stock loops do not make."""

    data_preprocessor: Any

    def __init__(self, *args: Any, backward: str = 'sequential', **kwargs: Any) -> None:
        check_choice(f'{type(self).__name__}.backward', backward, ('sequential', 'joint'))
        super().__init__(*args, **kwargs)
        self.backward_mode = backward

    @abstractmethod
    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """Yield the losses of one iteration, one dict per step of the algorithm."""

    def extra_losses(self) -> Losses:
        """Return losses that are added to those of the current step; none by default."""
        return {}

    def train_step(
        self, data: dict[str, Any], optim_wrapper: OptimWrapper, forward: nn.Module | None = None
    ) -> dict[str, Tensor]:
        """Back-propagate the losses step by step, and update the weights once.

        Args:
            data: ``dict(source=..., target=...)`` from the loop.
            optim_wrapper: With a plain wrapper, which steps after each backward, the losses are
                summed first.
            forward: A distributed wrapper of this module, to be called in its place.

        Returns:
            Scalars to log, on the CPU.
        """
        forward = forward or self
        data = self.data_preprocessor(data, True)
        sequential = getattr(optim_wrapper, 'takes_several_backwards', False)
        if self.backward_mode == 'joint' or not sequential:
            with optim_wrapper.optim_context(forward):
                losses = forward(**data, mode='loss')
            loss, log_vars = self.parse_losses(losses)
            with frozen_bn_stats(self):  # checkpointed layers are computed again
                optim_wrapper.update_params(loss)
            return _to_cpu(log_vars)
        steps = self._steps(DomainBatch.collect(**data))
        log_vars, total = {}, torch.zeros(())
        while True:
            try:
                with optim_wrapper.optim_context(forward):
                    losses = forward(steps, mode='step')
            except StopIteration:
                break
            loss, scalars = self.parse_losses(losses)
            with frozen_bn_stats(self):  # checkpointed layers are computed again
                optim_wrapper.backward(loss)  # frees the step's graph
            total = total + loss.detach()
            log_vars.update(scalars)
        optim_wrapper.step()
        return _to_cpu({**log_vars, 'loss': total})

    def _steps(self, batch: DomainBatch) -> Iterator[Losses]:
        """Add :meth:`extra_losses` to the losses of each step, and check the names."""
        names: set[str] = set()
        for losses in self.losses(batch):
            losses = {**losses, **self.extra_losses()}
            twice = names & losses.keys()
            if twice:
                raise ValueError(
                    f'{type(self).__name__}.losses: expected a name per loss, but got '
                    f'{sorted(twice)} twice; write another domain into `segment`, or other names'
                )
            names |= losses.keys()
            yield losses

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        """Run as the next base class; ``mode='step'`` runs the generator ``inputs`` to its losses.

        Raises:
            StopIteration: The generator has ended. Returning None instead would make a distributed
                wrapper wait for a backward pass.
        """
        if mode == 'step':
            return next(inputs)
        return super().forward(inputs, data_samples, mode)

    def loss(self, inputs: dict[str, Tensor], data_samples: dict[str, SampleList]) -> Losses:
        """Compute all losses of an iteration at once, for stock wrappers and loops."""
        merged: Losses = {}
        for losses in self._steps(DomainBatch.collect(inputs, data_samples)):
            merged.update(losses)
        return merged


def _to_cpu(log_vars: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy scalars in a single transfer; loggers would wait for the device once per scalar."""
    return dict(zip(log_vars, torch.stack([value.detach() for value in log_vars.values()]).cpu()))
