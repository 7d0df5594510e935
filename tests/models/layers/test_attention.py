"""Attention against loops over positions, and what it holds in memory."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.profiler import ProfilerActivity, profile
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from mmseg_uda.models.layers import (
    attend,
    attention_map,
    channel_attend,
    channel_attend_both,
    cosine_attend,
    cosine_attention_map,
)

# Queries, keys, depth, channels of the values, images.
SIZES = [(5, 5, 3, 4, 1), (5, 8, 3, 4, 2), (8, 5, 1, 2, 3), (1, 6, 2, 3, 2), (6, 1, 2, 3, 2)]
CHUNKS = [1, 8, 13, 24, 10**6]  # one row and less, several rows, a remainder, everything


def draw(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype).requires_grad_()


def slow_attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """o_i = sum_j exp(q_i . k_j) v_j / sum_j exp(q_i . k_j), term by term."""
    images = []
    for q, k, v in zip(query, key, value):
        columns = []
        for i in range(q.shape[1]):
            terms = [
                torch.exp(sum(q[d, i] * k[d, j] for d in range(q.shape[0])))
                for j in range(k.shape[1])
            ]
            total = sum(terms)
            columns.append(sum(term / total * v[:, j] for j, term in enumerate(terms)))
        images.append(torch.stack(columns, 1))
    return torch.stack(images)


def slow_channel_attend(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """Theta_ij = sum_n q_in k_jn; each side's weights sum to 1 over the other's channels."""
    batch, num_queries, positions = query.shape
    num_keys = key.shape[1]
    to_query, to_key = [], []
    for b in range(batch):
        theta = [
            [sum(query[b, i, n] * key[b, j, n] for n in range(positions)) for j in range(num_keys)]
            for i in range(num_queries)
        ]
        for i in range(num_queries):
            total = sum(torch.exp(theta[i][j]) for j in range(num_keys))
            to_query.append(
                sum(torch.exp(theta[i][j]) / total * key[b, j] for j in range(num_keys))
            )
        for j in range(num_keys):
            total = sum(torch.exp(theta[i][j]) for i in range(num_queries))
            to_key.append(
                sum(torch.exp(theta[i][j]) / total * query[b, i] for i in range(num_queries))
            )
    return torch.stack(to_query).view(query.shape), torch.stack(to_key).view(key.shape)


@pytest.mark.parametrize('chunk', CHUNKS)
@pytest.mark.parametrize(('n_q', 'n_k', 'depth', 'channels', 'batch'), SIZES)
def test_attend_equals_loops(
    n_q: int, n_k: int, depth: int, channels: int, batch: int, chunk: int
) -> None:
    inputs = draw(batch, depth, n_q), draw(batch, depth, n_k), draw(batch, channels, n_k)
    expected, got = slow_attend(*inputs), attend(*inputs, chunk)
    assert_close(got, expected)
    seed = torch.randn_like(expected)
    assert_close(
        torch.autograd.grad(got, inputs, seed), torch.autograd.grad(expected, inputs, seed)
    )


@pytest.mark.parametrize('chunk', [1, 7, 15, 100])
def test_attend_gradcheck(chunk: int) -> None:
    inputs = draw(2, 2, 3), draw(2, 2, 5), draw(2, 3, 5)
    assert gradcheck(lambda *tensors: attend(*tensors, chunk), inputs)


def test_attend_by_hand() -> None:
    # exp(energies) of the only query are 1 and 3: it takes a quarter and three quarters.
    query, key = torch.tensor([[[1.0]]]), torch.tensor([[[0.0, math.log(3)]]])
    value = torch.tensor([[[4.0, 8.0], [0.0, -4.0]]])
    assert_close(attend(query, key, value), torch.tensor([[[7.0], [-3.0]]]))


def test_attend_is_not_scaled_by_depth() -> None:
    query, key, value = torch.ones(1, 4, 1), torch.zeros(1, 4, 2), torch.eye(2)[None]
    key[..., 1] = math.log(3) / 4
    assert_close(attend(query, key, value), torch.tensor([[[0.25], [0.75]]]))


@pytest.mark.parametrize('chunk', [1, 1000, 3001, 1 << 22])
def test_attend_equals_naive_in_fp32(chunk: int) -> None:
    inputs = [
        draw(2, 8, 90, dtype=torch.float32),
        draw(2, 8, 70, dtype=torch.float32),
        draw(2, 16, 70, dtype=torch.float32),
    ]
    query, key, value = inputs
    expected = value @ (query.transpose(1, 2) @ key).softmax(-1).transpose(1, 2)
    got = attend(*inputs, chunk)
    seed = torch.randn_like(expected) / expected[0].numel() ** 0.5
    for one, other in zip(
        (got, *torch.autograd.grad(got, inputs, seed)),
        (expected, *torch.autograd.grad(expected, inputs, seed)),
    ):
        assert_close(one, other, atol=1e-5, rtol=0)


def test_weights_sum_to_one() -> None:
    query, key = 3 * torch.randn(2, 4, 6), 3 * torch.randn(2, 4, 9)
    assert_close(attend(query, key, torch.ones(2, 1, 9), 20), torch.ones(2, 1, 6))
    rows = attention_map(query, key, torch.tensor([0, 5, 2]))
    assert rows.shape == (2, 3, 9)
    assert (rows >= 0).all()
    assert_close(rows.sum(-1), torch.ones(2, 3))
    for b in range(2):
        for row, i in enumerate((0, 5, 2)):
            terms = torch.stack([(query[b, :, i] * key[b, :, j]).sum().exp() for j in range(9)])
            assert_close(rows[b, row], terms / terms.sum())
    identity = torch.eye(9).expand(2, 9, 9)  # values that show the weights themselves
    assert_close(attend(query, key, identity)[:, :, [0, 5, 2]].transpose(1, 2), rows)
    to_query, to_key = channel_attend_both(
        torch.randn(1, 3, 1).expand(1, 3, 4) * 2, torch.ones(1, 5, 4)
    )
    assert_close(to_query, torch.ones(1, 3, 4))
    assert to_key.shape == (1, 5, 4)


def test_large_energies_stay_finite() -> None:
    query, key = torch.full((1, 1, 2), 1e4), torch.tensor([[[0.0, 1e3, 999.0]]])
    inputs = [query.requires_grad_(), key.requires_grad_(), draw(1, 2, 3, dtype=torch.float32)]
    out = attend(*inputs)
    assert_close(out, inputs[2][..., 1:2].expand(1, 2, 2))
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(out.sum(), inputs))
    to_query, to_key = channel_attend_both(1e4 * torch.randn(1, 3, 50), 1e4 * torch.randn(1, 3, 50))
    assert to_query.isfinite().all()
    assert to_key.isfinite().all()


@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_computes_in_fp32(dtype: torch.dtype, autocast: bool) -> None:
    query, key, value = (
        torch.randn(1, c, n).to(dtype).requires_grad_() for c, n in ((64, 20), (64, 30), (4, 30))
    )
    inputs = (query, key, value)
    full = [tensor.detach().float().requires_grad_() for tensor in inputs]
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        out, pair = attend(*inputs), channel_attend_both(query, query)
        in_full = attend(*full)
    expected, pair_expected = attend(*full), channel_attend_both(full[0], full[0])
    assert torch.equal(in_full, expected)
    assert in_full.dtype == torch.float32
    # Equal to the last bit: only the result is rounded.
    assert torch.equal(out, expected.to(dtype))
    for one, other in zip(pair, pair_expected):
        assert torch.equal(one, other.to(dtype))
    seed = torch.randn_like(out)
    grads = torch.autograd.grad(out, inputs, seed)
    for one, other in zip(grads, torch.autograd.grad(expected, full, seed.float())):
        assert torch.equal(one, other.to(dtype))


def test_mixed_dtypes_keep_the_values_dtype() -> None:
    out = attend(torch.randn(1, 2, 3), torch.randn(1, 2, 4), torch.randn(1, 5, 4).bfloat16())
    assert out.dtype == torch.bfloat16


def test_inputs_of_any_stride() -> None:
    query, key, value = draw(2, 7, 3), draw(2, 10, 3), draw(2, 10, 4)
    strided = query.transpose(1, 2), key.transpose(1, 2)[:, :, ::2], value.transpose(1, 2)[..., ::2]
    got = attend(*strided, 7)
    assert_close(got, slow_attend(*strided))
    # The gradient of a sum is expanded from one number.
    assert_close(
        torch.autograd.grad(got.sum(), (query, key, value)),
        torch.autograd.grad(slow_attend(*strided).sum(), (query, key, value)),
    )
    one_for_all = draw(1, 3, 1).expand(2, 3, 5)
    assert_close(
        attend(one_for_all, strided[1], strided[2]),
        slow_attend(one_for_all, strided[1], strided[2]),
    )


def test_only_the_asked_gradients_and_no_second_derivative() -> None:
    query, key, value = draw(1, 2, 3), draw(1, 2, 4).detach(), draw(1, 2, 4)
    loss = attend(query, key, value).square().sum()
    grads = torch.autograd.grad(loss, (query, value), create_graph=True)
    assert [grad.shape for grad in grads] == [query.shape, value.shape]
    with pytest.raises(RuntimeError, match='differentiate twice'):
        grads[1].square().sum().backward()


def test_a_trace_holds_plain_products() -> None:
    tensors = draw(2, 3, 5), draw(2, 3, 8), draw(2, 4, 8)
    traced = torch.jit.trace(attend, tensors)
    operations = {node.kind() for node in traced.inlined_graph.nodes()}
    assert 'aten::bmm' in operations
    assert not any('prim::PythonOp' in kind for kind in operations)
    assert_close(traced(*tensors), attend(*tensors))


@pytest.mark.parametrize(('c_q', 'c_k', 'positions', 'batch'), [(3, 3, 4, 1), (2, 4, 3, 2)])
def test_channel_attend_equals_loops(c_q: int, c_k: int, positions: int, batch: int) -> None:
    inputs = draw(batch, c_q, positions), draw(batch, c_k, positions)
    expected, got = slow_channel_attend(*inputs), channel_attend_both(*inputs)
    assert_close(got, expected)
    seeds = [torch.randn_like(tensor) for tensor in expected]
    assert_close(
        torch.autograd.grad(got, inputs, seeds), torch.autograd.grad(expected, inputs, seeds)
    )
    assert gradcheck(channel_attend_both, inputs)
    assert_close(channel_attend(*inputs), expected[0])
    assert_close(channel_attend(*reversed(inputs)), expected[1])
    assert gradcheck(channel_attend, inputs)


def test_channel_attend_tells_other_formulas_apart() -> None:
    q, k = draw(1, 3, 5).detach(), draw(1, 3, 5).detach()
    to_query, to_key = channel_attend_both(q, k)
    energy = q @ k.transpose(1, 2)
    # DANet subtracts the energies from their maximum: the most alike channels count least.
    flipped = (energy.amax(2, keepdim=True) - energy).softmax(2)
    # B_t B_s^T, as the paper prints it, with its equation (5) and (6) taken literally.
    printed = energy.transpose(1, 2)
    for wrong in (
        flipped @ k,
        printed.softmax(2) @ k,
        printed.softmax(1) @ k,
        energy.softmax(1) @ k,
    ):
        assert (to_query - wrong).abs().max() > 1e-2
    for wrong in (
        flipped.transpose(1, 2) @ q,
        printed.softmax(2).transpose(1, 2) @ q,
        printed.softmax(1).transpose(1, 2) @ q,
        energy.softmax(2).transpose(1, 2) @ q,
    ):
        assert (to_key - wrong).abs().max() > 1e-2


# Positions, depth, channels of the values, images.
COSINE_SIZES = [(5, 3, 4, 1), (7, 4, 4, 2), (6, 1, 2, 3), (1, 2, 3, 2)]


def slow_cosine_attend(feature: Tensor, value: Tensor) -> Tensor:
    """o_i = sum_j max(0, cos(f_i, f_j)) v_j / sum_j max(0, cos(f_i, f_j)), term by term."""
    images = []
    for f, v in zip(feature, value):
        columns = []
        for i in range(f.shape[1]):
            cosines = [
                sum(f[d, i] * f[d, j] for d in range(f.shape[0]))
                / (f[:, i].square().sum().sqrt() * f[:, j].square().sum().sqrt())
                for j in range(f.shape[1])
            ]
            similar = [j for j, cosine in enumerate(cosines) if cosine > 0]
            total = sum(cosines[j] for j in similar)
            columns.append(sum(cosines[j] / total * v[:, j] for j in similar))
        images.append(torch.stack(columns, 1))
    return torch.stack(images)


@pytest.mark.parametrize('chunk', CHUNKS)
@pytest.mark.parametrize(('positions', 'depth', 'channels', 'batch'), COSINE_SIZES)
def test_cosine_attend_equals_loops(
    positions: int, depth: int, channels: int, batch: int, chunk: int
) -> None:
    inputs = draw(batch, depth, positions), draw(batch, channels, positions)
    expected, got = slow_cosine_attend(*inputs), cosine_attend(*inputs, chunk)
    assert_close(got, expected)
    seed = torch.randn_like(expected)
    assert_close(
        torch.autograd.grad(got, inputs, seed), torch.autograd.grad(expected, inputs, seed)
    )


@pytest.mark.parametrize('chunk', [1, 11, 100])
def test_cosine_attend_gradcheck(chunk: int) -> None:
    feature, value = draw(2, 3, 5), draw(2, 2, 5)
    assert gradcheck(lambda f, v: cosine_attend(f, v, chunk), (feature, value))
    # Features that are attended to themselves, as in SAM without its convolution.
    assert gradcheck(lambda f: cosine_attend(f, f, chunk), (feature,))


def test_cosine_attend_by_hand() -> None:
    # The cosine of the first two is 0.6, the third is orthogonal to one and opposes the other.
    feature = torch.tensor([[[5.0, 3.0, 0.0], [0.0, 4.0, -2.0]]])
    value = torch.tensor([[[8.0, 0.0, 7.0]]])
    assert_close(cosine_attend(feature, value), torch.tensor([[[5.0, 3.0, 7.0]]]))
    rows = cosine_attention_map(feature, torch.tensor([1, 2]))
    assert_close(rows, torch.tensor([[[0.375, 0.625, 0.0], [0.0, 0.0, 1.0]]]))
    assert_close(cosine_attend(2.5 * feature, value), cosine_attend(feature, value))


@pytest.mark.parametrize('chunk', [1, 1000, 2701, 1 << 22])
def test_cosine_attend_equals_naive_in_fp32(chunk: int) -> None:
    inputs = draw(2, 8, 90, dtype=torch.float32), draw(2, 16, 90, dtype=torch.float32)
    feature, value = inputs
    length = feature.norm(dim=1)
    weight = (feature.transpose(1, 2) @ feature / (length[:, :, None] * length[:, None])).relu()
    expected = value @ (weight / weight.sum(2, keepdim=True)).transpose(1, 2)
    got = cosine_attend(*inputs, chunk)
    seed = torch.randn_like(expected) / expected[0].numel() ** 0.5
    for one, other in zip(
        (got, *torch.autograd.grad(got, inputs, seed)),
        (expected, *torch.autograd.grad(expected, inputs, seed)),
    ):
        assert_close(one, other, atol=1e-5, rtol=0)


def test_cosine_weights_sum_to_one() -> None:
    feature = torch.randn(2, 4, 9)
    assert_close(cosine_attend(feature, torch.ones(2, 1, 9), 20), torch.ones(2, 1, 9))
    rows = cosine_attention_map(feature, torch.tensor([0, 5, 2]))
    assert rows.shape == (2, 3, 9)
    assert (rows >= 0).all()
    assert_close(rows.sum(-1), torch.ones(2, 3))
    identity = torch.eye(9).expand(2, 9, 9)  # values that show the weights themselves
    assert_close(cosine_attend(feature, identity)[:, :, [0, 5, 2]].transpose(1, 2), rows)


@pytest.mark.parametrize('zeros', [[1], [0, 1, 2]])
@pytest.mark.parametrize('chunk', [1, 100])
def test_zero_features_attend_to_nothing(zeros: list[int], chunk: int) -> None:
    feature, value = draw(1, 4, 3), draw(1, 2, 3)
    with torch.no_grad():
        feature[..., zeros] = 0
    out = cosine_attend(feature, value, chunk)
    assert (out[..., zeros] == 0).all()
    rest = [i for i in range(3) if i not in zeros]
    assert_close(out[..., rest], cosine_attend(feature[..., rest], value[..., rest]))
    grads = torch.autograd.grad(out.sum(), (feature, value))
    assert all(grad.isfinite().all() for grad in grads)
    assert all((grad[..., zeros] == 0).all() for grad in grads)
    rows = cosine_attention_map(feature, torch.arange(3))
    assert (rows[:, zeros] == 0).all()
    assert (rows[..., zeros] == 0).all()


@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_cosine_in_half_precision_computes_in_fp32(dtype: torch.dtype, autocast: bool) -> None:
    # Lengths whose squares float16 does not hold.
    inputs = [
        (scale * torch.randn(1, c, 30)).to(dtype).requires_grad_()
        for c, scale in ((64, 300.0), (4, 1.0))
    ]
    full = [tensor.detach().float().requires_grad_() for tensor in inputs]
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        out, in_full = cosine_attend(*inputs), cosine_attend(*full)
    expected = cosine_attend(*full)
    assert torch.equal(in_full, expected)
    assert torch.equal(out, expected.to(dtype))
    seed = torch.randn_like(out)
    for one, other in zip(
        torch.autograd.grad(out, inputs, seed), torch.autograd.grad(expected, full, seed.float())
    ):
        assert torch.equal(one, other.to(dtype))


def test_a_trace_of_cosines_holds_plain_products() -> None:
    tensors = draw(2, 3, 5), draw(2, 4, 5)
    traced = torch.jit.trace(cosine_attend, tensors)
    operations = {node.kind() for node in traced.inlined_graph.nodes()}
    assert 'aten::bmm' in operations
    assert not any('prim::PythonOp' in kind for kind in operations)
    assert_close(traced(*tensors), cosine_attend(*tensors))


class _Largest(TorchDispatchMode):
    """Elements of the largest tensor that any operator gives, forward and backward."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [x for x in tree_flatten(result)[0] if isinstance(x, Tensor)]
        self.numel = max([self.numel, *(x.numel() for x in tensors)])
        return result


