"""Networks of timm as backbones, against timm itself; all tiny and untrained."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.artifacts.checkpoint_sources import resolve_checkpoint
from mmseg_uda.doctor.weights import check_weights

DINO = dict(
    type='TimmFeatures',
    model_name='vit_small_patch14_dinov2.lvd142m',
    depth=3,
    embed_dim=16,
    num_heads=2,
    img_size=42,
    dynamic_img_size=True,
    out_indices=(-1,),
    norm=True,
)
REGISTERS = dict(DINO, model_name='vit_small_patch14_reg4_dinov2.lvd142m')


def build(cfg: dict[str, Any] = DINO, **changes: Any) -> Any:
    torch.manual_seed(0)
    backbone = MODELS.build({**copy.deepcopy(cfg), **changes})
    with torch.no_grad():
        for param in backbone.parameters():
            param += 0.1 * torch.randn_like(param)
    return backbone


def images(height: int = 42, width: int = 56) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


# ------------------------------------------------------------------------------------- features


@pytest.mark.parametrize(('cfg', 'prefix'), [(DINO, 1), (REGISTERS, 5)])
def test_last_tokens_are_normed_patches(cfg: dict[str, Any], prefix: int) -> None:
    """Class token and registers are left out; the rest is a map."""
    backbone = build(cfg).eval()
    (found,) = backbone(images())
    tokens = backbone.model.forward_features(images())  # (N, prefix + 3 * 4, C)
    assert tokens.shape[1] == prefix + 12
    expected = tokens[:, prefix:].permute(0, 2, 1).reshape(2, 16, 3, 4)
    assert_close(found, expected)


def test_maps_of_several_blocks() -> None:
    backbone = build(out_indices=(0, 1), norm=False).eval()
    assert len(backbone.model.blocks) == 2  # the third one is removed
    maps = backbone(images())
    hidden = backbone.model._pos_embed(backbone.model.patch_embed(images()))
    for found, block in zip(maps, backbone.model.blocks):
        hidden = block(hidden)
        assert_close(found, hidden[:, 1:].permute(0, 2, 1).reshape(2, 16, 3, 4))


def test_images_are_scaled_to_whole_patches() -> None:
    """1.1 times 64 and 80 is 70.4 and 88: five and six patches of 14."""
    backbone = build(input_scale=1.1).eval()
    (found,) = backbone(images(64, 80))
    assert found.shape == (2, 16, 5, 6)
    resized = F.interpolate(images(64, 80), (70, 84), mode='bilinear', align_corners=False)
    assert_close(found, build().eval()(resized)[0])
    for size, patches in ((1024, 80), (512, 40)):  # of the paper: 1120 and 560
        assert backbone._fit(torch.empty(1, 3, size, 14, device='meta')).shape[2] == 14 * patches


def test_images_of_broken_patches() -> None:
    with pytest.raises(
        ValueError,
        match=r'expected images whose height and width are multiples of \(14, 14\), but got '
        r'\(64, 84\); write other crops, or input_scale=1.0',
    ):
        build()(images(64, 84))


def test_position_embedding_follows_the_size_of_images() -> None:
    """Its grid (3, 3) is resampled at each forward pass, to (3, 4) here."""
    backbone = build().eval()
    assert backbone.model.pos_embed.shape == (1, 1 + 9, 16)
    embedded = backbone.model._pos_embed(torch.zeros(1, 3, 4, 16))[:, 1:]
    grid = backbone.model.pos_embed[:, 1:].reshape(1, 3, 3, 16).permute(0, 3, 1, 2)
    expected = F.interpolate(grid, (3, 4), mode='bicubic', antialias=True)
    assert_close(embedded, expected.flatten(2).permute(0, 2, 1))


# ------------------------------------------------------------------------------------- training


def test_checkpointing_changes_no_gradient() -> None:
    gradients = []
    for with_cp in (False, True):
        backbone = build(with_cp=with_cp).train()
        backbone(images())[0].square().mean().backward()
        gradients.append({key: param.grad for key, param in backbone.named_parameters()})
    assert all(each is not None for each in gradients[0].values())
    assert_close(gradients[1], gradients[0])


def test_drop_path() -> None:
    backbone = build(drop_path_rate=0.9).train()
    assert not torch.equal(backbone(images())[0], backbone(images())[0])
    backbone.eval()
    assert_close(backbone(images()), backbone(images()))


def test_frozen() -> None:
    backbone = build(frozen=True, drop_path_rate=0.9)
    assert not any(module.training for module in backbone.train().modules())
    assert not any(param.requires_grad for param in backbone.parameters())
    assert not backbone(images().requires_grad_())[0].requires_grad


def test_layer_decay() -> None:
    """Block i of L has d^(L - 1 - i), what comes before them d^L, the final norm 1."""
    model = nn.ModuleDict(dict(backbone=build(REGISTERS), head=nn.Linear(2, 2)))
    student = dict(
        optimizer=dict(type='AdamW', lr=1.0),
        constructor='BlockDecayOptimizerConstructor',
        paramwise_cfg=dict(
            blocks='backbone.model.blocks',
            decay_rate=0.5,
            custom_keys=dict(backbone=dict(lr_mult=0.1)),
        ),
    )
    wrapper = build_optim_wrapper(
        nn.ModuleDict(dict(student=model)),
        dict(constructor='JointOptimWrapperConstructor', optimizers=dict(student=student)),
    )
    groups = wrapper['student'].optimizer.param_groups
    rates = {id(param): group['lr'] for group in groups for param in group['params']}
    found = {key: rates[id(param)] for key, param in model.named_parameters()}
    assert len(rates) == len(found)
    for key, rate in found.items():
        names = key.split('.')
        expected = 0.1
        if 'blocks' in names:
            expected *= 0.5 ** (2 - int(names[3]))
        elif 'patch_embed' in names or names[-1].endswith(('_embed', '_token')):
            expected *= 0.5**3
        elif names[0] == 'head':
            expected = 1.0
        assert rate == pytest.approx(expected), key


# -------------------------------------------------------------------------------------- weights


def published(backbone: Any, registers: bool) -> dict[str, Tensor]:
    """A stand-in for Meta's file of this network, which was trained on larger images: 4 x 4."""
    content = {
        key.removeprefix('model.'): torch.randn_like(value)
        for key, value in backbone.state_dict().items()
    }
    content['pos_embed'] = torch.randn(1, 1 + 16, 16)
    content['mask_token'] = torch.randn(1, 16)
    if registers:
        content['register_tokens'] = content.pop('reg_token')
    return content


