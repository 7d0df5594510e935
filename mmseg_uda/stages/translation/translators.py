"""Methods that translate one image."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import mmcv
import numpy as np
import torch
from mmengine.device import get_device
from mmseg.registry import MODELS
from numpy.typing import NDArray
from torch import Tensor, nn

from mmseg_uda.artifacts.checkpoint import load_weights, raise_mismatch, strip_prefix
from mmseg_uda.artifacts.digest import digest_path
from mmseg_uda.config.tables import read_config
from mmseg_uda.datasets.transforms.fourier import mix_amplitude, resize_style
from mmseg_uda.stages.translation.colour import SPACES, match_histogram, match_moments, moments
from mmseg_uda.utils.arguments import check_choice, check_number, expect

__all__ = ['TRANSLATORS', 'CycleGANTranslator', 'Translator', 'read_image', 'translate_tiles']

Image = NDArray[np.uint8]


def read_image(path: str) -> Image:
    """Read an image, BGR, shape (H, W, 3).

    Raises:
        ValueError: It cannot be read.
    """
    image = mmcv.imread(path)
    if image is None:
        raise ValueError(f'translate_folder cannot read the image {path!r}')
    return image


@dataclasses.dataclass(frozen=True)
class Translator:
    """A method; its fields are the arguments in configs. It is picklable, for several processes."""

    takes_style: ClassVar[bool] = True
    """Each image takes its style from one of the target."""

    def recipe(self) -> dict[str, Any]:
        """List all that decides an image beside the image and its style."""
        return dataclasses.asdict(self)

    def prepare(self, styles: Sequence[str]) -> Translator:
        """Compute what is needed of all style images, once for all."""
        return self

    def processes(self, nproc: int) -> int:
        """Limit the number of processes."""
        return nproc

    def __call__(self, image: Image, style: Image | None) -> Image:
        """Translate an image, BGR, shape (H, W, 3); the style's size may differ."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class FDATranslator(Translator):
    """FDA, see :mod:`mmseg_uda.datasets.transforms.fourier`.

    Args:
        beta: β in (0, 1]; 0.01 to 0.09 are the paper's.
    """

    beta: float

    def __post_init__(self) -> None:
        check_number('FDATranslator.beta', self.beta, '(0, 1]')

    def __call__(self, image: Image, style: Image | None) -> Image:
        assert style is not None
        return mix_amplitude(image, resize_style(style, *image.shape[:2]), self.beta)


@dataclasses.dataclass(frozen=True)
class ReinhardTranslator(Translator):
    """Colour transfer, see :func:`~mmseg_uda.stages.translation.colour.match_moments`.

    Args:
        space: ``'lab'`` or ``'lalphabeta'``.
        pooled: Take mean and deviation over all target images instead of one for each image.
    """

    space: str = 'lab'
    pooled: bool = False
    pool: tuple[tuple[float, ...], tuple[float, ...]] | None = dataclasses.field(
        default=None, init=False
    )

    def __post_init__(self) -> None:
        check_choice('ReinhardTranslator.space', self.space, tuple(SPACES))

    def recipe(self) -> dict[str, Any]:
        return dict(space=self.space, pooled=self.pooled)

    def prepare(self, styles: Sequence[str]) -> Translator:
        if self.pooled:
            found = [moments(read_image(path), self.space) for path in styles]
            means, deviations = (np.stack(each) for each in zip(*found))  # (images, 3)
            mean = means.mean(0)
            # Of all pixels, images of any size counting the same.
            deviation = np.sqrt((deviations**2 + (means - mean) ** 2).mean(0))
            object.__setattr__(self, 'pool', (tuple(mean), tuple(deviation)))
        return self

    def __call__(self, image: Image, style: Image | None) -> Image:
        pool = self.pool
        if pool is None:
            assert style is not None
            mean, deviation = moments(style, self.space)
        else:
            mean, deviation = np.array(pool)
        return match_moments(image, mean, deviation, self.space)


@dataclasses.dataclass(frozen=True)
class HistogramTranslator(Translator):
    """Histogram matching, see :func:`~mmseg_uda.stages.translation.colour.match_histogram`.

    Args:
        space: ``'lab'`` or ``'rgb'``.
    """

    space: str = 'lab'

    def __post_init__(self) -> None:
        check_choice('HistogramTranslator.space', self.space, ('lab', 'rgb'))

    def __call__(self, image: Image, style: Image | None) -> Image:
        assert style is not None
        return match_histogram(image, style, self.space)


