"""A look at two domains, a report, a contact sheet and a config that trains on them."""

from __future__ import annotations

import os.path as osp
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.datasets.class_map import IGNORE, ClassMap, name_value
from mmseg_uda.datasets.directory import find_stems
from mmseg_uda.datasets.images import IMAGES
from mmseg_uda.stages.own_pair.class_file import read_classes
from mmseg_uda.stages.own_pair.config_text import Parts
from mmseg_uda.stages.own_pair.configs import PairFiles, write_configs
from mmseg_uda.stages.own_pair.images import look_at_images
from mmseg_uda.stages.own_pair.labels import (
    Classes,
    LabelValues,
    guess_classes,
    look_at_labels,
    of_dataset,
)
from mmseg_uda.stages.own_pair.options import PairOptions, check_options, pair_name
from mmseg_uda.stages.own_pair.pairing import Pairing, pair_labels
from mmseg_uda.stages.own_pair.plan import NETWORKS, device_memory, make_plan
from mmseg_uda.stages.own_pair.report import (
    domain_warnings,
    draw_sheet,
    image_warnings,
    images_report,
    label_warnings,
    labels_report,
    pairing_report,
)
from mmseg_uda.utils.drawing import save_picture

__all__ = ['init_pair']

MANY = 500  # images that are held out at most
# Pixels with which an image shows a class: DAFormer's 3000 of GTA's 1914x1052.
RARE_SHARE = 0.0015


def init_pair(options: PairOptions, log: Callable[[str], Any] = print) -> PairFiles:
    """Look at two domains and write a config that trains on them.

    These files are written, of which older ones with other content are moved aside: ``NAME.py``,
    the config; ``NAME_source_only.py`` and ``NAME_pipeline.py``, if the method is another one, to
    train it from the weights of source only; ``NAME.png``, a contact sheet; and ``NAME.txt``, the
    report.

    Args:
        options: Directories and wishes.
        log: Gets each line of the report.

    Returns:
        Paths of the config and of the pipeline.

    Raises:
        FileNotFoundError: There is no such directory or file.
        ValueError: Images or labels are missing or do not fit, or a wish is unknown.
    """
    check_options(options)
    name = pair_name(options)
    path = Path(options.out_dir, f'{name}.py')
    if options.classes is not None:
        check_output('--name', path.with_suffix('.txt'), [('--classes', options.classes)])
    lines: list[str] = []

    def say(line: str) -> None:
        # Names of files may be in another encoding than the terminal and the report.
        line = line.encode('utf-8', 'backslashreplace').decode()
        lines.append(line)
        log(line)

    classes, suffix = _wanted_classes(options)
    pairing = pair_labels(options.source_images, options.source_labels, suffix)
    source = look_at_images(options.source_images, pairing.images)
    target = look_at_images(options.target_images, _images(options.target_images))
    say(images_report('source', source))
    say(pairing_report('source', pairing))
    say(images_report('target', target))
    values, classes = _look_at('source', '--source-labels', pairing, classes, say)
    if len(classes.class_map.classes) < 2:
        raise ValueError(
            f'expected at least two classes, but got {", ".join(classes.class_map.classes)}; write '
            '--classes with a file such as {0: background, 255: object}, if a value that is '
            'ignored is a class'
        )
    if len(pairing.images) < 2 and not options.target_val_images:
        raise ValueError(
            '--source-images: expected at least two images with labels, one of which is held out '
            f'for validation, but got {len(pairing.images)}; add images, or write '
            '--target-val-images and --target-val-labels'
        )
    mistakes = [*image_warnings('source', source), *image_warnings('target', target)]
    mistakes += domain_warnings(source, target)
    mistakes += label_warnings('source', values, classes.class_map, pairing)
    validation, classes, more = _validation(options, suffix, classes, len(pairing.images), say)
    for line in [*mistakes, *more]:
        say(f'look at this: {line}')
    source_set = _dataset(options.source_images, options.source_labels, pairing)
    if validation is None:
        source_set['val_share'] = _val_share(len(pairing.images))
    memory, on_gpu = device_memory()
    short_side = min(source.short_side, target.short_side)
    plan = make_plan(short_side, NETWORKS[options.backbone], memory, on_gpu)
    if options.max_iters is not None:
        plan = plan._replace(max_iters=options.max_iters)
    sheet = draw_sheet(pairing, target.paths, classes, values.colours)
    files = write_configs(
        path,
        title=f'{name}: {options.method} with {options.backbone}, written by tools/init_pair.py.',
        summary=f'Source: {len(source.paths)} images with labels. Target: {len(target.paths)}.',
        classes=classes,
        parts=Parts(
            source_set,
            dict(data_prefix=dict(img_path=osp.abspath(options.target_images))),
            validation,
            len(target.paths),
        ),
        plan=plan,
        source_shares=values.class_shares(classes.class_map),
        method=options.method,
        network=options.backbone,
        min_pixels=round(RARE_SHARE * values.mean_size),
        # A crop shows a class by three quarters of that, after the resize.
        min_crop_ratio=0.75 * (plan.short_side / source.short_side) ** 2,
    )
    save_picture(sheet, path.with_suffix('.png'))
    say(f'wrote {path} and {path.with_suffix(".png")}; look at both, then run')
    say(f'  {files.command}')
    with atomic_write(path.with_suffix('.txt'), keep=True) as partial:
        partial.write_text('\n'.join([*lines, '']), encoding='utf-8')
    return files


