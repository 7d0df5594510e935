r"""Images in the style of another domain by the amplitudes of their Fourier transform.

Yang & Soatto, "FDA: Fourier Domain Adaptation for Semantic Segmentation" (CVPR 2020),
`arXiv:2004.05498 <https://arxiv.org/abs/2004.05498>`_. Equation numbers refer to it.

**What β means.** The paper's mask (Eq. 2) is one on :math:`[-\beta H, \beta H] \times [-\beta W,
\beta W]` around frequency zero, with :math:`\beta \in (0, 1)`; its code takes
:math:`b = \lfloor \beta \min(H, W) \rfloor` in both directions, :math:`2b + 1` frequencies, and so
does this module. A spectrum ends at :math:`\pm H/2`, :math:`\pm W/2`: there the window is clipped.
From β = 0.5 on it holds every vertical frequency, from :math:`W / (2 \min(H, W))` on (1 for 2:1
images) the whole spectrum. (The code's NumPy slices do not clip: from β > 0.5 on their negative
start wraps around, and a lopsided corner of *high* frequencies is exchanged. That is not followed.)

The authors train with β = 0.01, 0.05 and 0.09. DAST (Yu et al., AAAI 2021) writes "β = 0.5 and
β = 0.9" for its validation images made "by the method of" this paper. Read literally, that swaps
half to nearly all of the amplitudes, which leaves a noisy, ghosted image that looks like neither
domain; in the code's own arithmetic 0.9 is the case that wraps around. The digits are those of the
two larger of the authors' values, so 0.05 and 0.09 may have been meant. The configs of DAST have
what is printed, with the clipped window.
"""

from __future__ import annotations

import os
import os.path as osp
from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

__all__ = [
    'IMAGE_SUFFIXES',
    'FourierAmplitudeMix',
    'check_beta',
    'find_images',
    'mix_amplitude',
    'resize_style',
]

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg')


def mix_amplitude(image: NDArray[Any], style: NDArray[Any], beta: float) -> NDArray[Any]:
    r"""Give an image the low-frequency amplitudes of another (Eq. 3), keep its phase.

    .. math:: x^{s \to t} = F^{-1}\big(M_\beta \circ F^A(x^t) + (1 - M_\beta) \circ F^A(x^s),\,
              F^P(x^s)\big)

    Every channel by itself. Frequency zero, the mean of the channel, is always exchanged. The
    spectrum of a real image and the window are symmetric, so half of the spectrum is enough.

    Args:
        image: :math:`x^s`, shape (H, W, C), uint8 or floating point of any range.
        style: :math:`x^t`, of the same shape.
        beta: β in (0, 1]; see the module.

    Returns:
        Of the image's shape and dtype; uint8 is rounded and clipped to [0, 255].

    Raises:
        ValueError: If the shapes differ or have no channels, or ``beta`` is out of range.
    """
    if image.shape != style.shape or image.ndim != 3:
        raise ValueError(
            f'mix_amplitude.style got shape {style.shape} for an image of shape '
            f'{image.shape}; write two (H, W, C) arrays of one shape instead'
        )
    check_beta('mix_amplitude.beta', beta)
    height, width = image.shape[:2]
    half = int(np.floor(beta * min(height, width)))
    spectrum, other = (np.fft.rfft2(x.astype(np.float64), axes=(0, 1)) for x in (image, style))
    columns = slice(0, half + 1)
    for rows in _rows(half, height):
        window = spectrum[rows, columns]
        amplitude = np.abs(window)
        # The phase of zero is zero.
        phase = np.divide(window, amplitude, out=np.ones_like(window), where=amplitude > 0)
        spectrum[rows, columns] = np.abs(other[rows, columns]) * phase
    mixed = np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1))
    if image.dtype == np.uint8:
        np.clip(np.rint(mixed, out=mixed), 0, 255, out=mixed)
    return mixed.astype(image.dtype)


def _rows(half: int, height: int) -> list[slice]:
    """Vertical frequencies -half..half where numpy keeps them: first the others, then these."""
    if 2 * half + 1 >= height:
        return [slice(0, height)]
    return [slice(0, half + 1), slice(height - half, height)]


