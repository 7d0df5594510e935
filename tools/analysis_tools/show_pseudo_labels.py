"""Show pseudo labels and their coverage over rounds of self-training.

Writes ``labels.png`` (an image per row, its labels in every round), ``coverage.png`` (the kept
share of each class over the rounds) and the same as a table, ``coverage.md``.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt
import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.artifacts.outputs import check_directory, check_output
from mmseg_uda.artifacts.pseudo_labels import Manifest
from mmseg_uda.config.reads import FILES, read_paths
from mmseg_uda.engine.hooks.reference_context_hook import plain_dataset
from mmseg_uda.pseudo_labels.quality import label_quality, labelled_images
from mmseg_uda.structures import IGNORE_INDEX
from mmseg_uda.utils.cli import config_parser, load_config, run_main
from mmseg_uda.utils.drawing import label_to_color, outline_similar, save_picture
from mmseg_uda.utils.palettes import legend_of
from mmseg_uda.utils.parser import at_least
from mmseg_uda.utils.sheets import Tile, tile_panel

Row = list[Tile]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = config_parser(__doc__)
    add = parser.add_argument
    rounds_help = 'directories of tools/generate_pseudo_labels.py, first round first'
    add('rounds', nargs='+', metavar='ROUND_DIR', help=rounds_help)
    add('--config', required=True, help='config whose target images were labelled')
    add('--out', required=True, metavar='DIR')
    add(
        '--labels',
        metavar='DIR',
        help='true labels of the images, relative to the data_root of train_dataloader.target; '
        'read as the validation set reads its own',
    )
    images_help = 'images to show, spread over the dataset (default: 4)'
    add('--images', type=at_least(1), default=4, metavar='N', help=images_help)
    add('--cell-width', type=at_least(1), default=384, help='of one picture, in pixels')
    return parser.parse_args(argv)


def read_manifests(directories: list[str], num_classes: int) -> list[Manifest]:
    """Read the manifest of each round.

    Raises:
        FileNotFoundError: A directory has none.
        ValueError: One is not complete, or of other classes.
    """
    manifests = [Manifest.read(directory) for directory in directories]
    for directory, manifest in zip(directories, manifests):
        manifest.check(directory, num_classes)
    return manifests


def target_dataset(cfg: Config) -> Any:
    """Build the target's training images, without labels or augmentation."""
    target = (cfg.get('train_dataloader') or {}).get('target')
    if not target:
        raise ValueError(
            'show_pseudo_labels: expected train_dataloader.target in the config, but got none; '
            'write the config whose images were labelled'
        )
    return plain_dataset(target['dataset'])


