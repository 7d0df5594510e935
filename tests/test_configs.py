"""Every config of the package: names, arguments, networks, optimizers, what metafiles list."""

from __future__ import annotations

import ast
import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_files import ALL, BENCHMARKS, CONFIGS, FOLDER, NAME, PIPELINES, TABLES, load, read
from mmengine.config import Config
from torch import nn

from mmseg_uda.config.check import check_config
from mmseg_uda.config.datasets import iter_datasets
from mmseg_uda.pipeline import read_pipeline

METHODS = sorted(path.parent.name for path in FOLDER.glob('*/metafile.yml'))
SMALL = 'cdanet/cdanet_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180.py'
SAM = 'sam/sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py'
STAGE_A = SAM.replace('.py', '_attention.py')
STOCK = 'sam/sam_r50-pspnet_4xb2-40k_cityscapes-1024x512.py'
DAST = 'dast/dast_r101-deeplabv2_1xb1-150k_gta2cityscapes-1280x720.py'
SELECT = DAST.replace('.py', '_select.py')
PIT = 'pit/pit_r101-deeplabv2_1xb4-200k_gta2cityscapes-1280x640.py'
CAMIX = 'camix/camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py'

NETWORKS = {
    'r101-deeplabv2gn': ('CeilPoolResNet', 'ASPPGNHead'),
    'r101-deeplabv2': ('CeilPoolResNet', 'DeepLabV2Head'),
    'vgg16-deeplabv2': ('VGG16DeepLab', 'DeepLabV2Head'),
    'vgg16-fcn8s': ('VGG16FCN', 'FCN8sHead'),
    'mobilenetv2-deeplabv2': ('MobileNetV2', 'DeepLabV2Head'),
    'mobilenetv2-035-deeplabv2': ('MobileNetV2', 'DeepLabV2Head'),
    'efficientnet-lite0-deeplabv3plus': ('TimmFeatures', 'DepthwiseSeparableASPPHead'),
    'mit-b5-daformer': ('MixVisionTransformer', 'DAFormerHead'),
    'mit-b5-hrda': ('MixVisionTransformer', 'DAFormerHead'),
    'mit-b0-segformer': ('MixVisionTransformer', 'SegformerHead'),
    'dinov2-b-vfm': ('TimmFeatures', 'VFMUDAHead'),
    'dinov2-l-vfm': ('TimmFeatures', 'VFMUDAHead'),
    'r50-pspnet': ('ResNetV1c', 'PSPHead'),
    'toy': ('MobileNetV2', 'DeepLabV2Head'),
    'resnet9': ('ResNetGenerator', 9, 64),
    'resnet6-16': ('ResNetGenerator', 6, 16),
}


def bases_of(path: Path) -> list[Path]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            return [
                path.parent / base
                for base in ast.literal_eval(node.value)
                if not base.startswith('mmseg::')
            ]
    return []


def depth(path: Path) -> int:
    return max((1 + depth(base) for base in bases_of(path)), default=0)


def network_of(model: Any) -> tuple[Any, ...]:
    if 'generator' in model:
        generator = model.generator
        return generator.type, generator.num_blocks, generator.channels
    student = model.get('segmentor', model)
    head = student.decode_head
    head = head.get('classifier') or head.get('head') or head
    return student.backbone.type, head.type


BUILT: list[tuple[Any, nn.Module]] = []  # a third of all configs have the model of another

# Large transformers take up to a second; in every run it is one of each network in each directory.
LARGE = re.compile('mit-b5|dinov2')
ONE_OF_EACH = {
    (name.split('/')[0], Path(name).stem.split('_')[1]): name for name in ALL if LARGE.search(name)
}.values()


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(n, marks=pytest.mark.slow) if LARGE.search(n) and n not in ONE_OF_EACH else n
        for n in ALL
    ],
)
def test_sound(name: str) -> None:
    assert check_config(load(name), BUILT) == []


@pytest.mark.parametrize('name', CONFIGS)
def test_size(name: str) -> None:
    assert depth(CONFIGS[name]) <= 3
    assert len(CONFIGS[name].read_text().splitlines()) <= 60


@pytest.mark.parametrize('name', CONFIGS)
def test_name_says_what_is_inside(name: str) -> None:
    match = NAME.fullmatch(CONFIGS[name].stem)
    assert match, f'write {NAME.pattern}'
    cfg = load(name)
    loaders = cfg.train_dataloader
    loaders = list(loaders.values()) if 'source' in loaders else [loaders]  # a stock model's
    assert match['method'].replace('-', '_') == CONFIGS[name].parent.name
    assert {int(match['batch'])} == {loader.batch_size for loader in loaders}
    assert int(match['iters'].replace('k', '000')) == cfg.train_cfg.max_iters
    assert network_of(cfg.model) == NETWORKS[match['network']]
    names = match['data'].replace('-', '_').split('2')
    roots = [
        {Path(each.data_root).name.lower() for _, each in iter_datasets(loader.dataset)}
        for loader in loaders
    ]
    assert roots == [{each} for each in (names if len(names) == len(loaders) else names * 2)]
    sizes = [
        step.scale if step.type == 'Resize' else step.crop_size[::-1]
        for step in loaders[0].dataset.pipeline
        if step.type in ('Resize', 'RandomCrop')
    ]
    assert not sizes or match['crop'] == '{}x{}'.format(*sizes[-1])  # the last one counts


