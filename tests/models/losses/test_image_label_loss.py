"""PIT's two losses."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from mmseg_uda.models.losses import ImageLabelLoss, ReconstructionLoss


def slow_image_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Sum over k and c of the printed L_c, mean over images."""
    total = torch.zeros((), dtype=scores.dtype)
    for k in range(scores.shape[0]):
        for n in range(scores.shape[1]):
            for c in range(scores.shape[2]):
                p, y = 1 / (1 + math.e ** -scores[k, n, c]), labels[n, c]
                total = total - (y * torch.log(p) + (1 - y) * torch.log(1 - p))
    return total / scores.shape[1]


def test_image_loss() -> None:
    scores = torch.randn(3, 2, 5, dtype=torch.float64, requires_grad=True)
    labels = torch.rand(2, 5, dtype=torch.float64)
    expected = slow_image_loss(scores, labels)
    found = {
        reduction: ImageLabelLoss(reduction, loss_weight=1.0)(scores, labels)
        for reduction in ('mean', 'sum')
    }
    assert_close(found['sum'].double(), expected, atol=1e-5, rtol=1e-5)
    assert_close(found['mean'].double(), expected / 5, atol=1e-5, rtol=1e-5)
    assert_close(
        torch.autograd.grad(found['sum'], scores)[0],
        torch.autograd.grad(expected, scores)[0],
        atol=1e-6,
        rtol=1e-5,
    )
    assert_close(ImageLabelLoss()(scores, labels), 0.5 * found['mean'])


def test_image_loss_by_hand() -> None:
    loss = ImageLabelLoss(loss_weight=2.0)
    assert_close(
        loss(torch.zeros(1, 1, 3), torch.tensor([[0.2, 0.8, 0.0]])), torch.tensor(2 * math.log(2))
    )
    # An image without a label does not count, and all without are 0.
    two = loss(torch.tensor([[[0.0], [7.0]]]), torch.tensor([[1.0], [0.0]]))
    assert_close(two, torch.tensor(2 * math.log(2)))
    assert loss(torch.randn(2, 2, 3), torch.zeros(2, 3)) == 0
    assert loss(torch.full((1, 1, 2), 1e6), torch.ones(1, 2)).isfinite()
    assert loss.loss_name == 'loss_image'


def test_reconstruction_loss() -> None:
    def upsample(x: Tensor) -> Tensor:
        return F.interpolate(x, (6, 8), mode='bilinear', align_corners=True)

    residual = torch.randn(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    expected = torch.zeros((), dtype=torch.float64)
    for value in upsample(residual).flatten():
        expected = expected + value**2
    for chunk in (1, 10**6):
        found = {
            reduction: ReconstructionLoss(reduction, loss_weight=1.0)(residual, upsample, 48, chunk)
            for reduction in ('mean', 'sum')
        }
        assert_close(found['sum'], expected / 2)  # images
        assert_close(found['mean'], expected / (2 * 3 * 48))
        assert_close(
            torch.autograd.grad(found['sum'], residual)[0],
            torch.autograd.grad(expected / 2, residual, retain_graph=True)[0],
        )
    assert_close(ReconstructionLoss()(residual, upsample, 48), 0.5 * found['mean'])
    assert ReconstructionLoss(domains=['target']).domains == ('target',)
    assert ReconstructionLoss().loss_name == 'loss_reconstruction'


@pytest.mark.parametrize('loss', [ImageLabelLoss, ReconstructionLoss])
def test_wrong_arguments(loss: type) -> None:
    with pytest.raises(
        ValueError,
        match=f"{loss.__name__}.reduction: expected one of .'mean', 'sum'., but got 'none'",
    ):
        loss(reduction='none')
    with pytest.raises(
        ValueError,
        match=f"{loss.__name__}.loss_name: expected a name that contains `loss`, but got 'l'",
    ):
        loss(loss_name='l')
    assert loss(loss_name='loss_x').loss_name == 'loss_x'


@pytest.mark.parametrize('domains', [(), ('mix',)])
def test_wrong_domains(domains: tuple[str, ...]) -> None:
    with pytest.raises(
        ValueError,
        match='ReconstructionLoss.domains: expected one or both of .*, but got ',
    ):
        ReconstructionLoss(domains=domains)
