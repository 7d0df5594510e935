"""Errors in the words of the config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import DATASETS, MODELS

from mmseg_uda.utils.clear_errors import clear_errors

HEAD = dict(type='DeepLabV2Head', in_channels=4, num_classes=3)


def build(registry: Any, part: Any, **cfg: Any) -> None:
    config = Config(dict(model=dict(decode_head=dict(HEAD, **cfg))))
    with clear_errors(config):
        registry.build(part(config))


def test_key_of_a_base_class_and_its_place() -> None:
    with pytest.raises(TypeError) as error:
        build(MODELS, lambda cfg: cfg.model.decode_head, dilation=2)
    assert str(error.value) == (
        'DeepLabV2Head: model.decode_head.dilation got 2, but has no key '
        '`dilation`; write `dilations`'
    )


def test_all_keys_when_none_is_similar() -> None:
    with pytest.raises(TypeError, match=r'foo got 1, .*write one of .*in_channels'):
        build(MODELS, lambda cfg: cfg.model.decode_head, foo=1)


def test_what_is_built_comes_before_variables() -> None:
    dataset = dict(type='ToyStreetDataset', split='train', domain='source', data_root='.', foo=1)
    cfg = Config(dict(a_variable=dataset, val_dataloader=dict(dataset=[dataset])))
    place = r'^ToyStreetDataset: val_dataloader\.dataset\.0\.foo got'
    with pytest.raises(TypeError, match=place), clear_errors(cfg):
        DATASETS.build(cfg.a_variable)


@pytest.mark.parametrize(
    'message',
    [
        'no constructor at all',
        ("Other.__init__() got an unexpected keyword argument 'in_channels'"),
    ],
)
def test_other_errors_stay(message: str) -> None:
    with pytest.raises(TypeError) as error, clear_errors(Config(dict(model=HEAD))):
        raise TypeError(message)
    assert str(error.value) == message


@pytest.mark.parametrize('size', [0, 300])
@pytest.mark.parametrize('by', ['load_from', 'resume'])
def test_damaged_checkpoint_is_named(tmp_path: Path, size: int, by: str) -> None:
    path = tmp_path / 'iter_1.pth'
    torch.save(dict(state_dict=dict(a=torch.ones(999))), path)
    path.write_bytes(path.read_bytes()[:size])
    (tmp_path / 'last_checkpoint').write_text(str(path))
    cfg = Config(dict(work_dir=str(tmp_path), **{by: str(path)}))
    with pytest.raises(ValueError, match=r'iter_1\.pth is no checkpoint'), clear_errors(cfg):
        torch.load(path, weights_only=True)


def test_whole_checkpoint_is_not_blamed(tmp_path: Path) -> None:
    path = tmp_path / 'iter_1.pth'
    torch.save(dict(state_dict={}), path)
    with pytest.raises(EOFError), clear_errors(Config(dict(work_dir='', load_from=str(path)))):
        raise EOFError
