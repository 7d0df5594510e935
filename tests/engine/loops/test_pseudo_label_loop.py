"""The loop that writes pseudo labels."""

import hashlib
import json
import os

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from PIL import Image
from toys import NUM_CLASSES, SIZE, method_cfg, runner_cfg

from mmseg_uda.artifacts.pseudo_labels import Manifest
from mmseg_uda.datasets.transforms import LoadPseudoLabels
from mmseg_uda.engine.loops import PseudoLabelLoop, pseudo_label_loop
from mmseg_uda.pseudo_labels import build_rule, segment_probabilities

NUM_IMAGES = 7


def make_runner(root, out='out', rule='bdl', **loop):
    cfg = runner_cfg(root / 'data', root / 'work', method_cfg('source_only'))
    for key in (
        'train_dataloader',
        'train_cfg',
        'optim_wrapper',
        'param_scheduler',
        'val_dataloader',
        'val_cfg',
        'val_evaluator',
    ):
        cfg[key] = None
    dataset = cfg.test_dataloader.dataset
    dataset.test_mode = True
    dataset.pipeline = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    cfg.test_dataloader.pop('sampler')
    cfg.test_cfg = dict(type='PseudoLabelLoop', out_dir=str(root / out), rule=rule, **loop)
    cfg.test_evaluator = []
    runner = Runner.from_cfg(cfg)
    torch.manual_seed(1)
    for parameter in runner.model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return runner


def read(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def label(folder, name):
    return np.asarray(Image.open(folder / name))


@pytest.mark.parametrize('rule', ['bdl', 'cbst', 'global', dict(type='fixed', threshold=0.5)])
def test_against_the_rule_on_the_whole_set(tmp_path, rule):
    runner = make_runner(tmp_path, rule=rule)
    runner.model.train()
    result = runner.test()
    assert runner.model.training
    runner.model.eval()
    selection = build_rule(rule)
    probabilities = {}
    for data in runner.test_dataloader:
        images, samples = segment_probabilities(runner.model, data, selection.softmax_first)
        name = os.path.basename(samples[0].img_path)
        probabilities[name] = images[0]
    assert len(probabilities) == NUM_IMAGES
    manifest = json.loads((tmp_path / 'out/manifest.json').read_text())
    thresholds = torch.tensor(manifest['thresholds'])
    predicted, kept = np.zeros((2, NUM_CLASSES), int)
    for name, image in probabilities.items():
        stored = label(tmp_path / 'out', name)
        assert stored.shape == SIZE
        assert stored.dtype == np.uint8
        np.testing.assert_array_equal(stored, selection.select(image, thresholds))
        predicted += np.bincount(image.argmax(0).ravel(), minlength=NUM_CLASSES)
        kept += np.bincount(stored.ravel(), minlength=256)[:NUM_CLASSES]
    assert 0 < kept.sum() <= predicted.sum()
    assert manifest['predicted_pixels'] == predicted.tolist()
    assert manifest['kept_pixels'] == kept.tolist()
    assert manifest['files'] == sorted(probabilities)
    assert manifest['num_images'] == NUM_IMAGES
    assert manifest['complete']
    assert result == dict(thresholds=manifest['thresholds'], coverage=manifest['coverage'])
    if rule == 'bdl':  # by pooling everything
        image = torch.stack(list(probabilities.values()), 1)
        confidence, prediction = image.max(0)
        for index in range(NUM_CLASSES):
            pool = confidence[prediction == index].sort().values
            expected = min(float(pool[round(0.5 * len(pool))]), 0.9) if len(pool) else 0
            assert manifest['thresholds'][index] == expected


def test_labels_can_be_loaded(tmp_path):
    make_runner(tmp_path).test()
    load = LoadPseudoLabels(str(tmp_path / 'out'), num_classes=NUM_CLASSES)
    path = sorted((tmp_path / 'data/target/images').iterdir())[3]
    results = load(dict(img=np.zeros((*SIZE, 3)), img_path=str(path)))
    np.testing.assert_array_equal(results['pseudo_seg_map'], label(tmp_path / 'out', path.name))


def test_a_small_budget_stays_within_tolerance(tmp_path):
    exact = make_runner(tmp_path, 'exact').test()['thresholds']
    binned = make_runner(tmp_path, 'binned', budget=50, bins=4096).test()['thresholds']
    error = np.subtract(exact, binned)
    assert (error >= 0).all()
    assert (error < 1 / 4096).all()
    assert error.any()


def test_softmax_first_is_taken_from_rule_or_argument(tmp_path):
    paper, other = (
        make_runner(tmp_path, str(first), softmax_first=first).test()['thresholds']
        for first in (None, False)
    )
    assert paper != other


def test_resume_after_a_kill(tmp_path, monkeypatch):
    whole = make_runner(tmp_path, 'whole')
    whole.test()
    runner = make_runner(tmp_path)
    written = []

    def write_and_die(path, *args):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path)
        write(path, *args)

    write = pseudo_label_loop.write_label
    monkeypatch.setattr(pseudo_label_loop, 'write_label', write_and_die)
    with pytest.raises(KeyboardInterrupt):
        runner.test()
    assert len(read(tmp_path / 'out')) == 4
    assert not Manifest.read(str(tmp_path / 'out')).complete
    with pytest.raises(ValueError, match='not complete'):
        LoadPseudoLabels(str(tmp_path / 'out'), num_classes=NUM_CLASSES).manifest  # noqa: B018
    with open(written[0], 'r+b') as file:  # a damaged file is written anew
        file.truncate(60)

    segmented = []
    monkeypatch.setattr(pseudo_label_loop, 'write_label', write)
    monkeypatch.setattr(
        pseudo_label_loop,
        'segment_probabilities',
        lambda *args: segmented.append(1) or segment_probabilities(*args),
    )
    make_runner(tmp_path).test()
    assert len(segmented) == NUM_IMAGES - 3 + 1  # neither thresholds nor finished files again
    aside = f'{written[0]}.old-1'
    assert os.path.getsize(aside) == 60
    os.remove(aside)
    assert read(tmp_path / 'out') == read(tmp_path / 'whole')
    make_runner(tmp_path).test()
    assert len(segmented) == NUM_IMAGES - 3 + 1
    os.remove(written[0])
    make_runner(tmp_path).test()
    assert len(segmented) == NUM_IMAGES - 3 + 2
    assert read(tmp_path / 'out') == read(tmp_path / 'whole')


