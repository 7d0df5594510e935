"""Distance of a student's features from those of a frozen, pretrained network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from mmseg_uda.models.layers.precision import widen
from mmseg_uda.models.losses.divisor import divide
from mmseg_uda.structures import SegOutput
from mmseg_uda.utils.arguments import (
    check_choice,
    check_integer,
    check_number,
    check_sequence,
    expect,
)

__all__ = ['CITYSCAPES_THINGS', 'FeatureDistance', 'thing_positions']

CITYSCAPES_THINGS = (6, 7, 11, 12, 13, 14, 15, 16, 17, 18)
"""Train ids of DAFormer's thing classes: those of Cityscapes, and traffic lights and signs."""


def _l2(features: Tensor, frozen: Tensor) -> Tensor:
    # The gradient of `vector_norm` at 0 is 0; that of sqrt(sum(d²)) is NaN.
    return torch.linalg.vector_norm(features - frozen, dim=1)


def _cosine_smooth_l1(features: Tensor, frozen: Tensor) -> Tensor:
    cosine = 1 - F.cosine_similarity(features, frozen, dim=1)
    return 0.9 * cosine + 0.1 * F.smooth_l1_loss(features, frozen, reduction='none').mean(1)


DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = dict(
    l2=_l2, cosine_smooth_l1=_cosine_smooth_l1
)


def thing_positions(
    labels: Tensor, size: Sequence[int], classes: Sequence[int], min_share: float
) -> Tensor:
    """Find the positions of a feature map that show one of some classes.

    Args:
        labels: Shape (N, H, W), int64.
        size: Height and width of the feature map.
        classes: The classes.
        min_share: Share that one class must have of a position's pixels, ignored ones included; in
            (0.5, 1].

    Returns:
        Shape (N, h, w), bool.

    Example:
        >>> labels = torch.tensor([[[3, 3, 1, 1], [3, 255, 1, 0]]])
        >>> thing_positions(labels, (1, 2), classes=(3,), min_share=0.75)
        tensor([[[ True, False]]])
    """
    pixels = torch.stack([labels == each for each in classes], 1)  # (N, K, H, W)
    # Whole blocks where the sizes divide each other; else of the exact size, which may be odd.
    shares = F.adaptive_avg_pool2d(pixels.float(), (size[0], size[1]))  # (N, K, h, w)
    return shares.amax(1) >= min_share - 1e-6


