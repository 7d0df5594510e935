"""CAMix's contextual mask."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toys
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.testing import assert_close

from mmseg_uda.artifacts.spatial_prior import FORMAT_VERSION, SpatialPrior
from mmseg_uda.datasets.batch_transforms.class_mix import ClassMix, choose_classes
from mmseg_uda.datasets.batch_transforms.context_mix import ContextMix, related_classes
from mmseg_uda.structures import DomainBatch, ImageBatch, TeacherPrediction

# Of the paper on Cityscapes: a light and a sign pull the pole, it pulls them, a rider the cycles.
RULES = {6: (5,), 7: (5,), 5: (6, 7), 12: (18, 17)}


def with_prior(path: str, *args: Any, **kwargs: Any) -> ContextMix:
    """A mixer whose prior was read, as the runner has it read."""
    mixer = ContextMix(path, *args, **kwargs)
    mixer.init_weights()
    return mixer


def write_prior(path: Path, values: Any) -> str:
    values = np.asarray(values, np.float32)
    SpatialPrior(values, dict(format_version=FORMAT_VERSION)).write(path)
    return str(path)


def make_batch(
    probabilities: Tensor,
    positions: Tensor | None = None,
    prior_shape: tuple[int, int] = (2, 2),
    source: Tensor | None = None,
) -> tuple[DomainBatch, TeacherPrediction]:
    """Probabilities of shape (N, C, H, W), positions and source labels of shape (N, H, W)."""
    number, _, *size = probabilities.shape
    images, device = torch.zeros(number, 3, *size), probabilities.device
    source = torch.full((number, *size), 255) if source is None else source
    pair: list[list[SegDataSample]] = [[], []]
    for index in range(number):
        for samples in pair:
            samples.append(SegDataSample())
        pair[0][-1].gt_sem_seg = PixelData(data=source[index : index + 1].to(device))
        if positions is not None:
            pair[1][-1].prior_positions = PixelData(
                data=positions[index : index + 1].int().to(device),
                metainfo=dict(prior_shape=prior_shape),
            )
    confidence, label = probabilities.max(1)
    batch = DomainBatch(*(ImageBatch(images.to(device), samples) for samples in pair))
    return batch, TeacherPrediction(probabilities, label, confidence)


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    return torch.nn.functional.one_hot(labels, num_classes).permute(0, 3, 1, 2).float()


# ------------------------------------------------------------------------------------ meta-classes


def code_order(chosen: set[int], present: set[int]) -> set[int]:
    """The rules of the paper one after the other, as the official code goes through them."""
    classes = list(chosen)
    for key, pulled in RULES.items():
        if key in classes:
            classes += [each for each in pulled if each in present and each not in classes]
    return set(classes)


def test_rules_of_the_paper_are_as_in_its_code() -> None:
    """Every way in which the six classes can be absent, present and chosen."""
    ids = sorted({5, 6, 7, 12, 17, 18})
    states = torch.tensor(list(product(range(3), repeat=6)))
    present, chosen = torch.zeros(2, len(states), 19, dtype=torch.bool)
    present[:, ids], chosen[:, ids] = states > 0, states > 1
    mixer = ContextMix(meta_classes=RULES)
    found = related_classes(chosen, present, mixer.related, len(RULES))
    for row, (has, took) in enumerate(zip(present, chosen)):
        sets = (set(x.nonzero().flatten().tolist()) for x in (took, has))
        assert set(found[row].nonzero().flatten().tolist()) == code_order(*sets), states[row]


@pytest.mark.parametrize(
    ('chosen', 'present', 'expected'),
    [
        ({6}, {5, 6, 7}, {5, 6, 7}),  # light -> pole -> sign
        ({6}, {6, 7}, {6}),  # without its pole a light knows no sign
        ({12}, {12, 17, 18}, {12, 17, 18}),
        ({17}, {12, 17, 18}, {17}),  # directed
        (set(), {5, 6, 7}, set()),
        ({0}, {0, 5}, {0}),
    ],
)
def test_related_classes(chosen: set[int], present: set[int], expected: set[int]) -> None:
    vectors = torch.zeros(2, 1, 19, dtype=torch.bool)
    for vector, classes in zip(vectors, (chosen, present)):
        vector[0, list(classes)] = True
    for order in (list(RULES), list(RULES)[::-1], [5, 12, 7, 6]):
        mixer = ContextMix(meta_classes={key: RULES[key] for key in order})
        found = related_classes(*vectors, mixer.related, len(RULES))
        assert set(found[0].nonzero().flatten().tolist()) == expected


def test_longest_chain() -> None:
    """As many hops as rules reach the end of a chain, whatever its order."""
    everything = torch.ones(1, 5, dtype=torch.bool)
    start = torch.tensor([[True, False, False, False, False]])
    mixer = ContextMix(meta_classes={3: (4,), 2: (3,), 1: (2,), 0: (1,)})
    assert related_classes(start, everything, mixer.related, len(mixer.meta_classes)).all()
    assert related_classes(start, everything, mixer.related, 3).sum() == 4


def test_related_pixels_are_pasted_together() -> None:
    labels = torch.tensor([[[0, 1], [2, 3]], [[0, 0], [2, 3]]])
    batch, teacher = make_batch(one_hot(labels, 4))
    mixer = ContextMix(meta_classes={0: (1,), 1: (3,)})
    for seed in range(20):
        mask = mixer.mask(batch, teacher, 0, toys.generators(2, seed))
        present = torch.tensor([[True] * 4, [True, False, True, True]])
        chosen = choose_classes(present, 0.5, toys.generators(2, seed))
        for image in range(2):
            classes = set(chosen[image].nonzero().flatten().tolist())
            if 0 in classes and image == 0:
                classes.add(1)
            if 1 in classes:
                classes.add(3)
            from_target = [label.item() in classes for label in labels[image].flatten()]
            assert (mask[image] == 0).flatten().tolist() == from_target


# ------------------------------------------------------------------------------------------- prior


def test_modulated_label(tmp_path: Path) -> None:
    """The prior moves pixels to the classes of their places."""
    prior = [[[0.9, 0.1], [0.5, 0.5]], [[0.1, 0.9], [0.5, 0.5]], [[0, 0], [0, 0]]]
    mixer = with_prior(write_prior(tmp_path / 'prior.npz', prior))
    probabilities = torch.tensor([0.4, 0.35, 0.25]).view(1, 3, 1, 1).expand(1, 3, 2, 3)
    positions = torch.tensor([[[0, 1, 2], [3, -1, 1]]])
    batch, teacher = make_batch(probabilities, positions)
    label = mixer.modulate(batch.target, teacher)
    # .4 * .9 > .35 * .1; .4 * .1 < .35 * .9; a tie in the prior leaves the teacher; padding is 3
    assert label.tolist() == [[[0, 1, 0], [0, 3, 1]]]
    for seed in range(10):
        mask = mixer.mask(batch, teacher, 0, toys.generators(1, seed))[0, 0]
        # One of two classes; padding is never pasted from the target.
        assert mask.tolist() in ([[0, 1, 0], [0, 1, 1]], [[1, 0, 1], [1, 1, 0]])


@pytest.mark.parametrize('ties', [False, True])
def test_modulated_label_against_loops(tmp_path: Path, ties: bool) -> None:
    """Of equal classes it is the first one."""
    prior = torch.rand(5, 4, 6)
    probabilities, positions = torch.rand(2, 5, 3, 7), torch.randint(24, (2, 3, 7))
    if ties:
        prior, probabilities = torch.ones_like(prior), probabilities.round()
    mixer = with_prior(write_prior(tmp_path / 'prior.npz', prior))
    batch, teacher = make_batch(probabilities, positions, (4, 6))
    label = mixer.modulate(batch.target, teacher)
    for n, y, x in product(range(2), range(3), range(7)):
        row, column = divmod(positions[n, y, x].item(), 6)
        scores = [prior[c, row, column] * probabilities[n, c, y, x] for c in range(5)]
        assert label[n, y, x] == max(range(5), key=scores.__getitem__)


def test_where_nothing_was_seen_the_prior_is_silent(tmp_path: Path) -> None:
    mixer = with_prior(write_prior(tmp_path / 'prior.npz', [[[0, 1.0]], [[0, 1.0]], [[0, 0]]]))
    probabilities = torch.tensor([0.1, 0.2, 0.7]).view(1, 3, 1, 1).expand(1, 3, 1, 2)
    batch, teacher = make_batch(probabilities, torch.tensor([[[0, 1]]]), (1, 2))
    assert mixer.modulate(batch.target, teacher).tolist() == [[[1, 1]]]  # 2 was never seen


def test_mask_of_the_modulated_label_pastes_the_teachers(tmp_path: Path) -> None:
    path = write_prior(tmp_path / 'prior.npz', [[[0, 1.0]], [[1.0, 0]]])
    probabilities = torch.tensor([0.9, 0.1]).view(1, 2, 1, 1).expand(1, 2, 1, 2)
    batch, teacher = make_batch(probabilities, torch.tensor([[[0, 1]]]), (1, 2))
    for mix_modulated, expected in ((False, 0), (True, 1)):
        mixer = with_prior(path, mix_modulated=mix_modulated)
        found = set()
        for seed in range(10):
            mixed = mixer(batch, teacher, 0, generators=toys.generators(1, seed))
            found.add(tuple(mixed.labels.flatten().tolist()))
        assert found == {(expected, 255), (255, 0)}


def test_share() -> None:
    batch, teacher = make_batch(one_hot(torch.arange(4).view(1, 1, 4), 4))
    for share, expected in ((0.25, 3), (0.5, 2), (1.0, 0)):
        assert ContextMix(share=share).mask(batch, teacher, 0).sum() == expected


def test_warm_up_mixes_classes_of_the_source() -> None:
    source = torch.tensor([[[0, 1, 255]]])
    batch, teacher = make_batch(one_hot(torch.tensor([[[2, 2, 2]]]), 3), source=source)
    mixer = ContextMix(meta_classes={0: (1,), 1: (0,)}, warmup_iters=3)
    masks = [mixer.mask(batch, teacher, iteration)[0, 0, 0].tolist() for iteration in (0, 1, 2)]
    assert all(mask in ([1, 0, 0], [0, 1, 0]) for mask in masks)  # no rules yet
    assert mixer.mask(batch, teacher, 3)[0, 0, 0].tolist() == [0, 0, 0]  # the one class there is


def test_without_prior_and_rules_it_is_inverse_classmix() -> None:
    """CAMix's "iDACS": DACS until the warm-up ends, then the teacher's classes onto the source."""
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(2, 5, 6, 8, generator=generator)
    source = torch.randint(5, (2, 6, 8), generator=generator)
    batch, teacher = make_batch(probabilities, source=source)
    mixer = ContextMix(warmup_iters=3)
    for iteration, direction in ((2, 'source2target'), (3, 'target2source')):
        pair = (mixer, ClassMix(direction=direction))
        mixed = [each(batch, teacher, iteration, None, toys.generators(1, 2)) for each in pair]
        for name in ('images', 'labels', 'pixel_weight', 'mask'):
            assert_close(*(getattr(each, name) for each in mixed), rtol=0, atol=0)
        assert 0 < mixed[0].mask.mean() < 1


def test_warm_up_pastes_the_teachers_labels(tmp_path: Path) -> None:
    path = write_prior(tmp_path / 'prior.npz', [[[0.0]], [[1.0]]])
    batch, teacher = make_batch(
        torch.tensor([0.9, 0.1]).view(1, 2, 1, 1), torch.zeros(1, 1, 1), (1, 1)
    )
    mixer = with_prior(path, mix_modulated=True, warmup_iters=1)
    assert mixer(batch, teacher, 0).labels.item() == 0
    assert mixer(batch, teacher, 1).labels.item() == 1


def test_never_waits_for_the_device(tmp_path: Path) -> None:
    path = write_prior(tmp_path / 'prior.npz', np.ones((4, 2, 2)))
    mixer = with_prior(path, {0: (1,)}).to('meta')
    batch, teacher = make_batch(
        torch.empty(2, 4, 6, 8, device='meta'), torch.zeros(2, 6, 8, dtype=torch.long)
    )
    mixer.warmup_iters = 1
    for iteration in (0, 1):
        mixed = mixer(batch, teacher, iteration)
        assert mixed.mask.shape == (2, 1, 6, 8)
        assert mixed.mask.is_meta
    assert mixer.prior_values is not None
    assert mixer.prior_values.is_meta


def test_prior_is_read_by_init_weights_alone(tmp_path: Path, monkeypatch: Any) -> None:
    path = write_prior(tmp_path / 'prior.npz', np.ones((2, 1, 1)))
    mixer = ContextMix(path, mix_modulated=True)
    batch, teacher = make_batch(torch.rand(1, 2, 1, 1), torch.zeros(1, 1, 1), (1, 1))
    with pytest.raises(
        RuntimeError, match=r"expected '.*prior.npz' to be read, .* call init_weights\(\)"
    ):
        mixer(batch, teacher, 0)
    mixer.init_weights()
    monkeypatch.setattr(mixer, 'init_weights', None)  # calling it would be an error
    calls = []
    modulate = mixer.modulate
    monkeypatch.setattr(mixer, 'modulate', lambda *args: calls.append(1) or modulate(*args))
    mixer(batch, teacher, 0)
    assert len(calls) == 1  # the mask and the pasted label are of one computation


def test_prior_is_read_once_and_in_no_checkpoint(tmp_path: Path) -> None:
    path = write_prior(tmp_path / 'prior.npz', np.ones((2, 1, 1)))
    mixer = ContextMix(path)
    mixer.init_weights()
    Path(path).unlink()
    mixer.init_weights()
    assert not mixer.state_dict()
    assert mixer.prior_values is not None
    assert_close(mixer.prior_values, torch.ones(2, 1, 1))
    assert mixer.double().prior_values.dtype == torch.float64  # moves with the model


def test_config_with_class_ids(tmp_path: Path) -> None:
    """Keys that are numbers survive a config's way into a file and back."""
    cfg = Config(dict(mixer=dict(type='ContextMix', meta_classes=RULES, warmup_iters=4)))
    cfg.dump(tmp_path / 'config.py')
    cfg = Config.fromfile(tmp_path / 'config.py')
    mixer = TRANSFORMS.build(cfg.mixer)
    assert mixer.meta_classes == RULES
    assert mixer.warmup_iters == 4
    assert mixer.related.nonzero().tolist() == [[5, 6], [5, 7], [6, 5], [7, 5], [12, 17], [12, 18]]


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ('kwargs', 'error', 'match'),
    [
        (
            dict(prior=3),
            TypeError,
            'ContextMix.prior: expected the path of a file that tools/spatial_prior.py '
            'wrote, or None, but got 3',
        ),
        (
            dict(prior=''),
            TypeError,
            'ContextMix.prior: expected the path of a file that '
            "tools/spatial_prior.py wrote, or None, but got ''",
        ),
        (
            dict(share=0),
            ValueError,
            r'ContextMix.share: expected a number in \(0, 1\], but got 0',
        ),
        (
            dict(warmup_iters=-1),
            ValueError,
            'ContextMix.warmup_iters: expected an integer of at least 0, but got -1',
        ),
        (
            dict(warmup_iters=0.5),
            ValueError,
            'ContextMix.warmup_iters: expected an integer of at least 0, but got 0.5',
        ),
        (
            dict(meta_classes={6: 5}),
            ValueError,
            'ContextMix.meta_classes: expected a class id and the ids that it pulls along, '
            r'such as \{6: \(5,\)\}, but got \{6: 5\}',
        ),
        (dict(meta_classes={6: 'pole'}), ValueError, "got {6: 'pole'}"),
        (dict(meta_classes={'light': (5,)}), ValueError, r"got {'light': \(5,\)}"),
        (dict(meta_classes={6: (-1,)}), ValueError, r'got {6: \(-1,\)}'),
    ],
)
def test_errors(kwargs: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        ContextMix(**kwargs)


def test_class_that_the_network_does_not_know() -> None:
    mixer = ContextMix(meta_classes={1: (23,)})
    message = (
        'ContextMix.meta_classes: expected classes 0..18 of the student, but got class 23; '
        'correct meta_classes or num_classes'
    )
    with pytest.raises(ValueError, match=message):
        mixer.check(19)
    mixer.check(24)
    with pytest.raises(
        ValueError, match=r'expected classes 0\.\.1 of the student, but got class 23'
    ):
        mixer.mask(*make_batch(torch.ones(1, 2, 1, 1)), 0)


def test_prior_that_does_not_fit(tmp_path: Path) -> None:
    path = write_prior(tmp_path / 'prior.npz', np.ones((2, 2, 3)))
    mixer = with_prior(path)
    three, two = torch.ones(1, 3, 1, 1), torch.ones(1, 2, 1, 1)
    with pytest.raises(
        ValueError,
        match='ContextMix.prior: expected 3 classes, as the '
        "student predicts, but got '.*' of 2 classes; run "
        'tools/spatial_prior.py with this config',
    ):
        mixer.mask(*make_batch(three, torch.zeros(1, 1, 1), (2, 3)), 0)
    with pytest.raises(
        ValueError,
        match=r"write dict\(type='TrackPositions', height=2, width=3\) "
        'in train_dataloader.target.dataset.pipeline, before RandomCrop',
    ):
        mixer.mask(*make_batch(two), 0)
    with pytest.raises(
        ValueError,
        match=r"expected positions in \(2, 3\), the size of '.*', but got positions in \(3, 2\); "
        r"write dict\(type='TrackPositions', height=2, width=3\)",
    ):
        mixer.mask(*make_batch(two, torch.zeros(1, 1, 1), (3, 2)), 0)


def test_missing_prior(tmp_path: Path) -> None:
    mixer = ContextMix(str(tmp_path / 'none.npz'))  # a config builds without the data
    with pytest.raises(FileNotFoundError, match='Mix.prior: .* tools/spatial_prior.py CONFIG'):
        mixer.init_weights()
