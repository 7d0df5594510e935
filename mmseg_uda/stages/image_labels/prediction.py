"""Image-level labels of a config's target images, predicted or counted (PIT)."""

from __future__ import annotations

import dataclasses
import os.path as osp
from pathlib import Path
from typing import Any

import torch
from mmcv.transforms import Resize
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import Tensor

from mmseg_uda.artifacts.digest import digest_config
from mmseg_uda.artifacts.image_labels import KINDS, ImageLabels
from mmseg_uda.artifacts.lookup import relative_names
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.artifacts.recipe import raise_differences
from mmseg_uda.config.datasets import steps_of_class
from mmseg_uda.config.domains import domain_dataset
from mmseg_uda.config.reads import read_paths
from mmseg_uda.stages.image_labels.features import build_feature_net
from mmseg_uda.stages.image_labels.images import DomainImages, extract_features
from mmseg_uda.stages.image_labels.regression import fit_softmax, has_labels, soft_cross_entropy
from mmseg_uda.utils.arguments import check_integer, check_number, check_sequence
from mmseg_uda.utils.progress import track
from mmseg_uda.version import __version__

__all__ = ['ImageLabelRecipe', 'count_image_labels', 'predict_image_labels']


@dataclasses.dataclass(frozen=True)
class ImageLabelRecipe:
    """Settings of predicted image-level labels; numbers as in :func:`fit_softmax`.

    Args:
        features: Network, as for :func:`build_feature_net`.
        weights: File of its weights, or None.
        input_size: Width and height of the images that the network sees; None for those that it is
            made for, or else those that the source pipeline's ``Resize`` makes.
        epochs: Passes over the source.
        lr: Learning rate of the first one.
        batch_size: Images in one step.
        seed: Seed of the images' order.
    """

    features: str = 'timm:inception_resnet_v2'
    weights: str | None = None
    input_size: tuple[int, int] | None = None
    epochs: int = 30
    lr: float = 1e-4
    batch_size: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        check_integer('train_image_labels.epochs', self.epochs, 1)
        check_number('train_image_labels.lr', self.lr, '(0, inf)')
        check_integer('train_image_labels.batch_size', self.batch_size, 1)
        check_integer('train_image_labels.seed', self.seed, 0)
        if self.input_size is not None:
            key = 'train_image_labels.input_size'
            check_sequence(key, self.input_size, check_integer, 1, length=2)
        if self.weights is not None and not osp.isfile(self.weights):
            raise FileNotFoundError(f'train_image_labels: no file weights={self.weights!r}')


def predict_image_labels(
    cfg: Config, out: str, recipe: ImageLabelRecipe, workers: int = 2, overwrite: bool = False
) -> tuple[ImageLabels, dict[str, float]]:
    """Fit class shares on the source, and write those predicted for the target (Section 4.2).

    One process does it. Features are kept beside ``out`` (``<out>_features``), so that a run that
    was stopped goes on, and another regression needs no network.

    Args:
        cfg: Config of a method, for its datasets (and its backbone).
        out: The file.
        recipe: The settings.
        workers: Processes that read images.
        overwrite: Move a file aside that was made with other settings.

    Returns:
        The labels, and the cross entropy of the regression on the source beside that of predicting
        the source's mean always.

    Raises:
        ValueError: The data, the network or an older file does not fit.
    """
    net = build_feature_net(recipe.features, cfg, recipe.weights).to(get_device())
    width, height = recipe.input_size or net.input_size or _resize_scale(cfg)
    domains = {
        'source': DomainImages(cfg, 'source', labels=True, size=(width, height)),
        'target': DomainImages(cfg, 'target', labels=False, size=(width, height)),
    }
    source, target = domains.values()
    if source.num_classes != target.num_classes:
        raise ValueError(
            f'train_image_labels: expected one number of classes, but {source.key} has '
            f'{source.num_classes} classes and {target.key} has {target.num_classes}'
        )
    fit = {key: getattr(recipe, key) for key in ('epochs', 'lr', 'batch_size', 'seed')}
    made_with = dict(
        features=recipe.features,
        network=net.digest(),
        input_size=[width, height],
        source=source.digest(),
        target=target.digest(),
        **fit,
    )
    found = _existing(cfg, out, 'share', made_with, overwrite)
    if found is not None:
        return found, found.recipe['metrics']
    features, shares = {}, {}
    for domain, images in domains.items():
        print_log(f'features of {len(images)} {domain} images', 'current')
        key = digest_config([made_with[key] for key in ('network', 'input_size', domain)])[:12]
        features[domain], shares[domain] = extract_features(
            net, images, Path(f'{out}_features'), f'{domain}_{key}', num_workers=workers
        )
    x, y = features['source'], shares['source']  # (M, D) and (M, C)
    x, y = x[has_labels(y)], y[has_labels(y)]
    regression = fit_softmax(x, y, **fit)
    mean = y.mean(0)  # (C, ), the best prediction that does not look at an image
    metrics = {
        'cross entropy': soft_cross_entropy(regression.predict(x), y),
        'cross entropy of the mean': soft_cross_entropy(mean.expand_as(y), y),
    }
    results = dict(metrics=metrics, classes=list(source.classes), source_mean=mean.tolist())
    predicted = regression.predict(features['target'])
    return _write(out, target, predicted, 'share', {**made_with, **results}), metrics


