"""Discriminators: how a method comes by them, and the two sides of each."""

from __future__ import annotations

from typing import Any, Sequence

from mmengine.model import ModuleDict
from mmseg.registry import MODELS
from mmseg.utils import OptConfigType
from torch import Tensor

from mmseg_uda.models.contexts import frozen
from mmseg_uda.structures import Losses

__all__ = ['build_adversary', 'discriminate', 'fool']


def build_adversary(
    owner: str, views: Sequence[str], discriminator: OptConfigType, adversarial_loss: OptConfigType
) -> tuple[ModuleDict, Any]:
    """A method's discriminators, one for each of its views, and their loss.

    Args:
        owner: Name of the method, for errors.
        views: What it shows to discriminators.
        discriminator: Config of a discriminator.
        adversarial_loss: Config of the loss.

    Raises:
        ValueError: A config is missing, or is given to a method without views.
    """
    for key, value in dict(discriminator=discriminator, adversarial_loss=adversarial_loss).items():
        if bool(views) != bool(value):
            raise ValueError(
                f'{owner}.{key} got {value}; '
                + ('write its config' if views else 'remove it: the method has no adversary')
            )
    discriminators = ModuleDict({view: MODELS.build(discriminator) for view in views})
    return discriminators, MODELS.build(adversarial_loss) if adversarial_loss else None


def fool(
    name: str, discriminator: Any, loss: Any, target: Tensor, weight: Tensor | None = None
) -> Losses:
    """The segmentor's adversarial loss, from which the discriminator learns nothing.

    Args:
        name: Of the discriminator, for the log.
        discriminator: Maps (N, C, H, W) to scores (N, 1, h, w).
        loss: An :class:`AdversarialLoss`.
        target: What it sees of the target, (N, C, H, W).
        weight: Weight of each position, (N, 1, H', W'); None for 1.
    """
    with frozen(discriminator):
        score = discriminator(target)
    return {f'adv.loss_{name}': loss.fool(score.float(), weight)}


def discriminate(
    name: str, discriminator: Any, loss: Any, source: Tensor, target: Tensor
) -> Losses:
    """The discriminator's loss, from which the segmentor learns nothing, and its accuracies."""
    source_score = discriminator(source.detach()).float()
    target_score = discriminator(target.detach()).float()
    middle = loss.boundary
    return {
        f'disc.loss_{name}': loss.discriminate(source_score, target_score),
        f'disc.acc_source_{name}': (source_score.detach() < middle).float().mean(),
        f'disc.acc_target_{name}': (target_score.detach() > middle).float().mean(),
    }
