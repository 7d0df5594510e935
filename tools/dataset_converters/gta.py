"""Convert GTA5 labels (8-bit palette PNGs) to Cityscapes train ids."""

from __future__ import annotations

from collections.abc import Sequence

from mmseg_uda.stages.label_conversion import LabelFormat, read_index_png, run_converter
from mmseg_uda.utils.cli import run_main

GTA = LabelFormat(
    train_ids={
        7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12,
        26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18
    },
    num_ids=35,
    read=read_index_png)  # yapf: disable


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return run_converter(__doc__, lambda _: GTA, 'labels', 'images', argv)


if __name__ == '__main__':
    run_main(main)
