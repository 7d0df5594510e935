"""The manifest of a folder of pseudo labels: what made it, what is in it, whether it is whole."""

from __future__ import annotations

import dataclasses
import json
import os.path as osp
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from mmseg_uda.artifacts.files import atomic_write

__all__ = ['FORMAT_VERSION', 'MANIFEST_NAME', 'Manifest', 'label_names']

FORMAT_VERSION = 1
MANIFEST_NAME = 'manifest.json'
LABEL_SUFFIX = '.png'


@dataclasses.dataclass
class Manifest:
    """What ``manifest.json`` holds.

    Args:
        rule: Name and arguments of the selection rule, e.g. ``dict(type='bdl', share=0.5)``.
        num_classes: C.
        config_sha256: Digest of the model's and the dataset's configuration.
        checkpoint_sha256: Digest of the weights.
        files: Label files relative to the folder, with ``/``; one per image.
        thresholds: One confidence threshold per class; None before they are known.
        predicted_pixels: Pixels that the network predicted as each class.
        kept_pixels: Pixels that carry each class in the files.
        complete: Whether every file is written.
        package_version: Version of the package that wrote the folder.
        format_version: Version of this file's layout.
    """

    rule: dict[str, Any]
    num_classes: int
    config_sha256: str
    checkpoint_sha256: str
    files: list[str]
    thresholds: list[float] | None = None
    predicted_pixels: list[int] = dataclasses.field(default_factory=list)
    kept_pixels: list[int] = dataclasses.field(default_factory=list)
    complete: bool = False
    package_version: str = ''
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        self._names = frozenset(self.files)

    @property
    def coverage(self) -> list[float | None]:
        """Kept over predicted pixels per class; None where nothing was predicted.

        Above 1 where a rule that re-assigns classes (``cbst``) gave a class more than it took.
        """
        return [
            kept / predicted if predicted else None
            for kept, predicted in zip(self.kept_pixels, self.predicted_pixels)
        ]

    def find(self, img_path: str, suffix: str = LABEL_SUFFIX) -> str | None:
        """The listed file of an image: the longest listed path that ends the image's path."""
        parts = PurePath(_replace_suffix(img_path, suffix)).parts
        for start in range(len(parts)):
            name = '/'.join(parts[start:])
            if name in self._names:
                return name
        return None

    def check(self, folder: str, num_classes: int) -> None:
        """Refuse a folder that is unfinished or of other classes.

        Raises:
            ValueError: If it is not complete or its number of classes is not ``num_classes``.
        """
        if not self.complete:
            raise ValueError(
                f'LoadPseudoLabels.pseudo_dir got {folder!r}, whose labels are not '
                'complete; run tools/generate_pseudo_labels.py again to finish them'
            )
        if self.num_classes != num_classes:
            raise ValueError(
                f'LoadPseudoLabels.num_classes got {num_classes}, but {folder!r} has '
                f'labels of {self.num_classes} classes; write '
                f'num_classes={self.num_classes} or generate the labels again'
            )

    def differences(self, other: Manifest) -> list[str]:
        """Names of the fields in which two runs would not write the same folder."""
        keys = ('rule', 'num_classes', 'config_sha256', 'checkpoint_sha256', 'files')
        return [key for key in keys if getattr(self, key) != getattr(other, key)]

    def write(self, folder: str) -> None:
        """Write ``manifest.json``, as a whole or not at all."""
        content = dataclasses.asdict(self)
        content.update(num_images=len(self.files), coverage=self.coverage)
        with atomic_write(osp.join(folder, MANIFEST_NAME)) as partial:
            partial.write_text(json.dumps(content, indent=1), encoding='utf-8')

    @classmethod
    def read(cls, folder: str) -> Manifest:
        """Read ``manifest.json`` of a folder.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it cannot be read or has another format version.
        """
        path = osp.join(folder, MANIFEST_NAME)
        if not osp.isfile(path):
            raise FileNotFoundError(
                f'LoadPseudoLabels.pseudo_dir got {folder!r}, which has no {MANIFEST_NAME}; run '
                f'tools/generate_pseudo_labels.py CONFIG CHECKPOINT --out-dir {folder} first'
            )
        try:
            with open(path, encoding='utf-8') as file:
                content = json.load(file)
            version = content['format_version']
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f'LoadPseudoLabels.pseudo_dir got the unreadable manifest {path!r}; '
                'generate the labels again with --overwrite'
            ) from error
        if version != FORMAT_VERSION:
            raise ValueError(
                f'LoadPseudoLabels.pseudo_dir got {path!r} of format version '
                f'{version}, but this package reads {FORMAT_VERSION}; generate the '
                'labels again with --overwrite'
            )
        names = {field.name for field in dataclasses.fields(cls)}
        try:
            return cls(**{key: value for key, value in content.items() if key in names})
        except TypeError as error:
            raise ValueError(
                f'LoadPseudoLabels.pseudo_dir got the manifest {path!r} without '
                'required fields; generate the labels again with '
                '--overwrite'
            ) from error


def label_names(img_paths: Sequence[str], root: str | None = None) -> list[str]:
    """Label file of every image: its path below the image folder, with the suffix ``.png``.

    Args:
        img_paths: Image files.
        root: The image folder; None takes the images' common folder.

    Returns:
        Relative paths with ``/``, in the order of ``img_paths``.

    Raises:
        ValueError: If there is no image, one lies outside ``root``, or two would share a label.
    """
    if not img_paths:
        raise ValueError(
            'PseudoLabelLoop.dataloader got a dataset without images; write the '
            'folder of the target training images instead'
        )
    paths = [osp.abspath(path) for path in img_paths]
    base = osp.abspath(root) if root else osp.commonpath([osp.dirname(path) for path in paths])
    owners: dict[str, str] = {}
    for path in paths:
        relative = PurePath(_replace_suffix(osp.relpath(path, base), LABEL_SUFFIX))
        if '..' in relative.parts:
            raise ValueError(
                f'PseudoLabelLoop.dataloader got the image {path!r} outside of '
                f"{base!r}; write the dataset's data_prefix.img_path instead"
            )
        name = relative.as_posix()
        if name in owners:
            raise ValueError(
                f'PseudoLabelLoop.dataloader got two images for the label {name!r}: '
                f'{owners[name]!r} and {path!r}; write each image once, and one '
                'suffix for all'
            )
        owners[name] = path
    listed = Manifest({}, 0, '', '', list(owners))
    for name, path in owners.items():
        if listed.find(path) != name:
            raise ValueError(
                f'PseudoLabelLoop.dataloader got {path!r}, whose label could be '
                f'{name!r} or {listed.find(path)!r}; rename the image folder'
            )
    return list(owners)


def _replace_suffix(path: str, suffix: str) -> str:
    return osp.splitext(path)[0] + suffix
