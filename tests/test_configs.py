"""Every config of the package: names, arguments, networks, optimizers, what metafiles list."""

from __future__ import annotations

import ast
import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_checks import check_config, check_pipeline
from config_files import ALL, CONFIGS, FOLDER, NAME, PIPELINES, TABLES, load, read
from mmengine.config import Config

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
    'r101-deeplabv2': ('CeilPoolResNet', 'DeepLabV2Head'),
    'vgg16-deeplabv2': ('VGG16DeepLab', 'DeepLabV2Head'),
    'vgg16-fcn8s': ('VGG16FCN', 'FCN8sHead'),
    'mobilenetv2-deeplabv2': ('MobileNetV2', 'DeepLabV2Head'),
    'mobilenetv2-035-deeplabv2': ('MobileNetV2', 'DeepLabV2Head'),
    'mit-b0-segformer': ('MixVisionTransformer', 'SegformerHead'),
    'r50-pspnet': ('ResNetV1c', 'PSPHead'),
    'toy': ('MobileNetV2', 'DeepLabV2Head'),
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


@pytest.mark.parametrize('name', ALL)
def test_sound(name: str) -> None:
    problems = check_config(load(name))
    assert not problems, '\n'.join(['', *problems])


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
    student = cfg.model.get('segmentor', cfg.model)
    head = student.decode_head
    head = head.get('classifier') or head.get('head') or head
    assert (student.backbone.type, head.type) == NETWORKS[match['network']]
    names = match['data'].replace('-', '_').split('2')
    roots = [Path(loader.dataset.data_root).name for loader in loaders]
    assert roots == (names if len(names) == len(loaders) else names * 2)
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


@pytest.mark.usefixtures('_read_once')
@pytest.mark.parametrize('name', PIPELINES)
def test_pipeline(name: str) -> None:
    path, cell = PIPELINES[name]
    problems = check_pipeline(path, cell)
    assert not problems, '\n'.join(['', *problems])
    assert len(path.read_text().splitlines()) <= 110
    assert path.stem == f'{path.parent.name.replace("_", "-")}_pipeline'


@pytest.mark.usefixtures('_read_once')
@pytest.mark.parametrize('name', TABLES)
def test_table_is_a_pipeline(name: str) -> None:
    """Every row is trained and tested, and what it links to is made before."""
    table = TABLES[name]
    pipeline = read_pipeline(table.path)
    tests = [stage for stage in pipeline.stages if stage.endswith('_test')]
    assert tests == [f'{row}_{cell}_test' for row, cell in table.pairs()]
    assert pipeline.context.name == f'{table.path.parent.name}_ablations'
    assert pipeline.context.seed == 0


def test_pipeline_checker_sees_options(tmp_path: Path) -> None:
    stage = dict(name='first', type='train', config=str(CONFIGS[SMALL]))
    path = tmp_path / 'a_pipeline.py'
    path.write_text(f'stages = [{stage}]')
    assert check_pipeline(path) == []
    wrong = {'model.discriminator.in_channels': 7}
    path.write_text(f'stages = [{dict(stage, options=wrong)}]')
    assert any('numbers of classes differ' in problem for problem in check_pipeline(path))
    path.write_text(f'stages = [{dict(stage, options={"model.segmentr": 1})}]')
    (problem,) = check_pipeline(path)
    assert 'CDANet has no key `segmentr`; write `segmentor`' in problem


# --------------------------------------------------------------------- the checker itself

