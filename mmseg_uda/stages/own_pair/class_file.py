"""Files of classes: a list of names, or a map from ids or colours to names."""

from __future__ import annotations

import os.path as osp
import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import yaml

from mmseg_uda.artifacts.files import PathLike
from mmseg_uda.datasets.class_map import IGNORE
from mmseg_uda.stages.own_pair.labels import Classes, make_classes
from mmseg_uda.stages.own_pair.literals import check_text
from mmseg_uda.structures import IGNORE_INDEX

__all__ = ['read_classes']

LEADING_ZERO = re.compile(r'0\d+')
VALUE_AND_NAME = re.compile(r'[\'"]?[#\d][\da-fA-F, ]*[\'"]?\s*:')  # 7: road
# 1 road; 1. road; road,1; 7: a number with its class, or a name that could be one.
NUMBERED = re.compile(r'^\d+(?!\w)|(?:^|[\s,;:=])\d+$')
# Words in the first line of a table.
TITLES = frozenset(
    (
        *('class', 'classes', 'classname', 'category', 'label', 'name', 'names', 'value'),
        *('id', 'ids', 'idx', 'index', 'labelid', 'trainid'),
        *('color', 'colour', 'rgb', 'r', 'g', 'b'),
    )
)
FORM = 'write a list of names, or a dict {id or colour: name}'


class _Loader(yaml.SafeLoader):
    """Refuses keys that come twice, and numbers like 010, which YAML takes for 8."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            problem = _problem_of(key, seen)
            if problem:
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _problem_of(key: yaml.Node, seen: Container[str]) -> str:
    """Describe what is wrong with a key; empty if nothing is."""
    if not isinstance(key, yaml.ScalarNode):
        return "expected an id, or a colour in quotes such as '255,0,0', but got a list or a dict"
    if key.value in seen:
        return f'{key.value!r} comes twice'
    if key.style is None and LEADING_ZERO.fullmatch(key.value):
        return f'expected a number without a leading 0, but got {key.value}'
    return ''


def read_classes(path: PathLike) -> Classes:
    """Read a file of classes.

    Args:
        path: A text file with one name in each line, or YAML: a list of names, whose ids are 0, 1
            and so on, or a dict from ids or colours to names. Several values of one name are
            merged; those of ``ignore`` (or null) are ignored. ``others: ignore`` ignores, instead
            of refusing, every value that is not listed.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is of another form.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'--classes: no file {path}; {FORM}')
    try:
        text = Path(path).read_text(encoding='utf-8-sig')
        lines = [line.strip() for line in text.split('\n')]
        listed = str(path).endswith('.txt')
        content = list(filter(None, lines)) if listed else yaml.load(text, _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = ' '.join(str(error).split())
        raise ValueError(f'--classes: cannot read {path}: {text}; {FORM}') from error
    if isinstance(content, list):
        content = {**dict(enumerate(content)), IGNORE_INDEX: IGNORE}
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f'--classes: expected classes, but got {content!r} in {path}; {FORM}')
    content = {key: IGNORE if name is None else name for key, name in content.items()}
    for name in content.values():
        _check_name(name, path, listed)
    others = content.pop('others', 'error')
    try:
        return make_classes(content, others)
    except ValueError as error:
        raise ValueError(f'--classes: {path}: {error}') from error


def _check_name(name: Any, path: PathLike, listed: bool) -> None:
    """Check the name of a class.

    Args:
        name: The name.
        path: The file that has it.
        listed: It is a line of a text file.
    """
    if not isinstance(name, str) or not name.strip() or name.startswith('#'):
        raise ValueError(
            f'--classes: expected names, but got {name!r} in {path}; write text, in quotes where '
            f'YAML reads another value (no, yes, 7); {FORM}'
        )
    if name != IGNORE and name.lower() == IGNORE:
        raise ValueError(f'--classes: got {name!r} in {path}; write {IGNORE!r}')
    if VALUE_AND_NAME.match(name) or (listed and (NUMBERED.search(name) or _is_header(name))):
        raise ValueError(
            f'--classes: expected a name, but got {name!r} in {path}; write values with names in a '
            'file that ends in .yaml, and no line that is a title'
        )
    check_text(f'--classes: {path}', name)


def _is_header(line: str) -> bool:
    """Tell whether a line is the titles of columns: ``id,name``."""
    words = [word for word in re.split(r'[\W_]+', line.lower()) if word]
    return len(words) > 1 and TITLES.issuperset(words)
