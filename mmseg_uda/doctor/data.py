"""Checks of the images and labels that a training would read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import ConcatDataset
from mmseg.registry import DATASETS, HOOKS
from numpy.typing import NDArray

from mmseg_uda.config.datasets import iter_datasets, unlabelled_images
from mmseg_uda.config.domains import domain_dataset
from mmseg_uda.config.method import segmentor_of
from mmseg_uda.datasets.checks import (
    build_dataset,
    check_dataset,
    check_image_labels,
    check_pseudo_labels,
    check_same_classes,
    check_unlabelled,
    cropped_image_labels,
)
from mmseg_uda.datasets.images import left_out_images, shared_images
from mmseg_uda.datasets.label_values import check_label_values, look_at_labels
from mmseg_uda.doctor.finding import Finding, look, ok, wrong
from mmseg_uda.doctor.settings import crop_of, loader_of
from mmseg_uda.doctor.weights import normalisation_of
from mmseg_uda.structures import DOMAINS, IGNORE_INDEX
from mmseg_uda.utils.drawing import label_to_color, loaded_to_rgb, outline_similar, overlay
from mmseg_uda.utils.palettes import legend_of
from mmseg_uda.utils.sheets import contact_sheet

__all__ = ['build_datasets', 'check_data', 'check_histogram', 'check_pixels', 'picture']

NUM_IMAGES = 8  # of each domain, for statistics
FAR = 2.0  # standard deviations between an image's mean and the preprocessor's
RAW_IDS = ('_labelIds.png', '_instanceIds.png', '_color.png')


def build_datasets(cfg: Config) -> tuple[dict[str, Any], list[Finding]]:
    """Build the datasets of a training.

    Returns:
        Datasets by key, ``'source'``, ``'target'`` and ``'val'``, and what is wrong with the rest.
    """
    loaders = cfg.get('train_dataloader')
    configs = {domain: domain_dataset(loaders, domain) for domain in DOMAINS}
    configs['val'] = (cfg.get('val_dataloader') or {}).get('dataset')
    built, findings = {}, []
    for key, config in configs.items():
        if not isinstance(config, Mapping):
            continue
        place = 'val_dataloader' if key == 'val' else f'train_dataloader.{key}'
        try:
            dataset = build_dataset(config, f'{place}.dataset')
            check_dataset(dataset, f'{place}.dataset')
        except (OSError, ValueError) as error:
            findings.append(wrong('data', str(error), 'correct it'))
            continue
        built[key] = dataset
    return built, findings


def check_data(cfg: Config, datasets: Mapping[str, Any]) -> Iterator[Finding]:
    """Check files, classes and domains."""
    for key, dataset in datasets.items():
        yield ok('data', f'{key}: {len(dataset)} images')
        for warning in left_out_images(dataset, key):
            yield look('data', warning, 'correct img_suffix, or use DirectoryDataset')
    if 'source' in datasets:
        yield from check_histogram(cfg, datasets['source'])
    if {*DOMAINS} <= datasets.keys():
        try:
            check_same_classes(*(datasets[domain] for domain in DOMAINS))
        except ValueError as error:
            yield wrong('classes', str(error), 'correct it')
        yield from _check_target(cfg, datasets['target'])
        yield from _check_shared(datasets)


def _check_target(cfg: Config, target: Any) -> Iterator[Finding]:
    try:
        check_unlabelled(target)
    except ValueError as error:
        yield wrong('target labels', str(error), 'remove the loader')
        return
    yield ok('target labels', 'no transform of the target loads ground truth')
    hooks = [each.get('type') for each in cfg.get('custom_hooks') or ()]
    made = any(getattr(HOOKS.get(kind), 'makes_pseudo_labels', False) for kind in hooks)
    if cropped := cropped_image_labels(target, 'train_dataloader.target.dataset'):
        yield look('image labels', cropped, 'train on whole images')
    try:
        check_pseudo_labels(target, made_in_training=made)
        check_image_labels(target)
    except (OSError, ValueError) as error:
        yield wrong('pseudo labels', str(error), 'run the stage that makes them first')


def _check_shared(datasets: Mapping[str, Any]) -> Iterator[Finding]:
    text = shared_images(datasets['source'], 'source', datasets['target'], 'target')
    if not text:
        yield ok('domains', 'source and target share no image')
    elif isinstance(datasets['source'], ConcatDataset):
        yield look('domains', text, 'keep them if they are labelled images of the target')
    else:
        yield wrong('domains', text, 'there is nothing to adapt to: correct data_root')
    if 'val' in datasets:
        text = shared_images(datasets['target'], 'target', datasets['val'], 'val')
        if text:
            yield look('domains', text, 'hold out images for validation')


def check_histogram(cfg: Config, source: Any) -> Iterator[Finding]:
    """Check the labels of the source: values, and the share of each class."""
    head = segmentor_of(cfg).get('decode_head') or {}
    classes = source.metainfo['classes']
    for _, dataset in iter_datasets(domain_dataset(cfg.train_dataloader, 'source') or {}):
        suffix = dataset.get('seg_map_suffix') or ''
        if suffix.endswith(RAW_IDS):
            text = f'source labels end in {suffix!r}: they are raw ids, not train ids'
            yield wrong('labels', text, 'run tools/dataset_converters, or LoadMappedAnnotations')
    try:
        warning = check_label_values(source, 'source', head.get('ignore_index', IGNORE_INDEX))
    except ValueError as error:
        yield wrong('labels', str(error), 'they may be raw ids in place of train ids')
        return
    if warning:
        yield look('labels', warning, 'the network cannot learn these classes')
    _, looks = look_at_labels(source)
    pixels = np.zeros(len(classes))
    for each in looks:
        known = (each.values >= 0) & (each.values < len(classes))
        pixels[each.values[known].astype(int)] += each.counts[known]
    total = pixels.sum()
    if total:
        shares = [f'{name} {count / total:.1%}' for name, count in zip(classes, pixels)]
        yield ok('labels', f'source, {len(looks)} labels: {", ".join(shares)}')


def check_pixels(cfg: Config, datasets: Mapping[str, Any]) -> Iterator[Finding]:
    """Compare the pixels of both domains, as the network gets them, with the preprocessor's."""
    for domain in DOMAINS:
        if domain not in datasets:
            continue
        own = normalisation_of(cfg, domain)
        if len(own.get('mean') or ()) != 3:
            continue
        try:
            images = _some_images(cfg, domain)
        except (OSError, ValueError) as error:
            yield wrong('pixels', str(error), 'correct it')
            continue
        yield from _check_size(domain, images, crop_of(cfg, domain))
        pixels = np.concatenate([each.reshape(3, -1) for each in images], 1).astype(np.float64)
        pixels = pixels[::-1] if own.get('bgr_to_rgb') else pixels
        mean, deviation = pixels.mean(1), pixels.std(1)
        sizes = sorted({f'{each.shape[2]} x {each.shape[1]}' for each in images})
        text = (
            f'{domain}: {", ".join(sizes[:3])} pixels after its pipeline, mean '
            f'{_numbers(mean)}, std {_numbers(deviation)}; the preprocessor has mean '
            f'{_numbers(own["mean"])}'
        )
        far = np.abs(mean - np.asarray(own['mean'])) > FAR * np.maximum(deviation, 8)
        if far.any():
            yield wrong('pixels', text, 'correct mean, or how the images are stored')
        else:
            yield ok('pixels', text)


