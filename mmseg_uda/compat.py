"""The two toolbox families and the versions of them that this package works with.

``mmcv``, ``mmengine`` and ``mmseg`` are written by two families of distributions, so the versions
are asked of the distributions and not of the modules.
"""

from __future__ import annotations

import io
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module, metadata
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import Version

__all__ = [
    'FAMILIES',
    'NO_NEWS',
    'check_versions',
    'deferred_timm',
    'hidden_torchvision',
    'import_timm',
    'quiet_imports',
]

# Family -> import name -> (distribution, versions). The extras in requirements/*.txt say the same.
FAMILIES: dict[str, dict[str, tuple[str, str]]] = {
    'onedl': {
        'torch': ('torch', '>=2.6'),
        'mmcv': ('onedl-mmcv', '>=2.3.6,<3'),
        'mmengine': ('onedl-mmengine', '>=0.10.12,<1'),
        'mmseg': ('onedl-mmsegmentation', '>=1.4.2,<2'),
    },
    'openmmlab': {
        'torch': ('torch', '>=2.1'),
        'mmcv': ('mmcv', '>=2.1.0,<2.2'),  # mmsegmentation 1.2.2 refuses mmcv 2.2.0
        'mmengine': ('mmengine', '>=0.10.4,<1'),
        'mmseg': ('mmsegmentation', '==1.2.2'),
    },
}
# Declarations of operators last as long as what holds them.
_DECLARED: list[Any] = []
# Beginnings of the toolboxes' messages about which nobody can or should do anything.
NO_NEWS = (
    'Could not import OneDL',  # an optional package
    'Fail to import ``MultiScaleDeformableAttention``',  # with mmcv-lite
    '``MultiScaleDeformableAttention`` has been moved',
    'When align_corners=True, the output would more aligned',  # DeepLab-v2 at its usual sizes
    '"FileClient" will be deprecated',  # mmengine's own use of it
    '"HardDiskBackend" is the alias',
    'The prefix is not set in metric class',
    'The draw is False, it means',  # pictures are another hook's
    'Distributed training is not used, all SyncBatchNorm',
    'Setting MKL_NUM_THREADS environment variable',
    'Setting OMP_NUM_THREADS environment variable',
    'Grad strides do not match bucket view strides',  # of convolutions of one pixel
    '`broadcast_buffers` is deprecated',  # torch's new name, which older versions lack
    'Exp name: ',
    'paramwise_options -- ',  # a line for each parameter
    'Using env variable',
)
MMCV_FROM_SOURCE = (
    "pip install 'setuptools<80' wheel ninja ftfy regex && pip install --no-build-isolation"
)


def _installed_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _source_version(module: str) -> str | None:
    """Version of a toolbox that runs from its checkout and so has no distribution."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return None
    try:
        return str(import_module(module).__version__)
    except Exception as error:  # whatever the toolbox itself has against its surroundings
        return f'0+broken ({error})'


def _find_versions() -> dict[str, str]:
    """Versions of all toolbox distributions and of torch that are installed."""
    names = {name for family in FAMILIES.values() for name, _ in family.values()} | {'mmcv-lite'}
    found = {name: version for name in sorted(names) if (version := _installed_version(name))}
    for module, (name, _) in FAMILIES['openmmlab'].items():
        if not {name, FAMILIES['onedl'][module][0], f'{module}-lite'} & set(found):
            version = _source_version(module)
            if version is not None:
                found[name] = version
    return found


def _choose_family(found: dict[str, str]) -> str:
    """The family of which more is installed; of none, the one that needs no compiling."""

    def count(family: str) -> int:
        return sum(name in found for name, _ in FAMILIES[family].values())

    default = 'onedl' if sys.version_info >= (3, 10) else 'openmmlab'
    return max(FAMILIES, key=lambda family: (count(family), family == default))


def _is_right(version: str | None, wanted: str) -> bool:
    if version is None or ' ' in version:
        return False
    return SpecifierSet(wanted, prereleases=True).contains(Version(version))


def _has_files(module: str) -> bool:
    """False for what stays when a family is uninstalled that had overwritten another's files."""
    spec = find_spec(module)
    return spec is not None and spec.origin is not None


def _install_line(family: str, wrong: list[str], stale: list[str]) -> str:
    requirements = dict(FAMILIES[family].values())
    # The families share files, so what stays after one is uninstalled must be written again.
    names = [name for name in requirements if name in wrong or (stale and name != 'torch')]
    pip = MMCV_FROM_SOURCE if 'mmcv' in names else 'pip install'
    line = ' '.join([pip, *(f"'{name}{requirements[name]}'" for name in names)])
    if stale:
        uninstalled = sorted({*stale, *names} - {'torch'})
        line = f'pip uninstall -y {" ".join(uninstalled)} && {line}'
    return line


