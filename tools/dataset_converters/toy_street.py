"""Generate the embedded data: toy streets in a source and a target domain.

Run again, it writes only what is missing; with another seed or size it starts anew. Images that
are not as it drew them are moved aside.
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

from mmseg_uda.artifacts.digest import digest_path, sha256
from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.artifacts.outputs import clear_outputs
from mmseg_uda.datasets.toy_street.render import DOMAINS, SPLITS, VERSION, draw
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.parser import ToolParser, at_least
from mmseg_uda.utils.processes import map_with_progress

_PNG_END = b'IEND\xaeB`\x82'
_NAME = re.compile(r'(source|target)_(train|val)_(\d{5})\.png')
NOTE = 'meta.json'


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
    parser = ToolParser(description=__doc__.splitlines()[0])
    parser.add_argument('root', nargs='?', default='data/toy_street', help='directory to write to')
    parser.add_argument('--train', type=at_least(1), default=400, help='training images per domain')
    parser.add_argument('--val', type=at_least(1), default=100, help='validation images per domain')
    parser.add_argument(
        '--size', type=at_least(16), nargs=2, default=(128, 256), metavar=('H', 'W')
    )
    parser.add_argument('--seed', type=at_least(0), default=0)
    parser.add_argument('--nproc', type=at_least(1), default=os.cpu_count() or 1, help='processes')
    args = parser.parse_args(argv)
    if Path(args.root).is_file():
        parser.error(f'argument root: expected a directory, but got the file {args.root}')
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
        with atomic_write(path, keep=True) as partial:
            partial.write_bytes(cv2.imencode('.png', pixels)[1].tobytes())


def prepare(root: Path, recipe: dict[str, Any], wanted: set[str]) -> None:
    """Remove images that are of another recipe or not wanted, and record the recipe.

    Args:
        root: Directory of both domains.
        recipe: All that decides the images.
        wanted: Files relative to ``root``.
    """
    note = read_note(root)
    same = note.get('recipe') == recipe
    drawn = (path.relative_to(root).as_posix() for path in root.glob('*/*/*/*.png'))
    ours = sorted(name for name in drawn if _NAME.fullmatch(name.rpartition('/')[2]))
    clear_outputs(
        root, [name for name in ours if not same or name not in wanted], note.get('files')
    )
    if not same:
        write_note(root, {'recipe': recipe, 'digest': digest_recipe(recipe)})


def read_note(root: Path) -> dict[str, Any]:
    """Read the recipe, and the digests of the files that were drawn; empty if there are none."""
    try:
        note = json.loads((root / NOTE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return note if isinstance(note, dict) and {'recipe', 'digest'} <= note.keys() else {}


def write_note(root: Path, note: dict[str, Any]) -> None:
    """Write the note in place of an older one of ours; another file is moved aside."""
    with atomic_write(root / NOTE, keep=not read_note(root)) as partial:
        partial.write_text(json.dumps(note, indent=1), encoding='utf-8')


def digest_recipe(recipe: dict[str, Any]) -> str:
    return sha256([json.dumps(recipe, sort_keys=True)])


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    root, size = Path(args.root), tuple(args.size)
    counts = {'train': args.train, 'val': args.val}
    tasks = [
        Task(str(root), domain, split, index, args.seed, size)
        for domain in DOMAINS
        for split in SPLITS
        for index in range(counts[split])
    ]
    names = [path.relative_to(root).as_posix() for task in tasks for path in task.paths()]
    recipe = {'version': VERSION, 'seed': args.seed, 'size': list(size)}
    prepare(root, recipe, set(names))
    missing = [task for task in tasks if not all(map(complete, task.paths()))]
    print(f'{root}: {len(tasks) - len(missing)} of {len(tasks)} images are there')
    if missing:
        begin = time.time()
        map_with_progress(generate, missing, 'images', args.nproc)
        print(f'drew {len(missing)} images in {time.time() - begin:.1f} s')
    files = {name: digest_path(root / name) for name in names}
    note = {'recipe': recipe, 'digest': digest_recipe(recipe), 'files': files}
    if note != read_note(root):
        write_note(root, note)


if __name__ == '__main__':
    run_main(main)
