"""The command line of translated images."""

from __future__ import annotations

from pathlib import Path

import pytest
import toys

from mmseg_uda.artifacts.translated import TranslationManifest

tool = toys.load_script('tools/dataset_converters/translate.py')


def test_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, domain in enumerate(('source', 'target')):
        toys.write_domain(tmp_path, domain, 3, seed)
    argv = [
        'fda',
        str(tmp_path / 'source/images'),
        str(tmp_path / 'target/images'),
        str(tmp_path / 'out'),
    ]
    options = [
        '--beta',
        '.05',
        '--seed',
        '2',
        '--max-images',
        '2',
        '--labels',
        str(tmp_path / 'source/labels'),
        '--label-suffix',
        '.png',
    ]
    assert tool.main([*argv, *options]) == 0
    manifest = TranslationManifest.read(str(tmp_path / 'out'))
    assert manifest.complete
    assert [manifest.recipe[key] for key in ('beta', 'seed', 'max_images')] == [0.05, 2, 2]
    assert all((tmp_path / 'out' / name).is_file() for name in manifest.listed)
    assert len(manifest.listed) == 4
    assert 'ETA' in capsys.readouterr().err
    assert tool.main([*argv, *options, '--nproc', '0']) == 1
    assert 'nproc: expected an integer of at least 1, but got 0' in capsys.readouterr().err
    assert tool.main([*argv, *options, '--image-suffix', '_x.png']) == 1
    assert tool.main([*argv, *options, '--seed', '3']) == 1
    assert 'seed: 2 -> 3); write another path\n' in capsys.readouterr().err
    assert tool.main([*argv, *options, '--seed', '3', '--overwrite']) == 0
    with pytest.raises(SystemExit):
        tool.main(argv)
    assert '--beta' in capsys.readouterr().err
