"""Tiny networks, data and runners that tests share."""

from __future__ import annotations

import copy
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Iterator

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import MODELS, RUNNERS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_uda.artifacts.image_labels import ImageLabels
from mmseg_uda.artifacts.pseudo_labels import Manifest, write_soft_label
from mmseg_uda.models.contexts import MaskableTokens
from mmseg_uda.models.uda import MeanTeacher
from mmseg_uda.structures import DomainBatch, Losses, TeacherPrediction

ROOT = Path(__file__).parents[1]
NUM_CLASSES = 4
SIZE = (32, 48)  # height, width
METAINFO = dict(classes=tuple('abcd'), palette=[[i, i, i] for i in range(4)])


def load_script(path: str | Path) -> ModuleType:
    """A script as a module.

    Args:
        path: Relative to the repository's root, or absolute.
    """
    path = ROOT / path
    spec = importlib.util.spec_from_file_location(f'script_{path.stem}', path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # so that what it defines can be pickled
    spec.loader.exec_module(module)
    return module


class Payload:
    """An object that creates a file when it is unpickled, in place of something worse."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), 'w')


@MODELS.register_module(force=True)
class ToyBackbone(BaseModule):
    """Two strided convolutions; GroupNorm by default, so that batches can be split exactly."""

    def __init__(
        self,
        channels: int = 8,
        batch_norm: bool = False,
        dropout: float = 0.0,
        two_levels: bool = False,
        tokens: bool = False,
    ) -> None:
        super().__init__(init_cfg=dict(type='Kaiming', layer='Conv2d'))
        norm = nn.BatchNorm2d(channels) if batch_norm else nn.GroupNorm(2, channels)
        self.stem = nn.Conv2d(3, channels, 3, 2, 1)
        self.norm = norm
        self.layer = nn.Conv2d(channels, channels, 3, 2, 1)
        self.dropout = nn.Dropout2d(dropout)
        self.two_levels = two_levels
        self.tokens = MaskableTokens(nn.Identity()) if tokens else None

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        embedded = self.stem(x)
        if self.tokens is not None:
            embedded = self.tokens(embedded.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        first = self.norm(embedded).relu()
        last = self.dropout(self.layer(first).relu())
        return (first, last) if self.two_levels else (last,)


def segmentor_cfg(head: dict[str, Any] | None = None, **backbone: Any) -> dict[str, Any]:
    """An EncoderDecoder of less than 2k parameters."""
    classifier = dict(
        type='DeepLabV2Head',
        in_channels=8,
        in_index=-1,
        num_classes=NUM_CLASSES,
        dilations=(1, 2),
        loss_decode=dict(type='PixelCrossEntropyLoss'),
    )
    return dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[127.0] * 3, std=[64.0] * 3, size_divisor=1
        ),
        backbone=dict(type='ToyBackbone', **backbone),
        decode_head=head or classifier,
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )


def two_level_cfg() -> dict[str, Any]:
    """A student with a second classifier, on earlier features."""
    segmentor = segmentor_cfg(two_levels=True)
    loss = dict(type='PixelCrossEntropyLoss', loss_weight=0.1)
    return dict(
        segmentor, auxiliary_head=dict(segmentor['decode_head'], in_index=0, loss_decode=loss)
    )


def attention_head_cfg(**kwargs: Any) -> dict[str, Any]:
    """CDANet's head around the toy classifier."""
    return dict(
        type='CrossDomainAttentionHead',
        in_channels=8,
        reduction=2,
        classifier=segmentor_cfg()['decode_head'],
        **kwargs,
    )


def attended_cfg(**attention: Any) -> dict[str, Any]:
    """DAST's student."""
    discoverer = dict(type='FCDiscriminator', in_channels=8, channels=(4,), kernel_size=3, stride=1)
    return dict(
        segmentor_cfg(),
        type='AttendedSegmentor',
        segmentor_type='EncoderDecoder',
        attention=dict(
            dict(type='DiscriminatorAttention', attend_at='backbone', discriminator=discoverer),
            **attention,
        ),
    )


def expanded_cfg(head: dict[str, Any] | None = None, **expansion: Any) -> dict[str, Any]:
    """PIT's student."""
    segmentor = segmentor_cfg(head)
    return dict(
        segmentor,
        auxiliary_head=dict(
            dict(
                type='LSEExpansionHead',
                unit=segmentor['decode_head'],
                r=(0.5, 1.5),
                loss_reconstruction=dict(),
            ),
            **expansion,
        ),
    )


def multi_resolution_cfg(head: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """HRDA's student, whose logits have a stride of 4."""
    segmentor = segmentor_cfg(head, **changes.pop('backbone', {}))
    attention = dict(segmentor['decode_head'], dilations=(1,))
    return dict(
        dict(segmentor, type='MultiResolutionSegmentor', attention=attention, detail_size=(16, 24)),
        **changes,
    )


DISCRIMINATOR = dict(type='FCDiscriminator', in_channels=NUM_CLASSES, channels=(4, 4))
SELF_ATTENTION_LOSS = dict(
    type='SelfAttentionLoss',
    allow_untrained=True,
    loss_weight=0.5,
    self_attention=dict(type='SelfAttentionModule', in_channels=NUM_CLASSES),
)
FEATURE_DISTANCE = dict(
    type='FeatureDistance',
    backbone=dict(type='ToyBackbone'),
    classes=(1, 2, 3),
    min_share=0.51,
    domain_weights=dict(source=0.5),
    allow_untrained=True,
)


@MODELS.register_module(force=True)
class ToyMaskedTeacher(MeanTeacher):
    """A mean teacher with a further consistency term, on target images with masked columns."""

    def target_losses(self, batch: DomainBatch, teacher: TeacherPrediction) -> Iterator[Losses]:
        yield from super().target_losses(batch, teacher)
        columns = torch.arange(batch.target.images.shape[3], device=batch.target.images.device)
        masked = self.label_target(batch.target.images * (columns % 4 > 0), teacher)
        yield self.consistency_losses(self.segment(masked, 'masked'), masked)


MEAN_TEACHER = dict(
    type='MeanTeacher',
    segmentor=segmentor_cfg(),
    pseudo_threshold=0.9,
    label_weight=None,
    teacher=dict(type='EMATeacher', alpha=0.7),
    consistency=dict(type='ConsistencyLoss', normalize='valid', loss_weight=0.5),
)
SIGNIFICANCE = dict(type='EntropySignificance', passes=2, beta=0.5, ramp_iters=5)

VIEWS = dict(
    weak_view=dict(type='RandomView', size=(24, 32), ratio=(0.8, 1.2)),
    strong_view=dict(type='RandAugment', number=3),
)

# Every method of the package, by name, with a model config small enough for a test. A new method
# joins the shared tests (resume, processes, backward, gradients, leaks) by its line here.
METHODS: dict[str, dict[str, Any]] = {
    'source_only': dict(type='SourceOnly', segmentor=segmentor_cfg()),
    'adversarial': dict(
        type='Adversarial',
        segmentor=segmentor_cfg(),
        discriminator=DISCRIMINATOR,
        adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.1),
    ),
    'adversarial_least_squares': dict(
        type='Adversarial',
        segmentor=segmentor_cfg(),
        discriminator=DISCRIMINATOR,
        adversarial_loss=dict(type='AdversarialLoss', mode='least_squares', loss_weight=0.1),
        regularizers=dict(entropy=dict(type='EntropyLoss', loss_weight=0.1)),
    ),
    'adversarial_multi': dict(
        type='Adversarial',
        segmentor=two_level_cfg(),
        auxiliary_weight=0.2,
        discriminator=DISCRIMINATOR,
        adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.1),
    ),
    'advent': dict(
        type='Adversarial',
        segmentor=two_level_cfg(),
        align='self_information',
        auxiliary_weight=0.2,
        discriminator=DISCRIMINATOR,
        adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.1),
    ),
    'minent': dict(type='MinEnt', segmentor=two_level_cfg(), lambda_ent=0.1, auxiliary_weight=0.2),
    'cdanet': dict(
        type='CDANet',
        segmentor=segmentor_cfg(attention_head_cfg()),
        discriminator=DISCRIMINATOR,
        adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.1),
    ),
    'cdanet_dropout': dict(
        type='CDANet',
        segmentor=segmentor_cfg(attention_head_cfg(), dropout=0.5),
        discriminator=DISCRIMINATOR,
        adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.1),
    ),
    'self_training': dict(type='SelfTraining', segmentor=segmentor_cfg()),
    'sam_attention': dict(
        type='SourceOnly',
        segmentor=segmentor_cfg(
            dict(type='SelfAttentionHead', classifier=segmentor_cfg()['decode_head'])
        ),
    ),
    'sam': dict(
        type='SelfTraining', segmentor=segmentor_cfg(), regularizers=dict(sam=SELF_ATTENTION_LOSS)
    ),
    'sam_adversarial': dict(
        type='Adversarial',
        segmentor=segmentor_cfg(),
        discriminator=DISCRIMINATOR,
        adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.1),
        regularizers=dict(sam=dict(SELF_ATTENTION_LOSS, form='attended', domains=('target',))),
    ),
    'dast': dict(
        type='DAST',
        segmentor=attended_cfg(),
        discriminator=DISCRIMINATOR,
        adversarial_loss=dict(
            type='AdversarialLoss', mode='least_squares', loss_weight=0.1, disc_weight=1.0
        ),
    ),
    'dast_reweighted': dict(
        type='DAST',
        segmentor=attended_cfg(attend_at='backbone.stem', detach=True),
        discriminator=DISCRIMINATOR,
        reweight_corrector=True,
        adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.1),
    ),
    'pit': dict(type='PIT', segmentor=expanded_cfg()),
    'pit_weak': dict(
        type='PIT',
        segmentor=expanded_cfg(
            image_label='presence',
            inv_r=True,
            pool_ignored=False,
            weights='unit',
            loss_reconstruction=dict(domains=('target',), reduction='sum', loss_weight=1e-4),
        ),
    ),
    'mean_teacher': MEAN_TEACHER,
    'masked_mean_teacher': dict(MEAN_TEACHER, type='ToyMaskedTeacher', label_weight='ratio'),
    'dacs': dict(
        MEAN_TEACHER,
        mixer=dict(type='ClassMix'),
        augment=dict(type='StrongAugment'),
        label_weight='batch_ratio',
        regularizers=dict(sam=dict(SELF_ATTENTION_LOSS, domains=('source', 'mix'))),
    ),
    'camix': dict(
        MEAN_TEACHER,
        teacher=dict(type='EMATeacher', alpha=0.7, mode='eval'),
        label_weight='batch_ratio',
        mixer=dict(type='ContextMix', meta_classes={0: (1,), 2: (3,)}),
        augment=dict(type='StrongAugment'),
        significance=SIGNIFICANCE,
        consistency=dict(type='ConsistencyLoss', normalize='significance'),
    ),
    'proda': dict(
        type='ProDA',
        segmentor=segmentor_cfg(),
        teacher=dict(type='EMATeacher', alpha=0.7),
        feature_at='decode_head.branches.0',
        prototype_momentum=0.1,
        min_pixels=2,
        **VIEWS,
    ),
    'distillation': dict(
        type='Distillation',
        segmentor=segmentor_cfg(),
        fixed_teacher=dict(type='FixedTeacher', segmentor=segmentor_cfg(), allow_untrained=True),
        **VIEWS,
    ),
    'distillation_sam': dict(
        type='Distillation',
        segmentor=segmentor_cfg(),
        fixed_teacher=dict(type='FixedTeacher', segmentor=segmentor_cfg(), allow_untrained=True),
        regularizers=dict(sam=dict(SELF_ATTENTION_LOSS, domains=('source', 'strong'))),
        **VIEWS,
    ),
}
METHODS['daformer'] = dict(
    METHODS['dacs'],
    teacher=dict(type='EMATeacher', alpha=0.7, mode='batch_statistics'),
    consistency=dict(type='ConsistencyLoss', normalize='official'),
    regularizers=dict(fd=FEATURE_DISTANCE),
)
METHODS['mic'] = dict(
    METHODS['daformer'],
    type='MIC',
    mask=dict(type='BlockMask', block_size=8),
    mask_augment=dict(type='StrongAugment'),
)
METHODS['mic_separate'] = dict(
    METHODS['mic'], mask_mode='separate', mask_augment=None, lambda_mask=0.5
)
METHODS['vfm_uda'] = dict(
    METHODS['mic'],
    segmentor=segmentor_cfg(
        dict(type='VFMUDAHead', in_channels=16, num_classes=NUM_CLASSES), channels=16, tokens=True
    ),
    pseudo_threshold=0.38,
    teacher=dict(type='EMATeacher', alpha=0.7, mode='batch_statistics', mirrored=True),
    weak_augment=dict(type='StrongAugment', jitter_prob=0.9, blur_prob=0.0),
    mask=dict(type='BlockMask', block_size=1),
    mask_at='tokens',
    regularizers=dict(
        fd=dict(
            type='FeatureDistance',
            backbone=dict(type='ToyBackbone', channels=12),
            classes=None,
            distance='cosine_smooth_l1',
            projection=(16, 12),
            input_size=(24, 36),
            domain_weights=dict(source=0.1, target=0.1),
            allow_untrained=True,
        )
    ),
)
METHODS['hrda'] = dict(
    METHODS['daformer'],
    segmentor=multi_resolution_cfg(),
    regularizers=dict(fd=dict(FEATURE_DISTANCE, classes=None, input_size=(16, 24))),
)
METHODS['mic_hrda'] = dict(
    METHODS['mic'],
    segmentor=multi_resolution_cfg(),
    regularizers=METHODS['hrda']['regularizers'],
    lambda_mask=0.5,
)
# Models that translate images, which learn without labels. They join the shared tests too.
CYCLEGAN = dict(
    type='CycleGAN',
    generator=dict(type='ResNetGenerator', channels=2, num_blocks=1),
    discriminator=dict(
        type='FCDiscriminator',
        in_channels=3,
        channels=(4, 4),
        stride=(2, 2, 1),
        norm_cfg=dict(type='IN'),
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.02),
    ),
    adversarial_loss=dict(type='AdversarialLoss', mode='least_squares', loss_weight=1.0),
    pool_size=3,
)
TRANSLATORS: dict[str, dict[str, Any]] = {
    'cyclegan': CYCLEGAN,
    'cyclegan_semantic': dict(
        CYCLEGAN,
        pool_size=0,
        lambda_identity=0.0,
        semantic=dict(
            type='SemanticConsistency',
            segmentor=segmentor_cfg(batch_norm=True),
            allow_untrained=True,
        ),
    ),
}
ALL = {**METHODS, **TRANSLATORS}
# Methods that cannot do without pseudo labels.
LEARN_PSEUDO_LABELS = ('SelfTraining', 'Distillation')
NEED_PSEUDO_LABELS = tuple(n for n, cfg in METHODS.items() if cfg['type'] in LEARN_PSEUDO_LABELS)
# Methods with dropout, which each process draws for itself.
STOCHASTIC = ('cdanet_dropout',)


