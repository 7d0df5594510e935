"""See adaptation at work: generate street scenes, train source only and CDANet, compare them.

All results are written to the work directory. Complete ones are kept, and an interrupted training
resumes from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmseg.registry import MODELS

import mmseg_uda  # noqa: F401 (registers)
from mmseg_uda.artifacts.checkpoint import find_latest_checkpoint
from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.engine.hooks.reference_context_hook import plain_dataset
from mmseg_uda.utils.cli import build_runner, run_main
from mmseg_uda.utils.drawing import (
    error_map,
    label_to_color,
    loaded_to_rgb,
    mark_points,
    outline_similar,
    save_picture,
)
from mmseg_uda.utils.heat_maps import stretch_map
from mmseg_uda.utils.palettes import legend_of
from mmseg_uda.utils.parser import ToolParser
from mmseg_uda.utils.sheets import Tile, heat_tile, tile_panel

ROOT = Path(__file__).resolve().parents[1]
METHODS = {
    'source only': 'source_only/source-only_toy_1xb2-600_toy-street-256x128.py',
    'CDANet': 'cdanet/cdanet_toy_1xb2-600_toy-street-256x128.py',
}
NUM_TRAIN, NUM_VAL = 400, 100
CELL = 320  # width of a picture on the sheet, in pixels


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', type=Path, default=ROOT / 'work_dirs' / 'quickstart')
    parser.add_argument('--seed', type=int, default=0, help='of weights, data order, augmentation')
    return parser.parse_args(argv)


def run_tool(*arguments: object) -> None:
    """Run a tool of the project in the foreground and propagate its exit code."""
    with subprocess.Popen([sys.executable, *map(str, arguments)]) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:  # or another signal, which the tool may not have got
            process.terminate()
            raise
    if code:
        sys.exit(code if code > 0 else 128 - code)  # below 0: a signal ended it


def config_of(method: str) -> Path:
    return ROOT / 'configs' / METHODS[method]


def train(method: str, directory: Path, seed: int) -> Path:
    """Train a method unless its last checkpoint is there, and return that checkpoint."""
    config = config_of(method)
    checkpoint = directory / f'iter_{Config.fromfile(config).train_cfg.max_iters}.pth'
    if find_latest_checkpoint(directory) != checkpoint:  # missing or damaged
        flags = ('--resume', '--cfg-options', f'randomness.seed={seed}')
        run_tool(ROOT / 'tools/train.py', config, '--work-dir', directory, *flags)
    return checkpoint


def evaluate(method: str, checkpoint: Path, directory: Path) -> dict[str, float]:
    """Test on the target's validation split, unless the metrics beside the weights are newer."""
    path = directory / 'metrics.json'
    if path.exists() and path.stat().st_mtime >= checkpoint.stat().st_mtime:
        return json.loads(path.read_text())
    config = Config.fromfile(config_of(method))
    config.work_dir, config.load_from = str(directory), str(checkpoint)
    config.test_evaluator = dict(type='SubsetIoUMetric', per_class=True)
    config.log_level = 'WARNING'
    # Persistent workers would outlive the test and be waited for in vain.
    config.test_dataloader.persistent_workers = False
    metrics = {key: float(value) for key, value in build_runner(config).test().items()}
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(metrics, indent=2))
    return metrics


def table(results: dict[str, dict[str, float]]) -> str:
    """Format the IoU of each class, the mean, and the gain by adaptation, in percent."""
    before, after = results.values()
    rows = [['IoU on the target, %', *results, 'gain']]
    for key in [*(key for key in before if key.startswith('IoU_')), 'mIoU']:
        low, high = before[key], after[key]
        cells = [f'{low:.1f}', f'{high:.1f}', f'{high - low:+.1f}']
        cells = ['-' if 'nan' in cell else cell for cell in cells]  # a class without pixels
        rows.append([key.removeprefix('IoU_'), *cells])
    lines = [f'{name:22}{one:>14}{other:>14}{gain:>10}' for name, one, other, gain in rows]
    rule = '-' * len(lines[0])
    return '\n'.join([rule, lines[0], rule, *lines[1:-1], rule, lines[-1], rule])


def load(method: str, checkpoint: Path) -> torch.nn.Module:
    model = MODELS.build(Config.fromfile(config_of(method)).model)
    load_checkpoint(model, str(checkpoint), map_location='cpu')
    return model.eval()


