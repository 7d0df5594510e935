"""Errors about missing pretrained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from mmengine.model import BaseModule
from torch import nn

from mmseg_uda.artifacts.checkpoint_sources import resolve_checkpoint
from mmseg_uda.models.pretrained import explain_missing_weights

VGG16 = 'https://download.pytorch.org/models/vgg16-397923af.pth'
KEYS = [
    VGG16,
    'mmcls://mobilenet_v2',
    'open-mmlab://detectron2/resnet101_caffe',
]


class Part(BaseModule):
    def __init__(self, checkpoint: str | None, as_list: bool = False) -> None:
        init_cfg: Any = dict(type='Pretrained', checkpoint=checkpoint) if checkpoint else None
        super().__init__([dict(type='Kaiming', layer='Conv2d'), init_cfg] if as_list else init_cfg)
        self.conv = nn.Conv2d(1, 1, 1)


class Method(BaseModule):
    def __init__(self, *checkpoints: str | None, as_list: bool = False) -> None:
        super().__init__()
        self.student = BaseModule()
        for name, checkpoint in zip(('backbone', 'neck'), checkpoints):
            self.student.add_module(name, Part(checkpoint, as_list))

    def init_weights(self) -> None:
        with explain_missing_weights(self, {'student': 'segmentor'}):
            super().init_weights()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    def refuse(*_: Any, **__: Any) -> None:
        raise URLError('no network')

    monkeypatch.setattr(torch.hub, 'download_url_to_file', refuse)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    return tmp_path


@pytest.mark.parametrize('key', KEYS)
def test_download_that_fails(key: str, offline: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        Method(key).init_weights()
    message, url = str(caught.value), resolve_checkpoint(key)
    assert url.startswith('https://')
    assert message.startswith(f'model.segmentor.backbone.init_cfg.checkpoint got {key!r}')
    assert 'no network' in message
    file_name = url.rsplit('/', 1)[1]
    assert f'Download {url} to {offline}/checkpoints/{file_name}' in message.replace('/hub', '')
    assert '\n' not in message


def test_file_put_into_the_named_place_is_used(tmp_path: Path, offline: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        Method(VGG16).init_weights()
    place = Path(str(caught.value).split(' to ')[1].split(' (nothing')[0])
    assert place.parent == Path(torch.hub.get_dir()) / 'checkpoints'
    torch.save({'conv.weight': torch.full((1, 1, 1, 1), 7.0), 'conv.bias': torch.zeros(1)}, place)
    method = Method(VGG16)
    method.init_weights()
    assert method.student.backbone.conv.weight.item() == 7.0


@pytest.mark.parametrize('as_list', [False, True])
def test_missing_file(as_list: bool) -> None:
    method = Method(None, 'nowhere/weights.pth')
    if as_list:
        method.student.neck = Part('nowhere/weights.pth', as_list=True)
    with pytest.raises(FileNotFoundError, match=r'model\.segmentor\.neck\.init_cfg\.checkpoint'):
        method.init_weights()


def test_the_failing_one_is_named(tmp_path: Path) -> None:
    torch.save(Part(None).state_dict(), tmp_path / 'good.pth')
    with pytest.raises(FileNotFoundError, match=r"segmentor\.neck.* got 'nowhere.pth'"):
        Method(str(tmp_path / 'good.pth'), 'nowhere.pth').init_weights()
    Method(str(tmp_path / 'good.pth'), None).init_weights()


@pytest.mark.parametrize(
    'key', ['torchvision://resnet1', 'open-mmlab://x', 'mmcls://x', 'other://x.pth']
)
def test_unknown_key(key: str) -> None:
    assert resolve_checkpoint(key) is None
    with pytest.raises(FileNotFoundError, match=f"got '{key}'.* No such key is known"):
        Method(key).init_weights()


def test_other_errors_pass() -> None:
    with pytest.raises(OSError, match='disk full'), explain_missing_weights(Method(None)):
        raise OSError('disk full')
    with pytest.raises(ZeroDivisionError), explain_missing_weights(Method('x.pth')):
        raise ZeroDivisionError
