"""Selection rules against slow re-derivations from the papers' rules."""

import math

import numpy as np
import pytest
import torch

from mmseg_uda.pseudo_labels import ConfidencePools, build_rule

NUM_CLASSES = 5


def make_images(num_images=4, size=(6, 9), seed=0, levels=None):
    """Probabilities (C, H, W); class 4 is never predicted, confidences tie if there are levels."""
    generator = torch.Generator().manual_seed(seed)
    images = []
    for _ in range(num_images):
        logits = 4 * torch.randn(NUM_CLASSES, *size, generator=generator)
        logits[4] = -20
        if levels:
            logits = (logits * levels).round() / levels
        images.append(logits.softmax(0))
    return images


def run(rule, images, budget=2**20):
    pools = ConfidencePools(rule.num_pools(NUM_CLASSES), budget=budget, bins=4096)
    for image in images:
        rule.collect(pools, image)
    thresholds = rule.thresholds(pools, NUM_CLASSES)
    return thresholds, [rule.select(image, torch.tensor(thresholds)).numpy() for image in images]


def predictions(images):
    images = [image.numpy() for image in images]
    return [image.argmax(0) for image in images], [image.max(0) for image in images]


def bdl(images, share, cap):
    labels, confidences = predictions(images)
    thresholds = []
    for c in range(NUM_CLASSES):
        pool = sorted(
            float(p)
            for label, confidence in zip(labels, confidences)
            for p in confidence[label == c]
        )
        index = min(int(np.round(round((1 - share) * len(pool), 9))), len(pool) - 1)
        thresholds.append(min(pool[index], cap) if pool else 0.0)
    for label, confidence in zip(labels, confidences):
        for position in np.ndindex(*label.shape):
            if confidence[position] < np.float32(thresholds[label[position]]):
                label[position] = 255
    return thresholds, labels


def cbst(images, share, cap, stride):
    labels, confidences = predictions(images)
    thresholds = []
    for c in range(NUM_CLASSES):
        pool = []
        for label, confidence in zip(labels, confidences):
            of_class = [p for p, k in zip(confidence.ravel(), label.ravel()) if k == c]
            pool += of_class[::stride]
        pool = sorted(pool, reverse=True)
        kept = math.floor(round(share * len(pool), 9))
        thresholds.append(min(float(pool[kept - 1]), cap) if kept else 1.0)
    result = []
    for image in images:
        scores = image.numpy() / np.array(thresholds, np.float32)[:, None, None]
        result.append(np.where(scores.max(0) >= 1, scores.argmax(0), 255))
    return thresholds, result


def assert_same(actual, expected):
    np.testing.assert_array_equal(actual[0], expected[0])
    for label, reference in zip(actual[1], expected[1]):
        np.testing.assert_array_equal(label, reference)


