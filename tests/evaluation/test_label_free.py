"""Scores without labels: formulas by loops, the sample of pixels, mirrored images."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from mmseg.registry import METRICS
from torch import Tensor

from mmseg_uda.evaluation import SCORES, label_free
from mmseg_uda.evaluation.importance_weighting import importance_weighted_risk

Sample = dict[str, Any]


def prediction(seed: int, name: str, flip: bool = False, classes: int = 4) -> Sample:
    """What an evaluator passes on for one image of 6x8."""
    logits = 2 * torch.randn(classes, 6, 8, generator=torch.Generator().manual_seed(seed))
    return dict(img_path=f'/data/{name}.png', flip=flip, seg_logits=dict(data=logits))


def evaluate(samples: list[Sample], **kwargs: Any) -> dict[str, float]:
    metric = METRICS.build(dict(type='LabelFreeMetric', **kwargs))
    for sample in samples:
        metric.process({}, [sample])
    return metric.evaluate(len(samples))


def softmax(seed: int, count: int = 7, classes: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(count, classes, generator=generator)).softmax(1)


def h(row: list[float]) -> float:
    return -sum(p * math.log(p) for p in row if p > 0)


def average(rows: list[list[float]]) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows)]


# --------------------------------------------------------------------- formulas, number by number


def test_entropy_and_mutual_information_by_loops() -> None:
    prob = softmax(0)
    rows = prob.tolist()
    mean_entropy = sum(h(row) for row in rows) / len(rows)
    assert label_free.entropy(prob) == pytest.approx(mean_entropy / math.log(3), rel=1e-5)
    information = h(average(rows)) - mean_entropy
    assert label_free.mutual_information(prob) == pytest.approx(information, rel=1e-4)


@pytest.mark.parametrize('rows', [1, 3, 1024])
def test_neighbourhood_density_by_loops(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_free, 'ROWS', rows)
    prob, temperature = softmax(1), 0.3
    rows, total = prob.tolist(), 0.0
    for i, one in enumerate(rows):
        similar = []
        for j, other in enumerate(rows):
            if i != j:
                dot = sum(a * b for a, b in zip(one, other))
                norms = math.hypot(*one) * math.hypot(*other)
                similar.append(math.exp(dot / norms / temperature))
        total += h([each / sum(similar) for each in similar])
    ours = label_free.neighbourhood_density(prob, temperature)
    assert ours == pytest.approx(total / len(rows), rel=1e-5)
    # The default sharpens: fewer neighbours count.
    assert label_free.neighbourhood_density(prob) < ours


def test_classes_by_loops() -> None:
    prob, shares = softmax(2), torch.tensor([0.7, 0.3, 0.0])
    rows = prob.tolist()
    counts = [sum(row.index(max(row)) == c for row in rows) / len(rows) for c in range(3)]
    assert label_free.effective_classes(prob) == pytest.approx(math.exp(h(counts)), rel=1e-5)
    mean = average(rows)
    divergence = 0.7 * math.log(0.7 / mean[0]) + 0.3 * math.log(0.3 / mean[1])
    assert label_free.source_divergence(prob, shares) == pytest.approx(divergence, rel=1e-4)


def test_known_values() -> None:
    certain, uniform = torch.eye(4), torch.full((6, 4), 0.25)
    constant = torch.eye(4)[[2] * 6]
    assert label_free.entropy(certain) == 0
    assert label_free.entropy(uniform) == pytest.approx(1)
    assert label_free.mutual_information(certain) == pytest.approx(math.log(4))
    assert label_free.mutual_information(uniform) == pytest.approx(0, abs=1e-6)
    assert label_free.mutual_information(constant) == pytest.approx(0, abs=1e-6)
    # The upper bound, which a collapsed network reaches.
    assert label_free.neighbourhood_density(constant) == pytest.approx(math.log(5))
    assert label_free.effective_classes(certain) == pytest.approx(4)
    assert label_free.effective_classes(constant) == pytest.approx(1)
    assert label_free.source_divergence(uniform, torch.full((4,), 0.25)) == pytest.approx(0)
    assert label_free.source_divergence(constant, torch.full((4,), 0.25)) > 10
    assert label_free.agreement(certain, torch.tensor([0, 1, 3, 2])) == 0.5


def test_collapse_is_worse_by_the_guards() -> None:
    good, collapsed = torch.eye(4).repeat(3, 1), torch.eye(4)[[1] * 12]
    shares = torch.full((4,), 0.25)
    for name in ('mutual_information', 'effective_classes', 'source_divergence'):
        values = [
            SCORES[name].compute(
                label_free.Views(prob, torch.arange(4), torch.arange(0), prob[:0], shares)
            )
            for prob in (good, collapsed)
        ]
        better = max if SCORES[name].rule == 'greater' else min
        assert values[0] == better(values)
        assert values[0] != values[1]


# ---------------------------------------------------------------------------------- the metric


def test_all_pixels_give_the_formulas() -> None:
    samples = [prediction(seed, str(seed)) for seed in range(3)]
    prob = torch.cat([each['seg_logits']['data'].flatten(1).softmax(0).T for each in samples])
    metrics = evaluate(samples, pixels=48, few=48, source_shares=[1, 2, 3, 4])
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4])
    assert metrics == pytest.approx(
        {
            'entropy': label_free.entropy(prob),
            'mutual_information': label_free.mutual_information(prob),
            'neighbourhood_density': label_free.neighbourhood_density(prob),
            'effective_classes': label_free.effective_classes(prob),
            'source_divergence': label_free.source_divergence(prob, shares),
        },
        rel=1e-4,
    )


def test_sample_is_a_function_of_the_name() -> None:
    samples = [prediction(seed, str(seed)) for seed in range(4)]
    metrics = evaluate(samples, pixels=9, few=5)
    moved = [dict(each, img_path=each['img_path'].replace('/data', '/disk/2')) for each in samples]
    assert evaluate(moved[::-1], pixels=9, few=5) == pytest.approx(metrics, rel=1e-4)
    renamed = [dict(each, img_path=f'/data/x{i}.png') for i, each in enumerate(samples)]
    assert evaluate(renamed, pixels=9, few=5)['entropy'] != pytest.approx(metrics['entropy'])


def test_few_limits_the_density_alone() -> None:
    samples = [prediction(seed, str(seed)) for seed in range(2)]
    less, more = (evaluate(samples, pixels=20, few=few) for few in (2, 20))
    changed = {key for key in less if less[key] != more[key]}
    assert changed == {'neighbourhood_density'}


def test_mirrored_images_count_for_agreement_alone() -> None:
    plain = [prediction(seed, str(seed)) for seed in range(2)]
    mirrored = [prediction(seed + 5, str(seed), flip=True) for seed in range(2)]
    metrics = evaluate([plain[0], mirrored[0], plain[1], mirrored[1]], pixels=48)
    one, other = (
        torch.stack([each['seg_logits']['data'].argmax(0) for each in part])
        for part in (plain, mirrored)
    )
    agreement = (one == other).float().mean().item()
    assert metrics.pop('mirror_agreement') == pytest.approx(agreement)
    assert metrics == evaluate(plain, pixels=48)
    # In any order: several processes collect their results one after the other.
    again = evaluate([mirrored[1], plain[1], mirrored[0], plain[0]], pixels=48)
    assert again['mirror_agreement'] == pytest.approx(agreement)


def test_agreement_with_the_teacher() -> None:
    samples = [prediction(seed, str(seed)) for seed in range(2)]
    teacher = [prediction(seed + 5, '')['seg_logits'] for seed in range(2)]
    both = [dict(each, other_logits=logits) for each, logits in zip(samples, teacher)]
    same = [
        each['seg_logits']['data'].argmax(0) == logits['data'].argmax(0)
        for each, logits in zip(samples, teacher)
    ]
    metrics = evaluate(both, pixels=48)
    assert metrics.pop('teacher_agreement') == pytest.approx(
        torch.stack(same).float().mean().item()
    )
    assert metrics == evaluate(samples, pixels=48)


def source_image(seed: int, name: str) -> Sample:
    """A labelled image of the source, some of whose pixels are ignored."""
    label = torch.randint(4, (1, 6, 8), generator=torch.Generator().manual_seed(seed + 50))
    label[0, 0, :3] = 255
    return dict(prediction(seed, name), domain='source', gt_sem_seg=dict(data=label))


def test_labelled_source_images() -> None:
    target = [dict(prediction(seed, str(seed)), domain='target') for seed in range(2)]
    source = [source_image(seed + 10, str(seed)) for seed in range(3)]  # of the same names
    metrics = evaluate([*source, *target], pixels=48)
    again = evaluate([target[1], *source[::-1], target[0]], pixels=48)
    assert again == pytest.approx(metrics, rel=1e-4)

    def prob(sample: Sample) -> Tensor:
        return sample['seg_logits']['data'].flatten(1).softmax(0).T

    labels = [each['gt_sem_seg']['data'].flatten() for each in source]
    valid = [label != 255 for label in labels]
    probs = [prob(each)[kept] for each, kept in zip(source, valid)]
    wrong = [p.argmax(1) != label[kept] for p, label, kept in zip(probs, labels, valid)]
    halves = [torch.full((len(p),), i == 1) for i, p in enumerate(probs)]
    risk = importance_weighted_risk(
        torch.cat(probs), torch.cat(wrong), torch.cat(halves), torch.cat([*map(prob, target)])
    )
    assert metrics.pop('weighted_source_error') == pytest.approx(risk, abs=1e-4)
    assert metrics == evaluate(target, pixels=48)
    # One image has no other half.
    assert 'weighted_source_error' not in evaluate([source[0], *target])


def test_chosen_scores() -> None:
    samples = [prediction(0, '0')]
    assert set(evaluate(samples, scores=['entropy'], prefix='x')) == {'x/entropy'}


@pytest.mark.parametrize(
    ('score', 'needed'),
    [
        ('mirror_agreement', r"a dataset dict\(type='MirroredViews', dataset=...\)"),
        ('source_divergence', 'source_shares'),
        ('teacher_agreement', 'with_teacher=True beside the dataloader'),
        ('weighted_source_error', r"a dataset dict\(type='BothDomains'"),
    ],
)
def test_score_without_its_input(score: str, needed: str) -> None:
    with pytest.raises(ValueError, match=f'scores: {score!r} expected {needed}.*but got none'):
        evaluate([prediction(0, '0')], scores=['entropy', score])


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(scores=['entropie']), r"LabelFreeMetric.scores: expected one of \('entropy'"),
        (dict(few=0), 'LabelFreeMetric.few: expected an integer of at least 1, but got 0'),
        (
            dict(few=30, pixels=20),
            r'LabelFreeMetric.few: expected at most 20 \(`pixels`\), but got 30',
        ),
        (dict(source_shares=[0, 0]), r'source_shares: expected a sum above 0, but got \[0, 0\]'),
        (
            dict(source_shares=[-1, 1]),
            r'source_shares: expected a number in \[0, inf\), but got -1',
        ),
        (dict(source_shares=[1, 1]), 'expected 4 numbers, one per class of the network, but got 2'),
    ],
)
def test_wrong_arguments(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate([prediction(0, '0')], **kwargs)


def test_missing_logits() -> None:
    with pytest.raises(ValueError, match='expected a prediction with seg_logits, but got none'):
        evaluate([dict(img_path='a.png')])


def test_labels_of_another_size_are_refused() -> None:
    sample = source_image(1, 'a')
    sample['gt_sem_seg'] = dict(data=torch.zeros(1, 12, 16, dtype=torch.long))
    with pytest.raises(ValueError, match=r'labels of \(6, 8\).*got \(12, 16\); write Resize'):
        evaluate([sample])
