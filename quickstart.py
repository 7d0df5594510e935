#!/usr/bin/env python3
"""Create a virtual environment, install the project into it, and demonstrate it.

    python3 quickstart.py           # data, training, evaluation, a table and a contact sheet
    python3 quickstart.py --test    # the tests; those marked `slow` with -m slow

Nothing but Python 3.10 to 3.13 with pip is needed. The environment is ``.venv`` beside this file
(or ``$MMSEG_UDA_VENV``); it is created once, and updated when the project's requirements change.
Further arguments go to ``tools/quickstart.py`` or to pytest, which runs one process per core, at
most four; ``-n 0`` runs the tests in its own.
"""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = Path(os.environ.get('MMSEG_UDA_VENV', ROOT / '.venv')).absolute()
PYTHON = VENV / ('Scripts/python.exe' if os.name == 'nt' else 'bin/python')
STAMP = VENV / 'mmseg_uda.digest'
PACKAGES = ['torch==2.13.0', '--editable', f'{ROOT}[onedl,quickstart,tests]']


def requirements_digest() -> str:
    """Digest the files and names that determine the installed packages."""
    files = [ROOT / 'setup.py', ROOT / 'pyproject.toml', *sorted((ROOT / 'requirements').glob('*'))]
    text = [*PACKAGES, *(path.read_text(encoding='utf-8') for path in files)]
    return hashlib.sha256('\n'.join(text).encode()).hexdigest()


def run(*command: object) -> None:
    """Run a command in the foreground, and exit with its code if it fails."""
    with subprocess.Popen([str(part) for part in command], cwd=ROOT) as process:
        handler = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        code = process.wait()
        signal.signal(signal.SIGTERM, handler)
    if code:
        sys.exit(code if code > 0 else 128 - code)  # below 0: a signal ended it


def has_pip(python: Path) -> bool:
    """Return False for an environment that an interrupted call left incomplete."""
    return python.exists() and subprocess.call([str(python), '-c', 'import pip']) == 0


def make_environment() -> None:
    """Create the environment unless it has the packages that the project needs now."""
    digest = requirements_digest()
    if PYTHON.exists() and STAMP.is_file() and STAMP.read_text() == digest:
        return
    print(f'quickstart: installing into {VENV} (once; a few minutes)', flush=True)
    STAMP.unlink(missing_ok=True)
    if not has_pip(PYTHON):
        clear = ['--clear'] if (VENV / 'pyvenv.cfg').exists() else []
        run(sys.executable, '-m', 'venv', *clear, VENV)
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
        command = ['-m', 'pytest', '-q', '--durations=10', *arguments]
    else:
        command = [str(ROOT / 'tools' / 'quickstart.py'), *arguments]
    run(PYTHON, *command)


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
