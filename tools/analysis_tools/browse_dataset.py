"""Show the training samples of a config as its pipelines make them, image and label.

Flags are those of mmseg's tool; ``--domain`` chooses a domain of a method's config. Target samples
have no label, or their pseudo label.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import VISUALIZERS

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.config.domains import domain_dataset
from mmseg_uda.config.reads import FILES, read_paths
from mmseg_uda.datasets.checks import build_dataset
from mmseg_uda.structures import DOMAINS
from mmseg_uda.utils.cli import config_parser, load_config, run_main
from mmseg_uda.utils.progress import track


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = config_parser(__doc__)
    add = parser.add_argument
    add('config', help='train config file path')
    add('--domain', choices=DOMAINS, default='source', help='of a method (default: source)')
    add('--output-dir', help='the directory to save painted samples')
    add('--not-show', action='store_true', help='open no window')
    add('--show-interval', type=float, default=2, help='seconds to show each sample')
    return parser.parse_args(argv)


def training_set(cfg: Config, domain: str) -> Mapping[str, Any]:
    """Find the config of the dataset of a domain; a stock config has the source alone.

    Raises:
        ValueError: There is none.
    """
    dataset = domain_dataset(cfg.get('train_dataloader'), domain)
    if dataset is None:
        raise ValueError(
            f'--domain {domain}: expected train_dataloader.{domain}.dataset, but got none; write '
            'the config of a training, or another domain'
        )
    return dataset


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = load_config(args)
    if args.output_dir is not None:
        check_output('--output-dir', args.output_dir, read_paths(cfg, but=FILES))
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    dataset = build_dataset(training_set(cfg, args.domain))
    visualizer = VISUALIZERS.build(
        # A name of its own: mmengine gives the one that has the name already.
        {'type': 'SegLocalVisualizer', **(cfg.get('visualizer') or {}), 'name': 'browse_dataset'}
    )
    visualizer.dataset_meta = dataset.metainfo
    written: dict[str, int] = {}  # names of images, and how often each came
    for index in track(range(len(dataset)), len(dataset), 'samples'):
        item = dataset[index]
        sample = item['data_samples']
        if 'pseudo_sem_seg' in sample:
            sample.gt_sem_seg = sample.pseudo_sem_seg  # what the visualizer draws
        name = Path(sample.img_path).name
        # (H, W, 3), BGR to RGB; OpenCV draws into arrays without gaps only.
        image = np.ascontiguousarray(item['inputs'].permute(1, 2, 0).numpy()[..., ::-1])
        if 'gt_sem_seg' not in sample:  # mmseg 1.2 draws nothing without a label
            if not args.not_show:
                visualizer.show(image, win_name=name, wait_time=args.show_interval)
            if args.output_dir:
                content = cv2.imencode(Path(name).suffix, mmcv.rgb2bgr(image))[1].tobytes()
                save(content, Path(args.output_dir), name, written)
            continue
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, name)
            visualizer.add_datasample(
                name=name,
                image=image,
                data_sample=sample.numpy(),
                draw_gt=True,
                draw_pred=False,
                show=not args.not_show,
                wait_time=args.show_interval,
                out_file=str(file) if args.output_dir else None,
            )
            if args.output_dir:
                save(file.read_bytes(), Path(args.output_dir), name, written)


def save(content: bytes, directory: Path, name: str, written: dict[str, int]) -> None:
    """Write a picture; one of another content is moved aside, and equal names get a number."""
    written[name] = number = written.get(name, 0) + 1
    path = directory / name
    path = path if number == 1 else path.with_stem(f'{path.stem}_{number}')
    with atomic_write(path, keep=True) as partial:
        partial.write_bytes(content)


if __name__ == '__main__':
    run_main(main)
