"""Training steps on fake tensors, which have shapes but no values."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ['LiveBytes', 'SavedBytes', 'fake_tensors']

aten = torch.ops.aten


@contextmanager
def fake_tensors(num_classes: int) -> Iterator[LiveBytes]:
    """Make all tensors of a block fake: nothing is computed, and no memory is taken.

    Where code looks at a value, it finds 1, True, or 0.5 for a real number; ``unique`` finds
    ``num_classes`` values, and a mask selects everything. Sizes that depend on values are therefore
    upper bounds.

    Yields:
        The bytes of all tensors that are alive.
    """
    live = LiveBytes()
    with FakeTensorMode(allow_non_fake_inputs=True), _Answers(num_classes, live):
        yield live


class LiveBytes:
    """Counts the bytes of the tensors that are alive; each storage counts once."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self.now = self.peak = 0

    def add(self, tensor: Tensor) -> None:
        """Count a tensor from now on, until its storage is freed."""
        storage = tensor.untyped_storage()
        if storage._cdata in self._known:
            return
        self._known.add(storage._cdata)
        weakref.finalize(storage, self._free, storage._cdata, storage.nbytes())
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


class SavedBytes:
    """Counts the bytes that graphs hold for their backward passes, in a ``with`` block.

    A storage counts once however often it is saved, as long as a graph holds it.

    Args:
        but: Tensors that do not count: what is there anyway, such as parameters.
    """

    def __init__(self, but: Iterable[Tensor]) -> None:
        self._out = {each.untyped_storage()._cdata for each in but}
        self._holders: Counter[int] = Counter()
        self.now = self.peak = 0

    def __enter__(self) -> SavedBytes:
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._save, lambda held: held.tensor)
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._hooks.__exit__(*error)

    def _save(self, tensor: Tensor) -> _Held:
        held, storage = _Held(tensor), tensor.untyped_storage()
        if storage._cdata in self._out:
            return held
        self._holders[storage._cdata] += 1
        if self._holders[storage._cdata] == 1:
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
        weakref.finalize(held, self._free, storage._cdata, storage.nbytes())
        return held

    def _free(self, key: int, size: int) -> None:
        self._holders[key] -= 1
        if not self._holders[key]:
            self.now -= size


class _Held:
    """A saved tensor; a tensor itself would be saved by its own graph."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class _Answers(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Answers the operators whose result depends on values, which the fake mode refuses."""

    def __init__(self, num_classes: int, live: LiveBytes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.num_classes = num_classes
        self.live = live

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        packet = func.overloadpacket
        if packet in (aten.index, aten.index_put, aten.index_put_):
            indices = [each for index in args[1] for each in _positions(index)]
            args = (args[0], indices, *args[2:])
        if packet in ANSWERS:
            result = ANSWERS[packet](self, *args, **(kwargs or {}))
        else:
            result = func(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, Tensor):
                self.live.add(each)
        return result

    def item(self, tensor: Tensor) -> Any:
        if tensor.dtype.is_floating_point:
            return 0.5
        return True if tensor.dtype == torch.bool else 1

    def nonzero(self, tensor: Tensor) -> Tensor:
        return tensor.new_zeros((tensor.numel(), tensor.dim()), dtype=torch.long)

    def unique(self, tensor: Tensor, *_: Any, **__: Any) -> tuple[Tensor, ...]:
        found = tensor.new_zeros(min(self.num_classes, tensor.numel()))
        return found, tensor.new_zeros(tensor.shape, dtype=torch.long), found.long()

    def bincount(self, tensor: Tensor, weights: Any = None, minlength: int = 0) -> Tensor:
        dtype = torch.long if weights is None else torch.float64
        return tensor.new_zeros(max(minlength, self.num_classes), dtype=dtype)

    def masked_select(self, tensor: Tensor, mask: Tensor) -> Tensor:
        return (tensor.to(torch.bool) & mask).flatten().to(tensor.dtype)

    def equal(self, one: Tensor, other: Tensor) -> bool:
        return True


def _positions(index: Tensor | None) -> list[Tensor | None]:
    """Give all positions that a mask could select, a tensor per dimension; other indices as is."""
    if index is None or index.dtype not in (torch.bool, torch.uint8):
        return [index]
    return [index.new_zeros(index.numel(), dtype=torch.long) for _ in range(index.dim())]


ANSWERS: dict[Any, Callable[..., Any]] = {
    aten._local_scalar_dense: _Answers.item,
    aten.nonzero: _Answers.nonzero,
    aten._unique2: _Answers.unique,
    aten.unique_dim: _Answers.unique,
    aten.unique_consecutive: _Answers.unique,
    aten.bincount: _Answers.bincount,
    aten.masked_select: _Answers.masked_select,
    aten.equal: _Answers.equal,
}
