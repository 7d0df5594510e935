"""What ``BaseUDASegmentor`` gives every method."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import toys
from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from mmengine.runner import load_checkpoint
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.models.uda import SourceOnly
from mmseg_uda.structures import DomainBatch, ImageBatch, SegOutput


def losses_of(model: nn.Module, **batch: Any) -> dict[str, Tensor]:
    return model(**model.data_preprocessor(toys.batch(**batch), True), mode='loss')


# ----------------------------------------------------------------------------------- construction


@pytest.mark.parametrize(
    ('name', 'changes', 'message'),
    [
        (
            'source_only',
            dict(backward='both'),
            "SourceOnly.backward: expected one of .'sequential', 'joint'., but got 'both'",
        ),
        (
            'source_only',
            dict(norm_statistics='source'),
            "norm_statistics: expected one of .'both', 'target', 'frozen'., but got 'source'",
        ),
        (
            'source_only',
            dict(discriminator=toys.DISCRIMINATOR),
            'SourceOnly.discriminator: expected None, because the method has no adversary, but',
        ),
        (
            'source_only',
            dict(adversarial_loss=dict(type='AdversarialLoss')),
            'SourceOnly.adversarial_loss: expected None, because the method has no adversary',
        ),
        (
            'adversarial',
            dict(discriminator=None),
            'Adversarial.discriminator: expected a config, but got None',
        ),
        (
            'adversarial',
            dict(adversarial_loss=None),
            'Adversarial.adversarial_loss: expected a config, but got None',
        ),
        (
            'source_only',
            dict(segmentor={**toys.segmentor_cfg(), 'data_preprocessor': None}),
            'SourceOnly.segmentor.data_preprocessor: expected a config, but got None; write dict',
        ),
        (
            'source_only',
            dict(segmentor={**toys.segmentor_cfg(), 'test_cfg': None}),
            "segmentor.test_cfg: expected a dict, but got None; write dict\\(mode='whole'\\)",
        ),
    ],
)
def test_wrong_value(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        toys.build(name, **changes)


def test_top_level_preprocessor_of_mmsegs_base_models() -> None:
    stock = dict(type='SegDataPreProcessor', mean=[7.0] * 3, std=[1.0] * 3)
    segmentor = {**toys.segmentor_cfg(), 'data_preprocessor': None}
    model = toys.build('source_only', segmentor=segmentor, data_preprocessor=stock)
    for domain in ('source', 'target'):
        assert getattr(model.data_preprocessor, domain).mean.flatten().tolist() == [7.0] * 3
    nearer = toys.build('source_only', data_preprocessor=stock).data_preprocessor
    assert nearer.source.mean.flatten().tolist() != [7.0] * 3


@pytest.mark.parametrize('name', toys.METHODS)
def test_unknown_keyword(name: str) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'professor'"):
        toys.build(name, professor=dict())


@pytest.mark.parametrize('name', toys.METHODS)
def test_cascades_and_mask_classifiers_are_refused(name: str) -> None:
    """Before they are built, which Mask2Former's needs mmdet for."""
    segmentor, head = toys.segmentor_cfg(), toys.segmentor_cfg()['decode_head']
    cascade = dict(segmentor, type='CascadeEncoderDecoder', num_stages=2, decode_head=[head, head])
    with pytest.raises(
        TypeError,
        match=r'\.segmentor: expected one decode head, but got CascadeEncoderDecoder, a cascade of '
        "them; write type='EncoderDecoder' with one of its heads, and another as auxiliary_head",
    ):
        toys.build(name, segmentor=cascade)
    for kind, reason in {
        'Mask2FormerHead': 'which classifies masks',
        'mmseg.MaskFormerHead': 'which classifies masks',
        'IterativeDecodeHead': 'which classifies masks',
        'OCRHead': "which refines another head's output",
    }.items():
        with pytest.raises(
            TypeError,
            match=r'\.segmentor\.decode_head: expected a head that computes logits \(N, C, h, w\), '
            f"but got {kind.split('.')[-1]}, {reason}; write one such as 'SegformerHead', ",
        ):
            toys.build(name, segmentor=toys.segmentor_cfg(dict(type=kind, num_classes=4)))


