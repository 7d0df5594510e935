"""Random colour changes, an affine map and a cutout, of normalised batches on their device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import TRANSFORMS
from torch import Generator, Tensor

from mmseg_uda.datasets.batch_transforms.base import (
    BatchTransform,
    build_batch_transform,
    draw,
    on_host,
    per_image,
)
from mmseg_uda.datasets.batch_transforms.view import RandomView, View
from mmseg_uda.utils.arguments import check_integer, check_number

__all__ = ['RandAugment', 'affine', 'build_views', 'change_colours']

GREY = 127.0
LUMA = (0.299, 0.587, 0.114)  # of red, green, blue


def _grey(image: Tensor) -> Tensor:
    """Compute the brightness of RGB pixels (3, H, W) in [0, 255]: (1, H, W)."""
    return (image * image.new_tensor(LUMA).view(3, 1, 1)).sum(0, keepdim=True)


def _autocontrast(image: Tensor, _: float) -> Tensor:
    low, high = image.amin((1, 2), keepdim=True), image.amax((1, 2), keepdim=True)
    spread = (high - low).where(high > low, high.new_ones(()))
    return torch.where(high > low, (image - low) * (255 / spread), image)


def _equalize(image: Tensor, _: float) -> Tensor:
    levels = image.round().long().flatten(1)  # (3, H W)
    counts = levels.new_zeros((3, 256)).scatter_add(1, levels, torch.ones_like(levels))
    # Pillow's: the last level that occurs does not count in the step.
    last = torch.where(counts > 0, torch.arange(256, device=image.device), 0).argmax(1)
    step = (counts.sum(1) - counts.gather(1, last[:, None]).squeeze(1)) // 255  # (3,)
    below = counts.cumsum(1) - counts
    table = (step[:, None] // 2 + below) // step.clamp(min=1)[:, None]
    equalized = table.clamp(max=255).gather(1, levels).view_as(image).to(image.dtype)
    return torch.where((step > 0).view(3, 1, 1), equalized, image)


def _posterize(image: Tensor, strength: float) -> Tensor:
    unit = 2 ** (8 - (4 + int(0.4 * strength)))  # of 4 to 7 bits
    return (image.round() / unit).floor() * unit


def _sharpness(image: Tensor, strength: float) -> Tensor:
    kernel = image.new_tensor([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    smooth = image.clone()  # borders stay
    inner = F.conv2d(image.unsqueeze(1), kernel.view(1, 1, 3, 3)).squeeze(1)
    smooth[:, 1:-1, 1:-1] = inner
    return _blend(smooth, image, strength)


def _solarize(image: Tensor, strength: float) -> Tensor:
    return torch.where(image < 256 - int(25.6 * strength), image, 255 - image)


def _blend(other: Tensor, image: Tensor, strength: float) -> Tensor:
    share = 0.05 + 0.09 * strength
    return (other + share * (image - other)).clamp(0, 255)


# Of an RGB image (3, H, W) in [0, 255], by a strength in [0, 10].
COLOURS: dict[str, Callable[[Tensor, float], Tensor]] = {
    'autocontrast': _autocontrast,
    'brightness': lambda image, strength: _blend(torch.zeros_like(image), image, strength),
    'color': lambda image, strength: _blend(_grey(image), image, strength),
    'contrast': lambda image, strength: _blend(_grey(image).mean().round(), image, strength),
    'equalize': _equalize,
    'identity': lambda image, _: image,
    'posterize': _posterize,
    'sharpness': _sharpness,
    'solarize': _solarize,
}
GEOMETRIES = ('rotate', 'shear_x', 'shear_y', 'translate_x', 'translate_y')


def change_colours(image: Tensor, name: str, strength: float) -> Tensor:
    """Apply one of the colour changes.

    Args:
        image: RGB, shape (3, H, W), in [0, 255].
        name: A key of ``COLOURS``.
        strength: In [0, 10].

    Example:
        >>> change_colours(torch.full((3, 1, 1), 200.0), 'solarize', 5.0).flatten()
        tensor([55., 55., 55.])
    """
    return COLOURS[name](image, strength)


def affine(name: str, strength: float, size: Sequence[int]) -> Tensor:
    """Compute the affine map from positions in the result to those in the image.

    Args:
        name: One of ``GEOMETRIES``.
        strength: In [-10, 10]; 10 is 30 degrees, a shear of 0.3 pixels per pixel from the
            upper left corner, or 0.3 of the image's side.
        size: Height and width in pixels.

    Returns:
        Shape (3, 3), of positions (x, y, 1) in [-1, 1] from edge to edge.

    Example:
        >>> affine('translate_x', 10.0, size=(4, 8))[0]
        tensor([1.0000, 0.0000, 0.6000])
    """
    share, aspect = 0.03 * strength, size[0] / size[1]
    matrix = torch.eye(3, device='cpu')
    if name == 'rotate':
        angle = math.radians(3 * strength)
        matrix[0, 1], matrix[1, 0] = math.sin(angle) * aspect, -math.sin(angle) / aspect
        matrix[0, 0] = matrix[1, 1] = math.cos(angle)
    elif name == 'shear_x':
        matrix[0, 1] = matrix[0, 2] = share * aspect
    elif name == 'shear_y':
        matrix[1, 0] = matrix[1, 2] = share / aspect
    else:
        matrix[0 if name == 'translate_x' else 1, 2] = 2 * share
    return matrix


@TRANSFORMS.register_module()
class RandAugment(BatchTransform):
    """Strong augmentation of FixMatch (`arXiv:2001.07685 <https://arxiv.org/abs/2001.07685>`_) as
    ProDA uses it, with the geometry that labels need to follow.

    Each image gets ``number`` changes out of 14, each with probability 0.5 and of a random strength
    up to ``magnitude``; then a flip, then a square of grey. Our choice: the colour changes come
    first, and one warp does all geometric changes, so that maps follow exactly.

    Args:
        number: Changes that are drawn for each image; n.
        magnitude: Upper bound of the strength, in [2, 10]; m. The bound itself is not drawn.
        flip_prob: Probability of a horizontal flip.
        cutout: Side of the square as a share of the image's shorter side; 0 for none.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> images, view = RandAugment()(torch.rand(2, 3, 8, 8), mean=0, std=255)
        >>> images.shape, view.warp_labels(torch.zeros(2, 8, 8, dtype=torch.int64), 255).shape
        (torch.Size([2, 3, 8, 8]), torch.Size([2, 8, 8]))
    """

    eight_bits = True
    colour = True

    def __init__(
        self,
        number: int = 2,
        magnitude: int = 10,
        flip_prob: float = 0.5,
        cutout: float = 1 / 3,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_integer(f'{name}.number', number, 0)
        check_integer(f'{name}.magnitude', magnitude, 2)
        check_number(f'{name}.magnitude', magnitude, '[2, 10]')
        check_number(f'{name}.flip_prob', flip_prob, '[0, 1]')
        check_number(f'{name}.cutout', cutout, '[0, 1]')
        self.number = number
        self.magnitude = magnitude
        self.flip_prob = flip_prob
        self.cutout = cutout

    @torch.no_grad()
    def forward(
        self,
        images: Tensor,
        mean: Tensor | float,
        std: Tensor | float,
        bgr: bool = False,
        generators: Sequence[Generator] | None = None,
    ) -> tuple[Tensor, View]:
        """Augment a normalised batch.

        Args:
            images: Shape (N, 3, H, W).
            mean: As for :class:`StrongAugment`.
            std: The same.
            bgr: The same.
            generators: The same.

        Returns:
            The images, and the view that they are of those given.
        """
        height, width = images.shape[2:]
        size = (int(height), int(width))
        pixels = (images.float() * std + mean).clamp(0, 255)
        pixels = pixels.flip(1) if bgr else pixels  # RGB
        changed, thetas = [], []
        for image, generator in zip(pixels, per_image(generators, len(pixels))):
            image, matrix = self._change(image, on_host(generator), size)
            changed.append(image)
            thetas.append(matrix[:2])
        theta = torch.stack(thetas)  # (N, 2, 3)
        if images.is_cuda:  # the host would wait for the GPU to copy memory that is not pinned
            theta = theta.pin_memory()
        theta = theta.to(images.device, non_blocking=True)
        view = View(theta, size, self._hole(images, generators))
        pixels = view.warp(torch.stack(changed), fill=GREY)
        pixels = pixels.flip(1) if bgr else pixels
        return ((pixels - mean) / std).to(images.dtype), view

    def _change(
        self, image: Tensor, generator: Generator | None, size: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Change the colours of one image, and compose its geometric changes (3, 3)."""
        names, matrix = [*COLOURS, *GEOMETRIES], torch.eye(3, device='cpu')
        chances = torch.rand((self.number, 4), generator=generator, device='cpu').tolist()
        for which, applied, strength, sign in chances:
            name = names[int(which * len(names))]
            value = float(1 + int(strength * (self.magnitude - 1)))
            if applied >= 0.5:
                continue
            if name in COLOURS:
                image = change_colours(image, name, value)
            else:
                matrix = matrix @ affine(name, value if sign < 0.5 else -value, size)
        if torch.rand((), generator=generator, device='cpu') < self.flip_prob:
            matrix = matrix @ torch.tensor([[-1.0, 0, 0], [0, 1, 0], [0, 0, 1]], device='cpu')
        return image, matrix

    def _hole(self, images: Tensor, generators: Sequence[Generator] | None) -> Tensor | None:
        """Draw the corners of a square with its centre in the image, shape (N, 4)."""
        if not self.cutout:
            return None
        centre = 2 * draw(torch.rand, (len(images), 2), images.device, generators) - 1  # x, y
        height, width = images.shape[2:]
        side = self.cutout * min(height, width)
        corners = [centre[:, :1] - side / width, centre[:, 1:] - side / height]
        return torch.cat([*corners, centre[:, :1] + side / width, centre[:, 1:] + side / height], 1)


def build_views(
    owner: str, weak: dict[str, Any], strong: dict[str, Any]
) -> tuple[RandomView, RandAugment]:
    """Build the weak and the strong view of a method.

    Args:
        owner: Name of the method, for errors.
        weak: Config of a :class:`RandomView`.
        strong: Config of a :class:`RandAugment`.

    Raises:
        TypeError: One is of another class.
    """
    build = build_batch_transform
    return (
        build(f'{owner}.weak_view', weak, RandomView, 'a view of whole images', 'RandomView'),
        build(f'{owner}.strong_view', strong, RandAugment, 'an augmentation', 'RandAugment'),
    )
