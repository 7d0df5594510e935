"""Memory by calculation, beside what steps really hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import toys
from mmengine.config import Config
from torch import nn

from mmseg_uda.doctor import memory as planning
from mmseg_uda.doctor.autocast import gpu_autocast
from mmseg_uda.doctor.fake import SavedBytes, fake_tensors
from mmseg_uda.doctor.memory import Memory, measure_saved, plan_memory
from mmseg_uda.doctor.savings import block_names, savings, steps_to_fit
from mmseg_uda.engine.noise import image_size

CROP = (32, 48)


def config(tmp_path: Path, name: str, **changes: Any) -> Config:
    return toys.runner_cfg(tmp_path, tmp_path / 'work', toys.method_cfg(name), **changes)


# ------------------------------------------------------------------------------------ fake tensors


def test_bytes_of_a_graph_by_hand() -> None:
    x, weight = torch.ones(4, 8), torch.ones(8, 8, requires_grad=True)
    with SavedBytes([weight]) as saved:
        hidden = (x @ weight).relu()  # holds x and the result of the rectifier
        assert saved.now == 4 * (4 * 8 + 4 * 8)
        loss = hidden.sum() + hidden.square().sum()  # holds `hidden` again: the same storage
        assert saved.now == 4 * (4 * 8 + 4 * 8)
        loss.backward()
        assert (saved.now, saved.peak) == (0, 256)


def test_live_bytes() -> None:
    with fake_tensors(num_classes=4) as live:
        one = torch.zeros(1000)
        view = one[10:]
        assert live.now == 4000
        del one
        assert live.now == 4000  # the view holds it
        torch.zeros(500)
        assert (live.now, live.peak) == (4000, 6000)
        del view
        assert live.now == 0


def test_code_that_looks_at_values() -> None:
    with fake_tensors(num_classes=4):
        label = torch.zeros(2, 6, 8, dtype=torch.long)
        assert len(label.unique()) == 4
        assert label[label > 1].shape == (96,)
        assert torch.nonzero(label).shape == (96, 3)
        assert torch.bincount(label.flatten(), minlength=9).shape == (9,)
        assert float(torch.rand(())) == 0.5
        assert int(label.sum()) == 1
        assert bool((label == 3).any())
        image = torch.zeros(2, 3, 6, 8)
        image[label.unsqueeze(1).expand(-1, 3, -1, -1) == 1] = 0
        assert image.masked_select(label[:, None] == 0).shape == (288,)


# ------------------------------------------------------------------------------------------- plans


@pytest.mark.parametrize(
    ('name', 'dtype'),
    [('mic', None), ('mic', 'bfloat16'), ('cdanet', None), ('camix', None), ('proda', None)],
)
def test_calculated_as_measured(name: str, dtype: str | None, tmp_path: Path) -> None:
    """Alignment, mixing, masks, a frozen network, soft labels: every method's own losses."""
    cfg = config(tmp_path, name)
    cfg.optim_wrapper.dtype = dtype
    if name == 'camix':
        steps = cfg.train_dataloader.target.dataset.pipeline
        steps.insert(1, dict(type='TrackPositions', height=8, width=12))
        cfg.model.mixer.prior = 'not_made_yet.npz'
    memory = plan_memory(cfg, CROP)
    assert memory.saved == pytest.approx(measure_saved(cfg, CROP), rel=0.1)
    assert memory.activations >= memory.saved
    assert memory.total == sum(memory[:5])


def test_files_that_training_reads_need_not_exist() -> None:
    """Self-attention, fixed teacher, prototypes and pseudo labels come from earlier stages."""
    of_proda = 'synth_street2camvid_day-240x180_stage2-sam'
    for name in (
        'sam/sam_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180',
        f'proda/proda_mobilenetv2-035-deeplabv2_1xb2-1500_{of_proda}',
        'camix/camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512',
    ):
        cfg = Config.fromfile(toys.ROOT / f'configs/{name}.py')
        assert plan_memory(cfg, (33, 49)).total > 0


