"""The stage that translates images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toys

from mmseg_uda.pipeline import read_pipeline

DECAY = dict(type='LinearLR', start_factor=1.0, end_factor=0.5, begin=1, end=2, by_epoch=False)


def write(folder: Path, **changes: Any) -> Path:
    """A pipeline that trains a CycleGAN and translates."""
    cfg = toys.runner_cfg(folder / 'data', folder / 'work', toys.method_cfg('cyclegan'), 2)
    for key in ('work_dir', 'experiment_name'):
        cfg.pop(key)
    cfg.dump(folder / 'cyclegan.py')
    translate = dict(
        name='translate',
        type='translate',
        method='cyclegan',
        config='cyclegan.py',
        checkpoint='{cyclegan}',
        source=str(folder / 'data/source/images'),
        labels=str(folder / 'data/source/labels'),
        label_suffix='.png',
        scale=(20, 12),
    )
    stages = [
        dict(name='cyclegan', type='train', config='cyclegan.py'),
        {key: value for key, value in {**translate, **changes}.items() if value is not None},
    ]
    path = folder / 'pipeline.py'
    path.write_text(f'seed = 0\nstages = {stages!r}\n')
    return path


def test_trains_and_translates(tmp_path: Path) -> None:
    pipeline = read_pipeline(write(tmp_path), work_dir=tmp_path / 'run')
    pipeline.run()
    out = tmp_path / 'run/translate/translated'
    assert len(list((out / 'images').glob('*.png'))) == 5
    assert (out / 'labels/0.png').read_bytes() == (
        tmp_path / 'data/source/labels/0.png'
    ).read_bytes()
    assert [step.action for step in pipeline.plan()] == ['skip', 'skip']
    options = {'stages.translate.scale': (24, 12), 'stages.translate.nproc': 1}
    steps = read_pipeline(tmp_path / 'pipeline.py', options, tmp_path / 'run').plan()
    assert [step.action for step in steps] == ['skip', 'replace']
    assert 'scale.0: 20 -> 24' in steps[1].reason


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (dict(method='cycle'), "stage 'translate': expected a method, but got cycle; write cycleg"),
        (dict(space='lab'), "space: CycleGANTranslator has no argument 'space'"),
        (dict(checkpoint=None), "CycleGANTranslator needs the argument 'checkpoint'; write it"),
        (dict(target='x'), "stage 'translate': target is of no use; remove it"),
        (dict(tile=3), 'CycleGANTranslator.tile: expected at least 16 pixels'),
        (dict(config='gone.py'), 'no config file .*gone.py'),
        (
            dict(method='fda', config=None, checkpoint=None, scale=None, beta=0.1),
            "stage 'translate': target is missing",
        ),
        (
            dict(method='fda', config=None, checkpoint=None, scale=None, target='x'),
            "FDATranslator needs the argument 'beta'",
        ),
        (dict(pool=1), 'expected a key, but got pool'),
    ],
)
def test_wrong_arguments(changes: dict[str, Any], match: str, tmp_path: Path) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(ValueError, match=match):
        read_pipeline(path)
