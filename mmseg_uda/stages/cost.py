"""The stage that measures what an iteration of a training costs."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import torch
from filelock import ReadWriteLock, Timeout
from mmengine.config import Config
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor, nn

from mmseg_uda.artifacts.files import write_json
from mmseg_uda.engine.noise import with_noise
from mmseg_uda.engine.observe import unwrap_model
from mmseg_uda.models.student_pass import student_pass
from mmseg_uda.stages.base import Resolve, Result, Stage
from mmseg_uda.stages.train import TrainStage
from mmseg_uda.structures import ImageBatch
from mmseg_uda.utils.arguments import check_choice
from mmseg_uda.utils.cli import build_runner
from mmseg_uda.utils.measure import clock, describe_machine, peak_memory

__all__ = ['CostStage']

# Of students and teachers; a head for several resolutions calls its classifier only.
COMPILED = ('backbone', 'decode_head', 'auxiliary_head', 'classifier')
WARM_UP = 1  # iterations: memory is allocated, kernels are chosen


class CostStage(TrainStage):
    """Times iterations beside the bare passes that they need; ``{name}`` is a file of numbers.

    A bare pass is the student's backbone and decode head on a batch of one domain: with the cross
    entropy and backward (``learning``), or without gradients (``labelling``), as a teacher's; or
    that of a frozen backbone alone (``encoding``), for a feature distance. An iteration's passes
    are counted by the images that its backbones see, of which a pass at several resolutions has
    more than the batch. The rest of its time is the method's own. Nothing that is trained here is
    kept.

    On a GPU it counts the operations of an iteration at which the host waits for the device, too.
    Processes of one user prepare and warm up together, and measure one at a time.

    With ``noise=True`` it trains on noise from random weights, and no file is needed; ``crop`` is
    the height and width of the images then. ``device`` refuses a machine without it, and
    ``compile=True`` compiles backbones and heads.
    """

    kind = 'cost'
    makes = 'metrics'
    optional: ClassVar[tuple[str, ...]] = (
        *('options', 'repeat', 'noise', 'crop', 'device', 'compile'),
    )

    def parts(self) -> Mapping[str, str]:
        return {'output': self.makes}

    def check(self, earlier: Mapping[str, Stage]) -> None:
        super().check(earlier)
        repeat = self.arguments.get('repeat', 5)
        if not isinstance(repeat, int) or repeat < 1:
            raise self.error('repeat', f'got {repeat!r}; write a number of iterations from 1 up')
        for key in ('noise', 'compile'):
            if not isinstance(self.arguments.get(key, False), bool):
                raise self.error(key, f'got {self.arguments[key]!r}; write True or False')
        with self.error_context('device'):
            check_choice('device', self.arguments.get('device', 'cpu'), ('cpu', 'cuda'))

    def load(self, resolve: Resolve | None = None) -> Config:
        cfg = super().load(resolve)
        if not self.arguments.get('noise'):
            return cfg
        crop = self.arguments.get('crop')
        with self.error_context('crop'):
            return with_noise(cfg, tuple(crop) if crop else None)

    def missing(self) -> Iterator[tuple[str, str]]:
        yield from super().missing()
        if self.arguments.get('device') == 'cuda' and not torch.cuda.is_available():
            text = 'expected a GPU, but found none; write device=cpu to measure this machine'
            yield 'GPU', f'device: {text}'

    def run(self, resolve: Resolve, experiment: str) -> Result:
        cfg = self.load_to_run(resolve, experiment)
        shorten(cfg, WARM_UP + self.arguments.get('repeat', 5))
        with ExitStack() as turn:
            single = torch.cuda.is_available() and get_world_size() == 1
            if single:  # processes of one training measure together
                turn.enter_context(gpu_turn(measures=False))
            runner = build_runner(cfg)
            hook = _CostHook(turn if single else None, self.arguments.get('compile', False))
            runner.register_hook(hook)
            runner.train()
        metrics = hook.summary()
        out = self.directory / 'metrics.json'
        if is_main_process():
            machine = describe_machine(next(runner.model.parameters()).device)
            write_json(out, {**metrics, 'machine': machine})
        return Result({'output': out}, metrics)


@contextmanager
def gpu_turn(measures: bool) -> Iterator[None]:
    """Wait for a turn on this machine's GPUs, and have it for a block.

    Args:
        measures: True to measure alone; False for work that several processes of this user do at
            once, but none while another measures: it would slow down the launch of kernels.
    """
    user = getattr(os, 'getuid', int)()  # 0 on Windows, whose directory is the user's own
    path = Path(tempfile.gettempdir(), f'mmseg_uda-cost-{user}.lock')
    lock = ReadWriteLock(path, is_singleton=False)
    acquire = lock.acquire_write if measures else lock.acquire_read
    try:
        acquire(blocking=False)
    except Timeout:
        print_log(f'waits for another measurement, which holds {path}', 'current')
        acquire()
    try:
        yield
    finally:
        lock.release()
        lock.close()


def compile_parts(model: nn.Module, **options: Any) -> None:
    """Let backbones and heads of a method run compiled.

    Args:
        model: The method.
        options: For :func:`torch.compile`.
    """
    for name, part in model.named_modules():
        if name.rpartition('.')[2] in COMPILED:
            # Not Module.compile: it would trace hooks, and miss heads that are called by forward.
            part.forward = torch.compile(part.forward, **options)


def count_waits(call: Callable[[], object]) -> Counter[str]:
    """Count by place the operations of a computation at which the host waits for the GPU."""
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        torch.cuda.set_sync_debug_mode('warn')
        try:
            call()
        finally:
            torch.cuda.set_sync_debug_mode('default')
    return Counter(
        f'{each.filename}:{each.lineno}'
        for each in caught
        if 'synchronizing CUDA operation' in str(each.message)
    )


def shorten(cfg: Config, max_iters: int) -> None:
    """Let a training end early, without validation and checkpoints."""
    cfg.train_cfg.max_iters = max_iters
    cfg.load_from, cfg.resume = None, False
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        cfg[key] = None
    cfg.default_hooks = dict(cfg.get('default_hooks') or {}, checkpoint=None)


class _CostHook(Hook):
    """Measures every iteration, and the bare passes after it."""

    priority = 'LOWEST'  # the time of all other hooks counts

    def __init__(self, turn: ExitStack | None = None, compiles: bool = False) -> None:
        self.turn, self.compiles = turn, compiles
        self.rows: list[dict[str, float]] = []
        self.memory = 0
        self.waits: Counter[str] | None = None

    def before_train(self, runner: Runner) -> None:
        self.device = next(runner.model.parameters()).device
        self.model: Any = unwrap_model(runner.model)
        self.student: Any = getattr(self.model, 'student', self.model)
        self.context = partial(runner.optim_wrapper.optim_context, runner.model)  # autocast, if any
        kind = type(self.student.backbone)
        self.images: Counter[str] = Counter()  # by the kind of their pass
        self.handles = [
            each.register_forward_pre_hook(partial(self._count, name.startswith('regularizers.')))
            for name, each in self.model.named_modules()
            if type(each) is kind
        ]
        if self.compiles:
            compile_parts(self.model)

    def _count(self, alone: bool, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        kind = 'learning' if torch.is_grad_enabled() else 'labelling'
        self.images['encoding' if alone else kind] += len(inputs[0])

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict[str, Any] | None = None
    ) -> None:
        if batch_idx == WARM_UP and self.turn is not None:
            self.turn.close()
            self.turn.enter_context(gpu_turn(measures=True))
        self.images.clear()
        self.start = clock(self.device)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | None = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        seconds = clock(self.device) - self.start
        images = self.images.copy()
        batch = self.model.data_preprocessor(data_batch, True)
        inputs: Any = batch['inputs']
        samples: Any = batch['data_samples']
        if isinstance(inputs, Mapping):  # of both domains
            inputs, samples = inputs['source'], samples['source']
        source = ImageBatch(inputs, samples)
        self.images.clear()
        bare = {
            'learning': self._time(lambda: self._learn(source)),
            'labelling': self._time(lambda: self._label(source)),
            'encoding': self._time(lambda: self._encode(images['encoding'], source)),
        }
        self.student.zero_grad()  # the next iteration's gradients are its own
        self.images['encoding'] = images['encoding']  # of one pass that has as many
        counts = {kind: images[kind] / max(self.images[kind], 1) for kind in bare}
        passes = sum(counts[kind] * bare[kind] for kind in bare)
        self.rows.append(
            {
                'iteration_s': seconds,
                'passes_s': passes,
                'ratio': seconds / passes,
                **{f'{kind}_passes': count for kind, count in counts.items()},
                **{f'{kind}_pass_s': each for kind, each in bare.items()},
            }
        )
        if batch_idx == runner.max_iters - 1:
            wrapper = runner.optim_wrapper
            step = partial(self.model.train_step, data_batch, wrapper)
            self.memory = peak_memory(lambda: tuple(step().values()), self.device)
            if self.device.type == 'cuda':
                self.waits = count_waits(step)
                for place, count in self.waits.items():
                    runner.logger.info(f'the host waits {count} time(s) in an iteration: {place}')

    def after_train(self, runner: Runner) -> None:
        for handle in self.handles:
            handle.remove()

    def _time(self, call: Any) -> float:
        start = clock(self.device)
        call()
        return clock(self.device) - start

    def _learn(self, source: ImageBatch) -> None:
        labels, align = source.labels, self.student.align_corners  # (N, H, W)
        losses = []
        with self.context():
            for _, logits, share, cut in student_pass(self.student, source, 'source').parts():
                part = cut(labels)
                logits = nn.functional.interpolate(
                    logits.float(), part.shape[1:], mode='bilinear', align_corners=align
                )
                losses.append(share * nn.functional.cross_entropy(logits, part, ignore_index=255))
        loss: Any = torch.stack(losses).sum()
        loss.backward()

    @torch.no_grad()
    def _label(self, source: ImageBatch) -> None:
        with self.context():
            self.student.decode_head.forward(self.student.extract_feat(source.images))

    @torch.no_grad()
    def _encode(self, number: int, source: ImageBatch) -> None:
        for regularizer in getattr(self.model, 'regularizers', {}).values():
            if number and hasattr(regularizer, 'frozen_features'):
                with self.context():
                    regularizer.frozen_features(source.images)

    def summary(self) -> dict[str, float]:
        """The median of each number, and the peak of memory."""
        rows = self.rows[WARM_UP:]
        found = {key: median(row[key] for row in rows) for key in rows[0]}
        found['peak_memory_mib'] = self.memory / 2**20
        if self.waits is not None:
            found['host_waits'] = self.waits.total()
        return found
