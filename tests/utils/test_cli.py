"""What the command lines share."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest
from mmengine.config import Config

from mmseg_uda.config.problems import ConfigError, Problem
from mmseg_uda.utils.cli import config_parser, load_config, run_main


def load(path: Path, *options: str) -> Config:
    args = config_parser(None, launcher=True).parse_args(options)
    return load_config(Namespace(config=str(path), work_dir=None, **vars(args)))


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
    with pytest.raises(ValueError, match=f"{wrong}: nothing reads this name; write '{right}'"):
        read(tmp_path, f'{wrong} = dict()')


def test_own_names_are_allowed(tmp_path: Path) -> None:
    read(tmp_path, 'test_pipeline = []\ncrop_size = (1, 2)\nseed = 1')


def test_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'no config file .*no\.py'):
        load(tmp_path / 'no.py')


def test_row_and_cell(tmp_path: Path) -> None:
    (tmp_path / 'net.py').write_text('net = dict(width=1, depth=1)')
    table = tmp_path / 'ablations.py'
    table.write_text(
        "cells = {'a': 'net.py'}\nrows = {'wide': dict(options={'net.width': 2}, cells=['a'])}"
    )
    for options in (['--row', 'wide', '--cell', 'a'], ['--row', 'wide'], []):
        cfg = load(table, *options, '--cfg-options', 'net.depth=3')
        assert cfg.net == dict(width=2, depth=3)
        assert cfg.work_dir == 'work_dirs/net_wide'
    with pytest.raises(ValueError, match='expected a row, but got wid; write wide'):
        load(table, '--row', 'wid')


def test_mistakes_are_printed_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise ConfigError([Problem('a.b', 'is wrong'), Problem('c', 'is wrong, too')])

    with pytest.raises(SystemExit) as stopped:
        run_main(main)
    assert stopped.value.code == 2
    assert capsys.readouterr() == ('', 'a.b: is wrong\nc: is wrong, too\n')
    with pytest.raises(SystemExit) as stopped:
        run_main(lambda: 3)
    assert stopped.value.code == 3
