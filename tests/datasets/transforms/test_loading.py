"""Loading of pseudo labels."""

import json

import mmcv
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_uda.artifacts.pseudo_labels import Manifest, write_soft_label
from mmseg_uda.datasets.transforms import LoadPseudoLabels, LoadSoftLabels, PackUDAInputs
from mmseg_uda.datasets.transforms.loading import resize_label


def write_folder(folder, labels, **changes):
    fields = dict(
        rule={'type': 'bdl'},
        num_classes=19,
        config_sha256='c',
        checkpoint_sha256='w',
        files=list(labels),
        thresholds=[0.5] * 19,
        complete=True,
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, label in labels.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(label).save(folder / name)
    Manifest(**{**fields, **changes}).write(str(folder))


def make_results(path='/images/train/a/x.jpg', size=(8, 12)):
    return dict(
        img=np.zeros((*size, 3), np.uint8),
        img_path=path,
        img_shape=size,
        ori_shape=size,
        seg_fields=[],
    )


@pytest.fixture
def label():
    return np.random.default_rng(0).integers(0, 19, (8, 12)).astype(np.uint8)


def test_sub_folders_are_told_apart(tmp_path, label):
    write_folder(tmp_path, {'a/x.png': label, 'b/x.png': label[::-1].copy(), 'x.png': label * 0})
    load = LoadPseudoLabels(str(tmp_path))
    for path, expected in (
        ('/images/train/a/x.jpg', label),
        ('/images/b/x.jpg', label[::-1]),
        ('/images/x.jpg', label * 0),
    ):
        results = load(make_results(path))
        np.testing.assert_array_equal(results['pseudo_seg_map'], expected)
        assert results['seg_fields'] == ['pseudo_seg_map']
        assert 'gt_seg_map' not in results


@pytest.mark.parametrize('stored', [(512, 1024), (7, 11), (100, 64), (435, 690)])
@pytest.mark.parametrize('factor', [1, 1.03, 1.37, 1.9, 2, 3])
def test_resize_survives_the_way_back(stored, factor):
    label = np.random.default_rng(1).integers(0, 256, stored).astype(np.uint8)
    height, width = (round(size * factor) for size in stored)
    raw = resize_label(label, height, width)
    assert raw.shape == (height, width)
    back = mmcv.imresize(raw, stored[::-1], interpolation='nearest')
    np.testing.assert_array_equal(back, label)
    if factor == 2:
        np.testing.assert_array_equal(raw, label.repeat(2, 0).repeat(2, 1))
    if factor >= 2:
        back = mmcv.imresize(raw, stored[::-1], interpolation='nearest', backend='pillow')
        np.testing.assert_array_equal(back, label)


def test_pipeline_moves_the_label_in_step(tmp_path, label):
    write_folder(tmp_path, {'a/x.png': label})
    steps = [
        dict(type='LoadPseudoLabels', pseudo_dir=str(tmp_path)),
        dict(type='Resize', scale=(12, 8), interpolation='nearest'),
        dict(type='RandomFlip', prob=1.0),
        dict(type='RandomCrop', crop_size=(6, 10), cat_max_ratio=1.0),
        dict(type='PackUDAInputs'),
    ]
    pipeline = Compose([TRANSFORMS.build(step) for step in steps])
    results = make_results(size=(16, 24))
    results['img'][...] = resize_label(label, 16, 24)[..., None]
    packed = pipeline(results)
    sample = packed['data_samples']
    assert sample.pseudo_path.endswith('x.png')
    pseudo = sample.pseudo_sem_seg.data[0]
    torch.testing.assert_close(packed['inputs'], pseudo.byte().expand(3, 6, 10))
    height, width = 8 - 6 + 1, 12 - 10 + 1
    windows = [
        label[:, ::-1][top : top + 6, left : left + 10]
        for top in range(height)
        for left in range(width)
    ]
    assert any((window == pseudo.numpy()).all() for window in windows)


def test_missing_file_is_named(tmp_path, label):
    write_folder(tmp_path, {'a/x.png': label})
    (tmp_path / 'a/x.png').unlink()
    with pytest.raises(
        FileNotFoundError,
        match="LoadPseudoLabels.pseudo_dir: expected the file '.*a/x.png', which the manifest "
        'lists, but it does not exist',
    ):
        LoadPseudoLabels(str(tmp_path))(make_results())
    with pytest.raises(
        FileNotFoundError,
        match="LoadPseudoLabels.pseudo_dir: expected a label of '/images/other.jpg', but the "
        "manifest of '.*' lists none",
    ):
        LoadPseudoLabels(str(tmp_path))(make_results('/images/other.jpg'))


def test_manifest_is_checked_at_the_first_image(tmp_path, label):
    load = LoadPseudoLabels(str(tmp_path / 'none'))
    with pytest.raises(FileNotFoundError, match=r'no file .*manifest\.json; run .*generate_pseudo'):
        load(make_results())
    for changes, match in (
        (dict(complete=False), 'not complete'),
        (dict(num_classes=16), 'labels of 16 classes'),
    ):
        write_folder(tmp_path, {'a/x.png': label}, **changes)
        with pytest.raises(ValueError, match=match):
            LoadPseudoLabels(str(tmp_path))(make_results())
    for text in ('{', '[]', '{}', *(json.dumps(dict(format_version=n)) for n in (1, 99))):
        (tmp_path / 'manifest.json').write_text(text)
        with pytest.raises(ValueError, match=r'Manifest: cannot read .*manifest\.json'):
            LoadPseudoLabels(str(tmp_path))(make_results())


def test_bad_labels(tmp_path, label):
    write_folder(tmp_path, {'a/x.png': label + 1})
    with pytest.raises(
        ValueError,
        match='LoadPseudoLabels.num_classes: expected labels below 19 or 255, but got 19 in '
        "'.*'; write train ids",
    ):
        LoadPseudoLabels(str(tmp_path))(make_results())
    write_folder(tmp_path, {'a/x.png': np.zeros((8, 12, 3), np.uint8)})
    with pytest.raises(ValueError, match='single-channel 8-bit'):
        LoadPseudoLabels(str(tmp_path))(make_results())


def test_damaged_file_is_named(tmp_path, label):
    write_folder(tmp_path, {'x.png': label})
    (tmp_path / 'x.png').write_bytes((tmp_path / 'x.png').read_bytes()[:60])
    with pytest.raises(ValueError, match=r'x\.png.*generate it again'):
        LoadPseudoLabels(str(tmp_path))(make_results('/images/x.jpg'))


def test_bad_use(tmp_path, label):
    write_folder(tmp_path, {'a/x.png': label})
    with pytest.raises(ValueError, match='flipped'):
        LoadPseudoLabels(str(tmp_path))({**make_results(), 'flip': True})
    with pytest.raises(
        TypeError,
        match='LoadPseudoLabels.pseudo_dir: expected a directory that '
        "tools/generate_pseudo_labels.py wrote, or None, but got ''",
    ):
        LoadPseudoLabels('')
    nowhere = LoadPseudoLabels(None)
    with pytest.raises(
        ValueError,
        match='LoadPseudoLabels.pseudo_dir: expected a directory, but got None, and no hook '
        'makes labels',
    ):
        nowhere(make_results())


def test_another_folder(tmp_path, label):
    for name in ('one', 'two'):
        write_folder(tmp_path / name, {'a/x.png': label if name == 'one' else label * 0})
    load = LoadPseudoLabels(str(tmp_path / 'one'))
    load(make_results())
    load.read_from(str(tmp_path / 'two'))
    results = load(make_results())
    assert not results['pseudo_seg_map'].any()
    assert results['pseudo_path'] == str(tmp_path / 'two/a/x.png')


def test_suffix_and_num_classes(tmp_path):
    label = np.full((8, 12), 20, np.uint8)
    write_folder(tmp_path, {'a/x_label.png': label}, num_classes=21)
    load = LoadPseudoLabels(str(tmp_path), suffix='_label.png', num_classes=21)
    np.testing.assert_array_equal(load(make_results())['pseudo_seg_map'], label)
    assert "suffix='_label.png', num_classes=21" in repr(load)


def test_soft_labels(tmp_path):
    """Probabilities keep their resolution, whatever the size of the image."""
    prob = np.random.default_rng(0).dirichlet(np.ones(19), (3, 4)).transpose(2, 0, 1)
    write_folder(tmp_path, {})
    write_soft_label(tmp_path / 'a' / 'x.npy', prob)
    Manifest({}, 19, '', '', files=['a/x.npy'], complete=True).write(str(tmp_path))
    load = Compose(
        [LoadSoftLabels(str(tmp_path)), dict(type='Resize', scale=(6, 4)), PackUDAInputs()]
    )
    packed = load(make_results())
    assert packed['inputs'].shape == (3, 4, 6)
    assert packed['data_samples'].soft_label.equal(torch.from_numpy(prob.astype(np.float16)))
    assert packed['data_samples'].pseudo_path == str(tmp_path / 'a' / 'x.npy')
    assert 'pseudo_sem_seg' not in packed['data_samples']
    classes = LoadSoftLabels(str(tmp_path)).read(str(tmp_path / 'a' / 'x.npy'))
    assert classes.dtype == np.uint8
    np.testing.assert_array_equal(classes, prob.astype(np.float16).argmax(0))
    with pytest.raises(FileNotFoundError, match='expected a label of .*y.jpg.*lists none'):
        load(make_results('/images/train/a/y.jpg'))
    with pytest.raises(
        ValueError, match='LoadSoftLabels: expected a whole image, but got a flipped'
    ):
        load(dict(make_results(), flip=True))
    np.save(tmp_path / 'a' / 'x.npy', prob)
    with pytest.raises(
        ValueError, match='cannot read .*x.npy.*expected float16 .C, h, w., but got'
    ):
        load(make_results())
    (tmp_path / 'a' / 'x.npy').write_bytes(b'')
    with pytest.raises(
        ValueError, match='LoadSoftLabels.pseudo_dir: cannot read .*generate it again'
    ):
        load(make_results())
    with pytest.raises(ValueError, match='expected labels of 5 classes'):
        LoadSoftLabels(str(tmp_path), num_classes=5)(make_results())
