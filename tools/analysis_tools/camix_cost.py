"""Time one CAMix iteration against the bare passes that it needs.

The passes are the student's forward and backward on the source and on the mixed images, with the
cross entropy they learn by, and the teacher's forwards: one for the labels, and the noisy ones for
their significance. The rest is CAMix's own: labels, masks, mixed images and their augmentation,
entropies, logs, the step and the average. Images and weights are random.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

import mmseg_uda  # noqa: F401  (registers)
from mmseg_uda.config.check import require_sound
from mmseg_uda.config.tables import read_config
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.measure import clock_name, describe_machine, paired_times
from mmseg_uda.utils.parser import ToolParser, at_least, device_name

Call = Callable[[], Any]
SEGMENTOR = Path(__file__).parents[2] / 'configs/_base_/models/deeplabv2_mobilenetv2-035.py'
SGD = dict(type='SGD', lr=1e-4, momentum=0.9, weight_decay=5e-4)
OPTIM_WRAPPER = dict(
    constructor='JointOptimWrapperConstructor', optimizers=dict(student=dict(optimizer=SGD))
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    add = parser.add_argument
    add('--segmentor', default=str(SEGMENTOR), help="config with the student's `model`")
    add('--size', type=at_least(1), nargs=2, default=(180, 240), metavar=('H', 'W'))
    add('--batch-size', type=at_least(1), default=2, help='images of each domain')
    add('--passes', type=at_least(1), default=8, help='noisy passes, N')
    add('--chunk', type=at_least(1), default=2, help='of them at once')
    add('--no-augment', action='store_true', help='without strong augmentation')
    add('--channels-last', action='store_true', help='as the small configs have it')
    add('--dtype', choices=('float16', 'bfloat16'), help='autocast; default fp32')
    add('--device', type=device_name, default='cpu')
    add('--repeat', type=at_least(1), default=15, help='timed rounds, the median counts')
    return parser.parse_args(argv)


def build(args: argparse.Namespace) -> nn.Module:
    """Build CAMix with random weights and without a spatial prior."""
    segmentor = read_config(args.segmentor)
    require_sound(segmentor)
    torch.manual_seed(0)
    cfg = dict(
        type='MeanTeacher',
        segmentor=segmentor.model,
        teacher=dict(type='EMATeacher'),
        mixer=dict(type='ContextMix', meta_classes={0: (1,), 1: (2, 3)}),
        augment=None if args.no_augment else dict(type='StrongAugment'),
        significance=dict(type='EntropySignificance', passes=args.passes, chunk=args.chunk),
        consistency=dict(type='ConsistencyLoss'),
    )
    model = MODELS.build(cfg)
    model.iteration = 0
    layout = torch.channels_last if args.channels_last else torch.preserve_format
    return model.to(args.device, memory_format=layout).train()


def draw_batch(args: argparse.Namespace, model: nn.Module) -> dict[str, Any]:
    """Draw images of both domains, and labels of 16x16 blocks for the source."""
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


def bare_passes(
    args: argparse.Namespace, model: nn.Module, images: Tensor, labels: Tensor, context: Call
) -> dict[str, Call]:
    """Return the passes by name."""
    student, teacher = model.student, model.teacher

    def learn() -> None:
        with context():
            logits = student.decode_head(student.extract_feat(images)).float()
            size, align = labels.shape[1:], student.align_corners
            logits = nn.functional.interpolate(logits, size, mode='bilinear', align_corners=align)
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


def measure(args: argparse.Namespace) -> dict[str, list[float]]:
    """Time the passes and, under the last name, a whole iteration, round by round."""
    model = build(args)
    wrapper = build_optim_wrapper(model, dict(OPTIM_WRAPPER, dtype=args.dtype))
    data = draw_batch(args, model)
    batch = model.data_preprocessor(data, True)
    labels = torch.cat([each.gt_sem_seg.data for each in batch['data_samples']['source']])
    images = batch['inputs']['target']

    def iteration() -> None:
        wrapper.zero_grad()  # of the bare passes
        model.train_step(data, wrapper)
        model.teacher.update(model.student)

    passes = bare_passes(args, model, images, labels, lambda: wrapper.optim_context(model))
    calls = {**passes, 'iteration of CAMix': iteration}
    return paired_times(calls, torch.device(args.device), args.repeat, warm_up=1)


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Print the comparison.

    Returns:
        ``time``: an iteration's as a share of its passes'.
    """
    args = parse_args(argv)
    init_default_scope('mmseg')
    device = torch.device(args.device)
    times = measure(args)
    *passes, iteration = times
    sums = [sum(each) for each in zip(*(times[name] for name in passes))]
    ratio = median(own / total for own, total in zip(times[iteration], sums))
    medians = {name: 1e3 * median(values) for name, values in times.items()}
    whole = medians.pop(iteration)
    print(
        f'{describe_machine(device)}, {args.dtype or "float32"}\n'
        f'{Path(args.segmentor).stem}, {args.batch_size} + {args.batch_size} images of '
        f'{args.size[0]}x{args.size[1]}, {args.passes} noisy passes, {args.chunk} at once'
        f'{", no augmentation" if args.no_augment else ""}\n\n{clock_name(device):<32}{"ms":>10}'
    )
    rows = {**medians, 'all passes': sum(medians.values()), iteration: whole}
    for name, milliseconds in rows.items():
        print(f'{name:<32}{milliseconds:>10.1f}')
    print(f'{"ratio":<32}{ratio:>10.2f}')
    return dict(time=ratio)


if __name__ == '__main__':
    run_main(main)
