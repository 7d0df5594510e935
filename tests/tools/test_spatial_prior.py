"""The command line of the spatial prior."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys
from mmengine.config import Config

from mmseg_uda.artifacts.spatial_prior import SpatialPrior

tool = toys.load_script('tools/spatial_prior.py')


@pytest.fixture
def config(tmp_path: Path) -> str:
    for seed, domain in enumerate(('source', 'target')):
        toys.write_domain(tmp_path / 'data', domain, 3, seed)
    source = toys.dataset_cfg(tmp_path / 'data', 'source')
    target = toys.dataset_cfg(tmp_path / 'data', 'target')
    target['pipeline'].insert(1, dict(type='TrackPositions', height=16, width=24))
    path = tmp_path / 'camix.py'
    Config(
        dict(train_dataloader=dict(source=dict(dataset=source), target=dict(dataset=target)))
    ).dump(path)
    return str(path)


def test_command_line(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('mmseg_uda.utils.progress.PAUSE', 0.0)
    out = tmp_path / 'prior.npz'
    argv = [config, str(out), '--workers', '0']
    tool.main(argv)
    prior = SpatialPrior.read(out)
    assert prior.values.shape == (4, 16, 24)  # as TrackPositions says
    assert prior.recipe['kernel'] == 1
    said = capsys.readouterr()
    assert f'3 label maps, 4 classes, 16 x 24, SHA-256 {prior.digest}' in said.out
    assert 'never seen' not in said.out
    assert 'labels: 3 of 3' in said.err

    options = [
        '--size',
        '8',
        '12',
        '--kernel',
        '5',
        '--sigma',
        '.7',
        '--border',
        'reflect',
        '--norm',
        'pixel',
    ]
    with pytest.raises(ValueError, match='exists; write another name'):
        tool.main([*argv, *options])
    tool.main([*argv, *options, '--overwrite'])
    prior = SpatialPrior.read(out)
    assert prior.values.shape == (4, 8, 12)
    assert [prior.recipe[key] for key in ('kernel', 'sigma', 'border', 'norm')] == [
        5,
        0.7,
        'reflect',
        'pixel',
    ]
    np.testing.assert_allclose(prior.values.sum(0), 1, rtol=1e-6)

    older = SpatialPrior.read(out.with_name('prior.npz.old-1'))
    assert older.values.shape == (4, 16, 24)
    argv[1] = str(tmp_path / 'data/source/labels/prior.npz')
    with pytest.raises(ValueError, match='out: expected a place apart from train_dataloader.so'):
        tool.main(argv)
    argv[1] = str(out)
    before = out.read_bytes()

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tool, 'make_spatial_prior', interrupt)
    with pytest.raises(KeyboardInterrupt):
        tool.main([*argv, '--overwrite'])
    assert out.read_bytes() == before


def test_classes_that_are_never_seen(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = str([*toys.METAINFO['classes'], 'train']).replace(' ', '')
    palette = '[[0,0,0],[1,1,1],[2,2,2],[3,3,3],[4,4,4]]'
    options = [
        f'train_dataloader.{domain}.dataset.metainfo.{key}={value}'
        for domain in ('source', 'target')
        for key, value in (('classes', classes), ('palette', palette))
    ]
    tool.main([config, str(tmp_path / 'a.npz'), '--workers', '0', '--cfg-options', *options])
    assert 'never seen, so never chosen: train' in capsys.readouterr().out


def test_wrong_command_lines(config: str, tmp_path: Path) -> None:
    for arguments, message in (
        ([config, str(tmp_path / 'prior.npy')], 'out: expected a name that ends in .npz'),
        (
            [config, str(tmp_path / 'a.npz'), '--kernel', '4'],
            'kernel: expected an odd number',
        ),
        ([str(tmp_path / 'none.py'), str(tmp_path / 'a.npz')], 'no config file'),
        (
            [
                config,
                str(tmp_path / 'a.npz'),
                '--cfg-options',
                'train_dataloader.source.dataset.data_root=nowhere',
            ],
            'expected a directory in train_dataloader.source.dataset.data_prefix.img_path',
        ),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            tool.main(arguments)
    assert not (tmp_path / 'a.npz').exists()
    with pytest.raises(SystemExit):
        tool.parse_args([config])
