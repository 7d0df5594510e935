"""``quickstart.py``, the project's first and second command, without installing anything."""

from __future__ import annotations

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
    module.commands = []

    def note(*command: object) -> None:
        module.commands.append([str(part) for part in command])
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
    def interrupted(*command: object) -> None:
        if 'install' in command:
            raise KeyboardInterrupt
        note(*command)

    note = quickstart.run
    monkeypatch.setattr(quickstart, 'run', interrupted)
    with pytest.raises(KeyboardInterrupt):
        quickstart.main()
    assert not quickstart.STAMP.exists()
    monkeypatch.setattr(quickstart, 'run', note)
    quickstart.main()
    assert quickstart.STAMP.exists()


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
