"""Amplitudes of another image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmseg.registry import TRANSFORMS

from mmseg_uda.datasets.endless import seeded
from mmseg_uda.datasets.transforms import FourierAmplitudeMix
from mmseg_uda.datasets.transforms.fourier import find_images, mix_amplitude, resize_style

SIZES = [(8, 12), (7, 12), (12, 7), (9, 9), (16, 5)]


def noise(size: tuple[int, int], seed: int, dtype: Any = np.float64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(dtype)


def frequencies(length: int) -> list[int]:
    """Of numpy's ``fft``; the one at the end of an even length has both signs."""
    return [min(k, length - k) for k in range(length)]


def slow_mix(image: np.ndarray, style: np.ndarray, beta: float) -> np.ndarray:
    """Equations 1 to 3 with whole spectra, frequency by frequency."""
    height, width, channels = image.shape
    half = int(beta * min(height, width))
    result = np.empty(image.shape)
    for channel in range(channels):
        spectrum = np.fft.fft2(image[..., channel])
        other = np.fft.fft2(style[..., channel])
        for row, v in enumerate(frequencies(height)):
            for column, u in enumerate(frequencies(width)):
                if v <= half and u <= half:
                    phase = np.angle(spectrum[row, column])
                    spectrum[row, column] = abs(other[row, column]) * np.exp(1j * phase)
        mixed = np.fft.ifft2(spectrum)
        assert abs(mixed.imag).max() < 1e-9 * max(1, abs(mixed.real).max())
        result[..., channel] = mixed.real
    return result


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('beta', [1e-9, 0.13, 0.25, 0.34, 0.49, 0.5, 0.51, 0.7, 0.9, 1])
def test_against_whole_spectra(size: tuple[int, int], beta: float) -> None:
    image, style = noise(size, 0), noise(size, 1)
    np.testing.assert_allclose(
        mix_amplitude(image, style, beta), slow_mix(image, style, beta), atol=1e-9
    )


def test_window_of_the_authors_code() -> None:
    """Their NumPy form, where its slices do not wrap: shift, exchange, shift back."""
    image, style = noise((40, 60), 0), noise((40, 60), 1)
    amplitudes = [
        np.fft.fftshift(np.abs(np.fft.fft2(x, axes=(0, 1))), axes=(0, 1)) for x in (image, style)
    ]
    amplitudes[0][20 - 3 : 20 + 3 + 1, 30 - 3 : 30 + 3 + 1] = amplitudes[1][17:24, 27:34]
    phase = np.angle(np.fft.fft2(image, axes=(0, 1)))
    spectrum = np.fft.ifftshift(amplitudes[0], axes=(0, 1)) * np.exp(1j * phase)
    expected = np.fft.ifft2(spectrum, axes=(0, 1)).real
    np.testing.assert_allclose(mix_amplitude(image, style, 0.09), expected, atol=1e-9)


def test_phase_is_kept_and_amplitude_is_the_styles() -> None:
    image, style = noise((8, 12), 0), noise((8, 12), 1)
    before, other, after = (
        np.fft.fft2(x, axes=(0, 1)) for x in (image, style, mix_amplitude(image, style, 0.25))
    )
    real = abs(before.imag) > 1e-9  # the rest may be negative, with the phase of either sign
    np.testing.assert_allclose(np.angle(after)[real], np.angle(before)[real], atol=1e-9)
    rows, columns = (np.array(frequencies(n)) <= 2 for n in (8, 12))
    window = rows[:, None] & columns
    np.testing.assert_allclose(abs(after)[window], abs(other)[window], atol=1e-9)
    np.testing.assert_allclose(after[~window], before[~window], atol=1e-9)


