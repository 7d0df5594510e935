"""Checkpoints are found, read and compared with networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import toys
from mmseg.registry import MODELS
from torch import nn

from mmseg_uda.artifacts import checkpoint
from mmseg_uda.artifacts.checkpoint import (
    describe_mismatch,
    find_checkpoints,
    find_latest_checkpoint,
    load_checkpoint,
    load_into,
    load_weights,
    raise_mismatch,
    strip_prefix,
)


def test_mismatch() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    state = {f'student.{key}': value for key, value in network.state_dict().items()}
    assert describe_mismatch(network, state, 'student.') == ''
    assert describe_mismatch(network, state).startswith(
        '6 of 7 tensors are missing or of another shape, the first is 0.weight'
    )
    del state['student.1.num_batches_tracked']
    state['student.1.running_mean'] = torch.zeros(9)  # a buffer may have another size
    assert describe_mismatch(network, state, 'student.') == ''
    state['student.1.weight'] = torch.zeros(9)
    assert describe_mismatch(network, state, 'student.').endswith(
        '1 of 7 tensors are missing or of another shape, the first is student.1.weight'
    )


def test_mismatch_is_refused_by_name() -> None:
    network = nn.Linear(2, 3)
    raise_mismatch('Reader', network, network.state_dict())
    with pytest.raises(
        ValueError,
        match='Reader: expected a checkpoint of this method or of its segmentor, but 2 of 2 .* '
        'are missing .* the first is weight; write the config .* another checkpoint of Linear',
    ):
        raise_mismatch('Reader', network, {})


def test_weights_of_either_kind_of_file(tmp_path: Path) -> None:
    weights = dict(a=torch.ones(2))
    for content in (weights, dict(state_dict=weights, meta=dict(iter=3))):
        torch.save(content, tmp_path / 'a.pth')
        assert load_weights(tmp_path / 'a.pth').keys() == {'a'}
    assert strip_prefix({'student.x': weights['a'], 'teacher.x': weights['a']}, 'student.') == {
        'x': weights['a']
    }


def test_load_into() -> None:
    stock, method = MODELS.build(toys.segmentor_cfg()), toys.build('adversarial')
    load_into('Reader', method, stock.state_dict())  # the student takes it, nothing else is needed
    for key, value in stock.state_dict().items():
        assert method.state_dict()[f'student.{key}'].equal(value)
    with pytest.raises(ValueError, match='Reader: expected a checkpoint of this'):
        load_into('Reader', stock, method.state_dict())
    with pytest.raises(ValueError, match='Adversarial: expected a checkpoint of this'):
        load_into('Reader', method, {'student.x': torch.zeros(1)})


def test_checkpoints_are_ordered_by_number(tmp_path: Path) -> None:
    for name in ('iter_10.pth', 'iter_9.pth', 'best_mIoU_iter_11.pth', 'iter_12.pth.tmp'):
        (tmp_path / name).touch()
    assert [path.name for path in find_checkpoints(tmp_path)] == ['iter_10.pth', 'iter_9.pth']


def test_latest_readable_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(checkpoint, 'print_log', lambda text, *_: said.append(text))
    assert find_latest_checkpoint(tmp_path) is None
    for number in (9, 10):
        torch.save(dict(state_dict={}, meta=dict(iter=number)), tmp_path / f'iter_{number}.pth')
    torch.save(dict(state_dict={}), tmp_path / 'mit_b5_20220624.pth')
    torch.save([1], tmp_path / 'iter_11.pth')
    for note in ('', '/moved/iter_9.pth', str(tmp_path / 'iter_9.pth')):
        (tmp_path / 'last_checkpoint').write_text(note)
        assert find_latest_checkpoint(tmp_path) == tmp_path / 'iter_10.pth'
    (tmp_path / 'iter_12.pth').symlink_to('moved.pth')
    assert find_latest_checkpoint(tmp_path) == tmp_path / 'iter_10.pth'
    (tmp_path / 'iter_12.pth').unlink()
    alone = 'expected the state of a training, but got weights alone'
    path = tmp_path / 'mit_b5_20220624.pth'
    assert said[0] == f'Not resumed from {path}: {alone}: {path}'
    assert said[1].startswith(f'Not resumed from {tmp_path}/iter_11.pth: ')
    whole = (tmp_path / 'iter_10.pth').read_bytes()
    (tmp_path / 'iter_10.pth').write_bytes(whole[: len(whole) // 2])  # killed while writing
    assert find_latest_checkpoint(tmp_path) == tmp_path / 'iter_9.pth'
    assert 'iter_10.pth: expected a PyTorch checkpoint, but got a truncated file' in said[-1]
    (tmp_path / 'iter_9.pth').rename(tmp_path / 'last9.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'last9.pth'))
    assert find_latest_checkpoint(tmp_path) == tmp_path / 'last9.pth'


@pytest.mark.parametrize('content', [[1], dict(state_dict=[1])])
def test_other_objects(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(
        ValueError, match=r'which is a dict of weights, .*: \S+a\.pth; write the file'
    ):
        load_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize('meta', [[], None])
def test_records_of_another_form(tmp_path: Path, meta: object) -> None:
    torch.save(dict(state_dict={'a': torch.ones(1)}, meta=meta), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'meta is a dict, but got .*: \S+a\.pth; write another'):
        load_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize('bare', [False, True])
def test_weights_without_names(tmp_path: Path, bare: bool) -> None:
    weights = {'a': torch.ones(1), 3: torch.ones(1)}
    torch.save(weights if bare else dict(state_dict=weights), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'names, but got the key 3: \S+a\.pth; write the file'):
        load_checkpoint(tmp_path / 'a.pth')


def test_texts_among_weights(tmp_path: Path) -> None:
    weights = {'weight': 'text', 'bias': torch.ones(3), 'x._extra_state': 'any'}
    torch.save(dict(state_dict=weights), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'tensors .* got str in weight: \S+a\.pth; write another'):
        load_checkpoint(tmp_path / 'a.pth')
    torch.save(weights, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='1 of 2 tensors .* of another shape, the first is weight'):
        raise_mismatch('Reader', nn.Linear(2, 3), load_weights(tmp_path / 'a.pth'))


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('bare', [False, True])
def test_weights_that_are_not_finite(tmp_path: Path, value: float, bare: bool) -> None:
    weights = {'a': torch.ones(2), 'b': torch.tensor([1, value]), 'c': torch.tensor([value])}
    torch.save(weights if bare else dict(state_dict=weights), tmp_path / 'a.pth')
    with pytest.raises(
        ValueError, match=r'but got NaN or infinity in b: \S+a\.pth; write an earlier'
    ):
        load_checkpoint(tmp_path / 'a.pth')
    # A resumed training says so; it does not go back in silence and diverge again.
    torch.save(dict(state_dict=weights, meta=dict(iter=2)), tmp_path / 'iter_2.pth')
    torch.save(dict(state_dict={}, meta=dict(iter=1)), tmp_path / 'iter_1.pth')
    assert find_latest_checkpoint(tmp_path) == tmp_path / 'iter_2.pth'


def test_records_need_not_be_finite(tmp_path: Path) -> None:
    content = dict(state_dict={'a': torch.ones(1)}, optimizer={'b': torch.tensor(float('inf'))})
    torch.save(content, tmp_path / 'a.pth')
    assert load_checkpoint(tmp_path / 'a.pth') == content