def generators(number: int, seed: int = 0) -> list[torch.Generator]:
    """One for each of so many images."""
    return [torch.Generator().manual_seed(1000 * seed + i) for i in range(number)]


def method_cfg(name: str, **changes: Any) -> dict[str, Any]:
    """Config of a method, to change at will."""
    return {**copy.deepcopy(ALL[name]), **changes}


def build(name: str, **changes: Any) -> nn.Module:
    """A method with seeded weights."""
    torch.manual_seed(0)
    model = MODELS.build(method_cfg(name, **changes))
    model.init_weights()
    if hasattr(model, 'teacher'):
        model.iteration = 0  # what EMATeacherHook would say
    if hasattr(model, 'prototypes'):  # the last class has none
        model.prototypes.values.normal_()[-1] = 0
        model.prototypes.counts.fill_(1)[-1] = 0
    return model


def shaken(name: str, **changes: Any) -> nn.Module:
    """A method whose losses are far from where they start, and whose teacher is no copy."""
    model = build(name, **changes)
    torch.manual_seed(1)
    with torch.no_grad():
        for param in model.parameters():
            param += 0.3 * torch.randn_like(param)
    return model


def sample(image_seed: int, field: str | None, size: tuple[int, int] = SIZE) -> dict[str, Any]:
    """What a pipeline gives for one image; ``field`` is where its label goes."""
    rng = np.random.default_rng(image_seed)
    data_sample = SegDataSample(
        metainfo=dict(
            img_path=f'{image_seed}.png',
            img_shape=size,
            ori_shape=size,
            pad_shape=size,
            seed=image_seed,
        )
    )
    if field:
        label = torch.from_numpy(rng.integers(0, NUM_CLASSES, (1, *size)))
        label[:, :2] = 255
        data_sample.set_data({field: PixelData(data=label)})
    image = torch.from_numpy(rng.integers(0, 256, (3, *size), dtype=np.uint8))
    return dict(inputs=image, data_samples=data_sample)


