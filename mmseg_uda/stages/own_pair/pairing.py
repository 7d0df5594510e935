"""Pairs of images and labels, found by their names."""

from __future__ import annotations

import os.path as osp
import re
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mmseg_uda.artifacts.files import list_files
from mmseg_uda.datasets.directory import find_stems
from mmseg_uda.datasets.images import IMAGES

__all__ = ['Pairing', 'pair_labels']

SEPARATORS = '_-. '
ENOUGH = 0.9  # of the most labels with an image
# Words in the affixes of labels, the preferred ones first; Cityscapes has several files per image.
PREFERRED = ('trainid', 'label', 'mask', 'gt', 'seg', '')
AVOIDED = ('color', 'colour', 'instance', 'vis', 'polygon', 'depth')
MOST_LABELS = 2000  # from which the rule is found
# Runs of digits, letters or other characters; names are cut between them.
RUN = re.compile(r'\d+|[^\W\d_]+|[\W_]')


class Affixes(NamedTuple):
    """Text of all names before and after the part that an image and its label share.

    Args:
        prefix: Beginning of the last part of a path.
        ending: End of it, without the suffix.
    """

    prefix: str = ''
    ending: str = ''

    def strip(self, stem: str) -> str | None:
        """Give the rest of the last part of a path, with its directories; None if there is none."""
        directory, name = osp.split(stem)
        length = len(name) - len(self.prefix) - len(self.ending)
        if length < 1 or not (name.startswith(self.prefix) and name.endswith(self.ending)):
            return None
        return osp.join(directory, name[len(self.prefix) : len(self.prefix) + length])

    def __str__(self) -> str:
        return f'{self.prefix}*{self.ending}'


class Pairing(NamedTuple):
    """The rule by which the name of a label follows from that of its image.

    Args:
        img_prefix: Beginning of the images' names, as for ``DirectoryDataset``.
        img_suffix: Ends of them.
        seg_map_prefix: Beginning of the labels' names.
        seg_map_suffix: Ends of them.
        images: Paths of the images with a label.
        labels: Their labels.
        unlabelled: Stems of images without a label.
        unused: Stems of labels without an image.
    """

    img_prefix: str
    img_suffix: tuple[str, ...]
    seg_map_prefix: str
    seg_map_suffix: tuple[str, ...]
    images: list[str]
    labels: list[str]
    unlabelled: list[str]
    unused: list[str]


class _Rule(NamedTuple):
    """A rule, and what speaks for it.

    Args:
        number: Labels with an image.
        preference: How much the labels' affixes sound like train ids.
        equal: Names are equal as they are.
        clean: What they share neither begins nor ends with a separator.
        shortness: Length of all affixes, negative.
        images: Affixes of the images.
        labels: Affixes of the labels.
        pairs: Image by label, without suffixes.
    """

    number: int
    preference: int
    equal: bool
    clean: bool
    shortness: int
    images: Affixes
    labels: Affixes
    pairs: dict[str, str]


def pair_labels(image_dir: str, label_dir: str, prefer: str = '') -> Pairing:
    """Find out which label belongs to which image, by names relative to the two directories.

    An image and its label have the same directory and share a part of their names, suffixes apart:

    1. all of it: ``a/7.jpg`` and ``a/7.png``;
    2. or all but a beginning and an ending that all images have, and others that all labels have:
       ``7_rgb.png`` and ``7_mask.png``, ``img_001.jpg`` and ``mask_001.png``, ``x_leftImg8bit.png``
       and ``x_gtFine_labelIds.png``. Names are cut between letters, digits and other characters
       only, so that ``1`` is no part of ``12``.

    The rule counts by which most labels have an image. Of several kinds of labels with about as
    many (nine tenths of the most), the one is taken that sounds most like train ids, or has the
    images' names.

    Args:
        image_dir: Directory of the images.
        label_dir: Directory of the labels; may be the same, if names without an affix are images.
        prefer: A suffix of labels that is preferred, such as that of a dataset of mmseg.

    Raises:
        ValueError: No label belongs to an image, several kinds of labels fit as well as each other,
            or one directory lies inside the other.
    """
    places = [Path(osp.realpath(path)) for path in (image_dir, label_dir)]
    same = places[0] == places[1]
    if not same and (places[0] in places[1].parents or places[1] in places[0].parents):
        raise ValueError(
            f'expected two directories side by side, or one for both, but got {image_dir!r} and '
            f'{label_dir!r}, of which one lies in the other; write the inner directories'
        )
    stems = _stems(image_dir)
    labels = _stems(label_dir)
    rule = _choose(list(_rules(stems, labels, same, prefer)), label_dir)
    if rule is None:
        examples = ' and '.join(repr(min(each, default='nothing')) for each in (stems, labels))
        raise ValueError(
            f'expected labels in {label_dir!r} with the names of images in {image_dir!r}, but got '
            f'none that fit, such as {examples}; rename them alike, but for a beginning or an '
            'ending such as _mask'
        )
    image_suffixes = _suffixes(rule.images, image_dir)
    label_suffixes = _suffixes(rule.labels, label_dir)
    label_prefix = rule.labels.prefix
    without = (label_prefix, label_suffixes) if same else None
    images = find_stems(image_dir, image_suffixes, rule.images.prefix, without)
    found = find_stems(label_dir, label_suffixes, label_prefix)
    both = [stem for stem in images if stem in found]
    return Pairing(
        rule.images.prefix,
        image_suffixes,
        label_prefix,
        label_suffixes,
        [osp.join(image_dir, images[stem]) for stem in both],
        [osp.join(label_dir, found[stem]) for stem in both],
        [stem for stem in images if stem not in found],
        [stem for stem in found if stem not in images],
    )


