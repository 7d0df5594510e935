"""Methods in the inference API of MMSegmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import toys
from mmengine.config import Config, ConfigDict
from mmseg.apis import inference_model, init_model
from mmseg.structures import SegDataSample
from torch.testing import assert_close


@pytest.mark.parametrize('name', toys.METHODS)
def test_init_model_and_inference_model(name: str, tmp_path: Path) -> None:
    trained = toys.build(name).eval()
    checkpoint = tmp_path / 'trained.pth'
    torch.save(
        dict(state_dict=trained.state_dict(), meta=dict(dataset_meta=toys.METAINFO)), checkpoint
    )
    cfg = Config(
        dict(
            model=toys.method_cfg(name),
            test_pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')],
        )
    )
    model = init_model(cfg, str(checkpoint), device='cpu')
    assert model.dataset_meta == toys.METAINFO
    image = np.random.default_rng(0).integers(0, 256, (*toys.SIZE, 3), dtype=np.uint8)
    result = inference_model(model, image)
    assert result.pred_sem_seg.data.shape == (1, *toys.SIZE)
    inputs = torch.from_numpy(image).permute(2, 0, 1).float()
    with torch.no_grad():
        expected = trained.encode_decode((inputs[None] - 127) / 64, [dict(img_shape=toys.SIZE)])
    assert_close(result.seg_logits.data, expected[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('test_resize', ['twice', 'logits', 'probabilities'])
@torch.no_grad()
def test_resize_of_the_scores(test_resize: str) -> None:
    """From (8, 12) to the ground truth's (50, 70), by way of (32, 48) or directly."""
    default = {} if test_resize == 'twice' else dict(test_resize=test_resize)
    model = toys.shaken('source_only', **default).eval()
    model.student.test_cfg = ConfigDict(mode='whole')  # as a config file gives it
    images = torch.randn(2, 3, *toys.SIZE)
    meta = dict(ori_shape=(50, 70), img_shape=toys.SIZE)
    samples = model.predict(images, [SegDataSample(metainfo=meta) for _ in range(2)])
    scores = model.decode_head(model.extract_feat(images))
    assert scores.shape[2:] == (8, 12)
    if test_resize == 'twice':
        scores = F.interpolate(scores, toys.SIZE, mode='bilinear', align_corners=True)
    if test_resize == 'probabilities':
        scores = scores.softmax(1)
    expected = F.interpolate(scores, (50, 70), mode='bilinear', align_corners=True)
    for sample, score in zip(samples, expected):
        logits = sample.seg_logits.data
        if test_resize == 'probabilities':
            assert_close(logits.softmax(0), score)
        else:
            assert_close(logits, score)
        assert_close(sample.pred_sem_seg.data[0], score.argmax(0))


def test_single_resize_takes_whole_images() -> None:
    model = toys.build('source_only', test_resize='logits').eval()
    for changes in (dict(img_padding_size=[0, 0, 0, 8]), dict(flip=True)):
        sample = SegDataSample(metainfo=dict(ori_shape=(50, 70), **changes))
        with pytest.raises(ValueError, match='test_resize: expected images without padding and fl'):
            model.predict(torch.randn(1, 3, *toys.SIZE), [sample])
    with pytest.raises(ValueError, match=r"SourceOnly.test_resize: expected .* got 'once'"):
        toys.build('source_only', test_resize='once')
