"""Two directories, one command that writes a config, a training, a test, an export, predictions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys
from mmengine.config import Config
from numpy.testing import assert_array_equal
from own_pairs import init_small, small_pair
from PIL import Image

from mmseg_uda.apis import adapt, predict
from mmseg_uda.artifacts.torch_files import load_torch_file
from mmseg_uda.config.check import check_config
from mmseg_uda.doctor import examine
from mmseg_uda.pipeline import Pipeline, read_pipeline
from mmseg_uda.stages.export.card import model_card
from mmseg_uda.stages.export.images import find_images
from mmseg_uda.stages.export.plain import plain_config

SIZE = (40, 56)  # height, width


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)


def write_pair(root: Path) -> None:
    """Nested images of several suffixes and sizes; labels with the ids 0, 7, 8 and 26."""
    rng = np.random.default_rng(0)
    for index in range(6):
        height, width = SIZE[0] + index % 2 * 8, SIZE[1]
        label = np.zeros((height, width))
        label[10:] = 7
        label[20:, : width // 2] = 8
        label[20:30, 30:44] = 26
        image = label[..., None] * 4 + rng.integers(0, 60, (height, width, 3))
        name = f'town{index % 2}/{index}'
        write(root / f'sim/rgb/{name}{(".png", ".jpg", ".PNG")[index % 3]}', image)
        write(root / f'sim/ids/{name}.png', label)
        write(root / f'camera/{name}.jpg', 255 - image)


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('own')
    write_pair(root)
    text = '0: ignore\n7: road\n8: road\n26: car\n'
    (root / 'classes.yaml').write_text(text)
    return root


def init(root: Path, *options: str, out: Path | None = None) -> Config:
    """Run the tool, and read the config that it writes below ``out``."""
    out = out or root / 'own'
    directories = dict(source_images='sim/rgb', source_labels='sim/ids', target_images='camera')
    flags = [f'--{key.replace("_", "-")}={root / each}' for key, each in directories.items()]
    toys.load_script('tools/init_pair.py').main(
        [*flags, '--backbone=toy', f'--out-dir={out}', '--name=sim2camera', *options]
    )
    return Config.fromfile(out / 'sim2camera.py')


@pytest.fixture(scope='module')
def written(root: Path) -> Config:
    return init(root, f'--classes={root / "classes.yaml"}')


@pytest.fixture(scope='module')
def trained(root: Path, written: Config) -> tuple[Path, Path]:
    """The config as it is written, but for its numbers, and the checkpoint of two iterations."""
    path = root / 'short/sim2camera.py'
    path.parent.mkdir()
    text = re.sub(
        '(?m)^max_iters, lr = .*', 'max_iters, lr = 2, 0.002', Path(written.filename).read_text()
    )
    text = text.replace('num_workers=1', 'num_workers=0').replace('workers=True', 'workers=False')
    path.write_text(text)
    return path, adapt(path, root / 'work')


def test_report_says_what_is_there(root: Path, written: Config) -> None:
    report = (root / 'own/sim2camera.txt').read_text()
    assert 'source: 6 images in' in report
    assert 'sizes 56x40 (3), 56x48 (3); channels RGB (6)' in report
    assert 'suffixes .png (2), .PNG (2), .jpg (2)' in report
    assert 'source: 6 images have labels;' in report
    assert 'source: values in 6 of 6 labels:' in report
    lines = dict(re.findall(r' +(\d+) +(.*)', report))
    assert lines['26'].endswith('in 6 labels  car')
    assert lines['7'].endswith('in 6 labels  road')
    assert 'look at this' not in report
    assert written.classes == ('road', 'car')
    assert written.label_map == {0: 'ignore', 7: 'road', 8: 'road', 26: 'car'}
    assert (written.short_side, written.crop_size) == (40, (32, 32))
    # 10 x 14 pixels of 1680 or 2128 that are not ignored.
    assert written.source_shares == [92.65, 7.35]
    evaluator = written.val_cfg.selection.target.evaluator
    assert evaluator == dict(type='LabelFreeMetric', source_shares=written.source_shares)
    assert check_config(written) == []
    sheet = np.asarray(Image.open(root / 'own/sim2camera.png'))
    assert (sheet == written.palette[1]).all(-1).any()  # in the legend


def test_head_is_short(written: Config) -> None:
    head = Path(written.filename).read_text().split('# Read these lines')[1]
    names = re.findall(r'(?m)^(\w+)[\w, ]* = ', head.split('\n\n')[0])
    assert len(names) <= 10
    assert names[:2] == ['classes', 'label_map']


def test_training_without_target_labels(trained: tuple[Path, Path]) -> None:
    _, checkpoint = trained
    assert checkpoint.name == 'iter_2.pth'  # the last one, beside the best by the score
    assert [*checkpoint.parent.glob('best_target_mutual_information_iter_*.pth')]
    log = next(checkpoint.parent.glob('*/*.log')).read_text()
    assert 'source 5 images, target 6 images' in log
    last = [line for line in log.splitlines() if 'source/mIoU' in line][-1]
    for score in ('source/mIoU', 'target/mutual_information', 'target/source_divergence'):
        assert score in last
    classes = load_torch_file(checkpoint)['meta']['dataset_meta']['classes']
    assert classes == ('road', 'car')


def test_one_command_trains(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the directories and the iterations that are given: source only, then DACS from it."""
    ran: list[Pipeline] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Pipeline, 'run', lambda self: ran.append(self))
    monkeypatch.setattr(
        Pipeline, 'output', lambda self, name: self.context.work_dir / f'{name}/iter_7.pth'
    )
    classes = f'--classes={root / "classes.yaml"}'
    init(root, classes, '--max-iters=7', '--train', out=tmp_path / 'own')
    (pipeline,) = ran
    assert list(pipeline.stages) == ['source_only', 'counts', 'dacs']
    first, second = (pipeline.stages[name].load() for name in ('source_only', 'dacs'))
    assert [first.model.type, second.model.type] == ['SourceOnly', 'MeanTeacher']
    assert second.load_from == '{source_only}'
    assert first.model.segmentor == second.model.segmentor
    for cfg in (first, second):
        assert cfg.train_cfg.max_iters == 7
        assert str(root / 'camera') in str(cfg.train_dataloader.target.dataset)
    assert 'sampling' not in first.train_dataloader.source
    # 0.15 % of the labels' 44 x 56 pixels; three quarters of it when 48 rows become 40.
    assert second.train_dataloader.source.sampling == dict(
        type='RareClassSampling',
        class_counts='{counts}',
        min_pixels=4,
        min_crop_ratio=0.521,
        max_probability=0.4,
        max_repeats=2,
    )
    out = capsys.readouterr().out
    assert f'  python tools/run_pipeline.py {tmp_path / "own/sim2camera_pipeline.py"}' in out
    assert out.endswith('work_dirs/sim2camera_pipeline/dacs/iter_7.pth\n')