@torch.no_grad()
def draw(
    checkpoints: dict[str, Path], scores: dict[str, float], path: Path, count: int = 6
) -> None:
    """Draw a sheet of images of both domains, labels, errors and CDANet's attention of a point.

    Args:
        checkpoints: Those of both methods.
        scores: Their mIoU in per cent.
        path: File to write.
        count: Number of rows.
    """
    models = {method: load(method, checkpoint) for method, checkpoint in checkpoints.items()}
    config = Config.fromfile(config_of('CDANet'))
    sources = plain_dataset(config.train_dataloader.source.dataset)
    dataset = Runner.build_dataloader(config.test_dataloader).dataset
    classes, palette = dataset.metainfo['classes'], dataset.metainfo['palette']
    seen: set[int] = set()

    def label_tile(caption: str, label: np.ndarray) -> Tile:
        seen.update(np.unique(label).tolist())
        return Tile(caption, outline_similar(label_to_color(label, palette), label, palette))

    rows = []
    for index in np.linspace(0, len(dataset) - 1, count).astype(int):
        item, source = dataset[int(index)], sources[int(index) % len(sources)]
        image = loaded_to_rgb(item['inputs'].numpy())
        batch = {key: [value] for key, value in item.items()}
        truth = item['data_samples'].gt_sem_seg.data[0].numpy()
        row = [
            Tile('source image', loaded_to_rgb(source['inputs'].numpy())),
            Tile('target image', image),
            label_tile('ground truth', truth),
        ]
        for method, model in models.items():
            label = model.test_step(batch)[0].pred_sem_seg.data[0].numpy()
            row.append(label_tile(f'{method}: mIoU {scores[method]:.1f}', label))
        wrong = np.mean((label != truth)[truth < len(classes)])
        errors = error_map(image, label, truth, len(classes))
        row.append(Tile(f'errors of {method}: {wrong:.0%} of pixels', errors))
        row.append(attention(models['CDANet'], batch, image))
        # Titles stand above the first row; below it, those that have a number of the image.
        if rows:
            row[:-2] = [tile._replace(caption='') for tile in row[:-2]]
        rows.append(row)
    sheet = tile_panel(rows, CELL, lambda width: legend_of(seen, classes, palette, width))
    save_picture(sheet, path)


def attention(model: torch.nn.Module, batch: dict[str, Any], image: np.ndarray) -> Tile:
    """Draw the attention of a point in the middle of the road over the image."""
    features = model.extract_feat(model.data_preprocessor(batch, False)['inputs'])
    height, width = features[model.decode_head.in_index].shape[2:]
    y, x = int(height * 0.8), width // 2
    maps = model.decode_head.attention_maps(features, features, torch.tensor([y * width + x]))
    values = stretch_map(maps[0, 0] * height * width, image)  # 1 is uniform attention
    tile = heat_tile('attention of the dot, x uniform', values, image, (0, max(1.1, values.max())))
    scale = image.shape[0] / height
    return tile._replace(picture=mark_points(tile.picture, [(int(x * scale), int(y * scale))]))


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    init_default_scope('mmseg')
    start = time.time()
    data = args.work_dir / 'data'
    os.environ['MMSEG_UDA_DATA'] = str(data)
    converter = ROOT / 'tools/dataset_converters/toy_street.py'
    sizes = ('--train', NUM_TRAIN, '--val', NUM_VAL)
    run_tool(converter, data / 'toy_street', *sizes)  # keeps images that are there
    results, checkpoints = {}, {}
    for method in METHODS:
        print(f'\nquickstart: {method}', flush=True)
        directory = args.work_dir / f'{method.replace(" ", "_").lower()}_seed{args.seed}'
        checkpoints[method] = train(method, directory, args.seed)
        results[method] = evaluate(method, checkpoints[method], directory)
    sheet = args.work_dir / f'contact_sheet_seed{args.seed}.png'
    draw(checkpoints, {method: each['mIoU'] for method, each in results.items()}, sheet)
    print(f'\n{table(results)}\ncontact sheet: {sheet}\n{time.time() - start:.0f} s', flush=True)


if __name__ == '__main__':
    run_main(main)
