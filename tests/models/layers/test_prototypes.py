"""Prototypes: distances, means, updates and their start."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmseg_uda.artifacts.prototypes import PrototypeFile
from mmseg_uda.models.layers import (
    class_means,
    moving_average,
    prototype_distances,
    running_mean,
)
from mmseg_uda.models.prototypes import Prototypes


def test_distances_equal_loops() -> None:
    features, values = torch.randn(2, 3, 4, 5), torch.randn(4, 3)
    known = torch.tensor([True, True, False, True])
    got = prototype_distances(features, values, known)
    assert got.shape == (2, 4, 4, 5)
    for n, c, y, x in torch.ones_like(got).nonzero().tolist():
        difference = features[n, :, y, x] - values[c]
        expected = math.sqrt(float((difference**2).sum())) if known[c] else 1e6
        assert float(got[n, c, y, x]) == pytest.approx(expected, rel=1e-5)


def test_distances_have_gradients_to_features_alone() -> None:
    features = torch.randn(1, 3, 2, 2, dtype=torch.float64).requires_grad_()
    values = torch.randn(4, 3, dtype=torch.float64).requires_grad_()
    known = torch.tensor([True, False, True, True])
    assert gradcheck(lambda x: prototype_distances(x, values, known), features)
    prototype_distances(features, values, known).sum().backward()
    assert values.grad is None
    at_prototype = torch.zeros(1, 3, 1, 1).requires_grad_()
    distance = prototype_distances(at_prototype, torch.zeros(1, 3), torch.tensor([True]))
    assert torch.autograd.grad(distance.sum(), at_prototype)[0].isfinite().all()


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_gradients_of_distances_equal_those_of_cdist(dtype: torch.dtype) -> None:
    """Without its own backward pass, which on a GPU takes A times the memory of the distances."""
    features = (20 + torch.randn(2, 64, 5, 6)).to(dtype).requires_grad_()
    values, grad = 20 + torch.randn(7, 64), torch.randn(2, 7, 5, 6)
    pixels = features.float().flatten(2).transpose(1, 2)
    mode = 'donot_use_mm_for_euclid_dist'
    distance = torch.cdist(pixels, values.expand(2, -1, -1), compute_mode=mode)
    distance = distance.transpose(1, 2).reshape(grad.shape)
    (expected,) = torch.autograd.grad(distance, features, grad)
    with torch.profiler.profile() as profile, torch.autocast('cpu', torch.bfloat16):
        got = prototype_distances(features, values, torch.ones(7, dtype=torch.bool))
        (found,) = torch.autograd.grad(got, features, grad)
    # Of norms of 160, in fp32.
    assert_close(found, expected, atol=1e-5, rtol=1e-2 if dtype == torch.bfloat16 else 0)
    assert not [each.key for each in profile.key_averages() if 'cdist_backward' in each.key]


def weights(prototypes: Prototypes, features: Tensor) -> Tensor:
    return prototypes.logits(features).softmax(1)


def test_assignment() -> None:
    prototypes = Prototypes(4, 3, tau=0.5)
    features = torch.randn(2, 3, 4, 5)
    assert_close(weights(prototypes, features), torch.full((2, 4, 4, 5), 0.25))  # none is known
    prototypes.values.normal_()
    prototypes.counts.copy_(torch.tensor([1, 2, 0, 1]))
    got = weights(prototypes, features)
    assert_close(got.sum(1), torch.ones(2, 4, 5))
    assert not got[:, 2].any()
    distance = prototype_distances(features, prototypes.values, prototypes.counts > 0)
    nearest = distance.amin(1, keepdim=True)
    assert_close(got, (-(distance - nearest) / 0.5).softmax(1))  # a constant changes nothing


def slow_means(features: Tensor, labels: Tensor, classes: int, least: int) -> Tensor:
    result = torch.full((len(features), classes, features.shape[1]), math.nan)
    for n in range(len(features)):
        for c in range(classes):
            pixels = [
                features[n, :, y, x]
                for y in range(labels.shape[1])
                for x in range(labels.shape[2])
                if int(labels[n, y, x]) == c
            ]
            if len(pixels) >= least:
                result[n, c] = torch.stack(pixels).mean(0)
    return result


@pytest.mark.parametrize('least', [1, 3])
def test_class_means_equal_loops(least: int) -> None:
    features, labels = torch.randn(2, 3, 3, 4), torch.randint(0, 5, (2, 3, 4))
    labels[0, 0] = 255
    means, found = class_means(features, labels, 5, least)
    expected = slow_means(features, labels, 5, least)
    assert found.equal(~expected[..., 0].isnan())
    assert not found.all()
    assert_close(means, expected.nan_to_num(0.0))


def test_moving_average_by_hand() -> None:
    values, counts = torch.tensor([[1.0], [5.0], [0.0]]), torch.tensor([3, 1, 0])
    means = torch.tensor([[[2.0], [9.0], [4.0]], [[3.0], [9.0], [8.0]]])
    found = torch.tensor([[True, False, True], [True, False, True]])
    values, counts = moving_average(values, counts, means, found, 0.1)
    # 0.9 (0.9 + 0.2) + 0.3; absent; the first mean, then 0.9 * 4 + 0.8
    assert_close(values, torch.tensor([[1.29], [5.0], [4.4]]))
    assert counts.tolist() == [5, 1, 2]


def test_prototypes_stay_in_the_hull_of_start_and_means() -> None:
    start = torch.randn(3, 1)
    means, found = torch.randn(50, 3, 1), torch.rand(50, 3) < 0.7
    values, _ = moving_average(start, torch.ones(3, dtype=torch.long), means, found, 0.3)
    for c in range(3):
        hull = torch.cat([start[c], means[found[:, c], c, 0]])
        assert hull.min() <= values[c, 0] <= hull.max()


def test_running_mean() -> None:
    """The mean over images with the class; beyond the largest count a moving average."""
    images = [
        (torch.tensor([[1.0], [0.0]]), torch.tensor([True, False])),
        (torch.tensor([[4.0], [0.0]]), torch.tensor([True, False])),
    ]
    values, counts = running_mean(images, epochs=3)
    assert_close(values, torch.tensor([[2.5], [0.0]]))
    assert counts.tolist() == [6, 0]
    values, counts = running_mean(images, epochs=2, max_count=2)
    # 1, 2.5, then half of each new one: 1.75, 2.875
    assert_close(values, torch.tensor([[2.875], [0.0]]))
    assert counts.tolist() == [2, 0]


# ------------------------------------------------------------------------------------------- file


def write(path: Path, classes: int = 2) -> PrototypeFile:
    values = np.arange(3 * classes, dtype=np.float32).reshape(classes, 3)
    found = PrototypeFile(values, np.array([4] + [0] * (classes - 1)), dict(epochs=4))
    found.write(path)
    return found


def test_file_round_trip(tmp_path: Path) -> None:
    written = write(tmp_path / 'p.npz')
    read = PrototypeFile.read(tmp_path / 'p.npz')
    assert read.digest == written.digest
    assert (read.values == written.values).all()
    assert read.recipe == dict(epochs=4)
    content = bytearray((tmp_path / 'p.npz').read_bytes())
    content[60] ^= 255
    (tmp_path / 'p.npz').write_bytes(content)
    with pytest.raises(ValueError, match='PrototypeFile: cannot read .*p.npz .*run the stage'):
        PrototypeFile.read(tmp_path / 'p.npz')


def test_start_from_a_file(tmp_path: Path) -> None:
    write(tmp_path / 'p.npz')
    prototypes = Prototypes(2, 3, str(tmp_path / 'p.npz'))
    with pytest.raises(FileNotFoundError, match='Prototypes.file: expected the file of a stage'):
        prototypes.logits(torch.zeros(1, 3, 1, 1))
    prototypes.init_weights()
    assert prototypes.values.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert prototypes.counts.tolist() == [4, 0]
    resumed = Prototypes(2, 3, str(tmp_path / 'missing.npz'))
    resumed.init_weights()
    resumed.load_state_dict(prototypes.state_dict())
    assert resumed.logits(torch.zeros(1, 3, 1, 1)).shape == (1, 2, 1, 1)
    with pytest.raises(
        ValueError, match=r'expected prototypes of .classes, channels. \(3, 3\), but'
    ):
        Prototypes(3, 3, str(tmp_path / 'p.npz')).init_weights()
