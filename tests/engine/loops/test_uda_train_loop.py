"""The loop over two domains."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch
import toys
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.datasets import BaseSegDataset
from torch.testing import assert_close

from mmseg_uda.engine.loops import uda_train_loop


class Recorder(Hook):
    """Image names of each domain and a random number by iteration."""

    def __init__(self) -> None:
        self.images: dict[str, list[list[str]]] = dict(source=[], target=[])
        self.draws: list[float] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.draws.append(float(torch.rand(())))
        for domain, names in self.images.items():
            names.append(
                [Path(sample.img_path).stem for sample in data_batch[domain]['data_samples']]
            )


def config(tmp_path: Path, tag: str, max_iters: int = 2, **changes: Any) -> Config:
    """A run of the cheapest method; ``tag`` names its folder and experiment."""
    model = toys.method_cfg('source_only')
    return toys.runner_cfg(
        tmp_path, tmp_path / f'{tag}_{tmp_path.name}', model, max_iters, **changes
    )


def record(cfg: Config) -> tuple[Runner, Recorder]:
    """Train and write down."""
    runner, recorder = Runner.from_cfg(cfg), Recorder()
    runner.register_hook(recorder)
    runner.train()
    return runner, recorder


def refused(cfg: Config, message: str) -> None:
    """Training does not start, and says why."""
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert not list(Path(cfg.work_dir).rglob('*.pth'))


# ------------------------------------------------------------------------------------------ stream


def test_streams_and_draws(tmp_path: Path) -> None:
    runner, recorder = record(config(tmp_path, 'long', 21))
    source, target = (
        [name for names in recorder.images[domain] for name in names]
        for domain in ('source', 'target')
    )
    assert sorted(source[:5]) == [str(i) for i in range(5)]
    assert sorted(target[:7]) == [str(i) for i in range(7)]
    partners = {(s, t) for s, t in zip(source, target)}
    assert len({t for s, t in partners if s == '0'}) > 2  # image i does not always meet image i
    assert len(set(recorder.draws)) == 21
    assert all(len(batch) == 2 for batch in recorder.images['source'])
    assert runner.train_loop.dataloader is runner.train_loop.dataloaders['source']
    assert not hasattr(runner.train_loop, 'dataloader_iterator')  # workers have ended


def test_domains_of_equal_size_are_permuted_differently(tmp_path: Path) -> None:
    for seed, domain in enumerate(('source', 'target')):
        toys.write_domain(tmp_path, domain, 6, seed)
    _, recorder = record(config(tmp_path, 'equal', 6))
    assert recorder.images['source'] != recorder.images['target']


def test_seed_changes_everything(tmp_path: Path) -> None:
    _, one = record(config(tmp_path, 'one', 5))
    _, same = record(config(tmp_path, 'same', 5))
    _, other = record(config(tmp_path, 'other', 5, randomness=dict(seed=4)))
    assert (one.images, one.draws) == (same.images, same.draws)
    assert one.images != other.images
    assert one.draws != other.draws


@pytest.mark.parametrize('persistent', [False, True])
def test_workers_see_the_same_stream(tmp_path: Path, persistent: bool) -> None:
    _, alone = record(config(tmp_path, 'alone', 4))
    cfg = config(tmp_path, 'workers', 4, num_workers=1)
    for loader in cfg.train_dataloader.values():
        loader.persistent_workers = persistent
    before = set(multiprocessing.active_children())
    _, recorder = record(cfg)
    assert (recorder.images, recorder.draws) == (alone.images, alone.draws)
    assert set(multiprocessing.active_children()) <= before


def test_processes_share_the_first_ones_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, one = record(config(tmp_path, 'first', 3))
    monkeypatch.setattr(
        uda_train_loop, 'broadcast_object_list', lambda seeds: seeds.__setitem__(0, 3)
    )  # what the first process has
    _, other = record(config(tmp_path, 'second', 3, randomness=dict(seed=4)))
    assert (one.images, one.draws) == (other.images, other.draws)


@pytest.mark.parametrize('fast_forward', [False, True])
def test_resume_reads_no_earlier_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast_forward: bool
) -> None:
    _, whole = record(config(tmp_path, 'whole', 7))
    cfg = config(
        tmp_path,
        'resumed',
        7,
        resume=True,
        load_from=f'{tmp_path}/whole_{tmp_path.name}/iter_5.pth',
    )
    if fast_forward:  # an argument of newer mmengine
        import inspect

        from mmengine.runner import IterBasedTrainLoop

        if 'fast_forward_on_resume' not in inspect.signature(IterBasedTrainLoop).parameters:
            pytest.skip('this mmengine has no such argument')
        cfg.train_cfg.fast_forward_on_resume = True
    reads: list[int] = []
    plain = BaseSegDataset.prepare_data
    monkeypatch.setattr(
        BaseSegDataset,
        'prepare_data',
        lambda self, index: reads.append(index) or plain(self, index),
    )
    _, rest = record(cfg)
    assert len(reads) == 2 * 2 * 2  # iterations, domains, images of a batch
    for domain in ('source', 'target'):
        assert rest.images[domain] == whole.images[domain][5:]
    assert rest.draws == whole.draws[5:]


@pytest.mark.parametrize('num_workers', [0, 1])
def test_no_target_image_is_read_for_a_method_without_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_workers: int
) -> None:
    """Unless a hook looks; then it sees the images that a method with a target would see."""
    monkeypatch.setattr(toys.MODELS.get('SourceOnly'), 'domains', ('source', 'target'))
    everything, both = record(config(tmp_path, 'both', 6))
    monkeypatch.undo()
    assert everything.model.data_preprocessor.domains == ('source', 'target')
    cfg = config(tmp_path, 'source', 6, num_workers=num_workers)
    alone, source = record(cfg)
    assert alone.model.data_preprocessor.domains == ('source',)
    assert (source.images, source.draws) == (both.images, both.draws)
    reads: list[str] = []
    plain = BaseSegDataset.prepare_data
    monkeypatch.setattr(
        BaseSegDataset,
        'prepare_data',
        lambda self, index: reads.append(self.data_prefix['img_path']) or plain(self, index),
    )
    cfg = config(tmp_path, 'unread', 6)
    unread = Runner.from_cfg(cfg)
    unread.train()
    assert {Path(path).parts[-2] for path in reads} == {'source'}
    assert len(reads) == 6 * 2
    for other in (alone, unread):
        assert_close(other.model.state_dict(), everything.model.state_dict(), atol=0, rtol=0)
    for name in ('both', 'source'):  # a resumed run continues at the same target images
        cfg = config(tmp_path, f'{name}_resumed', 6, resume=True)
        cfg.load_from = f'{tmp_path}/{name}_{tmp_path.name}/iter_5.pth'
        _, rest = record(cfg)
        assert rest.images == {domain: names[5:] for domain, names in both.images.items()}


def test_validates_on_the_target(tmp_path: Path) -> None:
    cfg = config(tmp_path, 'val', 2)
    cfg.train_cfg.update(val_begin=1, val_interval=2)
    runner, _ = record(cfg)
    assert 0 <= runner.message_hub.get_scalar('val/mIoU').current() <= 100


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize('keys', [['source'], [], ['source', 'target', 'other']])
def test_wrong_domains(tmp_path: Path, keys: list[str]) -> None:
    cfg = config(tmp_path, 'domains')
    loader = cfg.train_dataloader.source
    cfg.train_dataloader = dict.fromkeys(keys, loader)
    cfg.train_dataloader = Config(dict(x=cfg.train_dataloader)).x
    runner = Runner.from_cfg(cfg)
    with pytest.raises(
        ValueError,
        match=r'UDATrainLoop.train_dataloader: expected the keys .*, but got \[.*\]; write '
        r'dict\(source=dict\(...\), target=dict\(...\)\)',
    ):
        runner.train()


def test_stock_dataloader(tmp_path: Path) -> None:
    cfg = config(tmp_path, 'stock')
    cfg.train_dataloader = cfg.train_dataloader.source
    refused(cfg, r"but got \['batch_size', 'dataset', 'num_workers'\]; write dict")


def test_sampler_is_refused(tmp_path: Path) -> None:
    cfg = config(tmp_path, 'sampler')
    cfg.train_dataloader.target.sampler = dict(type='InfiniteSampler', shuffle=True)
    refused(
        cfg,
        'UDATrainLoop.train_dataloader.target.sampler: expected none, but got '
        "{'type': 'InfiniteSampler'.*; delete it",
    )


def test_classes_of_the_domains(tmp_path: Path) -> None:
    cfg = config(tmp_path, 'classes')
    cfg.train_dataloader.target.dataset.metainfo = dict(classes=('a', 'b', 'x', 'd'))
    refused(
        cfg,
        'train_dataloader: expected the same classes in the same order in source and '
        'target, but got 4 classes of BaseSegDataset and 4 of BaseSegDataset, first '
        "difference 2: 'c' and 'x'",
    )


def test_classes_of_the_network(tmp_path: Path) -> None:
    cfg = config(tmp_path, 'network')
    cfg.model.segmentor.decode_head.num_classes = 3
    refused(
        cfg,
        'model.segmentor.decode_head.num_classes=4, as BaseSegDataset has 4 classes, but got 3; '
        'write 4',
    )


@pytest.mark.parametrize(
    'where', ['train_dataloader.source', 'train_dataloader.target', 'val_dataloader']
)
def test_missing_folder(tmp_path: Path, where: str) -> None:
    cfg = config(tmp_path, 'missing')
    place = cfg
    for key in where.split('.'):
        place = place[key]
    place.dataset.data_prefix.img_path = 'nowhere'
    refused(
        cfg,
        f'BaseSegDataset: expected a directory in {where}.dataset.data_prefix.img_path, but got '
        '.*nowhere.; set `data_root`, or the environment variable MMSEG_UDA_DATA',
    )


@pytest.mark.parametrize('domain', ['source', 'target'])
def test_empty_folder(tmp_path: Path, domain: str) -> None:
    cfg = config(tmp_path, 'empty')
    for file in (tmp_path / domain / 'images').iterdir():
        file.unlink()
    refused(
        cfg,
        r"BaseSegDataset: expected files that end in '\.png' in "
        rf"train_dataloader\.{domain}\.dataset\.data_prefix\.img_path, but got '.*images' without",
    )


def test_missing_label(tmp_path: Path) -> None:
    cfg = config(tmp_path, 'label')
    (tmp_path / 'source' / 'labels' / '3.png').unlink()
    refused(
        cfg,
        "BaseSegDataset: expected the file '.*3.png', which "
        r'train_dataloader.source.dataset lists \(seg_map_path\), but it does not exist',
    )


def test_target_labels_are_refused_before_training(tmp_path: Path) -> None:
    cfg = config(tmp_path, 'leak')
    cfg.train_dataloader.target.dataset.pipeline.insert(1, dict(type='LoadAnnotations'))
    refused(
        cfg,
        'BaseSegDataset: expected no ground truth in '
        'train_dataloader.target.dataset.pipeline, because adaptation never reads target '
        'labels, but got LoadAnnotations',
    )


def test_unknown_key(tmp_path: Path) -> None:
    cfg = config(tmp_path, 'unknown')
    cfg.train_cfg.max_epochs = 3
    runner = Runner.from_cfg(cfg)
    with pytest.raises((TypeError, ValueError), match='max_epochs'):
        runner.train()
