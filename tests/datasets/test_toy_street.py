import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import toys
from mmengine.config import Config
from mmseg.datasets import CityscapesDataset
from mmseg.registry import DATASETS

from mmseg_uda.datasets.toy_street.canvas import Canvas
from mmseg_uda.datasets.toy_street.dataset import ToyStreetDataset
from mmseg_uda.datasets.toy_street.render import DOMAINS, SPLITS, draw
from mmseg_uda.datasets.toy_street.shapes import cells

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools/dataset_converters/toy_street.py'
SMALL = (32, 64)


@pytest.fixture(scope='module')
def tool():
    return toys.load_script(TOOL)


@pytest.fixture(scope='module')
def samples():
    """Image and label of 40 streets of each domain."""
    drawn = {}
    for domain in DOMAINS:
        images, labels = zip(*(draw(domain, 'train', index, 0, (64, 128)) for index in range(40)))
        drawn[domain] = (np.stack(images), np.stack(labels))
    return drawn


def generate(tool, root, *options):
    tool.main([str(root), '--train', '3', '--val', '2', '--size', '32', '64', *options])


def contents(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob('*.png'))
    }


@pytest.mark.parametrize('domain', DOMAINS)
def test_same_arguments_same_pixels(domain):
    def pixels(*args):
        return b''.join(item.tobytes() for item in draw(*args))

    first = pixels(domain, 'train', 5, 3, SMALL)
    np.random.seed(1)
    draw('source', 'val', 0, 0, SMALL)
    state = np.random.get_state()[1].copy()
    assert pixels(domain, 'train', 5, 3, SMALL) == first
    assert np.array_equal(state, np.random.get_state()[1])
    for other in ((domain, 'train', 6, 3), (domain, 'train', 5, 4), (domain, 'val', 5, 3)):
        assert pixels(*other, SMALL) != first


@pytest.mark.parametrize(
    ('domain', 'digest', 'mean', 'deviation'),
    [
        ('source', 'f7003991cabde5ad', [150.048, 150.071, 144.738], 60.667),
        ('target', '7f2095d0a9da3184', [88.010, 100.501, 126.105], 43.924),
    ],
)
def test_pixels_are_those_of_this_version(domain, digest, mean, deviation):
    """Other pixels need another VERSION in render.py; images may round otherwise elsewhere."""
    drawn = [draw(domain, SPLITS[i % 2], i, i % 3, (64, 128)) for i in range(6)]
    images, labels = zip(*drawn)
    assert hashlib.sha256(np.stack(labels).tobytes()).hexdigest()[:16] == digest
    assert np.mean(images, (0, 1, 2)) == pytest.approx(mean, abs=0.02)
    assert np.std(images) == pytest.approx(deviation, abs=0.02)


def test_independent_of_order_and_threads():
    tasks = [(domain, 'val', index, 0, SMALL) for domain in DOMAINS for index in range(4)]
    forward = [draw(*task) for task in tasks]
    backward = [draw(*task) for task in tasks[::-1]][::-1]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda task: draw(*task), tasks))
    for one, other, third in zip(forward, backward, together):
        for kind in range(2):
            assert np.array_equal(one[kind], other[kind])
            assert np.array_equal(one[kind], third[kind])


@pytest.mark.parametrize('size', [(32, 64), (50, 70), (64, 64)])
@pytest.mark.parametrize('domain', DOMAINS)
def test_shapes_and_types(domain, size):
    image, label = draw(domain, 'train', 0, size=size)
    assert image.shape == (*size, 3)
    assert label.shape == size
    assert image.dtype == label.dtype == np.uint8


def test_only_valid_ids_and_every_class_in_both_domains(samples):
    for _, labels in samples.values():
        assert set(np.unique(labels)) == {*range(19), 255}
        share = [(labels == index).any((1, 2)).mean() for index in range(19)]
        assert min(share) >= 0.3, share


def test_layout_agrees_and_appearance_differs(samples):
    shares = {
        domain: np.bincount(labels.ravel(), minlength=256)[:19] / labels.size
        for domain, (_, labels) in samples.items()
    }
    assert np.abs(shares['source'] - shares['target']).sum() < 0.16
    pairs = zip(samples['source'][1], samples['target'][1])
    assert not any(np.array_equal(one, other) for one, other in pairs)  # streets are not paired

    means = {domain: images.mean((0, 1, 2)) for domain, (images, _) in samples.items()}
    assert np.abs(means['source'] - means['target']).max() > 30
    grain = {}
    for domain, (images, labels) in samples.items():
        detail = np.stack([cv2.Laplacian(image, cv2.CV_32F) for image in images])
        grain[domain] = np.median(np.abs(detail)[labels == 0])
    assert grain['source'] == 0  # roads are flat there
    assert grain['target'] > 3


