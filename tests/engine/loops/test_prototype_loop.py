"""The loop that averages features of each class, and its stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import toys
from mmengine.config import Config
from mmengine.runner import Runner
from torch.testing import assert_close

from mmseg_uda.artifacts.prototypes import PrototypeFile
from mmseg_uda.models.layers import class_means, running_mean
from mmseg_uda.stages.context import PipelineContext
from mmseg_uda.stages.prototypes import PrototypeStage, make_prototype_config

NUM_IMAGES = 7


def config(root: Path, method: str = 'proda') -> Config:
    cfg = toys.runner_cfg(root / 'data', root / 'work', toys.method_cfg(method))
    cfg.train_dataloader.target.dataset.test_mode = True
    return cfg


def checkpoint(root: Path) -> str:
    """A warm-up's: a method without prototypes."""
    path = root / 'warmup.pth'
    torch.save(dict(state_dict=toys.shaken('adversarial').state_dict()), path)
    return str(path)


def run(root: Path, out: str = 'prototypes.npz', **arguments: Any) -> Runner:
    cfg = make_prototype_config(config(root), checkpoint(root), str(root / out), arguments)
    runner = Runner.from_cfg(cfg)
    runner.test()
    return runner


@pytest.mark.parametrize('arguments', [{}, dict(epochs=2, max_count=3)])
def test_prototypes_are_running_means(tmp_path: Path, arguments: dict[str, int]) -> None:
    runner = run(tmp_path, **arguments)
    model, student = runner.model, toys.shaken('adversarial').student.eval()
    assert model.student.state_dict()['backbone.stem.weight'].equal(
        student.state_dict()['backbone.stem.weight']
    )
    means = []
    for data in runner.test_loop.dataloader:
        images = model.data_preprocessor(data, False)['inputs']
        with torch.no_grad():
            (features,) = student.backbone(images)
            label = student._forward(images).argmax(1)
        mean, found = class_means(features, label, toys.NUM_CLASSES, 2)
        means.append((mean[0], found[0]))
    values, counts = running_mean(means, **{'epochs': 4, 'max_count': 3000, **arguments})
    written = PrototypeFile.read(tmp_path / 'prototypes.npz')
    assert len(means) == NUM_IMAGES
    assert counts.any()
    assert written.counts.tolist() == counts.tolist()
    assert_close(torch.from_numpy(written.values), values)
    assert written.recipe['epochs'] == arguments.get('epochs', 4)


def test_training_starts_from_them(tmp_path: Path) -> None:
    run(tmp_path)
    written = PrototypeFile.read(tmp_path / 'prototypes.npz')
    model = toys.build('source_only')  # seeds
    path = str(tmp_path / 'prototypes.npz')
    cfg = toys.runner_cfg(
        tmp_path / 'data',
        tmp_path / 'train',
        toys.method_cfg('proda', prototypes=path),
        max_iters=1,
        load_from=checkpoint(tmp_path),
    )
    runner = toys.train(cfg)
    model = runner.model
    assert (model.prototypes.counts >= torch.from_numpy(written.counts)).all()
    known = torch.from_numpy(written.counts > 0)
    moved = model.prototypes.values[known] - torch.from_numpy(written.values)[known]
    start = torch.from_numpy(written.values)[known]
    assert moved.abs().max() < 0.5 * start.abs().max()  # two images at a weight of 0.1


def _process(rank: int, root: Path) -> None:
    torch.set_num_threads(1)
    meeting = f'file://{root}/meeting'
    torch.distributed.init_process_group('gloo', meeting, rank=rank, world_size=2)
    run(root, 'two.npz')
    torch.distributed.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    run(tmp_path, 'one.npz')
    torch.multiprocessing.start_processes(_process, (tmp_path,), nprocs=2, start_method='fork')
    one, two = (PrototypeFile.read(tmp_path / f'{name}.npz') for name in ('one', 'two'))
    assert one.digest == two.digest


def test_stage(tmp_path: Path) -> None:
    (tmp_path / 'stage1.py').write_text(
        '\n'.join(f'{key} = {value!r}' for key, value in config(tmp_path).to_dict().items())
    )
    context = PipelineContext('p', tmp_path, tmp_path / 'out', seed=0)
    arguments = dict(config='stage1.py', checkpoint=checkpoint(tmp_path), epochs=2)
    stage = PrototypeStage('prototypes', arguments, context)
    stage.check({})
    assert not list(stage.missing())
    assert stage.settings() == dict(checkpoint=arguments['checkpoint'], epochs=2, max_count=3000)
    result = stage.run(lambda reference: reference, 'experiment')
    assert result.outputs['output'].is_file()
    assert 1 <= result.metrics['classes with a prototype'] <= toys.NUM_CLASSES
    # The file that a training reads is not what decides this stage's result.
    other = dict(arguments, options={'model.prototypes': 'elsewhere.npz'})
    assert PrototypeStage('prototypes', other, context).recipe() == stage.recipe()


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (dict(epochs=0), 'PrototypeLoop.epochs: expected an integer of at least 1, but got 0'),
        (
            dict(max_count=0),
            'PrototypeLoop.max_count: expected an integer of at least 1, but got 0',
        ),
    ],
)
def test_errors(tmp_path: Path, changes: dict[str, int], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        run(tmp_path, **changes)


def test_other_methods_have_none(tmp_path: Path) -> None:
    cfg = config(tmp_path, 'source_only')
    cfg = make_prototype_config(cfg, checkpoint(tmp_path), str(tmp_path / 'p.npz'), {})
    with pytest.raises(TypeError, match='PrototypeLoop: expected a method with prototypes, but'):
        Runner.from_cfg(cfg).test()
