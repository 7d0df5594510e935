from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg_uda.utils.drawing import (
    contact_sheet,
    denormalize,
    heat_map,
    label_to_color,
    loaded_to_rgb,
    overlay,
    save_picture,
    tile_panel,
)

PALETTE = [[128, 64, 128], [0, 0, 142]]


def test_label_to_color() -> None:
    label = np.array([[0, 1], [255, -1]])
    expected = [[PALETTE[0], PALETTE[1]], [[9, 9, 9], [9, 9, 9]]]
    np.testing.assert_array_equal(label_to_color(label, PALETTE, (9, 9, 9)), expected)
    with pytest.raises(ValueError, match=r'shape \(H, W\), but got \(1, 2, 2\)'):
        label_to_color(label[None], PALETTE)


def test_loaded_images() -> None:
    bgr = np.array([[[10]], [[20]], [[255]]], np.uint8)
    assert loaded_to_rgb(bgr).tolist() == [[[255, 20, 10]]]
    assert loaded_to_rgb(bgr[:1]).tolist() == [[[10, 10, 10]]]
    four = np.array([[[0]], [[32768]], [[65535]], [[7]]], np.uint16)
    assert loaded_to_rgb(four).tolist() == [[[0, 127, 255]]]


@pytest.mark.parametrize('bgr', [False, True])
def test_denormalize_inverts_normalisation(bgr: bool) -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    channels = image[..., ::-1] if bgr else image
    normalised = ((channels - mean) / std).transpose(2, 0, 1).astype(np.float32)
    np.testing.assert_array_equal(denormalize(normalised, mean, std, bgr), image)
    with pytest.raises(ValueError, match=r'\(3, H, W\)'):
        denormalize(image, mean, std)


def test_heat_map() -> None:
    values = np.array([[0.0, 0.5, 1.0, np.nan]])
    colors = heat_map(values).astype(int)
    brightness = colors.sum(-1)[0]
    assert brightness[0] < brightness[1] < brightness[2]
    np.testing.assert_array_equal(colors[0, 0], colors[0, 3])  # NaN counts as lowest
    np.testing.assert_array_equal(heat_map(values * 7 + 2), colors)  # own range by default
    np.testing.assert_array_equal(heat_map(values, 0, 2)[0, 2], colors[0, 1])
    assert heat_map(np.full((2, 2), np.nan)).shape == (2, 2, 3)
    with pytest.raises(ValueError, match='heat_map.values'):
        heat_map(values[0])


def test_overlay_resizes() -> None:
    image, color = np.zeros((4, 4, 3), np.uint8), np.full((2, 2, 3), 200, np.uint8)
    np.testing.assert_array_equal(overlay(image, color, 0.25), 50)


def test_contact_sheet_keeps_pixels() -> None:
    rng = np.random.default_rng(0)
    rows = [[rng.integers(0, 255, (10, 20, 3), dtype=np.uint8) for _ in range(3)] for _ in range(2)]
    sheet = contact_sheet(rows, ['image', 'truth', 'a title much longer than its column'], 20)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (6 + 22 + 2 * (10 + 6), 6 + 3 * (20 + 6), 3)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            top, left = 6 + 22 + i * 16, 6 + j * 26
            np.testing.assert_array_equal(sheet[top : top + 10, left : left + 20], image)
    with pytest.raises(ValueError, match=r'rows\[0\]: expected 2 pictures, but got 3'):
        contact_sheet(rows, ['image', 'truth'])


def test_tile_panel_fits_other_shapes() -> None:
    wide, tall = np.zeros((10, 20, 3), np.uint8), np.zeros((40, 20, 3), np.uint8)
    panel = tile_panel([[('a', wide), ('b', tall)], [('c', wide)]], 20)
    cell = panel[28:38, 32:52]
    assert (cell == 0).all(-1).sum() == 10 * 5  # 40x20 scaled to 10x5, rest white
    assert (panel[-16:-6, 32:52] == 255).all()  # the gap of the shorter row
    with pytest.raises(ValueError, match='tile_panel.rows: expected pictures, but got none'):
        tile_panel([[]])
    with pytest.raises(ValueError, match='float64'):
        tile_panel([[('a', wide / 255)]])


def test_save_picture(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    save_picture(image, tmp_path / 'new/a.png')
    save_picture(image, tmp_path / 'new/b.jpg')
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'new/a.png'))[..., ::-1], image)
    assert (tmp_path / 'new/b.jpg').read_bytes().startswith(b'\xff\xd8')
    assert {path.name for path in (tmp_path / 'new').iterdir()} == {'a.png', 'b.jpg'}
