"""Compare the spatial attention of CDANet with its naive form: exactness, memory and time.

The naive form keeps the map of all positions by all positions for the backward pass. Without
arguments the sizes are those of ResNet-101 on a 1024x512 target: 65x129 positions, 2048 channels.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Callable

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from mmseg_uda.models.layers import attend
from mmseg_uda.models.layers.attention import DEFAULT_CHUNK_ELEMENTS

Form = Callable[..., tuple[Tensor, ...]]
NAMES = ('query', 'key', 'value of the source', 'value of the target')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--positions', type=int, default=65 * 129, help='of each feature map')
    parser.add_argument('--channels', type=int, default=2048, help='of the values')
    parser.add_argument('--reduction', type=int, default=8,
                        help='queries and keys have channels / reduction channels')
    parser.add_argument('--chunk', type=int, default=DEFAULT_CHUNK_ELEMENTS,
                        help='elements of the map alive at once')
    parser.add_argument('--directions', type=int, choices=(1, 2), default=2,
                        help='1: the target attends to the source; 2: and vice versa (the naive '
                             'form then computes the energies once)')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--dtype', default='float32', choices=('float32', 'float64', 'bfloat16'))
    parser.add_argument('--repeat', type=int, default=3, help='timed runs, the median counts')
    return parser.parse_args(argv)


def naive(query: Tensor, key: Tensor, value: Tensor, value_target: Tensor | None = None,
          ) -> tuple[Tensor, ...]:
    """The equations as they are printed; energies in fp32 at least."""
    dtype = torch.promote_types(value.dtype, torch.float32)
    energy = torch.bmm(query.to(dtype).transpose(1, 2), key.to(dtype))
    out = torch.bmm(value.to(dtype), energy.softmax(1)).to(value.dtype)
    if value_target is None:
        return (out, )
    back = torch.bmm(value_target.to(dtype), energy.softmax(2).transpose(1, 2))
    return out, back.to(value.dtype)


def chunked(chunk: int) -> Form:
    """The package's form."""
    def form(query: Tensor, key: Tensor, value: Tensor, value_target: Tensor | None = None,
             ) -> tuple[Tensor, ...]:
        out = attend(key, query, value, chunk)
        if value_target is None:
            return (out, )
        return out, attend(query, key, value_target, chunk)
    return form


def run(form: Form, inputs: list[Tensor], seeds: list[Tensor]) -> tuple[Tensor, ...]:
    """Outputs and the inputs' gradients, for given gradients of the outputs."""
    outputs = form(*inputs)
    return (*(out.detach() for out in outputs), *torch.autograd.grad(outputs, inputs, seeds))


def peak_memory(call: Callable[[], tuple[Tensor, ...]], device: torch.device) -> int:
    """Most bytes that are alive at once beyond what was before and what stays."""
    if device.type == 'cuda':
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        kept = call()
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated() - before
        return peak - sum(tensor.numel() * tensor.element_size() for tensor in kept)
    # Every allocation and release of the allocator, also those inside an operator.
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        kept = call()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'trace.json'
        record.export_chrome_trace(str(path))
        events = json.loads(path.read_text())['traceEvents']
    changes = sorted(((event['ts'], event['args']['Bytes']) for event in events
                      if event.get('name') == '[memory]'), key=lambda change: change[0])
    alive = peak = 0
    for _, change in changes:
        alive += change
        peak = max(peak, alive)
    del kept
    return peak - alive


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


def report_errors(expected: tuple[Tensor, ...], got: tuple[Tensor, ...], directions: int) -> None:
    outputs = ('output for the target', 'output for the source')[:directions]
    names = (*outputs, *(f'gradient of {name}' for name in NAMES[:2 + directions]))
    print(f'\n{"max abs error":<32}{"absolute":>12}{"of largest":>12}')
    for name, reference, value in zip(names, expected, got):
        error = (value - reference).abs().max().item()
        print(f'{name:<32}{error:>12.2e}{error / reference.abs().max().item():>12.2e}')


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Print the comparison.

    Returns:
        ``memory`` and ``time``: ours as a share of the naive form's.
    """
    args = parse_args(argv)
    device, dtype = torch.device(args.device), getattr(torch, args.dtype)
    generator = torch.Generator().manual_seed(0)

    def draw(channels: int, scale: float = 1.) -> Tensor:
        values = scale * torch.randn(1, channels, args.positions, generator=generator)
        return values.to(device, dtype)

    depth = max(1, args.channels // args.reduction)
    # Energies with a deviation of 2: neither one position takes all, nor do all get the same.
    inputs = [draw(depth, (2 / depth**.5)**.5) for _ in range(2)]
    inputs += [draw(args.channels) for _ in range(args.directions)]
    inputs = [value.requires_grad_() for value in inputs]
    seeds = [draw(args.channels) for _ in range(args.directions)]
    forms = dict(naive=naive, chunked=chunked(args.chunk))
    where = (torch.cuda.get_device_name(device) if device.type == 'cuda' else
             f'CPU, {torch.get_num_threads()} thread(s)')
    print(f'torch {torch.__version__}, {where}, {args.dtype}\n{args.positions} positions, '
          f'{args.channels} channels (queries and keys: {depth}), {args.directions} direction(s), '
          f'chunks of {args.chunk} elements')

    results = {name: run(form, inputs, seeds) for name, form in forms.items()}
    report_errors(results['naive'], results['chunked'], args.directions)
    results.clear()
    memory, seconds = {}, {}
    for name, form in forms.items():
        def call(form: Form = form) -> tuple[Tensor, ...]:
            return run(form, inputs, seeds)
        memory[name] = peak_memory(call, device)
        seconds[name] = timing(call, device, args.repeat)
    print(f'\n{"forward + backward":<32}{"naive":>12}{"chunked":>12}{"ratio":>8}')
    rows = [('peak beyond inputs/outputs, MiB', {k: v / 2**20 for k, v in memory.items()}),
            ('elapsed, s', {k: v[0] for k, v in seconds.items()})]
    if device.type == 'cpu':
        rows.append(('processor time, s', {k: v[1] for k, v in seconds.items()}))
    ratios = []
    for name, row in rows:
        ratios.append(row['chunked'] / max(row['naive'], 1e-12))
        print(f'{name:<32}{row["naive"]:>12.4g}{row["chunked"]:>12.4g}{ratios[-1]:>8.2f}')
    return dict(memory=ratios[0], time=ratios[-1])


if __name__ == '__main__':
    main()
