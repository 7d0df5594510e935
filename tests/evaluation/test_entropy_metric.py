"""Entropy of right and wrong pixels."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner import Runner
from mmseg.registry import METRICS
from torch import Tensor
from toys import build, method_cfg, runner_cfg

from mmseg_uda.evaluation import EntropyMetric

Pair = tuple[Tensor, Tensor]


def run(pairs: list[Pair], size: int | None = None, **kwargs: Any) -> dict[str, float]:
    """Metrics of pairs of logits (C, H, W) and labels (H, W)."""
    metric = METRICS.build(dict(type='EntropyMetric', **kwargs))
    for logits, label in pairs:
        metric.process(
            {},
            [
                dict(
                    seg_logits=dict(data=logits),
                    gt_sem_seg=dict(data=label[None]),
                    pred_sem_seg=dict(data=logits.argmax(0, keepdim=True)),
                )
            ],
        )
    return metric.evaluate(size or len(pairs))


def random_pairs(count: int = 3) -> list[Pair]:
    generator = torch.Generator().manual_seed(0)
    pairs = []
    for height in range(4, 4 + count):
        logits = 3 * torch.randn(5, height, 6, generator=generator)
        label = torch.randint(5, (height, 6), generator=generator)
        known = torch.rand(height, 6, generator=generator) < 0.5
        label = torch.where(known, logits.argmax(0), label)
        label[0, :2] = 255
        pairs.append((logits, label))
    return pairs


def looped(pairs: list[Pair], average: str) -> dict[str, float]:
    """Pixel by pixel."""
    groups: dict[str, list[list[float]]] = {'right': [], 'wrong': [], 'all': []}
    for logits, label in pairs:
        for values in groups.values():
            values.append([])
        for y, row in enumerate(label.tolist()):
            for x, true in enumerate(row):
                if true == 255:
                    continue
                exps = [math.exp(value) for value in logits[:, y, x].tolist()]
                entropy = -sum(e / sum(exps) * math.log(e / sum(exps)) for e in exps)
                group = 'right' if exps[true] == max(exps) else 'wrong'
                for name in (group, 'all'):
                    groups[name][-1].append(entropy / math.log(len(exps)))
    if average == 'pixel':
        groups = {name: [[x for v in values for x in v]] for name, values in groups.items()}
    return {
        f'entropy/{name}': sum(sum(v) / len(v) for v in values) / len(values)
        for name, values in groups.items()
    }


@pytest.mark.parametrize('average', ['image', 'pixel'])
def test_equals_the_looped_computation(average: str) -> None:
    pairs = random_pairs()
    metrics = run(pairs, average=average)
    assert metrics == pytest.approx(looped(pairs, average), abs=1e-6)
    assert list(metrics) == ['entropy/right', 'entropy/wrong', 'entropy/all']


def test_averages_differ() -> None:
    pairs = random_pairs()
    assert run(pairs) == run(pairs, average='image')
    pooled = run(pairs, average='pixel')
    assert run(pairs)['entropy/wrong'] != pytest.approx(pooled['entropy/wrong'], abs=1e-4)


def test_hand_computed() -> None:
    """An undecided pixel has 1, one with two equal classes of four log 2 / log 4."""
    logits = torch.tensor(
        [[0.0, 9.0, 90.0], [0.0, 9.0, 0.0], [0.0, -90.0, 0.0], [0.0, -90.0, 0.0]]
    )[:, None]
    metrics = run([(logits, torch.tensor([[1, 0, 0]]))])
    assert metrics == pytest.approx({'entropy/right': 0.25, 'entropy/wrong': 1, 'entropy/all': 0.5})


def test_nats() -> None:
    """Not divided by log C: an undecided pixel of 5 classes has log 5."""
    pairs = random_pairs()
    expected = {key: value * math.log(5) for key, value in run(pairs).items()}
    assert run(pairs, normalize=False) == pytest.approx(expected, rel=1e-6)
    metrics = run([(torch.zeros(5, 1, 1), torch.tensor([[1]]))], normalize=False)
    assert metrics['entropy/wrong'] == pytest.approx(math.log(5))


def test_groups_without_a_pixel() -> None:
    (logits, label), *others = random_pairs()
    sure = (logits, torch.where(label == 255, 255, logits.argmax(0)))
    assert math.isnan(run([sure])['entropy/wrong'])
    nothing = (logits, torch.full_like(label, 255))
    assert all(math.isnan(value) for value in run([nothing]).values())
    both = run([sure, nothing, *others])
    assert both['entropy/wrong'] == pytest.approx(run(others)['entropy/wrong'])


def test_arguments() -> None:
    pairs = random_pairs()
    assert set(run(pairs, prefix='night')) == {'night/right', 'night/wrong', 'night/all'}
    other = [(logits, torch.where(label == 255, 7, label)) for logits, label in pairs]
    assert run(other, ignore_index=7) == run(pairs)
    assert EntropyMetric(collect_device='gpu').collect_device == 'gpu'


def test_padded_images_do_not_count() -> None:
    """mmengine cuts off what fills the last batch of several processes."""
    pairs = random_pairs()
    assert run([*pairs, pairs[0]], size=3) == run(pairs)


def test_half_precision_is_computed_in_full() -> None:
    pairs = [(logits.half(), label) for logits, label in random_pairs()]
    assert run(pairs) == run([(logits.float(), label) for logits, label in pairs])


def test_beside_the_iou_in_a_validation(tmp_path: Path) -> None:
    evaluator = [dict(type='IoUMetric'), dict(type='EntropyMetric')]
    cfg = runner_cfg(
        tmp_path, tmp_path / 'work', method_cfg('source_only'), val_evaluator=evaluator
    )
    runner = Runner.from_cfg(cfg)
    runner.model.load_state_dict(build('source_only').state_dict())
    metrics = runner.val()
    pairs = []
    for data in runner.val_dataloader:
        with torch.no_grad():
            (sample,) = runner.model.eval().test_step(data)
        pairs.append((sample.seg_logits.data, sample.gt_sem_seg.data[0]))
    expected = looped(pairs, 'image')
    assert {key: metrics[key] for key in expected} == pytest.approx(expected, abs=1e-5)
    assert 'mIoU' in metrics
    (log,) = tmp_path.rglob('vis_data/scalars.json')
    logged = json.loads(log.read_text().splitlines()[-1])
    assert logged['entropy/right'] == pytest.approx(expected['entropy/right'], abs=1e-3)


def test_errors() -> None:
    with pytest.raises(
        ValueError,
        match=r"EntropyMetric.average: expected one of \('image', 'pixel'\), but got 'class'",
    ):
        EntropyMetric(average='class')
    logits, label = random_pairs(1)[0]
    with pytest.raises(
        ValueError,
        match='EntropyMetric: expected at least two outputs of the network, but got one; write '
        'decode_head.out_channels=2',
    ):
        run([(logits[:1], label)])
    with pytest.raises(
        ValueError,
        match=r'EntropyMetric: expected seg_logits of the size \(8, 6\) of the ground truth, but '
        r'got \(4, 6\)',
    ):
        run([(logits, torch.cat([label, label]))])
    with pytest.raises(
        ValueError,
        match='EntropyMetric: expected a prediction with seg_logits, but got none; test without '
        'test-time augmentation, or remove the metric',
    ):
        EntropyMetric().process({}, [dict(pred_sem_seg=dict(data=label))])
