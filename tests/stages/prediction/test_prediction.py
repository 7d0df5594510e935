"""Predictions of files and directories: names, ids, resuming, and an exported network."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import toys
from mmengine.config import Config
from mmseg.apis import inference_model, init_model, show_result_pyplot
from mmseg.registry import MODELS
from PIL import Image
from predicting import PIPELINE, config, labels, run

from mmseg_uda.apis import adapt
from mmseg_uda.artifacts.digest import digest_path
from mmseg_uda.artifacts.torch_files import load_torch_file
from mmseg_uda.stages.prediction import Predictor, find_config, run_prediction
from mmseg_uda.utils.heat_maps import heat_over


def test_names_sizes_and_own_ids(root: Path, tmp_path: Path) -> None:
    assert run(root, tmp_path / 'own', confidence=True) == []
    found = labels(tmp_path / 'own')
    assert {name: label.shape for name, label in found.items()} == {
        'town/0.png': (32, 48),
        'town/1.png': (32, 48),
        '2.png': (40, 40),
    }
    run(root, tmp_path / 'train', ids='train', overlays=False, batch_size=4)
    first_values = np.array([7, 300, 20, 30])
    for name, train in labels(tmp_path / 'train').items():
        assert train.max() < 4
        assert (first_values[train] == found[name]).all()
    assert not (tmp_path / 'train/overlays').exists()
    assert not (tmp_path / 'train/confidence_overlays').exists()
    confidence = np.array(Image.open(tmp_path / 'own/confidence/town/0.png'))
    assert confidence.min() >= 255 // 4  # of four classes
    overlay = np.array(Image.open(tmp_path / 'own/overlays/town/0.jpg'))
    assert overlay.shape[0] > 32  # with a legend below
    assert overlay.shape[1] == 48
    # Colours of [0, 1] over the image: the same probability has the same colour in all pictures.
    shown = np.array(Image.open(tmp_path / 'own/confidence_overlays/town/0.jpg'))
    assert shown.shape[:2] == (32 + 22, 48)
    image = np.array(Image.open(root / 'images/town/0.JPG'))
    expected = heat_over(image, confidence / 255)
    assert np.abs(shown[:32].astype(int) - expected).mean() < 12  # JPEG


def test_equals_the_network_itself(root: Path, tmp_path: Path) -> None:
    run(root, tmp_path / 'out', ids='train')
    model = init_model(config(), str(root / 'work/iter_1.pth'), device='cpu')
    path = str(root / 'images/2.png')
    result = inference_model(model, path)
    label = result.pred_sem_seg.data[0].numpy()
    assert (labels(tmp_path / 'out')['2.png'] == label).all()
    picture = show_result_pyplot(model, path, result, show=False, with_labels=False)
    assert picture.shape == (40, 40, 3)
    assert model.dataset_meta['classes'] == toys.METAINFO['classes']


def test_goes_on(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / 'out'
    run(root, out)
    before = labels(out)
    (out / 'labels/2.png').unlink()
    seen: list[Any] = []
    load = Predictor.load
    monkeypatch.setattr(
        Predictor, 'load', lambda self, image: seen.append(image) or load(self, image)
    )
    run(root, out)
    assert seen == [str(root / 'images/2.png')]
    assert {name: label.tolist() for name, label in labels(out).items()} == {
        name: label.tolist() for name, label in before.items()
    }
    manifest = json.loads((out / 'manifest.json').read_text())
    assert manifest['complete']
    assert len(manifest['files']) == len(manifest['digests']) == 6
    with pytest.raises(ValueError, match=r"made with other settings \(ids: 'own' -> 'train'\)"):
        run(root, out, ids='train')


def test_refuses_other_directories(root: Path, tmp_path: Path) -> None:
    (tmp_path / 'notes.txt').touch()
    with pytest.raises(ValueError, match='OUT: expected a new or an empty directory'):
        run(root, tmp_path)
    with pytest.raises(ValueError, match='OUT: expected a place apart from INPUT'):
        run(root, root / 'images/out')
    (tmp_path / 'file').touch()
    for out in ('file', 'file/below'):
        with pytest.raises(
            ValueError, match='predict: OUT: expected a directory, but got the file .*file'
        ):
            run(root, tmp_path / out)


def test_refuses_what_the_config_reads(root: Path, tmp_path: Path) -> None:
    """A training by it would read the predictions for images and labels."""
    train = dict(type='DirectoryDataset', data_prefix=dict(img_path=str(tmp_path / 'train')))
    cfg = config()
    cfg.train_dataloader = dict(target=dict(batch_size=1, dataset=train))
    place = 'train_dataloader.target.dataset.data_prefix.img_path'
    with pytest.raises(ValueError, match=f'OUT: expected a place apart from {place}='):
        run(root, tmp_path / 'train/out', cfg)
    with pytest.raises(ValueError, match='OUT: expected a place apart from --onnx='):
        run(root, tmp_path / 'export', onnx=str(tmp_path / 'export/a.onnx'))
    cfg = Config.fromfile(root / 'work/config.py')
    with pytest.raises(ValueError, match='OUT: expected a place apart from --config='):
        run_prediction(cfg, 'other.pth', str(root / 'images'), str(root / 'work'))
    assert not list(tmp_path.iterdir())


def test_corrected_labels_are_kept(root: Path, tmp_path: Path) -> None:
    """Of images that have changed since; another run between does not take them for its own."""
    images, out = tmp_path / 'images', tmp_path / 'out'
    shutil.copytree(root / 'images', images)
    arguments = (config(), str(root / 'work/iter_1.pth'), str(images), str(out))
    run_prediction(*arguments)
    Image.fromarray(np.full((40, 40), 9, np.uint8)).save(out / 'labels/2.png')
    shutil.copy(images / '2.png', images / '3.png')
    run_prediction(*arguments)
    assert (labels(out)['2.png'] == 9).all()
    late = max(path.stat().st_mtime for path in out.rglob('*')) + 5
    for name in ('2.png', 'town/1.png'):
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(images / name)
        os.utime(images / name, (late, late))
    run_prediction(*arguments)
    assert (labels(out)['2.png'] != 9).all()
    (aside,) = out.rglob('*.old-*')  # what nobody has changed is replaced
    assert aside == out / 'labels/2.png.old-1'
    assert (np.array(Image.open(aside)) == 9).all()
    manifest = json.loads((out / 'manifest.json').read_text())
    assert manifest['complete']
    assert manifest['digests'] == {name: digest_path(out / name) for name in manifest['files']}


def test_predictions_are_of_the_input_that_is_given(root: Path, tmp_path: Path) -> None:
    """Not of images that had the same names before, or of another directory with such names."""
    images, out = tmp_path / 'images', tmp_path / 'out'
    shutil.copytree(root / 'images', images)
    cfg, checkpoint = config(), str(root / 'work/iter_1.pth')
    assert run_prediction(cfg, checkpoint, str(images), str(out)) == []
    before = labels(out)
    Image.fromarray(np.zeros((24, 24, 3), np.uint8)).save(images / '2.png')
    late = max(path.stat().st_mtime for path in out.rglob('*.png')) + 5
    os.utime(images / '2.png', (late, late))
    assert run_prediction(cfg, checkpoint, str(images), str(out)) == []
    after = labels(out)
    assert after['2.png'].shape == (24, 24)
    assert after.keys() == before.keys()
    shutil.copytree(images, tmp_path / 'other')
    with pytest.raises(ValueError, match='predict: OUT: .*input'):
        run_prediction(cfg, checkpoint, str(tmp_path / 'other'), str(out))


def test_damaged_images_are_left_out(root: Path, tmp_path: Path) -> None:
    for name in ('a.png', 'b.png'):
        (tmp_path / 'images').mkdir(exist_ok=True)
        (tmp_path / 'images' / name).write_bytes((root / 'images/2.png').read_bytes())
    (tmp_path / 'images/a.png').write_bytes(b'no image')
    checkpoint = str(root / 'work/iter_1.pth')
    arguments = (config(), checkpoint, str(tmp_path / 'images'), str(tmp_path / 'out'))
    (failed,) = run_prediction(*arguments)
    assert failed.startswith(f'{tmp_path}/images/a.png: ')
    assert list(labels(tmp_path / 'out')) == ['b.png']
    assert not json.loads((tmp_path / 'out/manifest.json').read_text())['complete']


def test_zero_may_be_ignored(root: Path, tmp_path: Path) -> None:
    pipeline = [step for step in PIPELINE if step['type'] != 'LoadMappedAnnotations']
    cfg = config(reduce_zero_label=True, pipeline=pipeline)
    run(root, tmp_path / 'one', cfg)
    run(root, tmp_path / 'zero', cfg, ids='train')
    for name, label in labels(tmp_path / 'one').items():
        assert (label == labels(tmp_path / 'zero')[name] + 1).all()


def test_config_beside_the_checkpoint(root: Path, tmp_path: Path) -> None:
    assert find_config(str(root / 'work/iter_1.pth')) == str(root / 'work/config.py')
    with pytest.raises(
        ValueError, match='expected one config beside .*, but got none; write --conf'
    ):
        find_config(str(tmp_path / 'iter_1.pth'))


def test_tool(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool = toys.load_script('tools/predict.py')
    arguments = [str(root / 'work/iter_1.pth'), str(root / 'images/2.png'), str(tmp_path / 'out')]
    assert tool.main([*arguments, '--device', 'cpu', '--confidence']) == 0
    assert list(labels(tmp_path / 'out')) == ['2.png']
    assert capsys.readouterr().out.endswith(f'wrote {tmp_path}/out\n')


class Session:
    """An onnxruntime session around a network, with one size for all images."""

    def __init__(self, path: str, providers: list[str]) -> None:
        self.model = MODELS.build(config().model).eval()
        self.model.load_state_dict(load_torch_file(path)['state_dict'])

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name='images', shape=[1, 3, 32, 48])]

    @torch.no_grad()
    def run(self, outputs: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        images = torch.from_numpy(feed['images'])
        assert images.shape == (1, 3, 32, 48)
        metas = [dict(img_shape=(32, 48))]
        return [self.model.student.encode_decode(images, metas).numpy()]


def test_exported_network(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    checkpoint = str(root / 'work/iter_1.pth')
    with pytest.raises(ImportError, match='--onnx: expected the package onnxruntime'):
        run(root, tmp_path / 'none', onnx=checkpoint)
    runtime = SimpleNamespace(InferenceSession=Session, get_available_providers=lambda: ['CPU'])
    monkeypatch.setitem(sys.modules, 'onnxruntime', runtime)
    run(root, tmp_path / 'onnx', onnx=checkpoint, batch_size=2)
    run(root, tmp_path / 'torch')
    ours, theirs = labels(tmp_path / 'torch'), labels(tmp_path / 'onnx')
    for name in ('town/0.png', 'town/1.png'):  # of the exported size
        assert (ours[name] == theirs[name]).all()
    assert theirs['2.png'].shape == (40, 40)


def test_exported_config_knows_the_values_of_own_labels(root: Path, tmp_path: Path) -> None:
    """The pipeline of stock mmseg maps no labels; predictions have the same values all the same."""
    out = tmp_path / 'exported'
    tool = toys.load_script('tools/export_segmentor.py')
    checkpoint, own = str(root / 'work/iter_1.pth'), str(root / 'work/config.py')
    exported = [str(out / name) for name in ('m.pth', 'm.py')]
    tool.main([checkpoint, exported[0], '--config', own, '--out-config', exported[1]])
    cfg = Config.fromfile(find_config(exported[0]))  # beside the module of its networks
    images = str(root / 'images')
    assert run_prediction(cfg, exported[0], images, str(tmp_path / 'a')) == []
    assert run_prediction(config(), checkpoint, images, str(tmp_path / 'b')) == []
    for name, label in labels(tmp_path / 'b').items():
        assert np.array_equal(labels(tmp_path / 'a')[name], label)
        assert set(np.unique(label)) <= {7, 300, 20, 30}


def test_adapt_needs_one_of_two() -> None:
    with pytest.raises(ValueError, match='adapt: expected a config or directories, but got both'):
        adapt()
    with pytest.raises(ValueError, match='adapt: expected a config or directories'):
        adapt('config.py', source_images='a')