def test_test_and_export(trained: tuple[Path, Path], tmp_path: Path) -> None:
    path, checkpoint = trained
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('LOCAL_RANK', '0')
        tool = toys.load_script('tools/test.py')
        tool.main([str(path), str(checkpoint), '--work-dir', str(tmp_path / 'test')])
    (metrics,) = (tmp_path / 'test').glob('*/*.json')
    assert 'mIoU' in metrics.read_text()
    out = [str(tmp_path / 'out.pth'), '--out-config', str(tmp_path / 'out.py')]
    toys.load_script('tools/export_segmentor.py').main(
        [str(checkpoint), *out, '--config', str(path)]
    )
    assert check_config(Config.fromfile(tmp_path / 'out.py')) == []
    card = (tmp_path / 'out.md').read_text()
    assert (
        f'python tools/train.py {path.name}  # seed' in card
    )  # no pipeline lies beside the config
    # Stock mmseg lacks the dataset; the images to compare with are those of the training's config.
    assert list(find_images(tmp_path / 'out.py')) == []
    found = list(find_images(tmp_path / 'out.py', trained=Config.fromfile(path)))
    assert [name for name, _ in found] == ['5.PNG']


@pytest.mark.slow
def test_doctor(written: Config, tmp_path: Path) -> None:
    findings = {each.check: each for each in examine(written, out=tmp_path / 'batch.png')}
    assert 'target: 32 x 32 pixels after its pipeline' in findings['pixels'].message
    text = 'IoUMetric over 2 classes; images are resized to 40 in validation, resized to 40 in'
    assert findings['evaluation'].message.startswith(text)
    assert (tmp_path / 'batch.png').exists()


