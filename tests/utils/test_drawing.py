from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg_uda.utils.drawing import (
    denormalize,
    error_map,
    label_to_color,
    loaded_to_rgb,
    outline_similar,
    overlay,
    save_picture,
)
from mmseg_uda.utils.heat_maps import color_bar, heat_map, heat_over, limits_of
from mmseg_uda.utils.sheets import Tile, contact_sheet, heat_tile, tile_panel

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
    values = np.array([[0.0, 0.5, 1.0, np.nan, 7.0]])
    colors = heat_map(values).astype(int)
    brightness = colors.sum(-1)[0]
    assert brightness[0] < brightness[1] < brightness[2]
    np.testing.assert_array_equal(colors[0, 0], colors[0, 3])  # NaN counts as lowest
    np.testing.assert_array_equal(colors[0, 2], colors[0, 4])  # what is above is highest
    np.testing.assert_array_equal(heat_map(values, 0, 2)[0, 2], colors[0, 1])
    with pytest.raises(ValueError, match='heat_map.values'):
        heat_map(values[0])


def test_nothing_is_stretched_unseen() -> None:
    """Constant maps differ, and the range of others is what the bar says."""
    ones, zeros = (heat_map(np.full((2, 2), value)) for value in (1.0, 0.0))
    assert (ones != zeros).any(2).all()
    np.testing.assert_array_equal(heat_map(np.full((2, 2), 0.4)), heat_map(np.full((2, 2), 0.4)))
    assert limits_of(np.array([0.2, 0.3])) == (0, 1)
    assert limits_of(np.array([0, 1])) == (0, 1)
    assert limits_of(np.array([-0.5, 0.3, np.inf])) == (-0.5, 0.3)
    assert limits_of(np.array([np.nan])) == (0, 1)
    tile = heat_tile('map', np.array([[2.0, 6.0]]))
    assert tile.limits == (2.0, 6.0)
    np.testing.assert_array_equal(tile.picture, heat_map(np.array([[0.0, 1.0]])))
    assert heat_tile('map', np.array([[2.0, 6.0]]), limits=(0, 8)).limits == (0, 8)


def test_color_bar_has_the_colours_of_the_map() -> None:
    bar = color_bar(0, 12.5, (22, 160))
    assert bar.shape == (22, 160, 3)
    ends = heat_map(np.array([[0.0, 1.0]]))[0]
    columns = [np.nonzero((bar[11] == end).all(1))[0] for end in ends]
    assert len(columns[0]) > 0
    assert columns[0][0] < 40 < 80 < columns[1][-1] < 150
    assert (bar[:, 150:] < 128).any()  # the upper number


def test_heat_lies_over_grey() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    values = np.zeros((4, 6))
    values[:, 3:] = 1
    shown = heat_over(image, values).astype(int)
    low, high = (heat_map(np.array([[value]]))[0, 0].astype(int) for value in (0.0, 1.0))
    # Where the map is high, it is nearly its colour; where it is low, the image is seen.
    assert np.abs(shown[:, 50:] - high).max() < 45
    assert shown[:, :10].std(axis=(0, 1)).min() > 25
    assert np.abs(shown[:, :10].mean((0, 1)) - low).max() > 50


def test_error_map() -> None:
    image = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    truth = np.zeros((4, 6), np.uint8)
    label = truth.copy()
    label[0, 0], truth[3, 5] = 1, 255
    red, green, blue = error_map(image, label, truth, 2)[0, 0].astype(int)
    assert red > 150 > 100 > max(green, blue)
    rest = error_map(image, label, truth, 2)[1:, :5]
    assert (rest == rest[..., :1]).all()  # grey
    assert (error_map(image, label, truth, 2)[3, 5] < 75).all()


def test_similar_colours_get_a_line() -> None:
    """Cityscapes' truck and bus do, road and sky do not."""
    palette = [[0, 0, 70], [0, 60, 100], [128, 64, 128], [70, 130, 180]]
    label = np.array([[0, 0, 1, 1, 2, 3]])
    plain = label_to_color(label, palette)
    outlined = outline_similar(plain, label, palette)
    changed = (outlined != plain).any(2)[0]
    assert changed.tolist() == [False, False, True, False, False, False]
    assert outlined[0, 2].tolist() == [255] * 3
    bright = outline_similar(plain, label, [[250] * 3, [240] * 3, *palette[2:]])
    assert bright[0, 2].tolist() == [0] * 3
    ignored = np.array([[0, 255, 1]])
    np.testing.assert_array_equal(outline_similar(plain[:, :3], ignored, palette), plain[:, :3])


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
    gaps = tile_panel([[('a', wide), None, ('b', wide)]], 20)
    assert (gaps[:, 32:52] == 255).all()
    footed = tile_panel([[('a', wide)]], 20, lambda width: np.zeros((3, width, 3), np.uint8))
    assert (footed[-3:] == 0).all()
    assert len(footed) == len(tile_panel([[('a', wide)]], 20)) + 3
    with pytest.raises(ValueError, match='tile_panel.rows: expected pictures, but got none'):
        tile_panel([[]])
    with pytest.raises(ValueError, match='float64'):
        tile_panel([[('a', wide / 255)]])


def test_captions_have_bars() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    bar = color_bar(0, 1, (22, 80))
    panel = tile_panel([[Tile('a heat map', picture, (0, 1)), Tile('', picture)]], 200)
    np.testing.assert_array_equal(panel[6:28, 126:206], bar)
    assert (panel[6:28, 6:100] < 128).any()  # the caption beside it
    assert (panel[6:28, 212:] == 255).all()


def test_save_picture(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    save_picture(image, tmp_path / 'new/a.png')
    save_picture(image, tmp_path / 'new/b.jpg')
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'new/a.png'))[..., ::-1], image)
    assert (tmp_path / 'new/b.jpg').read_bytes().startswith(b'\xff\xd8')
    assert {path.name for path in (tmp_path / 'new').iterdir()} == {'a.png', 'b.jpg'}
