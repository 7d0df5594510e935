"""Mistakes in configs are found at their key paths; sound configs pass; nothing leaves a trace."""

from __future__ import annotations

import copy
import random
import re
import sys
from pathlib import Path
from typing import Any

import mmseg
import numpy as np
import pytest
import torch
import toys
from config_files import CONFIGS, load
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmseg.models.backbones import MobileNetV2

from mmseg_uda.config.check import check_config, require_sound
from mmseg_uda.config.options import merge_options
from mmseg_uda.config.places import RUNNER_NAMES
from mmseg_uda.config.problems import ConfigError, Problem
from mmseg_uda.structures import DOMAINS

SMALL = 'cdanet/cdanet_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180.py'
SAM = 'sam/sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py'
STAGE_A = SAM.replace('.py', '_attention.py')
STOCK = 'sam/sam_r50-pspnet_4xb2-40k_cityscapes-1024x512.py'
DAST = 'dast/dast_r101-deeplabv2_1xb1-150k_gta2cityscapes-1280x720.py'
SELECT = DAST.replace('.py', '_select.py')
PIT = 'pit/pit_r101-deeplabv2_1xb4-200k_gta2cityscapes-1280x640.py'
CAMIX = 'camix/camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py'

# Names that shipped configs give to parts of themselves; any other that nothing reads is a mistake.
OWN_NAMES = re.compile(
    r'\w*_pipeline|\w*scale|\w+_root|\w+_dir|\w+_type|vis_backends|segmentor'
    r'|conditions|crop_size|data_preprocessor|img_ratios|norm_cfg|optimizer|pipeline|source|student|target|tta_model'
)
# Key path, wrong value, what the problem says.
BROKEN: dict[str, tuple[str, Any, str]] = {
    'top level': ('optim_wraper', {}, 'optim_wraper'),
    'model': ('model.segmentr', {}, 'segmentr'),
    'decode head': ('model.segmentor.decode_head.spatial_wieght', 1.0, 'spatial_wieght'),
    'classifier': ('model.segmentor.decode_head.classifier.dilation', 1, 'dilation'),
    'loss': ('model.adversarial_loss.lambda_adv', 1.0, 'lambda_adv'),
    'norm': ('model.segmentor.backbone.norm_cfg.epsilon', 1.0, 'epsilon'),
    'initialisation': ('model.segmentor.backbone.init_cfg.chekpoint', '', 'chekpoint'),
    'loader': ('train_dataloader.source.num_worker', 1, 'num_worker'),
    'dataset': ('train_dataloader.source.dataset.img_sufix', '.png', 'img_sufix'),
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
        'but got none for 30',
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
        "'lr'",
    ),
    'target labels': (
        'train_dataloader.target.dataset.pipeline.1.type',
        'LoadAnnotations',
        'labels of the target',
    ),
    'classes': ('model.discriminator.in_channels', 16, 'classes differ'),
}


