"""Pictures of a model's attention, and of its predictions, on target images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.artifacts.checkpoint import load_into, load_weights
from mmseg_uda.engine.observe import segment
from mmseg_uda.models import class_attention as similar
from mmseg_uda.stages.show.extremes import extreme_samples
from mmseg_uda.stages.show.samples import (
    Sample,
    load_source,
    load_targets,
    picture,
    preprocess,
)
from mmseg_uda.structures import ImageBatch
from mmseg_uda.utils.drawing import label_to_color, mark_points, outline_similar, place_points
from mmseg_uda.utils.heat_maps import stretch_map
from mmseg_uda.utils.palettes import legend_of
from mmseg_uda.utils.sheets import Tile, heat_tile, in_rows, tile_panel

__all__ = ['KINDS', 'show_attention']

COLUMNS = 3
KINDS = (
    *('points', 'classes', 'plain_classes', 'plain_points', 'discriminator', 'units'),
    *('prediction', 'extremes'),
)
SPREAD = ((0.5, 0.2), (0.2, 0.5), (0.8, 0.5), (0.5, 0.85))  # default points, shares of the size
SHOWN_CLASSES = 3  # of the kind `units`
Point = tuple[int, int]  # x, y
Tiles = list[Tile]


@torch.no_grad()
def show_attention(
    cfg: Config,
    checkpoint: str,
    kind: str | None = None,
    targets: Sequence[str] | None = None,
    images: int = 1,
    source: str | None = None,
    points: Sequence[Point] | None = None,
    compare: tuple[Config, str] | None = None,
    device: str | None = None,
    cell_width: int = 480,
) -> tuple[np.ndarray, str]:
    """Draw one picture, with a block of rows for each target image.

    Args:
        cfg: The model's config.
        checkpoint: Its weights.
        kind: One of ``KINDS``; None: the one that the model has.
        targets: Target images; None: the first ``images`` of the test split, which have labels.
        images: Number of images of the test split; of ``extremes`` that of each.
        source: Source image of ``points``; None: the config's first.
        points: Points (x, y) in pixels of a target image; None: four.
        compare: Config and checkpoint of another model, for ``plain_points``.
        device: Device of the network; None: the best one.
        cell_width: Width of one picture, in pixels.

    Returns:
        The picture, (height, width, 3) in RGB, and a line about it.

    Raises:
        TypeError: The model does not have the attention that is asked for, or none.
        ValueError: A checkpoint, a point or the number of images does not fit.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    both = [(cfg, checkpoint), *([compare] if compare else [])]
    models = [load_model(*each, device or get_device()) for each in both]
    model = models[0]
    kind = choose_kind(model, kind)
    if kind == 'extremes':
        titled, meta = extreme_samples(cfg, model, images)
        titles, samples = [title for title, _ in titled], [sample for _, sample in titled]
    else:
        samples, meta = load_targets(cfg, targets, images)
        titles = ['target'] * len(samples)
    if kind == 'points' and len(samples) > 1:
        raise ValueError(
            f'show_attention: expected one target image for --kind points, but got {len(samples)}; '
            'write one'
        )
    rows: list[Tiles] = []
    seen: set[int] = set()  # classes, for the legend
    text = f'{kind} of {len(samples)} target image(s)'
    for title, sample in zip(titles, samples):
        if kind == 'points':
            rows, text = draw_points(cfg, model, sample, source, points)
        elif kind == 'discriminator':
            rows += discriminator_rows(model, sample, meta, seen)
        elif kind == 'plain_points':
            rows += plain_point_rows(models, sample, points)
        elif kind == 'units':
            rows += unit_rows(model, sample, meta, seen)
        elif kind in ('prediction', 'extremes'):
            labels = label_tiles(model, sample, preprocess(model, sample), meta['palette'], seen)
            rows.append([Tile(title, picture(sample)), *labels])
        else:
            rows += class_rows(model, sample, meta, seen, kind == 'plain_classes')

    def legend(width: int) -> np.ndarray:
        return legend_of(seen, meta.get('classes'), meta['palette'], width)

    return tile_panel(rows, cell_width, legend if seen else None), text


