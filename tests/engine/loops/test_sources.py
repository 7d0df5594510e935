"""Several sources in training: resumed, sampled, damaged, counted, and refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import toys
from mmengine.config import Config
from mmengine.hooks import Hook
from torch.testing import assert_close

from mmseg_uda.config.check import check_config
from mmseg_uda.stages.class_counts import make_class_counts
from mmseg_uda.stages.source_labels import source_dataset


class Recorder(Hook):
    """Directory and name of each source image by iteration."""

    def __init__(self) -> None:
        self.images: list[list[str]] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        paths = [Path(each.img_path) for each in data_batch['source']['data_samples']]
        self.images.append([f'{path.parts[-3]}/{path.stem}' for path in paths])


def record(cfg: Config) -> tuple[Any, list[list[str]]]:
    runner, recorder = toys.Runner.from_cfg(cfg), Recorder()
    runner.register_hook(recorder)
    runner.train()
    return runner, recorder.images


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('sources')
    cfg = toys.runner_cfg(root, root / 'counted', toys.method_cfg('dacs'))
    toys.add_labelled_targets(cfg)
    make_class_counts(source_dataset(cfg), 0).write(root / 'counts.npz')
    return root


def config(data: Path, work_dir: Path, max_iters: int = 8, **changes: Any) -> Config:
    """Rare classes of the first source, three labelled target images as the second one."""
    cfg = toys.runner_cfg(data, work_dir, toys.method_cfg('dacs'), max_iters, **changes)
    toys.add_labelled_targets(cfg)
    cfg.train_dataloader.source[0].sampling = dict(
        type='RareClassSampling', class_counts=str(data / 'counts.npz'), min_pixels=360
    )
    return cfg


def test_batches_and_resume(data: Path, tmp_path: Path) -> None:
    straight, images = record(config(data, tmp_path / 'straight', log_level='INFO'))
    log = next((tmp_path / 'straight').glob('*/*.log')).read_text()
    assert 'source.0 5 images, source.1 3 images, target 7 images' in log
    assert 'RareClassSampling: probability of each class: ' in log
    for batch in images:  # ratio 1 : 1, batch 2
        assert sorted(name.partition('/')[0] for name in batch) == ['source', 'target']
    targets = Counter(name for batch in images for name in batch if name.startswith('target'))
    assert set(targets) == {'target/1', 'target/4', 'target/5'}
    assert set(targets.values()) == {2, 3}  # whole passes
    toys.train(config(data, tmp_path / 'resumed', 5))
    cfg = config(data, tmp_path / 'resumed', resume=True, num_workers=1)
    cfg.load_from = str(tmp_path / 'resumed/iter_5.pth')
    resumed, rest = record(cfg)
    assert rest == images[5:]
    assert_close(resumed.model.state_dict(), straight.model.state_dict(), atol=0, rtol=0)


def test_damaged_files_are_counted_by_source(data: Path, tmp_path: Path) -> None:
    for seed, domain in enumerate(('source', 'target')):
        toys.write_domain(tmp_path, domain, 5 + 2 * seed, seed)
    (tmp_path / 'target/labels/4.png').write_bytes(b'')
    cfg = toys.runner_cfg(tmp_path, tmp_path / 'run', toys.method_cfg('source_only'), 6)
    toys.add_labelled_targets(cfg)
    cfg.train_dataloader.source[0].skip_broken = 5
    with pytest.raises(OSError, match='target/labels/4.png'):  # the other source's number
        toys.train(cfg)
    cfg.train_dataloader.source[1].skip_broken = 1
    runner = toys.train(cfg)
    (name,) = runner.message_hub.get_info('broken_samples')['source.1']
    assert 'target/labels/4.png' in name


def test_class_counts_join_the_sources(data: Path, tmp_path: Path) -> None:
    """One file serves each source; labels are numbered as each source's dataset says."""
    cfg = toys.runner_cfg(data, tmp_path, toys.method_cfg('source_only'))
    one = make_class_counts(source_dataset(cfg), 0)
    toys.add_labelled_targets(cfg)
    cfg.train_dataloader.source[1].dataset.reduce_zero_label = True
    both = make_class_counts(source_dataset(cfg), 0)
    labels = sorted(one.names)
    assert_close(both.select([f'source/labels/{name}' for name in labels]), one.select(labels))
    assert sorted(both.names)[-3:] == [f'target/labels/{i}.png' for i in (1, 4, 5)]
    counts = both.select(['target/labels/1.png'])[0]
    assert counts[-1] == 0  # class 0 is ignored, the others move down
    assert counts[:-1].all()


