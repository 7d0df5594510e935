"""PIT's image-level stage: from a config to the file of the target's image-level labels."""

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
from mmengine.utils import ProgressBar

from mmseg_uda.artifacts.digests import config_digest
from mmseg_uda.artifacts.image_labels import KINDS, ImageLabels, relative_names
from mmseg_uda.config.datasets import steps_of_class
from mmseg_uda.stages.image_labels.features import build_feature_net
from mmseg_uda.stages.image_labels.images import DomainImages, extract_features, read_all
from mmseg_uda.stages.image_labels.regression import fit_softmax, has_labels, soft_cross_entropy
from mmseg_uda.version import __version__

__all__ = ['ImageLabelRecipe', 'count_image_labels', 'predict_image_labels']


@dataclasses.dataclass(frozen=True)
class ImageLabelRecipe:
    """How image-level labels are predicted; numbers as in :func:`fit_softmax`.

    Args:
        features: As for :func:`build_feature_net`.
        weights: The same.
        input_size: Width and height of the images that the network sees; None for those that it is
            made for, or else those that the source pipeline's ``Resize`` makes.
        epochs: Passes over the source.
        lr: Of the first one.
        batch_size: Images in one step.
        seed: Of the order of the images.
    """

    features: str = 'timm:inception_resnet_v2'
    weights: str | None = None
    input_size: tuple[int, int] | None = None
    epochs: int = 30
    lr: float = 1e-4
    batch_size: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        for key in ('epochs', 'lr', 'batch_size'):
            if not getattr(self, key) > 0:
                raise ValueError(
                    f'train_image_labels: {key} got {getattr(self, key)}; write a positive number'
                )
        size = self.input_size
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise ValueError(f'train_image_labels: input_size got {size!r}; write width and height')
        if self.weights is not None and not osp.isfile(self.weights):
            raise FileNotFoundError(
                f'train_image_labels: weights got {self.weights!r}, which is '
                'no file; correct the path'
            )


def predict_image_labels(
    cfg: Config, out: str, recipe: ImageLabelRecipe, num_workers: int = 2, overwrite: bool = False
) -> tuple[ImageLabels, dict[str, float]]:
    """Fit class shares on the source, and write those predicted for the target (Section 4.2).

    One process does it. Features are kept beside ``out`` (``<out>_features``), so that a run that
    was stopped goes on, and another regression needs no network.

    Args:
        cfg: Config of a method, for its data sets (and its backbone).
        out: The file.
        recipe: How.
        num_workers: Processes that read images.
        overwrite: Replace a file that was made in another way.

    Returns:
        The labels, and the cross entropy of the regression on the source beside that of predicting
        the source's mean always.

    Raises:
        ValueError: The data, the network or an older file does not fit.
    """
    net = build_feature_net(recipe.features, cfg, recipe.weights).to(get_device())
    size = recipe.input_size or net.input_size or _resize_scale(cfg)
    source = DomainImages(cfg, 'source', labels=True, size=size)
    target = DomainImages(cfg, 'target', labels=False, size=size)
    _check_classes(source, target)
    made_with = dict(
        features=recipe.features,
        network=net.digest(),
        input_size=list(size),
        source=source.digest(),
        target=target.digest(),
    )
    made_with.update({key: getattr(recipe, key) for key in ('epochs', 'lr', 'batch_size', 'seed')})
    found = _existing(out, 'share', made_with, overwrite)
    if found is not None:
        return found, found.recipe['metrics']
    parts = {}
    for images, domain in ((source, 'source'), (target, 'target')):
        print_log(f'features of {len(images)} {domain} images', 'current')
        parts[domain] = extract_features(
            net,
            images,
            Path(f'{out}_features'),
            _features_key(domain, made_with),
            num_workers=num_workers,
        )
    features, shares = parts['source']
    regression = fit_softmax(
        features,
        shares,
        epochs=recipe.epochs,
        lr=recipe.lr,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
    )
    labelled = has_labels(shares)
    features, shares = features[labelled], shares[labelled]
    mean = shares.mean(0)
    metrics = {
        'cross entropy': soft_cross_entropy(regression.predict(features), shares),
        'cross entropy of the mean': soft_cross_entropy(mean.expand_as(shares), shares),
    }
    labels = ImageLabels(
        relative_names(target.paths, target.root),
        regression.predict(parts['target'][0]).numpy(),
        'share',
        {
            **made_with,
            'metrics': metrics,
            'classes': list(source.classes),
            'source_mean': mean.tolist(),
            'version': __version__,
        },
    )
    labels.write(out)
    return labels, metrics


def count_image_labels(
    cfg: Config, out: str, kind: str = 'presence', num_workers: int = 2, overwrite: bool = False
) -> ImageLabels:
    """Write labels counted in the target's label files: weak supervision (Section 5.5).

    Args:
        cfg: Config of a method, whose target data set names its label files
            (``data_prefix.seg_map_path``); training does not read them.
        out: The file.
        kind: ``'presence'`` of each class, or its ``'share'`` among the pixels with a class.
        num_workers: Processes that read labels.
        overwrite: Replace a file that was made in another way.
    """
    if kind not in KINDS:
        raise ValueError(f'train_image_labels: from_labels got {kind!r}; write one of {KINDS}')
    target = DomainImages(cfg, 'target', labels=True)
    made_with = dict(from_labels=kind, target=target.digest())
    found = _existing(out, kind, made_with, overwrite)
    if found is not None:
        return found
    progress, shares = ProgressBar(len(target)), []
    for batch in read_all(target, range(len(target)), 8, num_workers):
        shares.append(batch['shares'])
        progress.update(len(batch['shares']))
    progress.file.write('\n')
    counted = torch.cat(shares)
    counted = counted.gt(0).float() if kind == 'presence' else counted
    labels = ImageLabels(
        relative_names(target.paths, target.root),
        counted.numpy(),
        kind,
        {**made_with, 'version': __version__},
    )
    labels.write(out)
    return labels


def _features_key(domain: str, made_with: dict[str, Any]) -> str:
    keys = ('network', 'input_size', domain)
    return f'{domain}_{config_digest([made_with[key] for key in keys])[:12]}'


def _existing(
    out: str,
    kind: str,
    made_with: dict[str, Any],
    overwrite: bool,
) -> ImageLabels | None:
    """The file that is there, if it was made in this way.

    Raises:
        ValueError: It was made otherwise.
    """
    if not osp.exists(out) or overwrite:
        return None
    found = ImageLabels.read(out)
    wrong = [key for key, value in made_with.items() if found.recipe.get(key) != value]
    if wrong or found.kind != kind:
        raise ValueError(
            f'train_image_labels: {out!r} is there, made with other '
            f'{", ".join(wrong) or "labels"}; write overwrite (--overwrite) or '
            'another file'
        )
    return found


def _resize_scale(cfg: Config) -> tuple[int, int]:
    """Width and height that the source pipeline makes."""
    for step in steps_of_class(cfg.train_dataloader.source.dataset, Resize):
        if step.get('scale'):
            scale = step['scale']
            return (scale, scale) if isinstance(scale, int) else (scale[0], scale[1])
    raise ValueError(
        'train_image_labels: the source pipeline has no Resize with a scale; write '
        'input_size (--input-size WIDTH HEIGHT)'
    )


def _check_classes(source: DomainImages, target: DomainImages) -> None:
    if source.num_classes != target.num_classes:
        raise ValueError(
            f'train_image_labels: {source.key} has {source.num_classes} classes and '
            f'{target.key} has {target.num_classes}; write data sets with the same'
        )
