"""See adaptation at work: generate street scenes, train source only and CDANet, compare them.

Everything is written below the work directory; what is complete there is not done again, and a
training that was cut off goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import math
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
from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.utils.cli import build_runner
from mmseg_uda.utils.drawing import contact_sheet, heat_map, label_to_color, overlay

ROOT = Path(__file__).resolve().parents[1]
SOURCE_ONLY = 'source_only/source-only_toy_1xb2-600_toy-street-256x128.py'
CDANET = 'cdanet/cdanet_toy_1xb2-600_toy-street-256x128.py'
METHODS = {'source only': SOURCE_ONLY, 'CDANet': CDANET}
NUM_TRAIN, NUM_VAL = 400, 100


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', type=Path, default=ROOT / 'work_dirs' / 'quickstart')
    parser.add_argument('--seed', type=int, default=0, help='of weights, data order, augmentation')
    return parser.parse_args(argv)


def run_tool(*arguments: object) -> None:
    """Run a tool of the project in sight; stop where it stops."""
    code = subprocess.call([sys.executable, *map(str, arguments)])
    if code:
        sys.exit(code)


def generate(root: Path) -> None:
    """The embedded data; complete files are kept."""
    run_tool(
        ROOT / 'tools/dataset_converters/toy_street.py',
        root,
        '--train',
        NUM_TRAIN,
        '--val',
        NUM_VAL,
    )


def config_of(method: str) -> Path:
    return ROOT / 'configs' / METHODS[method]


def train(method: str, folder: Path, seed: int) -> Path:
    """Train unless the last checkpoint is there; give that checkpoint."""
    config = Config.fromfile(config_of(method))
    checkpoint = folder / f'iter_{config.train_cfg.max_iters}.pth'
    if not checkpoint.exists():
        run_tool(
            ROOT / 'tools/train.py',
            config_of(method),
            '--work-dir',
            folder,
            '--resume',
            '--cfg-options',
            f'randomness.seed={seed}',
        )
    return checkpoint


def evaluate(method: str, checkpoint: Path, folder: Path) -> dict[str, float]:
    """Stock test loop on the target's validation split; the result is kept beside the weights."""
    path = folder / 'metrics.json'
    if path.exists() and path.stat().st_mtime >= checkpoint.stat().st_mtime:
        return json.loads(path.read_text())
    config = Config.fromfile(config_of(method))
    config.work_dir, config.load_from = str(folder), str(checkpoint)
    config.test_evaluator = dict(type='SubsetIoUMetric', per_class=True)
    config.log_level = 'WARNING'
    # Persistent workers would outlive the test and be waited for in vain.
    config.test_dataloader.persistent_workers = False
    metrics = {key: float(value) for key, value in build_runner(config).test().items()}
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(metrics, indent=2))
    return metrics


def table(results: dict[str, dict[str, float]]) -> str:
    """Per-class IoU, the mean, and what adaptation gained, in percent."""
    before, after = results.values()
    rows = [(key[4:], before[key], after[key]) for key in before if key.startswith('IoU_')]
    rows.append(('mIoU', before['mIoU'], after['mIoU']))
    lines = [
        f'{"IoU on the target, %":22}'
        + ''.join(f'{name:>14}' for name in results)
        + f'{"gain":>10}'
    ]
    for name, low, high in rows:
        numbers = ['-' if math.isnan(x) else f'{x:.1f}' for x in (low, high)]
        gain = '-' if math.isnan(high - low) else f'{high - low:+.1f}'
        lines.append(f'{name:22}' + ''.join(f'{x:>14}' for x in numbers) + f'{gain:>10}')
    rule = '-' * len(lines[0])
    return '\n'.join([rule, lines[0], rule, *lines[1:-1], rule, lines[-1], rule])


def load(method: str, checkpoint: Path) -> torch.nn.Module:
    config = Config.fromfile(config_of(method))
    model = MODELS.build(config.model)
    load_checkpoint(model, str(checkpoint), map_location='cpu')
    return model.eval()


@torch.no_grad()
def draw(checkpoints: dict[str, Path], path: Path, count: int = 6) -> None:
    """Contact sheet: target image, ground truth, both predictions, where CDANet looks."""
    models = {method: load(method, checkpoint) for method, checkpoint in checkpoints.items()}
    config = Config.fromfile(config_of('CDANet'))
    dataset = Runner.build_dataloader(config.test_dataloader).dataset
    palette = dataset.metainfo['palette']
    rows = []
    for index in np.linspace(0, len(dataset) - 1, count).astype(int):
        item = dataset[int(index)]
        image = item['inputs'].permute(1, 2, 0).numpy()[..., ::-1]
        label = item['data_samples'].gt_sem_seg.data[0].numpy()
        batch = dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
        row = [image, label_to_color(label, palette)]
        for model in models.values():
            prediction = model.test_step(batch)[0].pred_sem_seg.data[0].numpy()
            row.append(label_to_color(prediction, palette))
        rows.append([*row, attention(models['CDANet'], batch, image)])
    sheet = contact_sheet(rows, ['target image', 'ground truth', *models, 'attention of the dot'])
    with atomic_write(path) as partial:
        partial.write_bytes(cv2.imencode('.png', sheet[..., ::-1])[1].tobytes())


def attention(model: torch.nn.Module, batch: dict[str, Any], image: np.ndarray) -> np.ndarray:
    """Over the image, where the middle of the road ahead looks."""
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
    generate(data / 'toy_street')
    results, checkpoints = {}, {}
    for method in METHODS:
        print(f'\nquickstart: {method}', flush=True)
        folder = args.work_dir / f'{method.replace(" ", "_").lower()}_seed{args.seed}'
        checkpoints[method] = train(method, folder, args.seed)
        results[method] = evaluate(method, checkpoints[method], folder)
    sheet = args.work_dir / f'contact_sheet_seed{args.seed}.png'
    draw(checkpoints, sheet)
    print(f'\n{table(results)}\ncontact sheet: {sheet}\n{time.time() - start:.0f} s', flush=True)


if __name__ == '__main__':
    main()
