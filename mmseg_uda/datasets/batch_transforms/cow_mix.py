"""Mixing by irregular blobs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import torch
from mmseg.registry import TRANSFORMS
from torch import Generator, Tensor

from mmseg_uda.datasets.batch_transforms.base import draw
from mmseg_uda.datasets.batch_transforms.mixer import Mixer
from mmseg_uda.structures import DomainBatch, TeacherPrediction
from mmseg_uda.utils.arguments import check_number, check_sequence, expect

__all__ = ['CowMix', 'cow_masks']


def cow_masks(
    images: Tensor,
    sigma: Sequence[float],
    ratio: float,
    generators: Sequence[Generator] | None = None,
) -> Tensor:
    r"""Draw blobs like the patches of a cow: smoothed and thresholded Gaussian noise.

    :math:`m = [s < \mu(s) + \sqrt2 \operatorname{erf}^{-1}(2r - 1)\, \sigma(s)]` with an image's
    smoothed noise s, its mean and its deviation. The noise outside the image is 0. The Gaussian is
    not cut off: it is one product of matrices per direction.

    Args:
        images: Shape (N, C, H, W).
        sigma: Smallest and largest deviation of the Gaussian in pixels; one per image is drawn
            between them, uniformly in its logarithm.
        ratio: r, the expected share of ones, in (0, 1).
        generators: One per image, on the images' device; None takes the global one.

    Returns:
        0 and 1, shape (N, 1, H, W).

    Example:
        >>> cow_masks(torch.empty(1, 3, 8, 8), sigma=(1, 2), ratio=0.5).unique()
        tensor([0., 1.])
    """
    number, _, height, width = images.shape
    low, high = (math.log(value) for value in sigma)
    chosen = draw(torch.rand, (number, 1, 1), images.device, generators)
    # (N, 1, 1); uniform in the logarithm, so that every scale of blobs is as likely.
    sigmas = (low + (high - low) * chosen).exp()
    noise = draw(torch.randn, (number, height, width), images.device, generators)
    # (N, H, H) @ (N, H, W) @ (N, W, W)
    smooth = _gaussian(height, sigmas) @ noise @ _gaussian(width, sigmas)
    deviation, mean = torch.std_mean(smooth, (1, 2), correction=0, keepdim=True)
    # NormalDist's quantile is sqrt(2) erfinv(2r - 1).
    return (smooth < mean + NormalDist().inv_cdf(ratio) * deviation).float()[:, None]


def _gaussian(size: int, sigmas: Tensor) -> Tensor:
    """Gaussian of the distance between positions, up to a factor; shape (N, size, size)."""
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

    Example:
        >>> from mmseg_uda.structures import ImageBatch
        >>> batch = DomainBatch(*[ImageBatch(torch.rand(2, 3, 8, 8), [])] * 2)
        >>> CowMix(sigma=(1, 2)).mask(batch, teacher=None, iteration=0).shape
        torch.Size([2, 1, 8, 8])
    """

    def __init__(self, sigma: Sequence[float] = (8.0, 32.0), ratio: float = 0.5) -> None:
        super().__init__()
        check_sequence('CowMix.sigma', sigma, check_number, '(0, inf)', length=2)
        expect(sigma[0] <= sigma[1], 'CowMix.sigma', '(smallest, largest)', sigma)
        check_number('CowMix.ratio', ratio, '(0, 1)')
        self.sigma = tuple(sigma)
        self.ratio = ratio

    def mask(
        self,
        batch: DomainBatch,
        teacher: TeacherPrediction,
        iteration: int,
        generators: Sequence[Generator] | None = None,
    ) -> Tensor:
        return cow_masks(batch.target.images, self.sigma, self.ratio, generators)
