"""The risk on the target, estimated by the source's errors where the source is like the target."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

__all__ = ['controlled_risk', 'density_ratio', 'fit_domain_classifier', 'importance_weighted_risk']

LEAST_PROBABILITY = 1e-6
RIDGE = 1e-3
GREATEST_WEIGHT = 20.0


def fit_domain_classifier(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Fit a logistic regression that tells target from source features.

    Args:
        source: Features, shape (n, F), float64.
        target: Features, shape (m, F).

    Returns:
        Weight (F,) and bias (), of the log odds that a feature is the target's.
    """
    features = torch.cat([source, target])  # (n + m, F)
    is_target = torch.cat([source.new_zeros(len(source)), target.new_ones(len(target))])
    weight = features.new_zeros(features.shape[1], requires_grad=True)
    bias = features.new_zeros((), requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn='strong_wolfe')

    def objective() -> Tensor:
        solver.zero_grad()
        log_odds = features @ weight + bias
        loss = binary_cross_entropy_with_logits(log_odds, is_target) + RIDGE * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        solver.step(objective)
    return weight.detach(), bias.detach()


def density_ratio(features: Tensor, source: Tensor, target: Tensor) -> Tensor:
    r"""Estimate how much more likely features are in the target than in the source.

    .. math::
        w(f) = \frac{N_s}{N_t} \frac{P(t|f)}{P(s|f)}

    Args:
        features: Where to estimate it, shape (N, F), float64.
        source: Features of the source to fit the classifier on, shape (n, F).
        target: Features of the target, shape (m, F).

    Returns:
        Shape (N,), in [0, 20]: larger values let single pixels decide.
    """
    both = torch.cat([source, target])
    mean, scale = both.mean(0), both.std(0).clamp(min=1e-6)
    source, target, features = ((each - mean) / scale for each in (source, target, features))
    weight, bias = fit_domain_classifier(source, target)
    ratio = (features @ weight + bias).exp() * len(source) / len(target)
    return ratio.clamp(max=GREATEST_WEIGHT)


def controlled_risk(loss: Tensor, weight: Tensor) -> float:
    r"""Average losses by weights, with the variance that the weights cause removed.

    DEV: You et al., ICML 2019, "Towards Accurate Model Selection in Deep Unsupervised Domain
    Adaptation", with the expectation of a weight, 1, as a control variate:

    .. math::
        R = \overline{w l} + \eta \bar w - \eta, \qquad
        \eta = -\frac{\mathrm{cov}(w l, w)}{\mathrm{var}(w)}

    Args:
        loss: Shape (N,), at least two.
        weight: The same shape.

    Example:
        >>> loss = torch.tensor([0.0, 1.0, 0.0, 1.0])
        >>> controlled_risk(loss, torch.ones(4))
        0.5
    """
    weighted = weight * loss
    covariance = torch.cov(torch.stack([weighted, weight]))  # (2, 2)
    variance = covariance[1, 1]
    eta = -covariance[0, 1] / variance if variance > 0 else variance
    return float(weighted.mean() + eta * weight.mean() - eta)


def importance_weighted_risk(
    source: Tensor, wrong: Tensor, held_out: Tensor, target: Tensor
) -> float:
    """Estimate the share of wrong pixels on the target from those of the source.

    As DEV, but for two things: the features are the logarithms of the class probabilities, which
    every segmentor has; and instead of a further training split, the classifier that weights one
    half of the source images is fitted on the other half.

    Args:
        source: Softmax of labelled source pixels, shape (n, C).
        wrong: Whether the prediction is wrong, shape (n,), bool.
        held_out: Which half a pixel's image belongs to, shape (n,), bool.
        target: Softmax of target pixels, shape (m, C).

    Returns:
        About the error rate in [0, 1]; the control variate may move it a little beyond.
    """
    ours, theirs = (each.double().clamp(min=LEAST_PROBABILITY).log() for each in (source, target))
    weights = torch.empty(len(ours), dtype=torch.float64)
    for half in (held_out, ~held_out):
        weights[half] = density_ratio(ours[half], ours[~half], theirs)
    return controlled_risk(wrong.double(), weights)