def load_model(cfg: Config, path: str, device: str) -> Any:
    """Build the config's model with the checkpoint's weights, in evaluation mode.

    Raises:
        ValueError: The checkpoint is of another model.
    """
    model = MODELS.build(cfg.model)
    load_into(f'show_attention: {path}', model, load_weights(path))
    return model.to(device).eval()


def choose_kind(model: Any, wanted: str | None) -> str:
    """Choose the kind of attention to draw.

    Raises:
        TypeError: The model does not have the attention that is asked for, or none.
    """
    head = model.decode_head
    has = dict(
        points=hasattr(head, 'attention_maps'),
        discriminator=hasattr(getattr(model, 'student', model), 'attention'),
        classes=similar.self_attention_of(model) is not None,
        units=hasattr(model, 'activation_maps'),
    )
    kinds = [kind for kind, there in has.items() if there]
    if wanted is None and kinds:
        return kinds[0]
    kinds += ['plain_classes', 'plain_points', 'prediction', 'extremes']  # which every model has
    if wanted in kinds:
        return wanted
    raise TypeError(
        f'show_attention: expected attention of {wanted or "some kind"}, but got '
        f'{type(head).__name__} without; write the config of a model with it, or --kind '
        f'{" or ".join(kinds)}'
    )


def point_rows(
    source: np.ndarray, target: np.ndarray, points: list[Point], maps: Tensor
) -> list[Tiles]:
    """Draw two RGB images, points of the target, and their attention (P, h, w) over the source."""
    tiles = [Tile('target', mark_points(target, points)), Tile('source', source)]
    for number, values in enumerate(maps.float().cpu(), 1):
        values = values * values.numel()  # 1 is uniform attention
        # Not below uniform attention, whose rounding errors would else look like a pattern.
        limits = 0.0, max(float(values.max()), 1.1)
        title = f'point {number}, x uniform'
        tiles.append(heat_tile(title, stretch_map(values, source), source, limits))
    return in_rows(tiles, COLUMNS)


def chosen_points(
    sample: Sample, points: Sequence[Point] | None
) -> tuple[list[Point], tuple[int, ...]]:
    """Return the given points (x, y), or the default ones, and the image's size."""
    size = tuple(sample['data_samples'].ori_shape[:2])
    default = [(int(size[1] * x), int(size[0] * y)) for x, y in SPREAD]
    return [(x, y) for x, y in points or default], size


def draw_points(
    cfg: Config, model: Any, sample: Sample, path: str | None, given: Sequence[Point] | None
) -> tuple[list[Tiles], str]:
    """Draw the rows of ``points``, and say which images they show."""
    source = load_source(cfg, path)
    points, size = chosen_points(sample, given)
    features = [
        model.extract_feat(preprocess(model, one, domain).images)
        for domain, one in dict(source=source, target=sample).items()
    ]
    grid = features[1][model.decode_head.in_index].shape[2:]
    cells = place_points(points, size, grid)
    positions = torch.tensor([y * grid[1] + x for x, y in cells], device=features[1][0].device)
    maps = model.decode_head.attention_maps(*features, positions)[0]
    image = picture(sample)
    paths = [one['data_samples'].img_path for one in (sample, source)]
    places = place_points(points, size, image.shape[:2])
    rows = point_rows(picture(source), image, places, maps)
    return rows, f'{len(points)} points of {paths[0]} in {paths[1]}'


