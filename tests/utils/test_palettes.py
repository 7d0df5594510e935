from __future__ import annotations

import numpy as np

from mmseg_uda.utils.palettes import draw_legend, legend_of

CLASSES, PALETTE = ('road', 'sky', 'car'), [[128, 64, 128], [70, 130, 180], [0, 0, 142]]


def has(strip: np.ndarray, colour: list[int]) -> bool:
    return bool((strip == colour).all(2).sum() > 50)


def test_legend_has_the_classes_present() -> None:
    strip = legend_of([2, 0, 0], CLASSES, PALETTE, 600)
    assert [has(strip, colour) for colour in PALETTE] == [True, False, True]
    assert not has(strip, [0, 0, 0])
    assert has(legend_of([255, 0], CLASSES, PALETTE, 600), [0, 0, 0])  # ignored
    assert has(legend_of([1], None, PALETTE, 600), PALETTE[1])  # without names


def test_legend_wraps_and_grows_with_its_width() -> None:
    narrow, wide = (draw_legend(CLASSES * 4, PALETTE * 4, width) for width in (200, 1400))
    assert narrow.shape[0] > 3 * wide.shape[0]
    assert draw_legend(CLASSES, PALETTE, 4200).shape[0] == 3 * 24
    titled = draw_legend(CLASSES, PALETTE, 1400, title='iteration 500')
    assert (titled[:, :90] < 128).any()
    assert not has(titled[:, :90], PALETTE[0])