@MODELS.register_module()
class FeatureDistance(BaseModule):
    r"""ImageNet feature distance of DAFormer (CVPR 2022, `arXiv:2111.14887
    <https://arxiv.org/abs/2111.14887>`_), a regulariser; or the form of VFM-UDA++ (ICCVW 2025).

    .. math::
        L_{FD} = \lambda \, \frac{1}{|M|} \sum_{p \in M} \| f(x)_p - g(x)_p \|_2

    with f(x) the features of a student pass, g(x) those of a frozen network on the same images, and
    M the positions of the whole batch (of all processes) that show a thing. L is 0 where there is
    none. The frozen network is never trained, always in evaluation mode, no part of the teacher or
    of an exported segmentor, and part of the checkpoints.

    Made for networks with layer norm. With batch norm the student normalises by its batch and the
    frozen network by its running statistics, so that the distance is not 0 for equal weights.

    Args:
        backbone: Config of the frozen network: usually that of the student, with its pretrained
            weights.
        domain_weights: :math:`\lambda` of the passes of each domain; others have no loss. DAFormer:
            0.005 for the source; VFM-UDA++: 0.1 for source and target.
        classes: Train ids of things, those of Cityscapes by default; None for all positions, which
            needs no labels.
        min_share: As for :func:`thing_positions`.
        distance: ``'l2'``, or ``'cosine_smooth_l1'``: 0.9 (1 - cosine) + 0.1 smooth l1, the latter
            averaged over channels (VFM-UDA++).
        in_index: Index of the student's feature map.
        frozen_index: Index of the frozen network's.
        input_size: Height and width to which images are resized for the frozen network; None keeps
            them. The student's features are resized to the frozen ones if they differ.
        projection: Channels of the student's and of the frozen features, for a perceptron between
            them that is trained (VFM-UDA++); its optimizer is that of ``regularizers``. None for
            no projection.
        allow_untrained: True to take a frozen network without pretrained weights, for tests.

    Raises:
        ValueError: An argument is out of range, the network has no pretrained weights, or classes
            are asked for on unlabelled images.

    Example:
        >>> from mmseg_uda.structures import ImageBatch
        >>> backbone = dict(type='ResNet', depth=18, out_indices=(0,))
        >>> loss = FeatureDistance(backbone, classes=None, allow_untrained=True)
        >>> batch = ImageBatch(torch.ones(1, 3, 8, 8), [])
        >>> features = loss.frozen_features(batch.images)  # of a student that is equal to it
        >>> loss(SegOutput((features,), features, 'source', features, batch))
        {'loss_feature_distance': tensor(0.)}
    """

    def __init__(
        self,
        backbone: ConfigType,
        domain_weights: Mapping[str, float] | None = None,
        *,
        classes: Sequence[int] | None = CITYSCAPES_THINGS,
        min_share: float = 0.75,
        distance: str = 'l2',
        in_index: int = -1,
        frozen_index: int = -1,
        input_size: tuple[int, int] | None = None,
        projection: tuple[int, int] | None = None,
        allow_untrained: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.domain_weights = dict(
            domain_weights if domain_weights is not None else dict(source=0.005)
        )
        for domain, weight in self.domain_weights.items():
            check_number(f'{name}.domain_weights.{domain}', weight, '[0, inf)')
        check_number(f'{name}.min_share', min_share, '(0.5, 1]')
        check_choice(f'{name}.distance', distance, tuple(DISTANCES))
        for key, value in dict(in_index=in_index, frozen_index=frozen_index).items():
            check_integer(f'{name}.{key}', value)
        for key, pair in dict(input_size=input_size, projection=projection).items():
            if pair is not None:
                check_sequence(f'{name}.{key}', pair, check_integer, 1, length=2)
        if classes is not None:
            check_sequence(f'{name}.classes', classes, check_integer, 0)
        blind = classes is None or 'target' not in self.domain_weights
        expect(blind, f'{name}.classes', 'None, as target images have no labels', classes)
        pretrained = bool(backbone.get('init_cfg') or backbone.get('pretrained'))
        expect(
            pretrained or allow_untrained,
            f'{name}.backbone.init_cfg',
            "dict(type='Pretrained', checkpoint=...)",
            backbone.get('init_cfg'),
        )
        self.backbone: Any = MODELS.build(backbone).requires_grad_(False)
        self.backbone.eval()  # which returns nothing in mmseg's ResNet
        self.classes = None if classes is None else tuple(classes)
        self.min_share = min_share
        self.distance = DISTANCES[distance]
        self.in_index = in_index
        self.frozen_index = frozen_index
        self.input_size = input_size
        self.projection = None if projection is None else _perceptron(*projection)

    def forward(self, output: SegOutput) -> dict[str, Tensor]:
        """Compute the loss of one student pass.

        Returns:
            ``loss_feature_distance``, or nothing for a domain that is not listed.
        """
        weight = self.domain_weights.get(output.domain)
        if weight is None:
            return {}
        batch = output.batch
        if batch is None:
            raise ValueError(
                'FeatureDistance: expected a pass of a method, but got one without its images; '
                'write it into model.regularizers'
            )
        if output.detail is not None and self.input_size is None:
            raise ValueError(
                'FeatureDistance.input_size: expected the size of the downscaled images, which a '
                'student of several resolutions gives its features for, but got None; write '
                'input_size=(height, width)'
            )
        frozen = widen(self.frozen_features(batch.images))  # g, (N, C, h, w)
        features = output.features[self.in_index]  # f, (N, C', h', w')
        if self.projection is not None:
            features = self.projection(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        features = widen(features)
        if features.shape[2:] != frozen.shape[2:]:
            features = F.interpolate(features, frozen.shape[2:], mode='bilinear')
        distance = self.distance(features, frozen)  # (N, h, w)
        mask = torch.ones_like(distance)
        if self.classes is not None:
            labels = getattr(batch, 'labels', None)  # None of samples without ground truth
            if labels is None:
                raise ValueError(
                    f'FeatureDistance.classes: expected None, as passes of the domain '
                    f'{output.domain!r} have no labels, but got {self.classes}'
                )
            size = distance.shape[1:]
            mask = thing_positions(labels, size, self.classes, self.min_share).to(distance)
        return dict(loss_feature_distance=weight * divide((distance * mask).sum(), mask.sum()))

    @torch.no_grad()
    def frozen_features(self, images: Tensor) -> Tensor:
        """Compute the frozen network's features (N, C, h, w) of images (N, 3, H, W)."""
        if self.input_size is not None:
            images = F.interpolate(images, tuple(self.input_size), mode='bilinear')
        features: Tensor = self.backbone(images)[self.frozen_index]
        return features

    def train(self, mode: bool = True) -> FeatureDistance:
        """Switch modes as in PyTorch, but keep the frozen network in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self


def _perceptron(in_channels: int, out_channels: int) -> nn.Module:
    """Two linear layers over channels, which come last."""
    hidden = 4 * in_channels
    return nn.Sequential(
        nn.Linear(in_channels, hidden),
        nn.LayerNorm(hidden),
        nn.GELU(),
        nn.Linear(hidden, out_channels),
    )
