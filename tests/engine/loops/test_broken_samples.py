"""Damaged files in the middle of a training."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import toys
from mmengine.config import Config
from mmengine.runner import Runner
from torch.testing import assert_close

from mmseg_uda.engine.loops import broken_samples
from mmseg_uda.engine.loops.broken_samples import BrokenSamples

NAMES = dict(source=['source'], target=['target'])
DAMAGED = {'source/images/1.png', 'source/labels/2.png', 'target/images/3.png'}


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two domains with an empty image, half a label and a text for an image."""
    root = tmp_path_factory.mktemp('damaged')
    for seed, domain in enumerate(('source', 'target')):
        toys.write_domain(root, domain, 5 + 2 * seed, seed)
    (root / 'source/images/1.png').write_bytes(b'')
    label = root / 'source/labels/2.png'
    label.write_bytes(label.read_bytes()[:200])
    (root / 'target/images/3.png').write_text('no image')
    return root


def config(
    data: Path, work_dir: Path, max_iters: int = 8, skip: tuple[int, int] = (2, 1), **changes: Any
) -> Config:
    cfg = toys.runner_cfg(data, work_dir, toys.method_cfg('adversarial'), max_iters, **changes)
    for loader, number in zip(cfg.train_dataloader.values(), skip):
        loader.skip_broken = number
    return cfg


def broken(runner: Runner) -> dict[str, list[str]]:
    return runner.message_hub.get_info('broken_samples')


def weights(runner: Runner) -> dict[str, Any]:
    return runner.model.state_dict()


def test_skipped_counted_and_resumed(data: Path, tmp_path: Path) -> None:
    straight = toys.train(config(data, tmp_path / 'straight'))
    found = broken(straight)
    paths = {path for names in found.values() for name in names for path in DAMAGED if path in name}
    assert paths == DAMAGED
    assert [len(names) for names in found.values()] == [2, 1]
    log = next((tmp_path / 'straight').glob('*/*.log')).read_text()
    for path in DAMAGED:
        assert len(re.findall(rf'WARNING - UDATrainLoop: skips .*{path}', log)) == 1
    assert '(2 of train_dataloader.source.skip_broken=2)' in log

    workers = toys.train(config(data, tmp_path / 'workers', num_workers=1))
    assert broken(workers) == found
    assert_close(weights(workers), weights(straight), atol=0, rtol=0)

    toys.train(config(data, tmp_path / 'resumed', 5))
    cfg = config(data, tmp_path / 'resumed', resume=True)
    cfg.load_from = str(tmp_path / 'resumed/iter_5.pth')
    resumed = toys.train(cfg)
    assert broken(resumed) == found
    assert_close(weights(resumed), weights(straight), atol=0, rtol=0)


@pytest.mark.parametrize('wrapper', ['RepeatDataset', 'ConcatDataset'])
def test_wrapped_datasets(data: Path, tmp_path: Path, wrapper: str) -> None:
    cfg = config(data, tmp_path / wrapper)
    for loader in cfg.train_dataloader.values():
        inner = loader.dataset
        loader.dataset = dict(type=wrapper, datasets=[inner, inner])
        if wrapper == 'RepeatDataset':  # each file has several indices
            loader.dataset = dict(type=wrapper, dataset=inner, times=3)
    assert [len(names) for names in broken(toys.train(cfg)).values()] == [2, 1]


@pytest.mark.parametrize(
    ('skip', 'message'),
    [
        ((1, 1), r'(source.skip_broken: expected at most 1 broken .*|got .*)source/images/[12]'),
        ((2, 0), r'BaseSegDataset: expected readable files, but got .*target/images/3.png'),
    ],
)
def test_one_too_many_ends_the_training(
    data: Path, tmp_path: Path, skip: tuple[int, int], message: str
) -> None:
    with pytest.raises(OSError, match=message):
        toys.train(config(data, tmp_path / 'run', skip=skip))


def test_wrong_number(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'an integer of at least 0, but got -1'):
        Runner.from_cfg(config(data, tmp_path / 'run', skip=(-1, 0))).train()


def test_processes_count_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The other process finds a sample that this one does not."""
    sent: list[Any] = []

    def gather(found: Any) -> list[Any]:
        sent.append(found)
        return [found, [('source', 'the sample with img_path=b.png', 'truncated')]]

    monkeypatch.setattr(broken_samples, 'get_world_size', lambda: 2)
    monkeypatch.setattr(broken_samples, 'all_reduce', lambda number: number.add_(1))
    monkeypatch.setattr(broken_samples, 'all_gather_object', gather)
    runner = Runner.from_cfg(
        toys.runner_cfg(tmp_path / 'data', tmp_path / 'run', toys.method_cfg('source_only'))
    )
    sample = toys.sample(0, None)['data_samples']
    sample.set_metainfo(dict(broken=[('the sample with img_path=a.png', 'truncated')]))
    counts = BrokenSamples(NAMES, dict(source=2, target=0))
    batches = dict(source=dict(data_samples=[sample]), target=None)
    counts.count(runner, batches)
    assert [len(each) for each in sent] == [1]
    assert broken(runner)['source'] == [
        'the sample with img_path=a.png',
        'the sample with img_path=b.png',
    ]
    counts.count(runner, batches)  # none is new
    runner.message_hub.update_info('broken_samples', {})
    with pytest.raises(OSError, match='at most 1 broken samples, but got 2, now .*img_path=b.png'):
        BrokenSamples(NAMES, dict(source=1, target=0)).count(runner, batches)
