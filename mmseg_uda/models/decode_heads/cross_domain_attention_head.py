"""CDANet's decode head: cross-domain attention before a classifier."""

from __future__ import annotations

import logging
from typing import Any, Iterator, Sequence

import torch
from mmengine.logging import print_log
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from mmseg_uda.models.layers.cross_domain_attention import (
    CrossDomainChannelAttention,
    CrossDomainSpatialAttention,
)
from mmseg_uda.utils.arguments import check_choice, check_integer, check_number

__all__ = ['CrossDomainAttentionHead']

Views = dict[str, Tensor]


@MODELS.register_module()
class CrossDomainAttentionHead(BaseDecodeHead):
    """Cross-domain attention between two images, and one classifier on up to three views of it.

    ``main`` is the aggregate Z, ``spatial`` is A' of CD-SAM, ``channel`` is B' of CD-CAM. Chapter 3
    of *Context-Aware Domain Adaptation in Semantic Segmentation* (`arXiv:2003.04010
    <https://arxiv.org/abs/2003.04010>`_). The prediction is ``main``. Alone (in a stock segmentor,
    and at test time) the head gets one image; ``test_context`` replaces the other one.

    Args:
        in_channels: C.
        classifier: Config of a decode head that maps C channels to logits.
        spatial_weight: lambda of CD-SAM; None leaves the module out.
        channel_weight: xi of CD-CAM; None leaves the module out. Without both the head is the
            classifier.
        reduction: Query and key channels are C / reduction.
        kernel_size: Kernel of the convolutions before the modules and of the aggregation; the paper
            gives none, 1 is our choice, DANet uses 3.
        resize_to: ``'target'``: source features take the target's size; ``'source'``: vice versa.
        test_context: ``'self'`` (the image is its own context), ``'reference'`` (stored source
            features, probabilities averaged), or ``'none'`` (no attention). Without stored
            features, ``'reference'`` is ``'self'`` in training by mmseg alone and while tracing.
        in_index: Index of the backbone's feature map to use.
        kwargs: As for :class:`BaseDecodeHead`.

    Raises:
        ValueError: ``test_context`` or ``resize_to`` is unknown.

    Examples:
        >>> import mmseg_uda
        >>> classifier = dict(type='DeepLabV2Head', num_classes=19)
        >>> head = CrossDomainAttentionHead(in_channels=16, classifier=classifier)
        >>> source, target = (torch.rand(2, 16, 5, 9),), (torch.rand(2, 16, 4, 8),)
        >>> _, target = head.forward_pair(source, target)
        >>> {view: tuple(logits.shape) for view, logits in target.items()}
        {'main': (2, 19, 4, 8), 'spatial': (2, 19, 4, 8), 'channel': (2, 19, 4, 8)}
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
        check_choice(f'{name}.test_context', test_context, self.test_contexts)
        check_choice(f'{name}.resize_to', resize_to, ('source', 'target'))
        for key, count in (
            ('in_channels', in_channels),
            ('reduction', reduction),
            ('kernel_size', kernel_size),
        ):
            check_integer(f'{name}.{key}', count, 1)
        check_integer(f'{name}.in_index', in_index)
        for key, weight in (('spatial_weight', spatial_weight), ('channel_weight', channel_weight)):
            if weight is not None:
                check_number(f'{name}.{key}', weight)
        scorer = MODELS.build(dict(classifier, in_channels=in_channels, in_index=0))
        kwargs.setdefault('init_cfg', dict(type='Normal', layer='Conv2d', std=0.01))
        super().__init__(
            in_channels,
            channels=in_channels,
            num_classes=scorer.num_classes,
            out_channels=scorer.out_channels,
            threshold=scorer.threshold,
            in_index=in_index,
            align_corners=scorer.align_corners,
            ignore_index=scorer.ignore_index,
            loss_decode=dict(type='PixelCrossEntropyLoss'),
            **kwargs,
        )
        del self.conv_seg  # the classifier has its own
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
        self._has_said = False

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the maps that are classified; each has a discriminator in training."""
        optional = (('spatial', self.spatial), ('channel', self.channel))
        return ('main', *(name for name, module in optional if module is not None))

    # ------------------------------------------------------------------------------- training

    def forward_pair(
        self, source: Sequence[Tensor], target: Sequence[Tensor]
    ) -> tuple[Views, Views]:
        """Compute logits of both domains after cross-domain attention; eq. (1)-(8).

        Args:
            source: Features of N source images.
            target: Features of N target images.

        Returns:
            Logits (N, num_classes, h, w) by view, of the source and of the target.

        Raises:
            ValueError: The domains have different numbers of images.
        """
        x_s: Tensor = self._transform_inputs(source)  # (N, C, h_s, w_s)
        x_t: Tensor = self._transform_inputs(target)  # (N, C, h_t, w_t)
        if len(x_s) != len(x_t):
            raise ValueError(
                f'{type(self).__name__}: expected as many source as target images, but got '
                f'{len(x_s)} and {len(x_t)}; write the same batch_size for both domains'
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

    # ------------------------------------------------------------------------------ test time

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Compute logits (N, num_classes, h, w) of ``main``, with ``test_context`` as context.

        Raises:
            ValueError: The context is ``'reference'``, but no features are stored.
        """
        target = self._transform_inputs(inputs)
        if self.test_context == 'none':
            return self._score(target, None)
        if self.test_context == 'self' or self._waits_for_reference():
            return self._score(target, target)
        if not self.reference.numel():
            raise ValueError(
                f"{type(self).__name__}.test_context: 'reference' expects stored source features, "
                "but got none; write custom_hooks=[dict(type='ReferenceContextHook')], or load a "
                'checkpoint that was saved with it'
            )
        contexts = (
            self._fit(one.expand(len(target), -1, -1, -1), target)  # (N, C, h, w)
            for one in self.reference.unsqueeze(1)
        )
        probs = [self._score(target, context).float().softmax(1) for context in contexts]
        # Log-probabilities: their softmax is the average.
        return torch.stack(probs).mean(0).clamp(min=1e-12).log()

    def _waits_for_reference(self) -> bool:
        """Tell whether features are stored later: weights are still trained, or only counted."""
        traced = torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
        waits = not self.reference.numel() and (self.training or traced)
        if waits and not self._has_said:
            self._has_said = True
            print_log(
                f"{type(self).__name__}: no features are stored for test_context='reference'; each "
                'image is its own context in this training or trace',
                'current',
                logging.WARNING,
            )
        return waits

    def _score(self, target: Tensor, context: Tensor | None) -> Tensor:
        views = {}
        for name, conv, module in self._attentions():
            views[name] = view = conv(target)
            if context is not None:
                partner = view if context is target else conv(context)
                views[name] = module.to_target(partner, view)
        return self.classifier.forward((self._add_main(target, views)['main'],))

    def set_reference(self, features: Tensor | None) -> None:
        """Store the context of ``test_context='reference'``, as a buffer of the checkpoint.

        Args:
            features: Features of K source images, shape (K, in_channels, h, w); None to remove
                them.

        Raises:
            ValueError: The features have another shape.
        """
        if features is None:
            features = self.reference.new_empty(0)
        elif features.ndim != 4 or features.shape[1] != self.in_channels:
            raise ValueError(
                f'{type(self).__name__}.reference: expected the shape (K, {self.in_channels}, h, '
                f'w), but got {tuple(features.shape)}'
            )
        self.reference = features.detach().to(self.reference)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Resize the buffer to the number of reference features in the checkpoint."""
        stored = state_dict.get(f'{prefix}reference')
        if stored is not None:
            self.reference = self.reference.new_empty(stored.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)

    @torch.no_grad()
    def attention_maps(
        self, source: Sequence[Tensor], target: Sequence[Tensor], positions: Tensor
    ) -> Tensor:
        """Compute CD-SAM's attention of target positions to the source image (Figure 6).

        Args:
            source: Features of N source images.
            target: Features of N target images.
            positions: Flat indices into the target's map, shape (P,).

        Returns:
            Shape (N, P, h, w); each map sums to 1.

        Raises:
            ValueError: There is no CD-SAM.
        """
        if self.spatial is None:
            raise ValueError(
                f'{type(self).__name__}.spatial_weight: expected a number, for the attention of '
                'CD-SAM, but got None'
            )
        source, target = self._transform_inputs(source), self._transform_inputs(target)
        return self.spatial.maps(self.conv_spatial(source), self.conv_spatial(target), positions)
