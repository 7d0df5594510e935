"""A folder of images in the style of another, by FDA, beside copies of their labels.

``out/images`` and ``out/labels`` keep the names below ``source`` and ``labels``: a data set like
the source's. ``out/manifest.json`` says what made it and which image took its style from which.
"""

from __future__ import annotations

import dataclasses
import json
import os
import os.path as osp
import shutil
import signal
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import mmcv
import numpy as np
from mmengine.logging import print_log
from mmengine.utils import track_parallel_progress, track_progress
from PIL import Image

from mmseg_uda.artifacts.digests import config_digest
from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.datasets.transforms.fourier import (
    check_beta,
    find_images,
    mix_amplitude,
    resize_style,
)
from mmseg_uda.version import __version__

__all__ = ['TranslationManifest', 'translate_folder']

FORMAT_VERSION = 1
MANIFEST_NAME = 'manifest.json'


@dataclasses.dataclass
class TranslationManifest:
    """What ``manifest.json`` holds.

    Args:
        recipe: All that the files depend on: the arguments, and digests of the names and sizes of
            the files below the folders (not the folders' places).
        recipe_sha256: Its digest.
        images: Per image, sorted: ``image`` and ``label`` (None without labels) relative to the
            folder, ``style`` relative to the target.
        complete: Whether every file is written.
        package_version: Version of the package that wrote the folder.
        format_version: Version of this file's layout.
    """

    recipe: dict[str, Any]
    recipe_sha256: str
    images: list[dict[str, str | None]]
    complete: bool = False
    package_version: str = __version__
    format_version: int = FORMAT_VERSION

    @property
    def files(self) -> list[str]:
        """All images and labels, relative to the folder."""
        return [name for entry in self.images for name in (entry['image'], entry['label']) if name]

    def write(self, folder: str) -> None:
        """Write ``manifest.json``, as a whole or not at all."""
        with atomic_write(osp.join(folder, MANIFEST_NAME)) as file:
            file.write_text(json.dumps(dataclasses.asdict(self), indent=1), encoding='utf-8')

    @classmethod
    def read(cls, folder: str) -> TranslationManifest:
        """Read ``manifest.json`` of a folder.

        Raises:
            ValueError: If it is not one that :func:`translate_folder` of this version wrote.
        """
        path = osp.join(folder, MANIFEST_NAME)
        try:
            with open(path, encoding='utf-8') as file:
                manifest = cls(**json.load(file))
            known = manifest.format_version == FORMAT_VERSION
        except (ValueError, TypeError):
            known = False
        if not known:
            raise ValueError(
                f'translate_folder.out got {folder!r}, whose {MANIFEST_NAME} is not '
                f'one of translated images of format version {FORMAT_VERSION}; write '
                'another folder instead'
            )
        return manifest


