"""Compare the spatial attention of CDANet or SAM with its naive form: exactness, memory and time.

The naive form keeps the map of all positions by all positions for the backward pass. Without
arguments the sizes are those of ResNet-101 on a 1024x512 target: 65x129 positions, and for CDANet
2048 channels, for SAM (--attention sam) the scores of 19 classes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Callable

import torch
from torch import Tensor

from mmseg_uda.models.layers import attend, cosine_attend
from mmseg_uda.models.layers.attention import DEFAULT_CHUNK_ELEMENTS
from mmseg_uda.utils.memory import peak_memory

Form = Callable[..., tuple[Tensor, ...]]
INPUTS = dict(
    cdanet=('query', 'key', 'value of the source', 'value of the target'), sam=('feature', 'value')
)
OUTPUTS = dict(cdanet=('output for the target', 'output for the source'), sam=('output',))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--attention', choices=tuple(INPUTS), default='cdanet')
    parser.add_argument('--positions', type=int, default=65 * 129, help='of each feature map')
    parser.add_argument(
        '--channels',
        type=int,
        help='of the values; 2048, with --attention sam 19 (of the features too)',
    )
    parser.add_argument(
        '--reduction',
        type=int,
        default=8,
        help='queries and keys have channels / reduction channels',
    )
    parser.add_argument(
        '--chunk',
        type=int,
        default=DEFAULT_CHUNK_ELEMENTS,
        help='elements of the map alive at once',
    )
    parser.add_argument(
        '--directions',
        type=int,
        choices=(1, 2),
        default=2,
        help='of CDANet; 1: the target attends to the source; 2: and vice versa '
        '(the naive form then computes the energies once)',
    )
    parser.add_argument('--no-gradients', action='store_true', help='forward only')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--dtype', default='float32', choices=('float32', 'float64', 'bfloat16'))
    parser.add_argument('--repeat', type=int, default=3, help='timed runs, the median counts')
    args = parser.parse_args(argv)
    args.channels = args.channels or dict(cdanet=2048, sam=19)[args.attention]
    return args


def naive(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    value_target: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """The equations as they are printed; energies in fp32 at least."""
    dtype = torch.promote_types(value.dtype, torch.float32)
    energy = torch.bmm(query.to(dtype).transpose(1, 2), key.to(dtype))
    out = torch.bmm(value.to(dtype), energy.softmax(1)).to(value.dtype)
    if value_target is None:
        return (out,)
    back = torch.bmm(value_target.to(dtype), energy.softmax(2).transpose(1, 2))
    return out, back.to(value.dtype)


def naive_cosine(feature: Tensor, value: Tensor) -> tuple[Tensor, ...]:
    """SAM's equations, with as few maps as autograd allows."""
    unit = torch.nn.functional.normalize(feature, dim=1)
    weight = torch.bmm(unit.transpose(1, 2), unit).relu_()
    weight = weight / weight.sum(2, keepdim=True)
    return (torch.bmm(value, weight.transpose(1, 2)),)


def chunked_cosine(chunk: int) -> Form:
    """The package's form of SAM's attention."""
    return lambda feature, value: (cosine_attend(feature, value, chunk),)


