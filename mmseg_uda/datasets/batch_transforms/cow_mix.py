"""Mixing by irregular blobs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import torch
from mmseg.registry import TRANSFORMS
from torch import Generator, Tensor

from mmseg_uda.datasets.batch_transforms.mixer import Mixer, check_share
from mmseg_uda.structures import DomainBatch, TeacherPrediction

__all__ = ['CowMix', 'cow_masks']


def cow_masks(
    images: Tensor, sigma: Sequence[float], ratio: float, generator: Generator | None = None
) -> Tensor:
    r"""Gaussian noise, smoothed and thresholded: the patches of a cow.

    :math:`m = [s < \mu(s) + \sqrt2 \operatorname{erf}^{-1}(2r - 1)\, \sigma(s)]` with the smoothed
    noise s of an image, its mean and its deviation. Beyond the image the noise is 0. The Gaussian
    is not cut off; its two directions are two products of matrices.

    Args:
        images: Shape (N, C, H, W).
        sigma: Smallest and largest deviation of the Gaussian in pixels; one per image is drawn
            between them, uniformly in its logarithm.
        ratio: r, the expected share of ones, in (0, 1).
        generator: One of the images' device; None takes the global one.

    Returns:
        0 and 1, shape (N, 1, H, W).
    """
    number, _, height, width = images.shape
    low, high = (math.log(value) for value in sigma)
    chosen = torch.rand((number, 1, 1), generator=generator, device=images.device)
    sigmas = (low + (high - low) * chosen).exp()
    noise = torch.randn((number, height, width), generator=generator, device=images.device)
    smooth = _gaussian(height, sigmas) @ noise @ _gaussian(width, sigmas)
    deviation, mean = torch.std_mean(smooth, (1, 2), correction=0, keepdim=True)
    # NormalDist's quantile is sqrt(2) erfinv(2r - 1).
    return (smooth < mean + NormalDist().inv_cdf(ratio) * deviation).float()[:, None]


def _gaussian(size: int, sigmas: Tensor) -> Tensor:
    """Gaussian of the distance of each two positions, shape (N, size, size); any common factor."""
    index = torch.arange(size, device=sigmas.device)
    distance = index - index[:, None]
    return torch.exp(-0.5 * (distance / sigmas) ** 2)


@TRANSFORMS.register_module()
class CowMix(Mixer):
    """CowMix: French, Oliver & Salimans, "Milking CowMask for semi-supervised image
    classification", `arXiv:2003.12022 <https://arxiv.org/abs/2003.12022>`_; blobs of the source on
    the target.

    Args:
        sigma: Range of the smoothing, in pixels: small values make many small blobs.
        ratio: Expected share of the image that comes from the source, in (0, 1).
    """

    def __init__(self, sigma: Sequence[float] = (8.0, 32.0), ratio: float = 0.5) -> None:
        super().__init__()
        if not isinstance(sigma, Sequence) or len(sigma) != 2 or not 0 < sigma[0] <= sigma[1]:
            raise ValueError(
                f'CowMix.sigma got {sigma!r}; write two positive numbers (smallest, '
                'largest) instead'
            )
        self.sigma = tuple(sigma)
        self.ratio = check_share('CowMix.ratio', ratio)

    def mask(
        self,
        batch: DomainBatch,
        teacher: TeacherPrediction,
        iteration: int,
        generator: Generator | None = None,
    ) -> Tensor:
        return cow_masks(batch.target.images, self.sigma, self.ratio, generator)
