"""Frozen networks that turn an image into a vector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import ModuleDict
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.artifacts.checkpoint import load_weights, raise_mismatch, strip_prefix
from mmseg_uda.artifacts.digest import sha256
from mmseg_uda.compat import import_timm
from mmseg_uda.config.tables import read_file
from mmseg_uda.models.pretrained import explain_missing_weights

__all__ = ['CONFIG', 'TIMM', 'FeatureNet', 'build_feature_net']

CONFIG = 'config'
TIMM = 'timm:'
# Prefixes of a backbone's names in checkpoints of a method, a segmentor and a backbone.
PREFIXES = ('student.backbone.', 'backbone.', '')


class FeatureNet(nn.Module):
    """A frozen network with its normalisation.

    Args:
        network: Gives vectors (N, D), feature maps (N, D, h, w), or several maps, of which the last
            counts; maps are averaged over the image.
        mean: Mean of each channel, in the order of the network's input, for values in [0, 255].
        std: Standard deviation of each channel.
        bgr_to_rgb: Whether the network takes RGB images.
        input_size: Width and height that the network is made for; None for any.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        bgr_to_rgb: bool = True,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.bgr_to_rgb = bgr_to_rgb
        self.input_size = input_size
        for name, values in (('mean', mean), ('std', std)):
            self.register_buffer(name, torch.tensor([*map(float, values)])[:, None, None])
        self.requires_grad_(False)
        self.eval()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Compute features (N, D) of BGR images (N, 3, h, w), uint8."""
        if self.bgr_to_rgb:
            images = images.flip(1)
        outputs = self.network((images.float() - self.mean) / self.std)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        # A map without channels only tells a size to mmseg's heads.
        last = [each for each in outputs if each.numel()][-1].float()
        return last if last.ndim == 2 else last.mean((2, 3))

    def digest(self) -> str:
        """Compute the SHA-256 of all weights and of the normalisation."""
        return sha256([str(self.bgr_to_rgb), *chain.from_iterable(self.state_dict().items())])


def build_feature_net(features: str, cfg: Config, weights: str | None = None) -> FeatureNet:
    """Build the network that ``features`` names.

    Args:
        features: ``timm:NAME`` for a model of timm; ``config`` for the backbone of ``cfg``; or the
            file of another mmseg config, for its backbone.
        cfg: Config of a method or of a segmentor.
        weights: File of weights; None for those that timm or the backbone's ``init_cfg`` names.

    Raises:
        ImportError: timm is needed and not installed.
        FileNotFoundError: Weights are missing.
        ValueError: There is no such network, or it is not trained.
    """
    if features.startswith(TIMM):
        return _timm_net(features[len(TIMM) :], weights)
    if features != CONFIG:
        if not Path(features).is_file():
            raise ValueError(
                f"train_image_labels: features got {features!r}; write 'timm:NAME', 'config', or "
                'the file of a mmseg config'
            )
        cfg = read_file(features)
    return _backbone_net(cfg, weights)


def _timm_net(name: str, weights: str | None) -> FeatureNet:
    try:
        timm = import_timm()
    except ImportError as error:
        raise ImportError(
            f"train_image_labels: features='timm:{name}': {error}, or write features='config' for "
            "the config's own backbone"
        ) from error
    overlay = {} if weights is None else dict(pretrained_cfg_overlay=dict(file=weights))
    if weights is not None and not weights.endswith(('.safetensors', '.npz')):
        load_weights(weights)  # refuses what timm, by its version, would unpickle
    try:
        network = timm.create_model(name, pretrained=True, num_classes=0, **overlay)
    except Exception as error:  # its own, the hub's and the network's
        raise ValueError(
            f'train_image_labels: timm cannot build {name!r} with its weights '
            f'[{type(error).__name__}] {error}; without the internet, name their file (--weights)'
        ) from error
    data = timm.data.resolve_data_config({}, model=network)
    mean, std = ([255 * value for value in data[key]] for key in ('mean', 'std'))
    _, height, width = data['input_size']
    return FeatureNet(network, mean, std, input_size=(width, height))


def _backbone_net(cfg: Config, weights: str | None) -> FeatureNet:
    model = cfg.to_dict()['model']
    segmentor = model.get('segmentor', model)
    preprocessor = model.get('data_preprocessor') or segmentor.get('data_preprocessor') or {}
    preprocessor = preprocessor.get('source', preprocessor)
    if not {'mean', 'std'} <= preprocessor.keys():
        raise ValueError(
            'train_image_labels: model.data_preprocessor has no mean and std; write them'
        )
    backbone = MODELS.build(segmentor['backbone'])
    if segmentor.get('pretrained'):  # mmseg's old way
        backbone.init_cfg = dict(type='Pretrained', checkpoint=segmentor['pretrained'])
    if weights is not None:
        content = load_weights(weights)
        found = next(filter(None, (strip_prefix(content, prefix) for prefix in PREFIXES)), {})
        raise_mismatch(f'train_image_labels: {weights}', backbone, found)
        backbone.load_state_dict(found, strict=False)
    elif 'Pretrained' not in str(backbone.init_cfg):
        raise ValueError(
            'train_image_labels: model.segmentor.backbone.init_cfg names no pretrained weights; '
            "write dict(type='Pretrained', checkpoint=...), or name their file (--weights)"
        )
    else:
        holder = ModuleDict(dict(backbone=backbone))
        with explain_missing_weights(holder, dict(backbone='segmentor.backbone')), _quiet():
            holder.init_weights()
    mean, std = preprocessor['mean'], preprocessor['std']
    return FeatureNet(backbone, mean, std, preprocessor.get('bgr_to_rgb', False))


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress mmengine's message for each parameter that is initialised."""
    log = MMLogger.get_current_instance()
    level = log.level
    log.setLevel('WARNING')
    try:
        yield
    finally:
        log.setLevel(level)