def chunked(chunk: int) -> Form:
    """The package's form of CDANet's attention."""

    def form(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        value_target: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        out = attend(key, query, value, chunk)
        if value_target is None:
            return (out,)
        return out, attend(query, key, value_target, chunk)

    return form


def run(form: Form, inputs: list[Tensor], seeds: list[Tensor]) -> tuple[Tensor, ...]:
    """Outputs, and the inputs' gradients for given gradients of the outputs, if there are any."""
    if not seeds:
        with torch.no_grad():
            return form(*inputs)
    outputs = form(*inputs)
    return (*(out.detach() for out in outputs), *torch.autograd.grad(outputs, inputs, seeds))


def timing(call: Callable[[], object], device: torch.device, repeat: int) -> tuple[float, float]:
    """Seconds of one call: elapsed, and of processor time; medians."""

    def wait() -> None:
        if device.type == 'cuda':
            torch.cuda.synchronize()

    if device.type == 'cuda':
        call()  # choose kernels
    elapsed, busy = [], []
    for _ in range(repeat):
        wait()
        start = time.perf_counter(), time.process_time()
        call()
        wait()
        elapsed.append(time.perf_counter() - start[0])
        busy.append(time.process_time() - start[1])
    return statistics.median(elapsed), statistics.median(busy)


def report_errors(expected: tuple[Tensor, ...], got: tuple[Tensor, ...], names: list[str]) -> None:
    print(f'\n{"max abs error":<32}{"absolute":>12}{"of largest":>12}')
    for name, reference, value in zip(names, expected, got):
        error = (value - reference).abs().max().item()
        print(f'{name:<32}{error:>12.2e}{error / reference.abs().max().item():>12.2e}')


def draw_inputs(
    args: argparse.Namespace,
    device: torch.device,
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Inputs by name, and gradients of the outputs."""
    generator = torch.Generator().manual_seed(0)

    def draw(channels: int, scale: float = 1.0) -> Tensor:
        values = scale * torch.randn(1, channels, args.positions, generator=generator)
        return values.to(device, getattr(torch, args.dtype))

    if args.attention == 'sam':
        inputs, outputs = [draw(args.channels) for _ in range(2)], 1
    else:
        depth, outputs = depth_of(args), args.directions
        # Energies with a deviation of 2: neither one position takes all, nor do all get the same.
        inputs = [draw(depth, (2 / depth**0.5) ** 0.5) for _ in range(2)]
        inputs += [draw(args.channels) for _ in range(outputs)]
    named = {name: value.requires_grad_() for name, value in zip(INPUTS[args.attention], inputs)}
    return named, [] if args.no_gradients else [draw(args.channels) for _ in range(outputs)]


def depth_of(args: argparse.Namespace) -> int:
    """Channels of CDANet's queries and keys."""
    return max(1, args.channels // args.reduction)


def headline(args: argparse.Namespace, device: torch.device) -> str:
    where = (
        torch.cuda.get_device_name(device)
        if device.type == 'cuda'
        else f'CPU, {torch.get_num_threads()} thread(s)'
    )
    kind = (
        'self-attention by cosines'
        if args.attention == 'sam'
        else (f'queries and keys: {depth_of(args)}')
    )
    ways = '' if args.attention == 'sam' else f'{args.directions} direction(s), '
    return (
        f'torch {torch.__version__}, {where}, {args.dtype}\n{args.positions} positions, '
        f'{args.channels} channels ({kind}), {ways}chunks of {args.chunk} elements'
    )


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Print the comparison.

    Returns:
        ``memory`` and ``time``: ours as a share of the naive form's.
    """
    args = parse_args(argv)
    device = torch.device(args.device)
    named, seeds = draw_inputs(args, device)
    inputs = list(named.values())
    if args.attention == 'sam':
        forms: dict[str, Form] = dict(naive=naive_cosine, chunked=chunked_cosine(args.chunk))
    else:
        forms = dict(naive=naive, chunked=chunked(args.chunk))
    print(headline(args, device))

    results = {name: run(form, inputs, seeds) for name, form in forms.items()}
    count = len(results['naive']) - (len(inputs) if seeds else 0)
    names = [*OUTPUTS[args.attention][:count], *(f'gradient of {name}' for name in named)]
    report_errors(results['naive'], results['chunked'], names)
    results.clear()
    memory, seconds = {}, {}
    for name, form in forms.items():

        def call(form: Form = form) -> tuple[Tensor, ...]:
            return run(form, inputs, seeds)

        memory[name] = peak_memory(call, device)
        seconds[name] = timing(call, device, args.repeat)
    title = 'forward + backward' if seeds else 'forward without gradients'
    print(f'\n{title:<32}{"naive":>12}{"chunked":>12}{"ratio":>8}')
    rows = [
        ('peak beyond inputs/outputs, MiB', {k: v / 2**20 for k, v in memory.items()}),
        ('elapsed, s', {k: v[0] for k, v in seconds.items()}),
    ]
    if device.type == 'cpu':
        rows.append(('processor time, s', {k: v[1] for k, v in seconds.items()}))
    ratios = []
    for name, row in rows:
        ratios.append(row['chunked'] / max(row['naive'], 1e-12))
        print(f'{name:<32}{row["naive"]:>12.4g}{row["chunked"]:>12.4g}{ratios[-1]:>8.2f}')
    return dict(memory=ratios[0], time=ratios[-1])


if __name__ == '__main__':
    main()