def count_image_labels(
    cfg: Config, out: str, kind: str = 'presence', workers: int = 2, overwrite: bool = False
) -> ImageLabels:
    """Write labels counted in the target's label files: weak supervision (Section 5.5).

    Args:
        cfg: Config of a method, whose target dataset names its label files
            (``data_prefix.seg_map_path``); training does not read them.
        out: The file.
        kind: ``'presence'`` of each class, or its ``'share'`` among the pixels with a class.
        workers: Processes that read labels.
        overwrite: Move a file aside that was made with other settings.

    Raises:
        ValueError: The data or an older file does not fit.
    """
    if kind not in KINDS:
        raise ValueError(f'train_image_labels: from_labels got {kind!r}; write one of {KINDS}')
    target = DomainImages(cfg, 'target', labels=True)
    made_with = dict(from_labels=kind, target=target.digest())
    found = _existing(cfg, out, kind, made_with, overwrite)
    if found is not None:
        return found
    batches = target.batches(num_workers=workers)
    done = track(batches, len(batches), 'batches')
    shares = torch.cat([batch['shares'] for batch in done])
    return _write(out, target, shares.gt(0) if kind == 'presence' else shares, kind, made_with)


def _write(
    out: str, images: DomainImages, labels: Tensor, kind: str, recipe: dict[str, Any]
) -> ImageLabels:
    names = relative_names(images.paths, images.root)
    content = ImageLabels(names, labels.numpy(), kind, {**recipe, 'version': __version__})
    content.write(out)
    return content


def _existing(
    cfg: Config, out: str, kind: str, made_with: dict[str, Any], overwrite: bool
) -> ImageLabels | None:
    """Read the file that is there, if it was made in this way.

    Raises:
        ValueError: It was made with other settings, or it is where something is read.
    """
    for path in (out, f'{out}_features'):
        check_output('train_image_labels.out', path, read_paths(cfg, but=['image_labels']))
    if not osp.exists(out) or overwrite:
        return None
    found = ImageLabels.read(out)
    # The file's recipe holds results, too.
    old = {'kind': found.kind, **{key: found.recipe.get(key) for key in made_with}}
    raise_differences('train_image_labels', out, old, {'kind': kind, **made_with})
    return found


def _resize_scale(cfg: Config) -> tuple[int, int]:
    """Give width and height as the source pipeline's ``Resize`` makes them."""
    source = domain_dataset(cfg.train_dataloader, 'source') or {}
    for step in steps_of_class(source, Resize):
        if step.get('scale'):
            scale = step['scale']
            return (scale, scale) if isinstance(scale, int) else (scale[0], scale[1])
    raise ValueError(
        'train_image_labels: the source pipeline has no Resize with a scale; write '
        'input_size (--input-size WIDTH HEIGHT)'
    )
