"""Compare the generation of pseudo labels with the form of the published scripts: memory, time.

The published form keeps data of every image until all were seen: BDL the class and the confidence
of every pixel, CBST (and DAST) a list of confidences per class, and every image's softmax as a
file. Ours streams: pools of bounded size in a first pass, labels in a second, for which the network
runs again. Probabilities are synthetic, so that nothing else is measured.
"""

from __future__ import annotations

import argparse
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_uda.pseudo_labels import PseudoLabelRule, build_rule
from mmseg_uda.pseudo_labels.statistics import ConfidencePools
from mmseg_uda.structures import IGNORE_INDEX
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.measure import comparison, describe_machine, paired_times, peak_memory
from mmseg_uda.utils.parser import ToolParser, at_least

Images = Callable[[], Iterator[Tensor]]
Generated = tuple[list[float], Iterator[np.ndarray]]  # thresholds, and labels (H, W) by image
CPU = torch.device('cpu')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    add = parser.add_argument
    add('--rules', nargs='+', choices=('bdl', 'cbst'), default=['bdl', 'cbst'])
    add('--images', type=at_least(1), default=100)
    add('--size', type=at_least(1), nargs=2, default=(256, 512), metavar=('H', 'W'))
    add('--classes', type=at_least(1), default=19)
    # A quarter of the loop's, so that a hundred images exceed it.
    add(
        '--budget',
        type=at_least(1),
        default=2**18,
        help='confidences that each class keeps exactly',
    )
    add('--bins', type=at_least(1), default=2**14, help="of a class's histogram beyond the budget")
    return parser.parse_args(argv)


