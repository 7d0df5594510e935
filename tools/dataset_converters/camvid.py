"""Split CamVid, 480x360 with 11 classes, into camvid_day and camvid_dusk of the small benchmarks.

``source`` has the directories ``train``, ``val`` and ``test`` of PNG images and ``trainannot``,
``valannot`` and ``testannot`` of their labels, with the ids of SegNet's authors: sky, building,
pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist, unlabelled.

By day the drives 0006R0 and 0016E5 are for training, without the burst of 15 images a second that
is CamVid's own validation split, and Seq05VD is for validation. Dusk is 0001TP: its first half is
for training, its second half for validation. Images become JPEG, labels PNG of train ids.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
from mmengine.logging import print_log

from mmseg_uda.artifacts.files import atomic_write, is_disk_full
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.stages.label_conversion import LabelFormat, read_index_png
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.parser import ToolParser, at_least
from mmseg_uda.utils.processes import map_with_progress

CAMVID = LabelFormat(
    train_ids={0: 10, 1: 2, 2: 5, 3: 0, 4: 1, 5: 8, 6: 7, 7: 4, 8: 13, 9: 11, 10: 12},
    num_ids=12,
    read=read_index_png,
)
DAY = {'0006R0': 'train', '0016E5': 'train', 'Seq05VD': 'val'}
DUSK = '0001TP'
BURST = range(7959, 8160)  # frames of 0016E5
QUALITY = 86


class Frame(NamedTuple):
    """An image and its label, and the directory and split in which they belong."""

    image: Path
    label: Path
    domain: str
    split: str


def find_frames(source: Path) -> list[Frame]:
    """Find all frames of both domains.

    Raises:
        FileNotFoundError: A drive is missing.
    """
    images = sorted(
        path for split in ('train', 'val', 'test') for path in (source / split).glob('*.png')
    )
    drives: dict[str, list[Path]] = {drive: [] for drive in (*DAY, DUSK)}
    for path in images:
        drive, _, frame = path.stem.partition('_')
        if drive in drives and not (drive == '0016E5' and int(frame) in BURST):
            drives[drive].append(path)
    if missing := [drive for drive, found in drives.items() if not found]:
        raise FileNotFoundError(
            f'source: expected images {missing[0]}_*.png in train, val and test, but {source} has '
            'none; write the directory of CamVid'
        )
    dusk = sorted(drives.pop(DUSK), key=lambda path: path.name)
    half = len(dusk) // 2
    placed = [(path, 'camvid_day', DAY[drive]) for drive, found in drives.items() for path in found]
    placed += [(path, 'camvid_dusk', 'train') for path in dusk[:half]]
    placed += [(path, 'camvid_dusk', 'val') for path in dusk[half:]]
    return [
        Frame(path, path.parents[1] / f'{path.parent.name}annot' / path.name, domain, split)
        for path, domain, split in placed
    ]


def convert(frame: Frame, out: Path) -> str:
    """Write a frame's image and label; return why it failed."""
    try:
        label = CAMVID.load(frame.label)
        image = cv2.imread(str(frame.image))
        if image is None or image.shape[:2] != label.shape:
            raise ValueError(f'expected an image of the size of its label, but got {frame.image}')
        for kind, suffix, pixels in (('images', '.jpg', image), ('labels', '.png', label)):
            options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if suffix == '.jpg' else []
            path = out / frame.domain / kind / frame.split / f'{frame.image.stem}{suffix}'
            with atomic_write(path, keep=True) as file:
                file.write_bytes(cv2.imencode(suffix, pixels, options)[1].tobytes())
    except Exception as error:  # decoders raise anything on damaged files; the others must go on
        if is_disk_full(error):
            raise
        return f'{frame.label}: {error}'
    return ''


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', type=Path, help='directory of CamVid')
    parser.add_argument('out', type=Path, help='directory in which camvid_day and camvid_dusk are')
    parser.add_argument('--nproc', type=at_least(1), default=os.cpu_count() or 1, help='processes')
    args = parser.parse_args(argv)
    frames = find_frames(args.source)
    for domain in sorted({frame.domain for frame in frames}):
        check_output('out', args.out / domain, [('source', args.source)])
    errors = map_with_progress(partial(convert, out=args.out), frames, 'frames', args.nproc)
    counts = Counter(
        f'{frame.domain}/{frame.split}' for frame, error in zip(frames, errors) if not error
    )
    print_log(', '.join(f'{place}: {number}' for place, number in counts.items()))
    failed = [error for error in errors if error]
    sys.stderr.writelines(f'failed: {error}\n' for error in failed)
    return 1 if failed else 0


if __name__ == '__main__':
    run_main(main)
