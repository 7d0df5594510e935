"""Parts of the networks in configs fit together: iterations that compute shapes only."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import mmseg
import pytest
import torch
from config_files import ALL, load
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_uda.config.building import build_model
from mmseg_uda.models.layers import self_attention

SAM = 'sam/sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py'
MMSEG_MODELS = Path(mmseg.__file__).parent / '.mim/configs/_base_/models'
STAGE_A = SAM.replace('.py', '_attention.py')


def losses_of(name: str, size: tuple[int, int]) -> dict[str, Any]:
    """Losses of an iteration, of shapes only; attention gives its value back."""
    cfg = copy.deepcopy(load(name).to_dict())
    for regularizer in cfg['model'].get('regularizers', {}).values():
        regularizer['allow_untrained'] = True
    if 'fixed_teacher' in cfg['model']:
        cfg['model']['fixed_teacher']['allow_untrained'] = True
    if 'prototypes' in cfg['model']:
        cfg['model']['prototypes'] = None
    return losses_on_meta(build_model(cfg), size)


def losses_on_meta(model: Any, size: tuple[int, int]) -> dict[str, Any]:
    model.iteration = 0
    samples = {
        domain: SegDataSample(
            metainfo=dict(seed=0),
            **{
                f'{kind}_sem_seg': PixelData(
                    data=torch.zeros(1, *size, dtype=torch.long, device='meta')
                )
            },
        )
        for domain, kind in (('source', 'gt'), ('target', 'pseudo'))
    }
    samples['target'].soft_label = torch.empty(19, 9, 13, device='meta')
    with torch.device('meta'):
        images = torch.empty(1, 3, *size)
        return model.loss(
            dict.fromkeys(samples, images), {domain: [sample] for domain, sample in samples.items()}
        )


def parts_of(name: str) -> str:
    """What decides which shapes meet which modules."""
    model = copy.deepcopy(load(name).to_dict())['model']
    for switch in ('attend', 'detach', 'test_attention'):
        model['segmentor'].get('attention', {}).pop(switch, None)
    regularizers = [
        (each.get('self_attention'), each.get('layer'))
        for each in model.get('regularizers', {}).values()
    ]
    return repr((model['type'], model['segmentor'], regularizers))


# Configs of the methods with stages by method and network; they are read when their test runs.
# PSPNet's are of stock segmentors.
FAMILIES: dict[str, list[str]] = {}
for name in ALL:
    families = (
        'advent/advent_r101',
        'daformer/',
        'dast/',
        'hrda/',
        'mic/',
        'proda/proda_r101',
        'sam/',
        'self_training/',
        'vfm_uda/',
    )
    if name.startswith(families) and 'pspnet' not in name:
        FAMILIES.setdefault('_'.join(Path(name).name.split('_')[:2]), []).append(name)


@pytest.mark.parametrize(
    'family',
    # A network of full size is built for each of them; those in the default suite are the quickest.
    [
        family
        if 'vgg16' in family or 'mobilenetv2' in family
        else pytest.param(family, marks=pytest.mark.slow)
        for family in FAMILIES
    ],
)
def test_channels_fit(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_attention, 'cosine_attend', lambda feature, value, chunk: value)
    models = {name: load(name).model for name in FAMILIES[family]}
    different = {
        parts_of(name): name
        for name, model in models.items()
        if 'segmentor' in model and model.type != 'CDANet'
    }
    assert different
    for name in different.values():
        details = models[name].segmentor.get('detail_size')  # the least size, and not a square
        losses = losses_of(name, (details[0], details[1] + 8) if details else (65, 97))
        assert losses['source.decode.loss_ce'].shape == (), name
        assert ('adv.loss_discoverer' in losses) == (models[name].type == 'DAST'), name


# Base models of mmseg by the class of their head.
OF_MMSEG = dict(
    ann_r50='ANNHead',
    apcnet_r50='APCHead',
    deeplabv3_r50='ASPPHead',
    deeplabv3plus_r50='DepthwiseSeparableASPPHead',
    dmnet_r50='DMHead',
    dnl_r50='DNLHead',
    dpt_vit='DPTHead',
    emanet_r50='EMAHead',
    fcn_hr18='FCNHead',
    fpn_r50='FPNHead',
    gcnet_r50='GCHead',
    isanet_r50='ISAHead',
    nonlocal_r50='NLHead',
    pspnet_r50='PSPHead',
    segformer_mit='SegformerHead',
    segmenter_vit='SegmenterMaskTransformerHead',
    setr_mla='SETRMLAHead',
    setr_pup='SETRUPHead',
    upernet_swin='UPerHead',
)


def method_around(name: str) -> Any:
    """Self-training around a base model of mmseg, on the meta device."""
    (path,) = MMSEG_MODELS.glob(f'{name}*.py')
    segmentor = Config.fromfile(path).model.to_dict()
    del segmentor['pretrained']
    # Batch norm of a single value is refused in training: eval.
    return build_model(dict(model=dict(type='SelfTraining', segmentor=segmentor))).eval()


@pytest.mark.slow
@pytest.mark.parametrize('name', OF_MMSEG)
def test_heads_of_mmseg_that_can_be_students(name: str) -> None:
    model = method_around(name)
    assert type(model.student.decode_head).__name__ == OF_MMSEG[name]
    losses = losses_on_meta(model, (128, 128))
    assert losses['target.decode.loss_ce'].shape == ()
    page = (Path(__file__).parents[1] / 'docs/toolbox.md').read_text(encoding='utf-8')
    assert f'`{OF_MMSEG[name]}`' in page


@pytest.mark.slow
@pytest.mark.parametrize(('name', 'head'), [('danet_r50', 'DAHead'), ('encnet_r50', 'EncHead')])
def test_heads_with_several_outputs_are_refused(name: str, head: str) -> None:
    with pytest.raises(TypeError, match=f'expected logits .* {head}.forward computes tuple; write'):
        losses_on_meta(method_around(name), (128, 128))


@pytest.mark.parametrize(
    ('name', 'sides'),
    [
        (SAM, (65, 129)),
        (STAGE_A, (65, 129)),
        (SAM.replace('r101-deeplabv2', 'vgg16-fcn8s'), (74, 138)),
        (STAGE_A.replace('r101-deeplabv2', 'vgg16-fcn8s'), (74, 138)),
    ],
)
def test_self_attention_is_before_upsampling(
    name: str, sides: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Section 4.1: o, not p; of FCN-8s, the map before its transposed convolution."""
    seen = []
    monkeypatch.setattr(
        self_attention,
        'cosine_attend',
        lambda feature, value, chunk: seen.append(value.shape[1:]) or value,
    )
    losses = losses_of(name, (512, 1024))
    assert set(seen) == {(19, sides[0] * sides[1])}
    assert ('target.sam.loss_self_attention' in losses) != name.endswith('_attention.py')
