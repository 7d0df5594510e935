"""Base of the transforms of a whole batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from mmseg.registry import TRANSFORMS
from torch import Generator, Tensor, nn

from mmseg_uda.datasets.endless import derive_seed

__all__ = [
    'BatchTransform',
    'build_batch_transform',
    'derive_generators',
    'draw',
    'on_host',
    'per_image',
]

T = TypeVar('T')


class BatchTransform(nn.Module):
    """Base of transforms that change a whole batch on its device.

    The registry ``TRANSFORMS`` builds them for a method. They cannot stand in the pipeline of a
    dataset, which passes single samples; a config that places one there is refused by
    ``is_batch_transform``.

    Example:
        >>> class Invert(BatchTransform):
        ...     def forward(self, images):  # (N, 3, H, W)
        ...         return -images
        >>> Invert.is_batch_transform
        True
    """

    is_batch_transform = True


def build_batch_transform(
    key: str, cfg: dict[str, Any], cls: type[T], expected: str, example: str
) -> T:
    """Build a batch transform of a class.

    Args:
        key: Class and argument, for the error.
        cfg: Its config.
        cls: Class that it must have.
        expected: Description of that class, for the error.
        example: Type to write instead, for the error.

    Raises:
        TypeError: It is of another class.
    """
    transform = TRANSFORMS.build(cfg)
    if not isinstance(transform, cls):
        raise TypeError(
            f'{key}: expected {expected}, but got {type(transform).__name__}; write for example '
            f"dict(type='{example}', ...)"
        )
    return transform


def draw(
    sampler: Callable[..., Tensor],
    shape: Sequence[int],
    device: torch.device,
    generators: Sequence[Generator] | None,
) -> Tensor:
    """Draw the random numbers of each image of a batch.

    Args:
        sampler: ``torch.rand`` or ``torch.randn``.
        shape: (N, ...), for N images.
        device: Device to draw on.
        generators: One per image, on the device; None takes the global one.

    Returns:
        Numbers of this shape. Those of an image follow from its generator alone, so that they do
        not depend on the other images of the batch.

    Example:
        >>> pair = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
        >>> alone = torch.Generator().manual_seed(4)
        >>> both = draw(torch.rand, (2, 5), torch.device('cpu'), pair)
        >>> torch.equal(both[1], torch.rand(5, generator=alone))
        True
    """
    each = per_image(generators, shape[0])
    return torch.stack([sampler(shape[1:], generator=one, device=device) for one in each])


def per_image(generators: Sequence[Generator] | None, number: int) -> Sequence[Generator | None]:
    """Return the generator of each of so many images: None, the global one, if there are none."""
    return [None] * number if generators is None else generators


def on_host(generator: Generator | None) -> Generator | None:
    """Return a generator on the CPU that follows from an image's; None, the global one, for None.

    Choices that Python needs come from it: reading numbers of the device would wait for it.
    """
    if generator is None:
        return None
    return Generator('cpu').manual_seed(derive_seed(generator.initial_seed()))


def derive_generators(generators: Sequence[Generator], number: int) -> list[Generator]:
    """Make generators for a further use of a batch, which shifts no other use's random numbers.

    Args:
        generators: One per image, with the seeds that the images have.
        number: Number of the use, from 1 on.

    Example:
        >>> given = [torch.Generator().manual_seed(3)]
        >>> first, again = (derive_generators(given, 1)[0] for _ in range(2))
        >>> torch.equal(torch.rand(5, generator=first), torch.rand(5, generator=again))
        True
    """
    return [
        Generator(each.device).manual_seed(derive_seed(each.initial_seed(), number))
        for each in generators
    ]
