"""Export of the segmentor inside a trained method as checkpoint and config of stock mmseg."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from torch import Tensor

from mmseg_uda.artifacts.checkpoint import load_checkpoint, strip_prefix, weights_of
from mmseg_uda.artifacts.files import atomic_write, write_torch
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.config.reads import read_paths
from mmseg_uda.config.tables import read_config
from mmseg_uda.stages.export.card import model_card
from mmseg_uda.stages.export.plain import own_classes, plain_config, unwrapped_prefix
from mmseg_uda.stages.export.sources import stand_alone, stand_alone_name

__all__ = ['Exported', 'export_segmentor']

# Metadata that stay behind: configs, which are programs, and the hooks' records of training, whose
# numbers stock loaders may refuse.
UNKEPT = ('cfg', 'config', 'hook_msgs')
IMPORT = """import sys

sys.path.insert(0, '{{{{ fileDirname }}}}')  # where {name}.py lies
"""


class Exported(NamedTuple):
    """The files that were written.

    Args:
        tensors: Number of tensors in the checkpoint.
        outputs: Path of each file: ``checkpoint``, and with a config ``config``, ``card`` and, if
            the network has classes of this package, ``networks``.
        notes: Sentences about what a user should know.
    """

    tensors: int
    outputs: dict[str, Path]
    notes: list[str]


def export_segmentor(
    checkpoint: str,
    out: str | Path,
    config: str | Config | None = None,
    out_config: str | Path | None = None,
    module: str = 'student',
) -> Exported:
    """Write a method's segmentor as a checkpoint that a stock config loads strictly.

    Args:
        checkpoint: File that a method wrote.
        out: File to write; its metadata keep the classes and the palette. Older files of other
            content are moved aside.
        config: The method's config, or its file, for ``out_config`` and for the text of it in the
            metadata. With it auxiliary heads are left out. The text that the checkpoint holds is
            never used: a config is a program.
        out_config: File for a plain config, or None. A model card is written beside it, and a
            Python file with those networks of this package that the config uses.
        module: The module to export, for example ``teacher.module``.

    Raises:
        ValueError: The checkpoint has no such module, there is no config for ``out_config``, or
            an output is where something is read.
    """
    if config is None and out_config is not None:
        raise ValueError(
            'export_segmentor: expected a config for out_config, but got None; pass the config '
            f'with which {checkpoint} was trained as --config'
        )
    content = load_checkpoint(checkpoint)
    weights, meta = weights_of(content), content.get('meta', {})
    exported = strip_prefix(weights, f'{module}.')
    if not exported:
        modules = sorted({key.split('.')[0] for key in weights})
        raise ValueError(
            f'export_segmentor: expected weights of {module!r} in {checkpoint}, but got those of '
            f'{", ".join(map(repr, modules)) or "nothing"}; pass a checkpoint that a method of '
            'mmseg_uda wrote, or another --module'
        )
    reads: list[tuple[str, str | Path]] = [('checkpoint', checkpoint)]
    if isinstance(config, (str, Path)):
        reads.append(('config', config))
        config = read_config(config)
    reads += read_paths(config or {})
    for key, path in (('out', out), ('out_config', out_config)):
        if path is not None:
            check_output(f'export_segmentor.{key}', path, reads)
    _check_names(out, out_config)
    kept = {key: value for key, value in meta.items() if key not in UNKEPT}
    notes: list[str] = []
    texts: dict[str, tuple[Path, str]] = {}
    if config is not None:
        plain = plain_config(config, notes)
        exported = _unwrap(exported, *unwrapped_prefix(config))
        classes, name, networks = own_classes(plain), '', ''
        if classes:
            networks = stand_alone(classes)
            name = stand_alone_name(networks)
            others = (plain.get('custom_imports') or {}).get('imports') or []
            plain.custom_imports = dict(imports=[*others, name], allow_failed_imports=False)
            names = ', '.join(dict.fromkeys(cls.__name__ for cls in classes))
            notes.append(
                f'Stock mmseg lacks {names}: the config imports {name}.py from its own directory.'
            )
        kept['cfg'] = (IMPORT.format(name=name) if classes else '') + plain.pretty_text
        if out_config is not None:
            place = Path(out_config)
            texts['config'] = place, kept['cfg']
            if classes:
                texts['networks'] = place.with_name(f'{name}.py'), networks
            files = [Path(out).name, place.name, *([f'{name}.py'] if classes else [])]
            card = model_card(config, plain, checkpoint, meta, files, notes)
            texts['card'] = place.with_suffix('.md'), card
    write_torch(out, {'meta': kept, 'state_dict': exported})
    for path, text in texts.values():
        with atomic_write(path, keep=True) as partial:
            partial.write_text(text, encoding='utf-8')
    outputs = {'checkpoint': Path(out), **{key: path for key, (path, _) in texts.items()}}
    return Exported(len(exported), outputs, notes)


def _check_names(out: str | Path, out_config: str | Path | None) -> None:
    """Refuse names of which two outputs, or the model card, would be one file."""
    if out_config is None:
        return
    place = Path(out_config)
    if place.suffix != '.py':
        raise ValueError(
            f'export_segmentor.out_config: expected a name that ends in .py, but got '
            f'{str(place)!r}; write {str(place.with_suffix(".py"))!r}'
        )
    card = place.with_suffix('.md')
    if Path(out).resolve() in (place.resolve(), card.resolve()):
        raise ValueError(
            f'export_segmentor.out: expected another file than the config and its model card '
            f'{card.name}, but got {str(out)!r}; write one that ends in .pth'
        )


def _unwrap(weights: dict[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    """Leave out auxiliary heads, and what training puts around the decode head."""
    kept = {}
    for key, value in weights.items():
        if key.startswith('auxiliary_head.'):
            continue
        if not key.startswith(new):
            kept[key] = value
        elif key.startswith(old):
            kept[new + key[len(old) :]] = value
    return kept