def test_source_colours_follow_the_label():
    image, label = draw('source', 'train', 2, size=(64, 128))
    road = image[label == 0]
    assert (np.abs(road.astype(int) - np.median(road, 0)).max(1) < 12).mean() > 0.8


def test_canvas_paints_where_the_pinhole_says():
    canvas = Canvas(100, 200, horizon=0.5, eye=1.5, supersample=1)  # focal length 172
    canvas.card(
        0.0, 17.2, np.array([[0.0, 1.5], [2.0, 1.5], [2.0, 3.0], [0.0, 3.0]]), 'car', 'paint'
    )
    assert canvas.attributes[0][0] == 13
    canvas.fill(np.array([[-1.0, 0.0, 17.2], [0.5, 0.0, 17.2], [0.5, 1.0, 17.2]]), 'bus', 'bus')
    rows, columns = np.nonzero(canvas.parts == 1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (55, 65, 90, 105)
    canvas.fill(np.array([[0.0, 0.0, -3.0], [1.0, 0.0, -3.0], [1.0, 0.0, 1.0]]), 'bus', 'bus')
    assert len(canvas.attributes) == 2  # behind the camera


def test_cells_interpolates_the_face():
    face = np.array([[0.0, 0.0, 1.0], [4.0, 0.0, 1.0], [4.0, 2.0, 1.0], [0.0, 2.0, 1.0]])
    inner = cells(face, np.array([0.0, 0.5]), np.array([0.25, 1.0]), 0.5, 1.0)
    assert inner.shape == (2, 4, 3)
    assert inner[0].tolist() == [[0.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 2.0, 1.0], [0.0, 2.0, 1.0]]
    assert inner[1, :, 0].tolist() == [2.0, 4.0, 4.0, 2.0]


@pytest.mark.parametrize(
    ('args', 'match'),
    [
        (
            ('dusk', 'train', 0),
            r"draw.domain: expected one of \('source', 'target'\), but got 'dusk'",
        ),
        (('source', 'test', 0), r"draw.split: expected one of \('train', 'val'\), but got 'test'"),
    ],
)
def test_draw_refuses(args, match):
    with pytest.raises(ValueError, match=match):
        draw(*args)


def test_tool_writes_what_draw_gives_with_any_number_of_processes(tool, tmp_path):
    generate(tool, tmp_path / 'one', '--nproc', '1')
    generate(tool, tmp_path / 'two', '--nproc', '2')
    files = contents(tmp_path / 'one')
    assert files == contents(tmp_path / 'two')
    assert len(files) == 2 * 2 * 5
    assert not list(tmp_path.rglob('*.tmp'))
    for domain in DOMAINS:
        for split, count in (('train', 3), ('val', 2)):
            name = f'{domain}_{split}_{count - 1:05d}.png'
            image, label = draw(domain, split, count - 1, size=SMALL)
            folder = tmp_path / 'one' / domain
            assert np.array_equal(cv2.imread(str(folder / 'images' / split / name), -1), image)
            assert np.array_equal(cv2.imread(str(folder / 'labels' / split / name), -1), label)


def test_tool_resumes(tool, tmp_path):
    generate(tool, tmp_path, '--nproc', '1')
    before = contents(tmp_path)
    paths = sorted(tmp_path.rglob('*.png'))
    deleted, broken, empty = paths[0], paths[7], paths[12]
    deleted.unlink()
    broken.write_bytes(broken.read_bytes()[:-9])
    empty.write_bytes(b'')
    redone = {path.name for path in (deleted, broken, empty)}
    kept = {path: path.stat().st_mtime_ns for path in paths if path.name not in redone}
    generate(tool, tmp_path, '--nproc', '1')
    assert contents(tmp_path) == before
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


def test_tool_starts_anew_with_another_recipe_and_drops_surplus_images(tool, tmp_path):
    generate(tool, tmp_path, '--nproc', '1')
    first, note = contents(tmp_path), json.loads((tmp_path / 'meta.json').read_text())
    generate(tool, tmp_path, '--nproc', '1', '--seed', '1')
    second = contents(tmp_path)
    assert first.keys() == second.keys()
    assert all(first[name] != second[name] for name in first if '/images/' in name)
    assert json.loads((tmp_path / 'meta.json').read_text())['digest'] != note['digest']
    generate(tool, tmp_path, '--nproc', '1', '--seed', '1', '--train', '1')
    assert contents(tmp_path) == {
        name: data for name, data in second.items() if 'train' not in name or '00000' in name
    }


def test_tool_moves_images_of_others_aside(tool, tmp_path):
    root = tmp_path / 'toys'
    generate(tool, root, '--nproc', '1')
    names = ['source/images/train/source_train_00000.png', 'source/labels/val/mine.png']
    for name in names:
        (root / name).write_bytes(b'mine')
    generate(tool, root, '--nproc', '1')  # damaged, for the tool
    assert (root / f'{names[0]}.old-1').read_bytes() == b'mine'
    (root / names[0]).write_bytes(b'mineIEND\xaeB`\x82')
    generate(tool, root, '--nproc', '1', '--seed', '1')
    assert (tmp_path / 'toys.old-1' / names[0]).read_bytes().startswith(b'mine')
    assert len([*(tmp_path / 'toys.old-1').rglob('*.png')]) == 1
    assert (root / names[1]).read_bytes() == b'mine'


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (('--train', '0'), 'argument --train: expected an integer from 1 on, but got 0'),
        (('--nproc', '0'), 'argument --nproc: expected an integer from 1 on, but got 0'),
        (('--size', '8', '64'), 'argument --size: expected an integer from 16 on, but got 8'),
    ],
)
def test_tool_refuses(tool, tmp_path, capsys, options, match):
    with pytest.raises(SystemExit, match='2'):
        generate(tool, tmp_path, *options)
    assert match in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('domain', DOMAINS)