def test_smallest_beta_exchanges_the_means() -> None:
    """By hand: frequency zero alone moves each channel's mean."""
    image, style = noise((8, 12), 0), noise((8, 12), 1)
    expected = image + style.mean((0, 1)) - image.mean((0, 1))
    np.testing.assert_allclose(mix_amplitude(image, style, 1 / 9), expected, atol=1e-9)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('beta', [0.01, 0.2, 0.5, 1])
def test_own_style_changes_nothing(size: tuple[int, int], beta: float) -> None:
    image = noise(size, 0, np.uint8)
    np.testing.assert_array_equal(mix_amplitude(image, image, beta), image)


def test_where_the_window_ends() -> None:
    """A square spectrum is exchanged as a whole from 0.5 on, a wide one keeps columns."""
    square, other = noise((16, 16), 0), noise((16, 16), 1)
    assert not np.allclose(mix_amplitude(square, other, 0.49), mix_amplitude(square, other, 0.5))
    np.testing.assert_array_equal(
        mix_amplitude(square, other, 0.5), mix_amplitude(square, other, 1)
    )
    wide, other = noise((16, 32), 0), noise((16, 32), 1)
    assert not np.allclose(mix_amplitude(wide, other, 0.5), mix_amplitude(wide, other, 0.9))
    whole = np.fft.fft2(mix_amplitude(wide, other, 1), axes=(0, 1))
    np.testing.assert_allclose(abs(whole), abs(np.fft.fft2(other, axes=(0, 1))), atol=1e-8)


def test_empty_frequencies_take_phase_zero() -> None:
    flat, style = np.zeros((8, 8, 1)), noise((8, 8), 1)[..., :1]
    mixed = mix_amplitude(flat, style, 0.3)
    np.testing.assert_allclose(mixed, slow_mix(flat, style, 0.3), atol=1e-9)
    assert np.isfinite(mixed).all()


def test_types_rounding_and_clipping() -> None:
    image, style = noise((8, 12), 0, np.uint8), noise((8, 12), 1, np.uint8)
    exact = slow_mix(image.astype(float), style.astype(float), 0.25)
    assert exact.min() < 0
    assert exact.max() > 255
    mixed = mix_amplitude(image, style, 0.25)
    assert mixed.dtype == np.uint8
    np.testing.assert_array_equal(mixed, exact.round().clip(0, 255))
    single = mix_amplitude(image.astype(np.float32), style, 0.25)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, atol=1e-3)  # neither rounded nor clipped
    copy = image.copy()
    mix_amplitude(copy, style, 0.25)
    np.testing.assert_array_equal(copy, image)


def test_wrong_arguments() -> None:
    image = noise((8, 12), 0)
    for style in (image[:4], image[..., :1]):
        with pytest.raises(
            ValueError,
            match=r'mix_amplitude\.style: expected shape \(H, W, C\), that of the image, but got '
            r'\(.*\) for an image of shape \(8, 12, 3\)',
        ):
            mix_amplitude(image, style, 0.1)
    with pytest.raises(ValueError, match=r'but got \(8, 12\) for an image of shape \(8, 12\)'):
        mix_amplitude(image[..., 0], image[..., 0], 0.1)
    for beta in (0, -1, 1.1, float('nan'), True, '0.1'):
        with pytest.raises(
            ValueError, match=r'mix_amplitude\.beta: expected a number in \(0, 1\], but got '
        ):
            mix_amplitude(image, image, beta)


def test_a_style_is_resized_without_aliasing() -> None:
    fine = np.zeros((64, 64, 3), np.uint8)
    fine[:, ::2] = 200
    small = resize_style(fine, 16, 20)
    assert small.shape == (16, 20, 3)
    assert abs(small.astype(int) - 100).max() < 20  # the stripes' mean, no stripes
    assert resize_style(fine, 64, 64) is fine


# --------------------------------------------------------------------------- transform


@pytest.fixture
def styles(tmp_path: Path) -> Path:
    folder = tmp_path / 'styles'
    (folder / 'town').mkdir(parents=True)
    for seed, name in enumerate(('b.png', 'town/a.PNG', 'town/c.jpg')):
        cv2.imwrite(str(folder / name), noise((10, 14), 10 + seed, np.uint8))
    (folder / 'notes.txt').touch()
    return folder


