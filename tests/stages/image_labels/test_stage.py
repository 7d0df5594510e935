"""PIT as a pipeline: labels of whole images, then a training from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import toys
from mmseg.registry import MODELS

from mmseg_uda.artifacts.image_labels import ImageLabels
from mmseg_uda.pipeline import read_pipeline
from mmseg_uda.pipeline.state import State, read_recipe
from mmseg_uda.stages.image_labels import stage as image_labels_stage

run_toy = toys.load_script('tests/pipeline/run_toy.py')
LABELS = dict(
    name='labels',
    type='image_labels',
    config='pit.py',
    features='config',
    weights='net.pth',
    input_size=[24, 16],
    epochs=2,
    lr=0.1,
    workers=0,
)
LABEL_FILE = 'train_dataloader.target.dataset.pipeline.1.label_file'
TRAIN = dict(name='train', type='train', config='pit.py', options={LABEL_FILE: '{labels}'})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config that trains for two iterations; its own file of labels is not there."""
    folder = tmp_path / 'configs'
    folder.mkdir()
    cfg = toys.runner_cfg(
        tmp_path / 'data',
        folder,
        toys.method_cfg('pit'),
        max_iters=2,
        custom_imports=dict(imports=['toys', 'mmseg_uda']),
    )
    (tmp_path / 'data/target/image_labels.npz').unlink()
    for key in ('work_dir', 'experiment_name'):
        cfg.pop(key)
    text = '\n'.join(f'{key} = {value!r}' for key, value in cfg.to_dict().items())
    (folder / 'pit.py').write_text(text)
    torch.save(MODELS.build(toys.segmentor_cfg()['backbone']).state_dict(), tmp_path / 'net.pth')
    monkeypatch.chdir(tmp_path)
    return folder


def read(folder: Path, *stages: dict[str, Any]) -> Any:
    return read_pipeline(
        str(run_toy.write_pipeline(folder, list(stages))), work_dir=folder.parent / 'run'
    )


def without(stage: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in stage.items() if key not in keys}


def test_labels_then_training(folder: Path) -> None:
    read(folder, LABELS, TRAIN).run()
    run = folder.parent / 'run'
    labels = ImageLabels.read(str(run / 'labels/image_labels.npz'))
    assert labels.names == [f'{i}.png' for i in range(7)]
    assert labels.recipe['seed'] == 1  # the pipeline's
    assert (run / 'train/iter_2.pth').is_file()
    assert State(run).stages['labels'].metrics == labels.recipe['metrics']
    assert [step.action for step in read(folder, LABELS, TRAIN).plan()] == ['skip', 'skip']
    for key, value in dict(epochs=3, lr=0.2, batch_size=2, seed=4, input_size=[48, 32]).items():
        steps = read(folder, dict(LABELS, **{key: value}), TRAIN).plan()
        assert [step.action for step in steps] == ['replace', 'run'], key
        assert f'arguments.{key}' in steps[0].reason
    # How many processes read, and what training does with the images, does not matter.
    flips = {'train_dataloader.source.dataset.pipeline.2.prob': 0.1}
    assert read(folder, dict(LABELS, workers=1, options=flips)).plan()[0].action == 'skip'
    torch.save(MODELS.build(toys.segmentor_cfg()['backbone']).state_dict(), 'net.pth')
    assert 'inputs.weights' in read(folder, LABELS).plan()[0].reason


def test_features_of_an_earlier_stage(folder: Path) -> None:
    source = dict(name='source', type='train', config='pit.py', options={LABEL_FILE: '{given}'})
    given = dict(name='given', type='image_labels', config='pit.py', from_labels='share', workers=0)
    read(folder, given, source, dict(LABELS, weights='{source}', features='pit.py'), TRAIN).run()
    run = folder.parent / 'run'
    assert read_recipe(run / 'given')['arguments'] == dict(from_labels='share')
    assert list(read_recipe(run / 'given')['inputs']) == ['train_dataloader.target.dataset']
    assert ImageLabels.read(str(run / 'given/image_labels.npz')).kind == 'share'
    recipe = read_recipe(run / 'labels')
    assert recipe['arguments']['features'] == 'pit.py'
    assert recipe['config']['features']['backbone']['type'] == 'ToyBackbone'
    assert (run / 'train/iter_2.pth').is_file()


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (
            dict(epochs=0),
            r"'labels': type .*epochs: expected an integer of at least 1, but got 0",
        ),
        (dict(epoch=3), "stage 'labels': expected a key, but got epoch; write epochs"),
        (
            dict(from_labels='count'),
            r"from_labels got 'count'; write one of \('share', 'presence'\)",
        ),
        (
            dict(from_labels='share'),
            'from_labels is set, so nothing is predicted; leave out features, '
            'weights, input_size, epochs, lr',
        ),
        (dict(features='none.py'), "stage 'labels': features "),
        (dict(weights='{labels}'), 'expected a stage before this one, but got labels'),
    ],
)
def test_errors(folder: Path, change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        read(folder, dict(LABELS, **change))


def test_wrong_kind_of_stage(folder: Path) -> None:
    with pytest.raises(
        ValueError,
        match='label_file got {first}, which is a checkpoint; refer to '
        'a stage that makes a image_labels',
    ):
        read(
            folder, LABELS, dict(TRAIN, name='first'), dict(TRAIN, options={LABEL_FILE: '{first}'})
        )
    with pytest.raises(
        ValueError,
        match='weights got {labels}, which is a image_labels; refer to '
        'a stage that makes a checkpoint',
    ):
        read(folder, LABELS, dict(LABELS, name='again', weights='{labels}'))


def test_what_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_labels_stage, 'find_spec', lambda name: None)
    for stage in (without(LABELS, 'features', 'weights'), dict(LABELS, features='timm:resnet18')):
        pipeline = read(folder, stage)  # a config may be checked without it
        with pytest.raises(
            ValueError,
            match="features got 'timm:.*, which needs timm; run `pip "
            "install timm`, or write features='config'",
        ):
            pipeline.plan()
    pipeline = read(folder, dict(LABELS, weights='none.pth'))
    with pytest.raises(ValueError, match="weights: expected a file, but got 'none.pth'"):
        pipeline.plan()
    pipeline = read(folder, without(TRAIN, 'options'))
    with pytest.raises(ValueError, match=r"label_file: .*, but got '.*image_labels.npz'"):
        pipeline.plan()
