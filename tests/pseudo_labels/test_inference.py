"""Probabilities of a segmentor at its input's size."""

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import nn
from toys import NUM_CLASSES, SIZE, build, sample, segmentor_cfg

from mmseg_uda.pseudo_labels import segment_probabilities


def make_batch(size=SIZE):
    samples = [sample(seed, None, size) for seed in range(2)]
    return {key: [part[key] for part in samples] for key in ('inputs', 'data_samples')}


@pytest.fixture
def model():
    model = MODELS.build(segmentor_cfg())
    model.init_weights()
    nn.init.normal_(next(model.decode_head.parameters()))
    return model.eval()


def reference(model, batch, softmax_first):
    images = (torch.stack(batch['inputs']).float() - 127) / 64
    logits = model.decode_head(model.extract_feat(images))
    if softmax_first:
        logits = logits.softmax(1)
    logits = F.interpolate(
        logits, images.shape[2:], mode='bilinear', align_corners=model.decode_head.align_corners
    )
    return logits if softmax_first else logits.softmax(1)


@pytest.mark.parametrize('softmax_first', [True, False])
def test_order_of_softmax_and_upsampling(model, softmax_first):
    images, samples = segment_probabilities(model, make_batch(), softmax_first)
    expected = reference(model, make_batch(), softmax_first)
    torch.testing.assert_close(torch.stack(images), expected)
    other = reference(model, make_batch(), not softmax_first)
    assert not torch.allclose(torch.stack(images), other, atol=1e-4)
    assert [part.img_path for part in samples] == ['0.png', '1.png']
    assert not images[0].requires_grad
    assert 'predict_by_feat' not in vars(model.decode_head)


@pytest.mark.parametrize('name', ['source_only', 'cdanet'])
@pytest.mark.parametrize('softmax_first', [True, False])
def test_a_method_gives_its_students(name, softmax_first):
    method = build(name).eval()
    images, _ = segment_probabilities(method, make_batch(), softmax_first)
    expected = reference(method.student, make_batch(), softmax_first)
    torch.testing.assert_close(torch.stack(images), expected)
    wrapped, _ = segment_probabilities(nn.DataParallel(method), make_batch(), softmax_first)
    torch.testing.assert_close(wrapped, images)
    assert images[0].shape == (NUM_CLASSES, *SIZE)
    torch.testing.assert_close(images[0].sum(0), torch.ones(SIZE))


def test_padding_is_cut_off():
    cfg = segmentor_cfg()
    cfg['data_preprocessor']['test_cfg'] = dict(size_divisor=32)
    padding = MODELS.build(cfg).eval()
    images, _ = segment_probabilities(padding, make_batch((30, 44)))
    assert [tuple(image.shape[1:]) for image in images] == [(30, 44)] * 2


def test_bad_models(model):
    with pytest.raises(TypeError, match='got Linear, which has no encode_decode'):
        segment_probabilities(nn.Linear(1, 1), make_batch())
    broken = MODELS.build(segmentor_cfg()).eval()
    broken.backbone.stem.bias.data.fill_(float('nan'))
    with pytest.raises(ValueError, match=r"NaN or infinity for '0\.png'; write another checkpoint"):
        segment_probabilities(broken, make_batch())
    model.decode_head.predict = lambda feats, metas, cfg: model.decode_head(feats)
    with pytest.raises(
        TypeError, match='one call of predict_by_feat, but got 0 by .*; write softmax'
    ):
        segment_probabilities(model, make_batch(), softmax_first=True)
    assert 'predict_by_feat' not in vars(model.decode_head)
    del model.decode_head
    model.encode_decode = lambda images, metas: images
    with pytest.raises(
        TypeError, match='expected a decode head with .*, but got EncoderDecoder without; write'
    ):
        segment_probabilities(model, make_batch(), softmax_first=True)


def test_single_output(model):
    model.encode_decode = lambda images, metas: images[:, :1]
    with pytest.raises(ValueError, match=r'at least two outputs, but got one.*out_channels=2'):
        segment_probabilities(model, make_batch())
