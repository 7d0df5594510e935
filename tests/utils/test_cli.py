"""What the command lines share."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

import pytest
from mmengine.config import Config

from mmseg_uda.utils.cli import add_config_options, load_config


def load(path: Path, *options: str) -> Config:
    parser = ArgumentParser()
    add_config_options(parser)
    args = parser.parse_args(options)
    return load_config(Namespace(config=str(path), launcher='none', work_dir=None, **vars(args)))


def read(folder: Path, text: str) -> None:
    path = folder / 'config.py'
    path.write_text(text)
    load(path)


@pytest.mark.parametrize(
    ('wrong', 'right'),
    [
        ('optim_wraper', 'optim_wrapper'),
        ('custom_hook', 'custom_hooks'),
        ('val_dataloder', 'val_dataloader'),
        ('train_dataloaders', 'train_dataloader'),
    ],
)
def test_misspelt_name_is_refused(tmp_path: Path, wrong: str, right: str) -> None:
    with pytest.raises(ValueError, match=f'sets `{wrong}`, which nothing reads; write `{right}`'):
        read(tmp_path, f'{wrong} = dict()')


def test_own_names_are_allowed(tmp_path: Path) -> None:
    read(tmp_path, 'test_pipeline = []\ncrop_size = (1, 2)\nseed = 1\nmodel = dict()')


def test_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'no config file .*no\.py'):
        load(tmp_path / 'no.py')


def test_row_and_cell(tmp_path: Path) -> None:
    (tmp_path / 'net.py').write_text('model = dict(width=1, depth=1)')
    table = tmp_path / 'ablations.py'
    table.write_text(
        "cells = {'a': 'net.py'}\nrows = {'wide': dict(options={'model.width': 2}, cells=['a'])}"
    )
    for options in (['--row', 'wide', '--cell', 'a'], ['--row', 'wide'], []):
        cfg = load(table, *options, '--cfg-options', 'model.depth=3')
        assert cfg.model == dict(width=2, depth=3)
        assert cfg.work_dir == 'work_dirs/net_wide'
    with pytest.raises(ValueError, match='expected a row, but got wid; write wide'):
        load(table, '--row', 'wid')