def synthetic(count: int, classes: int, size: tuple[int, int]) -> Iterator[Tensor]:
    """Draw softmax maps (C, H, W) of smooth logits; some classes are rare. Calls are equal."""
    rarity = torch.linspace(2, -2, classes)[None, :, None, None]
    coarse = [max(length // 16, 1) for length in size]
    for index in range(count):
        generator = torch.Generator().manual_seed(index)
        logits = 3 * torch.randn(1, classes, *coarse, generator=generator)
        yield F.interpolate(logits + rarity, size=size, mode='bilinear')[0].softmax(0)


def streaming(
    rule: PseudoLabelRule, classes: int, budget: int, bins: int, images: Images
) -> Generated:
    """Generate labels as the package does."""
    pools = ConfidencePools(rule.num_pools(classes), budget, bins)
    for probabilities in images():
        rule.collect(pools, probabilities)
    thresholds = rule.thresholds(pools, classes)
    table = torch.tensor(thresholds)
    return thresholds, (rule.select(p, table).byte().numpy() for p in images())


def naive_bdl(
    rule: Any, classes: int, count: int, size: tuple[int, int], images: Images
) -> Generated:
    """Keep two float64 arrays over all images, and sort them class by class."""
    label, confidence = np.zeros((count, *size)), np.zeros((count, *size))
    for index, probabilities in enumerate(images()):
        label[index] = probabilities.numpy().argmax(0)
        confidence[index] = probabilities.numpy().max(0)
    thresholds = []
    for number in range(classes):
        values = np.sort(confidence[label == number])
        rank = min(round((1 - rule.share) * len(values)), len(values) - 1)
        thresholds.append(min(float(values[rank]), rule.cap) if len(values) else 0.0)

    def labels() -> Iterator[np.ndarray]:
        for one, sure in zip(label, confidence):
            for number, threshold in enumerate(thresholds):
                one[(sure < threshold) * (one == number)] = IGNORE_INDEX
            yield one.astype(np.uint8)

    return thresholds, labels()


def naive_cbst(rule: Any, classes: int, directory: Path, images: Images) -> Generated:
    """Keep Python lists of confidences, and every softmax in a file until it is needed again."""
    pools: list[list[np.float32]] = [[] for _ in range(classes)]
    files = []
    for index, probabilities in enumerate(images()):
        array = probabilities.numpy()
        label, confidence = array.argmax(0), array.max(0)
        for number, pool in enumerate(pools):
            pool.extend(confidence[label == number][:: rule.stride])
        files.append(directory / f'{index}.npy')
        np.save(files[-1], array)
    thresholds = []
    for pool in pools:
        pool.sort(reverse=True)
        kept = int(np.floor(rule.share * len(pool)))
        thresholds.append(min(float(pool[max(kept - 1, 0)]), rule.cap) if pool else 1.0)

    def labels() -> Iterator[np.ndarray]:
        for file in files:
            score = np.load(file, allow_pickle=False) / np.float32(thresholds)[:, None, None]
            label = score.argmax(0).astype(np.uint8)
            label[score.max(0) < 1] = IGNORE_INDEX
            yield label

    return thresholds, labels()


def peak(call: Callable[[], object]) -> int:
    """Measure the most bytes of numpy and Python, plus the most bytes of tensors."""
    arrays = 0

    def traced() -> tuple[Tensor, ...]:
        nonlocal arrays
        tracemalloc.start()
        try:
            call()
            arrays = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        return ()

    return peak_memory(traced, CPU) + arrays


def compare(forms: dict[str, Callable[[], Generated]], directory: Path) -> dict[str, float]:
    """Measure the differences between the naive and the streaming form, and their costs."""
    (expected, expected_labels), (got, got_labels) = (form() for form in forms.values())
    disk = sum(file.stat().st_size for file in directory.iterdir())
    differing = kept = total = 0
    for one, other in zip(expected_labels, got_labels):
        differing += np.count_nonzero(one != other)
        kept += np.count_nonzero(one != IGNORE_INDEX)
        total += one.size
    del expected_labels, got_labels
    result = dict(
        disk=disk,
        kept=kept / total,
        labels=differing / total,
        thresholds=max(abs(a - b) for a, b in zip(expected, got)),
    )
    # Labels are made and dropped, as if written.
    calls = {name: lambda form=form: sum(1 for _ in form()[1]) for name, form in forms.items()}
    for name, (seconds,) in paired_times(calls, CPU, 1).items():
        result[f'time_{name}'] = seconds
        result[f'memory_{name}'] = peak(calls[name])
    return result


def report(name: str, result: dict[str, float]) -> str:
    forms = ('naive', 'streaming')
    costs = {
        'peak memory, MiB': {form: result[f'memory_{form}'] / 2**20 for form in forms},
        'processor time, s': {form: result[f'time_{form}'] for form in forms},
    }
    return (
        f'\n{comparison(name, costs)[0]}\n'
        f'{"files in between, MiB":<32}{result["disk"] / 2**20:>12.4g}{0:>12}\n'
        f'{"largest difference of thresholds":<44}{result["thresholds"]:>12.2e}\n'
        f'{"pixels kept / labelled otherwise, %":<44}{100 * result["kept"]:>12.4g}'
        f'{100 * result["labels"]:>8.2g}'
    )


def main(argv: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Print the comparison.

    Returns:
        The result of :func:`compare` by rule.
    """
    args = parse_args(argv)
    size = (args.size[0], args.size[1])
    images = partial(synthetic, args.images, args.classes, size)
    drawing = paired_times(dict(all=lambda: sum(1 for _ in images())), CPU, 1)['all'][0]
    print(
        f'{describe_machine(CPU)}\n'
        f'{args.images} images of {size[0]}x{size[1]}, {args.classes} classes; '
        f'budget {args.budget}, {args.bins} bins\n'
        f'one pass over the probabilities alone: {drawing:.3g} s'
    )
    results = {}
    for name in args.rules:
        rule = build_rule(name)
        with tempfile.TemporaryDirectory() as directory:
            naive = (
                partial(naive_bdl, rule, args.classes, args.images, size, images)
                if name == 'bdl'
                else partial(naive_cbst, rule, args.classes, Path(directory), images)
            )
            ours = partial(streaming, rule, args.classes, args.budget, args.bins, images)
            results[name] = compare(dict(naive=naive, streaming=ours), Path(directory))
        print(report(name, results[name]))
    return results


if __name__ == '__main__':
    run_main(main)