def _wanted_classes(options: PairOptions) -> tuple[Classes | None, str]:
    """The classes that were written, and the suffix of the labels of a dataset of mmseg."""
    if options.from_dataset is not None:
        return of_dataset(options.from_dataset)
    return (None if options.classes is None else read_classes(options.classes)), ''


def _look_at(
    name: str, flag: str, pairing: Pairing, classes: Classes | None, say: Callable[[str], Any]
) -> tuple[LabelValues, Classes]:
    """Count and report the values in labels, and give the classes that suit them, too."""
    known = None if classes is None else classes.class_map.colours
    values = look_at_labels(pairing.labels, known)
    if 2 * len(values.unreadable) > values.looked_at:
        raise ValueError(
            f'{flag}: expected labels that can be read, but {len(values.unreadable)} of '
            f'{values.looked_at} cannot, such as {values.unreadable[0]}'
        )
    classes = _tolerate(flag, classes or guess_classes(values), values)
    first, *lines = labels_report(values, classes.class_map)
    for line in (f'{name}: {first}', *lines):
        say(line)
    if values.ignored(classes.class_map) == 1:
        raise ValueError(
            f'{flag}: expected pixels of the classes, but all are ignored, whose values are '
            f'{values.examples(values.pixels)}; write --classes with these values, or labels with '
            'the values of the classes'
        )
    return values, classes


def _tolerate(flag: str, classes: Classes, values: LabelValues) -> Classes:
    """Ignore what is not listed if there is such a value, or if not all labels were read.

    Raises:
        ValueError: Most pixels have a value that nobody listed, so that the classes are others'.
    """
    class_map = classes.class_map
    if class_map.others != 'error':
        return classes
    unlisted = values.unlisted(class_map)
    share = sum(map(values.share, unlisted))
    if share > 0.5:
        raise ValueError(
            f'{flag}: expected values that --classes lists, but {share:.1%} of the pixels have '
            f'others, such as {values.examples(unlisted)}; list them, or write `others: ignore`'
        )
    if unlisted or values.looked_at < values.total:
        names = {name_value(key, values.colours): name for key, name in class_map.names.items()}
        return classes._replace(class_map=ClassMap(class_map.classes, names, IGNORE))
    return classes


def _validation(
    options: PairOptions, suffix: str, classes: Classes, count: int, say: Callable[[str], Any]
) -> tuple[dict[str, Any] | None, Classes, list[str]]:
    """The labelled set of the target, if there is one, classes that suit it, and its mistakes."""
    directory, labels = options.target_val_images, options.target_val_labels
    if directory is None or labels is None:
        say(
            f'validation: no labels of the target; {_val_share(count):.1%} of the source is held '
            'out'
        )
        return None, classes, []
    pairing = pair_labels(directory, labels, suffix)
    images = look_at_images(directory, pairing.images)
    say(images_report('validation', images))
    say(pairing_report('validation', pairing))
    values, classes = _look_at('validation', '--target-val-labels', pairing, classes, say)
    mistakes = [
        *image_warnings('validation', images),
        *label_warnings('validation', values, classes.class_map, pairing),
    ]
    return _dataset(directory, labels, pairing), classes, mistakes


def _val_share(count: int) -> float:
    """The share of a labelled set to hold out: a tenth, or less if that were many images."""
    return min(0.1, round(MANY / count, 4))


def _dataset(images: str, labels: str, pairing: Pairing) -> dict[str, Any]:
    """Arguments of ``DirectoryDataset``; those that are as by default are left out."""
    found: dict[str, Any] = dict(
        data_prefix=dict(img_path=osp.abspath(images), seg_map_path=osp.abspath(labels))
    )
    for key in ('img_suffix', 'seg_map_suffix'):
        if getattr(pairing, key) != IMAGES:
            found[key] = getattr(pairing, key)
    for key in ('img_prefix', 'seg_map_prefix'):
        if getattr(pairing, key):
            found[key] = getattr(pairing, key)
    if pairing.unlabelled:
        found['skip_unlabelled'] = True
    return found


def _images(directory: str) -> list[str]:
    names = find_stems(directory, IMAGES).values()  # two files of one stem could not train
    if not names:
        raise ValueError(f'--target-images: expected images in {directory!r}, but got none')
    return [osp.join(directory, name) for name in names]
