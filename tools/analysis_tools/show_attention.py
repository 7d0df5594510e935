"""Draw what a model's attention looks at; which one follows from the model.

points         CDANet (its Figure 6): where points of a target image look in a source image
classes        SAM (its Figure 3): what is similar to the most confident pixel of each class
plain_classes  the same for a network's own scores, of any model
discriminator  DAST (its Figure 3): where features of the target are badly aligned

One picture, with a block of rows for each target image.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from torch import Tensor

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.artifacts.checkpoint import load_into, load_weights
from mmseg_uda.config.tables import read_config
from mmseg_uda.engine.hooks.reference_context_hook import load_images, plain_dataset
from mmseg_uda.engine.observe import segment
from mmseg_uda.models.class_attention import class_attention, self_attention_of
from mmseg_uda.structures import ImageBatch
from mmseg_uda.utils.drawing import heat_map, label_to_color, overlay, save_picture, tile_panel

COLUMNS = 3
KINDS = ('points', 'classes', 'plain_classes', 'discriminator')
Point = tuple[int, int]
Sample = dict[str, Any]
Tiles = list[tuple[str, np.ndarray]]


def parse_point(text: str) -> Point:
    """``x,y`` in pixels."""
    try:
        x, y = (int(number) for number in text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'got {text!r}; write x,y in pixels') from None
    return x, y


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of the model')
    parser.add_argument('checkpoint')
    parser.add_argument('--kind', choices=KINDS, help='(default: what the model has)')
    parser.add_argument(
        '--target',
        metavar='IMG',
        nargs='+',
        help='target images (default: the first of the test split)',
    )
    parser.add_argument(
        '--images',
        type=int,
        default=1,
        metavar='N',
        help='how many of the test split without --target (default: 1)',
    )
    parser.add_argument(
        '--source',
        metavar='IMG',
        help="points: source image (default: the first of the config's source domain)",
    )
    parser.add_argument(
        '--points',
        type=parse_point,
        nargs='+',
        metavar='x,y',
        help='points: pixels of the target image (default: four spread over it)',
    )
    parser.add_argument('--out', default='attention.png', help='picture to write')
    parser.add_argument('--device', default=None)
    parser.add_argument('--cell-width', type=int, default=480, help='of one picture, in pixels')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config',
    )
    args = parser.parse_args(argv)
    if args.images < 1:
        parser.error(f'--images got {args.images}; write at least 1')
    return args


def load_model(cfg: Config, path: str, device: str) -> Any:
    """The config's model with the checkpoint's weights, in evaluation mode.

    Raises:
        ValueError: The checkpoint is of another model.
    """
    model = MODELS.build(cfg.model)
    load_into(f'show_attention: {path}', model, load_weights(path))
    return model.to(device).eval()


def choose_kind(model: Any, wanted: str | None) -> str:
    """What to draw.

    Raises:
        TypeError: The model has not the attention that is asked for, or none.
    """
    head = model.decode_head
    has = dict(
        points=hasattr(head, 'attention_maps'),
        discriminator=hasattr(getattr(model, 'student', model), 'attention'),
        classes=self_attention_of(model) is not None,
    )
    kinds = [kind for kind, there in has.items() if there]
    if wanted in kinds or wanted == 'plain_classes':
        return wanted
    if wanted is None and kinds:
        return kinds[0]
    raise TypeError(
        f'show_attention: {type(head).__name__} has no attention'
        + (f' of kind {wanted}' if wanted else '')
        + '; write the config of a model '
        f'with one, or --kind {" or ".join([*kinds, "plain_classes"])}'
    )


def load_source(cfg: Config, path: str | None) -> Sample:
    """One source image through its pipeline, without augmentation."""
    loader = (cfg.get('train_dataloader') or {}).get('source')
    if loader is None:
        raise ValueError(
            'show_attention: the config has no train_dataloader.source; write the '
            'config that the model was trained with'
        )
    dataset = plain_dataset(cfg, loader['dataset'])
    return dataset[0] if path is None else load_images(dataset, [path])[0]


def load_targets(
    cfg: Config,
    paths: Sequence[str] | None,
    count: int,
) -> tuple[list[Sample], dict[str, Any]]:
    """Target images, with ground truth where they are the test split's own, and its meta data."""
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    if loader is None:
        raise ValueError(
            'show_attention: the config has no test_dataloader; write the config that '
            'the model was trained with'
        )
    dataset = plain_dataset(cfg, loader['dataset'])
    if paths is not None:
        return load_images(dataset, paths), dataset.metainfo
    dataset = DATASETS.build(loader['dataset'])
    return [dataset[index] for index in range(min(count, len(dataset)))], dataset.metainfo


