"""Rare class sampling in training: resumed, by workers, and refused where it has no place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toys
from mmengine.config import Config
from torch.testing import assert_close

from mmseg_uda.config.check import check_config
from mmseg_uda.stages.class_counts import make_class_counts

CROP = dict(type='RandomCrop', crop_size=(16, 24))


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('sampled')
    for seed, domain in enumerate(('source', 'target')):
        toys.write_domain(root, domain, 5, seed)
    make_class_counts(toys.dataset_cfg(root, 'source'), 0).write(root / 'counts.npz')
    return root


def config(data: Path, work_dir: Path, max_iters: int = 8, **changes: Any) -> Config:
    cfg = toys.runner_cfg(data, work_dir, toys.method_cfg('source_only'), max_iters, **changes)
    for loader in cfg.train_dataloader.values():
        loader.dataset.pipeline.insert(-1, CROP)
    cfg.train_dataloader.source.sampling = dict(
        type='RareClassSampling',
        class_counts=str(data / 'counts.npz'),
        temperature=0.01,
        min_pixels=360,
        min_crop_ratio=0.28,  # more than 100 of 384
    )
    return cfg


def test_resumed_and_with_workers(data: Path, tmp_path: Path) -> None:
    straight = toys.train(config(data, tmp_path / 'straight', log_level='INFO'))
    log = next((tmp_path / 'straight').glob('*/*.log')).read_text()
    assert 'INFO - RareClassSampling: probability of each class: ' in log
    toys.train(config(data, tmp_path / 'resumed', 5))
    cfg = config(data, tmp_path / 'resumed', resume=True, num_workers=1)
    cfg.load_from = str(tmp_path / 'resumed/iter_5.pth')
    resumed = toys.train(cfg)
    assert_close(resumed.model.state_dict(), straight.model.state_dict(), atol=0, rtol=0)
    uniform = config(data, tmp_path / 'uniform')
    uniform.train_dataloader.source.pop('sampling')
    other = toys.train(uniform).model.state_dict()
    assert any((other[key] != value).any() for key, value in straight.model.state_dict().items())


def test_refused(data: Path, tmp_path: Path) -> None:
    cfg = config(data, tmp_path)
    cfg.train_dataloader.target.sampling = cfg.train_dataloader.source.sampling
    match = 'UDATrainLoop.train_dataloader.target.sampling: expected none, because it reads labels'
    with pytest.raises(ValueError, match=match):
        toys.train(cfg)
    cfg = config(data, tmp_path)
    cfg.train_dataloader.source.shuffle = False
    with pytest.raises(ValueError, match='source.shuffle: expected True beside sampling'):
        toys.train(cfg)


def test_mistakes_in_the_config(data: Path, tmp_path: Path) -> None:
    cfg = config(data, tmp_path)
    assert not check_config(cfg)
    cfg.train_dataloader.source.sampling.temprature = 1.0
    (problem,) = check_config(cfg)
    assert str(problem).startswith('train_dataloader.source.sampling.temprature: RareClassSampling')
