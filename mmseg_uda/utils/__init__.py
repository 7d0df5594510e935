"""Helpers without state."""

from __future__ import annotations

import mmseg.utils

__all__ = ['register_all_modules']


def register_all_modules(init_default_scope: bool = False) -> None:
    """Register the classes of mmseg; importing this package has registered its own.

    ``mmengine.hub.get_model('mmseg_uda::...')`` calls it.

    Args:
        init_default_scope: True to make ``'mmseg'`` the default scope.
    """
    mmseg.utils.register_all_modules(init_default_scope)