# Arguments that exist, of a wrong type or out of range.
WRONG_VALUES: dict[str, tuple[str, Any, str]] = {
    'iterations': ('train_cfg.max_iters', 'many', "expected an integer from 1 on, but got 'many'"),
    'no iterations': ('train_cfg.max_iters', 0, 'expected an integer from 1 on, but got 0'),
    'half an iteration': ('train_cfg.max_iters', 1.5, 'expected an integer from 1'),
    'validation': ('train_cfg.val_interval', True, 'expected an integer from 1 on, but got True'),
    'batch size': ('train_dataloader.source.batch_size', 0, 'expected an integer from 1'),
    'workers': ('val_dataloader.num_workers', -1, 'expected an integer from 0'),
    'workers that persist': ('train_dataloader.source.num_workers', 0, 'persistent_workers'),
    'broken samples': ('train_dataloader.source.skip_broken', -1, 'an integer of at least 0'),
    'broken or not': ('train_dataloader.target.skip_broken', True, 'at least 0, but got True'),
    'broken samples of validation': ('val_dataloader.skip_broken', 1, 'DataLoader has no argument'),
    'learning rate': ('optim_wrapper.optimizers.student.optimizer.lr', '1e-3', 'expected a number'),
    'decay': ('optim_wrapper.optimizers.student.optimizer.weight_decay', -1, 'a number from 0 on'),
    'scheduler': ('param_scheduler.0.begin', -1, 'expected an integer from 0'),
    'hook': ('default_hooks.checkpoint.interval', 'often', 'expected an integer from -1'),
    'our hook': ('custom_hooks.0.interval', 0, 'UDAVisualizationHook.interval'),
    "our hook's type": (
        'custom_hooks.0.interval',
        '50',
        "expected an integer from -1 on, but got '50'",
    ),
    'crop': ('train_dataloader.source.dataset.pipeline.2.scale', (480, '240'), 'scale: expected'),
    'probability': (
        'train_dataloader.source.dataset.pipeline.3.prob',
        2,
        'expected a number from 0 to 1',
    ),
    'weight': (
        'model.adversarial_loss.loss_weight',
        '0.001',
        "expected a number from 0 on, but got '0.001'",
    ),
    'mode': ('model.adversarial_loss.mode', 'bxe', 'bxe'),
    'flag': ('model.channels_last', 'yes', "expected bool, but got 'yes'"),
    'sequence': ('model.discriminator.channels', 64, 'expected Sequence[int], but got 64'),
    'elements': ('model.discriminator.channels', (64, '128'), 'expected Sequence[int]'),
    'type of the classes': (
        'model.segmentor.decode_head.classifier.num_classes',
        '11',
        'num_classes',
    ),
    'index': ('model.segmentor.decode_head.classifier.in_index', 'x', 'in_index: expected int'),
    'test mode': ('model.segmentor.test_cfg.mode', 'wohle', "expected one of ('whole', 'slide'"),
    'initialiser': ('model.segmentor.backbone.init_cfg.type', 'Pretraind', "write 'Pretrained'"),
    'step': ('val_dataloader.dataset.pipeline.0', 'Resize', "write dict(type='Resize')"),
    'domain': ('train_dataloader.source', 'x', 'source: expected '),
    'part': ('model.segmentor', 'EncoderDecoder', 'segmentor: expected'),
    'whole part': ('optim_wrapper', 'SGD', 'optim_wrapper: expected'),
    'flag of the runner': ('resume', 'yes', "resume: expected bool, but got 'yes'"),
    'list': ('custom_hooks', 3, 'custom_hooks: expected'),
    'best of no metric': (
        'default_hooks.checkpoint.save_best',
        'mIuO',
        "no validation computes 'mIuO'; write 'mIoU'",
    ),
    'NaN': (
        'optim_wrapper.optimizers.student.optimizer.momentum',
        float('nan'),
        'expected float, but got nan',
    ),
    'negative weight': (
        'model.adversarial_loss.disc_weight',
        -0.5,
        'AdversarialLoss.disc_weight: expected a number in [0, inf), but got -0.5',
    ),
    'seed': ('randomness', dict(sead=3), "has no argument 'sead'; write 'seed'"),
    'negative seed': ('randomness', dict(seed=-1), 'expected an integer from 0 to 4294967295'),
    'environment': ('env_cfg.cudnn_benchmrk', True, "write 'cudnn_benchmark'"),
    'no type': ('default_hooks.extra', dict(interval=1), "expected a dict with 'type'"),
    'transform of batches': (
        'val_dataloader.dataset.pipeline.1.type',
        'ClassMix',
        "write model.mixer=dict(type='ClassMix', ...)",
    ),
    'augmentation of batches': (
        'val_dataloader.dataset.pipeline.1.type',
        'StrongAugment',
        "write model.augment=dict(type='StrongAugment', ...)",
    ),
    'whole part in a list': ('train_cfg', [dict(max_iters=1)], 'remove the brackets around it'),
    'loader in a list': ('train_dataloader', [dict(source={})], 'remove the brackets around it'),
    'part in a list': (
        'optim_wrapper.optimizers.student',
        [dict(optimizer=dict(type='SGD', lr=0.1))],
        'expected a dict, but got a list',
    ),
    'number for a part': ('log_processor', 3, 'expected a dict, but got 3; write dict(...)'),
    'no step': ('val_dataloader.dataset.pipeline.0', None, 'expected a dict, but got None'),
    'no steps': ('val_dataloader.dataset.pipeline', None, 'expected a value, but got None'),
    'no directories': (
        'val_dataloader.dataset.data_prefix',
        None,
        'expected a value, but got None',
    ),
    'no dataset': ('val_dataloader.dataset', None, 'expected a dict, but got None; write it'),
    'no update': ('optim_wrapper.optimizers.student.optimizer', None, 'a dict, but got None'),
    'no target': ('train_dataloader.target', None, 'expected images of the target, but got none'),
    'loader of one domain': (
        'train_dataloader',
        dict(batch_size=2, dataset=dict(type='GTADataset')),
        'expected the keys source and target, as CDANet trains on two domains, but got '
        'batch_size, dataset',
    ),
    'directory': (
        'val_dataloader.dataset.data_prefix',
        dict(img_path='images', seg_path='labels'),
        "CityscapesDataset.data_prefix has no 'seg_path'; write 'seg_map_path'",
    ),
    'directory of images': (
        'train_dataloader.target.dataset.data_prefix',
        dict(seg_map_path=''),
        'expected the directory of the images, but got none',
    ),
    'directory of labels': (
        'train_dataloader.source.dataset.data_prefix.seg_map_path',
        None,
        'expected the directory of the labels that LoadAnnotations loads, but got none',
    ),
    'no directory': (
        'train_dataloader.source.dataset.data_prefix.img_path',
        dict(type='Path'),
        "expected a directory, but got {'type': 'Path'}",
    ),
    'interpolation': (
        'train_dataloader.source.dataset.pipeline.2.interpolation',
        'biliner',
        "expected one of ('nearest', 'bilinear',",
    ),
    'backend of a transform': (
        'train_dataloader.source.dataset.pipeline.2.backend',
        'pil',
        "expected one of ('cv2', 'pillow'), but got 'pil'",
    ),
    'dict for a size': (
        'train_dataloader.source.dataset.pipeline.2.scale',
        dict(type='Fixed'),
        "scale: expected Union[int, Tuple[int, int], None], but got {'type': 'Fixed'}",
    ),
    'dict for a flag': ('val_dataloader.pin_memory', dict(type='Pin'), 'pin_memory: expected bool'),
    'dict for a suffix': ('val_dataloader.dataset.img_suffix', dict(type='Png'), 'expected str'),
    'several numbers of workers': ('val_dataloader.num_workers', [1], 'from 0 on, but got [1]'),
    'initialiser of no layer': (
        'model.segmentor.decode_head.classifier.init_cfg',
        dict(type='Normal', std=0.01, layer='Con2d'),
        "no layer is called 'Con2d'; write 'Conv2d'",
    ),
    'initialiser without a type': (
        'model.segmentor.decode_head.classifier.init_cfg',
        dict(tpye='Normal'),
        "expected a dict with 'type', but got the keys tpye",
    ),
    'negative factor': (
        'optim_wrapper.optimizers.student.paramwise_cfg.custom_keys.decode_head.lr_mult',
        -1.0,
        'expected a number from 0 on, but got -1.0',
    ),
    'slide with one number': (
        'model.segmentor.test_cfg',
        dict(mode='slide', crop_size=(32, 32), stride=16),
        'expected two integers, but got 16; write (H, W)',
    ),
    'hook of nearly that name': (
        'default_hooks.chekpoint',
        dict(type='CheckpointHook'),
        "nothing reads this name; write 'checkpoint'",
    ),
    'type of the wrapper': ('model_wrapper_cfg', dict(tpye='DDP'), "has no argument 'tpye'"),
    'test-time steps of nearly that name': ('tta_pipline', [], "write 'tta_pipeline'"),
    "dataset's classes": (
        'val_dataloader.dataset.metainfo',
        dict(classes=('road', 'car')),
        'numbers of classes differ: expected 19, as',
    ),
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
    'attended test mode': (
        DAST,
        'model.segmentor.test_cfg.mode',
        'wohle',
        "expected one of ('whole'",
    ),
    'attended part': (DAST, 'model.segmentor.backbone.dept', 101, 'dept'),
    'attention': (DAST, 'model.segmentor.attention.atend', False, 'atend'),
    'attended module': (DAST, 'model.segmentor.attention.attend_at', 'backbone.layer5', 'layer5'),
    'discoverer': (DAST, 'model.segmentor.attention.discriminator.width', 1, 'width'),
    'attention without optimizer': (
        DAST,
        'optim_wrapper.optimizers',
        dict(discriminators=dict(optimizer=dict(type='Adam', lr=0.1))),
        'but got none for 120',
    ),
    'best of no set': (
        SELECT,
        'default_hooks.checkpoint.save_best',
        ['beta05/mIoU', 'beta06/mIoU'],
        "no validation computes 'beta06/mIoU'",
    ),
    'selection': (SELECT, 'val_cfg.selecton', {}, 'selecton'),
    "selection's loader": (SELECT, 'val_cfg.selection.beta05.dataloader.worker', 1, 'worker'),
    "selection's dataset": (
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
    'meta-class': (CAMIX, 'model.mixer.meta_classes', {6: (19,)}, 'got class 19'),
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
    'a crop of an image with soft labels': (
        'proda/proda_r101-deeplabv2gn_1xb4-62k_gta2cityscapes-896x512_stage1.py',
        'train_dataloader.target.dataset.pipeline.2',
        dict(type='RandomCrop', crop_size=(8, 8)),
        'LoadSoftLabels loads labels of whole images, which RandomCrop does not move; remove it',
    ),
    'stock resize': (STOCK, 'train_dataloader.dataset.pipeline.2.keep_ration', True, 'keep_ration'),
}


def find(name: str, path: str, value: Any) -> list[Problem]:
    """Problems of a config after one change."""
    cfg = copy.deepcopy(load(name))
    *parents, last = path.split('.')
    node: Any = cfg
    for key in parents:
        node = node[int(key) if isinstance(node, (list, tuple)) else key]
    node[int(last) if isinstance(node, list) else last] = value
    return check_config(cfg)


@pytest.mark.parametrize('case', [*BROKEN, *BROKEN_IN])
def test_broken_config(case: str) -> None:
    name, path, value, finding = BROKEN_IN[case] if case in BROKEN_IN else (SMALL, *BROKEN[case])
    problem = next(each for each in find(name, path, value) if finding in str(each))
    assert problem.path.startswith(path.rpartition('.')[0])


@pytest.mark.parametrize('case', WRONG_VALUES)
def test_wrong_value(case: str) -> None:
    path, value, finding = WRONG_VALUES[case]
    problem = next(each for each in find(SMALL, path, value) if finding in str(each))
    assert problem.path.startswith(path.rpartition('.')[0]) or path.startswith(problem.path)


ZOO = Path(mmseg.__file__).parent / '.mim/configs'
# Packages and operators that are not installed, and faults of mmseg's own configs.
EXCUSED = re.compile(
    '[Ii]nstall|mmdet|(Mask2|Mask)FormerHead has no argument|^models: nothing reads this name'
    '|mean` should have 1 or 3 values, .* but got 6|bgr_to_rgb` should be a boolean'
    '|classes differ: expected 20, as model.decode_head.num_classes has, but got 21'
)


@pytest.mark.slow
@pytest.mark.parametrize('family', sorted(each.name for each in ZOO.glob('[!_]*')))
def test_configs_of_mmseg_are_sound(family: str) -> None:
    for path in sorted((ZOO / family).glob('*.py')):
        try:
            cfg = Config.fromfile(path)
        except ImportError:
            continue  # of another toolbox
        for problem in check_config(cfg):
            assert EXCUSED.search(str(problem)), f'{path.name}: {problem}'


def test_all_mistakes_at_once() -> None:
    cfg = copy.deepcopy(load(SMALL))
    cfg.train_cfg.max_iter = cfg.default_hooks.timer.interval = 1
    cfg.model.discriminator.kernel = 3
    cfg.model.segmentor.decode_head.classifier.num_clases = 11
    cfg.model.adversarial_loss.mode = 'bxe'
    with pytest.raises(ConfigError) as error:
        require_sound(cfg)
    assert str(error.value).splitlines() == [
        'model.segmentor.decode_head.classifier.num_clases: DeepLabV2Head has no argument '
        "'num_clases'; write 'num_classes'",
        "model.discriminator.kernel: FCDiscriminator has no argument 'kernel'; write 'kernel_size'",
        "model.adversarial_loss.mode: AdversarialLoss.mode: expected one of ('bce', "
        "'least_squares'), but got 'bxe'",
        "train_cfg.max_iter: UDATrainLoop has no argument 'max_iter'; write 'max_iters'",
        "default_hooks.timer.interval: IterTimerHook has no argument 'interval'; remove it",
    ]


@pytest.mark.parametrize('name', CONFIGS)
def test_shipped_configs_use_every_name(name: str) -> None:
    own = [key for key in load(name) if key not in RUNNER_NAMES and not OWN_NAMES.fullmatch(key)]
    assert not own


def test_auxiliary_head_of_other_classes() -> None:
    head = dict(type='FCNHead', in_channels=8, channels=4, num_convs=1, num_classes=4)
    model = dict(toys.segmentor_cfg(), auxiliary_head=head)
    assert check_config(dict(model=model)) == []
    head['num_classes'] = 5
    (problem,) = check_config(dict(model=model))
    assert problem.path == 'model.auxiliary_head.num_classes'
    assert 'expected 4, as model.decode_head.num_classes has, but got 5' in problem.message


METHOD, SEGMENTOR = toys.METHODS['source_only'], toys.segmentor_cfg()
UDA, STOCK_LOOP = (
    dict(type='UDATrainLoop', max_iters=1),
    dict(type='IterBasedTrainLoop', max_iters=1),
)


@pytest.mark.parametrize(
    ('model', 'loop', 'message'),
    [
        (METHOD, UDA, None),
        (SEGMENTOR, STOCK_LOOP, None),
        (SEGMENTOR, UDA, 'expected a loop of mmengine, as EncoderDecoder trains on one domain'),
        (METHOD, STOCK_LOOP, 'as SourceOnly trains on two domains, but got IterBasedTrainLoop; '),
        (METHOD, dict(by_epoch=True, max_epochs=1), 'domains, but got EpochBasedTrainLoop; '),
        (dict(type='ToyBackbone'), UDA, None),  # a user's own
    ],
)
def test_model_and_loop(model: dict[str, Any], loop: dict[str, Any], message: str | None) -> None:
    problems = check_config(dict(model=model, train_cfg=loop))
    found = [each for each in problems if each.path == 'train_cfg']
    assert len(found) == (message is not None)
    assert all(message in each.message for each in found if message)


@pytest.mark.filterwarnings('ignore:"confidence" is deprecated')
def test_old_names_pass() -> None:
    model = copy.deepcopy(toys.METHODS['mean_teacher'])
    hooks = [dict(type='EMATeacherHook')]
    model['confidence'] = model.pop('label_weight')
    assert check_config(dict(model=model, custom_hooks=hooks)) == []
    model['confidance'] = model.pop('confidence')
    (problem,) = check_config(dict(model=model, custom_hooks=hooks))
    assert problem.path == 'model.confidance'


def test_constructor_of_mmseg() -> None:
    """Refused beside a method, which it would give one rate; the student may have it."""
    name = 'LearningRateDecayOptimizerConstructor'
    paramwise = dict(decay_rate=0.9, decay_type='layer_wise', num_layers=12)
    optimizer = dict(optimizer=dict(type='SGD', lr=0.1), paramwise_cfg=paramwise)
    wrapper = dict(optimizer, constructor=name)
    (problem,) = check_config(dict(model=METHOD, optim_wrapper=wrapper))
    assert problem.path == 'optim_wrapper.constructor'
    assert 'does not find the layers of SourceOnly' in problem.message
    joint = dict(constructor='JointOptimWrapperConstructor', optimizers=dict(student=wrapper))
    (problem,) = check_config(dict(model=METHOD, optim_wrapper=joint))
    assert 'with ToyBackbone by' in problem.message  # only the backbone is unknown to it


@pytest.mark.parametrize(
    ('scale', 'in_channels', 'findings'),
    [
        (dict(mean=[120.0] * 3), 3, []),
        (
            dict(mean=[9000.0]),
            4,
            [
                ('source', 'PhotoMetricDistortion: expected images of 8 bits, but got data_prepro'),
                ('source', 'PhotoMetricDistortion: expected images of 3 channels, but got back'),
                ('model.augment', 'StrongAugment: expected images of 8 bits, but got data_'),
                ('target', 'FourierAmplitudeMix: expected images of 8 bits, but got data_'),
                ('target', 'FourierAmplitudeMix: expected images of 3 channels, but got backbone'),
            ],
        ),
        (
            dict(source=dict(mean=[9000.0]), target=dict(mean=[120.0])),
            3,
            [('source', 'PhotoMetricDistortion: expected images of 8 bits')],
        ),
    ],
)
def test_transforms_for_other_images(
    scale: dict[str, Any], in_channels: int, findings: list[tuple[str, str]]
) -> None:
    stock = dict(type='SegDataPreProcessor', std=[50.0])
    kind = dict(type='UDADataPreprocessor') if 'source' in scale else stock
    own = {key: dict(stock, **each) if key in DOMAINS else each for key, each in scale.items()}
    model = dict(data_preprocessor=dict(kind, **own), augment=dict(type='StrongAugment'))
    model['backbone'] = dict(type='MixVisionTransformer', in_channels=in_channels)
    steps = dict(
        source=dict(type='PhotoMetricDistortion'),
        target=dict(type='FourierAmplitudeMix', style_dir='x', beta=0.1),
    )
    loaders = {
        domain: dict(dataset=dict(type='BaseSegDataset', pipeline=[step]))
        for domain, step in steps.items()
    }
    problems = [
        problem
        for problem in check_config(dict(model=model, train_dataloader=loaders))
        if 'expected images' in problem.message
    ]
    assert len(problems) == len(findings)
    for place, finding in findings:
        assert any(place in each.path and each.message.startswith(finding) for each in problems)


@pytest.mark.parametrize(
    ('evaluator', 'found', 'missing'),
    [
        (dict(type='IoUMetric'), ['aAcc', 'mAcc'], ['mDice', 'IoU']),
        (dict(type='IoUMetric', iou_metrics=['mFscore'], prefix='val'), ['val/mRecall'], ['mIoU']),
        (
            [dict(type='SubsetIoUMetric', subsets=['synthia16']), dict(type='EntropyMetric')],
            ['mIoU_synthia16', 'entropy/all'],
            ['mIoU_synthia13', 'all'],
        ),
        (dict(type='SubsetIoUMetric', per_class=True), ['IoU_road'], ['Dice_road']),
        (dict(type='Evaluator', metrics=[dict(type='IoUMetric')]), ['mIoU'], ['mIuO']),
        (dict(type='DepthMetric'), ['rmse', 'anything'], []),
    ],
)
def test_metrics_that_hooks_wait_for(evaluator: Any, found: list[str], missing: list[str]) -> None:
    best = dict(type='CheckpointHook', interval=1, rule='greater', save_best=found + missing)
    cfg = dict(val_evaluator=evaluator, default_hooks=dict(checkpoint=best))
    stop = dict(type='EarlyStoppingHook', monitor='mIuO', rule='greater')
    messages = [problem.message for problem in check_config({**cfg, 'custom_hooks': [stop]})]
    expected = [f'no validation computes {name!r}' for name in missing]
    assert [message.split(';')[0] for message in messages[: len(missing)]] == expected
    assert any("'mIuO'" in message for message in messages) == bool(missing)


def test_datasets_that_name_their_classes(tmp_path: Path) -> None:
    cfg = toys.runner_cfg(tmp_path / 'data', tmp_path, toys.method_cfg('source_only'))
    assert check_config(cfg) == []
    cfg.train_dataloader.target.dataset.metainfo = dict(classes=('a', 'b'))
    (problem,) = check_config(cfg)
    assert problem.path == 'train_dataloader.target.dataset'
    assert 'but got 2; write 4' in problem.message


# ------------------------------------------------------------------------ what must pass


USER_CODE = """
from mmengine.hooks import Hook
from mmengine.model import BaseModule
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, HOOKS, MODELS, TRANSFORMS
from torch import nn

@MODELS.register_module(force=True)
class UserBackbone(BaseModule):
    def __init__(self, width, *sizes, **options):
        super().__init__()
        self.layer = nn.Conv2d(3, options.get('channels', 8), 3)
        self.rest = dict(**options)

@DATASETS.register_module(force=True)
class UserDataset(BaseSegDataset):
    METAINFO = dict(classes=tuple('abcd'))
    def __init__(self, listing: str = '', **kwargs):
        kwargs.pop('scenes', None)
        super().__init__(img_suffix='.png', **kwargs)

@TRANSFORMS.register_module(force=True)
class UserTransform:
    def __init__(self, *args, **kwargs):
        raise RuntimeError('not to be built')

@HOOKS.register_module(force=True)
class UserHook(Hook):
    def __init__(self, part: int = None, prob: float = 0.5, **anything):
        self.anything = anything
"""


@pytest.fixture
def user_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Parts of a user's module, which the config imports."""
    (tmp_path / 'user_code.py').write_text(USER_CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'user_code', raising=False)
    pipeline = [dict(type='UserTransform', size=3), dict(type='PackSegInputs')]
    dataset = dict(type='UserDataset', listing='a.txt', scenes=3, data_root='x', pipeline=pipeline)
    model = toys.segmentor_cfg()
    model['backbone'] = dict(type='UserBackbone', width=8, channels=8, depth=1)
    return dict(
        custom_imports=dict(imports=['user_code']),
        my_variable=1,
        model=model,
        train_dataloader=dict(batch_size=1, dataset=dataset, sampler=dict(type='DefaultSampler')),
        custom_hooks=[dict(type='UserHook', part=None, prob=50, loss=dict(type='Unknown', x=1))],
    )


def test_classes_of_users_pass(user_config: dict[str, Any]) -> None:
    assert check_config(user_config) == []


def test_mistakes_for_classes_of_users(user_config: dict[str, Any]) -> None:
    user_config['train_dataloader']['dataset']['img_sufix'] = '.png'
    user_config['model']['backbone'].pop('width')
    backbone, dataset = check_config(user_config)
    assert backbone.path == 'model.backbone'
    assert backbone.message == "UserBackbone needs argument: 'width'; write it"
    assert str(dataset) == (
        "train_dataloader.dataset.img_sufix: UserDataset has no argument 'img_sufix'; "
        "write 'img_suffix'"
    )
    user_config['custom_imports']['imports'] = ['no_such_module']
    (problem,) = check_config(user_config)
    assert problem.path == 'custom_imports'


def test_classes_instead_of_names() -> None:
    cfg = copy.deepcopy(load(SMALL).to_dict())
    cfg['model']['segmentor']['backbone']['type'] = MobileNetV2
    assert check_config(cfg) == []
    cfg['model']['segmentor']['backbone']['widen_fctor'] = 1
    (problem,) = check_config(cfg)
    assert "MobileNetV2 has no argument 'widen_fctor'; write 'widen_factor'" in problem.message


def test_check_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.chdir(tmp_path)
    managers = (DefaultScope, MMLogger, MessageHub)
    instances = [dict(manager._instance_dict) for manager in managers]
    cfg = copy.deepcopy(load(CAMIX))
    content = cfg.to_dict()
    state = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    cfg.model.mixer.share = 2  # and an error leaves none, either
    assert check_config(cfg)
    cfg.model.mixer.share = content['model']['mixer']['share']
    assert check_config(cfg) == []
    assert cfg.to_dict() == content
    assert random.getstate() == state[0]
    assert np.random.get_state()[1].tolist() == state[1]
    assert torch.equal(torch.get_rng_state(), state[2])
    assert [dict(manager._instance_dict) for manager in managers] == instances
    assert capfd.readouterr() == ('', '')
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ('key', 'finding'),
    [
        ('model.segmentr.backbone', "CDANet has no argument 'segmentr'; write 'segmentor'"),
        ('param_scheduler.1.power', "param_scheduler has no item '1'; write a number below 1"),
        ('randomness.seed.x.y', 'randomness.seed is 0, which has no parts; shorten the path'),
        ('optim_wraper', "nothing reads 'optim_wraper'; write 'optim_wrapper'"),
        ('anything', "nothing reads 'anything'"),
        ('test_dataloader.dataset.data_prefix.img_pth', "has no 'img_pth'; write 'img_path'"),
        ('default_hooks.chekpoint.interval', "no 'chekpoint'; write 'checkpoint'"),
        (3, 'expected a dotted key path'),
    ],
)
def test_option_without_a_place(key: Any, finding: str) -> None:
    cfg = copy.deepcopy(load(SMALL))
    cfg.randomness = dict(seed=0)
    try:
        merge_options(cfg, {key: 1})
        problems = check_config(cfg)
    except ConfigError as error:
        problems = error.problems
    assert any(finding in str(problem) for problem in problems)