def test_iterations(root: Path, tmp_path: Path) -> None:
    cfg = init(root, '--max-iters=50', out=tmp_path)
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end == 50
    assert cfg.default_hooks.checkpoint.interval == cfg.train_cfg.val_interval == 5
    with pytest.raises(ValueError, match='--max-iters: expected an integer of at least 1, but got'):
        adapt(source_images='', source_labels='', target_images='', max_iters=0)


@pytest.mark.parametrize(
    ('method', 'network'),
    [('minent', 'mit-b0'), ('advent', 'mobilenetv2'), ('daformer', 'mit-b0'), ('mic', 'toy')],
)
def test_other_methods(root: Path, tmp_path: Path, method: str, network: str) -> None:
    # The tool has checked the config.
    cfg = init(root, f'--method={method}', f'--backbone={network}', out=tmp_path)
    types = dict(minent='MinEnt', advent='Adversarial', daformer='MeanTeacher', mic='MIC')
    assert cfg.model.type == types[method]
    hooks = [hook.type for hook in cfg.custom_hooks]
    assert ('EMATeacherHook' in hooks) == (method in ('daformer', 'mic'))
    assert check_config(Config.fromfile(tmp_path / 'sim2camera_source_only.py')) == []
    pipeline = read_pipeline(tmp_path / 'sim2camera_pipeline.py')  # checks both
    counts = ['counts'] if method in ('daformer', 'mic') else []
    assert list(pipeline.stages) == ['source_only', *counts, method]
    if method == 'mic':  # a block has its share of the crop, as 32 of 512
        assert cfg.model.mask.block_size == cfg.crop_size[0] // 16
    assert cfg.classes == ('class_0', 'class_7', 'class_8', 'class_26')


def test_source_only_needs_no_pipeline(root: Path, tmp_path: Path, capsys: Any) -> None:
    init(root, '--method=source_only', out=tmp_path)
    assert {path.name for path in tmp_path.glob('*.py')} == {'sim2camera.py'}
    assert f'  python tools/train.py {tmp_path / "sim2camera.py"}' in capsys.readouterr().out


def write_labelled(root: Path) -> None:
    for name in ('a', 'b'):
        write(root / f'images/{name}.png', np.zeros((*SIZE, 3)))
        label = np.zeros((*SIZE, 3))
        label[:20] = (128, 64, 128)
        label[20:] = (0, 0, 142)
        write(root / f'labels/{name}_color.png', label)


