"""Regularisers in a stock segmentor."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.testing import assert_close
from toys import NUM_CLASSES, sample, segmentor_cfg

from mmseg_uda.structures import SegOutput

HEAD = segmentor_cfg()['decode_head']
SAM = dict(
    type='SelfAttentionLoss',
    allow_untrained=True,
    loss_weight=0.5,
    self_attention=dict(type='SelfAttentionModule', in_channels=NUM_CLASSES),
)
ENTROPY = dict(type='EntropyLoss', domains=['source'])


@MODELS.register_module(force=True)
class Spy(nn.Module):
    """Keeps the passes that it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[SegOutput] = []

    def forward(self, output: SegOutput) -> dict[str, Tensor]:
        self.seen.append(output)
        return dict(loss_spy=output.seg_logits.sum() * 0 + 2)


def segmentor(head: dict[str, Any] = HEAD, **regularizers: Any) -> EncoderDecoder:
    cfg = (
        dict(type='RegularizedHead', head=head, regularizers=regularizers) if regularizers else head
    )
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(segmentor_cfg(cfg)))
    for param in model.parameters():
        nn.init.normal_(param, std=0.3)
    return model


def data_of(model: EncoderDecoder, training: bool = True) -> dict[str, Any]:
    samples = [sample(i, 'gt_sem_seg') for i in range(2)]
    return model.data_preprocessor({key: [s[key] for s in samples] for key in samples[0]}, training)


def test_a_stock_train_step() -> None:
    model, plain = segmentor(sam=SAM, entropy=ENTROPY), segmentor()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    plain.load_state_dict(
        {key.replace('classifier.', ''): value for key, value in before.items()}, strict=False
    )
    losses, expected = (m(**data_of(m), mode='loss') for m in (model, plain))
    assert set(losses) == {
        *expected,
        'decode.sam.loss_self_attention',
        'decode.entropy.loss_entropy',
    }
    for key, value in expected.items():
        assert_close(losses[key], value)
    # (8) with l1 is half of the mean of what the module gives.
    logits = model.decode_head(model.extract_feat(data_of(model)['inputs']))
    attended = model.decode_head.regularizers['sam'].self_attention(logits)
    assert_close(losses['decode.sam.loss_self_attention'], 0.5 * attended.abs().mean())

    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    samples = [sample(i, 'gt_sem_seg') for i in range(2)]
    batch = {key: [s[key] for s in samples] for key in samples[0]}
    log = model.train_step(batch, wrapper)
    total = sum(value for key, value in losses.items() if 'loss' in key)
    assert_close(log['loss'], total)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]) == ('self_attention' in key), key


def test_what_regularizers_see() -> None:
    model = segmentor(spy=dict(type='Spy'))
    losses = model(**data_of(model), mode='loss')
    assert losses['decode.spy.loss_spy'] == 2
    (output,) = model.decode_head.regularizers['spy'].seen
    assert output.domain == 'source'
    features = model.extract_feat(data_of(model)['inputs'])
    assert_close(output.features, tuple(features))
    assert_close(output.seg_logits, model.decode_head(features))
    assert output.raw_logits is output.seg_logits


def test_fcn8s_is_regularized_before_its_upsampling() -> None:
    head = MODELS.build(
        dict(
            type='RegularizedHead',
            regularizers=dict(spy=dict(type='Spy')),
            head=dict(type='FCN8sHead', in_channels=(4, 5, 6), num_classes=NUM_CLASSES),
        )
    )
    maps = (
        torch.randn(2, 4, 29, 31),
        torch.randn(2, 5, 15, 16),
        torch.randn(2, 6, 2, 2),
        torch.empty(2, 0, 32, 48),
    )
    samples = [sample(i, 'gt_sem_seg')['data_samples'] for i in range(2)]
    head.loss(maps, samples, {})
    (output,) = head.regularizers['spy'].seen
    assert_close(output.raw_logits, head.classifier.scores_at_stride8(maps))
    assert_close(output.seg_logits, head.forward(maps))
    assert output.seg_logits.shape[2:] == (32, 48)


def test_predictions_are_the_wrapped_heads() -> None:
    model, plain = segmentor(sam=SAM), segmentor()
    plain.load_state_dict(
        {key.replace('classifier.', ''): value for key, value in model.state_dict().items()},
        strict=False,
    )
    model.eval()
    plain.eval()
    for one, other in zip(
        model(**data_of(model, False), mode='predict'),
        plain(**data_of(plain, False), mode='predict'),
    ):
        assert_close(one.seg_logits.data, other.seg_logits.data)
    assert_close(model(data_of(model)['inputs']), plain(data_of(plain)['inputs']))


def test_a_heads_own_losses_and_predictions_are_kept() -> None:
    @MODELS.register_module(force=True)
    class OwnHead(MODELS.get('DeepLabV2Head')):
        def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: Any) -> dict[str, Tensor]:
            return dict(loss_own=seg_logits.mean())

        def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: Any) -> Tensor:
            return seg_logits + 1

    model = segmentor(dict(HEAD, type='OwnHead'), spy=dict(type='Spy'))
    assert set(model(**data_of(model), mode='loss')) == {'decode.loss_own', 'decode.spy.loss_spy'}
    head, features = model.decode_head, model.extract_feat(data_of(model)['inputs'])
    assert_close(head.predict(features, [{}], {}), head(features) + 1)
    assert_close(head.loss_by_feat(features[0], [])['loss_own'], features[0].mean())


@pytest.mark.parametrize(
    ('regularizers', 'message'),
    [
        ({}, r'RegularizedHead\.regularizers: expected dict.*, but got {}; write the head'),
        (
            dict(entropy=dict(type='EntropyLoss')),
            r"regularizers\.entropy\.domains: expected \['source'\], .* but got \('target',\)",
        ),
    ],
)
def test_wrong_arguments(regularizers: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type='RegularizedHead', head=HEAD, regularizers=regularizers))


def test_a_head_with_a_loss_of_its_own_is_refused() -> None:
    @MODELS.register_module(force=True)
    class OtherHead(MODELS.get('DeepLabV2Head')):
        def loss(self, *args: Any) -> dict[str, Tensor]: ...

    with pytest.raises(
        TypeError, match=r'RegularizedHead\.head: expected .* stock `loss`, but got OtherHead'
    ):
        segmentor(dict(HEAD, type='OtherHead'), spy=dict(type='Spy'))


def test_a_head_with_a_second_output_is_refused() -> None:
    head = dict(type='EncHead', in_channels=[8, 8], in_index=[0, 0], channels=8, num_classes=4)
    with pytest.raises(TypeError, match=r'got EncHead with its SE loss; write use_se_loss=False'):
        segmentor(head, spy=dict(type='Spy'))
    assert segmentor(dict(head, use_se_loss=False), spy=dict(type='Spy'))


def test_init_cfg() -> None:
    head = MODELS.build(
        dict(
            type='RegularizedHead',
            head=HEAD,
            regularizers=dict(sam=SAM),
            init_cfg=dict(type='Constant', layer='Conv2d', val=0.25),
        )
    )
    head.init_weights()
    assert (head.regularizers['sam'].self_attention.conv.weight == 0.25).all()
    assert (head.classifier.branches[0].weight != 0.25).all()  # its own comes after