BROKEN: dict[str, tuple[str, Any, str]] = {
    'top level': ('optim_wraper', {}, 'optim_wraper'),
    'model': ('model.segmentr', {}, 'segmentr'),
    'decode head': ('model.segmentor.decode_head.spatial_wieght', 1.0, 'spatial_wieght'),
    'classifier': ('model.segmentor.decode_head.classifier.dilation', 1, 'dilation'),
    'loss': ('model.adversarial_loss.lambda_adv', 1.0, 'lambda_adv'),
    'norm': ('model.segmentor.backbone.norm_cfg.epsilon', 1.0, 'epsilon'),
    'initialisation': ('model.segmentor.backbone.init_cfg.chekpoint', '', 'chekpoint'),
    'loader': ('train_dataloader.source.num_worker', 1, 'num_worker'),
    'data set': ('train_dataloader.source.dataset.img_sufix', '.png', 'img_sufix'),
    'transform': ('train_dataloader.source.dataset.pipeline.2.scal', 1, 'scal'),
    'missing': (
        'train_dataloader.target.dataset.pipeline.1',
        dict(type='LoadPseudoLabels'),
        'pseudo_dir',
    ),
    'unknown type': ('val_dataloader.dataset.pipeline.1.type', 'Resise', 'Resise'),
    'wrong place': ('val_dataloader.dataset.pipeline.1.type', 'IoUMetric', 'IoUMetric'),
    'nowhere': ('env_cfg.extra', dict(type='Resize'), 'env_cfg.extra'),
    'sampler': ('val_dataloader.sampler.shufle', True, 'shufle'),
    'metric': ('val_evaluator.subset', 'camvid11', 'subset'),
    'train loop': ('train_cfg.max_iter', 1, 'max_iter'),
    'test loop': ('test_cfg.fp61', True, 'fp61'),
    'default hook': ('default_hooks.checkpoint.intervall', 1, 'intervall'),
    'custom hook': ('custom_hooks.0.intervall', 1, 'intervall'),
    'visualizer': ('visualizer.vis_backend', [], 'vis_backend'),
    'backend': ('visualizer.vis_backends.0.img_dir', '', 'img_dir'),
    'wrapper': ('model_wrapper_cfg.find_unused', True, 'find_unused'),
    'log': ('log_processor.by_epochs', True, 'by_epochs'),
    'scheduler': ('param_scheduler.0.pwoer', 1.0, 'pwoer'),
    'scheduler of no optimizer': ('param_scheduler', dict(generator=[]), 'generator'),
    'optimizer': ('optim_wrapper.optimizers.student.optimizer.learning_rate', 1.0, 'learning_rate'),
    'optimizer wrapper': ('optim_wrapper.optimizers.student.clip', {}, 'clip'),
    'all optimizers': ('optim_wrapper.accumulate', 2, 'OptimWrapper'),
    'no optimizer': (
        'optim_wrapper.optimizers',
        dict(student=dict(optimizer=dict(type='SGD', lr=0.1))),
        'without optimizer',
    ),
    'parameter rule': (
        'optim_wrapper.optimizers.student.paramwise_cfg.bias_mult',
        2.0,
        'bias_mult',
    ),
    'parameter name': (
        'optim_wrapper.optimizers.student.paramwise_cfg.custom_keys.decode_haed',
        dict(lr_mult=2.0),
        'decode_haed',
    ),
    'parameter setting': (
        'optim_wrapper.optimizers.student.paramwise_cfg.custom_keys.decode_head',
        dict(lr=2.0),
        '`lr`',
    ),
    'target labels': (
        'train_dataloader.target.dataset.pipeline.1.type',
        'LoadAnnotations',
        'labels of the target',
    ),
    'classes': ('model.discriminator.in_channels', 16, 'classes differ'),
}


