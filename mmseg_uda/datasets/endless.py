"""An endless, shuffled stream of samples whose positions are computed independently."""

from __future__ import annotations

import random
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any, Iterator

import cv2
import numpy as np
import torch
from mmengine.dist import get_dist_info
from torch import default_generator
from torch.utils.data import Dataset, Sampler

from mmseg_uda.datasets.rare_classes import RareClassSampling

__all__ = ['DAMAGE', 'EndlessDataset', 'PositionSampler', 'derive_seed', 'is_damage', 'seeded']

DAMAGE = (OSError, SyntaxError, cv2.error, AssertionError)
"""Errors that a damaged file may raise; :func:`is_damage` tells it from other causes."""


def derive_seed(*entropy: int) -> int:
    """Derive a 31-bit seed from several integers.

    Example:
        >>> derive_seed(0, 1) == derive_seed(0, 1), derive_seed(0, 1) == derive_seed(1, 0)
        (True, False)
    """
    return int(np.random.SeedSequence(entropy).generate_state(1)[0]) >> 1


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed python, numpy and torch (CPU) in a block, and restore their states at its end.

    Example:
        >>> with seeded(3):
        ...     first = random.random()
        >>> with seeded(3):
        ...     print(random.random() == first)
        True
    """
    # `torch.manual_seed` would seed every GPU too.
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@lru_cache(maxsize=4)  # two domains, and their passes before a border
def _permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(length)


@lru_cache(maxsize=4)
def _chosen(seed: int, length: int, number: int) -> np.ndarray:
    return np.random.default_rng((seed, 0, 5)).permutation(length)[:number]


class EndlessDataset(Dataset[Any]):
    """Map a position in an endless stream to a sample.

    The stream is one permutation of the dataset after another. The image at a position and every
    random choice of its pipeline depend on ``(seed, position)`` alone, and not on workers,
    processes or resumed training. So does ``seed``, which the stream writes into the meta
    information of a sample: methods draw the image's random numbers from it. In iteration t, image
    i of the joint batch of B images has the position t · B + i.

    Args:
        dataset: A mmseg dataset.
        seed: Seed of this stream; two domains need different ones.
        shuffle: Permute each pass.
        skip_broken: Number of damaged samples that one position may meet. Another sample, which
            follows from ``(seed, position)``, takes the place of a damaged one, and ``broken`` in
            its meta information lists the damaged ones by name with their errors.
        sampling: Draws the samples in place of the permutations, see :class:`RareClassSampling`.
        num_images: Stream so many samples of the dataset alone, chosen by the seed: the first ones
            of a permutation, so that 5 are among the 20 of the same seed. Default: all.

    Raises:
        OSError: A sample is damaged, and no other one may take its place.

    Example:
        >>> stream = EndlessDataset('abc', seed=0)
        >>> sorted(stream[i] for i in range(3)), sorted(stream[i] for i in range(3, 6))
        (['a', 'b', 'c'], ['a', 'b', 'c'])
    """

    def __init__(
        self,
        dataset: Any,
        seed: int,
        shuffle: bool = True,
        skip_broken: int = 0,
        sampling: RareClassSampling | None = None,
        num_images: int | None = None,
    ) -> None:
        self.dataset = dataset
        self.seed = seed
        self.shuffle = shuffle
        self.skip_broken = skip_broken
        self.sampling = sampling
        self.num_images = num_images

    @property
    def metainfo(self) -> dict[str, Any]:
        """Meta information of the wrapped dataset."""
        return self.dataset.metainfo

    def index(self, position: int) -> int:
        """Compute the index in the dataset of the sample at ``position``."""
        if self.sampling is not None:
            return int(self.sampling.draw(self.seed, position).images[0])
        # Pass over the data, and place within it.
        epoch, offset = divmod(position, len(self))
        if self.shuffle:
            offset = int(_permutation(self.seed, epoch, len(self))[offset])
        return self.choose(offset)

    def choose(self, place: int) -> int:
        """Compute the index in the dataset of one of the samples that are streamed."""
        if self.num_images is None:
            return place
        return int(_chosen(self.seed, len(self.dataset), self.num_images)[place])

    def __len__(self) -> int:
        return self.num_images or len(self.dataset)

    def __getitem__(self, position: int) -> Any:
        broken: dict[str, str] = {}  # names, which several indices may share, and errors
        candidates, load = self._candidates(position), self.dataset.__getitem__
        if self.sampling is not None:
            rare_class, images = self.sampling.draw(self.seed, position)
            candidates, load = map(int, images), partial(self.sampling.load, rare_class=rare_class)
        for index in candidates:
            try:
                with seeded(derive_seed(self.seed, position)):
                    sample = load(index)
                break
            except DAMAGE as error:
                if not is_damage(error):
                    raise
                name = self._describe(index)
                broken[name] = str(error).strip()
                if len(broken) > self.skip_broken:
                    limit = f'; skip_broken={self.skip_broken}' if self.skip_broken else ''
                    raise OSError(
                        f'{type(self.dataset).__name__}: expected readable files, but got {name}: '
                        f'{broken[name]}{limit}'
                    ) from error
        else:
            raise OSError(f'{type(self.dataset).__name__}: all {len(broken)} samples are broken')
        if isinstance(sample, dict) and 'img_path' in sample:
            raise ValueError(
                f'{type(self.dataset).__name__}.pipeline: expected samples that are packed, but '
                f"got one with the keys {', '.join(sample)}; end it with dict(type='PackUDAInputs')"
            )
        if isinstance(sample, dict) and 'data_samples' in sample:
            # Not the pipeline's own seed: its numbers would come again.
            meta: dict[str, Any] = dict(seed=derive_seed(self.seed, position, 1))
            if broken:
                meta['broken'] = list(broken.items())
            sample['data_samples'].set_metainfo(meta)
        return sample

    def _candidates(self, position: int) -> Iterator[int]:
        """Yield the index of a position's sample, then those that may take its place."""
        index = self.index(position)
        yield index
        others = np.random.default_rng((self.seed, position, 2)).permutation(len(self))
        yield from (other for other in map(self.choose, others) if other != index)

    def _describe(self, index: int) -> str:
        if not hasattr(self.dataset, 'get_data_info'):
            return f'sample {index} (no path known)'
        info = self.dataset.get_data_info(index)
        paths = (f'{key}={value}' for key, value in info.items() if key.endswith('_path'))
        return f'the sample with {", ".join(paths)}'


def is_damage(error: Exception) -> bool:
    """Tell damaged files from missing ones, which the error names already, and from slips."""
    if isinstance(error, AssertionError):
        return str(error).startswith('failed to load image')  # of mmcv's LoadImageFromFile
    return getattr(error, 'filename', None) is None and str(error) != ''


class PositionSampler(Sampler[int]):
    """Yield the endless positions ``start + rank, start + rank + world_size, ...`` of a stream.

    In each iteration, N processes with batches of B together see the samples that one process with
    batches of N·B sees.

    Args:
        length: Samples in one pass over the data, for ``len``.
        start: Position of the first sample over all processes. Training that resumes at iteration i
            starts at ``i * batch_size * world_size``.

    Example:
        >>> positions = iter(PositionSampler(length=3, start=5))
        >>> [next(positions) for _ in range(4)]
        [5, 6, 7, 8]
    """

    def __init__(self, length: int, start: int = 0) -> None:
        self.rank, self.world_size = get_dist_info()
        self.length = length
        self.start = start

    def __len__(self) -> int:
        return -(-self.length // self.world_size)

    def __iter__(self) -> Iterator[int]:
        position = self.start + self.rank
        while True:
            yield position
            position += self.world_size
