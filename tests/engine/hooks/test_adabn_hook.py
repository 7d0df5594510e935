"""Adaptation before validation and test, and the loader of target images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch.testing import assert_close
from toys import dataset_cfg, runner_cfg, segmentor_cfg, train

from mmseg_uda.artifacts.checkpoint import load_checkpoint
from mmseg_uda.engine.batch_norm import batch_norm_layers
from mmseg_uda.engine.hooks import adabn_hook
from mmseg_uda.engine.hooks.adabn_hook import AdaBNHook, build_target_loader

MODEL = dict(type='SourceOnly', segmentor=segmentor_cfg(batch_norm=True, dropout=0.5))
ADABN = dict(type='AdaBNHook', batch_size=2, num_workers=0)


@HOOKS.register_module(force=True)
class _Spy(Hook):
    """Notes the first layer's mean in training and in validation."""

    def __init__(self) -> None:
        self.means: list[tuple[str, torch.Tensor]] = []

    def _note(self, stage: str, runner: Runner) -> None:
        (_, layer), *_ = batch_norm_layers(runner.model)
        self.means.append((stage, layer.running_mean.clone()))

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        self._note('train', runner)

    def before_val_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        self._note('val', runner)

    def before_test_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        self._note('test', runner)


def make_cfg(tmp_path: Path, name: str, *hooks: dict[str, Any]) -> Config:
    return runner_cfg(
        tmp_path,
        tmp_path / name,
        MODEL,
        max_iters=4,
        custom_hooks=[*hooks, dict(type='_Spy')],
        train_cfg=dict(type='UDATrainLoop', max_iters=4, val_interval=2),
    )


def spy_of(runner: Runner) -> list[tuple[str, torch.Tensor]]:
    return next(hook.means for hook in runner.hooks if isinstance(hook, _Spy))


def test_training_is_the_same_with_and_without(tmp_path: Path) -> None:
    plain = train(make_cfg(tmp_path, 'plain'))
    adapted = train(make_cfg(tmp_path, 'adapted', ADABN))
    assert_close(adapted.model.state_dict(), plain.model.state_dict(), atol=0, rtol=0)
    saved = [
        load_checkpoint(tmp_path / name / 'iter_4.pth')['state_dict']
        for name in ('plain', 'adapted')
    ]
    assert_close(*saved, atol=0, rtol=0)
    for (stage, mean), (_, other) in zip(spy_of(adapted), spy_of(plain)):
        assert torch.equal(mean, other) == (stage == 'train')


def test_only_the_given_stages(tmp_path: Path) -> None:
    runner = train(make_cfg(tmp_path, 'run', dict(ADABN, stages=['test'])))
    before = {key: value.clone() for key, value in runner.model.state_dict().items()}
    runner.test()
    last_train = torch.empty(0)
    for stage, mean in spy_of(runner):
        if stage == 'train':
            last_train = mean
        else:
            assert torch.equal(mean, last_train) == (stage == 'val')
    assert stage == 'test'
    assert_close(runner.model.state_dict(), before, atol=0, rtol=0)


def test_target_loader_is_seeded_and_has_no_labels(tmp_path: Path) -> None:
    cfg = make_cfg(tmp_path, 'run')

    def names(**kwargs: Any) -> list[list[str]]:
        loader = build_target_loader(cfg, batch_size=2, num_workers=0, **kwargs)
        batches = list(loader)
        assert not any('gt_sem_seg' in sample for b in batches for sample in b['data_samples'])
        return [[Path(sample.img_path).name for sample in b['data_samples']] for b in batches]

    first = names()
    assert first == names()
    assert first != names(seed=1)
    assert [len(batch) for batch in first] == [2, 2, 2]  # 7 images, whole batches only
    assert names(num_images=4) == first[:2]
    assert [len(batch) for batch in names(num_images=1)] == [1]
    path = next(iter(build_target_loader(cfg, num_workers=0)))['data_samples'][0].img_path
    assert '/target/' in path


def test_processes_share_the_batches_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = make_cfg(tmp_path, 'run')
    one = list(build_target_loader(cfg, batch_size=2, num_workers=0).batch_sampler)
    parts = []
    for rank in range(2):
        monkeypatch.setattr(adabn_hook, 'get_dist_info', lambda rank=rank: (rank, 2))
        parts.append(list(build_target_loader(cfg, batch_size=2, num_workers=0).batch_sampler))
    assert parts == [one[0::2], one[1::2]]


@pytest.mark.parametrize('wrapper', ['dataset', 'concat', 'repeat', 'plain_mmseg', 'tta'])
def test_target_loader_finds_the_images(tmp_path: Path, wrapper: str) -> None:
    cfg = make_cfg(tmp_path, 'run')
    dataset = None
    target = cfg.train_dataloader.target.dataset
    if wrapper == 'dataset':  # its own pipeline, with label loader
        dataset = dataset_cfg(tmp_path, 'target', train=False)
    elif wrapper == 'concat':
        cfg.train_dataloader.target.dataset = dict(type='ConcatDataset', datasets=[target, target])
    elif wrapper == 'repeat':
        cfg.train_dataloader.target.dataset = dict(type='RepeatDataset', dataset=target, times=2)
    elif wrapper == 'tta':
        cfg.test_dataloader.dataset.pipeline = [dict(type='TestTimeAug', transforms=[])]
    else:
        cfg.train_dataloader = cfg.train_dataloader.source
    loader = build_target_loader(cfg, dataset=dataset, batch_size=7, num_workers=0)
    assert len(loader) == (2 if wrapper == 'concat' else 1)  # a repeated image is one image
    samples = next(iter(loader))['data_samples']
    assert all('/target/' in s.img_path and 'gt_sem_seg' not in s for s in samples)


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match='batch_size: expected an integer of at least 1, but got 0'
    ):
        AdaBNHook(batch_size=0)
    with pytest.raises(
        ValueError, match='num_images: expected an integer of at least 1, but got -1'
    ):
        AdaBNHook(num_images=-1)
    for stages in ('val', ['train']):
        with pytest.raises(
            ValueError, match=r"AdaBNHook.stages: expected a list of \('val', 'test'\), but got"
        ):
            AdaBNHook(stages=stages)
    with pytest.raises(
        ValueError,
        match='AdaBNHook.dataset: expected a dataset, because the config has no test_dataloader, '
        'but got None; write either',
    ):
        build_target_loader(Config({}))
    (tmp_path / 'empty' / 'images').mkdir(parents=True)
    with pytest.raises(ValueError, match='BaseSegDataset: expected files that end in .*empty'):
        build_target_loader(Config({}), dataset=dataset_cfg(tmp_path, 'empty'))
