"""Export of the segmentor inside a trained method as checkpoint and config of stock mmseg."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from torch import Tensor

from mmseg_uda.artifacts.checkpoint import load_checkpoint, strip_prefix, weights_of
from mmseg_uda.artifacts.files import atomic_write, write_torch
from mmseg_uda.artifacts.outputs import check_distinct, check_output
from mmseg_uda.config.reads import read_paths
from mmseg_uda.config.tables import read_config
from mmseg_uda.stages.export.card import model_card
from mmseg_uda.stages.export.plain import own_classes, plain_config, unwrapped_prefix
from mmseg_uda.stages.export.sources import stand_alone, stand_alone_name

__all__ = ['Exported', 'export_segmentor']

# Metadata that stay behind: configs, which are programs, and the hooks' records of training, whose
# numbers stock loaders may refuse.
UNKEPT = ('cfg', 'config', 'hook_msgs')
# Outputs as errors name them.
NAMES = {
    'checkpoint': 'export_segmentor.out',
    'config': 'export_segmentor.out_config',
    'card': 'the model card beside out_config',
    'networks': 'the networks beside out_config',
}
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
    further: Mapping[str, str | Path] | None = None,
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
        further: Names and paths of what the caller writes afterwards, to be checked before.

    Raises:
        ValueError: The checkpoint has no such module, there is no config for ``out_config``, an
            output is where something is read, or two outputs are one file.
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
    outputs = {'checkpoint': Path(out)}
    if out_config is not None:
        outputs['config'] = _python_file(out_config)
        outputs['card'] = outputs['config'].with_suffix('.md')
    _check_outputs(outputs, further or {}, reads)
    kept = {key: value for key, value in meta.items() if key not in UNKEPT}
    notes: list[str] = []
    texts: dict[str, str] = {}
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
            texts['config'] = kept['cfg']
            if classes:
                outputs['networks'] = outputs['config'].with_name(f'{name}.py')
                texts['networks'] = networks
                _check_outputs(outputs, further or {}, reads)
            files = [path.name for key, path in outputs.items() if key != 'card']
            texts['card'] = model_card(config, plain, checkpoint, meta, files, notes)
    write_torch(out, {'meta': kept, 'state_dict': exported})
    for key, text in texts.items():
        with atomic_write(outputs[key], keep=True) as partial:
            partial.write_text(text, encoding='utf-8')
    return Exported(len(exported), outputs, notes)


def _python_file(path: str | Path) -> Path:
    if Path(path).suffix != '.py':
        raise ValueError(
            f'export_segmentor.out_config: expected a name that ends in .py, but got '
            f'{str(path)!r}; write {str(Path(path).with_suffix(".py"))!r}'
        )
    return Path(path)


def _check_outputs(
    outputs: Mapping[str, Path],
    further: Mapping[str, str | Path],
    reads: list[tuple[str, str | Path]],
) -> None:
    """Refuse outputs at what is read, and two that would be one file."""
    named = {NAMES[key]: path for key, path in outputs.items()}
    for name, path in {**named, **further}.items():
        check_output(name, path, reads)
    check_distinct({**named, **further})


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