AUXILIARY = dict(
    type='FCNHead',
    in_channels=8,
    in_index=0,
    channels=2,
    num_convs=1,
    concat_input=False,
    num_classes=toys.NUM_CLASSES,
    dropout_ratio=0.0,
    loss_decode=dict(type='PixelCrossEntropyLoss', loss_weight=0.4),
)


@pytest.mark.parametrize('name', ['source_only', 'mean_teacher'])
def test_auxiliary_heads_of_other_classes_are_refused(name: str) -> None:
    other = dict(AUXILIARY, num_classes=toys.NUM_CLASSES + 1)
    segmentor = dict(toys.segmentor_cfg(), auxiliary_head=[AUXILIARY, other])
    message = rf'segmentor.auxiliary_head\[1\].num_classes: expected {toys.NUM_CLASSES}, as '
    with pytest.raises(ValueError, match=message + 'decode_head has, but got 5'):
        toys.build(name, segmentor=segmentor)
    segmentor['auxiliary_head'] = other
    with pytest.raises(ValueError, match=message.replace('1', '0', 1)):
        toys.build(name, segmentor=segmentor)
    own_loss = dict(type='OwnLossHead', num_classes=2)  # as STDC's heads for boundaries
    toys.build(name, segmentor=dict(toys.segmentor_cfg(), auxiliary_head=own_loss))


@pytest.mark.parametrize('num_classes', [1, 2])
def test_one_output_is_refused(num_classes: int) -> None:
    head = dict(AUXILIARY, num_classes=num_classes, out_channels=1, threshold=0.3)
    with pytest.raises(
        ValueError,
        match='SourceOnly.segmentor.decode_head.out_channels: expected at least 2, but got 1; write'
        ' num_classes=2, out_channels=2 and a loss_decode without use_sigmoid',
    ):
        toys.build('source_only', segmentor=toys.segmentor_cfg(head))


@pytest.mark.parametrize('key', ['pretrained', 'train_cfg'])
def test_keys_that_only_mmseg_writes(key: str) -> None:
    assert toys.build('source_only', **{key: None}).num_classes == toys.NUM_CLASSES
    with pytest.raises(ValueError, match=f"SourceOnly.{key}: expected None, but got 'x'; write it"):
        toys.build('source_only', **{key: 'x'})


def test_cdanet_needs_its_head() -> None:
    with pytest.raises(
        TypeError,
        match='decode_head: expected a CrossDomainAttentionHead, but got DeepLabV2Head; write '
        r"dict\(type='CrossDomainAttentionHead'",
    ):
        toys.build('cdanet', segmentor=toys.segmentor_cfg())


def test_preprocessor_defaults_come_from_the_student() -> None:
    model = toys.build('source_only')
    assert model.data_preprocessor.num_classes == toys.NUM_CLASSES == model.num_classes
    assert model.data_preprocessor.ignore_index == 255
    assert model.backbone is model.student.backbone
    assert model.decode_head is model.student.decode_head
    assert model.align_corners is True
    assert model.out_channels == toys.NUM_CLASSES
    own = dict(type='UDADataPreprocessor', num_classes=9, source=dict(type='SegDataPreProcessor'))
    model = toys.build('source_only', data_preprocessor=own)
    assert model.data_preprocessor.num_classes == 9


# ---------------------------------------------------------------------------------------- loading


def test_stock_checkpoint_initialises_the_student(tmp_path: Any) -> None:
    stock = MODELS.build(toys.segmentor_cfg())
    for param in stock.parameters():
        nn.init.normal_(param)
    torch.save(dict(state_dict=stock.state_dict(), meta={}), tmp_path / 'stock.pth')
    model = toys.build('adversarial')
    discriminators = {k: v.clone() for k, v in model.discriminators.state_dict().items()}
    load_checkpoint(model, str(tmp_path / 'stock.pth'))
    for key, value in stock.state_dict().items():
        assert model.student.state_dict()[key].equal(value), key
    for key, value in discriminators.items():
        assert model.discriminators.state_dict()[key].equal(value), key


def test_own_checkpoint_loads_strictly() -> None:
    model, other = toys.build('cdanet'), toys.build('cdanet')
    for param in model.parameters():
        nn.init.normal_(param)
    other.load_state_dict(model.state_dict(), strict=True)
    assert all(v.equal(model.state_dict()[k]) for k, v in other.state_dict().items())


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f'model.{key}': value for key, value in state.items()}


