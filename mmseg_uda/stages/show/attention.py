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
from mmseg_uda.stages.show.samples import (
    Sample,
    load_source,
    load_targets,
    picture,
    preprocess,
)
from mmseg_uda.structures import ImageBatch
from mmseg_uda.utils.drawing import (
    heat_map,
    label_to_color,
    mark_points,
    overlay,
    place_points,
    stretch_map,
    tile_panel,
)

__all__ = ['KINDS', 'show_attention']

COLUMNS = 3
KINDS = (
    *('points', 'classes', 'plain_classes', 'plain_points', 'discriminator', 'units'),
    'prediction',
)
SPREAD = ((0.5, 0.2), (0.2, 0.5), (0.8, 0.5), (0.5, 0.85))  # default points, shares of the size
SHOWN_CLASSES = 3  # of the kind `units`
Point = tuple[int, int]  # x, y
Tiles = list[tuple[str, np.ndarray]]


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
        images: Number of images of the test split.
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
    samples, meta = load_targets(cfg, targets, images)
    if kind == 'points' and len(samples) > 1:
        raise ValueError(
            f'show_attention: expected one target image for --kind points, but got {len(samples)}; '
            'write one'
        )
    rows: list[Tiles] = []
    text = f'{kind} of {len(samples)} target image(s)'
    for sample in samples:
        if kind == 'points':
            rows, text = draw_points(cfg, model, sample, source, points)
        elif kind == 'discriminator':
            rows += discriminator_rows(model, sample, meta)
        elif kind == 'plain_points':
            rows += plain_point_rows(models, sample, points)
        elif kind == 'units':
            rows += unit_rows(model, sample, meta)
        elif kind == 'prediction':
            labels = label_tiles(model, sample, preprocess(model, sample), meta['palette'])
            rows.append([('target', picture(sample)), *labels])
        else:
            rows += class_rows(model, sample, meta, kind == 'plain_classes')
    return tile_panel(rows, cell_width), text


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
    kinds += ['plain_classes', 'plain_points', 'prediction']  # which every model has
    if wanted in kinds:
        return wanted
    raise TypeError(
        f'show_attention: expected attention of {wanted or "some kind"}, but got '
        f'{type(head).__name__} without; write the config of a model with it, or --kind '
        f'{" or ".join(kinds)}'
    )


def in_rows(tiles: Tiles) -> list[Tiles]:
    return [tiles[i : i + COLUMNS] for i in range(0, len(tiles), COLUMNS)]


def point_rows(
    source: np.ndarray, target: np.ndarray, points: list[Point], maps: Tensor
) -> list[Tiles]:
    """Draw two RGB images, points of the target, and their attention (P, h, w) over the source."""
    tiles = [('target', mark_points(target, points)), ('source', source)]
    for number, values in enumerate(maps.float().cpu(), 1):
        peak = values.max().numpy()
        # Above the uniform attention, whose rounding errors would else look like a pattern.
        heat = heat_map(stretch_map(values, source), high=max(peak, 1.1 / values.numel()))
        title = f'point {number}: {peak * values.numel():.1f} x uniform at the peak'
        tiles.append((title, overlay(source, heat, 0.6)))
    return in_rows(tiles)


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


def label_tiles(model: Any, sample: Sample, batch: ImageBatch, palette: Any) -> Tiles:
    """Draw the prediction, and the ground truth if there is one."""
    height, width = sample['inputs'].shape[1:]
    labels = dict(prediction=segment(model, batch)[0][0, :height, :width])
    if 'gt_sem_seg' in sample['data_samples']:
        labels['ground truth'] = sample['data_samples'].gt_sem_seg.data[0]
    return [(title, label_to_color(x.cpu().numpy(), palette)) for title, x in labels.items()]


def class_rows(model: Any, sample: Sample, meta: dict[str, Any], plain: bool) -> list[Tiles]:
    """Draw an image with the most confident pixels, its labels, and a map for each pixel."""
    batch, image = preprocess(model, sample), picture(sample)
    view = similar.class_attention(model, batch.images, plain)
    grid = view.maps.shape[1:]
    cells = [(position % grid[1], position // grid[1]) for position in view.positions.tolist()]
    marked = mark_points(image, place_points(cells, grid, image.shape[:2]))
    labels = label_tiles(model, sample, batch, meta['palette'])
    maps: Tiles = []
    for number, (index, values) in enumerate(zip(view.classes.tolist(), view.maps), 1):
        heat = heat_map(stretch_map(values, image), 0, 1)
        maps.append((f'{number}: {meta["classes"][index]}', overlay(image, heat, 0.6)))
    return [[('most confident pixels', marked), *labels], *in_rows(maps)]


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
    rows = [[('points', mark_points(image, place_points(points, size, image.shape[:2])))]]
    for index in range(len(points)):
        heats = [heat_map(stretch_map(maps[index], image), 0, 1) for _, maps in columns]
        drawn = [overlay(image, heat, 0.6) for heat in heats]
        rows.append([(f'{index + 1}: {name}', each) for (name, _), each in zip(columns, drawn)])
    return rows


def discriminator_rows(model: Any, sample: Sample, meta: dict[str, Any]) -> list[Tiles]:
    """Draw an image, the attention on it, and its labels."""
    batch, image = preprocess(model, sample), picture(sample)
    segmentor = getattr(model, 'student', model)
    values = stretch_map(segmentor.attention.attention_map(segmentor, batch.images)[0], image)
    title = f'attention, {values.min():.2f} to {values.max():.2f}'
    labels = label_tiles(model, sample, batch, meta['palette'])
    return [[('target', image), (title, heat_map(values)), *labels]]


def unit_rows(model: Any, sample: Sample, meta: dict[str, Any]) -> list[Tiles]:
    """Draw an image, its labels, and the maps of PIT's units for the classes of most pixels."""
    batch, image = preprocess(model, sample), picture(sample)
    labels = label_tiles(model, sample, batch, meta['palette'])
    predicted = segment(model, batch)[0].flatten().bincount(minlength=len(meta['classes']))
    classes = predicted.topk(min(SHOWN_CLASSES, len(predicted)))[1]
    maps = model.activation_maps(batch.images, classes).items()
    heats = [(title, heat_map(stretch_map(values, image))) for title, values in maps]
    width = len(heats) // len(classes)
    rows = [heats[start : start + width] for start in range(0, len(heats), width)]
    return [[('target', image), *labels], *rows]
