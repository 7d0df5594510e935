"""Prototypes: mean features of classes, and the distances of pixels from them (ProDA)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmseg_uda.models.layers.precision import full_precision, widen

__all__ = ['FAR', 'class_means', 'moving_average', 'prototype_distances', 'running_mean']

# Distance from a class without a prototype; infinite ones would give NaN where none has one.
FAR = 1e6


def class_means(
    features: Tensor, labels: Tensor, num_classes: int, min_pixels: int = 10
) -> tuple[Tensor, Tensor]:
    """Average each image's features over the pixels of each class.

    Args:
        features: Shape (N, A, h, w).
        labels: Classes, shape (N, h, w), int64.
        num_classes: C.
        min_pixels: Pixels that a class needs.

    Returns:
        Means (N, C, A), 0 for a class without enough pixels, and a mask of those with, (N, C).

    Examples:
        >>> features = torch.tensor([[[[1.0, 3.0, 8.0]]]])
        >>> class_means(features, torch.tensor([[[0, 0, 1]]]), 2, min_pixels=2)
        (tensor([[[2.],
                 [0.]]]), tensor([[ True, False]]))
    """
    # One product per image; a one-hot map (N, C, h w) is small beside the features.
    classes = torch.arange(num_classes, device=labels.device).view(1, -1, 1)
    members = (labels.flatten(1).unsqueeze(1) == classes).to(widen(features).dtype)
    counts = members.sum(2)  # (N, C)
    with full_precision(features):  # sums over all pixels pass the range of float16
        sums = members @ widen(features).flatten(2).transpose(1, 2)  # (N, C, A)
    found = counts >= max(min_pixels, 1)
    means = sums / counts.clamp(min=1).unsqueeze(2)
    return means * found.unsqueeze(2), found


def moving_average(
    values: Tensor, counts: Tensor, means: Tensor, found: Tensor, momentum: float
) -> tuple[Tensor, Tensor]:
    r"""Move prototypes to images' means: :math:`\mu \leftarrow (1 - m) \mu + m v`, image by image.

    The first mean of a class is its prototype.

    Args:
        values: :math:`\mu`, shape (C, A).
        counts: Means that each has seen, shape (C,); 0 for no prototype yet.
        means: v, shape (N, C, A).
        found: Which of them exist, shape (N, C).
        momentum: m.

    Returns:
        New values and counts.

    Examples:
        >>> values, counts = torch.tensor([[1.0], [0.0]]), torch.tensor([1, 0])
        >>> means, found = torch.tensor([[[3.0], [5.0]]]), torch.tensor([[True, True]])
        >>> moving_average(values, counts, means, found, momentum=0.5)
        (tensor([[2.],
                [5.]]), tensor([2, 1]))
    """
    for mean, exists in zip(means, found):
        weight = torch.where(counts > 0, momentum, 1.0).to(values.dtype).unsqueeze(1)  # (C, 1)
        values = torch.where(exists.unsqueeze(1), torch.lerp(values, mean, weight), values)
        counts = counts + exists
    return values, counts


def running_mean(
    images: Iterable[tuple[Tensor, Tensor]], epochs: int = 4, max_count: int = 3000
) -> tuple[Tensor, Tensor]:
    """Average images' means; each image with a class counts once, and the count is capped.

    Args:
        images: Means (C, A) of each image, and which of them exist (C,).
        epochs: Passes over the images.
        max_count: Count from which the average is a moving one.

    Returns:
        Prototypes (C, A), 0 for a class that no image has, and their counts (C,).

    Examples:
        >>> images = [(torch.tensor([[mean]]), torch.tensor([True])) for mean in (1.0, 4.0)]
        >>> running_mean(images, epochs=3)
        (tensor([[2.5000]]), tensor([6]))
    """
    images = list(images)
    values = torch.zeros_like(images[0][0])
    counts = torch.zeros(len(values), dtype=torch.int64)
    for mean, exists in images * epochs:
        counts = (counts + exists).clamp(max=max_count)
        step = (mean - values) / counts.clamp(min=1).unsqueeze(1)
        values = torch.where(exists.unsqueeze(1), values + step, values)
    return values, counts


def prototype_distances(features: Tensor, values: Tensor, known: Tensor) -> Tensor:
    """Compute the Euclidean distance of each pixel's feature from each prototype.

    Args:
        features: Shape (N, A, h, w).
        values: Prototypes, shape (C, A).
        known: False for a class without a prototype, shape (C,); it is farther than any other.

    Returns:
        Shape (N, C, h, w), in fp32 at least, without a gradient to the prototypes;
        differentiable once.

    Examples:
        >>> features = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
        >>> known = torch.tensor([True, False])
        >>> prototype_distances(features, torch.zeros(2, 2), known).flatten()
        tensor([5.0000e+00, 1.0000e+06])
    """
    pixels = widen(features).flatten(2).transpose(1, 2)  # (N, h w, A)
    values = values.detach().to(pixels.dtype)
    distance = _Distances.apply(pixels, values)  # type: ignore[no-untyped-call]
    distance = distance.masked_fill(~known, FAR)  # (N, h w, C)
    return distance.transpose(1, 2).reshape(len(features), -1, *features.shape[2:])


class _Distances(torch.autograd.Function):
    """Distances of pixels (N, P, A) from values (C, A), with a gradient to the pixels.

    On a GPU, the backward pass of ``torch.cdist`` would fill a map of N P C A elements.
    """

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, values: Tensor) -> Tensor:
        # By differences: the norms of features would drown small distances.
        distance = torch.cdist(
            pixels,
            values.expand(len(pixels), -1, -1),
            compute_mode='donot_use_mm_for_euclid_dist',
        )  # (N, P, C)
        ctx.save_for_backward(pixels, values, distance)
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        pixels, values, distance = ctx.saved_tensors
        # The unit vector (x - v) / d times the gradient, summed over classes; 0 at a prototype.
        scale = torch.where(distance > 0, grad / distance, 0.0)  # (N, P, C)
        with full_precision(pixels):
            return pixels * scale.sum(2, keepdim=True) - scale @ values, None
