"""The loader of checkpoints by path, URL or model-zoo key that mmengine and mmseg are given."""

from __future__ import annotations

import os.path as osp
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import mmengine
from mmengine.dist import barrier, is_main_process
from mmengine.logging import print_log
from mmengine.runner.checkpoint import (
    CheckpointLoader,
    _get_mmengine_home,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from torch import hub

from mmseg_uda.artifacts.checkpoint import load_checkpoint, strip_prefix, weights_of
from mmseg_uda.compat import import_timm

__all__ = ['WEB', 'cached_file', 'register_safe_loader', 'resolve_checkpoint']

WEB = ('http://', 'https://')
# All prefixes that mmengine registers; the empty one is a path.
PREFIXES = (
    *('', *WEB, 'modelzoo://', 'torchvision://', 'open-mmlab://', 'openmmlab://', 'mmcls://'),
    *('timm://', 'pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://'),
)


def register_safe_loader() -> None:
    """Make mmengine's ``CheckpointLoader``, by which mmengine and mmseg read, run no code.

    The original mmengine leaves the choice to torch, and the maintained one unpickles anything as
    soon as the safe way has failed.
    """
    CheckpointLoader.register_scheme(PREFIXES, load_from_mmseg_uda, force=True)


def load_from_mmseg_uda(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a checkpoint as :func:`load_checkpoint` does, without the texts of configs in it.

    Args:
        filename: A path, a URL, or a key as for :func:`resolve_checkpoint`.
        map_location: As for ``torch.load``.

    Raises:
        FileNotFoundError: There is no such file or key.
        ValueError: As for :func:`load_checkpoint`.
    """
    place = resolve_checkpoint(filename)
    if place is None:
        raise FileNotFoundError(
            'expected a path, a URL, or a known key of torchvision://, open-mmlab://, mmcls:// or '
            f'timm://, but got {filename!r}; download the file and write its path'
        )
    path = _download(place) if place.startswith(WEB) else osp.expanduser(place)
    checkpoint = load_checkpoint(path, map_location)
    if filename.startswith('mmcls://'):  # as mmengine does: the classifier's backbone
        return {'state_dict': strip_prefix(weights_of(checkpoint), 'backbone.')}
    _drop_instructions(checkpoint, Path(path).parent)
    return checkpoint


def _drop_instructions(checkpoint: dict[str, Any], directory: Path) -> None:
    """Take away the records by which mmengine would run code or delete files."""
    meta = _dict_in(checkpoint, 'meta')
    info = _dict_in(_dict_in(checkpoint, 'message_hub'), 'runtime_info')
    # `Runner.resume` and `BaseInferencer` run these as Python.
    for part, key in ((meta, 'config'), (meta, 'cfg'), (info, 'cfg')):
        part.pop(key, None)
    # `CheckpointHook` deletes this file or directory when it has a better checkpoint.
    for key in [key for key in info if str(key).startswith('best_ckpt')]:
        best = directory / Path(str(info.pop(key))).name
        if best.match('best_*.pth'):
            info[key] = str(best)


def _dict_in(content: dict[str, Any], key: str) -> dict[str, Any]:
    found = content.get(key)
    return found if isinstance(found, dict) else {}


def resolve_checkpoint(checkpoint: str) -> str | None:
    """Resolve a checkpoint's name to a URL or a local path.

    Args:
        checkpoint: A path, a URL, or a key ``torchvision://``, ``open-mmlab://``, ``mmcls://``,
            ``timm://``.

    Returns:
        The URL or path; None for a key that the installed toolbox does not know, or for which timm
        has no URL.
    """
    scheme, separator, name = checkpoint.partition('://')
    if not separator or checkpoint.startswith(WEB):
        return checkpoint
    if scheme in ('open-mmlab', 'openmmlab'):
        place = get_external_models().get(get_deprecated_model_names().get(name, name))
        if place is not None and not place.startswith(WEB):
            place = osp.join(_get_mmengine_home(), place)  # a file of the user's own list
        return place
    if scheme in ('torchvision', 'modelzoo'):
        return _torchvision_urls().get(name)
    if scheme == 'mmcls':
        return get_mmcls_models().get(name)
    if scheme == 'timm':
        found = import_timm().models.get_pretrained_cfg(name)
        return (found and found.url) or None
    return None


def _torchvision_urls() -> dict[str, str]:
    """Map ``torchvision://`` keys to URLs, also if torchvision is not installed."""
    try:
        return get_torchvision_models()
    except ImportError:
        hub_directory = osp.join(osp.dirname(mmengine.__file__), 'hub')
        return mmengine.load(osp.join(hub_directory, 'torchvision_0.12.json'))


def cached_file(url: str) -> str:
    """Name the file that keeps a download, the same as torch's and mmengine's."""
    return osp.join(hub.get_dir(), 'checkpoints', osp.basename(urlparse(url).path))


def _download(url: str) -> str:
    """Download a file unless it is there; the main process does it before the others look."""
    path = cached_file(url)
    if is_main_process():
        _fetch(url, path)
    barrier()
    _fetch(url, path)  # on other machines
    return path


def _fetch(url: str, path: str) -> None:
    if not osp.isfile(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        print_log(f'downloads {url} to {path}', 'current')
        hub.download_url_to_file(url, path, progress=sys.stderr.isatty())