def translate_folder(
    source: str,
    target: str,
    out: str,
    *,
    beta: float,
    seed: int = 0,
    max_images: int | None = None,
    labels: str | None = None,
    image_suffix: str = '.png',
    label_suffix: str = '_labelTrainIds.png',
    overwrite: bool = False,
    nproc: int = 1,
) -> TranslationManifest:
    """Translate the images of a folder to the style of another's by FDA.

    Image i of the sorted names takes the style of an image that follows from ``(seed, i)``, the
    same for every ``beta`` and ``max_images``. Run again, it goes on where it was stopped, and does
    nothing if all is there. The manifest is written first as incomplete, last as complete.

    Args:
        source: Folder of the images, searched with its sub-folders.
        target: Folder of the style images, searched likewise; no labels are read.
        out: Folder to write to.
        beta: β in (0, 1], see :mod:`mmseg_uda.datasets.transforms.fourier`; 0.01 to 0.09 are the
            paper's.
        seed: Seed of the styles and of the choice of images.
        max_images: Translate so many images only, chosen at random; a larger number keeps them.
        labels: Folder of the labels that are copied; None copies none.
        image_suffix: End of the images' names; others are left alone. With it replaced by
            ``label_suffix`` an image's name is its label's.
        label_suffix: End of the labels' names.
        overwrite: Replace what another recipe made.
        nproc: Number of processes.

    Returns:
        The complete manifest.

    Raises:
        FileNotFoundError: If there are no images, or a label is missing.
        ValueError: If an argument is out of range, an image cannot be read, or ``out`` holds files
            that are not of this recipe.
    """
    _check(source, target, out, dict(beta=beta, seed=seed, max_images=max_images, nproc=nproc))
    names = _images(source, image_suffix)
    styles = find_images('translate_folder.target', target)
    chosen = _choose(len(names), max_images, seed)
    label_of = {names[i]: names[i][: -len(image_suffix)] + label_suffix for i in chosen if labels}
    manifest = _open(
        out,
        _manifest(
            dict(
                method='fda',
                beta=beta,
                seed=seed,
                max_images=max_images,
                image_suffix=image_suffix,
                source=_digest(source, names),
                target=_digest(target, styles),
                labels=_label_digest(labels, label_of.values()),
            ),
            [
                (names[i], label_of.get(names[i]), styles[_partner(seed, i, len(styles))])
                for i in chosen
            ],
        ),
        overwrite,
    )
    todo = [entry for entry in manifest.images if not _is_done(out, entry, manifest.complete)]
    if manifest.complete and not todo:
        print_log(f'All {len(manifest.images)} translated images are in {out} already', 'current')
        return manifest
    manifest.complete = False
    manifest.write(out)
    _run(
        partial(_translate, source=source, target=target, labels=labels, out=out, beta=beta),
        todo,
        nproc,
    )
    manifest.complete = True
    manifest.write(out)
    print_log(
        f'{len(todo)} images translated to {out}, {len(manifest.images) - len(todo)} were already',
        'current',
    )
    return manifest


def _check(source: str, target: str, out: str, numbers: dict[str, Any]) -> None:
    check_beta('translate_folder.beta', numbers['beta'])
    for key, least in (('seed', 0), ('max_images', 1), ('nproc', 1)):
        if numbers[key] is not None and numbers[key] < least:
            raise ValueError(
                f'translate_folder.{key} got {numbers[key]}; write a number from {least} on'
            )
    if osp.exists(out) and not osp.isdir(out):
        raise ValueError(f'translate_folder.out got the file {out!r}; write a folder instead')
    for folder in (source, target):
        if Path(out).resolve().is_relative_to(Path(folder).resolve()):
            raise ValueError(
                f'translate_folder.out got {out!r}, which is inside of {folder!r}, '
                'where images are searched; write another folder instead'
            )


def _images(source: str, suffix: str) -> list[str]:
    names = [
        name for name in find_images('translate_folder.source', source) if name.endswith(suffix)
    ]
    if not suffix or not names:
        raise FileNotFoundError(
            f'translate_folder.image_suffix got {suffix!r}, in which no image '
            f'below {source!r} ends; write the end of their names instead'
        )
    return names


def _choose(count: int, max_images: int | None, seed: int) -> list[int]:
    if max_images is None:
        return list(range(count))
    return sorted(np.random.default_rng((seed, 0)).permutation(count)[:max_images].tolist())


def _partner(seed: int, index: int, count: int) -> int:
    return int(np.random.default_rng((seed, 1, index)).integers(count))


def _digest(folder: str, names: Iterable[str]) -> str:
    """Digest of names and sizes; contents are too many bytes to read before anything happens."""
    return config_digest([(name, osp.getsize(osp.join(folder, name))) for name in names])


def _label_digest(labels: str | None, names: Iterable[str]) -> str | None:
    if labels is None:
        return None
    missing = [name for name in names if not osp.isfile(osp.join(labels, name))]
    if missing:
        raise FileNotFoundError(
            f'translate_folder.labels got {labels!r}, which lacks {len(missing)} labels, first '
            f'{missing[0]!r}; correct `labels` or `label_suffix`, or convert the labels first'
        )
    return _digest(labels, names)


