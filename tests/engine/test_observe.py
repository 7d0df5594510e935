from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from mmseg.models import SegTTAModel
from mmseg.registry import MODELS
from torch import nn
from torch.testing import assert_close
from toys import SIZE, batch, build, segmentor_cfg

from mmseg_uda.engine.observe import first_image, preserve_state, segment, unwrap_model


def draw() -> tuple[float, float, float]:
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_no_trace_gives_everything_back() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2).eval()))
    modes = [module.training for module in model.modules()]
    draw()
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    expected = draw()
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    with preserve_state(model):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
        draw()
    assert [module.training for module in model.modules()] == modes
    assert torch.is_grad_enabled()
    assert draw() == expected
    with pytest.raises(RuntimeError), preserve_state(model):
        model(torch.rand(3))
    assert [module.training for module in model.modules()] == modes


def test_unwrap_model() -> None:
    model = MODELS.build(segmentor_cfg())
    wrapper = MMDistributedDataParallel
    assert unwrap_model(model) is model
    assert unwrap_model(SegTTAModel(module=model)) is model
    wrapped = wrapper.__new__(wrapper)
    nn.Module.__init__(wrapped)
    wrapped.module = model
    assert unwrap_model(wrapped) is model


def test_first_image_is_preprocessed_by_its_domain() -> None:
    other = dict(type='SegDataPreProcessor', mean=[10.0] * 3, std=[2.0] * 3)
    preprocessor = dict(
        type='UDADataPreprocessor', target=other, source=segmentor_cfg()['data_preprocessor']
    )
    model, data = build('source_only', data_preprocessor=preprocessor), batch()
    for domain, mean, std in (('source', 127, 64), ('target', 10, 2)):
        found = first_image(model, data, domain)
        assert_close(found.images[0], (data[domain]['inputs'][0].float() - mean) / std)
        assert found.samples[0].img_path == data[domain]['data_samples'][0].img_path
    # A stock segmentor has one preprocessor for both.
    found = first_image(MODELS.build(segmentor_cfg()), data, 'target')
    assert_close(found.images[0], (data['target']['inputs'][0].float() - 127) / 64)


def test_segment() -> None:
    model = build('source_only').eval()
    image = first_image(model, batch(), 'target')
    with torch.no_grad():
        label, confidence = segment(model, image)
        prob = model.encode_decode(image.images, [image.samples[0].metainfo]).softmax(1)
    assert label.shape == confidence.shape == (1, *SIZE)
    assert_close(prob.gather(1, label[:, None])[:, 0], confidence)
    assert bool((confidence >= prob.amax(1) - 1e-6).all())
