"""Show how pseudo labels grow over rounds of self-training.

Writes ``labels.png`` (a row per image, a column per round), ``coverage.png`` (kept share of each
class over the rounds) and the same as a table, ``coverage.md``.
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
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.artifacts.pseudo_labels import Manifest
from mmseg_uda.config.tables import read_config
from mmseg_uda.engine.hooks.reference_context_hook import plain_dataset
from mmseg_uda.structures import IGNORE_INDEX
from mmseg_uda.utils.drawing import label_to_color, save_picture, tile_panel

Row = list[tuple[str, np.ndarray]]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'rounds',
        nargs='+',
        metavar='ROUND_DIR',
        help='folders of tools/generate_pseudo_labels.py, first round first',
    )
    parser.add_argument(
        '--config',
        required=True,
        help='whose target images were labelled: for images, names and colours',
    )
    parser.add_argument('--out', required=True, metavar='DIR')
    parser.add_argument(
        '--images',
        type=int,
        default=4,
        metavar='N',
        help='images to show, spread over the set (default: 4)',
    )
    parser.add_argument('--cell-width', type=int, default=384, help='of one picture, in pixels')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config',
    )
    return parser.parse_args(argv)


def read_manifests(folders: list[str], num_classes: int) -> list[Manifest]:
    """The rounds' manifests.

    Raises:
        FileNotFoundError: A folder has none.
        ValueError: One is not complete, or of other classes.
    """
    manifests = [Manifest.read(folder) for folder in folders]
    for folder, manifest in zip(folders, manifests):
        manifest.check(folder, num_classes)
    return manifests


def target_dataset(cfg: Config) -> Any:
    """The target's training images, without labels or augmentation."""
    target = (cfg.get('train_dataloader') or {}).get('target')
    if not target:
        raise ValueError(
            'show_pseudo_labels: the config has no train_dataloader.target; write the '
            'config whose images were labelled'
        )
    return plain_dataset(cfg, target['dataset'])


def spread(count: int, length: int) -> list[int]:
    """``count`` of ``length`` indices, the first of each of as many equal parts."""
    return (
        [index * length // count for index in range(count)] if count < length else [*range(length)]
    )


def image_rows(
    dataset: Any,
    folders: list[str],
    manifests: list[Manifest],
    count: int,
) -> list[Row]:
    """An image and its labels in every round.

    Raises:
        ValueError: No image of the data set, or not in every round, has a label.
        FileNotFoundError: A label is gone.
    """
    paths = [dataset.get_data_info(index)['img_path'] for index in range(len(dataset))]
    found = [path for path in paths if all(manifest.find(path) for manifest in manifests)]
    if not found:
        raise ValueError(
            f'show_pseudo_labels: none of the {len(paths)} target images of the '
            'config has a label in every round; write the config whose images were '
            'labelled'
        )
    palette = dataset.metainfo['palette']
    rows = []
    for path in (found[index] for index in spread(count, len(found))):
        row = [(Path(path).name, cv2.imread(path)[..., ::-1])]
        for number, (folder, manifest) in enumerate(zip(folders, manifests), 1):
            file = Path(folder, str(manifest.find(path)))
            label = cv2.imread(str(file), cv2.IMREAD_UNCHANGED) if file.is_file() else None
            if label is None:
                raise FileNotFoundError(
                    f'show_pseudo_labels: {file} is missing; run '
                    'tools/generate_pseudo_labels.py again to write it'
                )
            kept = 100 * np.mean(label != IGNORE_INDEX)
            row.append((f'round {number}: {kept:.1f} % kept', label_to_color(label, palette)))
        rows.append(row)
    return rows


def total(manifest: Manifest) -> float:
    """Share of all pixels that carry a label."""
    return sum(manifest.kept_pixels) / sum(manifest.predicted_pixels)


def table(classes: Sequence[str], manifests: list[Manifest]) -> str:
    """Coverage in percent as a Markdown table; a dash where a class was never predicted."""
    rounds = [f'round {number}' for number in range(1, len(manifests) + 1)]
    lines = [f'| class | {" | ".join(rounds)} |', '|---' * (1 + len(rounds)) + '|']
    for name, *values in zip(classes, *(manifest.coverage for manifest in manifests)):
        cells = ['–' if value is None else f'{100 * value:.1f}' for value in values]
        lines.append(f'| {name} | {" | ".join(cells)} |')
    lines.append(f'| **all** | {" | ".join(f"{100 * total(m):.1f}" for m in manifests)} |')
    return '\n'.join(lines) + '\n'


def plot(
    classes: Sequence[str], palette: Sequence[Sequence[int]], manifests: list[Manifest]
) -> plt.Figure:
    """Coverage of each class over the rounds, in the class's colour; black for all pixels."""
    figure, axes = plt.subplots(figsize=(8, 5), layout='constrained')
    rounds = range(1, len(manifests) + 1)
    coverage = np.array(
        [
            [math.nan if value is None else 100 * value for value in manifest.coverage]
            for manifest in manifests
        ]
    )
    for index, (name, color) in enumerate(zip(classes, palette)):
        axes.plot(
            rounds,
            coverage[:, index],
            marker='o',
            markersize=4,
            label=name,
            color=[channel / 255 for channel in color],
        )
    axes.plot(rounds, [100 * total(manifest) for manifest in manifests], 'k--', label='all')
    axes.set_xticks(rounds)
    axes.set_xlabel('round')
    axes.set_ylabel('kept of the predicted pixels, %')
    axes.grid(alpha=0.3)
    axes.legend(loc='upper left', bbox_to_anchor=(1.01, 1), fontsize='small')
    return figure


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    if args.images < 1:
        raise ValueError(f'show_pseudo_labels: --images got {args.images}; write at least 1')
    cfg = read_config(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    dataset = target_dataset(cfg)
    classes = dataset.metainfo['classes']
    manifests = read_manifests(args.rounds, len(classes))
    rows = image_rows(dataset, args.rounds, manifests, args.images)
    out = Path(args.out)
    save_picture(tile_panel(rows, args.cell_width), out / 'labels.png')
    text = table(classes, manifests)
    with atomic_write(out / 'coverage.md') as partial:
        partial.write_text(text, encoding='utf-8')
    figure = plot(classes, dataset.metainfo['palette'], manifests)
    with atomic_write(out / 'coverage.png') as partial:
        figure.savefig(partial, format='png', dpi=150)
    plt.close(figure)
    print(f'{text}\n{out / "labels.png"}, {out / "coverage.png"}, {out / "coverage.md"}')


if __name__ == '__main__':
    main()
