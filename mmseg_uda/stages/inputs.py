"""Inputs of stages: the files, directories and datasets that a config names."""

from __future__ import annotations

import dataclasses
import os.path as osp
from collections.abc import Iterator, Mapping
from typing import Any

from mmseg_uda.artifacts.digest import digest_path, sha256
from mmseg_uda.config.datasets import iter_datasets
from mmseg_uda.config.reads import dataset_paths, find_reads
from mmseg_uda.datasets.folders import find_missing
from mmseg_uda.stages.references import find_references

__all__ = ['Input', 'find_inputs']


@dataclasses.dataclass(frozen=True)
class Input:
    """A file, directory or dataset that a stage reads.

    Args:
        key: Its place in the config, or among the stage's arguments.
        value: Its path, or the dataset's config; ``{stage}`` in it is an earlier stage's output.
        kind: ``'dataset'``, ``'directory'``, or the kind of a file, as ``Stage.makes`` has it.
    """

    key: str
    value: Any
    kind: str

    @property
    def pending(self) -> bool:
        """True if an earlier stage makes it; of a dataset a part exists already."""
        return self.kind != 'dataset' and _is_made(self.value)

    def missing(self) -> Iterator[tuple[str, str]]:
        """Find what does not exist and no earlier stage makes: the path, and an error."""
        if self.pending:
            return
        if self.kind == 'dataset':
            missing = find_missing(self.value, self.key)
            yield from (each for each in missing if not _is_made(each[0]))
            return
        kind, exists = 'file', osp.isfile(self.value)
        if self.kind == 'directory':
            kind, exists = 'directory', osp.isdir(self.value)
        if not exists:
            yield (
                self.value,
                f'{self.key}: expected a {kind}, but got {self.value!r}; correct the path, or '
                "write '{NAME}' for the output of stage NAME",
            )

    def directories(self) -> Iterator[tuple[str, str]]:
        """Place and path of each directory that is read, and of a dataset's list."""
        if self.kind == 'dataset':
            paths = dataset_paths(self.value, self.key)
            yield from (each for each in paths if not _is_made(each[1]))
        elif self.kind == 'directory':
            yield self.key, self.value

    def digest(self) -> str | None:
        """Compute the digest of its content, or of a dataset's file names and sizes.

        What earlier stages make does not count: their own recipes do.
        """
        return _dataset_digest(self.value) if self.kind == 'dataset' else digest_path(self.value)


def find_inputs(parts: Mapping[str, Any], weights: bool = True) -> Iterator[Input]:
    """Find the inputs in parts of a config.

    Args:
        parts: Top-level names and values.
        weights: True if files count, as where a network is initialised and trained.
    """
    for place, kind, value in find_reads(parts):
        if kind == 'styles':
            yield Input(place, value, 'directory')
        elif kind in ('dataset', 'directory') or (weights and '://' not in value):
            yield Input(place, value, kind)


def _is_made(value: Any) -> bool:
    """True if it refers to an earlier stage's output."""
    return next(find_references(value), None) is not None


def _dataset_digest(cfg: Mapping[str, Any]) -> str:
    """Compute the digest of the files in a dataset's directories and of its list."""
    parts = []
    for _, each in iter_datasets(cfg):
        root = each.get('data_root') or ''
        prefixes = each.get('data_prefix') or {}
        paths = {key: osp.join(root, prefix or '') for key, prefix in sorted(prefixes.items())}
        if not prefixes and root:
            paths['data_root'] = root
        parts += [f'{key} {digest_path(path)}' for key, path in paths.items() if not _is_made(path)]
        if each.get('ann_file') and not _is_made(each['ann_file']):
            parts.append(digest_path(osp.join(root, each['ann_file'])) or '')
    return sha256(parts)