def test_option_below_a_dict_of_numbers() -> None:
    """mmengine's paths are strings, so they cannot name its items."""
    cfg = copy.deepcopy(load(CAMIX))
    finding = 'model.mixer.meta_classes has keys that are no strings, such as 6; write the whole'
    with pytest.raises(ConfigError, match=finding):
        merge_options(cfg, {'model.mixer.meta_classes.7': (5,)})
    other = {'model.mixer.meta_classes': {1: (2,)}}
    with pytest.raises(ConfigError, match=r"meta_classes: cannot be merged \(.*; add '_delete_'"):
        merge_options(cfg, other)
    merge_options(cfg, {key: {**value, '_delete_': True} for key, value in other.items()})
    assert cfg.model.mixer.to_dict()['meta_classes'] == {1: (2,)}


def test_options_that_have_a_place() -> None:
    cfg = copy.deepcopy(load(SMALL))
    merge_options(
        cfg,
        {
            'randomness.seed': 1,
            'model.segmentor.test_cfg.mode': 'whole',
            'param_scheduler.0.power': 2.0,
            'load_from': 'a.pth',
            'model.segmentor.backbone.init_cfg': None,
            'model.segmentor.decode_head.classifier.init_cfg': dict(
                type='Normal', std=0.01, layer=['Conv2d', '_BatchNorm', 'DepthwiseSeparableASPP']
            ),
            'model.discriminator.init_cfg': {},
        },
    )
    merge_options(cfg, {'model.segmentor.backbone.init_cfg': dict(type='Kaiming', layer='Conv2d')})
    require_sound(cfg)
    assert cfg.model.segmentor.backbone.init_cfg == dict(type='Kaiming', layer='Conv2d')
    assert (cfg.randomness.seed, cfg.param_scheduler[0].power) == (1, 2.0)


