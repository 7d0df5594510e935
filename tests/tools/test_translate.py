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
    monkeypatch.setattr('mmseg_uda.utils.progress.PAUSE', 0.0)
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
    tool.main([*argv, *options])
    manifest = TranslationManifest.read(str(tmp_path / 'out'))
    assert manifest.complete
    assert [manifest.recipe[key] for key in ('beta', 'seed', 'max_images')] == [0.05, 2, 2]
    assert all((tmp_path / 'out' / name).is_file() for name in manifest.listed)
    assert len(manifest.listed) == 4
    assert 'images: 2 of 2' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tool.main([*argv, *options, '--nproc', '0'])
    assert '--nproc: expected an integer from 1 on, but got 0' in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match='image_suffix'):
        tool.main([*argv, *options, '--image-suffix', '_x.png'])
    with pytest.raises(ValueError, match=r'seed: 2 -> 3\); write another path$'):
        tool.main([*argv, *options, '--seed', '3'])
    tool.main([*argv, *options, '--seed', '3', '--overwrite'])
    with pytest.raises(SystemExit):
        tool.main(argv)
    assert '--beta' in capsys.readouterr().err
