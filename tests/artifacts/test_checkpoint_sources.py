"""Checkpoints by path, URL or key, as mmengine is given them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmseg_uda.artifacts import checkpoint_sources
from mmseg_uda.artifacts.checkpoint_sources import cached_file, resolve_checkpoint

VGG16 = 'https://download.pytorch.org/models/vgg16-397923af.pth'
# A key of each kind. The last three name downloads.
KEYS = (
    'torchvision://vgg16',
    'modelzoo://vgg16',
    'mmcls://mobilenet_v2',
    'open-mmlab://vgg16_caffe',
)


@pytest.fixture
def _hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache of downloads, and no network."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError('downloads what is there')

    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', refuse)


def load(source: str) -> dict[str, Any]:
    return CheckpointLoader.load_checkpoint(source, map_location='cpu', logger='silent')


def test_resolve_checkpoint() -> None:
    assert resolve_checkpoint('a/b.pth') == 'a/b.pth'
    assert resolve_checkpoint('https://host/b.pth') == 'https://host/b.pth'
    assert resolve_checkpoint('torchvision://vgg16') == VGG16
    for key in ('torchvision://resnet1', 'open-mmlab://x', 'mmcls://x', 'other://b.pth'):
        assert resolve_checkpoint(key) is None


def test_torchvision_key_without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'torchvision', None)
    assert resolve_checkpoint('torchvision://vgg16') == VGG16


def test_key_of_a_file_in_mmengines_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    (tmp_path / 'open_mmlab.json').write_text('{"own": "weights/own.pth"}')
    assert resolve_checkpoint('open-mmlab://own') == str(tmp_path / 'weights/own.pth')


@pytest.mark.usefixtures('_hub')
@pytest.mark.parametrize('source', [VGG16, *KEYS])
def test_each_kind_of_source(source: str) -> None:
    path = Path(cached_file(resolve_checkpoint(source)))
    assert path.parent == Path(torch.hub.get_dir(), 'checkpoints')
    path.parent.mkdir(parents=True)
    torch.save({'backbone.a': torch.ones(1), 'head.a': torch.ones(1)}, path)
    # mmengine takes the backbone out of a classifier of mmcls.
    expected = {'state_dict'} if source.startswith('mmcls') else {'backbone.a', 'head.a'}
    assert set(load(source)) == expected
    if source.startswith('mmcls'):
        assert set(load(source)['state_dict']) == {'a'}


def test_a_download_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    downloads = []

    def download(url: str, path: str, progress: bool) -> None:
        assert not progress  # hundreds of lines in a pipe
        downloads.append(url)
        torch.save({'a': torch.ones(1)}, path)

    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    for _ in range(2):
        assert load(VGG16)['a'].item() == 1
    assert downloads == [VGG16]


@pytest.mark.parametrize('source', ['pavi://a.pth', 's3://a/b.pth', 'x:petrel://a/b.pth'])
def test_sources_that_nothing_vets(source: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"but got '{source}'; download the file"):
        load(source)


def test_every_loader_of_mmengine_is_replaced() -> None:
    assert set(CheckpointLoader._schemes.values()) == {checkpoint_sources.load_from_mmseg_uda}


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        ('/home/user', None),
        ('/home/user/best_mIoU_iter_5.pth', 'best_mIoU_iter_5.pth'),
        ('work_dirs/moved/best_mIoU_iter_5.pth', 'best_mIoU_iter_5.pth'),
        ('../thesis.pth', None),
        ('..', None),
        (None, None),
    ],
)
def test_no_best_checkpoint_elsewhere(tmp_path: Path, given: Any, expected: str | None) -> None:
    """``CheckpointHook`` deletes what this record names, be it a directory."""
    info = {'best_ckpt': given, 'best_ckpt_mIoU': given, 'best_score': 1.0}
    content = dict(state_dict={}, message_hub=dict(runtime_info=info))
    torch.save(content, tmp_path / 'a.pth')
    found = load(str(tmp_path / 'a.pth'))['message_hub']['runtime_info']
    best = expected and str(tmp_path / expected)
    assert found.get('best_ckpt') == found.get('best_ckpt_mIoU') == best
    assert found['best_score'] == 1.0


def test_texts_of_configs_stay_behind(tmp_path: Path) -> None:
    content = dict(
        state_dict={'a': torch.ones(1)},
        meta=dict(cfg='a = 1', config='a = 1', iter=3),
        message_hub=dict(runtime_info=dict(cfg='a = 1', iter=3)),
    )
    torch.save(content, tmp_path / 'a.pth')
    found = load(str(tmp_path / 'a.pth'))
    assert found['meta'] == found['message_hub']['runtime_info'] == {'iter': 3}
    for odd in (dict(message_hub=1), dict(message_hub=dict(runtime_info='cfg'))):
        torch.save(odd, tmp_path / 'a.pth')
        assert load(str(tmp_path / 'a.pth')) == odd