def test_dataset(tool, tmp_path, domain):
    generate(tool, tmp_path, '--nproc', '1')
    pipeline = [
        {'type': 'LoadImageFromFile'},
        {'type': 'LoadAnnotations'},
        {'type': 'PackSegInputs'},
    ]
    for split, count in zip(SPLITS, (3, 2)):
        dataset = DATASETS.build(
            {
                'type': 'ToyStreetDataset',
                'data_root': str(tmp_path),
                'domain': domain,
                'split': split,
                'pipeline': pipeline,
                'test_mode': split == 'val',
            }
        )
        assert isinstance(dataset, ToyStreetDataset)
        assert len(dataset) == count
        assert dataset.metainfo['classes'] == CityscapesDataset.METAINFO['classes']
        assert dataset.metainfo['palette'] == CityscapesDataset.METAINFO['palette']
        image, label = draw(domain, split, 1, size=SMALL)
        sample = dataset[1]
        assert np.array_equal(sample['inputs'].numpy().transpose(1, 2, 0), image)
        assert np.array_equal(sample['data_samples'].gt_sem_seg.data[0].numpy(), label)


def test_dataset_names_what_is_missing(tool, tmp_path):
    command = f'python tools/dataset_converters/toy_street.py {tmp_path}'
    with pytest.raises(FileNotFoundError) as error:
        ToyStreetDataset(str(tmp_path), 'source')
    assert f'expected the directory {tmp_path}/source/images/train' in str(error.value)
    assert command in str(error.value)
    ToyStreetDataset(str(tmp_path), 'source', lazy_init=True)  # configs can be built without data
    for kind in ('images', 'labels'):
        (tmp_path / 'source' / kind / 'train').mkdir(parents=True)
    with pytest.raises(
        FileNotFoundError,
        match=r'ToyStreetDataset\.data_root: expected images in .*/images/train, but got none',
    ) as error:
        ToyStreetDataset(str(tmp_path), 'source')
    assert command in str(error.value)
    generate(tool, tmp_path, '--nproc', '1')
    label = tmp_path / 'source/labels/train/source_train_00001.png'
    label.unlink()
    with pytest.raises(
        FileNotFoundError, match=f'expected the label {label} of .*, but it does not exist'
    ):
        ToyStreetDataset(str(tmp_path), 'source')


@pytest.mark.parametrize(('key', 'value'), [('domain', 'tgt'), ('split', 'test')])
def test_dataset_refuses(key, value):
    with pytest.raises(
        ValueError, match=rf"ToyStreetDataset\.{key}: expected one of .*, but got '{value}'"
    ):
        ToyStreetDataset('nowhere', **{'domain': 'source', key: value})


def test_config_reads_both_domains_and_no_target_labels(monkeypatch):
    monkeypatch.setenv('MMSEG_UDA_DATA', '/elsewhere')
    config = Config.fromfile(ROOT / 'configs/_base_/datasets/toy_street.py')
    for domain in DOMAINS:
        dataset = config.train_dataloader[domain].dataset
        assert (dataset.domain, dataset.split) == (domain, 'train')
        assert dataset.data_root == '/elsewhere/toy_street'
        loads = any(step.type == 'LoadAnnotations' for step in dataset.pipeline)
        assert loads == (domain == 'source')
    assert config.val_dataloader.dataset.domain == 'target'
    assert config.val_dataloader.dataset.split == 'val'


@pytest.mark.parametrize('content', ['{"my": "notes"}', '[1]'])
def test_a_note_of_somebody_else_is_moved_aside(tool, tmp_path, content):
    (tmp_path / 'meta.json').write_text(content)
    generate(tool, tmp_path)
    assert [path.read_text() for path in tmp_path.glob('meta.json.old*')] == [content]
    generate(tool, tmp_path)
    assert len([*tmp_path.glob('meta.json*')]) == 2
