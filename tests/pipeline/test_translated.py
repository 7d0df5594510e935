"""Pipelines whose source images are translated first."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import toys
from config_files import PIPELINES
from mmengine.config import Config

from mmseg_uda.pipeline import read_pipeline
from mmseg_uda.pipeline.translated import IMAGES, translate_source

run_toy = toys.load_script('tests/pipeline/run_toy.py')

STAGES = [
    dict(name='a', type='train', config='a.py', options={'x': 1}),
    dict(name='b', type='pseudo_label', config='a.py', checkpoint='{a}', rule='bdl'),
    dict(name='c', type='image_labels', config='a.py'),
    dict(name='d', type='train', config='a.py', options={IMAGES: 'mine'}),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A pipeline beside a directory with one that translates."""
    stages = [
        dict(name='gan', type='train', config='gan.py'),
        dict(name='made', type='translate', config='gan.py', checkpoint='{gan}', source='data'),
    ]
    for name in ('gan', 'own'):
        (tmp_path / name).mkdir()
    (tmp_path / 'gan/pipeline.py').write_text(f'cells = {dict(gta=stages)!r}\n')
    return tmp_path / 'own/pipeline.py'


def stages(path: Path, translated: Any, cell: str | None = 'r101-gta') -> list[dict[str, Any]]:
    content = dict(
        stages=copy.deepcopy(STAGES), translated=translated, translation='../gan/pipeline.py'
    )
    translate_source(content, path, cell)
    return content['stages']


@pytest.mark.parametrize('translated', [False, ['vgg16-gta'], []])
def test_source_as_it_is(path: Path, translated: Any) -> None:
    assert stages(path, translated) == STAGES


@pytest.mark.parametrize('translated', [True, ['r101-gta', 'vgg16-gta']])
def test_stages_of_the_translation_come_first(path: Path, translated: Any) -> None:
    first, second, *others = stages(path, translated)
    assert first == dict(name='gan', type='train', config='../gan/gan.py')
    assert second['config'] == '../gan/gan.py'
    expected = copy.deepcopy(STAGES)
    expected[0]['options'][IMAGES] = '{made}/images'
    expected[2]['options'] = {IMAGES: '{made}/images'}
    assert others == expected


def test_directory(path: Path) -> None:
    """Paths are those of the working directory; in datasets they would be below data_root."""
    made = stages(path, 'data/gta_cyclegan/images', cell=None)
    assert len(made) == len(STAGES)
    assert made[2]['options'] == {IMAGES: str(Path('data/gta_cyclegan/images').resolve())}
    assert stages(path, '{mine}/images')[2]['options'] == {IMAGES: '{mine}/images'}


@pytest.mark.parametrize(
    ('translated', 'cell', 'match'),
    [
        (1, None, 'translated: expected True, False, a directory or a list of cells, but got 1'),
        ('', None, "a list of cells, but got ''"),
        (True, 'small-dusk', "no stages for the cell 'small-dusk', but got True; write"),
        (True, None, 'no stages for the cell None, but got True; write --cfg-options translated='),
    ],
)
def test_wrong_values(path: Path, translated: Any, cell: str | None, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        stages(path, translated, cell)


@pytest.mark.parametrize('given', [[], 3, ['other.py:gta'], [dict(type='train')]])
def test_translation_without_stages(path: Path, given: Any) -> None:
    file = path.parents[1] / 'gan/pipeline.py'
    file.write_text(f'cells = {dict(gta=given)!r}\n')
    shown = given[0] if isinstance(given, list) and given else given
    with pytest.raises(ValueError, match=re.escape(f'cells.gta got {shown!r}; write [dict(name')):
        stages(path, True)


def test_option_of_the_command_line(tmp_path: Path) -> None:
    folder = tmp_path / 'configs'
    run_toy.write_configs(folder)
    path = run_toy.write_pipeline(folder, run_toy.STAGES)
    images = folder.parent / 'data/target/images'
    pipeline = read_pipeline(path, {'translated': str(images)}, folder / 'translated')
    cfg = pipeline.stages['stage0'].load()
    assert cfg.train_dataloader.source.dataset.data_prefix.img_path == str(images)
    assert cfg.train_dataloader.source.dataset.data_prefix.seg_map_path == 'labels'


def test_papers_with_translated_sources() -> None:
    """CDANet and SAM, Sec. 4.2 and 5.1; the others read the source as it is, but can do so, too."""
    found, unable = set(), set()
    for name, (path, cell) in PIPELINES.items():
        content = Config.fromfile(path).to_dict()
        if cell is None or 'translation' not in content:
            unable.add(name.partition(':')[0])
            continue
        content['stages'] = content['cells'][cell]
        translate_source(content, path, cell)
        if content['stages'][0]['name'] == 'cyclegan':
            assert content['stages'][1]['name'] == 'translate'
            found.add(name)
    assert unable == {
        'adversarial/bdl_pipeline.py',
        'cyclegan/cyclegan_pipeline.py',
        'mean_teacher/mean-teacher_pipeline.py',  # toy streets
        'value/value_pipeline.py',
    }
    assert found == {
        f'{method}_pipeline.py:{network}-{source}'
        for method in ('cdanet/cdanet', 'sam/sam', 'self_training/self-training')
        for network in ('vgg16', 'r101')
        for source in ('gta', 'synthia')
    }
