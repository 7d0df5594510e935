"""CycleGAN's generator and discriminator."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.models.discriminators import FCDiscriminator
from mmseg_uda.models.translation import ResNetGenerator


@pytest.mark.parametrize(('blocks', 'parameters'), [(9, 11_378_179), (6, 7_837_699)])
def test_generators_have_the_parameters_of_the_paper(blocks: int, parameters: int) -> None:
    with torch.device('meta'):
        generator = ResNetGenerator(num_blocks=blocks)
    assert sum(param.numel() for param in generator.parameters()) == parameters
    assert not list(generator.buffers())  # no running statistics


def patch_gan() -> FCDiscriminator:
    return FCDiscriminator(3, stride=(2, 2, 2, 1, 1), norm_cfg=dict(type='IN'))


def test_discriminator_is_that_of_the_paper() -> None:
    with torch.device('meta'):
        network = patch_gan()
        assert network(torch.empty(1, 3, 452, 452)).shape == (1, 1, 54, 54)
    assert sum(param.numel() for param in network.parameters()) == 2_764_737
    layers = [type(layer).__name__ for layer in network.layers]
    middle = ['Conv2d', 'InstanceNorm2d', 'LeakyReLU'] * 3
    assert layers == ['Conv2d', 'LeakyReLU', *middle, 'Conv2d']
    with pytest.raises(ValueError, match='FCDiscriminator.stride: expected a list of 5 numbers'):
        FCDiscriminator(3, stride=(2, 2))


def test_discriminator_sees_patches_of_70_pixels() -> None:
    network = FCDiscriminator(3, channels=(2, 2, 2, 2), stride=(2, 2, 2, 1, 1))
    image = torch.randn(1, 3, 128, 128, requires_grad=True)
    score = network(image)
    score[0, 0, 7, 7].backward()
    rows = image.grad.abs().sum((0, 1, 3)).nonzero()
    assert rows.max() - rows.min() + 1 == 70


def norm(x: Tensor) -> Tensor:
    mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), unbiased=False, keepdim=True)
    return (x - mean) / (var + 1e-5).sqrt()


def by_hand(generator: ResNetGenerator, x: Tensor) -> Tensor:
    """The generator in the words of the paper: c7s1, d, d, R..., u, u, c7s1."""
    weights = [
        (layer.weight, layer.bias)
        for layer in generator.modules()
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
    ]
    first, *rest = weights
    x = norm(F.conv2d(F.pad(x, (3,) * 4, mode='reflect'), *first)).relu()
    for pair in rest[:2]:
        x = norm(F.conv2d(x, *pair, stride=2, padding=1)).relu()
    blocks = rest[2:-3]
    for one, other in zip(blocks[::2], blocks[1::2]):
        y = norm(F.conv2d(F.pad(x, (1,) * 4, mode='reflect'), *one)).relu()
        x = x + norm(F.conv2d(F.pad(y, (1,) * 4, mode='reflect'), *other))
    for pair in rest[-3:-1]:
        x = norm(F.conv_transpose2d(x, *pair, stride=2, padding=1, output_padding=1)).relu()
    return F.conv2d(F.pad(x, (3,) * 4, mode='reflect'), *rest[-1]).tanh()


def test_generator_is_the_slow_one() -> None:
    generator = ResNetGenerator(channels=2, num_blocks=2)
    image = torch.rand(2, 3, 16, 24) * 2 - 1
    expected = by_hand(generator, image)
    assert_close(generator(image), expected)
    assert_close(generator.eval()(image), expected)  # the image's own statistics in both modes


@pytest.mark.parametrize('size', [(562, 20), (561, 19), (20, 1052)])
def test_generator_keeps_odd_sizes(size: tuple[int, int]) -> None:
    """The image is continued by reflection, so that what is kept does not depend on the cut."""
    generator = ResNetGenerator(channels=1, num_blocks=1)
    image = torch.rand(1, 3, *size)
    height, width = size
    made = generator(image)
    assert made.shape == (1, 3, *size)
    padded = F.pad(image, (0, -width % 4, 0, -height % 4), mode='reflect')
    assert made.equal(generator(padded)[..., :height, :width])


def test_weights_start_as_in_the_paper() -> None:
    generator = ResNetGenerator(channels=16, num_blocks=2)
    generator.init_weights()
    for layer in generator.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert not layer.bias.any()
