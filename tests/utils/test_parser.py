"""Values of ``--cfg-options``."""

from __future__ import annotations

from typing import Any

import pytest

from mmseg_uda.utils.parser import Options, ToolParser


def read(*words: str) -> Any:
    parser = ToolParser()
    parser.add_argument('--cfg-options', nargs='+', action=Options)
    return parser.parse_args(['--cfg-options', *words]).cfg_options


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ("[dict(type='AdaBNHook', num_images=200)]", [dict(type='AdaBNHook', num_images=200)]),
        ("dict(_delete_=True, type='SGD', lr=1e-3)", dict(_delete_=True, type='SGD', lr=1e-3)),
        ("{'a': (1, 2), 'b': {'c': None}}", dict(a=(1, 2), b=dict(c=None))),
        ('[1, dict(a=2)]', [1, dict(a=2)]),
        ('dict(a=[dict(b=-1), dict()], c={})', dict(a=[dict(b=-1), {}], c={})),
        # as mmengine reads them
        ('0.1', 0.1),
        ('None', None),
        ('[a,b]', ['a', 'b']),
        ('[(a,b),(c,d)]', [('a', 'b'), ('c', 'd')]),
        ('(256,256)', (256, 256)),
        ('{source_only}', '{source_only}'),  # the output of a stage
        ('{{$MMSEG_UDA_DATA:data}}/gta', '{{$MMSEG_UDA_DATA:data}}/gta'),
        ('work_dirs/dict(1)', 'work_dirs/dict(1)'),
        # but for blanks
        ('my dir/x.pth', 'my dir/x.pth'),
        ("['my dir/x', 'y']", ['my dir/x', 'y']),
        ("'quoted'", 'quoted'),
        ('True', True),
        ('a,b', ['a', 'b']),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert read(f'key={text}', 'other=1') == dict(key=value, other=1)


@pytest.mark.parametrize(
    'text',
    [
        '[dict(type=AdaBNHook)]',
        "[dict(type='AdaBNHook'",
        "dict(type=open('file'))",
        "dict(**{'a': b})",
        'dict([(1, 2)])',
        "{'a': 1",
    ],
)
def test_what_is_no_literal_is_one_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read(f'custom_hooks={text}')
    (line,) = capsys.readouterr().err.splitlines()
    assert f'but got {text}; quote strings and close each bracket' in line
