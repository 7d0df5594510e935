"""Frozen networks that turn an image into a vector."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import ModuleDict
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.artifacts.checkpoint import describe_mismatch, load_checkpoint
from mmseg_uda.models.pretrained import explain_missing_weights

__all__ = ['CONFIG', 'TIMM', 'FeatureNet', 'build_feature_net']

CONFIG = 'config'
TIMM = 'timm:'
PREFIXES = ('student.backbone.', 'backbone.', '')


class FeatureNet(nn.Module):
    """A frozen network with its normalisation.

    Args:
        network: Takes normalised images.
        pool: Makes vectors (N, D) of what the network gives.
        mean: Of each channel, in the order of the network's input, for values in [0, 255].
        std: The same.
        bgr_to_rgb: Whether the network takes RGB images.
        input_size: Width and height that the network is made for; None for any.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        pool: Callable[[Any], Tensor],
        mean: Sequence[float],
        std: Sequence[float],
        bgr_to_rgb: bool = True,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.pool = pool
        self.bgr_to_rgb = bgr_to_rgb
        self.input_size = input_size
        for name, values in (('mean', mean), ('std', std)):
            self.register_buffer(name, torch.tensor([*map(float, values)])[:, None, None])
        self.requires_grad_(False)
        self.eval()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Features (N, D) of BGR images (N, 3, h, w), uint8."""
        if self.bgr_to_rgb:
            images = images.flip(1)
        return self.pool(self.network((images.float() - self.mean) / self.std)).float()

    def digest(self) -> str:
        """SHA-256 of all weights and of the normalisation."""
        digest = hashlib.sha256(f'{self.bgr_to_rgb}'.encode())
        for name, value in self.state_dict().items():
            digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def build_feature_net(features: str, cfg: Config, weights: str | None = None) -> FeatureNet:
    """The network that ``features`` names.

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
                f"train_image_labels: features got {features!r}; write 'timm:NAME', "
                "'config', or the file of a mmseg config"
            )
        cfg = Config.fromfile(features)
    return _backbone_net(cfg, weights)


def _timm_net(name: str, weights: str | None) -> FeatureNet:
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            f"train_image_labels: features='timm:{name}' needs timm; run `pip "
            "install timm`, or write features='config' for the config's own "
            'backbone'
        ) from error
    overlay = {} if weights is None else dict(pretrained_cfg_overlay=dict(file=weights))
    try:
        network = timm.create_model(name, pretrained=True, num_classes=0, **overlay)
    except Exception as error:  # its own, the hub's and the network's
        raise ValueError(
            f'train_image_labels: timm cannot build {name!r} with its weights '
            f'[{type(error).__name__}] {error}; without access to the network, name '
            'their file (--weights)'
        ) from error
    data = timm.data.resolve_data_config({}, model=network)
    mean, std = ([255 * value for value in data[key]] for key in ('mean', 'std'))
    _, height, width = data['input_size']
    return FeatureNet(network, _same, mean, std, input_size=(width, height))


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
        _load_backbone(backbone, weights)
    elif 'Pretrained' not in str(backbone.init_cfg):
        raise ValueError(
            'train_image_labels: model.segmentor.backbone.init_cfg names no '
            "pretrained weights; write dict(type='Pretrained', checkpoint=...), or "
            'name their file (--weights)'
        )
    else:
        holder = ModuleDict(dict(backbone=backbone))
        with explain_missing_weights(holder, dict(backbone='segmentor.backbone')), _quiet():
            holder.init_weights()
    return FeatureNet(
        backbone,
        _average,
        preprocessor['mean'],
        preprocessor['std'],
        preprocessor.get('bgr_to_rgb', False),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without mmengine's message for each parameter that is initialised."""
    log = MMLogger.get_current_instance()
    level = log.level
    log.setLevel('WARNING')
    try:
        yield
    finally:
        log.setLevel(level)


def _load_backbone(backbone: nn.Module, path: str) -> None:
    """Take a backbone's weights from the checkpoint of a backbone, a segmentor or a method."""
    content = load_checkpoint(path)
    content = content.get('state_dict', content)
    prefix = next(
        prefix
        for prefix in PREFIXES
        if not prefix or any(key.startswith(prefix) for key in content)
    )
    found = {key[len(prefix) :]: value for key, value in content.items() if key.startswith(prefix)}
    wrong = describe_mismatch(backbone, found)
    if wrong:
        raise ValueError(
            f'train_image_labels: {path} does not fit {type(backbone).__name__}: '
            f'{wrong}; write the file of its own weights'
        )
    backbone.load_state_dict(found, strict=False)


def _average(maps: Any) -> Tensor:
    """The last feature map's mean over the image; a map without channels only tells a size."""
    maps = maps if isinstance(maps, (list, tuple)) else [maps]
    return [each for each in maps if each.numel()][-1].float().mean((2, 3))


def _same(vectors: Tensor) -> Tensor:
    return vectors