def _stems(directory: str) -> set[str]:
    """Names of images without their suffixes."""
    return {osp.splitext(name)[0] for name in list_files(directory) if name.endswith(IMAGES)}


def _rules(stems: set[str], labels: set[str], same: bool, prefer: str) -> Iterator[_Rule]:
    """Find all rules by which a label has an image."""
    some = sorted(labels)[:: max(1, len(labels) // MOST_LABELS)]
    for images in [Affixes()] if same else _common_affixes(stems):
        keys = {key: stem for stem in stems if (key := images.strip(stem)) is not None}
        found: dict[Affixes, dict[str, str]] = {}  # label -> key
        for label in some:
            for affixes, key in _splits(label, keys):
                found.setdefault(affixes, {})[label] = key
        for affixes, shared in found.items():
            if not (same and affixes == images):
                yield _Rule(
                    len(shared),
                    _preference(affixes, prefer),
                    images == affixes == Affixes(),
                    not any(
                        name[0] in SEPARATORS or name[-1] in SEPARATORS
                        for name in map(osp.basename, shared.values())
                    ),
                    -sum(map(len, (*images, *affixes))),
                    images,
                    affixes,
                    {label: keys[key] for label, key in shared.items()},
                )


def _choose(rules: Sequence[_Rule], label_dir: str) -> _Rule | None:
    most = max((rule.number for rule in rules), default=0)
    # A few labels may be missing: that alone does not speak for labels of another kind.
    rules = [rule for rule in rules if rule.number >= ENOUGH * most]
    best = max(rules, key=lambda rule: (*rule[1:4], rule.number, rule.shortness), default=None)
    if best is None:
        return None
    # Rules with the same pairs say the same in other words.
    others = {
        str(rule.labels)
        for rule in rules
        if rule[1:4] == best[1:4] and rule.number == best.number and rule.pairs != best.pairs
    }
    if others:
        kinds = ' and '.join(sorted({str(best.labels), *others})[:3])
        raise ValueError(
            f'expected one label for each image in {label_dir!r}, but got several kinds that fit, '
            f'{kinds}; move the others elsewhere'
        )
    return best


def _cuts(name: str) -> list[int]:
    """Places between runs of characters, and both ends."""
    return [0, *(match.end() for match in RUN.finditer(name))]


def _splits(label: str, keys: Container[str]) -> Iterator[tuple[Affixes, str]]:
    """Find the parts of a label's name that are keys."""
    directory, name = osp.split(label)
    cuts = _cuts(name)
    for index, start in enumerate(cuts):
        for end in cuts[index + 1 :]:
            key = osp.join(directory, name[start:end])
            if key in keys:
                yield Affixes(name[:start], name[end:]), key


def _common_affixes(stems: Iterable[str]) -> list[Affixes]:
    """All beginnings and endings that all names have, cut between runs of characters."""
    names = sorted(osp.basename(stem) for stem in stems)
    if not names:
        return [Affixes()]
    cuts = set.intersection(*(set(_cuts(name)) for name in names))
    ends = set.intersection(*({len(name) - cut for cut in _cuts(name)} for name in names))
    # In order, all names have a beginning if the first and the last one have it.
    backwards = sorted(name[::-1] for name in names)
    starts = [names[0][:cut] for cut in sorted(cuts) if names[-1].startswith(names[0][:cut])]
    tails = [
        backwards[0][:cut][::-1]
        for cut in sorted(ends)
        if backwards[-1].startswith(backwards[0][:cut])
    ]
    return [Affixes(start, tail) for start in starts for tail in tails]


def _preference(affixes: Affixes, prefer: str) -> int:
    text = f'{affixes.prefix} {affixes.ending}'.lower()
    if affixes.ending and prefer.startswith(affixes.ending):
        return len(PREFERRED) + 1
    if any(word in text for word in AVOIDED):
        return -1
    return len(PREFERRED) - next(i for i, word in enumerate(PREFERRED) if word in text)


def _suffixes(affixes: Affixes, directory: str) -> tuple[str, ...]:
    """Ends of the names with these affixes; those of all image formats without an ending."""
    if not affixes.ending:
        return IMAGES
    names = [osp.splitext(name) for name in list_files(directory) if name.endswith(IMAGES)]
    return tuple(sorted({affixes.ending + suffix for stem, suffix in names if affixes.strip(stem)}))
