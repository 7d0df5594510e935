"""mmengine's storage on local disks: files are written whole, and empty ones are named."""

from __future__ import annotations

from pathlib import Path

from mmengine.fileio import LocalBackend
from mmengine.fileio.backends import register_backend

from mmseg_uda.artifacts.files import atomic_write

__all__ = ['AtomicBackend', 'register_atomic_backend']


class AtomicBackend(LocalBackend):
    """Writes checkpoints, and all else that mmengine stores, by :func:`atomic_write`."""

    def get(self, filepath: str | Path) -> bytes:
        """Read bytes, of images and labels above all.

        Raises:
            OSError: There are none; decoders do not name the file.
        """
        content = super().get(filepath)
        if not content:
            raise OSError(f'expected a file with content, but got the empty file {str(filepath)!r}')
        return content

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes."""
        with atomic_write(filepath) as partial:
            partial.write_bytes(obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text."""
        self.put(obj.encode(encoding), filepath)


def register_atomic_backend() -> None:
    """Make mmengine write local files by :class:`AtomicBackend`, whichever hook asks for it."""
    register_backend('local', AtomicBackend, force=True, prefixes='')