def picture(sample: Sample) -> np.ndarray:
    """The image as the pipeline gives it, as RGB."""
    return np.ascontiguousarray(sample['inputs'].numpy()[::-1].transpose(1, 2, 0))


def preprocess(model: Any, sample: Sample, domain: str) -> ImageBatch:
    """One image as the network sees it."""
    preprocessor = getattr(model.data_preprocessor, domain, model.data_preprocessor)
    return ImageBatch(*preprocessor(pseudo_collate([sample]), False).values())


def place(points: list[Point], size: tuple[int, int], grid: tuple[int, int]) -> list[Point]:
    """Move points (x, y) from an image of ``size`` (height, width) to a grid (height, width).

    Raises:
        ValueError: A point lies outside the image.
    """
    for x, y in points:
        if not (0 <= x < size[1] and 0 <= y < size[0]):
            raise ValueError(
                f'show_attention: --points got {x},{y}, but the target image is '
                f'{size[1]}x{size[0]}; write points inside it'
            )
    return [
        (int((x + 0.5) * grid[1] / size[1]), int((y + 0.5) * grid[0] / size[0])) for x, y in points
    ]


def mark(image: np.ndarray, points: list[Point]) -> np.ndarray:
    """Number the points."""
    image = image.copy()
    radius = max(4, image.shape[1] // 80)
    for number, point in enumerate(points, 1):
        cv2.circle(image, point, radius, (255, 255, 255), -1)
        cv2.circle(image, point, radius - 1, (230, 30, 30), -1)
        corner = point[0] + radius + 1, point[1] + radius
        for color, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(
                image,
                str(number),
                corner,
                cv2.FONT_HERSHEY_SIMPLEX,
                radius / 8,
                color,
                width,
                cv2.LINE_AA,
            )
    return image


def draw(
    source: np.ndarray, target: np.ndarray, points: list[Point], maps: np.ndarray, cell_width: int
) -> np.ndarray:
    """The whole picture.

    Args:
        source: RGB, shape (H_s, W_s, 3).
        target: RGB, shape (H_t, W_t, 3).
        points: In pixels of ``target``.
        maps: Attention of each point over the source, shape (P, h, w).
        cell_width: Width of one picture.
    """
    size = source.shape[1::-1]
    tiles = [('target', mark(target, points)), ('source', source)]
    for number, values in enumerate(maps, 1):
        # Rounding errors of an even attention are not to look like a pattern.
        high = max(values.max(), 1.1 / values.size)
        heat = heat_map(cv2.resize(values, size, interpolation=cv2.INTER_LINEAR), high=high)
        tiles.append(
            (
                f'point {number}: {values.size * values.max():.1f} x uniform at the peak',
                overlay(source, heat, 0.6),
            )
        )
    return tile_panel([tiles[i : i + COLUMNS] for i in range(0, len(tiles), COLUMNS)], cell_width)


def draw_points(cfg: Config, model: Any, sample: Sample, args: argparse.Namespace) -> np.ndarray:
    """The picture of ``points``."""
    source = load_source(cfg, args.source)
    size = tuple(sample['data_samples'].ori_shape[:2])
    points = args.points or [
        (int(size[1] * x), int(size[0] * y))
        for x, y in ((0.5, 0.2), (0.2, 0.5), (0.8, 0.5), (0.5, 0.85))
    ]
    features = [
        model.extract_feat(preprocess(model, one, domain).images)
        for domain, one in dict(source=source, target=sample).items()
    ]
    grid = features[1][model.decode_head.in_index].shape[2:]
    cells = place(points, size, grid)
    positions = torch.tensor([y * grid[1] + x for x, y in cells], device=features[1][0].device)
    maps = model.decode_head.attention_maps(*features, positions)[0].float().cpu().numpy()
    image = picture(sample)
    print(
        f'{len(points)} points of {sample["data_samples"].img_path} in '
        f'{source["data_samples"].img_path}'
    )
    return draw(picture(source), image, place(points, size, image.shape[:2]), maps, args.cell_width)


def label_tiles(model: Any, sample: Sample, batch: ImageBatch, palette: Any) -> Tiles:
    """Prediction, and ground truth if there is one."""
    height, width = sample['inputs'].shape[1:]
    label = segment(model, batch)[0][0, :height, :width].cpu().numpy()
    tiles = [('prediction', label_to_color(label, palette))]
    if 'gt_sem_seg' in sample['data_samples']:
        truth = sample['data_samples'].gt_sem_seg.data[0].numpy()
        tiles.append(('ground truth', label_to_color(truth, palette)))
    return tiles


def stretch(values: Tensor, image: np.ndarray) -> np.ndarray:
    """A map (h, w) at the size of an image."""
    return cv2.resize(
        values.float().cpu().numpy(), image.shape[1::-1], interpolation=cv2.INTER_LINEAR
    )


def class_rows(model: Any, sample: Sample, meta: dict[str, Any], plain: bool) -> list[Tiles]:
    """An image with the most confident pixels, its labels, and a map for each of the pixels."""
    batch, image = preprocess(model, sample, 'target'), picture(sample)
    view = class_attention(model, batch.images, plain)
    grid = (view.maps.shape[1], view.maps.shape[2])
    cells = [(position % grid[1], position // grid[1]) for position in view.positions.tolist()]
    tiles = [
        ('most confident pixels', mark(image, place(cells, grid, image.shape[:2]))),
        *label_tiles(model, sample, batch, meta['palette']),
    ]
    maps: Tiles = []
    for number, (index, values) in enumerate(zip(view.classes.tolist(), view.maps), 1):
        heat = heat_map(stretch(values, image), 0, 1)
        maps.append((f'{number}: {meta["classes"][index]}', overlay(image, heat, 0.6)))
    return [tiles, *(maps[i : i + COLUMNS] for i in range(0, len(maps), COLUMNS))]


def discriminator_rows(model: Any, sample: Sample, meta: dict[str, Any]) -> list[Tiles]:
    """An image, the attention on it, and its labels."""
    batch, image = preprocess(model, sample, 'target'), picture(sample)
    segmentor = getattr(model, 'student', model)
    values = stretch(segmentor.attention.attention_map(segmentor, batch.images)[0], image)
    return [
        [
            ('target', image),
            (f'attention, {values.min():.2f} to {values.max():.2f}', heat_map(values)),
            *label_tiles(model, sample, batch, meta['palette']),
        ]
    ]


@torch.no_grad()
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = read_config(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model = load_model(cfg, args.checkpoint, args.device or get_device())
    kind = choose_kind(model, args.kind)
    samples, meta = load_targets(cfg, args.target, args.images)
    if kind == 'points':
        if len(samples) > 1:
            raise ValueError(
                f'show_attention: --kind points got {len(samples)} target images; write one'
            )
        panel = draw_points(cfg, model, samples[0], args)
    else:
        rows: list[Tiles] = []
        for sample in samples:
            rows += (
                discriminator_rows(model, sample, meta)
                if kind == 'discriminator'
                else class_rows(model, sample, meta, kind == 'plain_classes')
            )
        panel = tile_panel(rows, args.cell_width)
    save_picture(panel, Path(args.out))
    print(f'{args.out}: {kind} of {len(samples)} target image(s)')


if __name__ == '__main__':
    main()