def test_half_precision_as_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Norms and softmax of a transformer keep full precision there, which takes more memory."""
    attention = nn.MultiheadAttention(8, 2)
    tokens = torch.rand(5, 1, 8)  # (length, batch, channels)
    with gpu_autocast(torch.bfloat16):
        output, weights = attention(tokens, tokens, tokens)
        normed = nn.LayerNorm(8)(output)
    assert (output.dtype, weights.dtype) == (torch.bfloat16, torch.float32)
    assert normed.dtype == torch.float32
    normed.sum().backward()
    assert all(each.grad is not None for each in attention.parameters())
    with torch.autocast('cpu', torch.bfloat16):  # its own rules are as before
        assert nn.LayerNorm(8)(output).dtype == torch.bfloat16

    cfg = network(tmp_path)
    cfg.optim_wrapper.dtype = 'bfloat16'
    of_gpu = plan_memory(cfg, CROP).activations
    monkeypatch.setattr(planning, 'gpu_autocast', lambda dtype: torch.autocast('cpu', dtype))
    assert of_gpu > 1.1 * plan_memory(cfg, CROP).activations


def test_weights_state_and_teacher(tmp_path: Path) -> None:
    cfg = config(tmp_path, 'mean_teacher')
    memory = plan_memory(cfg, CROP)
    segmentor = toys.MODELS.build(toys.segmentor_cfg())
    network = 4 * sum(each.numel() for each in segmentor.parameters())
    assert memory[:4] == (network, network + 56, network, network)  # SGD with momentum
    cfg.optim_wrapper.optimizers.student.optimizer = dict(type='AdamW', lr=1e-4)
    assert plan_memory(cfg, CROP).optimizer == pytest.approx(2 * network, rel=0.01)
    stock = toys.runner_cfg(tmp_path, tmp_path / 'work', toys.segmentor_cfg())
    stock.train_dataloader = stock.train_dataloader.source
    assert plan_memory(stock, CROP)[:4] == (network, 24, network, network)


def network(tmp_path: Path) -> Config:
    """A method on a backbone that can compute its activations again."""
    cfg = config(tmp_path, 'dacs')
    cfg.model.pop('regularizers')
    cfg.model.backward = 'joint'
    cfg.model.segmentor.backbone = dict(
        type='MixVisionTransformer',
        embed_dims=8,
        num_stages=1,
        num_layers=[2],
        num_heads=[1],
        patch_sizes=[7],
        strides=[4],
        sr_ratios=[2],
        out_indices=(0,),
    )
    return cfg


def test_what_saves_memory(tmp_path: Path) -> None:
    cfg = network(tmp_path)
    found = [*savings(cfg)]
    assert [str(each) for each in found] == [
        'model.backward=sequential',
        'optim_wrapper.dtype=bfloat16',
        'model.segmentor.backbone.with_cp=True',
        'train_dataloader.source.batch_size=1 train_dataloader.target.batch_size=1 '
        'optim_wrapper.accumulative_counts=2',
    ]
    for saving in found:
        cfg = saving.apply(cfg)
    assert not [*savings(cfg)]


@pytest.mark.slow
def test_each_change_saves_memory(tmp_path: Path) -> None:
    steps = [*steps_to_fit(network(tmp_path), 0, (64, 64))]
    totals = [memory.total for _, memory in steps]
    assert totals == sorted(totals, reverse=True)
    assert len(set(totals)) == 5


def test_blocks_without_the_option() -> None:
    """A backbone without `with_cp` is wrapped block by block, unless batch norm is in them."""

    def of_layers(layer: Any) -> nn.Module:
        model = nn.Module()
        model.student = nn.Module()
        blocks = nn.Sequential(*map(layer, [3] * 4))
        model.student.backbone = nn.Sequential(nn.ReLU(), blocks)
        return model

    assert block_names(of_layers(nn.LayerNorm)) == [f'student.backbone.1.{i}' for i in range(4)]
    assert block_names(of_layers(nn.BatchNorm2d)) == []


def test_sizes_of_pipelines(tmp_path: Path) -> None:
    cfg = config(tmp_path, 'dacs')
    with pytest.raises(ValueError, match='source.dataset.pipeline: expected a size'):
        plan_memory(cfg)
    steps = cfg.train_dataloader.source.dataset.pipeline
    steps[1:1] = [dict(type='Resize', scale=(96, 64)), dict(type='Pad', size=(100, 70))]
    assert image_size(cfg, 'source') == (70, 100)
    steps.insert(3, dict(type='RandomCrop', crop_size=(32, 40)))
    assert image_size(cfg, 'source') == (32, 40)
    assert image_size(cfg, 'target', (8, 9)) == (8, 9)


def test_a_tenth_is_left() -> None:
    memory = Memory(10, 20, 30, 0, 30, 15)
    assert memory.total == 90
    assert memory.fits(100)
    assert not memory.fits(99)


def test_tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool = toys.load_script('tools/analysis_tools/memory_plan.py')
    config(tmp_path, 'source_only').dump(tmp_path / 'config.py')
    args = [str(tmp_path / 'config.py'), '--crop', '32', '48']
    assert tool.main([*args, '--measure']) == 0
    out = capsys.readouterr().out
    assert 'source: batch 2 of 48 x 32\n' in out
    assert 'measured (+0.0%)' in out
    assert out.endswith('fits in 90% of 24 GiB as it is\n')
    assert tool.main([*args, '--gpu-memory', '0.00001']) == 2
    assert capsys.readouterr().out.splitlines()[-1].startswith('does not fit in 90% of 1e-05 GiB')
    assert tool.main([*args, '--gpu-memory', '0.00001', '--json']) == 2
    content = json.loads(capsys.readouterr().out)
    assert content['shapes'] == dict(source=[32, 48], target=[32, 48])
    assert {each['fits'] for each in content['steps']} == {False}
    with pytest.raises(SystemExit):
        tool.main([*args, '--gpu-memory', '0'])