@dataclasses.dataclass(frozen=True)
class CycleGANTranslator(Translator):
    """The generator of a trained :class:`~mmseg_uda.models.translation.CycleGAN`.

    Args:
        config: File of its config; ``TABLE.py:ROW:CELL`` names a row.
        checkpoint: File of its checkpoint.
        scale: Width and height to which an image is resized first, and which it keeps; None for
            its own size.
        tile: Largest height and width that the network gets at once; larger images are cut into
            tiles that overlap, which needs less memory. This is approximate: instance norm takes
            its statistics from each tile, so that tiles differ in colour. None for whole images.
    """

    takes_style = False

    config: str
    checkpoint: str
    scale: tuple[int, int] | None = None
    tile: int | None = None

    def __post_init__(self) -> None:
        scale = self.scale
        fits = scale is None or (len(scale) == 2 and min(scale) >= 1)
        expect(fits, 'CycleGANTranslator.scale', 'width and height', scale)
        expected = 'at least 16 pixels'
        expect(self.tile is None or self.tile >= 16, 'CycleGANTranslator.tile', expected, self.tile)

    def recipe(self) -> dict[str, Any]:
        scale = None if self.scale is None else list(self.scale)
        return dict(checkpoint=digest_path(self.checkpoint), scale=scale, tile=self.tile)

    def prepare(self, styles: Sequence[str]) -> Translator:
        _load.cache_clear()  # the file may be another one of the same name
        _load(self.config, self.checkpoint)  # before processes are forked
        return self

    def processes(self, nproc: int) -> int:
        # A device is busy with one process, and cannot be opened again in a fork.
        return nproc if get_device() == 'cpu' else 1

    def __call__(self, image: Image, style: Image | None) -> Image:
        if self.scale is not None:
            image = mmcv.imresize(image, self.scale, interpolation='bicubic', backend='pillow')
        network = _load(self.config, self.checkpoint)
        device = next(network.parameters()).device
        rgb = torch.from_numpy(image[..., ::-1].copy()).to(device)
        inputs = rgb.permute(2, 0, 1)[None] / 127.5 - 1  # (1, 3, H, W)
        with torch.inference_mode():
            outputs = translate_tiles(network, inputs, self.tile)
        pixels = ((outputs[0] + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0)
        return np.ascontiguousarray(pixels.cpu().numpy()[..., ::-1])


def generator_of(model: Mapping[str, Any]) -> dict[str, Any]:
    """Give the config of a CycleGAN's generator.

    Raises:
        ValueError: The model is another one.
    """
    kind = model.get('type')
    expect(kind == 'CycleGAN', 'CycleGANTranslator.config: model.type', "'CycleGAN'", kind)
    return dict(model['generator'])


@functools.lru_cache(maxsize=1)
def _load(config: str, checkpoint: str) -> nn.Module:
    """Build the generator of target images with its weights."""
    network = MODELS.build(generator_of(read_config(config).model))
    weights = strip_prefix(load_weights(checkpoint), 'generators.target.')
    raise_mismatch('CycleGANTranslator.checkpoint', network, weights)
    network.load_state_dict(weights)
    return network.eval().to(get_device())


def translate_tiles(network: nn.Module, image: Tensor, tile: int | None) -> Tensor:
    """Translate an image (1, 3, H, W) whole, or in tiles whose overlaps are blended.

    Tiles overlap by a quarter; there each counts the less, the nearer its border is.
    """
    size = image.shape[2:]
    if tile is None or max(size) <= tile:
        return network(image)
    total, weight = torch.zeros_like(image), image.new_zeros(1, 1, *size)
    for top in _starts(size[0], tile):
        for left in _starts(size[1], tile):
            place = (..., slice(top, top + tile), slice(left, left + tile))
            part = image[place]
            rows, columns = (_ramp(length, tile, image) for length in part.shape[2:])
            share = rows[:, None] * columns  # (h, w)
            total[place] += share * network(part)
            weight[place] += share
    return total / weight


def _starts(length: int, tile: int) -> list[int]:
    """Place tiles evenly, with an overlap of a quarter at least."""
    if length <= tile:
        return [0]
    step = tile - tile // 4
    number = -(-(length - tile) // step) + 1
    return [round(i * (length - tile) / (number - 1)) for i in range(number)]


def _ramp(length: int, tile: int, like: Tensor) -> Tensor:
    """Weights that rise from both ends of a tile over the overlap, shape (length,)."""
    distance = torch.arange(1, length + 1, device=like.device)
    return torch.minimum(distance, distance.flip(0)).clamp(max=tile // 4).to(like)


# Methods by their name in configs.
TRANSLATORS: dict[str, type[Translator]] = {
    'fda': FDATranslator,
    'reinhard': ReinhardTranslator,
    'histogram': HistogramTranslator,
    'cyclegan': CycleGANTranslator,
}
