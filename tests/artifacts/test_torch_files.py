"""PyTorch files: what a training writes is read, what could run code is not."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toys
from mmengine.logging import HistoryBuffer
from torch import nn

from mmseg_uda.artifacts import torch_files
from mmseg_uda.artifacts.torch_files import load_torch_file


@pytest.fixture(params=['weights_only', 'restricted'])
def _reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read as with a recent torch, and as with one before 2.6."""
    if request.param == 'restricted':
        monkeypatch.setattr(torch_files, 'HAS_SAFE_GLOBALS', False)
    elif not torch_files.HAS_SAFE_GLOBALS:
        pytest.skip('torch < 2.6')


both_readers = pytest.mark.usefixtures('_reader')
both_formats = pytest.mark.parametrize('zipped', [True, False])


@both_readers
@both_formats
def test_records_of_a_training(tmp_path: Path, zipped: bool) -> None:
    history = HistoryBuffer([1.0, 3.0], [1, 1])
    optimizer = torch.optim.Adam(nn.Linear(2, 1).parameters())
    content = dict(
        state_dict=OrderedDict(nn.BatchNorm1d(2).state_dict(), half=torch.ones(2).bfloat16()),
        optimizer=optimizer.state_dict(),
        parameter=nn.Parameter(torch.ones(2)),
        message_hub=dict(log_scalars={'loss': history}),
        meta=dict(classes=('a', 'b'), palette=[[0, 0, 0]], names={'x'}),
    )
    torch.save(content, tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
    found = load_torch_file(tmp_path / 'a.pth')
    torch.testing.assert_close(found['state_dict'], content['state_dict'], rtol=0, atol=0)
    torch.testing.assert_close(found['parameter'], content['parameter'], rtol=0, atol=0)
    assert found['optimizer'] == content['optimizer']
    assert found['meta'] == content['meta']
    assert found['message_hub']['log_scalars']['loss'].mean() == 2.0


@both_readers
@pytest.mark.parametrize(
    'value',
    [np.float64(1.5), np.float32(1.5), np.int64(2), np.bool_(True), np.arange(3.0), np.uint8([1])],
)
def test_numpy_values(tmp_path: Path, value: Any) -> None:
    torch.save({'best': value}, tmp_path / 'a.pth')
    found = load_torch_file(tmp_path / 'a.pth')['best']
    np.testing.assert_array_equal(found, value)
    assert found.dtype == value.dtype


@both_readers
@both_formats
def test_code_is_refused(tmp_path: Path, zipped: bool) -> None:
    path, made = tmp_path / 'a.pth', tmp_path / 'made'
    content = dict(state_dict={}, meta=toys.Payload(made))
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r'asks for _?io\.open, which could run any code') as error:
        load_torch_file(path)
    assert not made.exists()
    assert str(path) in str(error.value)
    assert '\n' not in str(error.value)
    assert 'weights_only' not in str(error.value)
    assert error.value.__suppress_context__  # nor does a traceback show torch's advice
    torch.load(path, weights_only=False)
    assert made.exists()  # the payload does what it is for


def test_getattr_gives_nothing_but_statistics() -> None:
    assert torch_files._history_method(HistoryBuffer, 'mean') is HistoryBuffer.mean
    for owner, name in [(HistoryBuffer, '__init__'), (np, 'save'), (HistoryBuffer.mean, 'x')]:
        with pytest.raises(ValueError, match='expected a public method of HistoryBuffer'):
            torch_files._history_method(owner, name)


def test_encodings_other_than_that_of_arrays_are_refused() -> None:
    assert torch_files._encode_latin1('\xff', 'latin1') == b'\xff'
    with pytest.raises(ValueError, match="expected the encoding 'latin1', but got 'bz2'"):
        torch_files._encode_latin1('a', 'bz2')


LFS = b'version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 4\n'


@both_readers
@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (LFS, r'a Git LFS pointer \(run git lfs pull\)'),
        (b'\n<!DOCTYPE html>\n<html></html>', 'an HTML page'),
        (b'<html><body>Not Found</body></html>', 'an HTML page'),
        (b'', 'an empty file'),
        (b'weights', r'a file that torch [\d.]+\S* cannot read \(.+\)'),
    ],
)
def test_other_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / 'a.pth'
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=f'^expected a PyTorch checkpoint, but got {message}.*: '
    ) as e:
        load_torch_file(path)
    assert str(e.value).endswith(f': {path}')
    assert '\n' not in str(e.value)


@both_readers
@both_formats
@pytest.mark.parametrize('share', [0.01, 0.5, 0.99])
def test_truncated_files_are_named(tmp_path: Path, zipped: bool, share: float) -> None:
    path = tmp_path / 'a.pth'
    torch.save(dict(a=torch.ones(999)), path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    kind = 'a truncated file' if zipped else 'a file that torch'
    with pytest.raises(
        ValueError, match=rf'^expected a PyTorch checkpoint, but got {kind}.*a\.pth$'
    ):
        load_torch_file(path)


def test_missing_file() -> None:
    with pytest.raises(FileNotFoundError, match=r'there is no file none\.pth'):
        load_torch_file('none.pth')