# ------------------------------------------------------------------------------ pipelines


@pytest.fixture
def _read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, 'fromfile', lambda path: copy.deepcopy(read(path.resolve())))


# One cell of each pipeline; the others differ in values.
FIRST = {name.split(':')[0]: name for name in reversed(PIPELINES)}
FIRST['proda/proda_pipeline.py'] = 'proda/proda_pipeline.py:r101-gta-sam'
FIRST['mic/mic_pipeline.py'] = 'mic/mic_pipeline.py:r101-gta'


@pytest.mark.usefixtures('_read_once')
@pytest.mark.parametrize(
    'name',
    [n if n in FIRST.values() else pytest.param(n, marks=pytest.mark.slow) for n in PIPELINES],
)
def test_pipeline(name: str) -> None:
    path, cell = PIPELINES[name]
    assert read_pipeline(path, cell=cell).stages
    assert len(path.read_text().splitlines()) <= 130
    method = 'bdl' if path.name.startswith('bdl') else path.parent.name.replace('_', '-')
    assert path.stem == f'{method}_pipeline'


@pytest.mark.usefixtures('_read_once')
@pytest.mark.parametrize(
    'name',
    # The rows themselves are checked one by one above; whole tables take up to half a minute.
    [
        name if name.startswith('adversarial') else pytest.param(name, marks=pytest.mark.slow)
        for name in TABLES
    ],
)
def test_table_is_a_pipeline(name: str) -> None:
    """Every row is trained and tested, and what it links to is made before."""
    table = TABLES[name]
    pipeline = read_pipeline(table.path)
    tests = [stage for stage in pipeline.stages if stage.endswith('_test')]
    assert tests == [f'{row}_{cell}_test' for row, cell in table.pairs()]
    assert pipeline.context.name == f'{table.path.parent.name}_ablations'
    assert pipeline.context.seed == 0


@pytest.mark.usefixtures('_read_once')
@pytest.mark.parametrize(
    'name',
    # Pairs differ in directories and in what they are scored on.
    [
        name
        if name.endswith((':day-sam', ':dusk-camix', ':dusk-dacs_20'))
        else pytest.param(name, marks=pytest.mark.slow)
        for name in BENCHMARKS
    ],
)
def test_benchmark_cell(name: str) -> None:
    path, cell = BENCHMARKS[name]
    pipeline = read_pipeline(path, cell=cell)
    kinds = [stage.kind for stage in pipeline.stages.values()]
    assert kinds.count('score') == (kinds != ['cost'])  # a benchmark of cost has no score
    assert kinds.count('cost') <= 1
    for stage in pipeline.stages.values():
        cfg = stage.load() if stage.kind == 'score' else None
        # Checkpoints of all points are kept, and the target's training set has no labels.
        if cfg:
            interval = cfg.default_hooks.checkpoint.interval
            assert not [point for point in stage.arguments['points'] if point % interval]
            assert max(stage.arguments['points']) == cfg.train_cfg.max_iters
            last_only = len(stage.arguments['points']) == 1
            assert last_only or cfg.default_hooks.checkpoint.max_keep_ckpts == -1
            assert 'seg_map_path' not in cfg.train_dataloader.target.dataset.data_prefix


# ----------------------------------------------------------------------------- metafiles


@pytest.mark.parametrize('method', METHODS)
def test_metafile_lists_cells_of_papers_and_what_we_trained(method: str) -> None:
    """Every file but those that say "Not in the paper"; mim knows no rows."""
    metafile = yaml.safe_load((FOLDER / method / 'metafile.yml').read_text())
    (collection,) = metafile['Collections']
    models = metafile['Models']
    assert sorted(model['Config'] for model in models) == [
        f'configs/{name}'
        for name, path in CONFIGS.items()
        if name.startswith(f'{method}/')
        and not re.search('Not in (a|the) paper', path.read_text().replace('\n# ', ' '))
    ]
    # What `mim search` shows, and `mim download` names in its error.
    assert collection['Metadata']['Weight'] == 'no weights are published; train the config'
    for model in models:
        assert model['Name'] == Path(model['Config']).stem
        assert model['In Collection'] == collection['Name']


def test_model_index_lists_every_metafile() -> None:
    index = yaml.safe_load((FOLDER.parent / 'model-index.yml').read_text())
    assert index['Import'] == [f'configs/{method}/metafile.yml' for method in METHODS]
    assert sorted({name.split('/')[0] for name in CONFIGS} | {'adabn'}) == METHODS


@pytest.mark.parametrize(
    'name', [name for name in CONFIGS if '_base_' not in name and 'cyclegan' not in name]
)
def test_test_time_augmentation(name: str) -> None:
    """Around the size at which the config tests, with labels of the original size."""
    cfg = load(name)
    scales, flips, *rest = cfg.tta_pipeline[-1].transforms
    assert cfg.tta_model.type == 'SegTTAModel'
    assert [flip.prob for flip in flips] == [0.0, 1.0]
    assert [steps[0].type for steps in rest] == ['LoadAnnotations', 'PackSegInputs']
    tested = [
        step.scale
        for _, dataset in iter_datasets(cfg.test_dataloader.dataset)
        for step in dataset.get('pipeline', ())
        if step.type == 'Resize'
    ]
    if 'segmentor' in cfg.model and tested:
        assert scales[2].scale == tested[0]