def test_labels_in_colours_and_a_validation_set(root: Path, tmp_path: Path, capsys: Any) -> None:
    write_labelled(tmp_path)
    (tmp_path / 'c.yaml').write_text("'#804080': road\n'0,0,142': car\n")
    flags = [
        f'--{domain}-{kind}={tmp_path / kind}'
        for domain in ('source', 'target-val')
        for kind in ('images', 'labels')
    ]
    cfg = init(root, *flags, f'--classes={tmp_path / "c.yaml"}', out=tmp_path / 'own')
    assert cfg.label_map == {'#804080': 'road', '#00008e': 'car'}
    assert cfg.palette == [[128, 64, 128], [0, 0, 142]]
    assert cfg.validation.seg_map_suffix == ('_color.png',)
    assert cfg.val_cfg == dict(type='ValLoop')
    assert 'part' not in cfg.train_dataloader.source.dataset
    assert 'no labels of the target' not in capsys.readouterr().out
    pipeline = read_pipeline(tmp_path / 'own/sim2camera_pipeline.py')
    assert list(pipeline.stages) == ['source_only', 'adabn', 'counts', 'dacs']
    (hook,) = pipeline.stages['adabn'].load().custom_hooks
    assert hook == dict(type='AdaBNHook', num_images=6)


def test_ids_of_a_dataset_of_mmseg(root: Path, tmp_path: Path, capsys: Any) -> None:
    cfg = init(root, '--from-dataset=LoveDADataset', out=tmp_path)
    assert cfg.label_map[0] == 'ignore'
    assert cfg.label_map[1] == 'background'
    assert cfg.others == 'ignore'
    out = capsys.readouterr().out
    assert 'look at this: source: no pixel of the classes background, building' in out
    assert 'look at this: source: 2 values are not listed' in out
    with pytest.raises(ValueError, match='--from-dataset: expected one of .*LoveDADataset'):
        init(root, '--from-dataset=LoveDa')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--source-labels=nowhere'], "--source-labels: expected a directory, but got 'nowhere'"),
        (['--target-val-images={camera}'], 'expected both --target-val-images and'),
        (['--source-labels={camera}/town0'], 'expected labels in .* with the names of images'),
        (['--out-dir={camera}/own'], '--out-dir: expected a place apart from --target-images'),
        (["--name=it's / 1"], "--name: expected letters, .* but got .*; write 'it_s___1'"),
        (['--name=.x'], "--name: expected letters, .* but got '.x'; write '_x'"),
        (['--classes=nowhere.yaml'], '--classes: no file nowhere.yaml; write a list of names'),
    ],
)
def test_mistakes(root: Path, options: list[str], message: str) -> None:
    options = [each.format(camera=root / 'camera') for each in options]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        init(root, *options)


def test_predictions_in_own_ids(root: Path, trained: tuple[Path, Path], tmp_path: Path) -> None:
    """The config is the one that the training left beside the checkpoint."""
    _, checkpoint = trained
    assert predict(checkpoint, root / 'camera', tmp_path / 'out', device='cpu') == []
    label = np.asarray(Image.open(tmp_path / 'out/labels/town1/5.png'))
    assert label.shape == (SIZE[0] + 8, SIZE[1])
    assert set(np.unique(label)) <= {7, 26}


