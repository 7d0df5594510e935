"""Whether weights are those of a network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

__all__ = ['misfit']


def misfit(network: nn.Module, state_dict: Mapping[str, Tensor], prefix: str = '') -> str:
    """What of a network's state is missing, or is a parameter of another shape.

    Buffers may differ in shape: some grow with what they store. ``num_batches_tracked`` may be
    missing, as in old files; nothing is computed from it.

    Args:
        network: The network.
        state_dict: Weights.
        prefix: What stands before the network's own names there.

    Returns:
        How many tensors, and which is the first; empty where all fit.
    """
    shapes = {key: parameter.shape for key, parameter in network.named_parameters()}
    keys = list(network.state_dict())
    wrong = []
    for key in keys:
        given = state_dict.get(prefix + key)
        missing = given is None and not key.endswith('num_batches_tracked')
        if missing or (given is not None and given.shape != shapes.get(key, given.shape)):
            wrong.append(prefix + key)
    if not wrong:
        return ''
    return (
        f'{len(wrong)} of {len(keys)} tensors are missing or of another shape, the first is '
        f'{wrong[0]}'
    )
