"""CDANet's picture; tests of all methods check its losses, those of its head the attention."""

from __future__ import annotations

import toys
from torch.testing import assert_close

from mmseg_uda.structures import DomainBatch


def test_visualize() -> None:
    model = toys.shaken('cdanet').eval()
    batch = DomainBatch.collect(**model.data_preprocessor(toys.batch(1), True))
    (shown,) = model.visualize(batch).values()
    assert shown.shape == (8, 12)
    assert_close(shown.mean().item(), 1.0)
    source, target = (model.extract_feat(images.images) for _, images in batch)
    maps = model.decode_head.attention_maps(source, target, shown.new_tensor([4 * 12 + 6]).long())
    assert_close(shown, maps[0, 0] * 96)


def test_visualize_without_spatial_attention() -> None:
    head = toys.attention_head_cfg(spatial_weight=None)
    model = toys.shaken('cdanet', segmentor=toys.segmentor_cfg(head)).eval()
    batch = DomainBatch.collect(**model.data_preprocessor(toys.batch(1), True))
    assert model.visualize(batch) == {}
