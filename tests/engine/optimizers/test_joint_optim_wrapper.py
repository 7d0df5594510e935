"""Several optimizers that step as one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.engine.optimizers import JointOptimWrapperDict

SGD = dict(optimizer=dict(type='SGD', lr=0.1))
ADAM = dict(optimizer=dict(type='Adam', lr=0.01))


class Pair(nn.Module):
    """A student of two parts, and discriminators."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.student = nn.ModuleDict(dict(backbone=nn.Linear(3, 3), head=nn.Linear(3, 2)))
        self.discriminators = nn.ModuleDict(dict(main=nn.Linear(2, 1)))

    def losses(self, seed: int) -> tuple[Tensor, Tensor]:
        """Student's and discriminator's loss, of separate graphs."""
        x = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
        logits = self.student['head'](self.student['backbone'](x).relu())
        return logits.square().mean(), self.discriminators['main'](logits.detach()).square().mean()


def build(model: nn.Module, optimizers: Any = None, **options: Any) -> JointOptimWrapperDict:
    if optimizers is None:
        optimizers = dict(student=SGD, discriminators=ADAM)
    return build_optim_wrapper(
        model,
        dict(
            constructor='JointOptimWrapperConstructor',
            optimizers=copy.deepcopy(optimizers),
            **options,
        ),
    )


def iterate(model: Pair, wrapper: JointOptimWrapperDict, seeds: Any) -> None:
    for seed in seeds:
        with wrapper.optim_context(model):
            losses = model.losses(seed)
        for loss in losses:
            wrapper.backward(loss)
        wrapper.step()