@pytest.mark.parametrize('share', [0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize('cap', [0.6, 0.9, 1.0])
@pytest.mark.parametrize('levels', [None, 1])
def test_bdl(share, cap, levels):
    images = make_images(levels=levels)
    actual = run(build_rule(dict(type='bdl', share=share, cap=cap)), images)
    assert_same(actual, bdl(images, share, cap))
    assert actual[0][4] == 0
    assert max(actual[0]) <= cap


@pytest.mark.parametrize('share', [0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize('cap', [0.6, 0.9, 1.0])
@pytest.mark.parametrize('stride', [1, 4])
@pytest.mark.parametrize('levels', [None, 1])
def test_cbst(share, cap, stride, levels):
    images = make_images(levels=levels)
    actual = run(build_rule(dict(type='cbst', share=share, cap=cap, stride=stride)), images)
    assert_same(actual, cbst(images, share, cap, stride))
    assert actual[0][4] == 1


@pytest.mark.parametrize('share', [0.2, 0.5, 1.0])
@pytest.mark.parametrize('cap', [0.6, 1.0])
def test_global(share, cap):
    images = make_images()
    thresholds, labels = run(build_rule(dict(type='global', share=share, cap=cap)), images)
    predicted, confidences = predictions(images)
    pool = np.sort(np.concatenate([confidence.ravel() for confidence in confidences]))
    tau = min(pool[min(round((1 - share) * len(pool)), len(pool) - 1)], cap)
    assert thresholds == [tau] * NUM_CLASSES
    for label, prediction, confidence in zip(labels, predicted, confidences):
        np.testing.assert_array_equal(label, np.where(confidence >= tau, prediction, 255))
    if cap == 1:
        kept = np.mean([label != 255 for label in labels])
        assert kept == pytest.approx(share, abs=1 / len(pool))


def test_fixed():
    images = make_images()
    rule = build_rule(dict(type='fixed', threshold=0.7))
    assert rule.num_pools(NUM_CLASSES) == 0
    thresholds = rule.thresholds(ConfidencePools(0), NUM_CLASSES)
    assert thresholds == [0.7] * NUM_CLASSES
    predicted, confidences = predictions(images)
    for image, prediction, confidence in zip(images, predicted, confidences):
        label = rule.select(image, torch.tensor(thresholds)).numpy()
        np.testing.assert_array_equal(label, np.where(confidence >= 0.7, prediction, 255))


@pytest.mark.parametrize(
    ('count', 'index'), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 2), (7, 4), (9, 4)]
)
def test_bdl_rounds_half_to_even(count, index):
    """round(0.5 n): 0.5 -> 0, 1.5 -> 2, 2.5 -> 2, 3.5 -> 4, 4.5 -> 4."""
    pools = ConfidencePools(2)
    values = torch.linspace(0.1, 0.8, count)
    pools.update(torch.zeros(count, dtype=torch.int64), values.flip(0))
    assert build_rule('bdl').thresholds(pools, 2) == [float(values[index]), 0.0]


@pytest.mark.parametrize(('count', 'index'), [(1, None), (2, 0), (3, 0), (4, 1), (5, 1), (9, 3)])
def test_cbst_takes_the_floor(count, index):
    """Element floor(0.5 n) - 1 of the descending values; 1 where there is none, as in DAST."""
    pools = ConfidencePools(2)
    values = torch.linspace(0.8, 0.1, count)
    pools.update(torch.zeros(count, dtype=torch.int64), values.flip(0))
    expected = 1.0 if index is None else float(values[index])
    assert build_rule('cbst').thresholds(pools, 2) == [expected, 1.0]


def test_cbst_reassigns_a_class():
    """A pixel of class 0 below its threshold goes to the rare class 1, which it satisfies."""
    probabilities = torch.tensor([0.6, 0.3, 0.1])[:, None, None]
    rule = build_rule('cbst')
    assert rule.select(probabilities, torch.tensor([0.9, 0.2, 1.0])).item() == 1
    assert rule.select(probabilities, torch.tensor([0.9, 0.4, 1.0])).item() == 255
    assert build_rule('bdl').select(probabilities, torch.tensor([0.9, 0.2, 1.0])).item() == 255


def test_a_confidence_equal_to_the_threshold_is_kept():
    probabilities = torch.tensor([0.7, 0.3])[:, None, None]
    thresholds = probabilities.flatten()
    for name in ('bdl', 'cbst', 'global', 'fixed'):
        assert build_rule(name).select(probabilities, thresholds).item() == 0


@pytest.mark.parametrize('name', ['bdl', 'cbst', 'global'])
def test_histogram_is_within_tolerance(name):
    images = make_images(num_images=6)
    rule = build_rule(dict(type=name, cap=1.0))
    exact, binned = run(rule, images), run(rule, images, budget=0)
    error = np.subtract(exact[0], binned[0])
    assert (error >= 0).all()
    assert (error < 1 / 4096).all()
    assert error.any()


def test_softmax_order_of_the_papers():
    first = {name: build_rule(name).softmax_first for name in ('bdl', 'cbst', 'global', 'fixed')}
    assert first == {'bdl': True, 'cbst': False, 'global': False, 'fixed': False}


def test_describe():
    assert build_rule(dict(type='bdl', share=0.4)).describe() == dict(
        type='bdl', share=0.4, cap=0.9
    )


@pytest.mark.parametrize('name', ['bdl', 'cbst', 'global'])
@pytest.mark.parametrize('share', [0, -0.5, 1.5, float('nan')])
def test_bad_share(name, share):
    with pytest.raises(ValueError, match=r'Rule\.share: expected a number in \(0, 1\], but got'):
        build_rule(dict(type=name, share=share))


@pytest.mark.parametrize(
    ('cfg', 'error', 'match'),
    [
        (dict(type='bdl', cap=2), ValueError, r'BDLRule\.cap: expected .*, but got 2'),
        (dict(type='bdl', share='half'), ValueError, r"BDLRule\.share: .*got 'half'"),
        (dict(type='fixed', threshold=0), ValueError, r'FixedRule\.threshold: .*got 0'),
        (dict(type='cbst', stride=0), ValueError, r'CBSTRule\.stride: .* 1, but got 0'),
        (
            dict(type='fixed', share=0.5),
            ValueError,
            r"FixedRule argument: .*'threshold.*got 'share'",
        ),
        (dict(share=0.5), ValueError, r"rule\.type: expected one of \('bdl', .*got None"),
        ('best', ValueError, r"rule\.type: .*but got 'best'"),
        (3, TypeError, r'PseudoLabelLoop\.rule: expected a name or .*, but got 3'),
    ],
)
def test_bad_config(cfg, error, match):
    with pytest.raises(error, match=match):
        build_rule(cfg)
