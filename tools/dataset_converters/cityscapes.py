"""Convert Cityscapes ``*_labelIds.png`` labels (8-bit grey PNGs) to train ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmseg_uda.stages.label_conversion import LabelFormat, read_index_png, run_converter
from mmseg_uda.utils.cli import run_main

TRAIN_IDS = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12,
    26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18
}  # yapf: disable


def cityscapes_format(gt_dir: str) -> LabelFormat:
    """Give the label format of ``gtFine`` or ``gtCoarse``; files carry the directory's name."""
    kind = Path(gt_dir).name
    return LabelFormat(
        train_ids=TRAIN_IDS,
        num_ids=34,
        read=read_index_png,
        label_suffix=f'_{kind}_labelIds.png',
        image_suffix='_leftImg8bit.png',
        output_suffix=f'_{kind}_labelTrainIds.png',
        split_directories=True,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return run_converter(__doc__, cityscapes_format, 'gtFine', 'leftImg8bit', argv)


if __name__ == '__main__':
    run_main(main)
