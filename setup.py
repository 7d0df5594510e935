"""Installation; configs and tools go into the package, ``mmseg_uda/.mim``, where mim finds them."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# The address of the repository is that of whoever builds: CI takes it from its own environment.
REPOSITORY = os.environ.get('MMSEG_UDA_REPOSITORY', '')
PROJECT_PATHS = {
    'Documentation': 'tree/main/docs',
    'Source': 'tree/main',
    'Issues': 'issues',
    'Changelog': 'blob/main/CHANGELOG.md',
}
MIM_ENTRIES = ('configs', 'tools', 'model-index.yml')


def read_requirements(name: str) -> list[str]:
    """Requirement lines of ``requirements/<name>.txt``, comments left out."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith('#')]


def read_version() -> str:
    """The version, without importing the package (its imports may not be installed yet)."""
    text = (ROOT / 'mmseg_uda' / 'version.py').read_text(encoding='utf-8')
    found = re.search(r"__version__ = '([^']+)'", text)
    if found is None:
        raise ValueError("mmseg_uda/version.py has no line __version__ = '...'")
    return found.group(1)


def project_urls(repository: str) -> dict[str, str]:
    """Pages of the repository at an address by name; none without an address."""
    paths = PROJECT_PATHS.items() if repository else ()
    return {name: f'{repository}/{path}' for name, path in paths}


def copy_mim_entries(package_dir: Path) -> list[Path]:
    """Copy :data:`MIM_ENTRIES` into ``package_dir/.mim`` and return the copied files."""
    mim_dir = package_dir / '.mim'
    shutil.rmtree(mim_dir, ignore_errors=True)
    mim_dir.mkdir(parents=True)
    for entry in MIM_ENTRIES:
        if (ROOT / entry).is_dir():
            shutil.copytree(
                ROOT / entry, mim_dir / entry, ignore=shutil.ignore_patterns('__pycache__', '*.pyc')
            )
        else:
            shutil.copyfile(ROOT / entry, mim_dir / entry)
    return [path for path in sorted(mim_dir.rglob('*')) if path.is_file()]


def link_mim_entries(package_dir: Path) -> None:
    """Link :data:`MIM_ENTRIES` into ``package_dir/.mim``: an edited config is seen at once."""
    mim_dir = package_dir / '.mim'
    mim_dir.mkdir(exist_ok=True)
    for entry in MIM_ENTRIES:
        link = mim_dir / entry
        if link.is_symlink():
            link.unlink()
        if not link.exists():
            link.symlink_to(os.path.relpath(ROOT / entry, mim_dir))


class BuildWithMim(build_py):
    """Also puts configs and tools where the package is built: copies, or links when editable."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            link_mim_entries(ROOT / 'mmseg_uda')
        else:
            self.mim_files = copy_mim_entries(Path(self.build_lib) / 'mmseg_uda')

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        outputs: list[str] = super().get_outputs(include_bytecode)
        return outputs + [str(path) for path in getattr(self, 'mim_files', [])]


if __name__ == '__main__':
    tests = read_requirements('tests')
    setup(
        name='mmseg_uda',
        version=read_version(),
        description='Unsupervised domain adaptation of semantic segmentation, a plugin for '
        'MMSegmentation',
        long_description=(ROOT / 'README.md').read_text(encoding='utf-8')
        if (ROOT / 'README.md').is_file()
        else '',
        long_description_content_type='text/markdown',
        author='the mmseg_uda contributors',
        url=REPOSITORY,
        project_urls=project_urls(REPOSITORY),
        license='Apache-2.0',
        keywords='semantic segmentation, domain adaptation, computer vision',
        classifiers=[
            'Development Status :: 4 - Beta',
            'Intended Audience :: Science/Research',
            'Operating System :: OS Independent',
            *(f'Programming Language :: Python :: 3.{minor}' for minor in range(10, 14)),
            'Topic :: Scientific/Engineering :: Image Recognition',
        ],
        packages=find_packages(include=['mmseg_uda', 'mmseg_uda.*']),
        package_data={'mmseg_uda': ['py.typed']},
        python_requires='>=3.10,<3.14',
        install_requires=read_requirements('runtime'),
        # The two families write the same modules: neither is required, and they exclude each other.
        extras_require={
            'onedl': read_requirements('onedl'),
            'openmmlab': read_requirements('openmmlab'),
            'image_labels': read_requirements('timm'),  # old name
            'onnx': read_requirements('onnx'),
            'quickstart': read_requirements('quickstart'),
            'timm': read_requirements('timm'),
            'tests': tests,
            'docs': read_requirements('docs'),
            'dev': tests + read_requirements('docs') + read_requirements('dev'),
        },
        cmdclass={'build_py': BuildWithMim},
        zip_safe=False,
    )
