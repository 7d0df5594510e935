"""Colour jitter and blur of normalised batches, on their device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import TRANSFORMS
from torch import Generator, Tensor

from mmseg_uda.datasets.batch_transforms.base import BatchTransform, draw, on_host, per_image
from mmseg_uda.utils.arguments import check_number, check_sequence, expect

__all__ = ['StrongAugment', 'gaussian_blur', 'hsv_to_rgb', 'rgb_to_hsv']


def rgb_to_hsv(images: Tensor) -> Tensor:
    """Convert RGB to hue in turns, saturation and value.

    Args:
        images: Shape (N, 3, H, W), RGB, in [0, 1].

    Returns:
        Shape (N, 3, H, W); hue in [0, 1), 0 for grey.

    Example:
        >>> rgb_to_hsv(torch.tensor([0.0, 0.5, 0.0]).view(1, 3, 1, 1)).flatten()
        tensor([0.3333, 1.0000, 0.5000])
    """
    value, largest = images.max(1, keepdim=True)
    # All (N, 1, H, W); a grey pixel has no spread.
    spread = value - images.amin(1, keepdim=True)
    divisor = spread.masked_fill(spread == 0, 1.0)
    red, green, blue = images.chunk(3, 1)
    sixths = torch.cat([green - blue, blue - red, red - green], 1).gather(1, largest) / divisor
    hue = ((sixths + 2 * largest) / 6).remainder(1.0)
    saturation = spread / value.masked_fill(value == 0, 1.0)
    return torch.cat([hue, saturation, value], 1)


def hsv_to_rgb(images: Tensor) -> Tensor:
    """Invert :func:`rgb_to_hsv`.

    Example:
        >>> images = torch.rand(1, 3, 2, 2)
        >>> torch.allclose(hsv_to_rgb(rgb_to_hsv(images)), images, atol=1e-6)
        True
    """
    hue, saturation, value = images.chunk(3, 1)
    channels = []
    for offset in (5, 3, 1):
        sixths = (offset + 6 * hue).remainder(6.0)
        channels.append(value * (1 - saturation * torch.minimum(sixths, 4 - sixths).clamp(0, 1)))
    return torch.cat(channels, 1)


def gaussian_blur(images: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Blur each image by a Gaussian of its own; images are mirrored at their borders.

    Args:
        images: Shape (N, C, H, W).
        sigma: Deviations in pixels, shape (N,), > 0.
        radius: Distance in pixels at which the Gaussian is cut off.

    Example:
        >>> blurred = gaussian_blur(torch.ones(2, 3, 4, 4), torch.tensor([0.5, 1.0]), radius=2)
        >>> torch.allclose(blurred, torch.ones(2, 3, 4, 4))
        True
    """
    for axis in (2, 3):  # a Gaussian is a column times a row
        size = images.shape[axis]
        reach = min(radius, size - 1)
        offsets = torch.arange(-reach, reach + 1, device=images.device)
        # (N, 2 * reach + 1)
        weights = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
        weights = (weights / weights.sum(1, keepdim=True)).to(images.dtype)
        ends = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
        padded = F.pad(images, ends, mode='reflect')
        images = sum(
            (
                weights[:, i].view(-1, 1, 1, 1) * padded.narrow(axis, i, size)
                for i in range(1, 2 * reach + 1)
            ),
            weights[:, 0].view(-1, 1, 1, 1) * padded.narrow(axis, 0, size),
        )
    return images


def _change_hsv(images: Tensor, turn: Tensor | float, factor: Tensor | float) -> Tensor:
    hue, saturation, value = rgb_to_hsv(images).chunk(3, 1)  # (N, 1, H, W) each
    return hsv_to_rgb(torch.cat([hue + turn, (saturation * factor).clamp(0, 1), value], 1))


# Brightness, contrast, saturation and hue of an image (1, 3, H, W), by a change, a scalar.
_CHANGES: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    lambda images, change: (images + change).clamp(0, 1),
    lambda images, change: (images * (1 + change)).clamp(0, 1),
    lambda images, change: _change_hsv(images, 0, 1 + change),
    lambda images, change: _change_hsv(images, change, 1),
)