@pytest.mark.parametrize(
    ('state', 'wrong'),
    [
        (
            lambda: toys.build('cdanet').state_dict(),
            '4 of 10 tensors .* the first is student.decode_head.branches.0.weight',
        ),
        (
            lambda: toys.build(
                'source_only', segmentor=toys.segmentor_cfg(channels=4)
            ).state_dict(),
            '.* of 10 tensors .* another shape, the first is student.backbone.stem.weight',
        ),
        (lambda: _renamed(toys.build('source_only').state_dict()), '10 of 10 tensors'),
    ],
)
def test_checkpoint_of_another_network(state: Any, wrong: str) -> None:
    with pytest.raises(
        ValueError,
        match='Adversarial: expected a checkpoint of this method or of its segmentor, but '
        f'{wrong}.*; write the config that wrote the checkpoint',
    ):
        toys.build('adversarial').load_state_dict(state(), strict=False)


# ------------------------------------------------------------------------------ pieces of a method


def test_each_side_of_the_game_learns_from_its_own_loss() -> None:
    model = toys.build('adversarial')
    batch = model.data_preprocessor(toys.batch(pseudo=False), True)
    steps = model._steps(DomainBatch.collect(**batch))
    touched = []
    for losses in steps:
        model.zero_grad()
        model.parse_losses(losses)[0].backward()
        touched.append(
            tuple(
                any(param.grad is not None for param in part.parameters())
                for part in (model.student, model.discriminators)
            )
        )
    assert touched == [(True, False), (True, False), (False, True)]


@MODELS.register_module(force=True)
class Watcher(BaseModule):
    """A regulariser with a parameter that writes down what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.seen: list[tuple[str, tuple[int, ...], int]] = []

    def forward(self, output: SegOutput) -> dict[str, Tensor]:
        self.seen.append((output.domain, tuple(output.seg_logits.shape), len(output.features)))
        return dict(loss_size=self.scale * output.seg_logits.square().mean())


@pytest.mark.parametrize('name', ['mean_teacher', 'dacs', 'mic', 'pit', 'dast'])
def test_a_regulariser_of_the_target_acts_in_any_method(name: str) -> None:
    entropy = dict(type='EntropyLoss', loss_weight=0.1)
    losses = losses_of(toys.shaken(name, regularizers=dict(entropy=entropy)).train())
    assert losses['target.entropy.loss_entropy'] > 0


@pytest.mark.parametrize(
    ('name', 'domain', 'changes'),
    [
        ('proda', 'target', {}),
        ('source_only', 'target', {}),
        ('mean_teacher', 'mix', dict(mixer=None)),
        ('pit', 'mix', {}),
    ],
)
def test_no_regulariser_waits_for_a_pass_that_is_not_made(
    name: str, domain: str, changes: dict[str, Any]
) -> None:
    regularizers = dict(entropy=dict(type='EntropyLoss', domains=[domain]))
    message = rf"\.regularizers\.entropy: domain of a pass: expected one of .* got '{domain}'"
    with pytest.raises(ValueError, match=message):
        toys.build(name, regularizers=regularizers, **changes)


@pytest.mark.parametrize(
    ('name', 'domains'),
    [
        ('source_only', ['source']),
        ('adversarial', ['source', 'target']),
        ('self_training', ['source', 'target']),
        ('cdanet', ['source', 'target']),
    ],
)
@pytest.mark.parametrize('backward', ['sequential', 'joint'])
def test_regularizers_see_every_pass(name: str, domains: list[str], backward: str) -> None:
    model = toys.build(name, regularizers=dict(size=dict(type='Watcher')), backward=backward)
    wrapper = toys.optim_wrapper_cfg(toys.METHODS[name])
    wrapper['optimizers']['regularizers'] = dict(optimizer=dict(type='SGD', lr=0.1))
    from mmengine.optim import build_optim_wrapper

    for _ in range(2):
        logs = model.train_step(toys.batch(), build_optim_wrapper(model, wrapper))
    watcher = model.regularizers['size']
    assert watcher.seen == [(d, (2, toys.NUM_CLASSES, 8, 12), 1) for d in domains] * 2
    assert {f'{domain}.size.loss_size' for domain in domains} < logs.keys()
    assert watcher.scale != 2.0
    assert model._passes == []


def test_auxiliary_heads() -> None:
    one, two = AUXILIARY, [AUXILIARY, AUXILIARY]
    for heads, names in ((one, {'aux_0'}), (two, {'aux_0', 'aux_1'})):
        segmentor = dict(toys.segmentor_cfg(), auxiliary_head=heads)
        losses = losses_of(toys.build('adversarial', segmentor=segmentor))
        assert {
            f'{domain}.{name}.loss_ce' for domain in ('source', 'target') for name in names
        } < losses.keys()
        heads_of_source = {key.split('.')[1] for key in losses if key.startswith('source')}
        assert heads_of_source == {*names, 'decode'}
        assert losses['source.aux_0.loss_ce'].requires_grad


@MODELS.register_module(force=True)
class OwnLossHead(BaseDecodeHead):
    """A decode head that computes its loss itself."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault('num_classes', toys.NUM_CLASSES)
        super().__init__(in_channels=8, channels=8, **kwargs)

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        return self.cls_seg(inputs[-1])

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: list[Any]) -> dict[str, Tensor]:
        labels = torch.stack([sample.gt_sem_seg.data for sample in batch_data_samples])
        assert labels.shape == (len(seg_logits), 1, *toys.SIZE)
        return dict(loss_own=seg_logits.mean())


