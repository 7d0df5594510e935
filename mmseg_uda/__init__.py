"""Unsupervised domain adaptation of semantic segmentation, a plugin for MMSegmentation.

Importing the package checks the toolboxes and registers every class in mmseg's registries.
"""

from mmseg_uda.compat import check_versions, deferred_timm, quiet_imports
from mmseg_uda.version import __version__

check_versions()

from mmengine.config.utils import MODULE2PACKAGE  # noqa: E402
from mmengine.utils import is_installed  # noqa: E402

with quiet_imports(), deferred_timm():
    from mmseg_uda import datasets, engine, evaluation, models, registry

from mmseg_uda.artifacts.checkpoint_sources import register_safe_loader  # noqa: E402
from mmseg_uda.artifacts.storage import register_atomic_backend  # noqa: E402

register_safe_loader()
register_atomic_backend()

# Configs of the package as 'mmseg_uda::cdanet/...', in `_base_` and in `mmengine.hub`.
MODULE2PACKAGE.setdefault('mmseg_uda', 'mmseg_uda')
# Those of mmseg as 'mmseg::_base_/...' also where its distribution is the maintained one.
if not is_installed(MODULE2PACKAGE['mmseg']):
    MODULE2PACKAGE['mmseg'] = 'mmseg'

__all__ = ['__version__', 'datasets', 'engine', 'evaluation', 'models', 'registry']