REFUSED: dict[str, tuple[int, dict[str, Any], str]] = {
    'ratio': (1, dict(ratio=0), 'source.1.ratio: .*expected an integer of at least 1, but got 0'),
    'share': (0, dict(ratio=0.5), 'source.0.ratio: .*integer of at least 1, but got 0.5'),
    'batch': (1, dict(batch_size=4), 'source.1.batch_size: .*expected 2, as in train_dataloader.'),
    'number': (1, dict(num_images=0), 'source.1.num_images: .*integer of at least 1, but got 0'),
    'workers': (1, dict(num_workers=3), 'source.1.num_workers: .*expected 0, as in'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_refused(case: str, data: Path, tmp_path: Path) -> None:
    """By the check of the config, and by the loop if nobody asked it."""
    index, change, message = REFUSED[case]
    cfg = config(data, tmp_path)
    assert not check_config(cfg)
    cfg.train_dataloader.source[index].update(change)
    (problem,) = check_config(cfg)
    assert '\n' not in str(problem)
    with pytest.raises(ValueError, match=message):
        raise ValueError(str(problem))
    with pytest.raises(ValueError, match=message):
        toys.train(cfg)


def test_a_number_of_labelled_images(data: Path, tmp_path: Path) -> None:
    """They are chosen by the seed, logged, and the labels of the others are not even counted."""
    cfg = toys.runner_cfg(data, tmp_path, toys.method_cfg('dacs'), 6, log_level='INFO')
    toys.add_labelled_targets(cfg)
    labelled = cfg.train_dataloader.source[1]
    labelled.dataset.indices, labelled.num_images = None, 2
    assert not check_config(cfg)
    assert source_dataset(cfg) == cfg.train_dataloader.source[0].dataset
    _, images = record(cfg)
    seen = {name for batch in images for name in batch if name.startswith('target')}
    assert len(seen) == 2
    names = ', '.join(sorted(f'{name[len("target/") :]}.png' for name in seen))
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert f'the images of source.1 are {names}\n' in log
    assert 'source.0 5 images, source.1 2 images' in log
    labelled.num_images = 8
    with pytest.raises(ValueError, match='source.1.num_images: expected at most 7, all images'):
        toys.train(cfg)


def test_lists_that_are_refused(data: Path, tmp_path: Path) -> None:
    cfg = config(data, tmp_path)
    cfg.train_dataloader.target = [cfg.train_dataloader.target] * 2
    (problem,) = check_config(cfg)
    assert str(problem).startswith('train_dataloader.target: expected a dict, but got a list')
    with pytest.raises(ValueError, match='target: expected a dict, whose dataset may be a Concat'):
        toys.train(cfg)
    cfg = config(data, tmp_path)
    cfg.train_dataloader.source = []
    (problem,) = check_config(cfg)
    assert str(problem).startswith(
        'train_dataloader.source: UDATrainLoop: expected images of the source'
    )
    with pytest.raises(ValueError, match='source: expected at least one dataset, but got'):
        toys.train(cfg)


def test_classes_of_each_source(data: Path, tmp_path: Path) -> None:
    cfg = config(data, tmp_path)
    cfg.train_dataloader.source[1].dataset.metainfo = dict(classes=('a', 'b', 'x', 'd'))
    with pytest.raises(ValueError, match="first difference 2: 'x' and 'c'"):
        toys.train(cfg)