def test_killed_while_writing_leaves_no_part(tmp_path, monkeypatch):
    def die(*args):
        raise OSError('disk full')

    monkeypatch.setattr(os, 'replace', die)
    with pytest.raises(OSError, match='disk full'):
        pseudo_label_loop.write_label(str(tmp_path / 'a.png'), np.zeros((2, 2), np.uint8), [4])
    assert list(tmp_path.iterdir()) == []


def test_other_settings_need_another_folder(tmp_path):
    make_runner(tmp_path).test()
    before = read(tmp_path / 'out')
    with pytest.raises(ValueError, match=r'made with other settings \(rule\..*; write another'):
        make_runner(tmp_path, rule='cbst').test()
    other = make_runner(tmp_path)
    next(other.model.parameters()).data.add_(1)
    with pytest.raises(ValueError, match='made with other settings .checkpoint_sha256: '):
        other.test()
    assert read(tmp_path / 'out') == before
    make_runner(tmp_path, rule='cbst', overwrite=True).test()
    after = read(tmp_path / 'out')
    assert after.keys() == before.keys()
    assert after != before
    (tmp_path / 'out/manifest.json').unlink()
    before = read(tmp_path / 'out')
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=r'got one that has .*0\.png. and no manifest\.json'):
            make_runner(tmp_path, overwrite=overwrite).test()
    assert read(tmp_path / 'out') == before


def test_overwriting_spares_what_is_not_ours(tmp_path):
    make_runner(tmp_path).test()
    (tmp_path / 'out/0.png').write_bytes(b'edited')
    (tmp_path / 'out/notes.txt').write_text('mine')
    make_runner(tmp_path, rule='cbst', overwrite=True).test()
    assert read(tmp_path / 'out.old-1') == {'0.png': b'edited'}
    assert (tmp_path / 'out/notes.txt').read_text() == 'mine'
    manifest = Manifest.read(tmp_path / 'out')
    digests = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in read(tmp_path / 'out').items()
    }
    assert manifest.digests == {name: digests[name] for name in manifest.files}


@pytest.mark.parametrize('out', ['data/target/images', 'data/target/images/new', 'data', '.'])
def test_output_where_data_are_read(tmp_path, out):
    make_runner(tmp_path)
    before = read(tmp_path / 'data')
    with pytest.raises(
        ValueError, match=r'PseudoLabelLoop\.out_dir: expected a place apart from .*'
    ):
        make_runner(tmp_path, out, overwrite=True).test()
    assert read(tmp_path / 'data') == before


def test_checkpoint_digest_is_the_files(tmp_path):
    runner = make_runner(tmp_path)
    path = tmp_path / 'weights.pth'
    torch.save(runner.model.state_dict(), path)
    runner._load_from = str(path)
    runner.test()
    manifest = Manifest.read(str(tmp_path / 'out'))
    assert manifest.checkpoint_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(manifest.config_sha256) == 64


def test_soft_labels_cannot_be_upsampled_first(tmp_path):
    with pytest.raises(ValueError, match='PseudoLabelLoop.softmax_first: expected True with rule'):
        make_runner(tmp_path, rule='soft', softmax_first=False).test()


