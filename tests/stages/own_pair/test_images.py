"""What images look like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_uda.stages.own_pair.images import look_at_images


def test_look(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ('a.png', 'b.png', 'c.png')]
    for path, size in zip(paths, ((4, 6), (8, 10))):
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(path)
    Path(paths[2]).write_bytes(b'no image')
    images = look_at_images(str(tmp_path), paths)
    assert images.sizes == {(6, 4): 1, (10, 8): 1}
    assert images.short_side == 8
    assert images.unreadable == [paths[2]]
    with pytest.raises(ValueError, match='expected images that can be read'):
        look_at_images(str(tmp_path), paths[2:])
