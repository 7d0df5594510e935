"""Write docs/chain.md: configs from CAMix to the newest method, each as a change of the one before.

--check compares the page instead of writing it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from mmseg_uda.utils.cli import run_main

ROOT = Path(__file__).parents[2]
PAGE = ROOT / 'docs/chain.md'
LIMIT = 60
"""Most keys in which a cell may differ from the one before."""


class Cell(NamedTuple):
    """A config of the chain.

    Args:
        title: Name of the method.
        number: The paper's mIoU on GTA5 → Cityscapes.
        config: Path below ``configs``.
    """

    title: str
    number: str
    config: str


CHAIN = (
    Cell('CAMix', '55.2', 'camix/camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py'),
    Cell(
        'DAFormer', '68.3', 'daformer/daformer_mit-b5-daformer_1xb2-40k_gta2cityscapes-512x512.py'
    ),
    Cell('HRDA', '73.8', 'hrda/hrda_mit-b5-daformer_1xb2-40k_gta2cityscapes-1024x1024.py'),
    Cell('MIC on HRDA', '75.9', 'mic/mic_mit-b5-hrda_1xb2-40k_gta2cityscapes-1024x1024.py'),
    Cell('VFM-UDA', '78.4', 'vfm_uda/vfm-uda_dinov2-l-vfm_4xb2-40k_gta2cityscapes-1024x1024.py'),
)
INTRODUCTION = f"""# From CAMix to the state of the art

Each method below is the one before with some keys of its config changed, and nothing else: GTA5 →
Cityscapes, mIoU of the papers, none of it trained by us. A table has all keys of the training in
which the resolved configs differ, at most {LIMIT}; a dash is a key that one of them does not have.
A part of another type is one key, with its arguments. Items of lists are named by their type. The
data of validation and test is left out. `tools/dev/config_chain.py` writes this page.
"""
BY_KEY = ('model', 'model.segmentor')
"""Parts that are compared key by key although their types differ."""
KEYS = (
    *('model', 'train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'),
    *('default_hooks', 'custom_hooks', 'load_from'),
)
NONE = '–'


def difference(old: Any, new: Any, path: str = '') -> Iterator[tuple[str, str, str]]:
    """Yield each key path in which two configs differ, with both values as text."""
    if isinstance(old, list) and isinstance(new, list):
        old, new = (_by_type(each) for each in (old, new))
    parts = isinstance(old, Mapping) and isinstance(new, Mapping)
    if parts and (old.get('type') == new.get('type') or path in BY_KEY):
        for key in [*new, *(key for key in old if key not in new)]:
            pair = (each.get(key, NONE) for each in (old, new))
            yield from difference(*pair, f'{path}.{key}' if path else str(key))
    elif old != new:
        yield path, _spell(old), _spell(new)


def _by_type(items: list[Any]) -> Any:
    """Name the parts in a list by their types, if these differ."""
    named = {each['type']: each for each in items if isinstance(each, Mapping) and 'type' in each}
    return named if len(named) == len(items) else items


def _spell(value: Any) -> str:
    if not isinstance(value, Mapping) or 'type' not in value:
        return NONE if value == NONE else f'`{value}`'
    arguments = ', '.join(f'{key}={each}' for key, each in value.items() if key != 'type')
    return f'`{value["type"]}({arguments})`'


def make_page(chain: tuple[Cell, ...] = CHAIN) -> str:
    """Make the page's text.

    Raises:
        ValueError: Two neighbours differ in too many keys.
    """
    for name in ('MMSEG_UDA_DATA', 'MOBILENETV2'):
        os.environ.pop(name, None)  # nobody's paths
    lines = [INTRODUCTION, '| method | paper | config | keys changed |', '|---|---|---|---|']
    tables: list[str] = []
    before: dict[str, Any] = {}
    for i, cell in enumerate(chain):
        found = Config.fromfile(ROOT / 'configs' / cell.config).to_dict()
        found = {key: found[key] for key in KEYS if key in found}
        rows = list(difference(before, found)) if i else []
        if len(rows) > LIMIT:
            raise ValueError(
                f'{cell.config}: expected at most {LIMIT} keys that differ from '
                f'{chain[i - 1].config}, but got {len(rows)}; write a cell between them'
            )
        link = f'[{Path(cell.config).stem}](../configs/{cell.config})'
        lines.append(f'| {cell.title} | {cell.number} | {link} | {len(rows) or NONE} |')
        if i:
            tables += ['', f'## {chain[i - 1].title} → {cell.title}', '']
            tables += [f'| key | {chain[i - 1].title} | {cell.title} |', '|---|---|---|']
            tables += [f'| `{key}` | {one} | {other} |' for key, one, other in rows]
        before = found
    return '\n'.join([*lines, *tables, ''])


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--check', action='store_true', help='compare; write nothing')
    args = parser.parse_args(argv)
    page = make_page()
    if not args.check:
        PAGE.write_text(page, encoding='utf-8')
    elif not PAGE.is_file() or PAGE.read_text(encoding='utf-8') != page:
        raise ValueError(f'{PAGE.name} is out of date; run python tools/dev/config_chain.py')


if __name__ == '__main__':
    run_main(main)
