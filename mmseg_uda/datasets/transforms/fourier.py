r"""Translation of images to another domain by the amplitudes of their Fourier transform.

Yang & Soatto, "FDA: Fourier Domain Adaptation for Semantic Segmentation" (CVPR 2020),
`arXiv:2004.05498 <https://arxiv.org/abs/2004.05498>`_. Equation numbers refer to it.

**Meaning of β.** The paper's mask (Eq. 2) is one on :math:`[-\beta H, \beta H] \times [-\beta W,
\beta W]` around frequency zero, with :math:`\beta \in (0, 1)`. Its code takes
:math:`b = \lfloor \beta \min(H, W) \rfloor` in both directions, :math:`2b + 1` frequencies, and so
does this module. The window is clipped at the ends of the spectrum, :math:`\pm H/2` and
:math:`\pm W/2`: from β = 0.5 on it holds every vertical frequency, and from
:math:`\beta = W / (2 \min(H, W))` on (1 for 2:1 images) the whole spectrum. The code's NumPy slices
do not clip: for β > 0.5 their negative start wraps around, and a lopsided corner of *high*
frequencies is exchanged. This module does not follow that.

The authors train with β = 0.01, 0.05 and 0.09. DAST (Yu et al., AAAI 2021) writes "β = 0.5 and
β = 0.9" for its validation images made "by the method of" this paper. Taken literally, this swaps
half to nearly all of the amplitudes and leaves a noisy, ghosted image that looks like neither
domain; with the code's arithmetic, 0.9 wraps around. The digits are those of the two larger values
of the authors, so 0.05 and 0.09 may have been meant. The configs of DAST have the printed values,
with the clipped window.
"""

from __future__ import annotations

import os.path as osp
from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from mmseg_uda.artifacts.files import list_files
from mmseg_uda.utils.arguments import check_number, expect

__all__ = [
    'IMAGE_SUFFIXES',
    'FourierAmplitudeMix',
    'find_images',
    'mix_amplitude',
    'resize_style',
]

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg')


def mix_amplitude(image: NDArray[Any], style: NDArray[Any], beta: float) -> NDArray[Any]:
    r"""Give an image the low-frequency amplitudes of another (Eq. 3), keep its phase.

    .. math:: x^{s \to t} = F^{-1}\big(M_\beta \circ F^A(x^t) + (1 - M_\beta) \circ F^A(x^s),\,
              F^P(x^s)\big)

    Each channel is changed on its own. Frequency zero, the mean of the channel, is always
    exchanged.

    Args:
        image: :math:`x^s`, shape (H, W, C), uint8 or floating point of any range.
        style: :math:`x^t`, shape (H, W, C).
        beta: β in (0, 1]; see the module.

    Returns:
        Shape (H, W, C), of the image's dtype; uint8 is rounded and clipped to [0, 255].

    Raises:
        ValueError: If the shapes differ or have no channels, or ``beta`` is out of range.

    Example:
        >>> dark, bright = np.full((4, 8, 3), 50, np.uint8), np.full((4, 8, 3), 200, np.uint8)
        >>> mix_amplitude(dark, bright, beta=0.01)[0, 0]
        array([200, 200, 200], dtype=uint8)
    """
    if image.shape != style.shape or image.ndim != 3:
        raise ValueError(
            'mix_amplitude.style: expected shape (H, W, C), that of the image, but got '
            f'{style.shape} for an image of shape {image.shape}'
        )
    check_number('mix_amplitude.beta', beta, '(0, 1]')
    height, width = image.shape[:2]
    half = int(np.floor(beta * min(height, width)))
    # (H, W // 2 + 1, C): the spectrum of a real image is symmetric, so half of it is enough.
    spectrum, other = (np.fft.rfft2(x.astype(np.float64), axes=(0, 1)) for x in (image, style))
    columns = slice(0, half + 1)
    for rows in _rows(half, height):  # the window lies in one or two blocks of rows
        window = spectrum[rows, columns]
        amplitude = np.abs(window)
        # A frequency without amplitude gets phase zero.
        phase = np.divide(window, amplitude, out=np.ones_like(window), where=amplitude > 0)
        spectrum[rows, columns] = np.abs(other[rows, columns]) * phase
    mixed = np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1))
    if image.dtype == np.uint8:
        np.clip(np.rint(mixed, out=mixed), 0, 255, out=mixed)
    return mixed.astype(image.dtype)