def results(seed: int = 0) -> dict[str, Any]:
    return dict(img=noise((8, 12), seed, np.uint8), img_path='x.png', gt_seg_map=np.ones((8, 12)))


def test_transform_takes_a_random_image_and_beta(styles: Path) -> None:
    mix = TRANSFORMS.build(dict(type='FourierAmplitudeMix', style_dir=str(styles), beta=(0.1, 0.4)))
    seen = set()
    for seed in range(60):
        with seeded(seed):
            mixed = mix(results())
        name = Path(mixed['style_path']).relative_to(styles).as_posix()
        style = resize_style(cv2.imread(mixed['style_path']), 8, 12)
        found = [
            beta
            for beta in (0.1, 0.4)
            if np.array_equal(mixed['img'], mix_amplitude(results()['img'], style, beta))
        ]
        assert len(found) == 1
        seen.add((name, *found))
        np.testing.assert_array_equal(mixed['gt_seg_map'], np.ones((8, 12)))
        with seeded(seed):
            np.testing.assert_array_equal(mix(results())['img'], mixed['img'])
    assert seen == {
        (name, beta) for name in ('b.png', 'town/a.PNG', 'town/c.jpg') for beta in (0.1, 0.4)
    }


def test_share_of_changed_images(styles: Path) -> None:
    changed = {}
    for prob in (0, 0.3, 1):
        mix = FourierAmplitudeMix(str(styles), 0.2, prob=prob)
        changed[prob] = sum('style_path' in mix(results()) for _ in range(300))
        with seeded(7):
            mix(results())
            changed[f'draw {prob}'] = np.random.rand()
    assert changed[0] == 0
    assert changed[1] == 300
    assert 60 < changed[0.3] < 120
    assert changed['draw 0'] == changed['draw 1']  # what comes later does not depend on it


def test_floating_point_images_stay_so(styles: Path) -> None:
    data = results()
    data['img'] = data['img'].astype(np.float32)
    assert FourierAmplitudeMix(str(styles), 0.2)(data)['img'].dtype == np.float32


def test_names_are_sorted(styles: Path) -> None:
    assert find_images('key', str(styles)) == ['b.png', 'town/a.PNG', 'town/c.jpg']


def test_transform_says_what_is_wrong(tmp_path: Path, styles: Path) -> None:
    for style_dir in ('', None):
        with pytest.raises(
            TypeError, match=r'FourierAmplitudeMix\.style_dir: expected a directory, but got '
        ):
            FourierAmplitudeMix(style_dir, 0.1)
    for prob in (-0.1, 1.1):
        with pytest.raises(
            ValueError, match=r'FourierAmplitudeMix\.prob: expected a number in \[0, 1\], but got '
        ):
            FourierAmplitudeMix('styles', 0.1, prob)
    with pytest.raises(
        ValueError, match=r'FourierAmplitudeMix\.beta: expected one number at least'
    ):
        FourierAmplitudeMix('styles', ())
    with pytest.raises(
        ValueError, match=r'FourierAmplitudeMix\.beta: expected a number in .*, but got 5'
    ):
        FourierAmplitudeMix('styles', (0.1, 5))
    empty = FourierAmplitudeMix(str(tmp_path / 'nothing'), 0.1)  # a config builds without the data
    assert repr(empty).endswith('beta=(0.1,), prob=1.0)')
    with pytest.raises(
        FileNotFoundError,
        match=r'style_dir: expected a directory with images \(\.png, .*, but got .*nothing',
    ):
        empty(results())
    for path in styles.rglob('*.*'):
        path.write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'expected readable images, but got .*; remove it'):
        FourierAmplitudeMix(str(styles), 0.1)(results())