def test_bad_arguments(tmp_path):
    runner = make_runner(tmp_path)
    loader = runner.cfg.test_dataloader
    with pytest.raises(TypeError, match=r'PseudoLabelLoop\.out_dir: expected a path, but got None'):
        PseudoLabelLoop(runner, loader, None)
    (tmp_path / 'file').touch()
    with pytest.raises(ValueError, match=r'out_dir: expected a directory, but got .*file'):
        PseudoLabelLoop(runner, loader, str(tmp_path / 'file'))
    for changes, match in (
        (dict(test_mode=False), 'write test_mode=True'),
        (
            dict(img_suffix='.bmp'),
            "BaseSegDataset: expected files that end in '.bmp' in "
            "test_dataloader.dataset.data_prefix.img_path, but got '.*images' without any",
        ),
    ):
        dataset = {**loader.dataset, **changes}
        with pytest.raises(ValueError, match=match):
            PseudoLabelLoop(runner, {**loader, 'dataset': dataset}, str(tmp_path / 'out'))
    flipped = [
        loader.dataset.pipeline[0],
        dict(type='RandomFlip', prob=1.0),
        loader.dataset.pipeline[1],
    ]
    classes = dict(classes=('a', 'b'), palette=[[0, 0, 0]] * 2)
    for changes, match in (
        (dict(pipeline=flipped), 'without RandomFlip'),
        (dict(metainfo=classes), r'the 2 classes of .*, but got one that predicts 4'),
    ):
        dataset = {**loader.dataset, **changes}
        loop = PseudoLabelLoop(runner, {**loader, 'dataset': dataset}, str(tmp_path / 'out'))
        with pytest.raises(ValueError, match=match):
            loop.run()
    assert not (tmp_path / 'out').exists()


def soft(folder, name):
    return np.load(folder / name)


def test_soft_labels(tmp_path, monkeypatch):
    """Probabilities at the decode head's resolution; a second run finishes what the first left."""
    runner = make_runner(tmp_path, rule='soft')
    result = runner.test()
    manifest = Manifest.read(tmp_path / 'out')
    assert manifest.files == [f'{i}.npy' for i in range(NUM_IMAGES)]
    assert manifest.rule == dict(type='soft', softmax_first=True)
    assert manifest.complete
    assert result['coverage'] == [1.0 if count else None for count in manifest.predicted_pixels]
    assert sum(manifest.predicted_pixels) == NUM_IMAGES * 8 * 12
    for data in runner.test_loop.dataloader:
        images = runner.model.data_preprocessor(data, False)['inputs']
        with torch.no_grad():
            expected = runner.model._forward(images).softmax(1)[0]
        name = os.path.basename(data['data_samples'][0].img_path).replace('png', 'npy')
        found = soft(tmp_path / 'out', name)
        assert found.dtype == np.float16
        assert found.shape == (NUM_CLASSES, 8, 12)
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-3)
    before = read(tmp_path / 'out')
    (tmp_path / 'out' / '3.npy').unlink()
    (tmp_path / 'out' / '4.npy').write_bytes(before['4.npy'][:-10])  # cut off
    calls = []
    monkeypatch.setattr(
        pseudo_label_loop,
        'segment_probabilities',
        lambda *args: calls.append(args) or segment_probabilities(*args),
    )
    make_runner(tmp_path, rule='soft').test()
    assert len(calls) == 2
    after = read(tmp_path / 'out')
    assert {name: after[name] for name in before} == before
    assert after['4.npy.old-1'] == before['4.npy'][:-10]


def test_flip_is_the_mean_with_the_mirror_image(tmp_path):
    runner = make_runner(tmp_path, rule=dict(type='fixed', threshold=0.5), flip=True)
    runner.test()
    assert Manifest.read(tmp_path / 'out').rule['flip'] is True
    data = next(iter(runner.test_loop.dataloader))
    plain, _ = segment_probabilities(runner.model, data)
    data['inputs'] = [image.flip(2) for image in data['inputs']]
    mirrored, _ = segment_probabilities(runner.model, data)
    mean = (plain[0] + mirrored[0].flip(2)) / 2
    confidence, expected = mean.max(0)
    expected[confidence < 0.5] = 255
    name = os.path.basename(data['data_samples'][0].img_path)
    np.testing.assert_array_equal(label(tmp_path / 'out', name), expected.numpy())
    assert (plain[0].argmax(0) != mean.argmax(0)).any()


def _process(rank, root):
    torch.set_num_threads(1)
    meeting = f'file://{root}/meeting'
    torch.distributed.init_process_group('gloo', meeting, rank=rank, world_size=2)
    for rule in ('bdl', 'cbst', 'soft'):
        make_runner(root, f'two_{rule}', rule).test()
    make_runner(root, 'two_binned', budget=50, bins=4096).test()
    # The first process looks at the directory, and its error ends the others, too.
    with pytest.raises(
        (ValueError, RuntimeError)[rank], match='made with other settings .rule.type'
    ):
        make_runner(root, 'two_bdl', 'cbst').test()
    torch.distributed.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    for rule in ('bdl', 'cbst', 'soft'):
        make_runner(tmp_path, f'one_{rule}', rule).test()
    make_runner(tmp_path, 'one_binned', budget=50, bins=4096).test()
    torch.multiprocessing.start_processes(_process, (tmp_path,), nprocs=2, start_method='fork')
    for case in ('bdl', 'cbst', 'soft', 'binned'):
        one, two = read(tmp_path / f'one_{case}'), read(tmp_path / f'two_{case}')
        assert len(one) == NUM_IMAGES + 1
        assert one == two