def largest_allocation(call: Callable[[], object], folder: Path) -> int:
    """Bytes of the largest allocation, also of those inside an operator."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        call()
    record.export_chrome_trace(str(folder / 'trace.json'))
    events = json.loads((folder / 'trace.json').read_text())['traceEvents']
    return max(event['args']['Bytes'] for event in events if event.get('name') == '[memory]')


@pytest.mark.parametrize('gradients', [True, False])
@pytest.mark.parametrize(('operator', 'channels'), [(attend, (4, 4, 8)), (cosine_attend, (4, 8))])
def test_no_map_is_ever_in_memory(
    operator: Callable[..., Tensor], channels: tuple[int, ...], gradients: bool, tmp_path: Path
) -> None:
    positions, chunk = 300, 3000
    inputs = [draw(1, c, positions, dtype=torch.float32) for c in channels]

    def run(limit: int) -> None:
        with torch.set_grad_enabled(gradients):
            loss = operator(*inputs, limit).square().sum()
        if gradients:
            loss.backward()

    for limit in (chunk, positions**2):  # the recorders do see a map where there is one
        with _Largest() as largest:
            run(limit)
        # Two chunks of weights and of their gradients are allocated as one.
        assert (largest.numel <= 2 * chunk) == (limit == chunk), largest.numel
        assert (largest_allocation(lambda limit=limit: run(limit), tmp_path) <= 2 * 4 * chunk) == (
            limit == chunk
        )