def test_head_with_its_own_loss() -> None:
    model = toys.build('adversarial', segmentor=toys.segmentor_cfg(dict(type='OwnLossHead')))
    losses = losses_of(model)
    assert {key for key in losses if 'decode' in key} == {
        'source.decode.loss_own',
        'target.decode.loss_own',
    }


@MODELS.register_module(force=True)
class TwoMapsHead(OwnLossHead):
    """A decode head that gives no logits."""

    def forward(self, inputs: tuple[Tensor, ...]) -> Any:
        return [inputs[-1], inputs[-1]]


def test_head_without_logits_is_refused() -> None:
    model = toys.build('source_only', segmentor=toys.segmentor_cfg(dict(type='TwoMapsHead')))
    with pytest.raises(
        TypeError,
        match=r'SourceOnly.segmentor.decode_head: expected logits \(N, C, h, w\), but TwoMapsHead'
        '.forward computes list; write another decode head',
    ):
        losses_of(model)


@pytest.mark.parametrize('align_corners', [True, False])
def test_probabilities(align_corners: bool) -> None:
    """At the size of the images, as the network resizes its logits, and never in half precision."""
    model = toys.build('source_only')
    model.student.align_corners = align_corners
    images, logits = torch.randn(2, 3, *toys.SIZE), torch.randn(2, toys.NUM_CLASSES, 8, 12)
    expected = F.interpolate(logits, toys.SIZE, mode='bilinear', align_corners=align_corners)
    assert_close(model.probabilities(logits, images), expected.softmax(1))
    with torch.autocast('cpu', torch.bfloat16):
        assert model.probabilities(logits.bfloat16(), images).dtype is torch.float32


def test_pixel_weights() -> None:
    model = toys.build('source_only')
    data = model.data_preprocessor(toys.batch(), True)
    batch = ImageBatch(data['inputs']['source'], data['data_samples']['source'])
    output = model.segment(batch, 'source')
    plain = model.supervised_losses(output, batch.labels)['source.decode.loss_ce']
    weight = torch.ones(batch.labels.shape)
    for factor in (0.0, 1.0, 2.0):
        got = model.supervised_losses(output, batch.labels, weight * factor)[
            'source.decode.loss_ce'
        ]
        torch.testing.assert_close(got, factor * plain)


@pytest.mark.parametrize('name', toys.METHODS)
def test_nothing_labelled(name: str) -> None:
    """Supervised losses are 0, not NaN, and train nothing astray."""
    model = toys.build(name).train()
    data = toys.batch()
    for domain, field in (('source', 'gt_sem_seg'), ('target', 'pseudo_sem_seg')):
        for sample in data[domain]['data_samples']:
            sample.get(field).data.fill_(255)
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    supervised = {key: value for key, value in losses.items() if 'loss_ce' in key}
    assert supervised
    assert all(value == 0 for value in supervised.values())
    model.parse_losses(losses)[0].backward()
    assert all(param.grad.isfinite().all() for param in model.parameters() if param.requires_grad)