def _check_size(domain: str, images: list[NDArray[Any]], crop: Any) -> Iterator[Finding]:
    """Find images smaller than the crop: they stay as they are, and batches are padded."""
    if crop is None:
        return
    rows, columns = np.broadcast_to(crop, 2)  # mmseg takes a number, too
    sizes = [each.shape[1:] for each in images]
    small = [(height, width) for height, width in sizes if height < rows or width < columns]
    if small:
        height, width = min(small)
        text = (
            f'{domain}: {len(small)} of {len(images)} images are smaller than the crop of '
            f'{rows} x {columns} (height, width), the smallest is {height} x {width}'
        )
        yield look('crop', text, 'write a smaller crop_size, or a larger scale before it')


def _some_images(cfg: Config, domain: str, number: int = NUM_IMAGES) -> list[NDArray[Any]]:
    """Images (C, H, W) as the domain's pipeline makes them, without labels of any kind."""
    config = domain_dataset(cfg.train_dataloader, domain)
    dataset = DATASETS.build(unlabelled_images(config or {}))
    step = max(1, len(dataset) // number)
    return [dataset[index]['inputs'].numpy() for index in range(0, len(dataset), step)][:number]


def _numbers(values: Any) -> str:
    return ' '.join(f'{value:.0f}' for value in values)


def picture(cfg: Config, datasets: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Draw a training batch: source images, their labels, and target images."""
    source = datasets['source']
    batch = min(len(source), loader_of(cfg, 'source').get('batch_size', 1))
    targets = _some_images(cfg, 'target', batch) if 'target' in datasets else []
    meta = source.metainfo
    palette, seen = meta.get('palette') or [], set()
    rows = []
    for index in range(batch):
        sample = source[index * len(source) // batch]
        image = loaded_to_rgb(sample['inputs'].numpy())
        label = sample['data_samples'].gt_sem_seg.data[0].numpy()
        seen.update(np.unique(label).tolist())
        painted = overlay(image, label_to_color(label, palette), 0.6)
        target = [loaded_to_rgb(each) for each in targets[index : index + 1]]
        rows.append([image, outline_similar(painted, label, palette), *target])
    rows = [row for row in rows if len(row) == len(rows[0])]
    titles = ['source', 'its label', 'target'][: len(rows[0])]

    def legend(width: int) -> NDArray[np.uint8]:
        return legend_of(seen, meta['classes'], palette, width)

    return contact_sheet(rows, titles, footer=legend)
