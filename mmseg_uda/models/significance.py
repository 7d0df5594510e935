"""Significance: weights of the pixels of a teacher's label."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Generator, Tensor, nn

from mmseg_uda.datasets.batch_transforms.base import per_image
from mmseg_uda.models.contexts import frozen_bn_stats
from mmseg_uda.models.losses.divisor import reduce_over_processes
from mmseg_uda.models.teacher import EMATeacher
from mmseg_uda.utils.arguments import check_choice, check_integer, check_number

__all__ = ['EntropySignificance']


@MODELS.register_module()
class EntropySignificance(nn.Module):
    r"""The significance mask of CAMix (`arXiv:2108.03557 <https://arxiv.org/abs/2108.03557>`_).

    .. math::
        \hat P = \frac{1}{N} \sum_{i=1}^N \operatorname{softmax} f_{\theta'}(X_T + n_i) \quad (5),
        \qquad \zeta = - \sum_c \hat P_c \ln \hat P_c \quad (6), \qquad
        U_T = [\zeta < H(t)]

        H(t) = \bigl(\beta + (1 - \beta) e^{\gamma (1 - \min(t / t_{max}, 1))^2}\bigr) K_{sup}

    (7) is printed without the outer brackets, so that H would begin below 1; these are its code's,
    and those of UA-MT, from which it is taken.

    Args:
        passes: N, noisy copies of each image.
        noise_std: Standard deviation of the noise, in the scale of normalised images.
        noise_clip: Largest magnitude of the noise.
        beta: :math:`\beta`, in [0, 1].
        gamma: :math:`\gamma`, at most 0.
        ramp_iters: :math:`t_{max}`; 130k for GTA5 and 10k for SYNTHIA in the code.
        chunk: Copies of each image in one pass of the teacher, which go through its batch norm
            together; 2 in UA-MT. Memory is proportional to it.
        bound: :math:`K_{sup}`: ``'classes'`` for ln C, the entropy of a uniform prediction (the
            code), or ``'batch'`` for the largest entropy of the batch, over all processes (the
            text's supremum).
        interpolation: Resize of the mask from the logits' size to that of the image:
            ``'bilinear'`` (fractions at its borders, as in the code) or ``'nearest'``.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        passes: int = 8,
        noise_std: float = 0.1,
        noise_clip: float = 0.2,
        beta: float = 0.75,
        gamma: float = -5.0,
        ramp_iters: int = 130000,
        chunk: int = 2,
        bound: str = 'classes',
        interpolation: str = 'bilinear',
    ) -> None:
        super().__init__()
        name = type(self).__name__
        for key, count in dict(passes=passes, chunk=chunk, ramp_iters=ramp_iters).items():
            check_integer(f'{name}.{key}', count, 1)
        for key, size in dict(noise_std=noise_std, noise_clip=noise_clip).items():
            check_number(f'{name}.{key}', size, '[0, inf)')
        check_number(f'{name}.beta', beta, '[0, 1]')
        check_number(f'{name}.gamma', gamma, '(-inf, 0]')
        check_choice(f'{name}.bound', bound, ('classes', 'batch'))
        check_choice(f'{name}.interpolation', interpolation, ('bilinear', 'nearest'))
        self.passes = passes
        self.noise_std = noise_std
        self.noise_clip = noise_clip
        self.beta = beta
        self.gamma = gamma
        self.ramp_iters = ramp_iters
        self.chunk = chunk
        self.bound = bound
        self.interpolation = interpolation

    @torch.no_grad()
    def forward(
        self,
        teacher: EMATeacher,
        images: Tensor,
        iteration: int,
        generators: Sequence[Generator] | None = None,
    ) -> Tensor:
        """Compute U_T.

        Args:
            teacher: The teacher; noisy images do not change its batch-norm statistics.
            images: Normalised target images, shape (N, 3, H, W).
            iteration: t, from 0.
            generators: One per image, on the images' device, for its noise; None takes the global
                one.

        Returns:
            Shape (N, H, W), in [0, 1].
        """
        entropy = self.entropy(teacher, images, generators)  # (N, h, w)
        mask = (entropy < self.threshold(entropy, iteration, teacher.module.num_classes)).float()
        align = teacher.module.align_corners if self.interpolation == 'bilinear' else None
        mask = resize(
            mask.unsqueeze(1),
            size=images.shape[2:],
            mode=self.interpolation,
            align_corners=align,
            warning=False,
        )  # (N, 1, H, W)
        return mask.squeeze(1).clamp(0, 1)  # interpolation rounds to values just above 1

    @torch.no_grad()
    def entropy(
        self, teacher: EMATeacher, images: Tensor, generators: Sequence[Generator] | None = None
    ) -> Tensor:
        """Compute the entropy of the mean prediction, eq. (5) and (6).

        Args:
            teacher: The teacher.
            images: Shape (N, 3, H, W).
            generators: As in :meth:`forward`.

        Returns:
            Shape (N, h, w), the size of the teacher's logits; natural logarithm.
        """
        total: Tensor | float = 0.0
        # One buffer serves all chunks: k copies of each image, shape (N, k, 3, H, W).
        copies = min(self.chunk, self.passes)
        buffer = images.new_empty(len(images), copies, *images.shape[1:])
        with frozen_bn_stats(teacher):
            for start in range(0, self.passes, self.chunk):
                noisy = buffer[:, : self.passes - start]
                for each, generator in zip(noisy, per_image(generators, len(noisy))):
                    each.normal_(0, self.noise_std, generator=generator)
                noisy.clamp_(-self.noise_clip, self.noise_clip).add_(images.unsqueeze(1))
                probability = teacher(noisy.flatten(0, 1)).float().softmax(1)  # (N k, C, h, w)
                total = total + probability.unflatten(0, noisy.shape[:2]).sum(1)  # (N, C, h, w)
        mean = torch.as_tensor(total) / self.passes
        return torch.special.entr(mean).sum(1)

    def threshold(self, entropy: Tensor, iteration: int, num_classes: int) -> Tensor | float:
        """Compute H(t), eq. (7).

        Args:
            entropy: As :meth:`entropy` computes it.
            iteration: t, from 0.
            num_classes: C.
        """
        ramp = math.exp(self.gamma * (1 - min(iteration / self.ramp_iters, 1)) ** 2)
        bound: Tensor | float = math.log(num_classes)
        if self.bound == 'batch':
            bound = entropy.amax()
            if self.training:  # at test time a process looks alone
                bound = reduce_over_processes(bound, 'max')
        return (self.beta + (1 - self.beta) * ramp) * bound
