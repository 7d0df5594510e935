"""Training in two processes, each of which runs :func:`main`.

What a process computes goes to ``FOLDER/RANK.pth``; the tests read it and compute the same with the
joint batch by the functions below, called without a rank.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import toys
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn

from mmseg_uda.engine import UDADistributedDataParallel

State = dict  # name -> Tensor
# Methods that are also trained by a runner.
RUNS = ('adversarial', 'cdanet', 'mean_teacher', 'dacs', 'camix', 'proda', 'cyclegan', 'sources')
METHOD_OF = {'sources': 'dacs'}  # trained on several sources
BATCH_NORM = 'adversarial'
UNEVEN = ('source_only', 'self_training', 'cdanet')  # with other numbers of labelled pixels
# Methods that draw numbers for an image, or look at all images of the batch.
DRAWING: dict[str, tuple[str, dict[str, Any]]] = {
    'plain': ('mean_teacher', dict(label_weight='batch_ratio')),
    'DACS': ('dacs', {}),
    'CAMix': ('camix', {}),
    'CutMix': ('dacs', dict(mixer=dict(type='CutMix'))),
    'CowMix': ('dacs', dict(mixer=dict(type='CowMix', sigma=(1, 4)))),
    'largest entropy': ('camix', dict(significance=dict(toys.SIGNIFICANCE, bound='batch'))),
}


def drawn(case: str) -> nn.Module:
    """A model of :data:`DRAWING`, of whose labels the teacher is confident in part."""
    name, changes = DRAWING[case]
    return toys.shaken(name, **{'pseudo_threshold': 0.7, **changes})


def part(data: dict[str, Any], rank: int | None) -> dict[str, Any]:
    """Every second image of each domain, as the sampler splits them; all without a rank."""
    if rank is None:
        return data
    return {
        domain: {key: value[rank::2] for key, value in batch.items()}
        for domain, batch in data.items()
    }


def batch_for(name: str, seed: int = 0) -> dict[str, Any]:
    """A joint batch of a model, with labels if it reads any."""
    return toys.batch(2, seed, labels=name in toys.METHODS)


def uneven() -> dict[str, Any]:
    """A batch whose images have different numbers of labelled pixels."""
    data = toys.batch(2)
    for domain, field in (('source', 'gt_sem_seg'), ('target', 'pseudo_sem_seg')):
        data[domain]['data_samples'][1].get(field).data[:, 5:] = 255
    return data


def joint_wrapper(model: nn.Module, name: str, **options: Any) -> Any:
    """The optimizers of a method."""
    return build_optim_wrapper(model, toys.optim_wrapper_cfg(toys.ALL[name], **options))


def weights(
    model: nn.Module, name: str, rank: int | None = None, iters: int = 3, **options: Any
) -> State:
    """Everything a method holds after some iterations; of translators in double precision.

    Absolute differences of images have kinks, which rounding could cross.
    """
    model.train()
    if name in toys.TRANSLATORS:
        model.double()
    wrapped = model if rank is None else UDADistributedDataParallel(model)
    wrapper = joint_wrapper(model, name, **options)
    wrapper.initialize_count_status(model, 0, iters)
    for i in range(iters):
        torch.manual_seed(i)
        wrapped.train_step(part(batch_for(name, seed=10 * i), rank), wrapper)
    return {key: value.clone() for key, value in model.state_dict().items()}


def gradients(
    model: nn.Module,
    wrapper: Any,
    data: dict[str, Any] | None = None,
    wrapped: nn.Module | None = None,
) -> State:
    """Gradients of one iteration, for which the wrapper does not step."""
    model.train()
    wrapper.step = wrapper.zero_grad = lambda **_: None
    torch.manual_seed(0)
    labels = hasattr(model, 'student')
    (wrapped or model).train_step(data or toys.batch(2, labels=labels), wrapper)
    return {
        name: param.grad.clone() if param.grad is not None else None
        for name, param in model.named_parameters()
    }


def plain_wrapper(model: nn.Module) -> Any:
    """Stock mmengine's, one optimizer for all."""
    return build_optim_wrapper(model, dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)))


def run(name: str, folder: Path, work_dir: Path, batch_size: int, **changes: Any) -> State:
    """Weights after a few iterations by a runner."""
    cfg = toys.runner_cfg(
        folder / 'data',
        work_dir,
        toys.method_cfg(METHOD_OF.get(name, name)),
        max_iters=4,
        batch_size=batch_size,
        **changes,
    )
    if name == 'sources':
        toys.add_labelled_targets(cfg)
    return {key: value.clone() for key, value in toys.train(cfg).model.state_dict().items()}


def _results(rank: int, folder: Path) -> dict[str, State]:
    results: dict[str, State] = {}
    for name in toys.ALL:
        results[f'weights {name}'] = weights(toys.build(name), name, rank)
        model = toys.build(name)
        results[f'gradients {name}'] = gradients(
            model,
            joint_wrapper(model, name),
            part(batch_for(name), rank),
            UDADistributedDataParallel(model),
        )
        model = toys.build(name)
        results[f'stock {name}'] = gradients(
            model,
            plain_wrapper(model),
            part(batch_for(name), rank),
            MMDistributedDataParallel(model, find_unused_parameters=True),
        )
    for name in UNEVEN:
        model = toys.build(name)
        results[f'uneven {name}'] = gradients(
            model,
            joint_wrapper(model, name),
            part(uneven(), rank),
            UDADistributedDataParallel(model),
        )
    for case, (name, _) in DRAWING.items():
        model = drawn(case)
        results[f'drawn {case}'] = gradients(
            model,
            joint_wrapper(model, name),
            part(toys.batch(4), rank),
            UDADistributedDataParallel(model),
        )
    name = BATCH_NORM
    results['accumulated'] = weights(toys.build(name), name, rank, 5, accumulative_counts=2)
    segmentor = toys.segmentor_cfg(batch_norm=True)
    for name in (BATCH_NORM, 'mean_teacher'):
        results[f'batch norm {name}'] = weights(toys.build(name, segmentor=segmentor), name, rank)
    for name in RUNS:
        teacher = 'teacher' in toys.method_cfg(METHOD_OF.get(name, name))
        state = run(
            name,
            folder,
            folder / f'run_{name}_{rank}',
            1,
            launcher='pytorch',
            model_wrapper_cfg=dict(type='UDADistributedDataParallel'),
            # The first process alone draws panels: nothing in them may wait for the other.
            custom_hooks=[
                *([dict(type='EMATeacherHook')] if teacher else []),
                dict(type='UDAVisualizationHook', interval=2),
            ],
        )
        results[f'run {name}'] = {key.replace('module.', '', 1): v for key, v in state.items()}
    return results


def main(rank: int, folder: Path) -> None:
    """Meet the other process, compute, write."""
    torch.set_num_threads(1)
    init_default_scope('mmseg')
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2')
    dist.init_process_group('gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=2)
    results = _results(rank, folder)
    torch.save(results, folder / f'{rank}.pth')
    dist.destroy_process_group()
