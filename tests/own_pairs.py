"""Two small domains of a user's own, and the config that is written for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import toys
from PIL import Image


def small_pair(folder: Path, number: int = 4) -> Path:
    """Images of 40x56 with labels of values 0 and 1, and images of the target."""
    for index in range(number):
        for kind in ('src', 'lab', 'tgt'):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        image = np.full((40, 56, 3), 20 * index, np.uint8)
        label = np.zeros((40, 56), np.uint8)
        label[:, 28:] = 1
        for kind, pixels in (('src', image), ('lab', label), ('tgt', image)):
            Image.fromarray(pixels).save(folder / kind / f'{index:03}.png')
    return folder


def init_small(folder: Path, *options: str) -> Path:
    flags = {'source-images': 'src', 'source-labels': 'lab', 'target-images': 'tgt'}
    directories = [f'--{flag}={folder / name}' for flag, name in flags.items()]
    toys.load_script('tools/init_pair.py').main(
        [*directories, '--name=p', '--backbone=toy', f'--out-dir={folder / "own"}', *options]
    )
    return folder / 'own/p.py'
