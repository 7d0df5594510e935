"""Counting the classes of source labels: by loops, as a stage and as a tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest
import toys
from mmengine.config import Config

from mmseg_uda.artifacts.class_counts import ClassCounts
from mmseg_uda.pipeline import read_pipeline
from mmseg_uda.stages.class_counts import make_class_counts

run_toy = toys.load_script('tests/pipeline/run_toy.py')
tool = toys.load_script('tools/class_counts.py')


def by_loops(root: Path, shift: int = 0) -> dict[str, list[int]]:
    labels = {
        path.relative_to(root).as_posix(): cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        for path in sorted(root.rglob('*.png'))
    }
    return {
        name: [sum(int(v) == c + shift for v in label.flat) for c in range(toys.NUM_CLASSES)]
        for name, label in labels.items()
    }


def found(counts: ClassCounts) -> dict[str, list[int]]:
    return dict(zip(counts.names, counts.counts.tolist()))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    toys.write_domain(tmp_path / 'data', 'source', 3, 0)
    toys.write_domain(tmp_path / 'data', 'target', 3, 1)
    return tmp_path / 'data'


def test_counts_by_loops(data: Path) -> None:
    cfg = toys.dataset_cfg(data, 'source')
    expected = by_loops(data / 'source/labels')
    assert found(make_class_counts(cfg, workers=0)) == expected
    assert found(make_class_counts(cfg, workers=1)) == expected
    repeated = dict(type='RepeatDataset', times=3, dataset=cfg)
    assert found(make_class_counts(repeated, workers=0)) == expected
    twice = dict(type='ConcatDataset', datasets=[cfg, cfg])
    assert found(make_class_counts(twice, workers=0)) == expected


def test_labels_are_loaded_as_the_dataset_does(data: Path) -> None:
    """Class 0 is ignored with ``reduce_zero_label``, and others move down; 3 + 1 has no pixel."""
    cfg = dict(toys.dataset_cfg(data, 'source'), reduce_zero_label=True)
    cfg['pipeline'][1] = dict(type='LoadAnnotations', reduce_zero_label=True)
    assert found(make_class_counts(cfg, 0)) == by_loops(data / 'source/labels', shift=1)


def test_nested_directories_and_several_sources(data: Path) -> None:
    for kind in ('images', 'labels'):
        for path in sorted((data / 'source' / kind).iterdir()):
            nested = path.parent / f'city_{path.stem}'
            nested.mkdir()
            path.rename(nested / '0.png')
    cfg = toys.dataset_cfg(data, 'source')
    assert found(make_class_counts(cfg, 0)) == by_loops(data / 'source/labels')
    assert list(found(make_class_counts(cfg, 0))) == [f'city_{i}/0.png' for i in range(3)]
    other = dict(toys.dataset_cfg(data, 'target'), pipeline=cfg['pipeline'])
    both = make_class_counts(dict(type='ConcatDataset', datasets=[cfg, other]), 0)
    assert {name.partition('/')[0] for name in both.names} == {'source', 'target'}


def test_damaged_label_has_no_pixels(data: Path) -> None:
    (data / 'source/labels/1.png').write_bytes((data / 'source/labels/1.png').read_bytes()[:90])
    counts = make_class_counts(toys.dataset_cfg(data, 'source'), 0)
    assert list(counts.recipe['broken']) == ['1.png']
    assert counts.counts.sum(1).tolist() == [32 * 48, 0, 32 * 48]


def test_stage_before_a_training(tmp_path: Path) -> None:
    """The training draws by the file that the stage before it wrote."""
    folder = tmp_path / 'configs'
    folder.mkdir()
    cfg = toys.runner_cfg(
        tmp_path / 'data',
        folder,
        toys.method_cfg('source_only'),
        max_iters=2,
        custom_imports=dict(imports=['toys', 'mmseg_uda']),
    )
    cfg.train_dataloader.source.sampling = dict(
        type='RareClassSampling', class_counts='data/counts.npz', min_pixels=300
    )
    cfg.pop('work_dir')
    cfg.pop('experiment_name')
    content = cfg.to_dict().items()
    (folder / 'a.py').write_text('\n'.join(f'{key} = {value!r}' for key, value in content))
    counts: dict[str, Any] = dict(name='counts', type='class_counts', config='a.py', workers=0)
    key = 'train_dataloader.source.sampling.class_counts'
    train = dict(name='train', type='train', config='a.py', options={key: '{counts}'})

    def read() -> Any:
        return read_pipeline(
            str(run_toy.write_pipeline(folder, [counts, train])), work_dir=tmp_path / 'run'
        )

    read().run()
    made = ClassCounts.read(tmp_path / 'run/counts/class_counts.npz')
    assert found(made) == by_loops(tmp_path / 'data/source/labels')
    assert [step.action for step in read().plan()] == ['skip', 'skip']


def test_command_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = toys.dataset_cfg(data, 'source')
    target = toys.dataset_cfg(data, 'target')
    loaders = dict(source=dict(dataset=source), target=dict(dataset=target))
    Config(dict(train_dataloader=loaders)).dump(tmp_path / 'a.py')
    argv = [str(tmp_path / 'a.py'), str(tmp_path / 'a.npz'), '--workers', '0']
    assert tool.main(argv) == 0
    counts = ClassCounts.read(tmp_path / 'a.npz')
    said = capsys.readouterr().out
    assert f'a.npz: 3 label maps, SHA-256 {counts.digest}' in said
    share = counts.counts[:, 1].sum() / counts.counts.sum()
    assert f'b: {share:.5f}, 3, ' in said
    with pytest.raises(ValueError, match='exists; write another name'):
        tool.main(argv)
    assert tool.main([*argv, '--overwrite']) == 0
    argv[1] = str(tmp_path / 'a.json')
    with pytest.raises(ValueError, match='expected a name that ends in .npz'):
        tool.main(argv)
