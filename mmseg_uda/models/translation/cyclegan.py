"""CycleGAN, as BDL trains it."""

from __future__ import annotations

from typing import Any, ClassVar, Iterator

import torch
import torch.nn.functional as F
from mmengine.model import ModuleDict
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, OptConfigType, OptMultiConfig
from torch import Tensor

from mmseg_uda.models.contexts import frozen
from mmseg_uda.models.layers.precision import widen
from mmseg_uda.models.losses.adversarial_loss import TARGET_LABEL
from mmseg_uda.models.stepwise import StepwiseModel
from mmseg_uda.models.translation.image_pool import ImagePool
from mmseg_uda.structures import DOMAINS, DomainBatch, Losses
from mmseg_uda.utils.arguments import check_integer, check_number, expect

__all__ = ['CycleGAN']

# tanh gives images in [-1, 1]: RGB / 127.5 - 1.
SCALE = dict(type='SegDataPreProcessor', mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True)
OTHER = dict(source='target', target='source')


@MODELS.register_module()
class CycleGAN(StepwiseModel):
    r"""Unpaired translation of images between two domains.

    CycleGAN (`arXiv:1703.10593 <https://arxiv.org/abs/1703.10593>`_) with the settings of BDL
    (`arXiv:1904.10620 <https://arxiv.org/abs/1904.10620>`_). ``generators.target`` makes images of
    the target from those of the source, and ``discriminators.target`` tells them from real ones;
    ``generators.source`` and ``discriminators.source`` do the reverse. Labels are not read in
    either domain. At test time the model translates source images.

    Both networks' losses are computed at the same weights, and all weights are updated at the end
    of the iteration. This equals CycleGAN's two steps: the discriminators are trained on images
    that were translated before the generators' step.

    Args:
        generator: Config of a generator, which is built once for each domain.
        discriminator: Config of a discriminator of images, which is built once for each domain.
        adversarial_loss: Config of an :class:`AdversarialLoss`; its label 1 is for real images,
            its label 0 for translated ones.
        lambda_cycle: Weight of the cycle's L1 distance; 10 in BDL.
        lambda_identity: Weight of the L1 distance between an image and its translation to its own
            domain; 5 in BDL. With 0 it is not computed.
        pool_size: Earlier translations that each discriminator sees, see :class:`ImagePool`.
        semantic: Config of a :class:`SemanticConsistency`; None for a plain CycleGAN.
        backward: As for :class:`StepwiseModel`.
        data_preprocessor: None: images are scaled to [-1, 1].
        init_cfg: As for every mmengine module.

    Raises:
        ValueError: A weight is negative, or ``data_preprocessor`` is given.
    """

    domains: ClassVar[tuple[str, ...]] = DOMAINS

    def __init__(
        self,
        generator: ConfigType,
        discriminator: ConfigType,
        adversarial_loss: ConfigType,
        *,
        lambda_cycle: float = 10.0,
        lambda_identity: float = 5.0,
        pool_size: int = 50,
        semantic: OptConfigType = None,
        backward: str = 'sequential',
        data_preprocessor: None = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        for key, value in dict(lambda_cycle=lambda_cycle, lambda_identity=lambda_identity).items():
            check_number(f'CycleGAN.{key}', value, '[0, inf)')
        check_integer('CycleGAN.pool_size', pool_size, 0)
        expected = 'None, as images are scaled to [-1, 1]'
        expect(data_preprocessor is None, 'CycleGAN.data_preprocessor', expected, data_preprocessor)
        preprocessor = dict(type='UDADataPreprocessor', source=SCALE, labels=False)
        super().__init__(preprocessor, init_cfg, backward=backward)
        self.generators = ModuleDict({domain: MODELS.build(generator) for domain in DOMAINS})
        self.discriminators = ModuleDict(
            {domain: MODELS.build(discriminator) for domain in DOMAINS}
        )
        self.adversarial_loss: Any = MODELS.build(adversarial_loss)
        self.lambda_cycle = lambda_cycle
        self.lambda_identity = lambda_identity
        self.pools = ModuleDict({domain: ImagePool(pool_size) for domain in DOMAINS})
        self.semantic: Any = MODELS.build(semantic) if semantic else None

    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """Yield the losses of the two cycles, of the identities and of the discriminators."""
        translated: dict[str, Tensor] = {}  # by the domain whose style they have
        for domain, each in batch:
            style = OTHER[domain]
            image = widen(self.generators[style](each.images))  # (N, 3, H, W), in [-1, 1]
            translated[style] = image.detach()
            yield self.cycle_losses(domain, each.images, image)
        for domain, each in batch if self.lambda_identity else ():
            same = widen(self.generators[domain](each.images))
            loss = self.lambda_identity * F.l1_loss(same, each.images)
            yield {f'{domain}.loss_identity': loss}
        for domain, each in batch:
            # The random numbers of a translation are those of its original.
            generators = getattr(batch, OTHER[domain]).generators
            shown = self.pools[domain](translated[domain], generators)
            yield self.discriminator_losses(domain, each.images, shown)

    def cycle_losses(self, domain: str, images: Tensor, translated: Tensor) -> Losses:
        """Compute the losses of the generators on images and their translations.

        Args:
            domain: Domain of the images; it names the losses.
            images: Shape (N, 3, H, W), in [-1, 1].
            translated: The same shape, in the other domain's style.

        Returns:
            ``{domain}.loss_gan``, ``{domain}.loss_cycle``, and with a segmentor
            ``{domain}.loss_semantic`` and ``{domain}.loss_semantic_cycle``.
        """
        discriminator = self.discriminators[OTHER[domain]]
        with frozen(discriminator):
            score = widen(discriminator(translated))  # (N, 1, h, w)
        cycle = widen(self.generators[domain](translated))  # (N, 3, H, W)
        losses = {
            f'{domain}.loss_gan': self.adversarial_loss.generator_loss(score, label=TARGET_LABEL),
            f'{domain}.loss_cycle': self.lambda_cycle * F.l1_loss(cycle, images),
        }
        if self.semantic is not None:
            with torch.no_grad():
                content = self.semantic(images)  # (N, C, h, w)
            for name, image, weight in (
                ('semantic', translated, self.semantic.loss_weight),
                ('semantic_cycle', cycle, self.semantic.cycle_weight),
            ):
                distance = F.mse_loss(self.semantic(image), content)
                losses[f'{domain}.loss_{name}'] = weight * distance
        return losses

    def discriminator_losses(self, domain: str, real: Tensor, translated: Tensor) -> Losses:
        """Compute the loss of a domain's discriminator.

        Args:
            domain: The domain.
            real: Its images, shape (N, 3, H, W).
            translated: Images in its style, without a graph.

        Returns:
            ``disc.loss_{domain}``, and ``disc.acc_{domain}`` in [0, 1]; 0.5 is a guess.
        """
        discriminator, loss = self.discriminators[domain], self.adversarial_loss
        scores = [widen(discriminator(x)) for x in (translated, real)]  # (N, 1, h, w) each
        correct = [scores[0] < loss.boundary, scores[1] > loss.boundary]
        return {
            f'disc.loss_{domain}': loss.discriminator_loss(*scores),
            f'disc.acc_{domain}': torch.stack([each.float().mean() for each in correct]).mean(),
        }

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        """Compute the losses, or translate source images (N, 3, H, W) in [-1, 1].

        Raises:
            ValueError: The mode is ``'predict'``, as there are no labels to predict.
        """
        if mode == 'step':
            return next(inputs)
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'tensor':
            return self.generators['target'](inputs)
        raise ValueError(
            f"CycleGAN.forward: expected a mode 'loss' or 'tensor', but got {mode!r}; translate "
            'images by tools/dataset_converters/translate.py'
        )

    def visualize(self, batch: DomainBatch) -> dict[str, Tensor]:
        """Draw translations and cycles of the first images, shape (3, H, W) each."""
        pictures: dict[str, dict[str, Tensor]] = dict(translated={}, cycle={}, identity={})
        for domain, each in batch:
            image = self.generators[OTHER[domain]](each.images)
            pictures['translated'][f'{domain} translated'] = image[0]
            pictures['cycle'][f'{domain} cycle'] = self.generators[domain](image)[0]
            pictures['identity'][f'{domain} identity'] = self.generators[domain](each.images)[0]
        # Source and target side by side.
        return {name: (x + 1) / 2 for row in pictures.values() for name, x in row.items()}
