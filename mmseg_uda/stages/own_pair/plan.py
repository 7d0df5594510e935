"""Networks and methods for two domains of a user's own, and crops and batches that fit."""

from __future__ import annotations

import os
from typing import NamedTuple

import torch

__all__ = ['METHODS', 'NETWORKS', 'Plan', 'device_memory', 'make_plan']

GIB = 2**30
LARGEST_CROP = 512
SMALLEST_CROP = 32  # and its multiple: the stride of the networks
CPU_CROP = 256
SPARE = 0.6  # share of the memory that training may take; the rest is for others and validation


class Network(NamedTuple):
    """A network that configs can take.

    Args:
        base: Its file in ``configs/_base_/models``.
        lr: Learning rate of AdamW; the head's is ten times that.
        fixed: GiB for weights, gradients, the optimizer's state and the teacher.
        per_pixel: Bytes of activations per pixel of a domain's batch, in fp32: what DACS takes on a
            CPU, by the allocator, and a third more for the workspace of convolutions.
    """

    base: str
    lr: float
    fixed: float
    per_pixel: int


NETWORKS = {
    'mit-b0': Network('segformer_mit-b0', 6e-5, 0.1, 4000),
    'r101': Network('deeplabv2_r101_torchvision', 6e-5, 1.0, 11000),
    'mobilenetv2': Network('deeplabv2_mobilenetv2', 3e-4, 0.1, 5200),
    'toy': Network('toy_mobilenetv2', 2e-3, 0.1, 3000),  # from scratch, for a CPU
}
_TEACHER = """type='{type}',
    segmentor=segmentor,
    teacher=dict(type='EMATeacher', alpha={alpha}, mode='{mode}'),{mixer}
    augment=dict(type='StrongAugment'),
    consistency=dict(type='ConsistencyLoss', kind='ce', normalize='official'),
    label_weight='batch_ratio',
    norm_statistics='target'"""
_DACS = dict(type='MeanTeacher', alpha=0.99, mode='train')
# DAFormer's teacher. Its feature distance needs the ids of things: docs/own_data.md adds it.
_DAFORMER = dict(type='MeanTeacher', alpha=0.999, mode='batch_statistics')
_MIX = "\n    mixer=dict(type='ClassMix', direction='source2target'),"
_MASK = """,
    mask=dict(type='BlockMask', block_size=max(1, crop_size[0] // 16), ratio=0.7),
    mask_augment=dict(type='StrongAugment')"""
_DISCRIMINATOR = """
    segmentor=segmentor,{align}
    discriminator=dict(type='FCDiscriminator', in_channels=len(classes)),
    norm_statistics='target',
    adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.001)"""
# Arguments of `model` in a config; `segmentor` and `classes` are names in it.
METHODS = {
    'dacs': _TEACHER.format(mixer=_MIX, **_DACS),
    'mean_teacher': _TEACHER.format(mixer='', **_DACS),
    'daformer': _TEACHER.format(mixer=_MIX, **_DAFORMER),
    'mic': _TEACHER.format(mixer=_MIX, **{**_DAFORMER, 'type': 'MIC'}) + _MASK,
    'source_only': "type='SourceOnly', segmentor=segmentor",
    'minent': "type='MinEnt', segmentor=segmentor, norm_statistics='target', lambda_ent=0.001",
    'adversarial': f"type='Adversarial',{_DISCRIMINATOR.format(align='')}",
    'advent': "type='Adversarial',"
    + _DISCRIMINATOR.format(align="\n    align='self_information',"),
}


class Plan(NamedTuple):
    """Sizes of a training.

    Args:
        short_side: Shorter side in pixels to which the images of both domains are resized.
        crop: Side of the square crops.
        batch_size: Images of each domain in a batch.
        max_iters: Iterations.
        memory: GiB that the device has.
        needed: GiB that training will take, about.
        on_gpu: The device is a GPU.
    """

    short_side: int
    crop: int
    batch_size: int
    max_iters: int
    memory: float
    needed: float
    on_gpu: bool


def device_memory() -> tuple[float, bool]:
    """Give the memory in GiB of the first GPU, or of the machine, and whether it is a GPU's."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory / GIB, True
    pages = os.sysconf('SC_PHYS_PAGES') if hasattr(os, 'sysconf') else 0
    return (pages * os.sysconf('SC_PAGE_SIZE') / GIB if pages else 8.0), False


def make_plan(short_side: int, network: Network, memory: float, on_gpu: bool) -> Plan:
    """Choose crop and batch for the images and the memory.

    The crop is at most 512, on a CPU 256, and no larger than the images. It is halved until two
    images of each domain fit; then the batch is four if those fit, too. Images are resized so that
    a crop has four fifths of their height: enough of the scene is in it, and crops differ.

    Args:
        short_side: The shorter side of images of the domain with the smaller ones, in pixels.
        network: The network.
        memory: Memory of the device in GiB.
        on_gpu: The device is a GPU.

    Raises:
        ValueError: Images are smaller than the smallest crop.
    """

    def needed(crop: int, batch_size: int) -> float:
        return network.fixed + batch_size * crop**2 * network.per_pixel / GIB

    limit = LARGEST_CROP if on_gpu else CPU_CROP
    crop = min(limit, short_side) // SMALLEST_CROP * SMALLEST_CROP
    if not crop:
        raise ValueError(
            f'expected images of at least {SMALLEST_CROP} pixels, but got a side of {short_side}; '
            'enlarge them first'
        )
    room = SPARE * memory
    while needed(crop, 2) > room and crop >= 4 * SMALLEST_CROP:
        crop = crop // 2 // SMALLEST_CROP * SMALLEST_CROP
    batch_size = 4 if on_gpu and needed(crop, 4) <= room else 2
    return Plan(
        min(short_side, crop * 5 // 4),
        crop,
        batch_size,
        40000 if on_gpu else 2000,
        memory,
        needed(crop, batch_size),
        on_gpu,
    )
