"""A discriminator's confidence as attention on features that are poorly aligned."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator

import torch
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from mmseg_uda.models.contexts import DomainAware, frozen

__all__ = ['DiscriminatorAttention', 'Watch']


class Watch:
    """What passed through the attention since one began to watch."""

    features: Tensor
    """f, shape (N, C, h, w), without a graph."""
    score: Tensor
    """D(f), shape (N, 1, h, w), with a graph to f; of source images there is none."""


@MODELS.register_module()
class DiscriminatorAttention(DomainAware):
    r"""Residual attention of *DAST: Unsupervised Domain Adaptation in Semantic Segmentation Based
    on Discriminator Attention and Self-Training* (AAAI 2021).

    .. math:: f' = f \odot (1 + \tanh |D(f)|)

    on what a module of the segmentor gives, for every domain but the source and in tests. Trained
    towards 0 on source and 1 on target features, D is far from 0 where the two are poorly aligned,
    and there the features count more. It learns nothing here: a method gives it its own loss.

    Args:
        attend_at: Name of the module: ``'backbone.layer4.1'``, ``'backbone'``, ``'neck'``.
        discriminator: Config of D, which keeps the size of the map. The paper: 3x3 convolutions,
            C -> C/2 -> C/4 -> C/8 -> 1.
        index: Which map, where the module gives several.
        attend: False for a discriminator that looks at f and changes nothing (an ablation).
        detach: Let no gradient flow from the attended features through D into the module.
        test_attention: False to leave f as it is in tests.
    """

    def __init__(
        self,
        attend_at: str,
        discriminator: ConfigType,
        *,
        index: int = -1,
        attend: bool = True,
        detach: bool = False,
        test_attention: bool = True,
    ) -> None:
        super().__init__()
        self.attend_at = attend_at
        self.discriminator = MODELS.build(discriminator)
        self.index = index
        self.attend = attend
        self.detach = detach
        self.test_attention = test_attention
        self._watch: Watch | None = None

    def attach(self, segmentor: nn.Module) -> None:
        """Become a part of a segmentor, ``segmentor.attention``.

        Raises:
            ValueError: It has no module of that name, or an attention already.
        """
        modules = dict(segmentor.named_modules())
        if self.attend_at not in modules or not self.attend_at:
            near = [name for name in modules if name and name.count('.') < 2]
            raise ValueError(
                f'DiscriminatorAttention.attend_at got {self.attend_at!r}, which '
                f'{type(segmentor).__name__} has not; write the name of a module, for '
                f'example one of {near[:12]}'
            )
        if hasattr(segmentor, 'attention'):
            raise ValueError(
                f'DiscriminatorAttention: {type(segmentor).__name__} has an attribute '
                '`attention` already; write one attention only'
            )
        modules[self.attend_at].register_forward_hook(self._hook)
        segmentor.attention = self

    def _hook(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        if isinstance(output, Tensor):
            return self(output)
        maps = list(output)
        maps[self.index] = self(maps[self.index])
        return type(output)(maps)

    def forward(self, features: Tensor) -> Tensor:
        """f to f', shape (N, C, h, w).

        Raises:
            ValueError: The discriminator changes the size of the map.
        """
        if self._watch is not None:
            self._watch.features = features.detach()
        of_source = self.domain == 'source'
        attends = self.attend and not of_source and (self.training or self.test_attention)
        if of_source or not (attends or self._watch is not None):
            return features
        with frozen(self.discriminator):
            score = self.discriminator(features)
        if score.shape[2:] != features.shape[2:]:
            raise ValueError(
                f'DiscriminatorAttention.discriminator turns a map of '
                f'{tuple(features.shape[2:])} into {tuple(score.shape[2:])}; write '
                'kernel_size=3, stride=1, padding=1'
            )
        if self._watch is not None:
            self._watch.score = score
        if not attends:
            return features
        return torch.addcmul(
            features,
            features,
            self.weight(score.detach() if self.detach else score).to(features.dtype),
        )

    @staticmethod
    def weight(score: Tensor) -> Tensor:
        r""":math:`\tanh |D(f)|`, in [0, 1], in fp32 at least."""
        return score.to(torch.promote_types(score.dtype, torch.float32)).abs().tanh()

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """Keep what passes inside the block."""
        self._watch = watch = Watch()
        try:
            yield watch
        finally:
            self._watch = None

    @torch.no_grad()
    def attention_map(self, segmentor: BaseSegmentor, images: Tensor) -> Tensor:
        """To look at.

        Args:
            segmentor: What this is attached to.
            images: Normalised images, shape (N, 3, H, W).

        Returns:
            Shape (N, h, w), in [0, 1].
        """
        with self.watch() as seen:
            segmentor.extract_feat(images)
        return self.weight(seen.score)[:, 0]
