"""Labels of whole images: their file, and how they are predicted from the source's (PIT)."""

from .files import FORMAT_VERSION, KINDS, ImageLabels, relative_names

__all__ = ['FORMAT_VERSION', 'KINDS', 'ImageLabels', 'relative_names']
