"""Methods in the inference API of MMSegmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import toys
from mmengine.config import Config
from mmseg.apis import inference_model, init_model
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
