"""Images of any suffix below a directory, and their labels below another one."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterable, Sequence
from typing import Any

from mmengine import list_from_file
from mmseg.registry import DATASETS

from mmseg_uda.artifacts.files import list_files
from mmseg_uda.datasets.checked import CheckedDataset
from mmseg_uda.datasets.images import IMAGES
from mmseg_uda.utils.arguments import check_choice, check_number

__all__ = ['DirectoryDataset', 'find_stems', 'split_stems']

PARTS = ('all', 'train', 'val')
RUNS = 10  # of neighbours, in a validation part of a tenth or less
TINY = 1e-9  # a product such as 3 * 0.1 may miss its whole number by less


def find_stems(
    directory: str,
    suffixes: Sequence[str],
    prefix: str = '',
    without: tuple[str, Sequence[str]] | None = None,
) -> dict[str, str]:
    """Find the files of a directory, in sub-directories too.

    Args:
        directory: The directory.
        suffixes: Ends of the files' names.
        prefix: Beginning of the files' names, without their directories.
        without: Prefix and suffixes of files to leave out.

    Returns:
        Names by stem, sorted; both are relative to the directory, and the stem is the name without
        the prefix and the longest suffix that ends it.

    Raises:
        ValueError: Two files have one stem.
    """
    found: dict[str, str] = {}
    for name in list_files(directory):
        stem = _stem(name, prefix, suffixes)
        if stem is None or (without is not None and _stem(name, *without) is not None):
            continue
        if stem in found:
            raise ValueError(
                f'expected one file per name, but got {found[stem]!r} and {name!r} in '
                f'{directory!r}; rename or remove one, or write its suffix alone'
            )
        found[stem] = name
    return dict(sorted(found.items()))


def _stem(name: str, prefix: str, suffixes: Sequence[str]) -> str | None:
    """Take prefix and suffix from a name; None if it does not have both."""
    directory, base = osp.split(name)
    ends = [suffix for suffix in suffixes if base.endswith(suffix)]
    if not ends or not base.startswith(prefix):
        return None
    return osp.join(directory, base[len(prefix) : len(base) - len(max(ends, key=len))])


def split_stems(stems: Sequence[str], part: str, val_share: float) -> list[str]:
    """Select the training or the validation part of a labelled set; always the same one.

    In the order of names, every tenth run of neighbours is held out if the share is 0.1; a run is
    one hundredth of the set, or a tenth of a smaller part. So frames of one video are seldom in
    both parts. At least the last image is held out.

    Args:
        stems: All names, sorted.
        part: ``'all'``, ``'train'`` or ``'val'``.
        val_share: Share of the validation part.

    Example:
        >>> split_stems('abcdefgh', 'val', 0.25), split_stems('abc', 'train', 0.25)
        (['d', 'h'], ['a', 'b'])
    """
    if part == 'all':
        return list(stems)
    run = max(1, int(len(stems) * min(val_share, 0.1) / RUNS + TINY))
    ends = [int(number * val_share + TINY) for number in range(len(stems) // run + 2)]
    held = [ends[index // run] < ends[index // run + 1] for index in range(len(stems))]
    if not any(held):
        held[-1:] = [True]
    return [stem for stem, held_out in zip(stems, held) if held_out == (part == 'val')]


@DATASETS.register_module()
class DirectoryDataset(CheckedDataset):
    """Images of any suffix below a directory, and optionally labels below another one.

    The label of an image has the same path below its directory, but for the suffix:
    ``labels/town/7.png`` belongs to ``images/town/7.JPG``. With ``img_suffix='_rgb.png'`` and
    ``seg_map_suffix='_mask.png'``, ``7_mask.png`` belongs to ``7_rgb.png``; with
    ``img_prefix='img_'`` and ``seg_map_prefix='mask_'``, ``mask_7.png`` to ``img_7.jpg``. A set
    without labels has no ``seg_map_path`` in ``data_prefix``. Files must be local.

    Args:
        img_suffix: Suffix of the images, or several. Default: those of all image formats.
        seg_map_suffix: The same of the labels. If labels lie among the images, what is named as
            they are is no image.
        img_prefix: Beginning of the images' names, without their directories.
        seg_map_prefix: The same of the labels.
        skip_unlabelled: Leave out images without a label instead of refusing them.
        part: ``'train'`` and ``'val'`` are the parts of a split by :func:`split_stems`.
        val_share: Share of the part ``'val'``, in (0, 0.5].
        **kwargs: Arguments of :class:`mmseg.datasets.BaseSegDataset`. Lines of ``ann_file`` are
            paths without prefix and suffix.

    Raises:
        ValueError: If a directory, an image or a label is missing, or a name is not unique.
    """

    def __init__(
        self,
        img_suffix: str | Sequence[str] = IMAGES,
        seg_map_suffix: str | Sequence[str] = IMAGES,
        img_prefix: str = '',
        seg_map_prefix: str = '',
        skip_unlabelled: bool = False,
        part: str = 'all',
        val_share: float = 0.1,
        **kwargs: Any,
    ) -> None:
        check_choice('DirectoryDataset.part', part, PARTS)
        check_number('DirectoryDataset.val_share', val_share, '(0, 0.5]')
        self.img_prefix, self.seg_map_prefix = img_prefix, seg_map_prefix
        self.skip_unlabelled = skip_unlabelled
        self.part, self.val_share = part, val_share
        super().__init__(
            img_suffix=_as_tuple(img_suffix), seg_map_suffix=_as_tuple(seg_map_suffix), **kwargs
        )

    def _list_samples(self) -> list[dict[str, Any]]:
        image_dir, label_dir = (self.data_prefix.get(key) for key in ('img_path', 'seg_map_path'))
        among = label_dir is not None and osp.realpath(label_dir) == osp.realpath(image_dir)
        own = self.seg_map_prefix, self.seg_map_suffix
        images = find_stems(image_dir, self.img_suffix, self.img_prefix, own if among else None)
        labels: dict[str, str] = {}
        if label_dir is not None:
            labels = find_stems(label_dir, self.seg_map_suffix, self.seg_map_prefix)
        stems: Iterable[str] = images
        if self.ann_file:
            stems = [line.strip() for line in list_from_file(self.ann_file)]
            self._require(stems, images, image_dir, 'an image')
        if label_dir is not None:
            if self.skip_unlabelled:
                stems = [stem for stem in stems if stem in labels]
            self._require(stems, labels, label_dir, 'a label')
        data_list = []
        for stem in split_stems(list(stems), self.part, self.val_share):
            info = dict(img_path=osp.join(image_dir, images[stem]), seg_fields=[])
            if label_dir is not None:
                info['seg_map_path'] = osp.join(label_dir, labels[stem])
            info.update(label_map=self.label_map, reduce_zero_label=self.reduce_zero_label)
            data_list.append(info)
        return data_list

    def _require(
        self, stems: Iterable[str], found: dict[str, str], directory: str, kind: str
    ) -> None:
        missing = [stem for stem in stems if stem not in found]
        if missing:
            raise ValueError(
                f'{type(self).__name__}: expected {kind} for each sample, but got none for '
                f'{len(missing)}, the first is {missing[0]!r} in {directory!r}; correct '
                'the suffixes or the directories'
                + ('' if kind == 'an image' else ', or write skip_unlabelled=True')
            )


def _as_tuple(suffix: str | Sequence[str]) -> tuple[str, ...]:
    return (suffix,) if isinstance(suffix, str) else tuple(suffix)
