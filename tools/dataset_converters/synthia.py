"""Convert SYNTHIA-RAND-CITYSCAPES labels (16-bit PNGs) to Cityscapes train ids."""

from __future__ import annotations

from collections.abc import Sequence

from mmseg_uda.stages.label_conversion import LabelFormat, read_uint16_png, run_converter
from mmseg_uda.utils.cli import run_main

SYNTHIA = LabelFormat(
    train_ids={
        1: 10, 2: 2, 3: 0, 4: 1, 5: 4, 6: 8, 7: 5, 8: 13, 9: 7, 10: 11, 11: 18, 12: 17, 15: 6,
        16: 9, 17: 12, 18: 14, 19: 15, 20: 16, 21: 3
    },
    num_ids=23,
    read=read_uint16_png)  # yapf: disable


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return run_converter(__doc__, lambda _: SYNTHIA, 'GT/LABELS', 'RGB', argv)


if __name__ == '__main__':
    run_main(main)
