"""Compare the generation of pseudo labels with the form of the published scripts: memory, time.

The published form keeps what it needs of every image until all were seen: BDL the class and the
confidence of every pixel, CBST (and DAST) a list of confidences per class, and every image's
softmax as a file. Ours streams: pools of bounded size in a first pass, labels in a second, for
which the network runs again. Probabilities are synthetic, so that nothing else is measured.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_uda.pseudo_labels import PseudoLabelRule, build_rule
from mmseg_uda.pseudo_labels.statistics import ConfidencePools
from mmseg_uda.structures import IGNORE_INDEX
from mmseg_uda.utils.memory import peak_memory

Labels = Iterator[np.ndarray]
Images = Callable[[], Iterator[Tensor]]
Generate = Callable[[Images], tuple[list[float], Labels]]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--rules', nargs='+', choices=('bdl', 'cbst'), default=['bdl', 'cbst'])
    parser.add_argument('--images', type=int, default=100)
    parser.add_argument('--size', type=int, nargs=2, default=(256, 512), metavar=('H', 'W'))
    parser.add_argument('--classes', type=int, default=19)
    parser.add_argument(
        '--budget',
        type=int,
        default=2**18,
        help='confidences that each class keeps exactly (default: 262144; the '
        'loop keeps four times as many)',
    )
    parser.add_argument('--bins', type=int, default=2**14, help="of a class's histogram beyond")
    return parser.parse_args(argv)


def synthetic(count: int, classes: int, size: tuple[int, int]) -> Iterator[Tensor]:
    """Softmax maps (C, H, W) of smooth logits; some classes are rare. The same at every call."""
    rarity = torch.linspace(2, -2, classes)[None, :, None, None]
    height, width = size
    for index in range(count):
        generator = torch.Generator().manual_seed(index)
        logits = 3 * torch.randn(
            1, classes, max(height // 16, 1), max(width // 16, 1), generator=generator
        )
        yield F.interpolate(logits + rarity, size=size, mode='bilinear')[0].softmax(0)


def streaming(rule: PseudoLabelRule, classes: int, budget: int, bins: int) -> Generate:
    """The package's form."""

    def generate(images: Images) -> tuple[list[float], Labels]:
        pools = ConfidencePools(rule.num_pools(classes), budget, bins)
        for probabilities in images():
            rule.collect(pools, probabilities)
        thresholds = rule.thresholds(pools, classes)
        table = torch.tensor(thresholds)
        return thresholds, (rule.select(p, table).byte().numpy() for p in images())

    return generate


def naive_bdl(rule: Any, classes: int, count: int, size: tuple[int, int]) -> Generate:
    """Two float64 arrays over all images, sorted class by class."""

    def generate(images: Images) -> tuple[list[float], Labels]:
        label, confidence = np.zeros((count, *size)), np.zeros((count, *size))
        for index, probabilities in enumerate(images()):
            label[index] = probabilities.numpy().argmax(0)
            confidence[index] = probabilities.numpy().max(0)
        thresholds = []
        for number in range(classes):
            values = np.sort(confidence[label == number])
            rank = min(round((1 - rule.share) * len(values)), len(values) - 1)
            thresholds.append(min(float(values[rank]), rule.cap) if len(values) else 0.0)

        def labels() -> Labels:
            for one, sure in zip(label, confidence):
                for number, threshold in enumerate(thresholds):
                    one[(sure < threshold) * (one == number)] = IGNORE_INDEX
                yield one.astype(np.uint8)

        return thresholds, labels()

    return generate


def naive_cbst(rule: Any, classes: int, folder: Path) -> Generate:
    """Python lists of confidences, sorted; every softmax in a file until it is needed again."""

    def generate(images: Images) -> tuple[list[float], Labels]:
        pools: list[list[np.float32]] = [[] for _ in range(classes)]
        files = []
        for index, probabilities in enumerate(images()):
            array = probabilities.numpy()
            label, confidence = array.argmax(0), array.max(0)
            for number, pool in enumerate(pools):
                pool.extend(confidence[label == number][:: rule.stride])
            files.append(folder / f'{index}.npy')
            np.save(files[-1], array)
        thresholds = []
        for pool in pools:
            pool.sort(reverse=True)
            kept = int(np.floor(rule.share * len(pool)))
            thresholds.append(min(float(pool[max(kept - 1, 0)]), rule.cap) if pool else 1.0)

        def labels() -> Labels:
            for file in files:
                score = np.load(file) / np.float32(thresholds)[:, None, None]
                label = score.argmax(0).astype(np.uint8)
                label[score.max(0) < 1] = IGNORE_INDEX
                yield label

        return thresholds, labels()

    return generate


def run(generate: Generate, images: Images) -> list[float]:
    """Thresholds; the labels are made and dropped, as if written."""
    thresholds, labels = generate(images)
    for _ in labels:
        pass
    return thresholds


def peak(call: Callable[[], None]) -> int:
    """Most bytes of numpy and Python, plus most bytes of tensors, beyond what was before."""
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

    return peak_memory(traced, torch.device('cpu')) + arrays


def processor_time(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def compare(ours: Generate, naive: Generate, images: Images, folder: Path) -> dict[str, float]:
    """Differences between both forms, and their costs."""
    (expected, expected_labels), (got, got_labels) = naive(images), ours(images)
    disk = sum(file.stat().st_size for file in folder.iterdir())
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
    for name, form in dict(naive=naive, streaming=ours).items():

        def call(form: Generate = form) -> None:
            run(form, images)

        result[f'time_{name}'] = processor_time(call)
        result[f'memory_{name}'] = peak(call)
    return result


def main(argv: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Print the comparison.

    Returns:
        By rule, what :func:`compare` gives.
    """
    args = parse_args(argv)
    size = (args.size[0], args.size[1])

    def images() -> Iterator[Tensor]:
        return synthetic(args.images, args.classes, size)

    drawing = processor_time(lambda: [None for _ in images()])
    print(
        f'torch {torch.__version__}, {torch.get_num_threads()} thread(s)\n'
        f'{args.images} images of {size[0]}x{size[1]}, {args.classes} classes; '
        f'budget {args.budget}, {args.bins} bins\n'
        f'one pass over the probabilities alone: {drawing:.3g} s'
    )
    results = {}
    for name in args.rules:
        rule = build_rule(name)
        with tempfile.TemporaryDirectory() as folder:
            naive = (
                naive_bdl(rule, args.classes, args.images, size)
                if name == 'bdl'
                else naive_cbst(rule, args.classes, Path(folder))
            )
            ours = streaming(rule, args.classes, args.budget, args.bins)
            results[name] = result = compare(ours, naive, images, Path(folder))
        print(f'\n{name:<32}{"naive":>12}{"streaming":>12}{"ratio":>8}')
        rows = dict(memory='peak memory, MiB', time='processor time, s')
        for key, text in rows.items():
            scale = 2**20 if key == 'memory' else 1
            values = [result[f'{key}_{form}'] / scale for form in ('naive', 'streaming')]
            print(f'{text:<32}{values[0]:>12.4g}{values[1]:>12.4g}{values[1] / values[0]:>8.2f}')
        print(f'{"files in between, MiB":<32}{result["disk"] / 2**20:>12.4g}{0:>12}')
        print(
            f'{"largest difference of thresholds":<44}{result["thresholds"]:>12.2e}\n'
            f'{"pixels kept / labelled otherwise, %":<44}{100 * result["kept"]:>12.4g}'
            f'{100 * result["labels"]:>8.2g}'
        )
    return results


if __name__ == '__main__':
    main()