def test_a_name_that_comes_twice() -> None:
    class Twice(SourceOnly):
        def losses(self, batch: DomainBatch) -> Any:
            for _ in range(2):
                yield self.supervised_losses(
                    self.segment(batch.source, 'source'), batch.source.labels
                )

    model = Twice(toys.segmentor_cfg())
    with pytest.raises(
        ValueError,
        match=r"Twice.losses: expected a name per loss, but got \['source.decode.acc_seg', "
        "'source.decode.loss_ce'] twice; write another domain into `segment`",
    ):
        losses_of(model)


# -------------------------------------------------------------------------------- norm statistics


@pytest.mark.parametrize('name', ['adversarial', 'cdanet'])
def test_norm_statistics(name: str) -> None:
    """With 'target', running statistics are those that the target pass alone would leave."""
    head = toys.attention_head_cfg() if name == 'cdanet' else None
    segmentor = toys.segmentor_cfg(head, batch_norm=True)
    statistics, losses = {}, {}
    for mode in ('both', 'target'):
        model = toys.build(name, segmentor=segmentor, norm_statistics=mode)
        losses[mode] = losses_of(model)
        statistics[mode] = model.student.backbone.norm.running_mean.clone()
        assert model.student.backbone.norm.momentum == 0.1
    alone = toys.build(name, segmentor=segmentor)
    alone.extract_feat(alone.data_preprocessor(toys.batch(), True)['inputs']['target'])
    torch.testing.assert_close(statistics['target'], alone.student.backbone.norm.running_mean)
    assert not torch.equal(statistics['both'], statistics['target'])
    torch.testing.assert_close(losses['both'], losses['target'], rtol=0, atol=0)


@pytest.mark.parametrize('name', ['adversarial', 'dast'])
def test_frozen_norm_statistics(name: str) -> None:
    """With 'frozen', training normalises as a test does, and writes no statistics."""
    segmentor = toys.method_cfg(name)['segmentor']
    segmentor['backbone']['batch_norm'] = True
    model = toys.build(name, segmentor=segmentor, norm_statistics='frozen').train()
    norm = model.student.backbone.norm
    norm.running_mean.fill_(0.3)
    losses = losses_of(model)
    assert model.student.training
    assert not norm.training
    assert norm.running_mean.eq(0.3).all()
    assert norm.weight.requires_grad
    tracked = toys.build(name, segmentor=segmentor)
    tracked.student.backbone.norm.running_mean.fill_(0.3)
    assert not losses_of(tracked)['source.decode.loss_ce'].equal(losses['source.decode.loss_ce'])
    stock = model.eval().student
    images = model.data_preprocessor(toys.batch(), True)
    expected = model.supervised_losses(
        model.segment(
            ImageBatch(images['inputs']['source'], images['data_samples']['source']), 'source'
        ),
        torch.cat([s.gt_sem_seg.data for s in images['data_samples']['source']]),
    )
    torch.testing.assert_close(losses['source.decode.loss_ce'], expected['source.decode.loss_ce'])
    assert not stock.training


@pytest.mark.parametrize('name', ['adversarial', 'cdanet'])
def test_channels_last_changes_the_layout_only(name: str) -> None:
    stock, fast = toys.build(name), toys.build(name, channels_last=True)
    assert fast.backbone.layer.weight.is_contiguous(memory_format=torch.channels_last)
    assert not stock.backbone.layer.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(losses_of(fast), losses_of(stock))


def test_channels_last_of_loaded_weights() -> None:
    """A test, which initialises nothing, has the layout of training; an export has not."""
    cfg = ConfigDict(toys.method_cfg('adversarial', channels_last=True))
    trained, loaded = toys.build('adversarial'), MODELS.build(cfg).eval()
    loaded.load_state_dict(trained.state_dict())
    data = toys.batch(labels=False)['target']
    images = loaded.data_preprocessor(data)['inputs']
    metas = [each.metainfo for each in data['data_samples']]
    with torch.no_grad():
        logits = loaded.encode_decode(images, metas)
        assert not loaded.backbone.layer.weight.is_contiguous(memory_format=torch.channels_last)
        predicted = loaded.test_step(data)
    assert loaded.backbone.layer.weight.is_contiguous(memory_format=torch.channels_last)
    assert_close(torch.stack([each.seg_logits.data for each in predicted]), logits)
