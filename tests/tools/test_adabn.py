"""The tool writes the statistics that the library computes, and nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch.testing import assert_close
from toys import CountedRunner, load_script, runner_cfg, segmentor_cfg

from mmseg_uda.engine.batch_norm import reestimate_batch_norm
from mmseg_uda.engine.hooks import build_target_loader

ROOT = Path(__file__).parents[2]
STOCK = segmentor_cfg(batch_norm=True)
METHOD = dict(type='SourceOnly', segmentor=STOCK)


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return load_script('tools/adabn.py')


def prepare(tmp_path: Path, model: dict[str, Any], trained: dict[str, Any] | None = None) -> Config:
    """A config file, and a checkpoint of ``trained`` (default: of the config's model)."""
    cfg = runner_cfg(tmp_path, tmp_path / 'work', model)
    if model['type'] == 'EncoderDecoder':  # mmseg's own loop
        cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=1)
    cfg.dump(tmp_path / 'config.py')
    state = MODELS.build(trained or model).state_dict()
    torch.save(dict(meta=dict(iter=7), state_dict=state, optimizer=dict(lr=1)), tmp_path / 'a.pth')
    return cfg


def run(tool: ModuleType, tmp_path: Path, *flags: str) -> dict[str, Any]:
    names = [str(tmp_path / name) for name in ('config.py', 'a.pth', 'out/b.pth')]
    tool.main([*names, '--num-workers', '0', *flags])
    return torch.load(names[2], weights_only=True)


@pytest.mark.parametrize(
    ('model', 'trained'),
    [(STOCK, STOCK), (METHOD, METHOD), (METHOD, STOCK)],
    ids=['stock', 'method', 'stock checkpoint under a method'],
)
def test_writes_the_adapted_statistics(
    tool: ModuleType, tmp_path: Path, model: dict[str, Any], trained: dict[str, Any]
) -> None:
    cfg = prepare(tmp_path, model, trained)
    before = torch.load(tmp_path / 'a.pth', weights_only=True)
    adapted = run(tool, tmp_path, '--num-images', '4', '--batch-size', '2', '--seed', '3')
    network = MODELS.build(model)
    network.load_state_dict(before['state_dict'])
    loader = build_target_loader(cfg, num_images=4, batch_size=2, num_workers=0, seed=3)
    reestimate_batch_norm(network, loader)
    prefix = 'student.' if model is METHOD and trained is STOCK else ''
    expected = {key[len(prefix) :]: value for key, value in network.state_dict().items()}
    assert_close(dict(adapted['state_dict']), expected, atol=0, rtol=0)
    changed = {
        key
        for key, value in adapted['state_dict'].items()
        if not torch.equal(value, before['state_dict'][key])
    }
    assert {key.rsplit('.', 1)[1] for key in changed} == {'running_mean', 'running_var'}
    assert adapted['meta'] == before['meta']
    assert adapted['optimizer'] == before['optimizer']
    assert os.listdir(tmp_path / 'out') == ['b.pth']


def test_test_evaluates_the_adapted_checkpoint(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path, STOCK)
    before = CountedRunner.count
    run(tool, tmp_path, '--test', '--cfg-options', 'log_level=INFO', 'runner_type=CountedRunner')
    assert CountedRunner.count == before + 1
    printed = capsys.readouterr().out
    assert '4 target images' in printed  # 7 images, one whole batch of 4
    assert re.search(r'mIoU: +\d', printed)
    assert f'Load checkpoint from {tmp_path}/out/b.pth' in printed


def test_inputs_are_not_written(tool: ModuleType, tmp_path: Path) -> None:
    prepare(tmp_path, STOCK)
    before = (tmp_path / 'a.pth').read_bytes()
    names = [str(tmp_path / name) for name in ('config.py', 'a.pth')]
    for out, key in (('a.pth', 'checkpoint'), ('target/images/b.pth', '.*target/images.*')):
        with pytest.raises(ValueError, match=rf'adapt_checkpoint\.out: .* apart from {key}'):
            tool.main([*names, str(tmp_path / out)])
    assert (tmp_path / 'a.pth').read_bytes() == before
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/b.pth').write_text('mine')
    run(tool, tmp_path)
    assert (tmp_path / 'out/b.pth.old-1').read_text() == 'mine'


def test_errors_leave_nothing_behind(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wider = dict(METHOD, segmentor=segmentor_cfg(batch_norm=True, channels=4))
    prepare(tmp_path, STOCK, METHOD)
    with pytest.raises(ValueError, match='a.pth: .* are missing .* checkpoint of EncoderDecoder'):
        run(tool, tmp_path)
    prepare(tmp_path, STOCK, segmentor_cfg(batch_norm=True, channels=4))
    with pytest.raises(ValueError, match='a.pth: .*of another shape, .* of EncoderDecoder'):
        run(tool, tmp_path)
    prepare(tmp_path, METHOD, wider)
    with pytest.raises(ValueError, match='another'):
        run(tool, tmp_path)
    prepare(tmp_path, segmentor_cfg())
    with pytest.raises(ValueError, match='expected batch-norm statistics'):
        run(tool, tmp_path)
    with pytest.raises(SystemExit):
        run(tool, tmp_path, '--batch-size', '0')
    prepare(tmp_path, STOCK)
    monkeypatch.setattr(os, 'replace', lambda *_: (_ for _ in ()).throw(OSError('disk full')))
    with pytest.raises(OSError, match='disk full'):
        run(tool, tmp_path)
    assert not any((tmp_path / 'out').iterdir())
