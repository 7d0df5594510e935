"""Translation of a directory of images to the style of another, with copies of labels.

``out/images`` and ``out/labels`` keep the names below ``source`` and ``labels``: a dataset like the
source's. ``out/manifest.json`` says what made it and which image took its style from which.
"""

from __future__ import annotations

import logging
import os.path as osp
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.logging import print_log
from PIL import Image

from mmseg_uda.artifacts.digest import digest_config
from mmseg_uda.artifacts.files import MANIFEST_NAME, atomic_write, list_files
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.artifacts.recipe import raise_differences
from mmseg_uda.artifacts.translated import TranslationManifest
from mmseg_uda.config.tables import choose
from mmseg_uda.datasets.images import describe_left_out
from mmseg_uda.datasets.transforms.fourier import find_images
from mmseg_uda.stages.translation.translators import TRANSLATORS, Translator, read_image
from mmseg_uda.utils.arguments import check_integer
from mmseg_uda.utils.processes import map_with_progress

__all__ = ['check_numbers', 'translate_folder']


def translate_folder(
    source: str,
    target: str | None,
    out: str,
    *,
    method: str = 'fda',
    seed: int = 0,
    max_images: int | None = None,
    labels: str | None = None,
    image_suffix: str = '.png',
    label_suffix: str = '_labelTrainIds.png',
    overwrite: bool = False,
    nproc: int = 1,
    **options: Any,
) -> TranslationManifest:
    """Translate the images of a directory to the style of another's.

    Image i of the sorted names takes the style of an image that follows from ``(seed, i)``, the
    same for every method and ``max_images``. Run again, it goes on where it was stopped, and does
    nothing if all is there. The manifest is written first as incomplete, last as complete.

    Args:
        source: Directory of the images, searched with its sub-directories.
        target: Directory of the style images, searched likewise; no labels are read. None for a
            method that has learned the style.
        out: Directory to write to.
        method: One of ``TRANSLATORS``: ``'fda'``, ``'reinhard'``, ``'histogram'``,
            ``'cyclegan'``.
        seed: Seed of the styles and of the choice of images.
        max_images: Translate so many images only, chosen at random; a larger number keeps them.
        labels: Directory of the labels that are copied; None copies none.
        image_suffix: End of the images' names; others are left alone. With it replaced by
            ``label_suffix`` an image's name is its label's.
        label_suffix: End of the labels' names.
        overwrite: Replace what another recipe made. Only files that are as its manifest says are
            deleted, others are moved aside.
        nproc: Number of processes; one where a network runs on a GPU.
        options: Arguments of the method, such as FDA's ``beta``.

    Returns:
        The complete manifest.

    Raises:
        FileNotFoundError: If there are no images, or a label is missing.
        OSError: If images cannot be read; all are named before the first one is translated.
        ValueError: If an argument is out of range, or ``out`` holds files that are not of this
            recipe, or is, or is inside or above, what is read.
    """
    check_numbers(seed, max_images, nproc)
    cls = TRANSLATORS[choose('method', method, TRANSLATORS, 'translate_folder')]
    translator = cls(**options)
    if osp.exists(out) and not osp.isdir(out):
        raise ValueError(f'translate_folder.out: expected a directory, but got the file {out!r}')
    if cls.takes_style != (target is not None):
        expected = 'a directory' if cls.takes_style else f'None, as {method} has learned the style'
        raise ValueError(f'translate_folder.target: expected {expected}, but got {target!r}')
    reads = dict(source=source, target=target, labels=labels)
    check_output('translate_folder.out', out, [(key, path) for key, path in reads.items() if path])
    names = _find_source(source, image_suffix)
    styles = find_images('translate_folder.target', target) if target else []
    chosen = np.random.default_rng((seed, 0)).permutation(len(names))[:max_images]
    images: list[dict[str, Any]] = []
    for index in range(len(names)) if max_images is None else sorted(chosen.tolist()):
        # A generator per image: its style depends on neither the number nor the order of images.
        rng = np.random.default_rng((seed, 1, index))
        style = styles[int(rng.integers(len(styles)))] if styles else None
        label = (
            f'labels/{names[index].removesuffix(image_suffix)}{label_suffix}' if labels else None
        )
        images.append(dict(image=f'images/{names[index]}', label=label, style=style))
    recipe = dict(
        method=method,
        **translator.recipe(),
        seed=seed,
        max_images=max_images,
        image_suffix=image_suffix,
        source=_digest(source, names),
        target=_digest(target, styles) if target else None,
        labels=_digest_labels(labels, images),
    )
    among = labels is not None and osp.realpath(labels) == osp.realpath(source)
    if text := describe_left_out(source, image_suffix, label_suffix if among else None):
        line = f'translate_folder: image_suffix={image_suffix!r} {text}'
        print_log(line, 'current', logging.WARNING)
    manifest = _open(out, TranslationManifest(recipe, digest_config(recipe), images), overwrite)
    todo = [entry for entry in manifest.images if not _is_done(out, entry, manifest.complete)]
    if manifest.complete and not todo:
        print_log(f'All {len(manifest.images)} translated images are in {out} already', 'current')
        return manifest
    used = [osp.join(source, _below(entry['image'])) for entry in todo]
    if target:
        used += sorted({osp.join(target, entry['style']) for entry in todo})
    _check_readable(used, translator.processes(nproc))
    translator = translator.prepare([osp.join(target or '', name) for name in styles])
    # Incomplete until all is written: a stopped run is resumed, and nothing trains on it.
    manifest.complete = False
    manifest.write(out)
    translate = partial(
        _translate,
        source=source,
        target=target,
        labels=labels,
        out=out,
        translator=translator,
    )
    map_with_progress(translate, todo, 'images', translator.processes(nproc))
    manifest.finish(out)
    print_log(
        f'{len(todo)} images translated to {out}, {len(manifest.images) - len(todo)} were already',
        'current',
    )
    return manifest


