"""The best and the worst images of a model."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import toys

from mmseg_uda.stages.show import show_attention
from mmseg_uda.stages.show.extremes import extreme_samples, image_iou


def test_iou_of_an_image_by_hand() -> None:
    label = torch.tensor([[0, 0, 1, 255], [0, 1, 1, 2]])
    assert image_iou(label, label) == 100
    predicted = torch.tensor([[0, 1, 1, 0], [0, 1, 1, 3]])
    # Class 0: 2 of 3; class 1: 3 of 4; class 2: 0 of 1.
    assert image_iou(predicted, label) == pytest.approx(100 * (2 / 3 + 3 / 4 + 0) / 3)
    assert math.isnan(image_iou(predicted, torch.full_like(label, 255)))


def test_best_and_worst(tmp_path: Path) -> None:
    cfg = toys.runner_cfg(tmp_path, tmp_path / 'work', toys.method_cfg('source_only'))
    model = toys.build('source_only').eval()
    with torch.no_grad():
        found, meta = extreme_samples(cfg, model, 2)
    titles = [title for title, _ in found]
    assert [title.split(':')[0] for title in titles] == ['best', 'best', 'worst', 'worst']
    scores = [float(title.rpartition(' ')[2]) for title in titles]
    assert scores[0] >= scores[1] >= scores[3] >= scores[2]
    assert scores[0] > scores[2]
    assert len(meta['palette']) == 4
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
    picture, text = show_attention(cfg, str(tmp_path / 'model.pth'), 'extremes', cell_width=48)
    assert text == 'extremes of 2 target image(s)'
    assert picture.std() > 10
