"""Attention on poorly aligned features by the scores of a discriminator."""

from __future__ import annotations

import copy
import logging
from contextlib import contextmanager
from typing import Any, Iterator

import torch
from mmengine.logging import print_log
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from mmseg_uda.models.contexts import DomainAware, frozen
from mmseg_uda.models.layers.precision import widen
from mmseg_uda.utils.arguments import check_integer

__all__ = ['AttentionRecord', 'DiscriminatorAttention']


class AttentionRecord:
    """Input and scores of the last pass inside :meth:`DiscriminatorAttention.record`."""

    features: Tensor
    """f, shape (N, C, h, w), without a graph."""
    score: Tensor
    """D(f), shape (N, 1, h, w), with a graph to f; not set for source images."""


@MODELS.register_module()
class DiscriminatorAttention(DomainAware):
    r"""Residual attention of *DAST: Unsupervised Domain Adaptation in Semantic Segmentation Based
    on Discriminator Attention and Self-Training* (AAAI 2021).

    .. math:: f' = f \odot (1 + \tanh |D(f)|)

    It replaces the output f of a module of the segmentor, for every domain but the source and at
    test time. D is trained towards 0 on source and 1 on target features, so that its scores are far
    from 0 where the two are poorly aligned: there, features get more weight. The attention does not
    train D; a method does, by a loss of its own.

    Args:
        attend_at: Name of the module: ``'backbone.layer4.1'``, ``'backbone'``, ``'neck'``.
        discriminator: Config of D, which must keep the size of the map. The paper: 3x3
            convolutions, C -> C/2 -> C/4 -> C/8 -> 1.
        index: Index of the map, if the module has several outputs.
        attend: False for a discriminator on f that leaves f as it is (an ablation).
        detach: True to stop the gradient from the attended features through D.
        test_attention: False to leave f as it is at test time.

    Raises:
        ValueError: The discriminator changes the size of a map, or gives more than one score.

    Examples:
        >>> import mmseg_uda
        >>> discriminator = dict(type='FCDiscriminator', in_channels=8, channels=(4,),
        ...                      kernel_size=3, stride=1)
        >>> attention = DiscriminatorAttention('backbone', discriminator)
        >>> features = torch.ones(2, 8, 4, 6)
        >>> attended = attention(features)
        >>> attended.shape, bool((attended >= features).all() and (attended < 2).all())
        (torch.Size([2, 8, 4, 6]), True)
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
        check_integer('DiscriminatorAttention.index', index)
        self.attend_at = attend_at
        self.discriminator = MODELS.build(discriminator)
        self._check_first()
        self.index = index
        self.attend = attend
        self.detach = detach
        self.test_attention = test_attention
        self._record: AttentionRecord | None = None
        self.knows_domains = False
        """True once D is loaded, and from the start in a method that trains it."""

    def _check_first(self) -> None:
        """Check the discriminator's scores of a map without values, if it tells its channels."""
        convs = [each for each in self.discriminator.modules() if isinstance(each, nn.Conv2d)]
        if convs:
            features = torch.empty(1, convs[0].in_channels, 64, 96, device='meta')
            self._check(features, copy.deepcopy(self.discriminator).to('meta')(features))

    @staticmethod
    def _check(features: Tensor, score: Tensor) -> None:
        height, width = features.shape[2:]
        got, expected = tuple(score.shape[1:]), (1, height, width)
        if got != expected:
            raise ValueError(
                f'DiscriminatorAttention.discriminator: expected scores of shape {expected} for a '
                f'map of {height} x {width}, but got {got}; write kernel_size=3, stride=1, '
                'padding=1'
            )

    def attach(self, segmentor: nn.Module) -> None:
        """Become ``segmentor.attention`` and replace the output of the module ``attend_at``.

        Raises:
            ValueError: There is no module of that name, or an attention already.
        """
        modules = dict(segmentor.named_modules())
        if self.attend_at not in modules or not self.attend_at:
            near = [name for name in modules if name and name.count('.') < 2]
            raise ValueError(
                f'DiscriminatorAttention.attend_at: expected the name of a module, but got '
                f'{self.attend_at!r}; write for example one of {near[:12]}'
            )
        if hasattr(segmentor, 'attention'):
            raise ValueError(
                'DiscriminatorAttention: expected a segmentor without the attribute `attention`, '
                f'but got {type(segmentor).__name__} with one; write one attention only'
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
        """Compute f' from f, both of shape (N, C, h, w).

        Raises:
            ValueError: As above, of a discriminator without convolutions.
        """
        record = self._record
        if record is not None:
            record.features = features.detach()
        of_source = self.domain == 'source'
        attends = self.attend and not of_source and (self.training or self.test_attention)
        if of_source or not (attends or record is not None):
            return features
        with frozen(self.discriminator):
            score = self.discriminator(features)  # (N, 1, h, w)
        self._check(features, score)
        if record is not None:
            record.score = score
        if not attends:
            return features
        if self.training and not self.knows_domains:
            self._warn()
        weight = self.weight(score.detach() if self.detach else score).to(features.dtype)
        return torch.addcmul(features, features, weight)  # f + f * weight, as one operation

    def _warn(self) -> None:
        self.knows_domains = True  # once is enough
        print_log(
            'DiscriminatorAttention: its discriminator is neither trained nor loaded, so that '
            'features are weighted at random; train with DAST, load a checkpoint of DAST, or write '
            'attend=False',
            'current',
            logging.WARNING,
        )

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        loaded = any(key.startswith(f'{prefix}discriminator.') for key in state_dict)
        self.knows_domains = self.knows_domains or loaded
        super()._load_from_state_dict(state_dict, prefix, *args)

    @staticmethod
    def weight(score: Tensor) -> Tensor:
        r"""Compute :math:`\tanh |D(f)|`, in [0, 1], in fp32 at least."""
        return widen(score).abs().tanh()

    @contextmanager
    def record(self) -> Iterator[AttentionRecord]:
        """Record the input and the scores of the pass inside the block."""
        self._record = record = AttentionRecord()
        try:
            yield record
        finally:
            self._record = None

    @torch.no_grad()
    def attention_map(self, segmentor: BaseSegmentor, images: Tensor) -> Tensor:
        """Compute the attention on images, for figures.

        Args:
            segmentor: The segmentor that this is attached to.
            images: Normalised images, shape (N, 3, H, W).

        Returns:
            Shape (N, h, w), in [0, 1].
        """
        with self.record() as record:
            segmentor.extract_feat(images)
        return self.weight(record.score)[:, 0]
