"""Count the pixels of each class in each source label of a config, for rare class sampling.

    python tools/class_counts.py configs/daformer/CONFIG.py data/class_counts_gta.npz

reads the labels of the source training set as training does, and writes one file for
`train_dataloader.source.sampling.class_counts`. It is written whole or not at all.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.artifacts.outputs import check_new_file, check_output
from mmseg_uda.config.reads import read_paths
from mmseg_uda.datasets.rare_classes import class_probabilities
from mmseg_uda.stages.class_counts import make_class_counts
from mmseg_uda.stages.source_labels import source_dataset
from mmseg_uda.utils.cli import config_parser, load_config, run_main
from mmseg_uda.utils.parser import at_least


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = config_parser(__doc__)
    parser.add_argument('config', help='config whose source training set is counted')
    parser.add_argument('out', help='the .npz file to write')
    parser.add_argument(
        '--workers', type=at_least(0), default=2, help='processes that load labels (default: 2)'
    )
    parser.add_argument('--overwrite', action='store_true', help='move an older file aside')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    args = parse_args(argv)
    check_new_file('out', args.out, '.npz', args.overwrite)
    cfg = load_config(args)
    check_output('out', args.out, read_paths(cfg, but=['class_counts']))
    found = make_class_counts(source_dataset(cfg), args.workers)
    found.write(args.out)
    counts, classes = found.counts, found.recipe['classes']
    print(f'{args.out}: {len(counts)} label maps, SHA-256 {found.digest}')
    print('class: share of pixels, images with it, probability at temperature 0.01')
    rows = zip(classes, counts.sum(0) / counts.sum(), (counts > 0).sum(0))
    for (name, share, images), probability in zip(rows, class_probabilities(counts, 0.01)):
        print(f'{name}: {share:.5f}, {images}, {probability:.3f}')
    return 0


if __name__ == '__main__':
    run_main(main)
