"""Which pixels of a teacher's label count."""

from __future__ import annotations

import math

import torch
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.models.contexts import frozen_bn_stats
from mmseg_uda.models.teacher import EMATeacher

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
    and those of UA-MT, where it comes from.

    Args:
        passes: N, noisy copies of each image.
        noise_std: Deviation of the noise, in the scale of normalised images.
        noise_clip: Its largest magnitude.
        beta: :math:`\beta`, in [0, 1].
        gamma: :math:`\gamma`, at most 0.
        ramp_iters: :math:`t_{max}`; 130k for GTA5 and 10k for SYNTHIA in the code.
        chunk: Copies of each image in one pass of the teacher, which go through its batch norm
            together; 2 in UA-MT. More take memory in proportion.
        bound: :math:`K_{sup}`: ``'classes'`` for ln C, the entropy of a teacher that knows nothing
            (the code), or ``'batch'`` for the largest entropy of the batch (the text's supremum).
        interpolation: How the mask comes from the logits' size to that of the image:
            ``'bilinear'`` (fractions at its borders, as in the code) or ``'nearest'``.
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
        for key, value, fine, right in (
            ('passes', passes, passes >= 1, 'at least 1'),
            ('chunk', chunk, chunk >= 1, 'at least 1'),
            ('ramp_iters', ramp_iters, ramp_iters >= 1, 'at least 1'),
            ('noise_std', noise_std, noise_std >= 0, 'at least 0'),
            ('noise_clip', noise_clip, noise_clip >= 0, 'at least 0'),
            ('beta', beta, 0 <= beta <= 1, 'a number in [0, 1]'),
            ('gamma', gamma, gamma <= 0, 'at most 0'),
            ('bound', bound, bound in ('classes', 'batch'), "'classes' or 'batch'"),
            (
                'interpolation',
                interpolation,
                interpolation in ('bilinear', 'nearest'),
                "'bilinear' or 'nearest'",
            ),
        ):
            if not fine:
                raise ValueError(f'EntropySignificance.{key} got {value!r}; write {right}')
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
    def forward(self, teacher: EMATeacher, images: Tensor, iteration: int) -> Tensor:
        """U_T.

        Args:
            teacher: The teacher; its batch norm learns nothing from noisy images.
            images: Normalised target images, shape (N, 3, H, W).
            iteration: t, which is 0 in the first one.

        Returns:
            Shape (N, H, W), in [0, 1].
        """
        entropy = self.entropy(teacher, images)
        mask = (entropy < self.threshold(entropy, iteration, teacher.module.num_classes)).float()
        align = teacher.module.align_corners if self.interpolation == 'bilinear' else None
        return (
            resize(
                mask.unsqueeze(1),
                size=images.shape[2:],
                mode=self.interpolation,
                align_corners=align,
                warning=False,
            )
            .squeeze(1)
            .clamp(0, 1)
        )

    @torch.no_grad()
    def entropy(self, teacher: EMATeacher, images: Tensor) -> Tensor:
        """Eq. (5), (6): that of the mean prediction, shape (N, h, w) as the logits, natural log."""
        total: Tensor | float = 0.0
        room = images.new_empty(min(self.chunk, self.passes), *images.shape)
        with frozen_bn_stats(teacher):
            for start in range(0, self.passes, self.chunk):
                noisy = room[: self.passes - start].normal_(0, self.noise_std)
                noisy.clamp_(-self.noise_clip, self.noise_clip).add_(images)
                probability = teacher(noisy.flatten(0, 1)).float().softmax(1)
                total = total + probability.unflatten(0, noisy.shape[:2]).sum(0)
        mean = torch.as_tensor(total) / self.passes
        return torch.special.entr(mean).sum(1)

    def threshold(self, entropy: Tensor, iteration: int, num_classes: int) -> Tensor | float:
        """H(t), eq. (7)."""
        ramp = math.exp(self.gamma * (1 - min(iteration / self.ramp_iters, 1)) ** 2)
        bound = math.log(num_classes) if self.bound == 'classes' else entropy.amax()
        return (self.beta + (1 - self.beta) * ramp) * bound
