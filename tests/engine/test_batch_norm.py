"""Batch-norm statistics against a slow recomputation."""

from __future__ import annotations

import multiprocessing
from copy import deepcopy

import pytest
import torch
import torch.distributed as dist
from mmengine.registry import init_default_scope
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.engine.batch_norm import batch_norm_layers, reestimate_batch_norm


def make_model(norm: str = 'BN', **extra: object) -> EncoderDecoder:
    init_default_scope('mmseg')
    torch.manual_seed(0)
    norm_cfg = dict(type=norm, requires_grad=True)
    head = dict(
        type='FCNHead',
        channels=2,
        num_convs=1,
        num_classes=3,
        norm_cfg=norm_cfg,
        loss_decode=dict(type='CrossEntropyLoss'),
    )
    backbone = dict(
        type='UNet',
        base_channels=2,
        num_stages=2,
        strides=(1, 1),
        enc_num_convs=(1, 1),
        dec_num_convs=(1,),
        downsamples=(True,),
        enc_dilations=(1, 1),
        dec_dilations=(1,),
        norm_cfg=norm_cfg,
    )
    return MODELS.build(
        dict(
            type='EncoderDecoder',
            backbone=backbone,
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[99.0] * 3, std=[50.0] * 3),
            decode_head=dict(head, in_channels=2, in_index=1, dropout_ratio=0.5),
            auxiliary_head=dict(head, in_channels=4, in_index=0),
            test_cfg=dict(mode='whole'),
            **extra,
        )
    )


def make_batches(count: int = 4, size: int = 2) -> list[dict]:
    generator = torch.Generator().manual_seed(1)
    return [
        dict(
            # Brightness differs between images, so the variance between batches matters.
            inputs=[
                torch.randint(60 * (i % 4) + 1, (3, 8, 12), generator=generator).byte()
                for _ in range(size)
            ],
            data_samples=[
                SegDataSample(metainfo=dict(img_shape=(8, 12), ori_shape=(8, 12)))
                for _ in range(size)
            ],
        )
        for i in range(count)
    ]


