"""Rare class sampling: images and crops of a source that show its rare classes more often."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.datasets.transforms import RandomCrop
from mmseg.registry import DATA_SAMPLERS
from numpy.typing import NDArray

from mmseg_uda.artifacts.class_counts import ClassCounts
from mmseg_uda.datasets.checks import wrapped
from mmseg_uda.utils.arguments import check_integer, check_number

__all__ = ['RareClassSampling', 'RareDraw', 'class_probabilities']

FEW_IMAGES = 0.01
"""Share of images with a class below which training warns."""


def class_probabilities(counts: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """Compute the probability with which each class is drawn.

    Args:
        counts: Pixels of each class in each image, shape (M, C).
        temperature: T, > 0.

    Returns:
        Shape (C, ); 0 for a class without pixels.

    Example:
        >>> class_probabilities(np.array([[6, 2, 0], [2, 0, 0]]), temperature=0.6).round(2)
        array([0.27, 0.73, 0.  ])
    """
    pixels = counts.sum(0, dtype=np.float64)
    rareness = (1 - pixels / max(pixels.sum(), 1)) / temperature  # (1 - f_c) / T
    weights = np.exp(rareness - rareness.max()) * (pixels > 0)
    return weights / max(weights.sum(), np.finfo(float).tiny)


class RareDraw(NamedTuple):
    """Choice for a position of the stream.

    Args:
        rare_class: The class that was drawn; None for any.
        images: Indices of all images with it, in random order: the first one is the sample, the
            others may take its place if it is damaged.
    """

    rare_class: int | None
    images: NDArray[np.int64]


@DATA_SAMPLERS.register_module()
class RareClassSampling:
    r"""Rare class sampling of DAFormer (CVPR 2022, `arXiv:2111.14887
    <https://arxiv.org/abs/2111.14887>`_), for ``train_dataloader.source.sampling``.

    .. math::
        f_c = \frac{\text{pixels of } c}{\text{labelled pixels}}, \qquad
        P(c) = \frac{e^{(1 - f_c)/T}}{\sum_{c'} e^{(1 - f_{c'})/T}}

    over the whole set and the classes that occur in it. For each position a class is drawn from
    P, and an image uniformly among those with more than ``min_pixels`` pixels of it. The image is
    loaded and resized once; ``RandomCrop`` repeats its draw until the crop has more than
    ``min_pixels`` · ``min_crop_ratio`` pixels of the class. Everything is a function of (seed,
    position), as in the whole :class:`EndlessDataset`. There are no passes over the data.

    Args:
        dataset: The source training set; ``RandomCrop`` in its pipelines is replaced in place.
        class_counts: File of ``tools/class_counts.py``.
        temperature: T, > 0; large values draw all classes alike.
        min_pixels: Of the label as stored, not resized; at least 0.
        min_crop_ratio: Depends on crop and resize: 0.5 in DAFormer (512x512), 2 in HRDA
            (1024x1024, of images resized to twice the height and width).
        retries: Further crops after the first; the last one is not checked. At least 0.
        max_probability: Largest P(c), in (0, 1]. Draws that the two limits take from classes come
            uniformly from all images. Neither limit is in the paper: they are for sets with few
            classes, where P would draw the rarest one or two alone.
        max_repeats: An image is drawn for a class at most so many times as often as without
            sampling: P(c) is at most this times the share of images with c. > 0; None for no limit.
            With a limit, a class that occurs, but in no image with enough pixels, is never drawn,
            and a warning says so; without one it is an error.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: An argument is out of range, the file does not fit the dataset, or a class has
            no image with enough pixels.
    """

    def __init__(
        self,
        dataset: Any,
        class_counts: str,
        temperature: float = 0.01,
        min_pixels: int = 3000,
        min_crop_ratio: float = 0.5,
        retries: int = 10,
        max_probability: float = 1,
        max_repeats: float | None = None,
    ) -> None:
        check_number('RareClassSampling.temperature', temperature, '(0, inf)')
        check_integer('RareClassSampling.min_pixels', min_pixels, 0)
        check_number('RareClassSampling.min_crop_ratio', min_crop_ratio, '[0, inf)')
        check_integer('RareClassSampling.retries', retries, 0)
        check_number('RareClassSampling.max_probability', max_probability, '(0, 1]')
        if max_repeats is not None:
            check_number('RareClassSampling.max_repeats', max_repeats, '(0, inf)')
        self.dataset = dataset
        self.min_pixels = min_pixels
        self.min_crop_pixels = min_pixels * min_crop_ratio
        self.retries = retries
        self.wanted: int | None = None  # class that a crop must show; None outside of `load`
        self.classes = tuple(dataset.metainfo['classes'])
        counts = self._read(class_counts)  # (M, C)
        self.images = [np.flatnonzero(pixels > min_pixels) for pixels in counts.T]
        largest = counts.max(0, initial=0)  # (C, )
        self.missing = {
            name: int(pixels)
            for name, pixels in zip(self.classes, largest)
            if 0 < pixels <= min_pixels
        }  # largest number of pixels in an image
        if self.missing and max_repeats is None:
            name, pixels = min(self.missing.items(), key=operator.itemgetter(1))
            raise ValueError(
                f'RareClassSampling.min_pixels: expected images with more than {min_pixels} pixels '
                f'of {name!r}, but got at most {pixels}; write a number below {pixels}'
            )
        probabilities = class_probabilities(counts * (largest > min_pixels), temperature)
        self.probabilities = np.minimum(probabilities, max_probability)
        if max_repeats is not None:
            shares = np.array([len(images) for images in self.images]) / len(dataset)
            self.probabilities = np.minimum(self.probabilities, max_repeats * shares)
        # Rounded: exactly 0 where no limit is reached.
        self.any_class = max(0.0, round(1 - self.probabilities.sum(), 9))
        _retry_crops_of(dataset, self)

    def _read(self, path: str) -> NDArray[np.int64]:
        found = ClassCounts.read(path)
        if tuple(found.recipe.get('classes', ())) != self.classes:
            raise ValueError(
                f'RareClassSampling.class_counts: expected counts of the classes {self.classes}, '
                f'but got {path!r} of {found.recipe.get("classes")}; run tools/class_counts.py'
            )
        labels = [
            self.dataset.get_data_info(index).get('seg_map_path')
            for index in range(len(self.dataset))
        ]
        if None in labels:
            raise ValueError(
                'RareClassSampling: expected a label file of each image (seg_map_path), but got '
                f'none for image {labels.index(None)}; write data_prefix.seg_map_path'
            )
        return found.select(labels)

    def draw(self, seed: int, position: int) -> RareDraw:
        """Draw a class and its images, by (seed, position) alone."""
        rng = np.random.default_rng(
            (seed, position, 3)
        )  # 2 is for samples in a damaged one's place
        probabilities = [*self.probabilities, self.any_class]
        drawn = int(rng.choice(len(probabilities), p=probabilities))
        if drawn == len(self.images):
            return RareDraw(None, rng.permutation(len(self.dataset)))
        return RareDraw(drawn, rng.permutation(self.images[drawn]))

    def load(self, index: int, rare_class: int | None) -> Any:
        """Load a sample whose crop shows the class, if it is given and ``retries`` suffice."""
        self.wanted = rare_class
        try:
            return self.dataset[index]
        finally:
            self.wanted = None

    def describe(self) -> tuple[str, list[str]]:
        """Describe the classes for the log, rare ones first, and list what looks like a mistake."""
        order = np.argsort(-self.probabilities, kind='stable')
        parts = [
            f'{self.classes[c]} {self.probabilities[c]:.3f} ({len(self.images[c])} images)'
            for c in order
            if len(self.images[c])
        ]
        if self.any_class:
            parts.append(f'any {self.any_class:.3f} ({len(self.dataset)} images)')
        few = [
            f'RareClassSampling: no image has more than {self.min_pixels} pixels of {name!r}, but '
            f'at most {pixels}, so it is not drawn; write a smaller min_pixels to draw it'
            for name, pixels in self.missing.items()
        ]
        few += [
            f'RareClassSampling: only {len(self.images[c])} of {len(self.dataset)} images have '
            f'more than {self.min_pixels} pixels of {self.classes[c]!r}, which is drawn with '
            f'probability {self.probabilities[c]:.3f}; write a smaller min_pixels for more'
            for c in order
            if 0 < len(self.images[c]) < FEW_IMAGES * len(self.dataset)
        ]
        return f'RareClassSampling: probability of each class: {", ".join(parts)}', few


class _RetriedCrop(BaseTransform):
    """A ``RandomCrop`` that draws again until the wanted class has enough pixels."""

    def __init__(self, crop: RandomCrop, sampling: RareClassSampling) -> None:
        self.crop = crop
        self.sampling = sampling

    def transform(self, results: dict[str, Any]) -> Any:
        sampling = self.sampling
        for _ in range(sampling.retries if sampling.wanted is not None else 0):
            # A crop is a view of what it cuts, which stays whole.
            cropped = self.crop.transform(dict(results))
            pixels = (cropped['gt_seg_map'] == sampling.wanted).sum()
            if pixels > sampling.min_crop_pixels:
                return cropped
        return self.crop.transform(results)

    def __repr__(self) -> str:
        return repr(self.crop)


def _retry_crops(step: Any, sampling: RareClassSampling) -> None:
    """Replace each ``RandomCrop`` in a pipeline, inside wrappers of transforms too."""
    if hasattr(step, 'transforms'):
        _retry_crops(step.transforms, sampling)
    elif isinstance(step, list):
        for i, each in enumerate(step):
            if isinstance(each, RandomCrop):
                step[i] = _RetriedCrop(each, sampling)
            else:
                _retry_crops(each, sampling)


def _retry_crops_of(dataset: Any, sampling: RareClassSampling) -> None:
    """Replace each ``RandomCrop`` in the pipelines of a dataset and of those that it wraps."""
    _retry_crops(getattr(dataset, 'pipeline', None), sampling)
    for inner in wrapped(dataset):
        _retry_crops_of(inner, sampling)