def _manifest(
    recipe: dict[str, Any], entries: Iterable[tuple[str, str | None, str]]
) -> TranslationManifest:
    images = [
        dict(image=f'images/{image}', label=f'labels/{label}' if label else None, style=style)
        for image, label, style in entries
    ]
    return TranslationManifest(recipe, config_digest(recipe), images)


def _open(out: str, new: TranslationManifest, overwrite: bool) -> TranslationManifest:
    """The manifest to go on with; refuses a folder with anything else in it."""
    old = TranslationManifest.read(out) if osp.isfile(osp.join(out, MANIFEST_NAME)) else None
    known = {MANIFEST_NAME, *(old.files if old else ())}
    strangers = [name for name in _files(out) if name not in known]
    if strangers:
        raise ValueError(
            f'translate_folder.out got {out!r}, which has the file {strangers[0]!r} '
            f'that no {MANIFEST_NAME} lists; write another folder instead'
        )
    if old is None or old.recipe == new.recipe:
        return old or new
    if not overwrite:
        keys = [key for key in new.recipe if old.recipe.get(key) != new.recipe[key]]
        raise ValueError(
            f'translate_folder.out got {out!r}, whose images were made with another '
            f'{", ".join(keys)}; write another folder or overwrite=True '
            '(--overwrite) instead'
        )
    for name in (MANIFEST_NAME, *old.files):  # without the manifest first: nobody takes a mixture
        if osp.isfile(osp.join(out, name)):
            os.remove(osp.join(out, name))
    return new


def _files(folder: str) -> list[str]:
    """Everything below a folder but what killed processes leave."""
    return sorted(
        osp.relpath(osp.join(place, file), folder).replace(os.sep, '/')
        for place, _, files in os.walk(folder)
        for file in files
        if not file.endswith('.tmp')
    )


def _is_done(out: str, entry: dict[str, str | None], complete: bool) -> bool:
    """Whether an image and its label are there; in an unfinished folder, to their last byte."""
    for name in (entry['label'], entry['image']):
        path = osp.join(out, name or '')
        if name and not osp.isfile(path):
            return False
        if name and not complete:
            try:
                with Image.open(path) as image:
                    image.load()
            except (OSError, SyntaxError):
                return False
    return True


def _run(translate: partial[None], entries: list[dict[str, str | None]], nproc: int) -> None:
    """Translate all, with a progress bar that says when it will be done."""
    if nproc == 1 or len(entries) < 2:
        track_progress(translate, entries, file=sys.stderr)
    else:
        track_parallel_progress(
            translate, entries, nproc, initializer=_init_worker, keep_order=False, file=sys.stderr
        )


def _init_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)


def _translate(
    entry: dict[str, str | None],
    source: str,
    target: str,
    labels: str | None,
    out: str,
    beta: float,
) -> None:
    """Write one image after its label."""
    name, style_name = str(entry['image']), str(entry['style'])
    image = _read(osp.join(source, PurePosixPath(name).relative_to('images')))
    style = resize_style(_read(osp.join(target, style_name)), *image.shape[:2])
    if labels and entry['label']:
        label = PurePosixPath(entry['label']).relative_to('labels')
        with atomic_write(osp.join(out, entry['label'])) as file:
            shutil.copyfile(osp.join(labels, label), file)
    pixels = cv2.imencode(osp.splitext(name)[1], mix_amplitude(image, style, beta))[1]
    with atomic_write(osp.join(out, name)) as file:
        file.write_bytes(pixels.tobytes())


def _read(path: str) -> np.ndarray:
    image = mmcv.imread(path)
    if image is None:
        raise ValueError(f'translate_folder cannot read the image {path!r}; replace or remove it')
    return image
