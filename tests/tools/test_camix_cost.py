"""The cost tool times the passes that an iteration makes."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
import toys
from mmengine.config import Config


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return toys.load_script('tools/analysis_tools/camix_cost.py')


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    Config(dict(model=toys.segmentor_cfg())).dump(tmp_path / 'toy.py')
    return ['--segmentor', str(tmp_path / 'toy.py'), '--size', '32', '48', '--repeat', '2']


@pytest.mark.parametrize('more', [[], ['--no-augment', '--dtype', 'bfloat16']])
def test_comparison(
    tool: ModuleType, flags: list[str], more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    ratio = tool.main([*flags, '--passes', '3', '--chunk', '2', *more])['time']
    out = capsys.readouterr().out
    assert 'toy, 2 + 2 images of 32x48, 3 noisy passes, 2 at once' in out
    assert ('no augmentation' in out, 'bfloat16' in out) == (bool(more), bool(more))
    lines = out.splitlines()
    rows = {line[:32].strip(): float(line[32:]) for line in lines[lines.index('') + 2 :]}
    *passes, total, iteration, last = rows.values()
    assert list(rows)[:4] == [
        'student on the source',
        'student on mixed images',
        'teacher for labels',
        'teacher on 3 noisy copies',
    ]
    assert total == pytest.approx(sum(passes), abs=0.3)
    assert ratio == pytest.approx(iteration / total, rel=0.2)
    assert last == pytest.approx(ratio, abs=0.01)


def test_passes_are_those_of_an_iteration(tool: ModuleType, flags: list[str]) -> None:
    """As many images through as many passes of each network."""
    args = tool.parse_args([*flags, '--passes', '5', '--chunk', '2'])
    model = tool.build(args)
    seen: list[tuple[str, int]] = []
    for name, network in (('student', model.student), ('teacher', model.teacher.module)):
        network.backbone.register_forward_hook(
            lambda _, inputs, __, name=name: seen.append((name, len(inputs[0])))
        )
    wrapper = tool.build_optim_wrapper(model, tool.OPTIM_WRAPPER)
    model.train_step(tool.draw_batch(args, model), wrapper)
    expected = sorted(seen)
    seen.clear()
    images, labels = torch.randn(2, 3, 32, 48), torch.zeros(2, 32, 48, dtype=torch.int64)
    passes = tool.bare_passes(args, model, images, labels, lambda: wrapper.optim_context(model))
    for call in passes.values():
        call()
    assert sorted(seen) == expected
    assert len(seen) == 2 + 1 + 3
    assert all(param.grad is not None for param in model.student.parameters())