def state(model: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


# ----------------------------------------------------------------------------------- construction


def test_each_parameter_has_one_optimizer() -> None:
    model = Pair()
    wrapper = build(model)
    assert isinstance(wrapper, JointOptimWrapperDict)
    assert isinstance(wrapper['student'].optimizer, torch.optim.SGD)
    assert isinstance(wrapper['discriminators'].optimizer, torch.optim.Adam)
    for name, wrapped in wrapper.items():
        owned = {id(p) for group in wrapped.param_groups for p in group['params']}
        assert owned == {id(p) for p in model.get_submodule(name).parameters()}


def test_longest_key_wins() -> None:
    model = Pair()
    wrapper = build(model, {'student': SGD, 'student.head': ADAM, 'discriminators': ADAM})
    owned = {
        name: [p for group in wrapped.param_groups for p in group['params']]
        for name, wrapped in wrapper.items()
    }
    assert list(map(id, owned['student'])) == list(map(id, model.student['backbone'].parameters()))
    assert list(map(id, owned['student.head'])) == list(map(id, model.student['head'].parameters()))


def test_equal_settings_share_a_group() -> None:
    model = Pair()
    paramwise = dict(bias_lr_mult=2.0, custom_keys={'head': dict(lr_mult=10.0)})
    wrapper = build(model, dict(student=dict(SGD, paramwise_cfg=paramwise), discriminators=ADAM))
    groups = wrapper['student'].optimizer.param_groups
    by_lr = {group['lr']: {id(p) for p in group['params']} for group in groups}
    head, backbone = model.student['head'], model.student['backbone']
    assert len(groups) == 3
    assert by_lr == {
        1.0: {id(head.weight), id(head.bias)},
        0.1: {id(backbone.weight)},
        0.2: {id(backbone.bias)},
    }


@MODELS.register_module(force=True)
class ToyConvNeXt(nn.Module):
    """Parameters with the names that mmseg's constructors look for."""

    def __init__(self) -> None:
        super().__init__()
        self.downsample_layers = nn.ModuleList(nn.Linear(1, 1) for _ in range(4))
        self.stages = nn.ModuleList(nn.ModuleList([nn.Linear(1, 1)]) for _ in range(4))


class Layered(nn.Module):
    """A student with a backbone of layers, and discriminators."""

    def __init__(self) -> None:
        super().__init__()
        self.student = nn.Module()
        self.student.backbone = ToyConvNeXt()
        self.student.attention = nn.Linear(1, 1)
        self.student.decode_head = nn.Linear(1, 1)
        self.discriminators = nn.ModuleDict(dict(main=nn.Linear(2, 1)))


@pytest.mark.parametrize('kind', ['LearningRateDecay', 'LayerDecay'])
def test_an_optimizer_may_have_a_constructor_of_mmseg(kind: str) -> None:
    """It sees the names of the submodule, and its groups are those of the submodule alone."""
    model = Layered()
    if kind == 'LayerDecay':
        model.student.backbone.__class__ = type('BEiT', (ToyConvNeXt,), {})
        paramwise = dict(num_layers=4, layer_decay_rate=0.5)
    else:
        paramwise = dict(num_layers=4, decay_rate=0.5, decay_type='stage_wise')
    student = dict(SGD, constructor=f'{kind}OptimizerConstructor', paramwise_cfg=paramwise)
    wrapper = build(model, {'student': student, 'student.attention': SGD, 'discriminators': ADAM})
    attention = set(map(id, model.student.attention.parameters()))
    rates = {
        id(param): group['lr'] / SGD['optimizer']['lr']
        for group in wrapper['student'].optimizer.param_groups
        for param in group['params']
    }
    assert not attention & rates.keys()
    found = {
        name: rates[id(param)]
        for name, param in model.student.named_parameters()
        if id(param) in rates and name.endswith('weight')
    }
    assert found['decode_head.weight'] == 1
    if kind == 'LearningRateDecay':  # six stages with the stem and the head
        expected = [0.5 ** (4 - stage) for stage in range(4)]
        assert [found[f'backbone.stages.{i}.0.weight'] for i in range(4)] == expected
        assert found['backbone.downsample_layers.2.weight'] == 0.5**5
    assert (
        model.discriminators['main'].weight
        is (wrapper['discriminators'].optimizer.param_groups[0]['params'][0])
    )


@pytest.mark.parametrize(
    ('changes', 'error', 'message'),
    [
        (
            dict(constructor='Other'),
            TypeError,
            r"student\.constructor: expected a subclass .* 'Other'",
        ),
        (
            dict(constructor='JointOptimWrapperConstructor'),
            TypeError,
            'expected a subclass of DefaultOptimWrapperConstructor',
        ),
        (dict(paramwise_cfg=dict(decay_rate=0.5)), ValueError, 'with ToyConvNeXt by .*decay_rate'),
    ],
)
def test_wrong_constructor(changes: dict[str, Any], error: type, message: str) -> None:
    paramwise = dict(num_layers=4, decay_rate=0.5)
    student = dict(
        SGD, constructor='LearningRateDecayOptimizerConstructor', paramwise_cfg=paramwise
    )
    with pytest.raises(error, match=message):
        build(Layered(), dict(student={**student, **changes}, discriminators=ADAM))


@MODELS.register_module(force=True)
class ToyViT(nn.Module):
    """Parameters in the order of timm's vision transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1))
        self.patch_embed = nn.Linear(1, 1)
        self.blocks = nn.Sequential(*(nn.Linear(1, 1) for _ in range(3)))
        self.norm = nn.LayerNorm(1)


def test_rates_that_fall_from_block_to_block() -> None:
    model = Layered()
    model.student.backbone = ToyViT()
    model.student.backbone.blocks[0].weight.requires_grad_(False)
    student = dict(
        optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.01),
        constructor='BlockDecayOptimizerConstructor',
        paramwise_cfg=dict(
            blocks='backbone.blocks',
            decay_rate=0.9,
            custom_keys={'backbone': dict(lr_mult=0.5), 'norm': dict(decay_mult=0.0)},
        ),
    )
    wrapper = build(model, dict(student=student, discriminators=ADAM))
    groups = wrapper['student'].optimizer.param_groups
    owners = [id(param) for group in groups for param in group['params']]
    trainable = [param for param in model.student.parameters() if param.requires_grad]
    assert sorted(owners) == sorted(map(id, trainable))  # each in one group
    rates = {id(param): group['lr'] / 0.1 for group in groups for param in group['params']}
    found = {name: rates.get(id(param)) for name, param in model.student.named_parameters()}
    expected = {
        'backbone.pos_embed': 0.5 * 0.9**3,
        'backbone.patch_embed.weight': 0.5 * 0.9**3,
        'backbone.blocks.0.bias': 0.5 * 0.9**2,
        'backbone.blocks.1.weight': 0.5 * 0.9,
        'backbone.blocks.2.weight': 0.5,
        'backbone.norm.weight': 0.5,
        'decode_head.weight': 1.0,
        'attention.bias': 1.0,
    }
    assert found['backbone.blocks.0.weight'] is None
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ('paramwise', 'message'),
    [
        (dict(blocks='backbone.blocks'), r'decay_rate: expected a number in \(0, 1\], but got 0'),
        (dict(decay_rate=0.9), 'blocks: expected the name of a list of blocks, but got None'),
        (
            dict(decay_rate=0.9, blocks='backbone.layers'),
            r"blocks: expected one of \['backbone.blocks'\], but got 'backbone.layers'",
        ),
    ],
)
def test_wrong_blocks(paramwise: dict[str, Any], message: str) -> None:
    model = Layered()
    model.student.backbone = ToyViT()
    student = dict(SGD, constructor='BlockDecayOptimizerConstructor', paramwise_cfg=paramwise)
    with pytest.raises(ValueError, match=message):
        build(model, dict(student=student, discriminators=ADAM))


def test_rate_by_the_square_root_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    module = 'mmseg_uda.engine.optimizers.joint_optim_constructor.get_world_size'
    monkeypatch.setattr(module, lambda: 2)
    student = dict(
        SGD, sqrt_batch_size=3, paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0)))
    )
    wrapper = build(Pair(), dict(student=student, discriminators=ADAM), accumulative_counts=4)
    rates = sorted(group['lr'] for group in wrapper['student'].optimizer.param_groups)
    assert rates == pytest.approx([0.1 * 24**0.5, 24**0.5])
    assert wrapper['discriminators'].param_groups[0]['lr'] == 0.01
    with pytest.raises(ValueError, match='optimizers.student.sqrt_batch_size: .* but got 0'):
        build(Pair(), dict(student=dict(SGD, sqrt_batch_size=0), discriminators=ADAM))


def test_frozen_parameters_need_no_optimizer() -> None:
    model = Pair()
    model.student['backbone'].requires_grad_(False)
    model.discriminators.requires_grad_(False)
    wrapper = build(model, dict(student=SGD))
    assert sum(len(group['params']) for group in wrapper['student'].param_groups) == 2
    with pytest.raises(
        ValueError,
        match='expected trainable parameters in `discriminators`, but got none; delete the key',
    ):
        build(model)


def test_shared_parameter() -> None:
    model = Pair()
    model.discriminators['main'].weight = nn.Parameter(torch.zeros(1, 3))
    model.student['tied'] = model.discriminators['main']
    with pytest.raises(
        ValueError,
        match='but got `discriminators` for discriminators.main.weight and `student` for the same '
        'tensor as student.tied.weight; write one key for both',
    ):
        build(model)


def test_parameter_without_optimizer() -> None:
    with pytest.raises(
        ValueError,
        match=r'but got none for 2 \(discriminators.main.weight, ...\); write the key '
        '`discriminators`, or freeze',
    ):
        build(Pair(), dict(student=SGD))


def test_unknown_submodule() -> None:
    with pytest.raises(
        ValueError,
        match='expected submodules of Pair as keys, but got `teacher`; '
        r"write one of \['student', 'discriminators'\]",
    ):
        build(Pair(), dict(student=SGD, discriminators=ADAM, teacher=SGD))


@pytest.mark.parametrize(
    ('cfg', 'message'),
    [
        (dict(optimizers={}), 'optimizers: expected a dict, but got {}; write a dict from'),
        (dict(optimizer=SGD), 'optimizers: expected a dict, but got None; write'),
        (
            dict(paramwise_cfg={}, optimizers=dict(student=SGD)),
            'paramwise_cfg: expected none beside',
        ),
    ],
)
def test_wrong_optimizers(cfg: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f'JointOptimWrapperConstructor.{message}'):
        build_optim_wrapper(Pair(), dict(constructor='JointOptimWrapperConstructor', **cfg))


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (
            dict(dtype='float32'),
            ValueError,
            r"dtype: expected one of \(None, 'float16', 'bfloat16'\), but got 'float32'",
        ),
        (dict(accumulative_counts=0), ValueError, 'accumulative_counts: expected .* 1, but got 0'),
        (
            dict(accumulative_counts=1.5),
            ValueError,
            'accumulative_counts: expected an integer of at least 1, but got 1.5',
        ),
        (
            dict(dtype='float16', loss_scale='static'),
            ValueError,
            "loss_scale: expected 'dynamic' or a number above 0, but got 'static'",
        ),
        (dict(loss_scale=-1), ValueError, 'loss_scale: expected .*, but got -1'),
        (
            dict(clip_grad=dict(max_norm=1)),
            TypeError,
            'Dict.clip_grad: .* but got dict; .* into its dict inside `optimizers`',
        ),
    ],
)
def test_wrong_options(options: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        build(Pair(), **options)


@pytest.mark.parametrize(
    ('inner', 'error', 'message'),
    [
        (
            dict(accumulative_counts=2),
            ValueError,
            'student.accumulative_counts: expected 1, .* but got 2; write it beside',
        ),
        (
            dict(type='JointOptimWrapperDict'),
            TypeError,
            'an option or a plain OptimWrapper, but got SGD',
        ),
    ],
)
def test_wrong_inner_options(inner: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        build(Pair(), dict(student=dict(SGD, **inner), discriminators=ADAM))


# ---------------------------------------------------------------------------------------- stepping


def test_steps_all_optimizers_once_per_iteration() -> None:
    model, twin = Pair(), Pair()
    iterate(model, build(model), range(3))
    optimizers = (
        torch.optim.SGD(twin.student.parameters(), lr=0.1),
        torch.optim.Adam(twin.discriminators.parameters(), lr=0.01),
    )
    for seed in range(3):
        for loss in twin.losses(seed):
            loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    assert_close(state(model), state(twin))


def test_update_params_is_one_backward_and_one_step() -> None:
    model, twin = Pair(), Pair()
    wrapper = build(model)
    for seed in range(2):
        wrapper.update_params(sum(model.losses(seed)))
    iterate(twin, build(twin), range(2))
    assert_close(state(model), state(twin))


def test_accumulation_counts_iterations_not_backwards() -> None:
    """Two iterations = one whose loss is their mean; the last, shorter group too."""
    model, twin = Pair(), Pair()
    wrapper = build(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 5)
    one = build(twin)
    before = state(model)
    iterate(model, wrapper, [0])
    assert_close(state(model), before, atol=0, rtol=0)
    assert model.student['head'].weight.grad is not None
    iterate(model, wrapper, [1, 2, 3, 4])
    for seeds in ([0, 1], [2, 3], [4]):
        for losses in map(twin.losses, seeds):
            for loss in losses:
                one.backward(loss / len(seeds))
        one.step()
    assert_close(state(model), state(twin))


def test_iterations_beyond_the_announced_ones() -> None:
    model, twin = Pair(), Pair()
    wrapper = build(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 4, 4)
    iterate(model, wrapper, [0, 0])
    iterate(twin, build(twin), [0])
    assert_close(state(model), state(twin))


def test_clipping_is_each_optimizers_own() -> None:
    model, twin = Pair(), Pair()
    clipped = dict(SGD, clip_grad=dict(max_norm=1e-3))
    before = state(model)
    iterate(model, build(model, dict(student=clipped, discriminators=ADAM)), [0])
    iterate(twin, build(twin), [0])
    moved = torch.cat(
        [
            (value - before[key]).flatten()
            for key, value in model.state_dict().items()
            if key.startswith('student')
        ]
    )
    assert_close(moved.norm(), torch.tensor(1e-4), rtol=1e-3, atol=0)  # lr times norm
    assert_close(model.discriminators.state_dict(), twin.discriminators.state_dict())


def test_schedulers_reach_every_optimizer() -> None:
    from mmengine.optim import LinearLR

    wrapper = build(Pair())
    schedulers = [
        LinearLR(one, start_factor=0.5, by_epoch=False, end=2) for one in wrapper.values()
    ]
    assert wrapper.get_lr() == {'student.lr': [0.05], 'discriminators.lr': [0.005]}
    for scheduler in schedulers:
        scheduler.step()
    assert wrapper.get_lr() == {'student.lr': [0.1], 'discriminators.lr': [0.01]}


# --------------------------------------------------------------------------------- mixed precision


def test_bfloat16_autocasts_and_does_not_scale() -> None:
    model, twin = Pair(), Pair()
    wrapper = build(model, dtype='bfloat16')
    assert wrapper.scaler is None
    with wrapper.optim_context(model):
        assert model.student['head'](torch.randn(1, 3)).dtype is torch.bfloat16
    assert model.student['head'](torch.randn(1, 3)).dtype is torch.float32
    iterate(model, wrapper, range(3))
    iterate(twin, build(twin), range(3))
    assert_close(state(model), state(twin), atol=5e-3, rtol=0)
    assert not model.student['head'].weight.equal(twin.student['head'].weight)


def exact_losses(
    model: Pair, wrapper: JointOptimWrapperDict, seeds: Any, factor: float = 1.0, of: str = 'both'
) -> None:
    """As ``iterate`` in fp32, so that only the scaler differs; ``factor`` spoils gradients."""
    for seed in seeds:
        student, discriminator = model.losses(seed)
        wrapper.backward(student * (factor if of != 'discriminators' else 1.0))
        wrapper.backward(discriminator * (factor if of != 'student' else 1.0))
        wrapper.step()


def test_float16_scales_by_one_scaler() -> None:
    model, twin = Pair(), Pair()
    clip = dict(SGD, clip_grad=dict(max_norm=0.01))
    optimizers = dict(student=clip, discriminators=ADAM)
    wrapper = build(model, optimizers, dtype='float16', accumulative_counts=2)
    assert wrapper.scaler.get_scale() == 2.0**16
    with wrapper.optim_context(model):
        assert model.student['head'](torch.randn(1, 3)).dtype is torch.float16
    exact_losses(model, wrapper, range(4))
    exact_losses(twin, build(twin, optimizers, accumulative_counts=2), range(4))
    assert_close(state(model), state(twin))


@pytest.mark.parametrize('of', ['both', 'student', 'discriminators'])
def test_overflow_skips_the_step_of_all(of: str) -> None:
    """The players stay in step with each other, and the scale falls once."""
    model = Pair()
    wrapper = build(model, dtype='float16', loss_scale='dynamic')
    exact_losses(model, wrapper, [0])
    before = state(model)
    exact_losses(model, wrapper, [1], float('inf'), of)
    assert_close(state(model), before, atol=0, rtol=0)
    assert wrapper.scaler.get_scale() == 2.0**15
    assert wrapper.overflowed
    assert all(param.grad is None for param in model.parameters())
    exact_losses(model, wrapper, [2])
    assert not wrapper.overflowed
    assert not model.student['head'].weight.equal(before['student.head.weight'])
    assert not model.discriminators['main'].weight.equal(before['discriminators.main.weight'])


def test_optimizer_without_gradients_waits() -> None:
    model = Pair()
    wrapper = build(model, dtype='float16')
    before = state(model)
    wrapper.update_params(model.losses(0)[0])
    assert_close(state(model)['discriminators.main.weight'], before['discriminators.main.weight'])
    assert not model.student['head'].weight.equal(before['student.head.weight'])


def test_constant_loss_scale() -> None:
    model = Pair()
    wrapper = build(model, dtype='float16', loss_scale=8.0)
    assert wrapper.scaler.get_scale() == 8.0
    exact_losses(model, wrapper, [0], float('inf'))
    assert wrapper.scaler.get_scale() == 8.0


def test_step_without_any_gradient() -> None:
    model = Pair()
    before = state(model)
    build(model, dtype='float16').step()
    assert_close(state(model), before, atol=0, rtol=0)


# ------------------------------------------------------------------------------------------ resume


def test_resume_with_scaler() -> None:
    model, twin = Pair(), Pair()
    wrapper = build(model, dtype='float16')
    exact_losses(model, wrapper, range(2))
    exact_losses(model, wrapper, [2], float('inf'))
    again = build(twin, dtype='float16')
    twin.load_state_dict(state(model))
    again.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    assert again.scaler.get_scale() == 2.0**15
    for one, its in ((model, wrapper), (twin, again)):
        exact_losses(one, its, range(3, 5))
    assert_close(state(model), state(twin), atol=0, rtol=0)
    assert again.state_dict().keys() == {'student', 'discriminators', 'loss_scaler'}


def test_resume_without_scaler_from_fp16() -> None:
    saved = build(Pair(), dtype='float16').state_dict()
    build(Pair()).load_state_dict(saved)
    assert 'loss_scaler' in saved


def test_resume_with_other_optimizers() -> None:
    model = Pair()
    model.discriminators.requires_grad_(False)
    saved = build(model, dict(student=SGD)).state_dict()
    with pytest.raises(
        ValueError,
        match=r"optimizers \['discriminators', 'student'\], but got one with \['student'\]; resume",
    ):
        build(Pair()).load_state_dict(saved)


def test_wraps_plain_wrappers_only() -> None:
    with pytest.raises(TypeError, match='JointOptimWrapperDict.student: .*, but got Linear'):
        JointOptimWrapperDict(student=nn.Linear(1, 1))
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    assert len(JointOptimWrapperDict(student=OptimWrapper(optimizer))) == 1
