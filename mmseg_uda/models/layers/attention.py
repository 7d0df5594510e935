"""Attention arithmetic that never holds a position-by-position map."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = [
    'DEFAULT_CHUNK_ELEMENTS',
    'attend',
    'attention_map',
    'channel_attend',
    'cosine_attend',
    'cosine_attention_map',
]

DEFAULT_CHUNK_ELEMENTS = 1 << 22
"""Elements of the attention map alive at once: 16 MiB in fp32."""


class _Attend(torch.autograd.Function):
    """w(q kᵀ) v in row chunks; backward recomputes each chunk from one number for each row.

    Weights w are the softmax, which that number (the log-sum-exp) makes of energies, or with
    ``rectify`` the energies after a ReLU, divided by it (their sum; a row of zeros stays one).
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, rectify: bool, chunk_elements: int
    ) -> Tensor:
        num_queries, num_keys = query.shape[2], key.shape[2]
        rows = max(1, min(num_queries, chunk_elements // max(num_keys, 1)))
        out = value.new_empty(value.shape[0], value.shape[1], num_queries)
        norms = query.new_empty(query.shape[0], num_queries, 1)
        buffer = query.new_empty(rows, num_keys)
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
                # d energy = slope * (dp - sum_j p_j dp_j), and that sum is <grad, out> row by row.
                grad_energy = torch.mm(grad.t(), v, out=grads[: grad.shape[1]])
                grad_energy.sub_((grad * o[:, part]).sum(0).unsqueeze(1)).mul_(weight)
                torch.mm(k, grad_energy.t(), out=grad_q[:, part])
                grad_k.addmm_(q[:, part], grad_energy)
        return grad_query, grad_key, grad_value, None, None


def _weigh(energy: Tensor, rectify: bool, norm: Tensor | None = None) -> Tensor:
    """Turn energies (P, N) into weights, in place; give back each row's number (P, 1)."""
    if rectify:
        energy.relu_()
        if norm is None:
            norm = energy.sum(1, keepdim=True)
            norm.masked_fill_(norm == 0, 1)
        energy.div_(norm)
    else:
        if norm is None:
            norm = energy.logsumexp(1, keepdim=True)
        energy.sub_(norm).exp_()
    return norm


def attend(
    query: Tensor, key: Tensor, value: Tensor, chunk_elements: int = DEFAULT_CHUNK_ELEMENTS
) -> Tensor:
    r"""Attend every query position to every key position, unscaled.

    .. math:: o_i = \sum_j \operatorname{softmax}_j(q_i \cdot k_j)\, v_j

    The map of N_q x N_k weights is built ``chunk_elements`` at a time and rebuilt in the backward
    pass, so that memory is linear in the number of positions; values and gradients are exact.
    Energies and softmax are computed in fp32 at least, whatever autocast says.

    Args:
        query: Shape (B, D, N_q).
        key: Shape (B, D, N_k).
        value: Shape (B, C, N_k).
        chunk_elements: Largest number of map elements alive at once (per image).

    Returns:
        Shape (B, C, N_q), in ``value``'s dtype.
    """
    dtype = torch.promote_types(value.dtype, torch.float32)
    with torch.autocast(query.device.type, enabled=False):
        q, k, v = query.to(dtype), key.to(dtype), value.to(dtype)
        out: Tensor
        if torch.jit.is_tracing():  # type: ignore
            # Counters of operations and exporters read plain products, not writes to buffers.
            weight = torch.bmm(q.transpose(1, 2), k).softmax(2)
            out = torch.bmm(v, weight.transpose(1, 2))
        else:
            out = _Attend.apply(q, k, v, False, chunk_elements)  # type: ignore
    return out.to(value.dtype)


def attention_map(query: Tensor, key: Tensor, positions: Tensor) -> Tensor:
    """Rows of the attention map of :func:`attend` for a few query positions, to look at.

    Args:
        query: Shape (B, D, N_q).
        key: Shape (B, D, N_k).
        positions: Indices into N_q, shape (P,).

    Returns:
        Shape (B, P, N_k); rows sum to 1.
    """
    energy = torch.einsum('bdp,bdk->bpk', query[..., positions].float(), key.float())
    return energy.softmax(-1)


def cosine_attend(
    feature: Tensor, value: Tensor, chunk_elements: int = DEFAULT_CHUNK_ELEMENTS
) -> Tensor:
    r"""Attend every position to the positions whose features point the same way.

    .. math:: o_i = \frac{\sum_j \operatorname{ReLU}(\cos(f_i, f_j))\, v_j}
                         {\sum_j \operatorname{ReLU}(\cos(f_i, f_j))}

    Memory, precision and exactness are as for :func:`attend`. A feature of zeros is like no other:
    its position receives zeros, and gives nothing.

    Args:
        feature: Shape (B, D, N).
        value: Shape (B, C, N).
        chunk_elements: Largest number of map elements alive at once (per image).

    Returns:
        Shape (B, C, N), in ``value``'s dtype.
    """
    dtype = torch.promote_types(value.dtype, torch.float32)
    with torch.autocast(feature.device.type, enabled=False):
        unit, v = _unit(feature.to(dtype)), value.to(dtype)
        out: Tensor
        if torch.jit.is_tracing():  # type: ignore
            out = torch.bmm(v, _cosine_rows(unit, unit).transpose(1, 2))
        else:
            out = _Attend.apply(unit, unit, v, True, chunk_elements)  # type: ignore
    return out.to(value.dtype)


def cosine_attention_map(feature: Tensor, positions: Tensor) -> Tensor:
    """Rows of the attention map of :func:`cosine_attend` for a few positions, to look at.

    Args:
        feature: Shape (B, D, N).
        positions: Indices into N, shape (P,).

    Returns:
        Shape (B, P, N); rows sum to 1, or are 0 for a feature of zeros.
    """
    unit = _unit(feature.float())
    return _cosine_rows(unit[..., positions], unit)


def _unit(feature: Tensor) -> Tensor:
    """Features (B, D, N) divided by their length; zeros where that is 0."""
    length = torch.linalg.vector_norm(feature, dim=1, keepdim=True)
    return feature / length.masked_fill(length == 0, float('inf'))


def _cosine_rows(query: Tensor, key: Tensor) -> Tensor:
    """Whole rows of the map (B, P, N) between unit vectors (B, D, P) and (B, D, N)."""
    weight = torch.bmm(query.transpose(1, 2), key).relu()
    total = weight.sum(2, keepdim=True)
    return weight / total.masked_fill(total == 0, 1)


def channel_attend(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    r"""Attend the channels of two maps to one another, both ways.

    .. math:: \Theta = q k^\top, \quad
              o^q = \operatorname{softmax}_j(\Theta)\, k, \quad
              o^k = \operatorname{softmax}_i(\Theta)^\top q

    Energies sum over thousands of positions, hence fp32 at least.

    Args:
        query: Shape (B, C_q, N).
        key: Shape (B, C_k, N).

    Returns:
        What each side receives: shapes (B, C_q, N) and (B, C_k, N), in the inputs' dtype.
    """
    dtype = torch.promote_types(query.dtype, torch.float32)
    with torch.autocast(query.device.type, enabled=False):
        q, k = query.to(dtype), key.to(dtype)
        energy = torch.bmm(q, k.transpose(1, 2))
        to_query = torch.bmm(energy.softmax(2), k)
        to_key = torch.bmm(energy.softmax(1).transpose(1, 2), q)
    return to_query.to(query.dtype), to_key.to(key.dtype)