def image_labels(seed: int, count: int) -> Tensor:
    """Shares of the classes in images, shape (count, C)."""
    return torch.from_numpy(np.random.default_rng(seed).dirichlet([1] * NUM_CLASSES, count)).float()


def soft_label(seed: int) -> Tensor:
    """Probabilities of the classes at a low resolution, shape (C, h, w)."""
    noise = np.random.default_rng(seed).normal(size=(NUM_CLASSES, 4, 6))
    return torch.from_numpy(noise).softmax(0).half()


def batch(
    count: int = 2, seed: int = 0, pseudo: bool = True, labels: bool = True
) -> dict[str, Any]:
    """A training batch of both domains, as the loop gives it."""
    result = {}
    for domain, field, offset in (
        ('source', 'gt_sem_seg' if labels else None, 0),
        ('target', 'pseudo_sem_seg' if pseudo and labels else None, 1000),
    ):
        samples = [sample(seed + offset + i, field) for i in range(count)]
        for i, each in enumerate(samples if domain == 'target' else ()):
            each['data_samples'].image_label = image_labels(seed + i, 1)[0]
            each['data_samples'].soft_label = soft_label(seed + i)
        result[domain] = {key: [s[key] for s in samples] for key in ('inputs', 'data_samples')}
    return result


@RUNNERS.register_module(force=True)
class CountedRunner(Runner):
    """A runner of a user's own: it counts how many of it were built."""

    count = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        type(self).count += 1
        super().__init__(*args, **kwargs)


