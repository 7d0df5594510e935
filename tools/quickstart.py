"""See adaptation at work: generate street scenes, train source only and DACS, compare them.

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

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmseg.registry import MODELS

import mmseg_uda  # noqa: F401 (registers)
from mmseg_uda.artifacts.checkpoint import find_latest_checkpoint
from mmseg_uda.engine.hooks.reference_context_hook import plain_dataset
from mmseg_uda.pipeline import Pipeline, read_pipeline
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.drawing import (
    error_map,
    label_to_color,
    loaded_to_rgb,
    outline_similar,
    save_picture,
)
from mmseg_uda.utils.palettes import legend_of
from mmseg_uda.utils.parser import ToolParser
from mmseg_uda.utils.sheets import Tile, tile_panel

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = ROOT / 'configs/mean_teacher/mean-teacher_pipeline.py'
STAGES = {'source only': 'source_only', 'DACS': 'dacs'}
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


@torch.no_grad()
def draw(pipeline: Pipeline, scores: dict[str, float], path: Path, count: int = 6) -> None:
    """Draw a sheet of images of both domains, labels, predictions and errors.

    Args:
        pipeline: What has run.
        scores: mIoU of both methods in per cent.
        path: File to write.
        count: Number of rows.
    """
    models = {method: load(pipeline, stage) for method, stage in STAGES.items()}
    config = pipeline.stages[STAGES['DACS']].load()
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
        errors = []
        for method, model in models.items():
            label = model.test_step(batch)[0].pred_sem_seg.data[0].numpy()
            row.append(label_tile(f'{method}: mIoU {scores[method]:.1f}', label))
            wrong = np.mean((label != truth)[truth < len(classes)])
            caption = f'errors of {method}: {wrong:.0%} of pixels'
            errors.append(Tile(caption, error_map(image, label, truth, len(classes))))
        # Titles stand above the first row; below it, those that have a number of the image.
        rows.append([*(tile._replace(caption='') if rows else tile for tile in row), *errors])
    sheet = tile_panel(rows, CELL, lambda width: legend_of(seen, classes, palette, width))
    save_picture(sheet, path)


def load(pipeline: Pipeline, stage: str) -> torch.nn.Module:
    model = MODELS.build(pipeline.stages[stage].load().model)
    checkpoint = find_latest_checkpoint(pipeline.stages[stage].directory)
    load_checkpoint(model, str(checkpoint), map_location='cpu')
    return model.eval()


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    init_default_scope('mmseg')
    start = time.time()
    args.work_dir = args.work_dir.absolute()  # configs there name it, wherever they are read
    data, weights = args.work_dir / 'data', args.work_dir / 'efficientnet_lite0.pth'
    os.environ.update(MMSEG_UDA_DATA=str(data), EFFICIENTNET_LITE0=str(weights))
    sizes = ('--train', NUM_TRAIN, '--val', NUM_VAL)
    # Both keep what is there.
    run_tool(ROOT / 'tools/dataset_converters/toy_street.py', data / 'toy_street', *sizes)
    if not weights.exists():
        run_tool(ROOT / 'tools/model_converters/efficientnet_lite.py', weights)
    directory = args.work_dir / f'seed{args.seed}'
    pipeline = read_pipeline(PIPELINE, {'seed': args.seed}, directory, cell='toy')
    pipeline.run()
    results = {
        method: json.loads((directory / f'{stage}_test/metrics.json').read_text())
        for method, stage in STAGES.items()
    }
    sheet = args.work_dir / f'contact_sheet_seed{args.seed}.png'
    draw(pipeline, {method: each['mIoU'] for method, each in results.items()}, sheet)
    print(f'\n{table(results)}\ncontact sheet: {sheet}\n{time.time() - start:.0f} s', flush=True)


if __name__ == '__main__':
    run_main(main)