@TRANSFORMS.register_module()
class StrongAugment(BatchTransform):
    r"""Strong augmentation of DACS (`arXiv:2007.08702 <https://arxiv.org/abs/2007.08702>`_) and
    CAMix: colour jitter, then Gaussian blur; labels stay as they are.

    The jitter is that of kornia's ``ColorJitter`` at their time (``ColorJiggle`` today). On RGB in
    [0, 1], clipped after each step, brightness adds :math:`\delta_b`, contrast multiplies by
    :math:`1 + \delta_c` (about black), saturation in HSV by :math:`1 + \delta_s`, and hue turns by
    :math:`\delta_h` of a full circle, each δ uniform in [-limit, limit] and drawn for each image.
    The order of the four is random. DACS decides once per batch whether to jitter or blur, with one
    order and one σ; here each image has its own decisions, order and σ.

    The Gaussian is cut off at 4σ of the largest σ (DACS: at a twentieth of the image, where it has
    vanished). Numbers are drawn on the device and the host never waits for them.

    Args:
        brightness: Limit of :math:`\delta_b`, in [0, 1].
        contrast: Limit of :math:`\delta_c`, in [0, 1].
        saturation: Limit of :math:`\delta_s`, in [0, 1].
        hue: Limit of :math:`\delta_h`, in [0, 0.5].
        jitter_prob: Probability that an image is jittered.
        blur_sigma: Range of σ in pixels.
        blur_prob: Probability that an image is blurred.

    Example:
        >>> images = torch.rand(2, 3, 8, 8)  # in [0, 1]
        >>> StrongAugment()(images, mean=0, std=255).shape
        torch.Size([2, 3, 8, 8])
    """

    eight_bits = True

    def __init__(
        self,
        brightness: float = 0.25,
        contrast: float = 0.25,
        saturation: float = 0.25,
        hue: float = 0.25,
        jitter_prob: float = 0.8,
        blur_sigma: Sequence[float] = (0.15, 1.15),
        blur_prob: float = 0.5,
    ) -> None:
        super().__init__()
        for key, value, most in (
            ('brightness', brightness, 1),
            ('contrast', contrast, 1),
            ('saturation', saturation, 1),
            ('hue', hue, 0.5),
            ('jitter_prob', jitter_prob, 1),
            ('blur_prob', blur_prob, 1),
        ):
            check_number(f'StrongAugment.{key}', value, f'[0, {most}]')
        key = 'StrongAugment.blur_sigma'
        check_sequence(key, blur_sigma, check_number, '(0, inf)', length=2)
        expect(blur_sigma[0] <= blur_sigma[1], key, '(smallest, largest)', blur_sigma)
        self.limits = (brightness, contrast, saturation, hue)
        self.jitter_prob = jitter_prob
        self.blur_sigma = tuple(blur_sigma)
        self.blur_prob = blur_prob

    @torch.no_grad()
    def forward(
        self,
        images: Tensor,
        mean: Tensor | float,
        std: Tensor | float,
        bgr: bool = False,
        generators: Sequence[Generator] | None = None,
    ) -> Tensor:
        """Augment a normalised batch.

        Args:
            images: Shape (N, 3, H, W), or of another number of channels, whose saturation and
                hue stay.
            mean: Subtracted mean, in [0, 255], shape (3, 1, 1) as in a ``SegDataPreProcessor``;
                0 for images in [0, 1].
            std: Divisor, of the same shape; 255 for images in [0, 1].
            bgr: The channels are in BGR order (no ``bgr_to_rgb`` in the preprocessor).
            generators: One per image, on the images' device; None takes the global ones.

        Returns:
            Normalised as before, of the same shape and dtype.
        """
        pixels = (images.float() * std + mean) / 255
        if bgr:
            pixels = pixels.flip(1)
        changed = self._blur(self._jitter(pixels, generators), generators)
        if bgr:
            changed, pixels = changed.flip(1), pixels.flip(1)
        # An unchanged image keeps every bit, which normalising it again would not grant.
        same = (changed == pixels).all(3, True).all(2, True).all(1, True)
        return torch.where(same, images, ((changed * 255 - mean) / std).to(images.dtype))

    def _jitter(self, pixels: Tensor, generators: Sequence[Generator] | None) -> Tensor:
        jittered = []
        for image, generator in zip(pixels.unsqueeze(1), per_image(generators, len(pixels))):
            *draws, chosen = torch.rand(5, generator=generator, device=image.device)
            changed = image  # (1, 3, H, W)
            for index in _order(generator):
                if index >= 2 and image.shape[1] != 3:
                    continue  # no saturation or hue without three channels
                change = (2 * draws[index] - 1) * self.limits[index]
                changed = _CHANGES[index](changed, change)
            jittered.append(torch.where(chosen < self.jitter_prob, changed, image))
        return torch.cat(jittered)

    def _blur(self, pixels: Tensor, generators: Sequence[Generator] | None) -> Tensor:
        # (N,) each: decides on the blur; place of σ within its range
        chosen, place = draw(torch.rand, (len(pixels), 2), pixels.device, generators).unbind(1)
        low, high = self.blur_sigma
        blurred = gaussian_blur(pixels, low + (high - low) * place, math.ceil(4 * high))
        return torch.where((chosen < self.blur_prob).view(-1, 1, 1, 1), blurred, pixels)


def _order(generator: Generator | None) -> list[int]:
    """Draw an order of the four changes."""
    return torch.randperm(4, generator=on_host(generator), device='cpu').tolist()