def test_options_with_names_of_the_users_own() -> None:
    """They may resemble those that are there."""
    regularizers = dict(sam=dict(type='SAM', weight=1.0))
    rates = dict(custom_keys=dict(norm=dict(lr_mult=0.5)))
    cfg = Config(
        dict(model=dict(regularizers=regularizers), optim_wrapper=dict(paramwise_cfg=rates))
    )
    place = 'model.regularizers'
    merge_options(cfg, {f'{place}.sam2': dict(type='SAM')})
    merge_options(cfg, {f'{place}.sam3.weight': 2.0, f'{place}.sam3.type': 'SAM'})
    merge_options(cfg, {'optim_wrapper.paramwise_cfg.custom_keys.norms.lr_mult': 0.1})
    assert [*cfg.model.regularizers] == ['sam', 'sam2', 'sam3']
    assert cfg.model.regularizers.sam3 == dict(type='SAM', weight=2.0)
    assert cfg.optim_wrapper.paramwise_cfg.custom_keys.norms == dict(lr_mult=0.1)
    with pytest.raises(ConfigError, match="model.regularizers has no 'saam'; write 'sam'"):
        merge_options(cfg, {f'{place}.saam.weight': 2.0})


def test_strong_views_are_of_eight_bits_and_three_channels() -> None:
    """RandAugment clamps pixels to 0..255, wherever a method has it."""
    path = 'configs/proda/proda_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180'
    cfg = Config.fromfile(toys.ROOT / f'{path}_stage2.py')
    assert not any('strong_view' in problem.path for problem in check_config(cfg))
    cfg.model.segmentor.data_preprocessor.update(mean=[3000.0] * 3, std=[1000.0] * 3)
    cfg.model.segmentor.backbone.in_channels = 4
    found = [problem.message for problem in check_config(cfg) if 'strong_view' in problem.path]
    assert any('expected images of 8 bits' in text for text in found)
    assert any('expected images of 3 channels' in text for text in found)
