"""What the command lines share."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from mmseg_uda.utils.cli import load_config


def read(folder: Path, text: str) -> None:
    path = folder / 'config.py'
    path.write_text(text)
    load_config(Namespace(config=str(path), launcher='none', cfg_options=None, work_dir=None))


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
    options = Namespace(config=str(tmp_path / 'no.py'), launcher='none', cfg_options=None)
    with pytest.raises(FileNotFoundError, match=r'no config file .*no\.py'):
        load_config(options)
