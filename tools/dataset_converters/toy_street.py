"""Generate the embedded data: toy streets in a source and a target domain.

Run again, it writes only what is missing; with another seed or size it starts anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from mmengine.utils import track_parallel_progress, track_progress

from mmseg_uda.datasets.toy_street.render import DOMAINS, SPLITS, VERSION, draw

_PNG_END = b'IEND\xaeB`\x82'
_NAME = re.compile(r'(source|target)_(train|val)_(\d{5})\.png(\.part)?')


class Task(NamedTuple):
    """One image to draw."""

    root: str
    domain: str
    split: str
    index: int
    seed: int
    size: tuple[int, int]

    def paths(self) -> tuple[Path, Path]:
        """Files of the image and of its label."""
        name = f'{self.domain}_{self.split}_{self.index:05d}.png'
        folder = Path(self.root, self.domain)
        return folder / 'images' / self.split / name, folder / 'labels' / self.split / name


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('root', nargs='?', default='data/toy_street', help='folder to write to')
    parser.add_argument('--train', type=int, default=400, help='training images per domain')
    parser.add_argument('--val', type=int, default=100, help='validation images per domain')
    parser.add_argument('--size', type=int, nargs=2, default=(128, 256), metavar=('H', 'W'))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--nproc', type=int, default=os.cpu_count() or 1, help='processes')
    args = parser.parse_args(argv)
    for key, least in (('train', 1), ('val', 1), ('nproc', 1), ('seed', 0)):
        if getattr(args, key) < least:
            parser.error(f'--{key} got {getattr(args, key)}; write a number from {least} on')
    if min(args.size) < 16:
        parser.error(f'--size got {args.size[0]} {args.size[1]}; write at least 16 16')
    return args


def complete(path: Path) -> bool:
    """Whether a PNG is there to its last byte."""
    if not path.is_file() or path.stat().st_size < len(_PNG_END):
        return False
    with path.open('rb') as file:
        file.seek(-len(_PNG_END), os.SEEK_END)
        return file.read() == _PNG_END


def write(path: Path, pixels: np.ndarray) -> None:
    """Write a PNG under a temporary name, then move it into place."""
    part = path.with_name(path.name + '.part')
    part.write_bytes(cv2.imencode('.png', pixels)[1].tobytes())
    os.replace(part, path)


def generate(task: Task) -> None:
    """Draw one image and write it with its label."""
    cv2.setNumThreads(0)  # the processes already share the cores
    for path, pixels in zip(task.paths(), draw(*task[1:])):
        write(path, pixels)


def prepare(root: Path, recipe: dict) -> None:
    """Throw away what another recipe has drawn and note this one."""
    text = json.dumps(recipe, sort_keys=True)
    meta = {'recipe': recipe, 'digest': hashlib.sha256(text.encode()).hexdigest()}
    note = root / 'meta.json'
    try:
        same = json.loads(note.read_text()) == meta
    except (FileNotFoundError, json.JSONDecodeError):
        same = False
    if not same:
        remove(root, dict.fromkeys(SPLITS, 0))
        root.mkdir(parents=True, exist_ok=True)
        part = root / 'meta.json.part'
        part.write_text(json.dumps(meta, indent=2) + '\n')
        os.replace(part, note)


def remove(root: Path, counts: dict[str, int]) -> None:
    """Remove our own images from number ``counts[split]`` on, and leftovers of a broken run."""
    for path in root.glob('*/*/*/*.png*'):
        match = _NAME.fullmatch(path.name)
        if match and (match[4] or int(match[3]) >= counts[match[2]]):
            path.unlink()


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    root, size = Path(args.root), tuple(args.size)
    counts = {'train': args.train, 'val': args.val}
    prepare(root, {'version': VERSION, 'seed': args.seed, 'size': list(size)})
    remove(root, counts)
    for domain in DOMAINS:
        for kind in ('images', 'labels'):
            for split in SPLITS:
                (root / domain / kind / split).mkdir(parents=True, exist_ok=True)
    tasks = [
        Task(str(root), domain, split, index, args.seed, size)
        for domain in DOMAINS
        for split in SPLITS
        for index in range(counts[split])
    ]
    missing = [task for task in tasks if not all(map(complete, task.paths()))]
    print(f'{root}: {len(tasks) - len(missing)} of {len(tasks)} images are there')
    if missing:
        begin = time.time()
        if args.nproc > 1:
            track_parallel_progress(generate, missing, args.nproc, chunksize=8, keep_order=False)
        else:
            track_progress(generate, missing)
        print(f'\ndrew {len(missing)} images in {time.time() - begin:.1f} s')


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit('\ninterrupted; run the same command to go on') from None