OPTIM_WRAPPER = dict(
    constructor='JointOptimWrapperConstructor',
    optimizers=dict(
        student=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9)),
        discriminators=dict(optimizer=dict(type='Adam', lr=1e-3)),
    ),
)


def optim_wrapper_cfg(model_cfg: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Optimizers for what the method has; one for a stock segmentor."""
    cfg = copy.deepcopy(OPTIM_WRAPPER)
    if 'generator' in model_cfg:
        # SGD: gradients of biases before instance norm are rounding errors, which Adam enlarges.
        cfg['optimizers'] = {
            name: dict(optimizer=dict(type='SGD', lr=1e-3, momentum=0.9))
            for name in ('generators', 'discriminators')
        }
        return {**cfg, **changes}
    if 'segmentor' not in model_cfg:
        return {**cfg['optimizers']['student'], **changes}
    if model_cfg.get('segmentor', {}).get('type') == 'AttendedSegmentor':
        cfg['optimizers']['student.attention'] = dict(optimizer=dict(type='Adam', lr=1e-3))
    if any('projection' in each for each in (model_cfg.get('regularizers') or {}).values()):
        cfg['optimizers']['regularizers'] = dict(optimizer=dict(type='SGD', lr=0.05))
    if 'discriminator' not in model_cfg:
        cfg['optimizers'].pop('discriminators')
    return {**cfg, **changes}


def write_domain(root: Path, domain: str, count: int, seed: int) -> None:
    """A folder of images, labels and pseudo labels."""
    rng = np.random.default_rng(seed)
    for kind in ('images', 'labels', 'pseudo', 'soft'):
        (root / domain / kind).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        label = rng.integers(0, NUM_CLASSES, SIZE, dtype=np.uint8)
        cv2.imwrite(str(root / domain / 'images' / f'{i}.png'), image)
        cv2.imwrite(str(root / domain / 'labels' / f'{i}.png'), label)
        label[:, ::3] = 255
        cv2.imwrite(str(root / domain / 'pseudo' / f'{i}.png'), np.roll(label, 1))
        write_soft_label(root / domain / 'soft' / f'{i}.npy', soft_label(seed + i).numpy())
    for kind, suffix in (('pseudo', 'png'), ('soft', 'npy')):
        Manifest(
            rule={},
            num_classes=NUM_CLASSES,
            config_sha256='',
            checkpoint_sha256='',
            files=[f'{i}.{suffix}' for i in range(count)],
            complete=True,
        ).write(str(root / domain / kind))
    ImageLabels([f'{i}.png' for i in range(count)], image_labels(seed, count).numpy()).write(
        str(root / domain / 'image_labels.npz')
    )


def dataset_cfg(
    root: Path,
    domain: str,
    train: bool = True,
    pseudo: bool = False,
    image_level: bool = False,
    labels: bool = True,
    soft: bool = False,
) -> dict[str, Any]:
    """A stock dataset on :func:`write_domain`'s files."""
    steps = [dict(type='LoadAnnotations')] if domain == 'source' or not train else []
    if not labels:
        steps = []
    if pseudo:
        steps = [
            dict(
                type='LoadPseudoLabels',
                pseudo_dir=str(root / domain / 'pseudo'),
                num_classes=NUM_CLASSES,
            )
        ]
    if soft:
        soft_dir = str(root / domain / 'soft')
        steps = [dict(type='LoadSoftLabels', pseudo_dir=soft_dir, num_classes=NUM_CLASSES)]
    if image_level:
        steps.append(
            dict(
                type='LoadImageLabels',
                num_classes=NUM_CLASSES,
                label_file=str(root / domain / 'image_labels.npz'),
            )
        )
    flip = [dict(type='RandomFlip', prob=0.5)] if train and not soft else []
    return dict(
        type='BaseSegDataset',
        data_root=str(root / domain),
        metainfo=METAINFO,
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        img_suffix='.png',
        seg_map_suffix='.png',
        reduce_zero_label=False,
        serialize_data=False,  # or mmengine collects garbage for each data set
        pipeline=[dict(type='LoadImageFromFile'), *steps, *flip, dict(type='PackUDAInputs')],
    )


def runner_cfg(
    root: Path,
    work_dir: Path,
    model: dict[str, Any],
    max_iters: int = 10,
    batch_size: int = 2,
    num_workers: int = 0,
    **changes: Any,
) -> Config:
    """Config of a complete small training run; writes its data where they are missing."""
    for seed, domain in enumerate(('source', 'target')):
        if not (root / domain).exists():
            write_domain(root, domain, 5 + 2 * seed, seed)
    loader = dict(batch_size=batch_size, num_workers=num_workers)
    extras = dict(
        pseudo=model['type'] in LEARN_PSEUDO_LABELS,
        image_level=model['type'] == 'PIT',
        soft=model['type'] == 'ProDA',
    )
    val = dict(
        batch_size=1,
        num_workers=0,
        dataset=dataset_cfg(root, 'target', train=False),
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    cfg = dict(
        default_scope='mmseg',
        model=model,
        train_dataloader={
            d: dict(
                loader,
                dataset=dataset_cfg(
                    root,
                    d,
                    labels='generator' not in model,
                    **(extras if d == 'target' else {}),
                ),
            )
            for d in ('source', 'target')
        },
        val_dataloader=val,
        test_dataloader=val,
        val_evaluator=dict(type='IoUMetric'),
        test_evaluator=dict(type='IoUMetric'),
        train_cfg=dict(type='UDATrainLoop', max_iters=max_iters, val_interval=1000, val_begin=1000),
        val_cfg=dict(type='ValLoop'),
        test_cfg=dict(type='TestLoop'),
        optim_wrapper=optim_wrapper_cfg(model),
        param_scheduler=[dict(type='PolyLR', power=0.9, begin=0, end=100, by_epoch=False)],
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=5),
        ),
        custom_hooks=[dict(type='EMATeacherHook')] if 'teacher' in model else [],
        log_processor=dict(by_epoch=False),
        log_level='WARNING',
        randomness=dict(seed=3),
        work_dir=str(work_dir),
        # Runs of the same name in the same second would share a visualizer.
        experiment_name=f'{work_dir.parent.name}-{work_dir.name}',
    )
    if 'generator' in model:  # there is nothing to validate
        cfg.update(dict.fromkeys(('val_dataloader', 'val_evaluator', 'val_cfg')))
        cfg.update(dict.fromkeys(('test_dataloader', 'test_evaluator', 'test_cfg')))
    cfg.update(changes)
    return Config(cfg)


def add_labelled_targets(cfg: Config) -> None:
    """Make three labelled target images a second source of :func:`runner_cfg`."""
    source = cfg.train_dataloader.source
    root = Path(source.dataset.data_root).parent
    labelled = dict(dataset_cfg(root, 'target', train=False), indices=[1, 4, 5])
    cfg.train_dataloader.source = [source, dict(source, dataset=labelled)]


def train(cfg: Config) -> Runner:
    """Train in this process and give the runner back."""
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner
