"""Recipes: the settings and inputs that made an artifact, compared before it is used again.

A recipe is a nested dict of JSON values. Each artifact keeps one beside its content; an artifact
whose recipe differs from the wanted one is refused, not mixed with new content.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from mmseg_uda.artifacts.digest import digest_path
from mmseg_uda.artifacts.files import (
    MANIFEST_NAME,
    PathLike,
    explain_read_errors,
    safe_join,
    write_json,
)
from mmseg_uda.artifacts.outputs import clear_outputs
from mmseg_uda.version import __version__

__all__ = [
    'JsonManifest',
    'check_content',
    'check_version',
    'describe_differences',
    'differences',
    'raise_differences',
]

T = TypeVar('T', bound='JsonManifest')


def differences(old: Any, new: Any, path: str = '') -> list[str]:
    """Compare two nested values.

    Returns:
        One line ``path: old -> new`` per difference; a missing key counts as None. Of two dicts
        with another ``type`` only the types are compared.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        # Arguments of another class say nothing beyond the change of the class.
        if old.get('type') != new.get('type'):
            old, new = {'type': old.get('type')}, {'type': new.get('type')}
        pairs = [(str(key), old.get(key), new.get(key)) for key in sorted({*old, *new})]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(str(index), *pair) for index, pair in enumerate(zip(old, new))]
    else:
        return [] if old == new else [f'{path}: {_shorten(old)} -> {_shorten(new)}']
    return [
        line
        for key, one, other in pairs
        for line in differences(one, other, f'{path}.{key}' if path else key)
    ]


def describe_differences(old: Any, new: Any) -> str:
    """Describe the first two differences and count the others; empty if there is none."""
    lines = differences(old, new)
    more = f' and {len(lines) - 2} more' if len(lines) > 2 else ''
    return '; '.join(lines[:2]) + more


def raise_differences(owner: str, place: PathLike, old: Any, new: Any) -> None:
    """Refuse an artifact that was made with another recipe.

    Args:
        owner: Name of the class or function that would write, for errors.
        place: The artifact's path.
        old: The recipe that it holds.
        new: The recipe that is wanted.

    Raises:
        ValueError: Names what differs.
    """
    changes = describe_differences(old, new)
    if changes:
        raise ValueError(
            f'{owner}: {str(place)!r} was made with other settings ({changes}); write another path'
        )


def check_content(content: Any, keys: Iterable[str] = ()) -> dict[str, Any]:
    """Check that what a JSON file holds is a dict with some keys, and return it.

    Raises:
        ValueError: It is something else, or lacks a key.
    """
    if not isinstance(content, dict):
        raise ValueError(f'expected an object with keys, but got {_shorten(content)}')
    for key in keys:
        if key not in content:
            raise ValueError(f'expected the key {key!r}, but got {", ".join(map(repr, content))}')
    return content


def check_version(found: Any, expected: int) -> None:
    """Check the format version of a file.

    Raises:
        ValueError: If it is another one.
    """
    if found != expected:
        raise ValueError(f'expected format version {expected}, but got {found}')


@dataclasses.dataclass
class JsonManifest:
    """Base of a directory's ``manifest.json``: a dataclass whose fields are JSON values.

    Args:
        complete: True once every file is written.
        digests: Name and SHA-256 of each file that was written; empty before all are.
    """

    format_version: ClassVar[int] = 1
    # Advice for an error: a command that writes the directory; ``{}`` is its path.
    remedy: ClassVar[str] = ''

    complete: bool = dataclasses.field(default=False, kw_only=True)
    digests: dict[str, str] = dataclasses.field(default_factory=dict, kw_only=True)

    @property
    def listed(self) -> list[str]:
        """Names of the files that the manifest lists, relative to its directory."""
        raise NotImplementedError

    @property
    def content(self) -> dict[str, Any]:
        """All that the file holds but for versions."""
        return dataclasses.asdict(self)

    def write(self, directory: PathLike) -> None:
        """Write the file atomically."""
        versions = {'format_version': self.format_version, 'package_version': __version__}
        write_json(Path(directory, MANIFEST_NAME), {**self.content, **versions})

    def finish(self, directory: PathLike) -> None:
        """Write the file with the digests of all others, as complete."""
        self.digests = {name: str(digest_path(Path(directory, name))) for name in self.listed}
        self.complete = True
        self.write(directory)

    def clear(self, directory: PathLike) -> None:
        """Remove the listed files, and the manifest, to make room for those of another recipe.

        Files that are not as we wrote them are moved aside, see :func:`clear_outputs`.
        """
        # First of all, so that nothing takes a mixture of old and new files for complete.
        self.complete = False
        self.write(directory)
        clear_outputs(directory, self.listed, self.digests)
        Path(directory, MANIFEST_NAME).unlink()

    @classmethod
    def read(cls: type[T], directory: PathLike) -> T:
        """Read the file of a directory.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it cannot be read, has another format version, or lists a file that does
                not lie below the directory.
        """
        path = Path(directory, MANIFEST_NAME)
        with explain_read_errors(cls.__name__, path, cls.remedy.format(directory)):
            content = check_content(json.loads(path.read_text(encoding='utf-8')))
            check_version(content.get('format_version'), cls.format_version)
            fields = dataclasses.fields(cls)
            needed = [
                field.name
                for field in fields
                if field.default is field.default_factory is dataclasses.MISSING
            ]
            check_content(content, needed)
            # Versions, and fields of later versions, are left out.
            names = [field.name for field in fields]
            manifest = cls(**{name: content[name] for name in names if name in content})
            listed = [*manifest.listed]
        for name in listed:
            safe_join(directory, name, path)
        return manifest


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f'{text[:37]}...'