def _rows(half: int, height: int) -> list[slice]:
    """Rows of the vertical frequencies -half..half in NumPy's order: 0, 1, ..., -2, -1."""
    if 2 * half + 1 >= height:
        return [slice(0, height)]
    return [slice(0, half + 1), slice(height - half, height)]


def find_images(key: str, directory: str) -> list[str]:
    """List the images in a directory and below it.

    Returns:
        Paths relative to the directory, with ``/``, sorted.

    Raises:
        FileNotFoundError: If it has no image.
    """
    names = [name for name in list_files(directory) if name.lower().endswith(IMAGE_SUFFIXES)]
    if not names:
        raise FileNotFoundError(
            f'{key}: expected a directory with images ({", ".join(IMAGE_SUFFIXES)}), but got '
            f'{directory!r}'
        )
    return sorted(names)


def resize_style(style: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resize a style image (h, w, 3) to (height, width, 3) without aliasing."""
    if style.shape[:2] == (height, width):
        return style
    return mmcv.imresize(style, (width, height), interpolation='bicubic', backend='pillow')


@TRANSFORMS.register_module()
class FourierAmplitudeMix(BaseTransform):
    r"""Give an image the style of a random image of another directory: FDA as an augmentation.

    Labels do not change. Put it after the transforms that set the image's size (the style is
    resized to it) and before photometric ones. The decision to mix, the style and β are drawn from
    numpy's global generator, which the training loop seeds by the sample's position.

    Required and modified key: ``img``. Added key: ``style_path``, if the image was mixed.

    Args:
        style_dir: Directory of style images, searched with its subdirectories at the first image,
            so that a config builds without the data. Only images are read: no labels.
        beta: β in (0, 1], see :mod:`mmseg_uda.datasets.transforms.fourier`, or several, of which
            one is drawn per image: ``(0.01, 0.05, 0.09)`` are the paper's.
        prob: Probability that an image is changed, in [0, 1].

    Example:
        >>> import tempfile
        >>> directory = tempfile.mkdtemp()
        >>> _ = mmcv.imwrite(np.full((4, 8, 3), 200, np.uint8), f'{directory}/bright.png')
        >>> mix = FourierAmplitudeMix(directory, beta=(0.01, 0.05, 0.09))
        >>> int(mix(dict(img=np.full((4, 8, 3), 50, np.uint8)))['img'].mean())
        200
    """

    loads_labels = False
    is_random = True
    eight_bits = True
    colour = True

    def __init__(self, style_dir: str, beta: float | Sequence[float], prob: float = 1.0) -> None:
        super().__init__()
        if not isinstance(style_dir, str) or not style_dir:
            raise TypeError(
                f'FourierAmplitudeMix.style_dir: expected a directory, but got {style_dir!r}'
            )
        check_number('FourierAmplitudeMix.prob', prob, '[0, 1]')
        self.style_dir = style_dir
        self.betas = tuple(beta) if isinstance(beta, Sequence) else (beta,)
        expect(bool(self.betas), 'FourierAmplitudeMix.beta', 'one number at least', beta)
        for value in self.betas:
            check_number('FourierAmplitudeMix.beta', value, '(0, 1]')
        self.prob = prob
        self._names: list[str] = []

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change ``results['img']``, shape (H, W, 3), uint8 or floating point.

        Raises:
            FileNotFoundError: If the directory has no image.
            ValueError: If a style image cannot be read, or the image has other channels or 16 bits.
        """
        if not self._names:
            self._names = find_images('FourierAmplitudeMix.style_dir', self.style_dir)
        # Always three numbers, so that later draws do not depend on the outcome.
        keep, which, beta = np.random.random_sample(3)
        if keep >= self.prob:
            return results
        path = osp.join(self.style_dir, self._names[int(which * len(self._names))])
        style = mmcv.imread(path)
        if style is None:
            raise ValueError(
                f'FourierAmplitudeMix.style_dir: expected readable images, but got {path!r}; '
                'remove it'
            )
        image = results['img']
        fits = image.ndim == 3 and image.shape[2] == 3 and image.dtype != np.uint16
        got = f'{image.dtype} {image.shape} for {results.get("img_path", "an image")}'
        expect(fits, "FourierAmplitudeMix: results['img']", 'shape (H, W, 3) of 8 bits', got)
        style = resize_style(style, *image.shape[:2])
        results['img'] = mix_amplitude(image, style, self.betas[int(beta * len(self.betas))])
        results['style_path'] = path
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(style_dir={self.style_dir!r}, beta={self.betas}, '
            f'prob={self.prob})'
        )
