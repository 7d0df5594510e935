"""Several trained networks that predict together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import toys
from mmengine.config import Config, ConfigDict
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS
from torch.testing import assert_close

from mmseg_uda.stages.export.plain import plain_config


def ensemble_cfg(*checkpoints: Path, **model: Any) -> dict[str, Any]:
    segmentor = dict(
        toys.segmentor_cfg(), type='EnsembleSegmentor', checkpoints=[*map(str, checkpoints)]
    )
    return dict(type='SourceOnly', segmentor=segmentor, **model)


@pytest.fixture
def trained(tmp_path: Path) -> dict[Path, Any]:
    """Files of two methods and of a stock segmentor, and the networks that they hold."""
    found = {}
    for seed, name in enumerate(('source_only', 'adversarial', 'stock')):
        torch.manual_seed(seed)
        model = toys.shaken('source_only' if name == 'stock' else name).eval()
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        path = tmp_path / f'{name}.pth'
        saved = model.student if name == 'stock' else model
        torch.save(dict(state_dict=saved.state_dict()), path)
        found[path] = model.student
    return found


def loaded(first: Path, *others: Path, **model: Any) -> Any:
    """An ensemble, or a single network."""
    cfg = ensemble_cfg(*others, **model)
    if not others:
        cfg['segmentor'] = toys.segmentor_cfg()
    network = MODELS.build(ConfigDict(cfg)).eval()
    load_checkpoint(network, str(first))
    return network


@pytest.mark.parametrize('test_cfg', [dict(mode='whole'), dict(mode='slide')])
def test_mean_of_upsampled_logits(trained: dict[Path, Any], test_cfg: dict[str, Any]) -> None:
    """As in the published code of ADVENT, of which the mean before upsampling is the same."""
    if test_cfg['mode'] == 'slide':
        test_cfg = dict(test_cfg, crop_size=(16, 16), stride=(8, 8))
    ensemble = loaded(*trained)
    images = torch.randn(2, 3, 32, 48)
    metas = [dict(img_shape=(32, 48), ori_shape=(32, 48), pad_shape=(32, 48))] * 2
    logits = []
    with torch.no_grad():
        for network in (ensemble.student, *trained.values()):
            network.test_cfg = ConfigDict(test_cfg)
            logits.append(network.inference(images, metas))
    assert_close(logits[0], torch.stack(logits[1:]).mean(0))
    assert not any(each.equal(logits[0]) for each in logits[1:])


@pytest.mark.parametrize('test_resize', ['twice', 'logits'])
def test_predicts_with_all(trained: dict[Path, Any], test_resize: str) -> None:
    """Equal networks predict as one; another one changes the scores, however they are resized."""
    first, other, _ = trained
    data = toys.batch()['target']
    scores = []
    for paths in ((first,), (first, first), (first, other)):
        model = loaded(*paths, test_resize=test_resize)
        with torch.no_grad():
            scores.append(model.test_step(data)[0].seg_logits.data)
    assert_close(scores[0], scores[1])
    assert (scores[0] - scores[2]).abs().max() > 0.01


def test_in_a_stock_model(trained: dict[Path, Any]) -> None:
    """It needs no method around it."""
    first, other, stock = trained
    segmentor = MODELS.build(ConfigDict(ensemble_cfg(first, other)['segmentor'])).eval()
    load_checkpoint(segmentor, str(stock))
    images = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        assert_close(segmentor(images), loaded(first, other, stock)(images))


def test_holds_the_first_network_alone(trained: dict[Path, Any]) -> None:
    """The others are fixed, and no part of a checkpoint."""
    first, other, _ = trained
    ensemble = loaded(first, other)
    assert ensemble.state_dict().keys() == toys.build('source_only').state_dict().keys()
    assert not any(each.requires_grad for each in ensemble.student.others.parameters())


def test_errors(trained: dict[Path, Any], tmp_path: Path) -> None:
    first, *_ = trained
    for wrong in ([], 'file.pth', [3]):
        segmentor = dict(ensemble_cfg()['segmentor'], checkpoints=wrong)
        with pytest.raises(
            ValueError, match='EnsembleSegmentor.checkpoints: expected a list of pa'
        ):
            MODELS.build(segmentor)
    missing = loaded(first, tmp_path / 'missing.pth')
    with pytest.raises(FileNotFoundError, match=r'missing\.pth does not exist; train that stage'):
        missing.test_step(toys.batch()['target'])
    torch.save(dict(state_dict={'student.x': torch.ones(1)}), tmp_path / 'other.pth')
    with pytest.raises(
        ValueError, match='expected a checkpoint of this method or of its segmentor'
    ):
        loaded(first, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='expected one network, but got an EnsembleSegmentor'):
        plain_config(Config(dict(model=ensemble_cfg(first))))
