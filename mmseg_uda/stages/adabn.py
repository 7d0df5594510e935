"""Adaptation of a checkpoint by its batch-norm statistics alone (AdaBN)."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import barrier, is_main_process
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_uda.artifacts.checkpoint import load_checkpoint, load_into, weights_of
from mmseg_uda.artifacts.files import write_torch
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.config.reads import read_paths
from mmseg_uda.engine.batch_norm import batch_norm_layers, reestimate_batch_norm
from mmseg_uda.engine.hooks.adabn_hook import build_target_loader
from mmseg_uda.utils.progress import track

__all__ = ['adapt_checkpoint']


def adapt_checkpoint(
    cfg: Config,
    checkpoint: str,
    out: str,
    num_images: int | None = 200,
    batch_size: int = 4,
    num_workers: int = 2,
    seed: int = 0,
) -> int:
    """Write a checkpoint whose batch-norm statistics are those of target images.

    All processes call this; each looks at a part of the images. Everything else in the checkpoint
    stays as it is.

    Args:
        cfg: Config of the model and of the target data.
        checkpoint: Checkpoint of the model, or, if that is a method, of its bare student.
        out: File to write; an older one of other content is moved aside.
        num_images: Images over all processes; None for all.
        batch_size: Images per batch.
        num_workers: Loading processes.
        seed: Seed of the images' order.

    Returns:
        Number of images used.

    Raises:
        ValueError: The checkpoint is of another network, the network has no batch norm, or ``out``
            is where something is read.
    """
    check_output('adapt_checkpoint.out', out, [('checkpoint', checkpoint), *read_paths(cfg)])
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    content = load_checkpoint(checkpoint)
    weights = weights_of(content)
    model = MODELS.build(cfg.model)
    load_into(f'adapt_checkpoint: {checkpoint}', model, weights)
    loader = build_target_loader(
        cfg, num_images=num_images, batch_size=batch_size, num_workers=num_workers, seed=seed
    )
    batches = track(loader, len(loader), 'batches')
    count = reestimate_batch_norm(model.to(get_device()), batches)
    if is_main_process():
        for name, layer in batch_norm_layers(model):
            for buffer in ('running_mean', 'running_var'):
                key = f'{name}.{buffer}'
                # A plain mmseg checkpoint under a method's config has no prefix.
                key = key if key in weights else key.removeprefix('student.')
                if key in weights:
                    weights[key] = getattr(layer, buffer).cpu()
        write_torch(out, content)
    barrier()
    return count
