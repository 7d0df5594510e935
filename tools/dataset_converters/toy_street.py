"""Generate the embedded data: toy streets in a source and a target domain.

Run again, it writes only what is missing; with another seed or size it starts anew.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from mmseg_uda.artifacts.digest import sha256
from mmseg_uda.artifacts.files import atomic_write, write_json
from mmseg_uda.datasets.toy_street.render import DOMAINS, SPLITS, VERSION, draw
from mmseg_uda.utils.processes import map_with_progress

_PNG_END = b'IEND\xaeB`\x82'
# The last group is the suffix of a file that a killed process left.
_NAME = re.compile(r'(source|target)_(train|val)_(\d{5})\.png(\..*)?')


class Task(NamedTuple):
    """One image to draw."""

    root: str
    domain: str
    split: str
    index: int
    seed: int
    size: tuple[int, int]

    def paths(self) -> tuple[Path, Path]:
        """Give the files of the image and of its label."""
        name = f'{self.domain}_{self.split}_{self.index:05d}.png'
        root = Path(self.root, self.domain)
        return root / 'images' / self.split / name, root / 'labels' / self.split / name


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('root', nargs='?', default='data/toy_street', help='directory to write to')
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
    """Check that a PNG is there to its last byte."""
    if not path.is_file() or path.stat().st_size < len(_PNG_END):
        return False
    with path.open('rb') as file:
        file.seek(-len(_PNG_END), os.SEEK_END)
        return file.read() == _PNG_END


def generate(task: Task) -> None:
    """Draw one image and write it with its label."""
    for path, pixels in zip(task.paths(), draw(*task[1:])):
        with atomic_write(path) as partial:
            partial.write_bytes(cv2.imencode('.png', pixels)[1].tobytes())


def prepare(root: Path, recipe: dict[str, Any]) -> None:
    """Remove what another recipe has drawn, and record this one."""
    meta = {'recipe': recipe, 'digest': sha256([json.dumps(recipe, sort_keys=True)])}
    note = root / 'meta.json'
    try:
        same = json.loads(note.read_text()) == meta
    except (FileNotFoundError, json.JSONDecodeError):
        same = False
    if not same:
        remove(root, dict.fromkeys(SPLITS, 0))
        write_json(note, meta)


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
        map_with_progress(generate, missing, args.nproc)
        print(f'drew {len(missing)} images in {time.time() - begin:.1f} s')


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit('\ninterrupted; run the same command to go on') from None
