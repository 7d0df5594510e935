"""What a stage reads: which files and folders a config names, whether they exist, their digests."""

from __future__ import annotations

import hashlib
import os
import os.path as osp
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmseg_uda.config.datasets import iter_datasets
from mmseg_uda.datasets.checks import check_folders
from mmseg_uda.stages.references import find_references

__all__ = ['Inputs', 'file_digest', 'find_inputs', 'output_digest', 'tree_digest']

# Keys whose string values are read as files or folders, wherever they are, and what a stage must
# make for one of them to refer to it.
FILES = {
    'load_from': 'checkpoint',
    'checkpoint': 'checkpoint',
    'pretrained': 'checkpoint',
    'prior': 'prior',
    'label_file': 'image_labels',
}
FOLDERS = {'pseudo_dir': 'folder'}


class Inputs:
    """The data sets, files and folders of a config.

    Args:
        datasets: Place in the config and config of each data set.
        files: Place and path (or reference) of each checkpoint or other file.
        folders: Place and path (or reference) of each other folder.
    """

    def __init__(
        self, datasets: dict[str, Mapping[str, Any]], files: dict[str, str], folders: dict[str, str]
    ) -> None:
        self.datasets = datasets
        self.files = files
        self.folders = folders

    def kinds(self) -> Iterator[tuple[str, str, str]]:
        """Place, path (or reference) and what it must be, for each file and folder."""
        for paths, kinds in ((self.files, FILES), (self.folders, FOLDERS)):
            for key, path in paths.items():
                yield key, path, kinds[key.rsplit('.', 1)[-1]]

    def check(self) -> None:
        """Check that everything exists but for what an earlier stage makes.

        Raises:
            ValueError: Names the place and what is missing there.
        """
        for key, dataset in self.datasets.items():
            if not _pending(dataset):
                check_folders(dataset, key)
        for paths, exists, kind in (
            (self.files, osp.isfile, 'file'),
            (self.folders, osp.isdir, 'folder'),
        ):
            for key, path in paths.items():
                if not _pending(path) and not exists(path):
                    raise ValueError(
                        f'{key} got {path!r}, which is no {kind}; correct the path, '
                        "or write '{NAME}' for the output of stage NAME"
                    )

    def digests(self) -> dict[str, str]:
        """Digest of each input that is not an earlier stage's output."""
        found = {
            key: _dataset_digest(dataset)
            for key, dataset in self.datasets.items()
            if not _pending(dataset)
        }
        found.update(
            (key, file_digest(path)) for key, path in self.files.items() if not _pending(path)
        )
        found.update(
            (key, tree_digest(path)) for key, path in self.folders.items() if not _pending(path)
        )
        return found


def find_inputs(parts: Mapping[str, Any], weights: bool = True) -> Inputs:
    """Look through parts of a config.

    Args:
        parts: Top-level names and values.
        weights: Whether files count; they do where a network is initialised and trained.
    """
    inputs = Inputs({}, {}, {})
    for path, key, value in _walk(parts, ''):
        if key == 'dataset':
            inputs.datasets[path] = value
        elif key in FILES and weights and '://' not in value:
            inputs.files[path] = value
        elif key in FOLDERS:
            inputs.folders[path] = value
    return inputs


def _walk(node: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    items = node.items() if isinstance(node, Mapping) else enumerate(node)
    for key, value in items:
        place = f'{path}.{key}' if path else str(key)
        if key == 'dataset' and isinstance(value, Mapping):
            yield place, 'dataset', value
        elif isinstance(value, str) and value and key in (*FILES, *FOLDERS):
            yield place, str(key), value
        if isinstance(value, (Mapping, list, tuple)):
            for found in _walk(value, place):
                if key != 'dataset' or found[1] != 'dataset':  # wrapped ones are the wrapper's
                    yield found


def _pending(value: Any) -> bool:
    """Whether an earlier stage has a hand in it."""
    return next(find_references(value), None) is not None


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's content, as ``sha256sum`` gives it."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def tree_digest(folder: str | Path) -> str:
    """SHA-256 of the names and sizes of all files below a folder, and of its manifest's content."""
    digest = hashlib.sha256()
    for root, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            if not name.endswith('.tmp'):
                path = osp.join(root, name)
                entry = f'{osp.relpath(path, folder)} {osp.getsize(path)}\n'
                digest.update(entry.encode(errors='surrogateescape'))
    manifest = Path(folder, 'manifest.json')
    if manifest.is_file():
        digest.update(manifest.read_bytes())
    return digest.hexdigest()


def output_digest(path: Path) -> str | None:
    """Digest of a file or folder; None if there is none."""
    if path.is_file():
        return file_digest(path)
    return tree_digest(path) if path.is_dir() else None


def _dataset_digest(cfg: Mapping[str, Any]) -> str:
    """Digest of the files in a data set's folders and of its list; wrapped ones included."""
    digest = hashlib.sha256()
    for _, each in iter_datasets(cfg):
        root = each.get('data_root') or ''
        for key, prefix in sorted((each.get('data_prefix') or {}).items()):
            folder = osp.join(root, prefix or '')
            digest.update(f'{key} {tree_digest(folder) if osp.isdir(folder) else None}'.encode())
        if each.get('ann_file') and osp.isfile(osp.join(root, each['ann_file'])):
            digest.update(file_digest(osp.join(root, each['ann_file'])).encode())
    return digest.hexdigest()
