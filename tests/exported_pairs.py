"""Exported pairs of untrained toys, with every network of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import toys
from mmseg.registry import MODELS

from mmseg_uda.stages.export import export_segmentor

RESNET = dict(
    type='CeilPoolResNet',
    depth=18,
    base_channels=4,
    stem_channels=4,
    out_indices=(3,),
    strides=(1, 2, 1, 1),
    dilations=(1, 1, 2, 4),
    contract_dilation=False,
)
LOSS = dict(type='PixelCrossEntropyLoss')
DEEPLAB = dict(
    type='DeepLabV2Head', in_channels=32, num_classes=toys.NUM_CLASSES, in_index=0, loss_decode=LOSS
)
DISCOVERER = dict(type='FCDiscriminator', in_channels=32, channels=(4,), kernel_size=3, stride=1)
HEADS: dict[str, dict[str, Any]] = {
    'deeplab': dict(DEEPLAB, type='mmseg_uda.DeepLabV2Head'),
    'cdanet': dict(type='CrossDomainAttentionHead', in_channels=32, classifier=DEEPLAB),
    'sam_stage_a': dict(type='SelfAttentionHead', classifier=DEEPLAB),
    'regularized': dict(
        type='RegularizedHead',
        head=DEEPLAB,
        regularizers=dict(entropy=dict(type='EntropyLoss', domains=['source'])),
    ),
    'proda': dict(
        type='ASPPGNHead',
        in_channels=32,
        channels=8,
        num_groups=2,
        in_index=0,
        num_classes=toys.NUM_CLASSES,
    ),
}


def network(head: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return dict(toys.segmentor_cfg(head), backbone=RESNET, **changes)


NETWORKS = {name: network(head) for name, head in HEADS.items()}
NETWORKS['dast'] = network(
    DEEPLAB,
    attention=dict(type='DiscriminatorAttention', attend_at='backbone', discriminator=DISCOVERER),
)
NETWORKS['dast']['type'] = 'AttendedSegmentor'
NETWORKS['hrda'] = network(DEEPLAB, detail_size=(16, 32), stride=8)
NETWORKS['hrda']['type'] = 'MultiResolutionSegmentor'
NETWORKS['fcn8s'] = dict(
    network(
        dict(type='FCN8sHead', in_channels=(2, 2, 8), num_classes=toys.NUM_CLASSES),
    ),
    backbone=dict(type='VGG16FCN', stage_channels=(2, 2, 2, 2, 2), fc_channels=8),
)
NETWORKS['vfm_uda'] = dict(
    toys.segmentor_cfg(dict(type='VFMUDAHead', in_channels=16, num_classes=toys.NUM_CLASSES)),
    backbone=dict(
        type='TimmFeatures',
        model_name='vit_small_patch14_reg4_dinov2',
        depth=1,
        embed_dim=16,
        num_heads=2,
        img_size=28,
        dynamic_img_size=True,
        out_indices=(-1,),
        norm=True,
        input_scale=1.1,
    ),
)


def export(root: Path, network: str | dict[str, Any]) -> torch.nn.Module:
    """Export a network of random weights, and give the method that has it."""
    root.mkdir()
    segmentor = NETWORKS[network] if isinstance(network, str) else network
    data = root.parent / 'data'
    cfg = toys.runner_cfg(data, root, dict(type='SourceOnly', segmentor=segmentor))
    cfg.custom_imports = dict(imports=['mmseg_uda'])
    cfg.test_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackUDAInputs')]
    torch.manual_seed(0)
    method = MODELS.build(cfg.model)
    with torch.no_grad():
        for param in method.parameters():
            param += 0.05 * torch.randn_like(param)
    meta = dict(dataset_meta=toys.METAINFO, iter=2)
    torch.save(dict(state_dict=method.state_dict(), meta=meta), root / 'method.pth')
    export_segmentor(str(root / 'method.pth'), root / 'a.pth', cfg, root / 'config.py')
    return method.eval()
