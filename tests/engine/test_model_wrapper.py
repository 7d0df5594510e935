"""The distributed wrapper; see ``tests/models/uda/test_methods_in_processes.py`` too."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Iterator

import pytest
import torch
import torch.distributed as dist
import toys
import two_processes
from mmengine.optim import OptimWrapper
from mmengine.registry import MODEL_WRAPPERS
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.engine import UDADistributedDataParallel
from mmseg_uda.engine.model_wrapper import average_buffers


class Buffers(nn.Module):
    """Statistics of two types, other buffers, and parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2)
        self.norm.running_mean += torch.tensor([1.0, 2.0])
        self.norm.num_batches_tracked += 5
        self.precise = nn.BatchNorm2d(1, affine=False, dtype=torch.float64)
        self.stateless = nn.BatchNorm2d(2, track_running_stats=False)
        self.register_buffer('stored', torch.tensor([3.0]))


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of one process."""
    dist.init_process_group('gloo', init_method=f'file://{tmp_path}/meeting', rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_average_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process holds all zeros."""
    calls: list[torch.dtype] = []
    monkeypatch.setattr(dist, 'all_reduce', lambda flat: calls.append(flat.dtype))
    monkeypatch.setattr(dist, 'get_world_size', lambda: 2)
    module = Buffers()
    weight = module.norm.weight.clone()
    average_buffers(module)
    assert_close(module.norm.running_mean, torch.tensor([0.5, 1.0]))
    assert_close(module.norm.running_var, torch.tensor([0.5, 0.5]))
    assert_close(module.precise.running_var, torch.tensor([0.5], dtype=torch.float64))
    assert module.norm.num_batches_tracked == 5
    assert module.stored == 3
    assert module.norm.weight.equal(weight)
    assert len(calls) == 2  # one message for each type
    assert set(calls) == {torch.float32, torch.float64}


def test_average_of_one_process_changes_nothing(alone: None) -> None:
    module = Buffers()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    average_buffers(module)
    assert_close(module.state_dict(), before, atol=0, rtol=0)
    average_buffers(nn.Linear(1, 1))  # nothing to do


def test_built_as_the_runner_does(alone: None) -> None:
    """Which gives a device number even on CPU."""
    model = toys.build('adversarial').train()
    wrapped = MODEL_WRAPPERS.build(
        dict(type='UDADistributedDataParallel'), default_args=dict(module=model, device_ids=[0])
    )
    assert isinstance(wrapped, UDADistributedDataParallel)
    assert wrapped.find_unused_parameters
    assert not wrapped.broadcast_buffers


def test_steps_run_through_the_wrapper(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the pass that only finds that there are no more leaves the reducer in peace."""
    model, twin = toys.build('adversarial'), toys.build('adversarial')
    wrapped = UDADistributedDataParallel(model)
    prepared: list[Any] = []
    plain = wrapped.reducer.prepare_for_backward

    class Reducer:
        def __getattr__(self, name: str) -> Any:
            return getattr(reducer, name)

        def prepare_for_backward(self, outputs: list[Tensor]) -> None:
            prepared.append(outputs)
            plain(outputs)

    reducer = wrapped.reducer
    monkeypatch.setattr(wrapped, 'reducer', Reducer())
    wrapper = two_processes.joint_wrapper(model, 'adversarial')
    logs = wrapped.train_step(toys.batch(), wrapper)
    assert len(prepared) == 3
    assert all(prepared)
    expected = twin.train_step(toys.batch(), two_processes.joint_wrapper(twin, 'adversarial'))
    assert_close(logs, expected)
    assert_close(model.state_dict(), twin.state_dict())


def test_a_stock_segmentor(alone: None) -> None:
    """Trains as without the wrapper."""
    torch.manual_seed(0)
    model = MODELS.build(toys.segmentor_cfg())
    twin = copy.deepcopy(model)
    logs = []
    for each in (UDADistributedDataParallel(model), twin):
        wrapper = OptimWrapper(torch.optim.SGD(each.parameters(), lr=0.1))
        logs.append(each.train_step(toys.batch()['source'], wrapper))
    assert_close(*logs)
    assert_close(model.state_dict(), twin.state_dict())


@pytest.mark.parametrize('with_cp', [False, True])
def test_checkpointing_of_mmsegs_backbones(alone: None, with_cp: bool) -> None:
    """Of two passes that share parameters, as a method makes them, with the same result."""
    backbone = dict(
        type='MixVisionTransformer', embed_dims=4, num_layers=[1] * 4, drop_path_rate=0.0
    )
    head = dict(
        type='DAFormerHead',
        in_channels=(4, 8, 16, 32),
        channels=8,
        dilations=(1, 2),
        num_classes=toys.NUM_CLASSES,
        dropout_ratio=0.0,
    )
    states = []
    for cfg in (backbone, dict(backbone, with_cp=with_cp)):
        segmentor = dict(toys.segmentor_cfg(head), backbone=cfg)
        model = toys.build('mean_teacher', segmentor=segmentor)
        wrapper = two_processes.joint_wrapper(model, 'mean_teacher')
        trained = UDADistributedDataParallel(model) if cfg is not backbone else model
        trained.train()
        trained.train_step(toys.batch(), wrapper)
        states.append(model.student.state_dict())
    assert_close(*states)
