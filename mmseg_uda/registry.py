"""The scope ``mmseg_uda``: every registry of mmseg, seen through one that adds nothing.

Classes of this package register in mmseg's own registries. But mmengine builds what a config took
from ``'mmseg_uda::...'`` in a scope of that name, and imports this module to find it.
"""

from __future__ import annotations

from mmengine.registry import Registry
from mmseg import registry

__all__ = ['REGISTRIES']

REGISTRIES = {
    name: Registry(
        parent.name, parent=parent, scope='mmseg_uda', locations=['mmseg_uda', *parent._locations]
    )
    for name, parent in vars(registry).items()
    if isinstance(parent, Registry)
}