def slow_statistics(model: EncoderDecoder, batches: list[dict]) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and variance of what enters each layer, all values held in memory."""
    model = deepcopy(model).eval()
    inputs: dict[str, list[Tensor]] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
            module.register_forward_hook(
                lambda _, args, __, name=name: inputs.setdefault(name, []).append(args[0])
            )
    with torch.no_grad():
        for batch in batches:
            data = model.data_preprocessor(batch, False)
            model.decode_head.forward(model.extract_feat(data['inputs']))
    flat = {
        name: torch.cat([v.transpose(0, 1).flatten(1) for v in values], 1).double()
        for name, values in inputs.items()
    }
    return {name: (v.mean(1).float(), v.var(1).float()) for name, v in flat.items()}


def statistics(model: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    return {
        name: (layer.running_mean, layer.running_var) for name, layer in batch_norm_layers(model)
    }


@pytest.mark.parametrize('norm', ['BN', 'SyncBN'])
def test_statistics_equal_slow_recomputation(norm: str) -> None:
    model = make_model(norm)
    expected = slow_statistics(make_model(), make_batches())
    untouched = {
        name: [v.clone() for v in values]
        for name, values in statistics(model).items()
        if name not in expected
    }
    assert reestimate_batch_norm(model, make_batches()) == 8
    found = statistics(model)
    assert len(expected) == 6
    for name, (mean, var) in expected.items():
        assert_close(found[name][0], mean, atol=1e-5, rtol=1e-5)
        assert_close(found[name][1], var, atol=1e-5, rtol=1e-5)
    # No image passes through the auxiliary head: its statistics stay.
    assert untouched.keys() == {'auxiliary_head.convs.0.bn', 'auxiliary_head.conv_cat.bn'}
    for name, values in untouched.items():
        assert all(torch.equal(a, b) for a, b in zip(found[name], values))


def test_first_layer_does_not_depend_on_the_batches() -> None:
    images = [image for batch in make_batches() for image in batch['inputs']]
    samples = [sample for batch in make_batches() for sample in batch['data_samples']]
    models = [make_model(), make_model()]
    reestimate_batch_norm(models[0], make_batches())
    reestimate_batch_norm(models[1], [dict(inputs=images, data_samples=samples)])
    one, other = (next(iter(statistics(model).values())) for model in models)
    assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_images_of_several_sizes() -> None:
    """Each size passes by itself, without padding."""
    small, large = make_batches(2)
    large['inputs'] = [image.repeat(1, 2, 1) for image in large['inputs']]
    mixed = {key: [*small[key][:1], *large[key], *small[key][1:]] for key in small}
    models = [make_model(), make_model()]
    assert reestimate_batch_norm(models[0], [mixed]) == 4
    reestimate_batch_norm(models[1], [small, large])
    for name, values in statistics(models[1]).items():
        assert_close(statistics(models[0])[name], values)


def test_everything_else_stays() -> None:
    model = make_model().train()
    model.backbone.eval()
    modes = {name: module.training for name, module in model.named_modules()}
    momenta = [layer.momentum for _, layer in batch_norm_layers(model)]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    reestimate_batch_norm(model, make_batches())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert [layer.momentum for _, layer in batch_norm_layers(model)] == momenta
    for key, value in model.state_dict().items():
        if not key.endswith(('running_mean', 'running_var')):
            assert torch.equal(value, before[key]), key
    assert all(param.grad is None and param.requires_grad for param in model.parameters())
    assert not any(
        layer._forward_hooks or layer._forward_pre_hooks for _, layer in batch_norm_layers(model)
    )


def test_num_images_stops_early() -> None:
    models = [make_model(), make_model()]
    assert reestimate_batch_norm(models[0], make_batches(4), num_images=3) == 4
    reestimate_batch_norm(models[1], make_batches(4)[:2])
    assert_close(models[0].state_dict(), models[1].state_dict(), atol=0, rtol=0)


def test_layers_without_statistics_are_skipped() -> None:
    model = make_model()
    model.backbone.encoder[0][0].convs[0].bn = nn.BatchNorm2d(2, track_running_stats=False)
    reestimate_batch_norm(model, make_batches())
    assert model.backbone.encoder[0][0].convs[0].bn.running_mean is None


def test_failure_leaves_the_model_as_before() -> None:
    model = make_model()
    before = {key: value.clone() for key, value in model.state_dict().items()}

    def broken():
        yield make_batches()[0]
        raise OSError('disk')

    with pytest.raises(OSError, match='disk'):
        reestimate_batch_norm(model, broken())
    assert_close(model.state_dict(), before, atol=0, rtol=0)
    assert model.training


def test_errors() -> None:
    with pytest.raises(
        ValueError, match='AdaBN.model: expected batch-norm statistics, but got Enc'
    ):
        reestimate_batch_norm(make_model('IN'), make_batches())
    with pytest.raises(ValueError, match='AdaBN.batches: expected images, but got none'):
        reestimate_batch_norm(make_model(), [])
    tiny = make_batches(1, 1)[0]
    tiny['inputs'] = [tiny['inputs'][0][:, :2, :2]]
    with pytest.raises(ValueError, match=r'layer backbone.encoder.1.*batch size of at least 2'):
        reestimate_batch_norm(make_model(), [tiny])


def _run_process(rank: int, store: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{store}', rank=rank, world_size=2)
    model = make_model()
    count = reestimate_batch_norm(model, make_batches()[rank::2])
    torch.save(dict(model.state_dict(), count=torch.tensor(count)), f'{out}_{rank}.pth')
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path) -> None:
    context = multiprocessing.get_context('fork')
    processes = [
        context.Process(target=_run_process, args=(i, f'{tmp_path}/store', f'{tmp_path}/out'))
        for i in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    model = make_model()
    count = reestimate_batch_norm(model, make_batches())
    first, second = (torch.load(tmp_path / f'out_{i}.pth', weights_only=True) for i in range(2))
    assert first.pop('count') == second.pop('count') == count == 8
    assert_close(first, second, atol=0, rtol=0)
    assert_close(first, dict(model.state_dict()), atol=1e-6, rtol=1e-6)