def check_beta(key: str, beta: Any) -> None:
    """Check that β is in (0, 1].

    Raises:
        ValueError: If it is not.
    """
    if isinstance(beta, bool) or not isinstance(beta, (int, float)) or not 0 < beta <= 1:
        raise ValueError(
            f'{key} got {beta!r}; write a number in (0, 1] instead, such as the '
            "authors' 0.01, 0.05 or 0.09"
        )


def find_images(key: str, folder: str) -> list[str]:
    """Images in a folder and below it.

    Returns:
        Paths relative to the folder, with ``/``, sorted.

    Raises:
        FileNotFoundError: If there is none.
    """
    names = [
        osp.relpath(osp.join(place, file), folder).replace(os.sep, '/')
        for place, _, files in os.walk(folder, followlinks=True)
        for file in files
        if file.lower().endswith(IMAGE_SUFFIXES)
    ]
    if not names:
        raise FileNotFoundError(
            f'{key} got {folder!r}, in which no file ends in '
            f'{", ".join(IMAGE_SUFFIXES)}; write a folder of images instead'
        )
    return sorted(names)


def resize_style(style: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Bring a style image to (height, width), smoothly: what is cut off must not alias."""
    if style.shape[:2] == (height, width):
        return style
    return mmcv.imresize(style, (width, height), interpolation='bicubic', backend='pillow')


@TRANSFORMS.register_module()
class FourierAmplitudeMix(BaseTransform):
    r"""Give an image the style of a random image of another folder: FDA as an augmentation.

    Labels stay. Put it after the transforms that set the image's size (the style is resized to it)
    and before photometric ones. Style, β and whether to mix are drawn from numpy's global
    generator, which the training loop seeds by the sample's position. Three numbers are drawn per
    image in any case, so what later transforms draw does not depend on the outcome.

    Required and modified key: ``img``. Added key: ``style_path``, where it was mixed.

    Args:
        style_dir: Folder of style images, searched with its sub-folders when the first image comes,
            so that a config builds without the data. Only images are read: no labels.
        beta: β in (0, 1], see :mod:`mmseg_uda.datasets.transforms.fourier`, or several, of which
            one is drawn per image: ``(0.01, 0.05, 0.09)`` are the paper's.
        prob: Share of images that are changed, in [0, 1].
    """

    loads_labels = False
    is_random = True

    def __init__(self, style_dir: str, beta: float | Sequence[float], prob: float = 1.0) -> None:
        super().__init__()
        if not isinstance(style_dir, str) or not style_dir:
            raise TypeError(
                f'FourierAmplitudeMix.style_dir got {style_dir!r}; write a folder of images instead'
            )
        if not 0 <= prob <= 1:
            raise ValueError(
                f'FourierAmplitudeMix.prob got {prob}; write a number in [0, 1] instead'
            )
        self.style_dir = style_dir
        self.betas = tuple(beta) if isinstance(beta, Sequence) else (beta,)
        if not self.betas:
            raise ValueError('FourierAmplitudeMix.beta got no number; write at least one instead')
        for value in self.betas:
            check_beta('FourierAmplitudeMix.beta', value)
        self.prob = prob
        self._names: list[str] = []

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change ``results['img']``, shape (H, W, 3), uint8 or floating point.

        Raises:
            FileNotFoundError: If the folder has no image.
            ValueError: If a style image cannot be read.
        """
        if not self._names:
            self._names = find_images('FourierAmplitudeMix.style_dir', self.style_dir)
        keep, which, beta = np.random.random_sample(3)
        if keep >= self.prob:
            return results
        path = osp.join(self.style_dir, self._names[int(which * len(self._names))])
        style = mmcv.imread(path)
        if style is None:
            raise ValueError(
                f'FourierAmplitudeMix.style_dir has the file {path!r}, which is not a '
                'readable image; remove it'
            )
        image = results['img']
        style = resize_style(style, *image.shape[:2])
        results['img'] = mix_amplitude(image, style, self.betas[int(beta * len(self.betas))])
        results['style_path'] = path
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(style_dir={self.style_dir!r}, beta={self.betas}, '
            f'prob={self.prob})'
        )
