#!/usr/bin/env python3
"""Create a virtual environment, install the project into it, and demonstrate it.

    python3 quickstart.py           # data, training, evaluation, a table and a contact sheet
    python3 quickstart.py --test    # the tests; those marked `slow` with -m slow

Nothing but Python 3.10 to 3.13 with pip is needed. The environment is ``.venv`` beside this file
(or ``$MMSEG_UDA_VENV``); it is created once, and updated when the project's requirements change.
One that you made is installed into; nothing of it is deleted. Further arguments go to
``tools/quickstart.py``, whose relative paths mean your directory, or to pytest, which runs in this
one and starts one process per core, at most four; ``-n 0`` runs the tests in its own.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = Path(os.environ.get('MMSEG_UDA_VENV', ROOT / '.venv')).absolute()
PYTHON = VENV / ('Scripts/python.exe' if os.name == 'nt' else 'bin/python')
STAMP = VENV / 'mmseg_uda.digest'
MARK = VENV / 'mmseg_uda.unfinished'  # while we create the environment: it is ours to delete
PACKAGES = ['torch==2.13.0', '--editable', f'{ROOT}[onedl,quickstart,tests]']


def requirements_digest() -> str:
    """Digest the files and names that determine the installed packages."""
    files = [ROOT / 'setup.py', ROOT / 'pyproject.toml', *sorted((ROOT / 'requirements').glob('*'))]
    text = [*PACKAGES, *(path.read_text(encoding='utf-8') for path in files)]
    return hashlib.sha256('\n'.join(text).encode()).hexdigest()


def run(*command: object, cwd: Path = ROOT) -> None:
    """Run a command in the foreground, and exit with its code if it fails."""
    with subprocess.Popen([str(part) for part in command], cwd=cwd) as process:
        handler = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        code = process.wait()
        signal.signal(signal.SIGTERM, handler)
    if code:
        sys.exit(code if code > 0 else 128 - code)  # below 0: a signal ended it


def has_module(name: str) -> bool:
    """Tell whether the environment's Python can import a module."""
    return PYTHON.exists() and subprocess.call([str(PYTHON), '-c', f'import {name}'], cwd=ROOT) == 0


def create_environment() -> None:
    """Create the environment, in place of one that an interrupted call left half-made.

    Without our mark an environment is the user's, and nothing of it is deleted: if it lacks pip, it
    gets one or is refused.
    """
    is_free = not os.path.lexists(VENV) or (VENV.is_dir() and not any(VENV.iterdir()))
    if MARK.is_file():
        for path in VENV.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != MARK:  # which stays until the new one is whole
                path.unlink()
    elif has_module('pip'):
        return
    elif has_module('ensurepip'):
        run(PYTHON, '-m', 'ensurepip')
        return
    elif not is_free:
        sys.exit(
            'quickstart: expected a virtual environment with Python and pip, or none yet, but got '
            f'{VENV}; move it away, or write another path into MMSEG_UDA_VENV'
        )
    VENV.mkdir(parents=True, exist_ok=True)
    MARK.touch()
    run(sys.executable, '-m', 'venv', VENV)
    MARK.unlink()


def make_environment() -> None:
    """Create the environment unless it has the packages that the project needs now."""
    digest = requirements_digest()
    if PYTHON.exists() and STAMP.is_file() and STAMP.read_text() == digest:
        return
    print(f'quickstart: installing into {VENV} (once; a few minutes)', flush=True)
    create_environment()
    STAMP.unlink(missing_ok=True)
    run(PYTHON, '-m', 'pip', 'install', '--disable-pip-version-check', *PACKAGES)
    partial = STAMP.with_suffix('.tmp')
    partial.write_text(digest)
    os.replace(partial, STAMP)


def main() -> None:
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        sys.exit(
            f'quickstart: got Python {sys.version.split()[0]}; run this file with Python '
            '3.10, 3.11, 3.12 or 3.13, for example: python3.11 quickstart.py'
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        sys.exit(
            f'quickstart: this Python has no {error.name}; install it first, on Debian and '
            f'Ubuntu: apt-get install python3.{sys.version_info.minor}-venv'
        )
    make_environment()
    arguments = sys.argv[1:]
    if '--test' in arguments:
        arguments.remove('--test')
        if not any(each.startswith(('-n', '--numprocesses')) for each in arguments):
            arguments = [f'-n{min(os.cpu_count() or 1, 4)}', '--dist=loadfile', *arguments]
        run(PYTHON, '-m', 'pytest', '-q', '--durations=10', *arguments)
    else:
        run(PYTHON, ROOT / 'tools' / 'quickstart.py', *arguments, cwd=Path.cwd())


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
