"""CDANet's decode head: cross-domain attention before a classifier."""

from __future__ import annotations

from typing import Any, Iterator, Sequence

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from mmseg_uda.models.layers.cross_domain_attention import (
    CrossDomainChannelAttention,
    CrossDomainSpatialAttention,
)

__all__ = ['CrossDomainAttentionHead']

Views = dict[str, Tensor]


@MODELS.register_module()
class CrossDomainAttentionHead(BaseDecodeHead):
    """Two images exchange context; one classifier scores what comes out, in up to three views.

    ``main`` is the aggregate Z, ``spatial`` is A' of CD-SAM, ``channel`` is B' of CD-CAM. Chapter 3
    of *Context-Aware Domain Adaptation in Semantic Segmentation* (`arXiv:2003.04010
    <https://arxiv.org/abs/2003.04010>`_). The prediction is ``main``. On its own (in a stock
    segmentor, and in every test) the head sees one image only, and ``test_context`` says what
    stands in for the other one.

    Args:
        in_channels: C.
        classifier: Config of a decode head that maps C channels to logits.
        spatial_weight: lambda of CD-SAM; ``None`` leaves the module out.
        channel_weight: xi of CD-CAM; ``None`` leaves the module out. With neither of them the head
            is the classifier.
        reduction: Query and key channels are C / reduction.
        kernel_size: Of the convolutions before the modules and of the aggregation; the paper gives
            none, 1 is our choice, DANet uses 3.
        resize_to: ``'target'``: source features take the target's size; ``'source'``: vice versa.
        test_context: ``'self'`` (the image plays both parts), ``'reference'`` (stored source
            features, probabilities averaged), or ``'none'`` (no exchange).
        in_index: Which of the backbone's feature maps to use.
        kwargs: As for :class:`BaseDecodeHead`.
    """

    test_contexts = ('self', 'reference', 'none')
    reference: Tensor

    def __init__(
        self,
        in_channels: int,
        classifier: ConfigType,
        *,
        spatial_weight: float | None = 1.0,
        channel_weight: float | None = 1.0,
        reduction: int = 8,
        kernel_size: int = 1,
        resize_to: str = 'target',
        test_context: str = 'self',
        in_index: int = -1,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        if test_context not in self.test_contexts:
            raise ValueError(
                f'{name}.test_context got {test_context!r}; write one of {self.test_contexts}'
            )
        if resize_to not in ('source', 'target'):
            raise ValueError(f"{name}.resize_to got {resize_to!r}; write 'target' or 'source'")
        scorer = MODELS.build(dict(classifier, in_channels=in_channels, in_index=0))
        kwargs.setdefault('init_cfg', dict(type='Normal', layer='Conv2d', std=0.01))
        super().__init__(
            in_channels,
            channels=in_channels,
            num_classes=scorer.num_classes,
            in_index=in_index,
            align_corners=scorer.align_corners,
            ignore_index=scorer.ignore_index,
            loss_decode=dict(type='PixelCrossEntropyLoss'),
            **kwargs,
        )
        del self.conv_seg  # the classifier scores
        self.classifier = scorer
        self.loss_decode = scorer.loss_decode
        self.sampler = scorer.sampler
        self.resize_to = resize_to
        self.test_context = test_context

        def conv(inputs: int) -> nn.Module:
            return nn.Conv2d(inputs, in_channels, kernel_size, padding=kernel_size // 2)

        self.spatial = self.channel = None
        if spatial_weight is not None:
            self.conv_spatial = conv(in_channels)
            self.spatial = CrossDomainSpatialAttention(in_channels, reduction, spatial_weight)
        if channel_weight is not None:
            self.conv_channel = conv(in_channels)
            self.channel = CrossDomainChannelAttention(channel_weight)
        if len(self.views) > 1:
            self.aggregate = conv((len(self.views) - 1) * in_channels)
        self.register_buffer('reference', torch.empty(0))

    @property
    def views(self) -> tuple[str, ...]:
        """Names of what the classifier scores; each has a discriminator in training."""
        optional = (('spatial', self.spatial), ('channel', self.channel))
        return ('main', *(name for name, module in optional if module is not None))

    # ------------------------------------------------------------------------------- training

    def forward_pair(
        self, source: Sequence[Tensor], target: Sequence[Tensor]
    ) -> tuple[Views, Views]:
        """Logits of both domains after they exchanged context; eq. (1)-(8).

        Args:
            source: Features of N source images.
            target: Features of N target images.

        Returns:
            For each domain, view name to logits (N, num_classes, h, w).
        """
        x_s: Tensor = self._transform_inputs(source)
        x_t: Tensor = self._transform_inputs(target)
        if len(x_s) != len(x_t):
            raise ValueError(
                f'{type(self).__name__} pairs source and target images, but got {len(x_s)} and '
                f'{len(x_t)}; set the same batch_size for both domains'
            )
        if self.resize_to == 'target':
            x_s = self._fit(x_s, x_t)
        else:
            x_t = self._fit(x_t, x_s)
        pairs = {name: module(conv(x_s), conv(x_t)) for name, conv, module in self._attentions()}
        logits = []
        for side, features in enumerate((x_s, x_t)):
            views = {name: pair[side] for name, pair in pairs.items()}
            logits.append(
                {
                    name: self.classifier.forward((view,))
                    for name, view in self._add_main(features, views).items()
                }
            )
        return logits[0], logits[1]

    def _attentions(self) -> Iterator[tuple[str, nn.Module, Any]]:
        if self.spatial is not None:
            yield 'spatial', self.conv_spatial, self.spatial
        if self.channel is not None:
            yield 'channel', self.conv_channel, self.channel

    def _fit(self, features: Tensor, goal: Tensor) -> Tensor:
        if features.shape[2:] == goal.shape[2:]:
            return features
        return resize(
            features, size=goal.shape[2:], mode='bilinear', align_corners=self.align_corners
        )

    def _add_main(self, features: Tensor, views: Views) -> Views:
        if not views:
            return dict(main=features)
        return dict(main=self.aggregate(torch.cat(list(views.values()), 1)), **views)

    # ----------------------------------------------------------------------------------- test

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits (N, num_classes, h, w) of ``main``, with ``test_context`` as the other image."""
        target = self._transform_inputs(inputs)
        if self.test_context == 'self':
            return self._score(target, target)
        if self.test_context == 'none':
            return self._score(target, None)
        if not self.reference.numel():
            raise ValueError(
                f"{type(self).__name__}.test_context is 'reference', but no source "
                'features are stored; write custom_hooks=[dict(type='
                "'ReferenceContextHook')], or a checkpoint that was saved with it"
            )
        contexts = (
            self._fit(one.expand(len(target), -1, -1, -1), target)
            for one in self.reference.unsqueeze(1)
        )
        probs = [self._score(target, context).float().softmax(1) for context in contexts]
        return torch.stack(probs).mean(0).clamp(min=1e-12).log()

    def _score(self, target: Tensor, context: Tensor | None) -> Tensor:
        views = {}
        for name, conv, module in self._attentions():
            views[name] = view = conv(target)
            if context is not None:
                partner = view if context is target else conv(context)
                views[name] = module.to_target(partner, view)
        return self.classifier.forward((self._add_main(target, views)['main'],))

    def set_reference(self, features: Tensor | None) -> None:
        """Store what ``test_context='reference'`` looks at, as a buffer of the checkpoint.

        Args:
            features: Features of K source images, shape (K, in_channels, h, w); None for none.
        """
        if features is None:
            features = self.reference.new_empty(0)
        elif features.ndim != 4 or features.shape[1] != self.in_channels:
            raise ValueError(
                f'{type(self).__name__}.reference got shape {tuple(features.shape)}; '
                f'write features of shape (K, {self.in_channels}, h, w)'
            )
        self.reference = features.detach().to(self.reference)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Make room for as many reference features as the checkpoint has."""
        stored = state_dict.get(f'{prefix}reference')
        if stored is not None:
            self.reference = self.reference.new_empty(stored.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)

    @torch.no_grad()
    def attention_maps(
        self, source: Sequence[Tensor], target: Sequence[Tensor], positions: Tensor
    ) -> Tensor:
        """Where target positions look in the source image, by CD-SAM.

        Args:
            source: Features of N source images.
            target: Features of N target images.
            positions: Flat indices into the target's map, shape (P,).

        Returns:
            Shape (N, P, h, w); each map sums to 1.
        """
        if self.spatial is None:
            raise ValueError(
                f'{type(self).__name__}.spatial_weight is None: there is no spatial '
                'attention to look at'
            )
        source, target = self._transform_inputs(source), self._transform_inputs(target)
        return self.spatial.maps(self.conv_spatial(source), self.conv_spatial(target), positions)
