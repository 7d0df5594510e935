"""Draw a model's attention on target images; the model determines its kind.

points         CDANet (its Figure 6): where points of a target image look in a source image
classes        SAM (its Figure 3): similarity to the most confident pixel of each class
plain_classes  the same for a network's own scores, of any model
plain_points   SAM (its Figure E.4): similarity of scores to those at points, of any model (or two)
discriminator  DAST (its Figure 3): where features of the target are badly aligned

The output is one picture, with a block of rows for each target image.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from torch import Tensor

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.artifacts.checkpoint import load_into, load_weights
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.config.reads import read_paths
from mmseg_uda.engine.hooks.reference_context_hook import load_images, plain_dataset
from mmseg_uda.engine.observe import segment
from mmseg_uda.models import class_attention as similar
from mmseg_uda.structures import ImageBatch
from mmseg_uda.utils.cli import config_parser, load_config, run_main
from mmseg_uda.utils.drawing import (
    heat_map,
    label_to_color,
    loaded_to_rgb,
    mark_points,
    overlay,
    place_points,
    save_picture,
    stretch_map,
    tile_panel,
)
from mmseg_uda.utils.parser import at_least, device_name

COLUMNS = 3
KINDS = ('points', 'classes', 'plain_classes', 'plain_points', 'discriminator')
SPREAD = ((0.5, 0.2), (0.2, 0.5), (0.8, 0.5), (0.5, 0.85))  # default points, shares of the size
Point = tuple[int, int]  # x, y
Sample = dict[str, Any]
Tiles = list[tuple[str, np.ndarray]]


def parse_point(text: str) -> Point:
    """Read ``x,y`` in pixels."""
    try:
        x, y = (int(number) for number in text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'got {text!r}; write x,y in pixels') from None
    return x, y


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = config_parser(__doc__)
    add = parser.add_argument
    add('config', help='config of the model')
    add('checkpoint')
    add('--kind', choices=KINDS, help='(default: the kind that the model has)')
    add('--target', metavar='IMG', nargs='+', help='target images (default: of the test split)')
    add(
        '--images',
        type=at_least(1),
        default=1,
        metavar='N',
        help='first N of the test split (default: 1)',
    )
    add('--source', metavar='IMG', help="points: source image (default: the config's first)")
    add('--points', type=parse_point, nargs='+', metavar='x,y', help='(default: four)')
    add(
        '--compare', nargs=2, metavar='FILE', help='plain_points: config, checkpoint of another one'
    )
    add('--out', default='attention.png', help='picture to write')
    add('--device', type=device_name)
    add('--cell-width', type=at_least(1), default=480, help='of one picture, in pixels')
    args = parser.parse_args(argv)
    if args.compare and args.kind != 'plain_points':
        parser.error(f'--compare got --kind {args.kind}; write --kind plain_points')
    return args


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
    )
    kinds = [kind for kind, there in has.items() if there]
    if wanted is None and kinds:
        return kinds[0]
    kinds += ['plain_classes', 'plain_points']  # which every model has
    if wanted in kinds:
        return wanted
    raise TypeError(
        f'show_attention: expected attention of {wanted or "some kind"}, but got '
        f'{type(head).__name__} without; write the config of a model with it, or --kind '
        f'{" or ".join(kinds)}'
    )


def find_dataset(cfg: Config, *keys: str) -> dict[str, Any]:
    """Return the config of the first dataloader's dataset that is there."""
    for key in keys:
        loader = cfg
        for part in key.split('.'):
            loader = (loader or {}).get(part)
        if loader is not None:
            return loader['dataset']
    raise ValueError(
        f'show_attention: expected {keys[0]} in the config, but got none; write the config that '
        'the model was trained with'
    )


def load_source(cfg: Config, path: str | None) -> Sample:
    """Load one source image through its pipeline, without augmentation."""
    dataset = plain_dataset(find_dataset(cfg, 'train_dataloader.source'))
    return dataset[0] if path is None else load_images(dataset, [path])[0]


def load_targets(
    cfg: Config, paths: Sequence[str] | None, count: int
) -> tuple[list[Sample], dict[str, Any]]:
    """Load target images, of the test split with ground truth, and the split's meta data."""
    config = find_dataset(cfg, 'test_dataloader', 'val_dataloader')
    if paths is not None:
        dataset = plain_dataset(config)
        return load_images(dataset, paths), dataset.metainfo
    dataset = DATASETS.build(config)
    return [dataset[index] for index in range(min(count, len(dataset)))], dataset.metainfo


def picture(sample: Sample) -> np.ndarray:
    """Return the image that the pipeline gives, as RGB."""
    return loaded_to_rgb(sample['inputs'].numpy())


def preprocess(model: Any, sample: Sample, domain: str = 'target') -> ImageBatch:
    """Prepare one image for the network."""
    preprocessor = getattr(model.data_preprocessor, domain, model.data_preprocessor)
    return ImageBatch(*preprocessor(pseudo_collate([sample]), False).values())


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


def chosen_points(sample: Sample, args: argparse.Namespace) -> tuple[list[Point], tuple[int, ...]]:
    """Return the points (x, y) of the command line, or the default ones, and the image's size."""
    size = tuple(sample['data_samples'].ori_shape[:2])
    return args.points or [(int(size[1] * x), int(size[0] * y)) for x, y in SPREAD], size


def draw_points(cfg: Config, model: Any, sample: Sample, args: argparse.Namespace) -> list[Tiles]:
    """Draw the rows of ``points``."""
    source = load_source(cfg, args.source)
    points, size = chosen_points(sample, args)
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
    print(f'{len(points)} points of {paths[0]} in {paths[1]}')
    return point_rows(picture(source), image, place_points(points, size, image.shape[:2]), maps)


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


def plain_point_rows(models: list[Any], sample: Sample, args: Any) -> list[Tiles]:
    """Draw an image with points, and for each the similar pixels by every model and by labels."""
    (points, size), image = chosen_points(sample, args), picture(sample)
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


@torch.no_grad()
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = load_config(args)
    check_output('--out', args.out, read_paths(cfg))
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model = load_model(cfg, args.checkpoint, args.device or get_device())
    kind = choose_kind(model, args.kind)
    models = [model]
    if args.compare:
        args.config, checkpoint = args.compare
        models.append(load_model(load_config(args), checkpoint, args.device or get_device()))
    samples, meta = load_targets(cfg, args.target, args.images)
    if kind == 'points' and len(samples) > 1:
        raise ValueError(
            f'show_attention: expected one target image for --kind points, but got {len(samples)}; '
            'write one'
        )
    rows: list[Tiles] = []
    for sample in samples:
        if kind == 'points':
            rows += draw_points(cfg, model, sample, args)
        elif kind == 'discriminator':
            rows += discriminator_rows(model, sample, meta)
        elif kind == 'plain_points':
            rows += plain_point_rows(models, sample, args)
        else:
            rows += class_rows(model, sample, meta, kind == 'plain_classes')
    save_picture(tile_panel(rows, args.cell_width), Path(args.out))
    print(f'{args.out}: {kind} of {len(samples)} target image(s)')


if __name__ == '__main__':
    run_main(main)