def label_tiles(
    model: Any, sample: Sample, batch: ImageBatch, palette: Any, seen: set[int]
) -> Tiles:
    """Draw the prediction, and the ground truth if there is one; note their classes."""
    height, width = sample['inputs'].shape[1:]
    labels = dict(prediction=segment(model, batch)[0][0, :height, :width])
    if 'gt_sem_seg' in sample['data_samples']:
        labels['ground truth'] = sample['data_samples'].gt_sem_seg.data[0]
    tiles = []
    for title, values in labels.items():
        label = values.cpu().numpy()
        seen.update(np.unique(label).tolist())
        picture = outline_similar(label_to_color(label, palette), label, palette)
        tiles.append(Tile(title, picture))
    return tiles


def class_rows(
    model: Any, sample: Sample, meta: dict[str, Any], seen: set[int], plain: bool
) -> list[Tiles]:
    """Draw an image with the most confident pixels, its labels, and a map for each pixel."""
    batch, image = preprocess(model, sample), picture(sample)
    view = similar.class_attention(model, batch.images, plain)
    grid = view.maps.shape[1:]
    cells = [(position % grid[1], position // grid[1]) for position in view.positions.tolist()]
    marked = mark_points(image, place_points(cells, grid, image.shape[:2]))
    labels = label_tiles(model, sample, batch, meta['palette'], seen)
    maps: Tiles = []
    for number, (index, values) in enumerate(zip(view.classes.tolist(), view.maps), 1):
        title = f'{number}: {meta["classes"][index]}'
        maps.append(heat_tile(title, stretch_map(values, image), image, (0, 1)))
    return [[Tile('most confident pixels', marked), *labels], *in_rows(maps, COLUMNS)]


def plain_point_rows(
    models: list[Any], sample: Sample, given: Sequence[Point] | None
) -> list[Tiles]:
    """Draw an image with points, and for each the similar pixels by every model and by labels."""
    (points, size), image = chosen_points(sample, given), picture(sample)
    columns: list[tuple[str, Tensor]] = []
    for title, model in zip(('model', 'compared'), models):
        _, logits = similar.plain_logits(model, preprocess(model, sample).images)
        grid = logits.shape[2:]
        indices = [y * grid[1] + x for x, y in place_points(points, size, grid)]
        positions = torch.tensor(indices, device=logits.device)
        columns.append((title, similar.similarity(logits, positions)))
    if 'gt_sem_seg' in sample['data_samples']:
        label = sample['data_samples'].gt_sem_seg.data[0].to(positions.device)
        columns.append(('ground truth', similar.label_similarity(label, grid, positions)))
    rows = [[Tile('points', mark_points(image, place_points(points, size, image.shape[:2])))]]
    for index in range(len(points)):
        rows.append(
            [
                heat_tile(f'{index + 1}: {name}', stretch_map(maps[index], image), image, (0, 1))
                for name, maps in columns
            ]
        )
    return rows


def discriminator_rows(
    model: Any, sample: Sample, meta: dict[str, Any], seen: set[int]
) -> list[Tiles]:
    """Draw an image, the attention on it, and its labels."""
    batch, image = preprocess(model, sample), picture(sample)
    segmentor = getattr(model, 'student', model)
    values = stretch_map(segmentor.attention.attention_map(segmentor, batch.images)[0], image)
    labels = label_tiles(model, sample, batch, meta['palette'], seen)
    return [[Tile('target', image), heat_tile('attention', values, image), *labels]]


def unit_rows(model: Any, sample: Sample, meta: dict[str, Any], seen: set[int]) -> list[Tiles]:
    """Draw an image, its labels, and the maps of PIT's units for the classes of most pixels."""
    batch, image = preprocess(model, sample), picture(sample)
    labels = label_tiles(model, sample, batch, meta['palette'], seen)
    predicted = segment(model, batch)[0].flatten().bincount(minlength=len(meta['classes']))
    classes = predicted.topk(min(SHOWN_CLASSES, len(predicted)))[1]
    maps = model.activation_maps(batch.images, classes).items()
    heats = [heat_tile(title, stretch_map(values, image)) for title, values in maps]
    width = len(heats) // len(classes)
    rows = [heats[start : start + width] for start in range(0, len(heats), width)]
    return [[Tile('target', image), *labels], *rows]