def test_notebook(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cells of the notebook in docs, with the network and the iterations of a toy."""
    notebook = json.loads((toys.ROOT / 'docs/notebooks/own_data.ipynb').read_text('utf-8'))
    cells = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']
    assert [cell['outputs'] for cell in cells] == [[]] * len(cells) != []
    for name in ('sim', 'camera', 'classes.yaml'):
        (tmp_path / name).symlink_to(root / name)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for loader in ('train_dataloader.source', 'train_dataloader.target', 'val_dataloader'):
        settings |= {f'{loader}.num_workers': 0, f'{loader}.persistent_workers': False}
    for cell in cells:
        exec(''.join(cell['source']), scope)
        if cell['metadata'].get('tags') == ['parameters']:
            scope.update(backbone='toy', max_iters=2, device='cpu', settings=settings)
    work_dir = tmp_path / 'work_dirs/sim2camera_pipeline'
    assert scope['checkpoint'] == work_dir / 'dacs/iter_2.pth'
    log = next((work_dir / 'dacs').glob('*/*.log')).read_text()
    assert f'Load checkpoint from {work_dir}/source_only/iter_2.pth' in log
    assert scope['unreadable'] == []
    assert len(scope['overlays']) == 6
    label = np.asarray(Image.open('predictions/labels/town0/0.png'))
    expected = scope['probabilities'].argmax(0).numpy()  # the classes are road and car
    assert_array_equal(label, np.array([7, 26])[expected])
    assert scope['picture'].shape == (*SIZE, 3)


def test_the_report_is_not_written_over_the_classes(tmp_path: Path) -> None:
    folder = small_pair(tmp_path, 4)
    classes = folder / 'own/p.txt'
    classes.parent.mkdir()
    classes.write_text('road\ncar\n')
    with pytest.raises(ValueError, match=r"--name: .* --classes='.*p\.txt', which is read"):
        init_small(folder, f'--classes={classes}')
    assert [path.name for path in classes.parent.iterdir()] == ['p.txt']


def test_a_label_of_another_size_and_damaged_files_are_drawn_around(tmp_path: Path) -> None:
    folder = small_pair(tmp_path, 6)
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(folder / 'lab/000.png')
    (folder / 'tgt/000.png').write_bytes(b'x')
    assert init_small(folder).is_file()
    report = (folder / 'own/p.txt').read_text()
    assert 'look at this' in report
    assert (folder / 'own/p.png').is_file()


@pytest.mark.parametrize(
    ('change', 'line'),
    [
        ('binary', 'expected at least two classes, but got class_0; write --classes'),
        ('damaged', '--source-labels: expected labels that can be read, but 4 of 4 cannot, such'),
        ('one', '--source-images: expected at least two images with labels, one of which is held'),
        ('sizes', 'expected images, labels of their sizes, and images of the target'),
        ('twice', r"expected one file per name, but got '000\.\w+' and '000\.\w+' in .*tgt"),
    ],
)
def test_sets_that_cannot_train_are_refused_before_anything_is_written(
    tmp_path: Path, change: str, line: str
) -> None:
    folder = small_pair(tmp_path, 1 if change == 'one' else 4)
    if change == 'twice':
        (folder / 'tgt/000.bmp').touch()
    for path in (folder / 'lab').iterdir():
        if change == 'damaged':
            path.write_bytes(b'x')
        elif change in ('binary', 'sizes'):
            label = np.zeros((40, 56) if change == 'binary' else (20, 20), np.uint8)
            label[:, 10:] = 255 if change == 'binary' else 1
            Image.fromarray(label).save(path)
    with pytest.raises(ValueError, match=line):
        init_small(folder)
    assert not (folder / 'own').exists()


def test_a_black_label_does_not_decide_that_labels_have_no_colours(tmp_path: Path) -> None:
    folder = small_pair(tmp_path, 8)
    for index, path in enumerate(sorted((folder / 'lab').iterdir())):
        label = np.zeros((40, 56, 3), np.uint8)
        if index:
            label[:, 20:40], label[:, 40:] = (128, 64, 128), (70, 70, 70)
        Image.fromarray(label).save(path)
    assert "'#804080'" in init_small(folder).read_text()


def test_one_missing_label_does_not_speak_for_another_kind(tmp_path: Path) -> None:
    folder = small_pair(tmp_path, 12)
    for path in sorted((folder / 'lab').iterdir()):
        Image.fromarray(np.full((40, 56), 99, np.uint8)).save(
            path.with_name(f'{path.stem}_confidence.png')
        )
    (folder / 'lab/011.png').unlink()
    written = Config.fromfile(init_small(folder))
    assert len(written.classes) == 2
    assert '011' in (folder / 'own/p.txt').read_text()


def test_card_of_a_network_that_a_pipeline_trained(written: Config, tmp_path: Path) -> None:
    plain = plain_config(written)
    files = ['out.pth', 'out.py']
    card = model_card(written, plain, str(tmp_path / 'iter_1.pth'), {}, files, [])
    assert 'python tools/run_pipeline.py sim2camera_pipeline.py  # seed' in card