def spread(count: int, length: int) -> list[int]:
    """Choose ``count`` of ``length`` indices, the first of each of as many equal parts."""
    count = min(count, length)
    return [index * length // count for index in range(count)]


def image_rows(
    dataset: Any, directories: list[str], manifests: list[Manifest], count: int
) -> tuple[list[Row], set[int]]:
    """Draw images, each with its labels in every round; gives the ids that occur, too.

    Raises:
        ValueError: No image of the dataset has a label in every round.
        FileNotFoundError: A label is missing.
    """
    paths = [dataset.get_data_info(index)['img_path'] for index in range(len(dataset))]
    found = [path for path in paths if all(manifest.find(path) for manifest in manifests)]
    if not found:
        raise ValueError(
            'show_pseudo_labels: expected labels of the target images, but got none in every '
            f'round for any of the {len(paths)}; write the config whose images were labelled'
        )
    palette = dataset.metainfo['palette']
    rows: list[Row] = []
    seen: set[int] = set()
    for path in (found[index] for index in spread(count, len(found))):
        row = [Tile(Path(path).name, cv2.imread(path)[..., ::-1])]
        for number, (directory, manifest) in enumerate(zip(directories, manifests), 1):
            file = Path(directory, str(manifest.find(path)))
            label = cv2.imread(str(file), cv2.IMREAD_UNCHANGED) if file.is_file() else None
            if label is None:
                raise FileNotFoundError(
                    f'show_pseudo_labels: expected the label {file}, but got no such file; run '
                    'tools/generate_pseudo_labels.py again to write it'
                )
            kept = 100 * np.mean(label != IGNORE_INDEX)
            seen.update(np.unique(label).tolist())
            picture = outline_similar(label_to_color(label, palette), label, palette)
            row.append(Tile(f'round {number}: {kept:.1f} % kept', picture))
        rows.append(row)
    return rows, seen


def percentages(manifests: list[Manifest]) -> np.ndarray:
    """Collect the kept share of each class and, last, of all pixels; (C + 1, rounds), in percent.

    It is NaN where a class was never predicted.
    """
    columns = [[*manifest.coverage, manifest.kept_share] for manifest in manifests]
    return 100 * np.array(columns, dtype=float).T  # None becomes NaN


def quality(
    cfg: Config, labels: str, directories: list[str], manifests: list[Manifest]
) -> list[np.ndarray]:
    """Judge the labels of each round; precision and IoU, (C + 1, rounds) each, in percent."""
    validation = (cfg.get('val_dataloader') or {}).get('dataset')
    if not validation:
        raise ValueError(
            'show_pseudo_labels: expected val_dataloader in the config, whose dataset says how '
            'labels are read, but got none; write it'
        )
    dataset = labelled_images(cfg.train_dataloader.target.dataset, validation, labels)
    found = [label_quality(*each, dataset) for each in zip(directories, manifests)]
    return [100 * np.stack(columns, axis=1) for columns in zip(*found)]


def table(classes: Sequence[str], coverage: np.ndarray) -> str:
    """Format shares as a Markdown table, with a dash for NaN."""
    rounds = [f'round {number}' for number in range(1, coverage.shape[1] + 1)]
    lines = [f'| class | {" | ".join(rounds)} |', '|---' * (1 + len(rounds)) + '|']
    for name, values in zip([*classes, '**all**'], coverage):
        cells = ['–' if math.isnan(value) else f'{value:.1f}' for value in values]
        lines.append(f'| {name} | {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def plot(
    classes: Sequence[str], palette: Sequence[Sequence[int]], coverage: np.ndarray
) -> plt.Figure:
    """Plot the coverage of each class over the rounds in its colour; of all pixels in black."""
    figure, axes = plt.subplots(figsize=(8, 5), layout='constrained')
    rounds = range(1, coverage.shape[1] + 1)
    for name, color, values in zip(classes, palette, coverage):
        rgb = [channel / 255 for channel in color]
        axes.plot(rounds, values, marker='o', markersize=4, label=name, color=rgb)
    axes.plot(rounds, coverage[-1], 'k--', label='all')
    axes.set_xticks(rounds)
    axes.set_xlabel('round')
    axes.set_ylabel('kept of the predicted pixels, %')
    axes.grid(alpha=0.3)
    axes.legend(loc='upper left', bbox_to_anchor=(1.01, 1), fontsize='small')
    return figure


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    out, cfg = Path(args.out), load_config(args)
    check_output('--out', out, read_paths(cfg, but=FILES))
    check_directory('--out', out)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    dataset = target_dataset(cfg)
    classes = dataset.metainfo['classes']
    manifests = read_manifests(args.rounds, len(classes))
    # By a file's name: it may be above the rounds, but must not be one or inside of one.
    check_output('--out', out / 'labels.png', [('ROUND_DIR', each) for each in args.rounds])
    rows, seen = image_rows(dataset, args.rounds, manifests, args.images)
    coverage = percentages(manifests)
    text = table(classes, coverage)
    if args.labels:
        precision, iou = quality(cfg, args.labels, args.rounds, manifests)
        text = f'Kept of the predicted pixels, %\n\n{text}\n'
        text += f'Right of the kept pixels, %\n\n{table(classes, precision)}\n'
        text += f'IoU, a pixel without a label being a miss, %\n\n{table(classes, iou)}'
    palette = dataset.metainfo['palette']
    sheet = tile_panel(
        rows, args.cell_width, lambda width: legend_of(seen, classes, palette, width)
    )
    save_picture(sheet, out / 'labels.png')
    with atomic_write(out / 'coverage.md', keep=True) as partial:
        partial.write_text(text, encoding='utf-8')
    figure = plot(classes, palette, coverage)
    with atomic_write(out / 'coverage.png', keep=True) as partial:
        figure.savefig(partial, format='png', dpi=150)
    plt.close(figure)
    print(f'{text}\n{out / "labels.png"}, {out / "coverage.png"}, {out / "coverage.md"}')


if __name__ == '__main__':
    run_main(main)
