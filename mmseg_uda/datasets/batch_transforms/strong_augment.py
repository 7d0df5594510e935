"""Colour jitter and blur of normalised batches, on their device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import TRANSFORMS
from torch import Generator, Tensor, nn

__all__ = ['StrongAugment', 'gaussian_blur', 'hsv_to_rgb', 'rgb_to_hsv']


def rgb_to_hsv(images: Tensor) -> Tensor:
    """Hue in turns, saturation, value.

    Args:
        images: Shape (N, 3, H, W), RGB, in [0, 1].

    Returns:
        Of the same shape; hue in [0, 1), 0 for grey.
    """
    value, largest = images.max(1, keepdim=True)
    spread = value - images.amin(1, keepdim=True)
    divisor = spread.masked_fill(spread == 0, 1.0)
    red, green, blue = images.chunk(3, 1)
    sixths = torch.cat([green - blue, blue - red, red - green], 1).gather(1, largest) / divisor
    hue = ((sixths + 2 * largest) / 6).remainder(1.0)
    saturation = spread / value.masked_fill(value == 0, 1.0)
    return torch.cat([hue, saturation, value], 1)


def hsv_to_rgb(images: Tensor) -> Tensor:
    """The inverse of :func:`rgb_to_hsv`."""
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
        radius: Where the Gaussian is cut off.
    """
    for axis in (2, 3):
        size = images.shape[axis]
        reach = min(radius, size - 1)
        offsets = torch.arange(-reach, reach + 1, device=images.device)
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


def _brighten(images: Tensor, change: Tensor) -> Tensor:
    return (images + change).clamp(0, 1)


def _contrast(images: Tensor, change: Tensor) -> Tensor:
    return (images * (1 + change)).clamp(0, 1)


def _saturate(images: Tensor, change: Tensor) -> Tensor:
    hue, saturation, value = rgb_to_hsv(images).chunk(3, 1)
    return hsv_to_rgb(torch.cat([hue, (saturation * (1 + change)).clamp(0, 1), value], 1))


def _turn_hue(images: Tensor, change: Tensor) -> Tensor:
    hue, saturation, value = rgb_to_hsv(images).chunk(3, 1)
    return hsv_to_rgb(torch.cat([hue + change, saturation, value], 1))


_CHANGES: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    _brighten,
    _contrast,
    _saturate,
    _turn_hue,
)


@TRANSFORMS.register_module()
class StrongAugment(nn.Module):
    r"""Strong augmentation of DACS (`arXiv:2007.08702 <https://arxiv.org/abs/2007.08702>`_) and
    CAMix: colour jitter, then Gaussian blur; labels stay as they are.

    The jitter is that of kornia's ``ColorJitter`` at their time (``ColorJiggle`` today): on RGB in
    [0, 1], clipped after each, brightness adds :math:`\delta_b`, contrast multiplies by
    :math:`1 + \delta_c` (about black), saturation in HSV by :math:`1 + \delta_s`, and hue turns by
    :math:`\delta_h` of a full circle, each δ uniform in [-limit, limit] and drawn for each image.
    The order of the four is random, one per batch. DACS decides once per batch whether to jitter
    or blur, with one σ; here each image is decided by itself.

    The Gaussian is cut off at 4σ of the largest σ (DACS: at a twentieth of the image, where nothing
    is left of it). Numbers are drawn on the device and the host never waits for them.

    Args:
        brightness: Limit of :math:`\delta_b`, in [0, 1].
        contrast: Limit of :math:`\delta_c`, in [0, 1].
        saturation: Limit of :math:`\delta_s`, in [0, 1].
        hue: Limit of :math:`\delta_h`, in [0, 0.5].
        jitter_prob: Probability that an image is jittered.
        blur_sigma: Range of σ in pixels.
        blur_prob: Probability that an image is blurred.
    """

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
            if not 0 <= value <= most:
                raise ValueError(
                    f'StrongAugment.{key} got {value!r}; write a number in [0, {most}] instead'
                )
        if len(blur_sigma) != 2 or not 0 < blur_sigma[0] <= blur_sigma[1]:
            raise ValueError(
                f'StrongAugment.blur_sigma got {blur_sigma!r}; write two positive '
                'numbers (smallest, largest) instead'
            )
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
        generator: Generator | None = None,
    ) -> Tensor:
        """Augment a normalised batch.

        Args:
            images: Shape (N, 3, H, W).
            mean: What was subtracted, in [0, 255], shape (3, 1, 1) as in a ``SegDataPreProcessor``;
                0 for images in [0, 1].
            std: What was divided by, of the same shape; 255 for images in [0, 1].
            bgr: Whether channels are in BGR order (no ``bgr_to_rgb`` in the preprocessor).
            generator: One of the images' device; None takes the global one.

        Returns:
            Normalised as before, of the same shape and dtype.
        """
        pixels = (images.float() * std + mean) / 255
        if bgr:
            pixels = pixels.flip(1)
        changed = self._blur(self._jitter(pixels, generator), generator)
        if bgr:
            changed, pixels = changed.flip(1), pixels.flip(1)
        # An image that nothing happened to stays as it is, to the last bit.
        same = (changed == pixels).all(3, True).all(2, True).all(1, True)
        return torch.where(same, images, ((changed * 255 - mean) / std).to(images.dtype))

    def _jitter(self, pixels: Tensor, generator: Generator | None) -> Tensor:
        draws = torch.rand((5, len(pixels), 1, 1, 1), generator=generator, device=pixels.device)
        # Python must know the order, so that it comes from the host.
        on_host = generator if generator is not None and generator.device.type == 'cpu' else None
        jittered = pixels
        for index in torch.randperm(4, generator=on_host).tolist():
            change = (2 * draws[index] - 1) * self.limits[index]
            jittered = _CHANGES[index](jittered, change)
        return torch.where(draws[4] < self.jitter_prob, jittered, pixels)

    def _blur(self, pixels: Tensor, generator: Generator | None) -> Tensor:
        chosen, place = torch.rand((2, len(pixels)), generator=generator, device=pixels.device)
        low, high = self.blur_sigma
        blurred = gaussian_blur(pixels, low + (high - low) * place, math.ceil(4 * high))
        return torch.where((chosen < self.blur_prob).view(-1, 1, 1, 1), blurred, pixels)