SAM_LOSS, SAM_MODULE = 'model.regularizers.sam', 'model.regularizers.sam.self_attention'
BROKEN_IN: dict[str, tuple[str, str, Any, str]] = {
    'regulariser': (SAM, f'{SAM_LOSS}.lambda_sa', 0.1, 'lambda_sa'),
    'regularised domains': (SAM, f'{SAM_LOSS}.domains', 'target', 'domains'),
    'self-attention': (SAM, f'{SAM_MODULE}.kernel', 1, 'kernel'),
    "self-attention's classes": (SAM, f'{SAM_MODULE}.in_channels', 16, 'classes differ'),
    'self-attention head': (STAGE_A, 'model.segmentor.decode_head.skipp', False, 'skipp'),
    "head's self-attention": (
        STAGE_A,
        'model.segmentor.decode_head.self_attention.width',
        1,
        'width',
    ),
    'wrapped head': (STAGE_A, 'model.segmentor.decode_head.classifier.brnches', 2, 'brnches'),
    'attended segmentor': (DAST, 'model.segmentor.neckk', {}, 'neckk'),
    'attended type': (DAST, 'model.segmentor.segmentor_type', 'EncoderDecodr', 'EncoderDecodr'),
    'attended part': (DAST, 'model.segmentor.backbone.dept', 101, 'dept'),
    'attention': (DAST, 'model.segmentor.attention.atend', False, 'atend'),
    'attended module': (DAST, 'model.segmentor.attention.attend_at', 'backbone.layer5', 'layer5'),
    'discoverer': (DAST, 'model.segmentor.attention.discriminator.width', 1, 'width'),
    'attention without optimizer': (
        DAST,
        'optim_wrapper.optimizers',
        dict(discriminators=dict(optimizer=dict(type='Adam', lr=0.1))),
        'without optimizer',
    ),
    'selection': (SELECT, 'val_cfg.selecton', {}, 'selecton'),
    "selection's loader": (SELECT, 'val_cfg.selection.beta05.dataloader.worker', 1, 'worker'),
    "selection's data set": (
        SELECT,
        'val_cfg.selection.beta09.dataloader.dataset.sufix',
        '',
        'sufix',
    ),
    "selection's transform": (
        SELECT,
        'val_cfg.selection.beta05.dataloader.dataset.pipeline.1.scal',
        1,
        'scal',
    ),
    "selection's metric": (
        SELECT,
        'val_cfg.selection.beta05.evaluator',
        dict(type='IoUMetric', metrics=1),
        'metrics',
    ),
    'regularised stock head': (STOCK, 'model.decode_head.head.chanels', 1, 'chanels'),
    'stock optimizer': (STOCK, 'optim_wrapper.optimizer.learning_rate', 1.0, 'learning_rate'),
    'stock wrapper': (STOCK, 'optim_wrapper.clip', {}, 'clip'),
    'stock scheduler': (STOCK, 'param_scheduler.0.pwoer', 1.0, 'pwoer'),
    'mixer': (CAMIX, 'model.mixer.warm_up', 1, 'warm_up'),
    'type of mixer': (CAMIX, 'model.mixer.type', 'ContxtMix', 'ContxtMix'),
    "mixer's place": (CAMIX, 'model.mixer.type', 'ConsistencyLoss', 'ConsistencyLoss'),
    'meta-class': (CAMIX, 'model.mixer.meta_classes', {6: (19,)}, 'uses class 19'),
    'strong augmentation': (CAMIX, 'model.augment.colour', 1.0, 'colour'),
    'significance': (CAMIX, 'model.significance.passses', 1, 'passses'),
    'teacher': (CAMIX, 'model.teacher.momentum', 0.01, 'momentum'),
    'consistency': (CAMIX, 'model.consistency.lambda_con', 1.0, 'lambda_con'),
    'expansion head': (PIT, 'model.segmentor.auxiliary_head.units', 3, 'units'),
    "units' classifier": (PIT, 'model.segmentor.auxiliary_head.unit.dilation', 1, 'dilation'),
    "units' classes": (
        PIT,
        'model.segmentor.auxiliary_head.unit.num_classes',
        16,
        'classes differ',
    ),
    'image-level loss': (
        PIT,
        'model.segmentor.auxiliary_head.loss_decode.lambda_c',
        1.0,
        'lambda_c',
    ),
    'reconstruction': (
        PIT,
        'model.segmentor.auxiliary_head.loss_reconstruction.domain',
        (),
        'domain',
    ),
    'image labels': (PIT, 'train_dataloader.target.dataset.pipeline.1.labels', '', 'labels'),
    "image labels' classes": (
        PIT,
        'train_dataloader.target.dataset.pipeline.1.num_classes',
        16,
        'classes differ',
    ),
    'positions': (CAMIX, 'train_dataloader.target.dataset.pipeline.2.hight', 1, 'hight'),
    "target's crop": (
        CAMIX,
        'train_dataloader.target.dataset.pipeline.3.cat_max_ratio',
        0.75,
        'looks at labels of the target',
    ),
    'stock resize': (STOCK, 'train_dataloader.dataset.pipeline.2.keep_ration', True, 'keep_ration'),
}


@pytest.mark.parametrize('case', [*BROKEN, *BROKEN_IN])
def test_checker_finds(case: str) -> None:
    name, path, value, finding = BROKEN_IN[case] if case in BROKEN_IN else (SMALL, *BROKEN[case])
    cfg = copy.deepcopy(load(name))
    *parents, last = path.split('.')
    node: Any = cfg
    for key in parents:
        node = node[int(key) if isinstance(node, (list, tuple)) else key]
    node[int(last) if isinstance(node, list) else last] = value
    assert finding in '\n'.join(check_config(cfg))


def test_checker_finds_all_at_once() -> None:
    cfg = copy.deepcopy(load(SMALL))
    cfg.train_cfg.max_iter = cfg.default_hooks.timer.interval = 1
    cfg.model.discriminator.kernel = 3
    found = '\n'.join(check_config(cfg))
    assert all(key in found for key in ('`max_iter`', '`interval`', '`kernel`'))


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
    for model in models:
        assert model['Name'] == Path(model['Config']).stem
        assert model['In Collection'] == collection['Name']


def test_model_index_lists_every_metafile() -> None:
    index = yaml.safe_load((FOLDER.parent / 'model-index.yml').read_text())
    assert index['Import'] == [f'configs/{method}/metafile.yml' for method in METHODS]
    assert sorted({name.split('/')[0] for name in CONFIGS} | {'adabn'}) == METHODS
