"""Directories and wishes of a user, and their checks."""

from __future__ import annotations

import os.path as osp
import re
from pathlib import Path
from typing import NamedTuple

from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.config.signatures import advice
from mmseg_uda.stages.own_pair.literals import check_text
from mmseg_uda.stages.own_pair.plan import METHODS, NETWORKS
from mmseg_uda.utils.arguments import check_integer

__all__ = ['PairOptions', 'check_options', 'pair_name']

# Names of directories that say nothing about the domain.
PLAIN = ('image', 'images', 'img', 'imgs', 'img_dir', 'rgb', 'train', 'training', 'data')


class PairOptions(NamedTuple):
    """Directories and wishes.

    Args:
        source_images: Directory of the source's images.
        source_labels: Directory of its labels.
        target_images: Directory of the target's images, which need no labels.
        target_val_images: Directory of labelled images of the target, for validation; None to
            validate without labels of the target.
        target_val_labels: Directory of their labels.
        classes: File of classes, see :func:`read_classes`; None to make one of each value.
        from_dataset: Dataset of mmseg whose ids the labels have, in place of ``classes``.
        name: Name of the pair and of the files; None makes it of the directories' names.
        out_dir: Directory of the files.
        method: Name in ``METHODS``.
        backbone: Name in ``NETWORKS``.
        max_iters: Iterations; None to choose them by the device.
    """

    source_images: str
    source_labels: str
    target_images: str
    target_val_images: str | None = None
    target_val_labels: str | None = None
    classes: str | None = None
    from_dataset: str | None = None
    name: str | None = None
    out_dir: str = 'own'
    method: str = 'dacs'
    backbone: str = 'mit-b0'
    max_iters: int | None = None


def check_options(options: PairOptions) -> None:
    """Check all that can be checked before anything is read.

    Raises:
        FileNotFoundError: There is no such directory.
        ValueError: A wish is unknown, or a path cannot stand in a config.
    """
    for flag, name, known in (
        ('--method', options.method, METHODS),
        ('--backbone', options.backbone, NETWORKS),
    ):
        if name not in known:
            raise ValueError(
                f'{flag}: expected one of {", ".join(known)}, but got {name!r}; '
                f'{advice(name, known)}'
            )
    wanted = options.name or ''
    if wanted != _file_name(wanted):
        raise ValueError(
            f'--name: expected letters, digits, "-", "_" and ".", but got {wanted!r}; write '
            f'{_file_name(wanted)!r}'
        )
    if options.max_iters is not None:
        check_integer('--max-iters', options.max_iters, 1)
    directories = {
        f'--{key.replace("_", "-")}': value
        for key, value in options._asdict().items()
        if key.startswith(('source', 'target'))
    }
    for flag, directory in {**directories, '--out-dir': options.out_dir}.items():
        if directory is not None:
            check_text(flag, osp.abspath(directory))
    for flag, directory in directories.items():
        if directory is not None and not osp.isdir(directory):
            raise FileNotFoundError(f'{flag}: expected a directory, but got {directory!r}')
    if (options.target_val_images is None) != (options.target_val_labels is None):
        raise ValueError(
            'init_pair: expected both --target-val-images and --target-val-labels, but got one; '
            'write both or none'
        )
    if options.classes is not None and options.from_dataset is not None:
        raise ValueError('init_pair: expected one of --classes and --from-dataset, but got both')
    out = Path(options.out_dir)
    reads = [(flag, directory) for flag, directory in directories.items() if directory is not None]
    # A config may lie above the data, among other files, but not among images.
    check_output('--out-dir', out / 'config', reads)


def pair_name(options: PairOptions) -> str:
    """Give the name of the files: the one that is wished, or one of the directories' names."""
    return options.name or f'{_domain(options.source_images)}2{_domain(options.target_images)}'


def _domain(directory: str) -> str:
    """The last part of a path that says something, in characters for names of files."""
    parts = [part for part in Path(directory).absolute().parts if part.lower() not in PLAIN]
    return _file_name(parts[-1]).replace('.', '_')


def _file_name(text: str) -> str:
    """Replace what neither a shell nor a config's text takes as it is."""
    return re.sub(r'[^\w.-]|^[.-]', '_', text)
