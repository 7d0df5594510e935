"""Two processes train as one with the joint batch: every model of ``toys.ALL``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import toys
import two_processes as processes
from torch.testing import assert_close

every_model = pytest.mark.parametrize('name', toys.ALL)
every_exact_model = pytest.mark.parametrize(
    'name', [name for name in toys.ALL if name not in toys.STOCHASTIC]
)


@pytest.fixture(scope='module')
def ranks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """What two processes found; see ``two_processes.py``."""
    folder = tmp_path_factory.mktemp('processes')
    for seed, domain in enumerate(('source', 'target')):
        toys.write_domain(folder / 'data', domain, 5 + 2 * seed, seed)
    torch.multiprocessing.start_processes(processes.main, (folder,), nprocs=2, start_method='fork')
    return folder, [torch.load(folder / f'{rank}.pth', weights_only=True) for rank in range(2)]


@every_model
@pytest.mark.parametrize('what', ['weights', 'gradients', 'stock'])
def test_replicas_are_bit_equal(name: str, what: str, ranks: Any) -> None:
    _, (one, other) = ranks
    assert_close(one[f'{what} {name}'], other[f'{what} {name}'], atol=0, rtol=0)


@pytest.mark.parametrize(
    'what',
    [
        'accumulated',
        'batch norm adversarial',
        'batch norm mean_teacher',
        *map('run {}'.format, processes.RUNS),
    ],
)
def test_replicas_are_bit_equal_in_whole_runs(what: str, ranks: Any) -> None:
    """Batch-norm statistics too, also a teacher's, though each process saw other images."""
    _, (one, other) = ranks
    assert_close(one[what], other[what], atol=0, rtol=0)


@every_exact_model
def test_two_processes_train_as_one(name: str, ranks: Any) -> None:
    expected = processes.weights(toys.build(name), name)
    atol = 1e-12 if name in toys.TRANSLATORS else 2e-6
    assert_close(ranks[1][0][f'weights {name}'], expected, atol=atol, rtol=0)


@every_exact_model
@pytest.mark.parametrize('what', ['gradients', 'stock'])
def test_two_processes_have_the_gradients_of_one(name: str, what: str, ranks: Any) -> None:
    model = toys.build(name)
    expected = processes.gradients(model, processes.joint_wrapper(model, name))
    # Losses of CycleGAN are weighted by 10, and normalisation divides by small deviations.
    atol = 2e-4 if name in toys.TRANSLATORS else 1e-6
    assert_close(ranks[1][0][f'{what} {name}'], expected, atol=atol, rtol=1e-5)


@pytest.mark.parametrize('name', processes.UNEVEN)
def test_two_processes_weigh_labelled_pixels_as_one(name: str, ranks: Any) -> None:
    """The mean is over the pixels of both, also where one has fewer labels."""
    model = toys.build(name)
    expected = processes.gradients(model, processes.joint_wrapper(model, name), processes.uneven())
    assert_close(ranks[1][0][f'uneven {name}'], expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize('case', processes.DRAWING)
def test_two_processes_draw_as_one(case: str, ranks: Any) -> None:
    """Numbers follow from the sample, shares of confident pixels are those of all images."""
    model, (name, _) = processes.drawn(case), processes.DRAWING[case]
    expected = processes.gradients(model, processes.joint_wrapper(model, name), toys.batch(4))
    assert_close(ranks[1][0][f'drawn {case}'], expected, atol=1e-6, rtol=1e-5)


def test_two_processes_accumulate_as_one(ranks: Any) -> None:
    name = processes.BATCH_NORM
    expected = processes.weights(toys.build(name), name, iters=5, accumulative_counts=2)
    assert_close(ranks[1][0]['accumulated'], expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize('name', processes.RUNS)
def test_two_processes_run_as_one(name: str, ranks: Any) -> None:
    """The sampler splits the stream, the runner wraps the model, the hooks write."""
    folder, (one, _) = ranks
    expected = processes.run(name, folder, folder / f'alone_{name}', 2)
    assert_close(one[f'run {name}'], expected, atol=2e-6, rtol=0)
