"""Where a result comes from: the commit, and whether the code differs from it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from mmseg_uda import __version__
from mmseg_uda.benchmark.results import code_version


def test_own_pages_are_no_change_of_the_code(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ['-c', 'user.name=A', '-c', 'user.email=a@b.c']
        command = ['git', '-C', str(tmp_path), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert code_version(tmp_path) == {'version': __version__}
    package, page = tmp_path / 'package', tmp_path / 'docs/page.md'
    for path in (package / 'code.py', page):
        path.parent.mkdir()
        path.write_text('1')
    git('init', '-q')
    git('add', '.')
    git('commit', '-qm', 'All')
    commit = git('rev-parse', '--short=12', 'HEAD')
    page.write_text('2')
    (tmp_path / 'docs/new.json').write_text('{}')
    assert code_version(package) == {'version': __version__, 'commit': commit}
    (package / 'code.py').write_text('2')
    assert code_version(package)['commit'] == f'{commit}+'
