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

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmseg.registry import MODELS

import mmseg_uda  # noqa: F401 (registers)
from mmseg_uda.artifacts.checkpoint import find_latest_checkpoint
from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.utils.cli import build_runner, run_main
from mmseg_uda.utils.drawing import contact_sheet, heat_map, label_to_color, overlay, save_picture
from mmseg_uda.utils.parser import ToolParser

ROOT = Path(__file__).resolve().parents[1]
METHODS = {
    'source only': 'source_only/source-only_toy_1xb2-600_toy-street-256x128.py',
    'CDANet': 'cdanet/cdanet_toy_1xb2-600_toy-street-256x128.py',
}
NUM_TRAIN, NUM_VAL = 400, 100


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
def draw(checkpoints: dict[str, Path], path: Path, count: int = 6) -> None:
    """Draw target images, ground truth, both predictions, and CDANet's attention of a point."""
    models = {method: load(method, checkpoint) for method, checkpoint in checkpoints.items()}
    config = Config.fromfile(config_of('CDANet'))
    dataset = Runner.build_dataloader(config.test_dataloader).dataset
    rows = []
    for index in np.linspace(0, len(dataset) - 1, count).astype(int):
        item = dataset[int(index)]
        image = item['inputs'].permute(1, 2, 0).numpy()[..., ::-1]
        batch = {key: [value] for key, value in item.items()}
        labels = [item['data_samples'].gt_sem_seg]
        labels += [model.test_step(batch)[0].pred_sem_seg for model in models.values()]
        palette = dataset.metainfo['palette']
        painted = [label_to_color(label.data[0].numpy(), palette) for label in labels]
        rows.append([image, *painted, attention(models['CDANet'], batch, image)])
    titles = ['target image', 'ground truth', *models, 'attention of the dot']
    save_picture(contact_sheet(rows, titles), path)


def attention(model: torch.nn.Module, batch: dict[str, Any], image: np.ndarray) -> np.ndarray:
    """Draw the attention of a point in the middle of the road over the image."""
    features = model.extract_feat(model.data_preprocessor(batch, False)['inputs'])
    height, width = features[model.decode_head.in_index].shape[2:]
    y, x = int(height * 0.8), width // 2
    rows = model.decode_head.attention_maps(features, features, torch.tensor([y * width + x]))
    values = cv2.resize(rows[0, 0].numpy(), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    picture = np.ascontiguousarray(overlay(image, heat_map(values)))
    scale = image.shape[0] / height
    cv2.circle(picture, (int(x * scale), int(y * scale)), 4, (255, 255, 255), -1)
    return picture


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
    draw(checkpoints, sheet)
    print(f'\n{table(results)}\ncontact sheet: {sheet}\n{time.time() - start:.0f} s', flush=True)


if __name__ == '__main__':
    run_main(main)