def check_versions() -> None:
    """Check that one whole toolbox family is installed, in versions that this package works with.

    Raises:
        ImportError: Something is missing, too old, too new, or of both families. The message names
            what was found and the line that installs the right one.
    """
    found = _find_versions()
    family = _choose_family(found)
    wanted = dict(FAMILIES[family].values())
    wrong = [name for name, versions in wanted.items() if not _is_right(found.get(name), versions)]
    foreign = [name for name in found if name not in wanted]
    empty = [
        name
        for module, (name, _) in FAMILIES[family].items()
        if name not in wrong and not _has_files(module)
    ]
    problems = [
        *(f'{name} {found.get(name, "missing")} (needs {name}{wanted[name]})' for name in wrong),
        *(
            f'{name} {found[name]} (writes the same modules as the {family} packages)'
            for name in foreign
        ),
        *(f'{name} {found[name]} without its files' for name in empty),
    ]
    if problems:
        raise ImportError(
            f'mmseg_uda found {", ".join(problems)}. '
            f'Run: {_install_line(family, wrong, foreign + empty)}'
        )


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Import toolboxes without their messages that are no news, and silence later warnings alike.

    What else they print is printed at the end.
    """
    for text in NO_NEWS:
        warnings.filterwarnings('ignore', re.escape(text))
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        lines = printed.getvalue().splitlines()
        sys.stdout.writelines(f'{line}\n' for line in lines if not line.startswith(NO_NEWS))


def import_timm() -> Any:
    """Import timm, which an extra of this package installs.

    A package index may pair torch for CPUs with a torchvision that is compiled for CUDA, whose
    operators are missing then. timm imports torchvision and calls none of them, so that they are
    declared, and a warning says what does not fit.

    Raises:
        ImportError: It is not installed, or it imports a torchvision that is broken otherwise.
    """
    declared: set[str] = set()
    while True:
        try:
            timm = import_module('timm')
            break
        except ImportError as error:
            raise ImportError(f'expected timm, but got {error}; run `pip install timm`') from error
        except RuntimeError as error:  # of torchvision, for the first operator that it lacks
            found = re.search(r'operator torchvision::(\w+) does not exist', str(error))
            if not found or found[1] in declared or not _declare_operator(found[1]):
                raise ImportError(_torchvision_misfit(str(error))) from error
            declared.add(found[1])
    if declared:
        warnings.warn(_torchvision_misfit('timm works without its operators'), stacklevel=2)
    return timm


def _declare_operator(name: str) -> bool:
    """Declare an operator of torchvision without an implementation; False if there is one."""
    from torch import library

    untyped: Any = library
    fragment = untyped.Library('torchvision', 'FRAGMENT')
    try:
        fragment.define(f'{name}(Tensor x) -> Tensor')
    except RuntimeError:
        return False
    _DECLARED.append(fragment)
    return True


def _torchvision_misfit(what: str) -> str:
    torch = _installed_version('torch') or ''
    build = torch.partition('+')[2]  # cpu, cu130, ...; none on PyPI
    index = f' --index-url https://download.pytorch.org/whl/{build}' if build else ''
    return (
        f'expected a torchvision that fits torch {torch}, because timm imports it, but got '
        f'torchvision {_installed_version("torchvision")} ({what}); run `pip install '
        f'--force-reinstall torch torchvision{index}`, which takes both from one index'
    )


@contextmanager
def hidden_torchvision() -> Iterator[None]:
    """Hide a torchvision that does not fit torch, as if it were not installed.

    mmengine imports it for its version, and stops at any other error than that it is missing.
    """
    try:
        import_module('torchvision')
    except RuntimeError:
        sys.modules['torchvision'] = None  # type: ignore[assignment] # imports say it is missing
        try:
            yield
        finally:
            del sys.modules['torchvision']
        return
    except ImportError:
        pass
    yield


@contextmanager
def deferred_timm() -> Iterator[None]:
    """Give what is imported inside the block a ``timm`` that is imported at its first use.

    mmseg imports timm with its backbones. That takes seconds, and fails where torchvision does not
    fit torch, for users of all other networks too.
    """
    # transformers, which mmengine imports where it is installed, looks for timm: for the real one.
    import_module('mmengine.optim')
    if 'timm' in sys.modules:
        yield
        return

    def attribute(name: str) -> Any:
        if name.startswith('__'):  # of the module itself; the import system asks for some
            raise AttributeError(name)
        return getattr(import_timm(), name)

    stand_in: Any = ModuleType('timm')
    stand_in.__getattr__ = attribute
    stand_in.__spec__ = find_spec('timm') or ModuleSpec('timm', None)
    sys.modules['timm'] = stand_in
    try:
        yield
    finally:
        del sys.modules['timm']