def check_numbers(seed: int = 0, max_images: int | None = None, nproc: int = 1) -> None:
    """Check that the numbers of :func:`translate_folder` are in their ranges."""
    check_integer('translate_folder.seed', seed, 0)
    if max_images is not None:
        check_integer('translate_folder.max_images', max_images, 1)
    check_integer('translate_folder.nproc', nproc, 1)


def _find_source(source: str, suffix: str) -> list[str]:
    names = find_images('translate_folder.source', source)
    names = [name for name in names if name.endswith(suffix)]
    if not suffix or not names:
        raise FileNotFoundError(
            f'translate_folder.image_suffix got {suffix!r}, in which no image below {source!r} '
            'ends; write the end of their names'
        )
    return names


def _check_readable(paths: list[str], nproc: int) -> None:
    """Name all damaged images before anything is written.

    To replace or remove one later would make another recipe, of which nothing would be kept.
    Reading takes a small part of the time of a translation.
    """
    problems = [*filter(None, map_with_progress(_damage, paths, 'images to check', nproc))]
    for problem in problems:
        print_log(problem, 'current', logging.WARNING)
    if problems:
        raise OSError(
            f'translate_folder: expected images that can be read, but {len(problems)} of '
            f'{len(paths)} cannot, the first: {problems[0]}; replace or remove them'
        )


def _damage(path: str) -> str:
    """Describe why an image cannot be read; empty if it can."""
    try:
        read_image(path)
    except Exception as error:  # decoders raise anything on damaged files
        return f'{path}: {error}' if path not in str(error) else str(error)
    return ''


def _below(name: str) -> str:
    """Cut ``images/`` or ``labels/`` off."""
    return name.partition('/')[2]


def _digest(directory: str, names: Iterable[str]) -> str:
    # Names and sizes: contents are too many bytes to read before anything happens.
    return digest_config([(name, osp.getsize(osp.join(directory, name))) for name in names])


def _digest_labels(labels: str | None, images: list[dict[str, Any]]) -> str | None:
    if labels is None:
        return None
    names = [_below(entry['label']) for entry in images]
    missing = [name for name in names if not osp.isfile(osp.join(labels, name))]
    if missing:
        raise FileNotFoundError(
            f'translate_folder.labels got {labels!r}, which lacks {len(missing)} labels, first '
            f'{missing[0]!r}; correct `labels` or `label_suffix`, or convert the labels first'
        )
    return _digest(labels, names)


def _open(out: str, new: TranslationManifest, overwrite: bool) -> TranslationManifest:
    """Give the manifest to go on with.

    Raises:
        ValueError: The directory holds anything else, or, without ``overwrite``, another recipe's.
    """
    old = TranslationManifest.read(out) if osp.isfile(osp.join(out, MANIFEST_NAME)) else None
    known = {MANIFEST_NAME, *(old.listed if old else ())}
    unknown_files = [name for name in list_files(out) if name not in known]
    if unknown_files:
        raise ValueError(
            f'translate_folder.out got {out!r}, which has the file {unknown_files[0]!r} that no '
            f'{MANIFEST_NAME} lists; write another directory'
        )
    if old is None or old.recipe == new.recipe:
        # The recipe decides the images, so that no name of the old file is opened.
        new.complete = old is not None and old.complete
        return new
    if not overwrite:
        raise_differences('translate_folder.out', out, old.recipe, new.recipe)
    old.clear(out)
    return new


def _is_done(out: str, entry: dict[str, Any], complete: bool) -> bool:
    """Check that an image and its label are there; in an unfinished directory, to the last byte."""
    for path in (Path(out, name) for name in (entry['label'], entry['image']) if name):
        if not path.is_file():
            return False
        try:
            if not complete:
                with Image.open(path) as image:
                    image.load()
        except (OSError, SyntaxError):
            return False
    return True


def _translate(
    entry: dict[str, Any],
    source: str,
    target: str | None,
    labels: str | None,
    out: str,
    translator: Translator,
) -> None:
    """Write one image after its label."""
    image = read_image(osp.join(source, _below(entry['image'])))
    style = read_image(osp.join(target, entry['style'])) if target else None
    if labels and entry['label']:
        with atomic_write(osp.join(out, entry['label']), keep=True) as file:
            shutil.copyfile(osp.join(labels, _below(entry['label'])), file)
    suffix = osp.splitext(entry['image'])[1]
    pixels = cv2.imencode(suffix, translator(image, style))[1]
    with atomic_write(osp.join(out, entry['image']), keep=True) as file:
        file.write_bytes(pixels.tobytes())