@pytest.mark.parametrize('registers', [False, True])
def test_weights_of_the_authors(registers: bool, tmp_path: Path) -> None:
    cfg = REGISTERS if registers else DINO
    content = published(build(cfg), registers)
    torch.save(content, tmp_path / 'dinov2.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'dinov2.pth'))
    backbone = build(cfg, init_cfg=init)
    backbone.init_weights()
    model = backbone.model
    assert model.blocks[2].mlp.fc2.weight.equal(content['blocks.2.mlp.fc2.weight'])
    assert model.norm.bias.equal(content['norm.bias'])
    grid = content['pos_embed'][:, 1:].reshape(1, 4, 4, 16).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (3, 3), mode='bicubic', antialias=True).flatten(2).permute(0, 2, 1)
    first = content['pos_embed'][:, :1]
    if registers:  # timm adds the class token's position to the token itself
        assert model.reg_token.equal(content['register_tokens'])
        assert_close(model.cls_token, content['cls_token'] + first)
        assert_close(model.pos_embed, grid)
    else:
        assert_close(model.pos_embed, torch.cat([first, grid], 1))


def test_own_weights_load_again() -> None:
    backbone, other = build(), build(init_cfg=None)
    for param in other.parameters():
        nn.init.zeros_(param)
    other.load_state_dict(backbone.state_dict())
    assert_close(other.state_dict(), backbone.state_dict())


def test_weights_of_another_network(tmp_path: Path) -> None:
    torch.save(published(build(depth=2), False), tmp_path / 'small.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'small.pth'))
    with pytest.raises(
        ValueError,
        match='TimmFeatures: expected weights of VisionTransformer, but 14 of 48 tensors are '
        r'missing or of another shape, the first is model.blocks.2.norm1.weight; write a file',
    ):
        build(init_cfg=init).init_weights()


@pytest.mark.parametrize(('depth', 'verdict'), [(3, 'ok'), (8, 'wrong')])
def test_doctor_knows_their_names(depth: int, verdict: str, tmp_path: Path) -> None:
    """A file of the authors has all tensors of this network, or of a deeper one."""
    torch.save(published(build(depth=depth), False), tmp_path / 'dinov2.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'dinov2.pth'))
    model = dict(segmentor=dict(backbone=dict(DINO, init_cfg=init)))
    network = nn.ModuleDict(dict(backbone=build(init_cfg=init)))
    (finding,) = check_weights(Config(dict(model=model)), network)
    assert finding.verdict == verdict
    assert 'has 48 of 48 tensors of backbone, 100%' in finding.message


def test_names_of_weights() -> None:
    url = 'https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_reg4_pretrain.pth'
    assert resolve_checkpoint('timm://vit_large_patch14_reg4_dinov2.lvd142m') == url
    assert resolve_checkpoint('timm://convnext_tiny.in12k') is None  # on a hub alone
    assert resolve_checkpoint('timm://no_such_network') is None


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (
            dict(model_name='vit_small_patch14_dino'),
            "TimmFeatures.model_name: expected a network of timm .*, but got 'vit_small_patch14",
        ),
        (dict(colour=1), "cannot be built as .*'colour': 1.*colour.*; write other arguments"),
        (dict(out_indices=(3,)), r'cannot be built as .* with out_indices=\(3,\)'),
        (dict(out_indices=('last',)), 'TimmFeatures.out_indices: expected an integer'),
        (dict(input_scale=0), r'TimmFeatures.input_scale: expected a number in \(0, inf\)'),
    ],
)
def test_wrong_arguments(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        build(**changes)
