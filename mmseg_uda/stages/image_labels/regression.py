"""Multinomial logistic regression with soft labels."""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ['SoftmaxRegression', 'fit_softmax', 'has_labels', 'soft_cross_entropy']


@dataclasses.dataclass(frozen=True)
class SoftmaxRegression:
    """One linear layer and a softmax.

    Args:
        weight: Shape (C, D).
        bias: Shape (C, ).
    """

    weight: Tensor
    bias: Tensor

    def predict(self, features: Tensor) -> Tensor:
        """Predict the shares of the classes, shape (M, C), from features (M, D)."""
        return F.linear(features, self.weight, self.bias).softmax(1)


def has_labels(shares: Tensor) -> Tensor:
    """Select the images that have a pixel with a class: bool (M, ), from shares (M, C)."""
    return shares.sum(1) > 0


def soft_cross_entropy(probabilities: Tensor, shares: Tensor) -> float:
    """Compute the mean of -sum y log p over images, shapes (M, C)."""
    return float(-(shares * probabilities.clamp(min=1e-12).log()).sum(1).mean())


def fit_softmax(
    features: Tensor,
    shares: Tensor,
    *,
    epochs: int = 30,
    lr: float = 1e-4,
    momentum: float = 0.9,
    decay: float = 0.99,
    min_lr: float = 1e-6,
    batch_size: int = 4,
    seed: int = 0,
) -> SoftmaxRegression:
    """Fit class shares by stochastic gradient descent (PIT, Section 5.2).

    Starts from zero; the learning rate is ``max(lr * decay**epoch, min_lr)``. The number of epochs
    and the batch size are not in the paper.

    Args:
        features: Shape (M, D), float32, on the CPU.
        shares: Targets, shape (M, C); an image whose shares are all 0 is left out.
        epochs: Passes over the images, in an order drawn for each.
        lr: Learning rate of the first epoch.
        momentum: Momentum of the descent, in [0, 1).
        decay: Factor of the learning rate per epoch, in (0, 1].
        min_lr: Floor of the learning rate.
        batch_size: Images in one step.
        seed: Seed of the order.

    Raises:
        ValueError: No image has a share.
    """
    labelled = has_labels(shares)  # (M, )
    features, shares = features[labelled], shares[labelled]
    if not len(features):
        raise ValueError(
            'fit_softmax: no source image has a pixel with a class; correct '
            'train_dataloader.source.dataset'
        )
    weight = torch.zeros(shares.shape[1], features.shape[1], requires_grad=True)
    bias = torch.zeros(shares.shape[1], requires_grad=True)
    optimizer = torch.optim.SGD([weight, bias], lr=lr, momentum=momentum)
    generator = torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        optimizer.param_groups[0]['lr'] = max(lr * decay**epoch, min_lr)
        order = torch.randperm(len(features), generator=generator)
        for rows in torch.split(order, batch_size):
            optimizer.zero_grad()
            log_prob = F.linear(features[rows], weight, bias).log_softmax(1)  # (N, C)
            torch.autograd.backward(-(shares[rows] * log_prob).sum(1).mean())
            optimizer.step()
    return SoftmaxRegression(weight.detach(), bias.detach())
