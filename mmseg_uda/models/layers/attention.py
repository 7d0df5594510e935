"""Attention whose memory is linear in the number of positions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmseg_uda.models.layers.precision import full_precision, widen

__all__ = [
    'DEFAULT_CHUNK_ELEMENTS',
    'attend',
    'attention_map',
    'channel_attend',
    'channel_attend_both',
    'cosine_attend',
    'cosine_attention_map',
]

DEFAULT_CHUNK_ELEMENTS = 1 << 22
"""Elements of the attention map in memory at once: 16 MiB in fp32."""


class _Attend(torch.autograd.Function):
    """Compute w(q^T k) v in chunks of rows; the backward pass recomputes each chunk.

    Weights w are the softmax of the energies or, with ``rectify``, their ReLU divided by its sum
    over the row (a row of zeros stays one). Either needs one saved number per row: the log-sum-exp,
    or that sum.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, rectify: bool, chunk_elements: int
    ) -> Tensor:
        num_queries, num_keys = query.shape[2], key.shape[2]
        rows = max(1, min(num_queries, chunk_elements // max(num_keys, 1)))  # of one chunk
        out = value.new_empty(value.shape[0], value.shape[1], num_queries)
        norms = query.new_empty(query.shape[0], num_queries, 1)
        buffer = query.new_empty(rows, num_keys)
        # For each image: q (D, N_q), k (D, N_k), v (C, N_k), o (C, N_q), norm (N_q, 1).
        for q, k, v, o, norm in zip(query, key, value, out, norms):
            for start in range(0, num_queries, rows):
                part = slice(start, min(start + rows, num_queries))
                weight = torch.mm(q[:, part].t(), k, out=buffer[: part.stop - start])
                norm[part] = _weigh(weight, rectify)
                torch.mm(v, weight.t(), out=o[:, part])
        ctx.save_for_backward(query, key, value, out, norms)
        ctx.rows, ctx.rectify = rows, rectify
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, norms = ctx.saved_tensors
        grad_query, grad_key, grad_value = (torch.zeros_like(x) for x in (query, key, value))
        weights, grads = query.new_empty(2, ctx.rows, key.shape[2])
        images = zip(query, key, value, out, norms, grad_out, grad_query, grad_key, grad_value)
        for q, k, v, o, norm, grad_o, grad_q, grad_k, grad_v in images:
            for start in range(0, q.shape[1], ctx.rows):
                part = slice(start, min(start + ctx.rows, q.shape[1]))
                grad = grad_o[:, part]
                weight = torch.mm(q[:, part].t(), k, out=weights[: grad.shape[1]])
                _weigh(weight, ctx.rectify, norm[part])
                grad_v.addmm_(grad, weight)
                if ctx.rectify:  # the slope of a weight in its own energy; the softmax's is itself
                    weight.sign_().div_(norm[part])
                # d energy = slope * (dp - sum_j p_j dp_j), and that sum is <grad, out> of each row,
                # so that no second map is needed.
                grad_energy = torch.mm(grad.t(), v, out=grads[: grad.shape[1]])
                grad_energy.sub_((grad * o[:, part]).sum(0).unsqueeze(1)).mul_(weight)
                torch.mm(k, grad_energy.t(), out=grad_q[:, part])
                grad_k.addmm_(q[:, part], grad_energy)
        return grad_query, grad_key, grad_value, None, None


def _weigh(energy: Tensor, rectify: bool, norm: Tensor | None = None) -> Tensor:
    """Turn energies (P, N) into weights, in place, and return each row's saved number (P, 1)."""
    if rectify:
        energy.relu_()
        if norm is None:
            norm = energy.sum(1, keepdim=True)
            norm.masked_fill_(norm == 0, 1)  # a row of zeros stays one
        energy.div_(norm)
    else:
        if norm is None:
            norm = energy.logsumexp(1, keepdim=True)
        energy.sub_(norm).exp_()
    return norm


def attend(
    query: Tensor, key: Tensor, value: Tensor, chunk_elements: int = DEFAULT_CHUNK_ELEMENTS
) -> Tensor:
    r"""Attend every query position to every key position, without scaling.

    .. math:: o_i = \sum_j \operatorname{softmax}_j(q_i \cdot k_j)\, v_j

    The map of N_q x N_k weights is built ``chunk_elements`` at a time and rebuilt in the backward
    pass, so that memory is linear in the number of positions; values and gradients are exact.
    Energies and softmax are computed in fp32 at least, also under autocast.

    Args:
        query: Shape (B, D, N_q).
        key: Shape (B, D, N_k).
        value: Shape (B, C, N_k).
        chunk_elements: Largest number of map elements in memory at once (per image).

    Returns:
        Shape (B, C, N_q), in ``value``'s dtype.

    Examples:
        >>> query, key, value = torch.zeros(1, 2, 3), torch.zeros(1, 2, 4), torch.eye(4)[None]
        >>> attend(query, key, value)[0, :, 0]  # equal energies: the mean of all values
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    with full_precision(query):
        v = widen(value)
        out = _attend(query.to(v.dtype), key.to(v.dtype), v, False, chunk_elements)
    return out.to(value.dtype)


def _attend(q: Tensor, k: Tensor, v: Tensor, rectify: bool, chunk_elements: int) -> Tensor:
    if not _is_exported():
        return _Attend.apply(q, k, v, rectify, chunk_elements)  # type: ignore
    # Counters of operations and exporters read plain products, not writes to buffers.
    weight = _cosine_rows(q, k) if rectify else torch.bmm(q.transpose(1, 2), k).softmax(2)
    return torch.bmm(v, weight.transpose(1, 2))  # weight (B, N_q, N_k), result (B, C, N_q)


def _is_exported() -> bool:
    traced = torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
    return traced or getattr(torch.compiler, 'is_exporting', lambda: False)()  # of torch 2.7


def attention_map(query: Tensor, key: Tensor, positions: Tensor) -> Tensor:
    """Compute rows of the attention map of :func:`attend`, for figures.

    Args:
        query: Shape (B, D, N_q).
        key: Shape (B, D, N_k).
        positions: Indices into N_q, shape (P,).

    Returns:
        Shape (B, P, N_k); rows sum to 1.

    Examples:
        >>> attention_map(torch.zeros(1, 2, 3), torch.zeros(1, 2, 4), torch.tensor([2]))
        tensor([[[0.2500, 0.2500, 0.2500, 0.2500]]])
    """
    energy = torch.einsum('bdp,bdk->bpk', query[..., positions].float(), key.float())
    return energy.softmax(-1)


def cosine_attend(
    feature: Tensor, value: Tensor, chunk_elements: int = DEFAULT_CHUNK_ELEMENTS
) -> Tensor:
    r"""Attend every position to the positions whose features point the same way.

    .. math:: o_i = \frac{\sum_j \operatorname{ReLU}(\cos(f_i, f_j))\, v_j}
                         {\sum_j \operatorname{ReLU}(\cos(f_i, f_j))}

    Memory, precision and exactness are as for :func:`attend`. A feature of zeros has weight 0 for
    every other: its position receives zeros and contributes nothing.

    Args:
        feature: Shape (B, D, N).
        value: Shape (B, C, N).
        chunk_elements: Largest number of map elements in memory at once (per image).

    Returns:
        Shape (B, C, N), in ``value``'s dtype.

    Examples:
        >>> feature = torch.tensor([[[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]]])  # the first two are alike
        >>> cosine_attend(feature, torch.tensor([[[1.0, 3.0, 7.0]]]))
        tensor([[[2., 2., 7.]]])
    """
    with full_precision(feature):
        v = widen(value)
        unit = _unit(feature.to(v.dtype))
        out = _attend(unit, unit, v, True, chunk_elements)
    return out.to(value.dtype)


def cosine_attention_map(feature: Tensor, positions: Tensor) -> Tensor:
    """Compute rows of the attention map of :func:`cosine_attend`, for figures.

    Args:
        feature: Shape (B, D, N).
        positions: Indices into N, shape (P,).

    Returns:
        Shape (B, P, N); rows sum to 1, or are 0 for a feature of zeros.

    Examples:
        >>> feature = torch.tensor([[[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]]])
        >>> cosine_attention_map(feature, torch.tensor([0]))
        tensor([[[0.5000, 0.5000, 0.0000]]])
    """
    unit = _unit(feature.float())
    return _cosine_rows(unit[..., positions], unit)


def _unit(feature: Tensor) -> Tensor:
    """Divide features (B, D, N) by their length; features of zeros stay so."""
    length = torch.linalg.vector_norm(feature, dim=1, keepdim=True)  # (B, 1, N)
    return feature / length.masked_fill(length == 0, float('inf'))


def _cosine_rows(query: Tensor, key: Tensor) -> Tensor:
    """Compute rows of the map, (B, P, N), between unit vectors (B, D, P) and (B, D, N)."""
    weight = torch.bmm(query.transpose(1, 2), key).relu()
    total = weight.sum(2, keepdim=True)  # (B, P, 1)
    return weight / total.masked_fill(total == 0, 1)


def channel_attend(query: Tensor, key: Tensor) -> Tensor:
    r"""Attend the channels of one map to those of another.

    .. math:: o = \operatorname{softmax}_j(q k^\top)\, k

    Energies are sums over thousands of positions, hence fp32 at least.

    Args:
        query: Shape (B, C_q, N).
        key: Shape (B, C_k, N).

    Returns:
        Shape (B, C_q, N), in ``query``'s dtype.

    Examples:
        >>> channel_attend(torch.zeros(1, 2, 3), torch.ones(1, 4, 3))[0, 0]  # mean over channels
        tensor([1., 1., 1.])
    """
    with full_precision(query):
        q = widen(query)
        k = key.to(q.dtype)
        out = torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(2), k)
    return out.to(query.dtype)


def channel_attend_both(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    r"""Compute :func:`channel_attend` both ways, from the same energies.

    .. math:: \Theta = q k^\top, \quad
              o^q = \operatorname{softmax}_j(\Theta)\, k, \quad
              o^k = \operatorname{softmax}_i(\Theta)^\top q

    Args:
        query: Shape (B, C_q, N).
        key: Shape (B, C_k, N).

    Returns:
        The values that each side receives, shapes (B, C_q, N) and (B, C_k, N), in the inputs'
        dtype.

    Examples:
        >>> query, key = torch.zeros(1, 2, 3), torch.ones(1, 4, 3)
        >>> to_query, to_key = channel_attend_both(query, key)
        >>> to_query[0, 0], to_key[0, 0]  # means over the other side's channels
        (tensor([1., 1., 1.]), tensor([0., 0., 0.]))
    """
    with full_precision(query):
        q = widen(query)
        k = key.to(q.dtype)
        energy = torch.bmm(q, k.transpose(1, 2))  # (B, C_q, C_k)
        to_query = torch.bmm(energy.softmax(2), k)
        to_key = torch.bmm(energy.softmax(1).transpose(1, 2), q)
    return to_query.to(query.dtype), to_key.to(key.dtype)
