"""Compare the spatial attention of CDANet or SAM with its naive form: exactness, memory and time.

The naive form keeps the map of all positions by all positions for the backward pass. The default
sizes are those of ResNet-101 on a 1024x512 target: 65x129 positions, and for CDANet 2048 channels,
for SAM (--attention sam) the scores of 19 classes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import Tensor

from mmseg_uda.models.layers import attend, cosine_attend
from mmseg_uda.models.layers.attention import DEFAULT_CHUNK_ELEMENTS
from mmseg_uda.utils import measure
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.parser import ToolParser, at_least, device_name

Form = Callable[..., tuple[Tensor, ...]]
INPUTS = dict(
    cdanet=('query', 'key', 'value of the source', 'value of the target'), sam=('feature', 'value')
)
OUTPUTS = dict(cdanet=('output for the target', 'output for the source'), sam=('output',))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    add = parser.add_argument
    add('--attention', choices=tuple(INPUTS), default='cdanet')
    add('--positions', type=at_least(1), default=65 * 129, help='of each feature map')
    add(
        '--channels',
        type=at_least(1),
        help='of the values; default 2048, of SAM 19 (features, too)',
    )
    add('--reduction', type=at_least(1), default=8, help='of channels in queries and keys')
    add(
        '--chunk',
        type=at_least(1),
        default=DEFAULT_CHUNK_ELEMENTS,
        help='elements of the map at once',
    )
    add(
        '--directions',
        type=int,
        choices=(1, 2),
        default=2,
        help='of CDANet; 1: the target attends to the source; 2: and vice versa (the naive form '
        'then computes the energies once)',
    )
    add('--no-gradients', action='store_true', help='forward only')
    add('--device', type=device_name, default='cpu')
    add('--dtype', default='float32', choices=('float32', 'float64', 'bfloat16'))
    add('--repeat', type=at_least(1), default=3, help='timed runs, the median counts')
    args = parser.parse_args(argv)
    args.channels = args.channels or dict(cdanet=2048, sam=19)[args.attention]
    args.depth = max(1, args.channels // args.reduction)  # channels of CDANet's queries and keys
    return args


def naive(
    query: Tensor, key: Tensor, value: Tensor, value_target: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Compute CDANet's equations as they are printed, energies in fp32 at least."""
    dtype = torch.promote_types(value.dtype, torch.float32)
    energy = torch.bmm(query.to(dtype).transpose(1, 2), key.to(dtype))  # (N, P, P)
    out = torch.bmm(value.to(dtype), energy.softmax(1)).to(value.dtype)
    if value_target is None:
        return (out,)
    back = torch.bmm(value_target.to(dtype), energy.softmax(2).transpose(1, 2))
    return out, back.to(value.dtype)


def naive_cosine(feature: Tensor, value: Tensor) -> tuple[Tensor, ...]:
    """Compute SAM's equations with as few maps as autograd allows."""
    unit = torch.nn.functional.normalize(feature, dim=1)
    weight = torch.bmm(unit.transpose(1, 2), unit).relu_()  # (N, P, P)
    weight = weight / weight.sum(2, keepdim=True)
    return (torch.bmm(value, weight.transpose(1, 2)),)


def chunked(chunk: int, query: Tensor, key: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
    """Compute CDANet's attention as the package does."""
    directions = ((key, query), (query, key))
    return tuple(attend(*pair, value, chunk) for pair, value in zip(directions, values))


def chunked_cosine(chunk: int, feature: Tensor, value: Tensor) -> tuple[Tensor, ...]:
    """Compute SAM's attention as the package does."""
    return (cosine_attend(feature, value, chunk),)


def run(form: Form, inputs: list[Tensor], seeds: list[Tensor]) -> tuple[Tensor, ...]:
    """Compute outputs, and the inputs' gradients if ``seeds`` has gradients of the outputs."""
    if not seeds:
        with torch.no_grad():
            return form(*inputs)
    outputs = form(*inputs)
    return (*(out.detach() for out in outputs), *torch.autograd.grad(outputs, inputs, seeds))


def report_errors(expected: tuple[Tensor, ...], got: tuple[Tensor, ...], names: list[str]) -> None:
    print(f'\n{"max abs error":<32}{"absolute":>12}{"of largest":>12}')
    for name, reference, value in zip(names, expected, got):
        error = (value - reference).abs().max().item()
        print(f'{name:<32}{error:>12.2e}{error / reference.abs().max().item():>12.2e}')


def draw_inputs(args: argparse.Namespace) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Draw inputs by name, and gradients of the outputs."""
    generator = torch.Generator().manual_seed(0)

    def draw(channels: int, scale: float = 1.0) -> Tensor:
        values = scale * torch.randn(1, channels, args.positions, generator=generator)
        return values.to(args.device, getattr(torch, args.dtype))

    if args.attention == 'sam':
        inputs, outputs = [draw(args.channels) for _ in range(2)], 1
    else:
        outputs = args.directions
        # Energies with a deviation of 2, so that attention is neither even nor on one position.
        inputs = [draw(args.depth, (2 / args.depth**0.5) ** 0.5) for _ in range(2)]
        inputs += [draw(args.channels) for _ in range(outputs)]
    named = {name: value.requires_grad_() for name, value in zip(INPUTS[args.attention], inputs)}
    return named, [] if args.no_gradients else [draw(args.channels) for _ in range(outputs)]


def headline(args: argparse.Namespace) -> str:
    kind, ways = f'queries and keys: {args.depth}', f'{args.directions} direction(s), '
    if args.attention == 'sam':
        kind, ways = 'self-attention by cosines', ''
    return (
        f'{measure.describe_machine(torch.device(args.device))}, {args.dtype}\n'
        f'{args.positions} positions, '
        f'{args.channels} channels ({kind}), {ways}chunks of {args.chunk} elements'
    )


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Print the comparison.

    Returns:
        ``memory`` and ``time``: ours as a share of the naive form's.
    """
    args = parse_args(argv)
    device = torch.device(args.device)
    named, seeds = draw_inputs(args)
    inputs = list(named.values())
    sam = args.attention == 'sam'
    forms: dict[str, Form] = dict(
        naive=naive_cosine if sam else naive,
        chunked=partial(chunked_cosine if sam else chunked, args.chunk),
    )
    print(headline(args))

    results = {name: run(form, inputs, seeds) for name, form in forms.items()}
    count = len(results['naive']) - (len(inputs) if seeds else 0)
    names = [*OUTPUTS[args.attention][:count], *(f'gradient of {name}' for name in named)]
    report_errors(results['naive'], results['chunked'], names)
    results.clear()
    calls = {name: partial(run, form, inputs, seeds) for name, form in forms.items()}
    memory = {name: measure.peak_memory(call, device) / 2**20 for name, call in calls.items()}
    times = measure.paired_times(calls, device, args.repeat)
    seconds = {name: median(values) for name, values in times.items()}
    table, ratios = measure.comparison(
        'forward + backward' if seeds else 'forward without gradients',
        {'peak beyond inputs/outputs, MiB': memory, f'{measure.clock_name(device)}, s': seconds},
    )
    print(f'\n{table}')
    return dict(zip(('memory', 'time'), ratios))


if __name__ == '__main__':
    run_main(main)
