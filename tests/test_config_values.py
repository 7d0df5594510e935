"""Every config, row and pipeline has the values that it had before ablations became tables."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from config_files import CONFIGS, PIPELINES, ROWS, TABLES, load
from effective_values import digest, effective_config, effective_pipeline
from mmengine.config import Config

from mmseg_uda.config.places import ALL, find_class
from mmseg_uda.pipeline.tables import table_stages
from mmseg_uda.stages.references import substitute

EXPECTED: dict[str, str] = json.loads(
    (Path(__file__).parent / 'data/config_digests.json').read_text()
)
# What was renamed since then. Of dicts of a type: new key -> old key.
RENAMED: dict[str, dict[str, str]] = {'MeanTeacher': {'label_weight': 'confidence'}}
# New type -> old type.
RENAMED_TYPES: dict[str, str] = {}
# Of the whole config: new dotted path -> old dotted path.
MOVED: dict[str, str] = {}
# Trainings shorter than six of these intervals save checkpoints at each sixth now.
OLD_CHECKPOINT_INTERVAL = 2000
# Keys that a file left to the constructor's default, where its row has them from its cell.
CDANET = 'cdanet/cdanet_{}-deeplabv2_1xb1-120k_{}_{}.py'
GTA, SYNTHIA = 'gta2cityscapes-1280x720', 'synthia2cityscapes-1280x760'
HEAD = [
    f'model.segmentor.decode_head.{key}' for key in ('reduction', 'kernel_size', 'test_context')
]
CHANNEL, SPATIAL = (f'model.segmentor.decode_head.{kind}_weight' for kind in ('channel', 'spatial'))
DAY, DUSK = (
    f'mean_teacher/mean-teacher_mobilenetv2-035-deeplabv2_1xb2-1500_{pair}-240x180_'
    for pair in ('synth_street2camvid_day', 'camvid_day2camvid_dusk')
)
DEFAULTS: dict[str, list[str]] = {
    CDANET.format('r101', SYNTHIA, 'base'): HEAD,
    CDANET.format('r101', SYNTHIA, 'cd-cam'): [*HEAD, CHANNEL],
    CDANET.format('r101', SYNTHIA, 'cd-sam'): [*HEAD, SPATIAL],
    CDANET.format('vgg16', SYNTHIA, 'base'): HEAD,
    CDANET.format('vgg16', SYNTHIA, 'cd-cam'): [*HEAD, CHANNEL],
    CDANET.format('vgg16', SYNTHIA, 'cd-sam'): [*HEAD, SPATIAL],
    CDANET.format('vgg16', GTA, 'base'): HEAD,
    f'sam/sam_r101-deeplabv2_1xb1-120k_{SYNTHIA}_no-conv.py': [
        'model.regularizers.sam.self_attention.kernel_size'
    ],
    f'{DAY}cutmix.py': ['model.mixer.ratio'],
    f'{DUSK}cutmix.py': ['model.mixer.ratio'],
    f'{DAY}dacs.py': ['model.mixer.direction'],
    f'{DUSK}dacs.py': ['model.mixer.direction'],
}
# A pipeline that is now five rows of a table, and the names of its stages: new -> old.
TABLE = 'mean_teacher/ablations.py'
STAGES = {
    f'{row}_r101-gta{end}': f'{row}{end}'
    for row in ('mean_teacher', 'cowmix', 'cutmix', 'dacs', 'idacs')
    for end in ('', '_test')
}


def as_before(node: Any) -> Any:
    """Nested values under their old names."""
    if isinstance(node, dict):
        renamed = RENAMED.get(node.get('type', ''), {})
        node = {renamed.get(key, key): as_before(value) for key, value in node.items()}
        if node.get('type') in RENAMED_TYPES:
            node['type'] = RENAMED_TYPES[node['type']]
        iterations = (node.get('train_cfg') or {}).get('max_iters')
        if iterations and iterations < 6 * OLD_CHECKPOINT_INTERVAL:
            hook = node['default_hooks']['checkpoint']
            assert hook['interval'] * 6 == iterations
            hook['interval'] = OLD_CHECKPOINT_INTERVAL
    elif isinstance(node, list):
        node = [as_before(each) for each in node]
    return node


def values_of(cfg: Config, defaults: Sequence[str] = ()) -> dict[str, Any]:
    """What a config comes to, under its old names and without ``defaults``."""
    values = effective_config(cfg)
    for path in defaults:
        *parents, key = path.split('.')
        node = at(values, parents)
        default = inspect.signature(find_class(node['type'], ALL)).parameters[key].default
        assert node.pop(key) == default, f'{path} is not the default of {node["type"]}'
    for new, old in MOVED.items():
        *parents, key = new.split('.')
        *homes, name = old.split('.')
        if key in (at(values, parents) or {}):
            at(values, homes)[name] = at(values, parents).pop(key)
    return as_before(values)


def at(node: Any, keys: list[str]) -> Any:
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def test_new_names_have_the_values_of_old_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    this = sys.modules[__name__]
    old = dict(model=dict(type='A', parts=[dict(type='B', key=1)]), train_cfg=dict(key=2))
    new = dict(model=dict(type='A', parts=[dict(type='C', other=1)]), train_cfg=dict(moved=2))
    monkeypatch.setattr(this, 'RENAMED', {'C': {'other': 'key'}})
    monkeypatch.setattr(this, 'RENAMED_TYPES', {'C': 'B'})
    monkeypatch.setattr(this, 'MOVED', {'train_cfg.moved': 'train_cfg.key'})
    assert values_of(Config(new)) == old


@pytest.mark.parametrize('name', [name for name in EXPECTED if not name.endswith('_pipeline.py')])
def test_config_is_as_it_was(name: str) -> None:
    assert (name in CONFIGS) != (name in ROWS)
    assert digest(values_of(load(name), DEFAULTS.get(name, ()))) == EXPECTED[name]


def digest_of_pipeline(content: dict[str, Any], stages: Any, folder: Path) -> str:
    return digest(as_before(effective_pipeline(content.get('seed'), stages, folder)))


def test_pipelines_are_as_they_were() -> None:
    """Each was of a method, which has a cell with its seed, stages, and their configs."""
    found = {}
    for name, (path, cell) in PIPELINES.items():
        content = Config.fromfile(path).to_dict()
        stages = content['cells'][cell] if cell else content['stages']
        found[digest_of_pipeline(content, stages, path.parent)] = name.split('/')[0]
    table = TABLES[TABLE]
    rows = [row for row in STAGES.values() if not row.endswith('_test')]
    stages = substitute(table_stages(table, rows, 'r101-gta'), lambda name: f'{{{STAGES[name]}}}')
    stages = [{**stage, 'name': STAGES[stage['name']]} for stage in stages]
    content = Config.fromfile(table.path).to_dict()
    found[digest_of_pipeline(content, stages, table.path.parent)] = 'mean_teacher'
    assert found == {
        value: name.split('/')[0]
        for name, value in EXPECTED.items()
        if name.endswith('_pipeline.py')
    }
