"""Inputs that a config names."""

from __future__ import annotations

from pathlib import Path

from mmseg_uda.stages.inputs import Input, find_inputs


def test_inputs() -> None:
    dataset = dict(type='ConcatDataset', datasets=[dict(pipeline=[dict(pseudo_dir='p')])])
    parts = dict(
        train_dataloader=dict(target=dict(dataset=dict(type='RepeatDataset', dataset=dataset))),
        model=dict(init_cfg=dict(checkpoint='a.pth'), pretrained='torchvision://x'),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook')),
        load_from=None,
        pipeline=[dict(style_dir='styles')],
    )
    inputs = {each.key: (each.value, each.kind) for each in find_inputs(parts)}
    target = parts['train_dataloader']['target']['dataset']
    directory = 'train_dataloader.target.dataset.dataset.datasets.0.pipeline.0.pseudo_dir'
    assert inputs == {
        'train_dataloader.target.dataset': (target, 'dataset'),
        'model.init_cfg.checkpoint': ('a.pth', 'checkpoint'),
        directory: ('p', 'directory'),
        'pipeline.0.style_dir': ('styles', 'directory'),
    }
    without_weights = [each.kind for each in find_inputs(parts, weights=False)]
    assert sorted(without_weights) == ['dataset', 'directory', 'directory']


def test_existence(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    assert not list(Input('a', str(tmp_path / 'file'), 'checkpoint').missing())
    assert not list(Input('a', str(tmp_path), 'directory').missing())
    ((path, text),) = Input('a', str(tmp_path / 'file'), 'directory').missing()
    assert path == str(tmp_path / 'file')
    assert text.startswith(f'a: expected a directory, but got {path!r}; correct the path')
    ((_, text),) = Input('b.c', str(tmp_path), 'prior').missing()
    assert text.startswith('b.c: expected a file, but got ')
    data = dict(data_root=str(tmp_path), data_prefix=dict(img_path='x', seg_map_path='y'))
    missing = [path for path, _ in Input('d', dict(type='ToyDataset', **data), 'dataset').missing()]
    assert missing == [str(tmp_path / 'x'), str(tmp_path / 'y')]


def test_outputs_of_earlier_stages_are_pending() -> None:
    assert Input('a', '{stage.best}', 'checkpoint').pending
    assert not Input('a', dict(data_root='{stage}/images'), 'dataset').pending  # its list may exist
    assert not Input('a', 'iter_{}.pth', 'checkpoint').pending


def test_digest_of_a_dataset_is_of_its_files(tmp_path: Path) -> None:
    (tmp_path / 'images').mkdir()
    dataset = dict(data_root=str(tmp_path), data_prefix=dict(img_path='images'), ann_file='x.txt')
    wrapped = dict(type='RepeatDataset', times=2, dataset=dataset)
    digests = []
    for path, content in (('images/a', 'x'), ('images/a', 'xy'), ('x.txt', 'a'), ('x.txt', 'b')):
        (tmp_path / path).write_text(content)
        digests.append(Input('a', dataset, 'dataset').digest())
        assert Input('a', wrapped, 'dataset').digest() == digests[-1]
    assert len(set(digests)) == 4


def test_digest_of_a_dataset_that_a_stage_makes_in_part(tmp_path: Path) -> None:
    """Labels that are there already count; images that a stage makes count in its own recipe."""
    (tmp_path / 'labels').mkdir()
    prefixes = dict(img_path='{translate}/images', seg_map_path='labels')
    dataset = dict(type='GTADataset', data_root=str(tmp_path), data_prefix=prefixes)
    given = Input('a', dataset, 'dataset')
    assert dict(given.directories()) == {'a.data_prefix.seg_map_path': str(tmp_path / 'labels')}
    before = given.digest()
    (tmp_path / 'labels/0.png').touch()
    assert given.digest() != before


def test_digest_of_a_dataset_with_a_root_alone(tmp_path: Path) -> None:
    given = Input('a', dict(type='ToyStreetDataset', data_root=str(tmp_path)), 'dataset')
    before = given.digest()
    (tmp_path / '0.png').touch()
    assert given.digest() != before
