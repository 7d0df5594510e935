"""Time of one CAMix iteration against the bare passes that it needs.

The passes are the student's forward and backward on the source and on the mixed images, with the
cross entropy they learn by, and the teacher's forwards: one for the labels, and the noisy ones for
their significance. What is more, CAMix itself makes: labels, masks, mixed images and their
augmentation, entropies, logs, the step and the average. Images are random, weights too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

import mmseg_uda  # noqa: F401  (registers)

SEGMENTOR = Path(__file__).parents[2] / 'configs/_base_/models/deeplabv2_mobilenetv2-035.py'
OPTIM_WRAPPER = dict(
    constructor='JointOptimWrapperConstructor',
    optimizers=dict(
        student=dict(optimizer=dict(type='SGD', lr=1e-4, momentum=0.9, weight_decay=5e-4))
    ),
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--segmentor',
        default=str(SEGMENTOR),
        help="config whose `model` is the student's (default: the small network)",
    )
    parser.add_argument('--size', type=int, nargs=2, default=(180, 240), metavar=('H', 'W'))
    parser.add_argument('--batch-size', type=int, default=2, help='images of each domain')
    parser.add_argument('--passes', type=int, default=8, help='noisy passes, N')
    parser.add_argument('--chunk', type=int, default=2, help='of them at once')
    parser.add_argument('--no-augment', action='store_true', help='without strong augmentation')
    parser.add_argument('--channels-last', action='store_true', help='as the small configs have it')
    parser.add_argument('--dtype', choices=('float16', 'bfloat16'), help='autocast; default fp32')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--repeat', type=int, default=15, help='timed rounds, the median counts')
    return parser.parse_args(argv)


def build(args: argparse.Namespace) -> nn.Module:
    """CAMix, with random weights and without a prior's file."""
    segmentor = Config.fromfile(args.segmentor).model
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='MeanTeacher',
            segmentor=segmentor,
            teacher=dict(type='EMATeacher'),
            mixer=dict(type='ContextMix', meta_classes={0: (1,), 1: (2, 3)}),
            augment=None if args.no_augment else dict(type='StrongAugment'),
            significance=dict(type='EntropySignificance', passes=args.passes, chunk=args.chunk),
            consistency=dict(type='ConsistencyLoss'),
        )
    )
    model.iteration = 0
    layout = torch.channels_last if args.channels_last else torch.preserve_format
    return model.to(args.device, memory_format=layout).train()


def draw_batch(args: argparse.Namespace, model: nn.Module) -> dict[str, Any]:
    """Images and blocky labels."""
    height, width = args.size
    data = {}
    for domain in ('source', 'target'):
        images, samples = [], []
        for _ in range(args.batch_size):
            images.append(torch.randint(0, 256, (3, height, width), dtype=torch.uint8))
            sample = SegDataSample(metainfo=dict(img_shape=(height, width)))
            if domain == 'source':
                blocks = torch.randint(0, model.num_classes, (-(-height // 16), -(-width // 16)))
                label = blocks.repeat_interleave(16, 0).repeat_interleave(16, 1)
                sample.gt_sem_seg = PixelData(data=label[None, :height, :width])
            samples.append(sample)
        data[domain] = dict(inputs=images, data_samples=samples)
    return data


class Clock:
    """Collects seconds by name: of the processor on a CPU, elapsed on a GPU."""

    def __init__(self, device: str) -> None:
        self.on_cuda = torch.device(device).type == 'cuda'
        self.seconds: dict[str, list[float]] = {}

    def now(self) -> float:
        if self.on_cuda:
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def time(self, name: str, call: Callable[[], Any]) -> None:
        start = self.now()
        call()
        self.seconds.setdefault(name, []).append(self.now() - start)

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, parts: list[str]) -> float:
        """Of one time to the sum of others, round by round; the median."""
        totals = map(sum, zip(*(self.seconds[part] for part in parts)))
        return statistics.median(own / total for own, total in zip(self.seconds[name], totals))


def bare_passes(
    args: argparse.Namespace,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    context: Callable[[], Any],
) -> dict[str, Callable[[], Any]]:
    """The passes by name."""
    student, teacher = model.student, model.teacher

    def learn() -> None:
        with context():
            logits = student.decode_head(student.extract_feat(images))
            logits = nn.functional.interpolate(
                logits.float(),
                labels.shape[1:],
                mode='bilinear',
                align_corners=student.align_corners,
            )
            loss = nn.functional.cross_entropy(logits, labels)
        loss.backward()

    def label(count: int) -> None:
        with context():
            teacher(many[: count * len(images)])

    def noisy() -> None:
        for first in range(0, args.passes, args.chunk):
            label(min(args.chunk, args.passes - first))

    many = images.repeat(args.chunk, 1, 1, 1)
    return {
        'student on the source': learn,
        'student on mixed images': learn,
        'teacher for labels': lambda: label(1),
        f'teacher on {args.passes} noisy copies': noisy,
    }


def measure(args: argparse.Namespace) -> tuple[Clock, list[str]]:
    """Time an iteration and its passes in turn, so that a busy machine is busy for both."""
    model = build(args)
    wrapper = build_optim_wrapper(model, dict(OPTIM_WRAPPER, dtype=args.dtype))
    data = draw_batch(args, model)
    batch = model.data_preprocessor(data, True)
    labels = torch.cat([each.gt_sem_seg.data for each in batch['data_samples']['source']])
    passes = bare_passes(
        args, model, batch['inputs']['target'], labels, lambda: wrapper.optim_context(model)
    )

    def iteration() -> None:
        model.train_step(data, wrapper)
        model.teacher.update(model.student)

    clock = Clock(args.device)
    for count in range(args.repeat + 1):
        if count == 1:  # the first one allocates, and chooses kernels
            clock.seconds.clear()
        for name, call in passes.items():
            clock.time(name, call)
        wrapper.zero_grad()
        clock.time('iteration', iteration)
    return clock, list(passes)


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Print the comparison.

    Returns:
        ``time``: an iteration's as a share of its passes'.
    """
    args = parse_args(argv)
    init_default_scope('mmseg')
    clock, passes = measure(args)
    where = (
        torch.cuda.get_device_name(args.device)
        if clock.on_cuda
        else f'CPU, {torch.get_num_threads()} thread(s)'
    )
    print(
        f'torch {torch.__version__}, {where}, {args.dtype or "float32"}\n'
        f'{Path(args.segmentor).stem}, {args.batch_size} + {args.batch_size} images of '
        f'{args.size[0]}x{args.size[1]}, {args.passes} noisy passes, {args.chunk} at once'
        f'{", no augmentation" if args.no_augment else ""}\n'
    )
    print(f'{"elapsed" if clock.on_cuda else "processor time":<32}{"ms":>10}')
    for name in passes:
        print(f'{name:<32}{1e3 * clock.median(name):>10.1f}')
    total = sum(clock.median(name) for name in passes)
    ratio = clock.ratio('iteration', passes)
    print(f'{"all passes":<32}{1e3 * total:>10.1f}')
    print(f'{"iteration of CAMix":<32}{1e3 * clock.median("iteration"):>10.1f}')
    print(f'{"ratio":<32}{ratio:>10.2f}')
    return dict(time=ratio)


if __name__ == '__main__':
    main()
