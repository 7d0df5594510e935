"""``quickstart.py``, the project's first and second command, without installing anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import toys

PATH = Path(__file__).resolve().parents[1] / 'quickstart.py'


@pytest.fixture
def quickstart(tmp_path, monkeypatch):
    """The script as a module, with an environment to be made and commands only noted down."""
    module = toys.load_script(PATH)
    module.VENV = tmp_path / 'venv'
    module.PYTHON = module.VENV / 'bin' / 'python'
    module.STAMP = module.VENV / 'digest'
    module.MARK = module.VENV / 'unfinished'
    module.commands = []
    module.directories = []

    def note(*command: object, cwd: Path = module.ROOT) -> None:
        module.commands.append([str(part) for part in command])
        module.directories.append(cwd)
        if 'venv' in module.commands[-1]:
            module.PYTHON.parent.mkdir(parents=True, exist_ok=True)
            module.PYTHON.symlink_to(sys.executable)

    monkeypatch.setattr(module, 'run', note)
    monkeypatch.setattr(sys, 'version_info', sys.version_info)
    monkeypatch.setattr(sys, 'argv', ['quickstart.py'])
    return module


def test_installs_once(quickstart):
    quickstart.main()
    venv, pip, demo = quickstart.commands
    assert venv[1:] == ['-m', 'venv', str(quickstart.VENV)]
    assert 'torch==2.13.0' in pip
    assert pip[-1].endswith('[onedl,quickstart,tests]')
    assert demo == [str(quickstart.PYTHON), str(PATH.parent / 'tools' / 'quickstart.py')]
    quickstart.main()
    assert quickstart.commands[3:] == [demo]


def test_installs_again_for_new_requirements(quickstart, monkeypatch):
    quickstart.main()
    monkeypatch.setattr(quickstart, 'PACKAGES', ['torch==99'])
    quickstart.main()
    assert 'torch==99' in quickstart.commands[-2]
    assert len(quickstart.commands) == 5, 'the environment itself is kept'


def test_interrupted_installation_is_taken_up(quickstart, monkeypatch):
    def interrupted(*command: object, **options: object) -> None:
        if 'install' in command:
            raise KeyboardInterrupt
        note(*command, **options)

    note = quickstart.run
    monkeypatch.setattr(quickstart, 'run', interrupted)
    with pytest.raises(KeyboardInterrupt):
        quickstart.main()
    assert not quickstart.STAMP.exists()
    monkeypatch.setattr(quickstart, 'run', note)
    quickstart.main()
    assert quickstart.STAMP.exists()


def make_without_pip(module) -> Path:
    """Make what ``uv venv`` makes, with a file of the user's."""
    subprocess.check_call([sys.executable, '-m', 'venv', '--without-pip', module.VENV])
    notes = module.VENV / 'notes.txt'
    notes.write_text('mine')
    return notes


def test_an_environment_of_the_user_gets_pip_and_loses_nothing(quickstart, monkeypatch):
    notes = make_without_pip(quickstart)
    quickstart.main()
    assert quickstart.commands[0] == [str(quickstart.PYTHON), '-m', 'ensurepip']
    assert 'install' in quickstart.commands[1]
    assert notes.read_text() == 'mine'


@pytest.mark.parametrize('kind', ['no Python', 'no ensurepip', 'file', 'link to nothing'])
def test_what_is_no_environment_is_refused_and_stays(quickstart, monkeypatch, kind):
    if kind == 'no ensurepip':
        make_without_pip(quickstart)
        monkeypatch.setattr(quickstart, 'has_module', lambda name: False)
    elif kind == 'no Python':  # such as the one of a Python that was removed since
        quickstart.VENV.mkdir()
        (quickstart.VENV / 'pyvenv.cfg').touch()
    elif kind == 'file':
        quickstart.VENV.touch()
    else:
        quickstart.VENV.symlink_to('nowhere')
    before = os.listdir(quickstart.VENV) if quickstart.VENV.is_dir() else kind
    with pytest.raises(SystemExit, match='with Python and pip, .* got .*venv; move it away, or'):
        quickstart.main()
    assert not quickstart.commands
    assert (os.listdir(quickstart.VENV) if quickstart.VENV.is_dir() else kind) == before


def test_half_made_environment_is_made_again(quickstart, monkeypatch):
    def interrupted(*command: object, **options: object) -> None:
        raise KeyboardInterrupt

    note = quickstart.run
    monkeypatch.setattr(quickstart, 'run', interrupted)
    with pytest.raises(KeyboardInterrupt):
        quickstart.main()
    (quickstart.VENV / 'lib').mkdir()
    (quickstart.VENV / 'lib/half').touch()
    (quickstart.VENV / 'lib64').symlink_to('lib')
    (quickstart.VENV / 'pyvenv.cfg').touch()
    monkeypatch.setattr(quickstart, 'run', note)
    quickstart.main()
    assert 'venv' in quickstart.commands[0]
    assert sorted(os.listdir(quickstart.VENV)) == ['bin', 'digest']


def test_relative_paths_are_of_the_users_directory(quickstart, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['quickstart.py', '--work-dir', 'out'])
    quickstart.main()
    # The first two would take a file pip.py there for the package.
    assert quickstart.directories == [PATH.parent, PATH.parent, tmp_path]
    assert quickstart.commands[-1][-2:] == ['--work-dir', 'out']


@pytest.mark.parametrize(
    ('cores', 'given', 'passed'),
    [
        (2, ['-k', 'name'], ['-n2', '--dist=loadfile', '-k', 'name']),
        (48, [], ['-n4', '--dist=loadfile']),
        (None, [], ['-n1', '--dist=loadfile']),
        (2, ['-n', '0'], ['-n', '0']),
        (2, ['-n8'], ['-n8']),
        (2, ['--numprocesses=8'], ['--numprocesses=8']),
    ],
)
def test_second_command_is_pytest(quickstart, monkeypatch, cores, given, passed):
    monkeypatch.setattr(quickstart.os, 'cpu_count', lambda: cores)
    monkeypatch.setattr(sys, 'argv', ['quickstart.py', '--test', *given])
    quickstart.main()
    python = str(quickstart.PYTHON)
    assert quickstart.commands[-1] == [python, '-m', 'pytest', '-q', '--durations=10', *passed]
    assert 'quickstart.py --test' in (PATH.parent / '.ci' / 'run').read_text()


@pytest.mark.parametrize('version', [(3, 9, 18), (3, 14, 0)])
def test_python_version(quickstart, monkeypatch, version):
    monkeypatch.setattr(sys, 'version_info', version)
    with pytest.raises(SystemExit, match='run this file with Python 3.10, 3.11, 3.12 or 3.13'):
        quickstart.main()
    assert not quickstart.commands


def test_python_without_ensurepip(quickstart, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ensurepip', None)
    with pytest.raises(SystemExit, match=r'apt-get install python3\.\d+-venv'):
        quickstart.main()


def test_exit_code_is_passed_on(tmp_path):
    module = toys.load_script(PATH)
    with pytest.raises(SystemExit) as caught:
        module.run(sys.executable, '-c', 'raise SystemExit(7)')
    assert caught.value.code == 7
    module.run(sys.executable, '-c', 'open("here", "w")', cwd=tmp_path)
    assert (tmp_path / 'here').exists()
