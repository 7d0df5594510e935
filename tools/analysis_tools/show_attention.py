"""Draw where points of a target image look in a source image (Figure 6 of CDANet).

One picture: the target image with its marked points, the source image, and the source image under
the attention map of each point.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.compat import load_checkpoint
from mmseg_uda.engine.hooks.reference_context_hook import load_images, plain_dataset
from mmseg_uda.utils.drawing import heat_map, overlay, save_picture, tile_panel

COLUMNS = 3
Point = tuple[int, int]


def parse_point(text: str) -> Point:
    """``x,y`` in pixels."""
    try:
        x, y = (int(number) for number in text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'got {text!r}; write x,y in pixels') from None
    return x, y


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of CDANet')
    parser.add_argument('checkpoint')
    parser.add_argument('--source', metavar='IMG',
                        help="source image (default: the first of the config's source domain)")
    parser.add_argument('--target', metavar='IMG',
                        help='target image (default: the first of the test split)')
    parser.add_argument('--points', type=parse_point, nargs='+', metavar='x,y',
                        help='pixels of the target image (default: four spread over it)')
    parser.add_argument('--out', default='attention.png', help='picture to write')
    parser.add_argument('--device', default=None)
    parser.add_argument('--cell-width', type=int, default=480, help='of one picture, in pixels')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override settings of the config')
    return parser.parse_args(argv)


def load_model(cfg: Config, path: str, device: str) -> Any:
    """The config's model with the checkpoint's weights, in evaluation mode.

    Raises:
        ValueError: The checkpoint is of another model.
        TypeError: The model has no attention.
    """
    model = MODELS.build(cfg.model)
    if not hasattr(model.decode_head, 'attention_maps'):
        raise TypeError(f'show_attention: {type(model.decode_head).__name__} has no attention; '
                        'write the config of a model with a CrossDomainAttentionHead')
    state = load_checkpoint(path)
    result = model.load_state_dict(state.get('state_dict', state), strict=False)
    missing = [key for key in result.missing_keys if not key.startswith('discriminators.')]
    if missing:
        raise ValueError(f'show_attention: {path} lacks {missing[0]} and {len(missing) - 1} more '
                         'tensors; write a checkpoint that was trained with this config')
    return model.to(device).eval()


def load_sample(cfg: Config, domain: str, path: str | None) -> dict[str, Any]:
    """One image of a domain through that domain's pipeline, without augmentation."""
    if domain == 'source':
        loader = (cfg.get('train_dataloader') or {}).get('source')
    else:
        loader = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    if loader is None:
        key = 'train_dataloader.source' if domain == 'source' else 'test_dataloader'
        raise ValueError(f'show_attention: the config has no {key}; write the config that the '
                         'model was trained with')
    dataset = plain_dataset(cfg, loader['dataset'])
    return dataset[0] if path is None else load_images(dataset, [path])[0]


def picture(sample: dict[str, Any]) -> np.ndarray:
    """The image as the pipeline gives it, as RGB."""
    return np.ascontiguousarray(sample['inputs'].numpy()[::-1].transpose(1, 2, 0))


def extract(model: Any, sample: dict[str, Any], domain: str) -> tuple[Tensor, ...]:
    """The student's features of one image."""
    preprocessor = getattr(model.data_preprocessor, domain, model.data_preprocessor)
    return model.extract_feat(preprocessor(pseudo_collate([sample]), False)['inputs'])


def place(points: list[Point], size: tuple[int, int], grid: tuple[int, int]) -> list[Point]:
    """Move points (x, y) from an image of ``size`` (height, width) to a grid (height, width).

    Raises:
        ValueError: A point lies outside the image.
    """
    for x, y in points:
        if not (0 <= x < size[1] and 0 <= y < size[0]):
            raise ValueError(f'show_attention: --points got {x},{y}, but the target image is '
                             f'{size[1]}x{size[0]}; write points inside it')
    return [(int((x + .5) * grid[1] / size[1]), int((y + .5) * grid[0] / size[0]))
            for x, y in points]


def mark(image: np.ndarray, points: list[Point]) -> np.ndarray:
    """Number the points."""
    image = image.copy()
    radius = max(4, image.shape[1] // 80)
    for number, point in enumerate(points, 1):
        cv2.circle(image, point, radius, (255, 255, 255), -1)
        cv2.circle(image, point, radius - 1, (230, 30, 30), -1)
        corner = point[0] + radius + 1, point[1] + radius
        for color, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(image, str(number), corner, cv2.FONT_HERSHEY_SIMPLEX, radius / 8, color,
                        width, cv2.LINE_AA)
    return image


def draw(source: np.ndarray, target: np.ndarray, points: list[Point], maps: np.ndarray,
         cell_width: int) -> np.ndarray:
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
        tiles.append((f'point {number}: {values.size * values.max():.1f} x uniform at the peak',
                      overlay(source, heat, .6)))
    return tile_panel([tiles[i:i + COLUMNS] for i in range(0, len(tiles), COLUMNS)], cell_width)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model = load_model(cfg, args.checkpoint, args.device or get_device())
    samples = {domain: load_sample(cfg, domain, getattr(args, domain))
               for domain in ('source', 'target')}
    size = tuple(samples['target']['data_samples'].ori_shape[:2])
    points = args.points or [(int(size[1] * x), int(size[0] * y))
                             for x, y in ((.5, .2), (.2, .5), (.8, .5), (.5, .85))]
    with torch.no_grad():
        source, target = (extract(model, sample, name) for name, sample in samples.items())
        grid = target[model.decode_head.in_index].shape[2:]
        cells = place(points, size, grid)
        positions = torch.tensor([y * grid[1] + x for x, y in cells], device=target[0].device)
        maps = model.decode_head.attention_maps(source, target, positions)[0].float().cpu().numpy()
    images = {name: picture(sample) for name, sample in samples.items()}
    shown = place(points, size, images['target'].shape[:2])
    drawn = draw(images['source'], images['target'], shown, maps, args.cell_width)
    save_picture(drawn, Path(args.out))
    print(f'{args.out}: attention of {len(points)} points of '
          f'{samples["target"]["data_samples"].img_path} in '
          f'{samples["source"]["data_samples"].img_path}')


if __name__ == '__main__':
    main()
