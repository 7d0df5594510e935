from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from toys import batch, build

from mmseg_uda.engine.hooks import HealthHook


@pytest.fixture
def runner() -> SimpleNamespace:
    model = build('source_only')
    for parameter in model.decode_head.parameters():
        parameter.data *= 1000  # not the same prediction everywhere, as of an untrained network
    return SimpleNamespace(iter=0, logger=Mock(), model=model)


def look(hook: HealthHook, runner: SimpleNamespace, times: int = 1, **logs: float) -> list[str]:
    """Warnings of some iterations with the same logs."""
    runner.logger.reset_mock()
    outputs = {key.replace('__', '.'): torch.tensor(value) for key, value in logs.items()}
    for _ in range(times):
        hook.after_train_iter(runner, runner.iter, batch(seed=runner.iter), outputs)
        runner.iter += 1
    return [call.args[0] for call in runner.logger.warning.call_args_list]


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_lost_training_ends(runner: SimpleNamespace, value: float) -> None:
    hook = HealthHook(interval=2)
    assert look(hook, runner, loss=value) == []  # not an iteration to look at
    with pytest.raises(
        FloatingPointError,
        match=r'finite losses in iteration 2, but got adv.loss_main=-?(nan|inf); ',
    ):
        look(hook, runner, loss=1.0, adv__loss_main=value)


def test_other_numbers_may_be_infinite(runner: SimpleNamespace) -> None:
    assert look(HealthHook(interval=1), runner, loss=1.0, pseudo__temperature=float('inf')) == []


def test_collapse_is_reported_once(runner: SimpleNamespace) -> None:
    hook = HealthHook(interval=1, patience=3)
    assert look(hook, runner, 4) == []
    head = runner.model.decode_head
    before = {key: value.clone() for key, value in runner.model.state_dict().items()}
    biases = [p for name, p in head.named_parameters() if name.endswith('bias')]
    for bias in biases:
        bias.data[2] += 1e4
    (warning,) = look(hook, runner, 6)
    assert 'one class on 100.0% of the image' in warning
    assert 'iteration 7' in warning
    assert '; class_share saw it first, in iteration 5; class_share 1 (first ' in warning
    runner.model.load_state_dict(before)
    assert look(hook, runner) == []
    for bias in biases:
        bias.data[2] += 1e4
    assert len(look(hook, runner, 3)) == 1  # it was well in between


def test_the_score_that_saw_a_collapse_first(runner: SimpleNamespace) -> None:
    def prediction(classes: int, certainty: float) -> torch.Tensor:
        """Columns of so many classes, each as certain as that."""
        logits = torch.zeros(1, 19, 4, 12)
        for column in range(12):
            logits[0, column % classes, :, column] = certainty
        return logits.softmax(1)

    hook = HealthHook(interval=1, patience=2)

    def check(classes: int, certainty: float, times: int) -> list[str]:
        runner.logger.reset_mock()
        for _ in range(times):
            hook._check_prediction(runner, prediction(classes, certainty))
            runner.iter += 1
        return [call.args[0] for call in runner.logger.warning.call_args_list]

    assert check(12, 3.0, 3) == []
    assert check(12, 9.0, 3) == []  # sure of all classes: no collapse
    (warning,) = check(3, 9.0, 3)  # 3 of 12 classes are left, none on the whole image
    assert 'one class on 33.3% of the image' in warning
    assert 'entropy saw it first, in iteration 4' in warning
    assert 'effective_classes 3 (first 12)' in warning
    assert check(12, 3.0, 1) == []
    assert 'effective_classes saw it first, in iteration 11' in check(3, 3.0, 2)[0]


def test_a_flat_prediction(runner: SimpleNamespace) -> None:
    """Uncertain in the same way at every pixel; an image of one class is not."""
    hook = HealthHook(interval=1, patience=2)

    def check(strength: float, shares: list[float], times: int) -> list[str]:
        runner.logger.reset_mock()
        logits = torch.tensor(shares).log().view(1, -1, 1, 1).expand(1, 4, 6, 8).clone()
        logits[0, 0, :, :4] += strength  # half of the image is somewhat more of the first class
        logits[0, 1, :, 4:] += strength
        for _ in range(times):
            hook._check_prediction(runner, logits.softmax(1))
            runner.iter += 1
        return [call.args[0] for call in runner.logger.warning.call_args_list]

    uncertain, one_class = [0.3, 0.3, 0.2, 0.2], [0.94, 0.02, 0.02, 0.02]
    assert check(0.2, uncertain, 3) == []  # an untrained network
    assert check(4.0, uncertain, 1) == []
    assert 'one class on 100.0% of the image: ' in check(0.2, one_class, 4)[0]  # for its share
    assert check(4.0, uncertain, 1) == []
    (warning,) = check(0.2, uncertain, 2)
    assert ', and nearly the same at every pixel: the model may have collapsed; ' in warning
    assert 'mutual_information saw it first, in iteration 10; ' in warning


def test_discriminator_that_is_always_right(runner: SimpleNamespace) -> None:
    hook = HealthHook(interval=1, patience=2)
    right = dict(disc__acc_source_main=1.0, disc__acc_target_main=1.0, disc__loss_main=0.5)
    assert 'disc.acc_*_main is 1.000' in look(hook, runner, 2, **right)[0]
    one_sided = dict(right, disc__acc_source_main=0.0)
    assert look(hook, runner, 3, **one_sided) == []
    assert 'disc.loss_main is 0.0e+00' in look(hook, runner, 2, disc__loss_main=0.0)[0]


def test_a_resumed_training_is_compared_with_its_own_beginning(runner: SimpleNamespace) -> None:
    """A network that had collapsed before the stop is not the usual one after it."""

    def prediction(classes: int) -> torch.Tensor:
        logits = torch.zeros(1, 19, 4, 12)
        for column in range(12):
            logits[0, column % classes, :, column] = 9.0
        return logits.softmax(1)

    def check(hook: HealthHook, classes: int, times: int) -> list[str]:
        runner.logger.reset_mock()
        for _ in range(times):
            hook._check_prediction(runner, prediction(classes))
            runner.iter += 1
        return [call.args[0] for call in runner.logger.warning.call_args_list]

    hook = HealthHook(interval=1, patience=3)
    assert check(hook, 12, 3) + check(hook, 3, 2) == []
    checkpoint: dict[str, Any] = {}
    hook.before_save_checkpoint(runner, checkpoint)
    resumed, other = (HealthHook(interval=1, patience=3) for _ in range(2))
    runner._resume = True
    resumed.after_load_checkpoint(runner, checkpoint)
    assert 'effective_classes 3 (first 12)' in check(resumed, 3, 1)[0]
    other.after_load_checkpoint(runner, {})  # of an older version
    runner._resume = False  # another training that begins from these weights
    other.after_load_checkpoint(runner, checkpoint)
    assert check(other, 3, 3) == []


def test_what_never_acts_is_counted_over_a_stop(runner: SimpleNamespace) -> None:
    hook, resumed = HealthHook(interval=1000), HealthHook(interval=1)
    look(hook, runner, 99, loss_idle=0.0)
    checkpoint: dict[str, Any] = {}
    hook.before_save_checkpoint(runner, checkpoint)
    runner._resume = True
    resumed.after_load_checkpoint(runner, checkpoint)
    assert 'loss_idle was 0' in '\n'.join(look(resumed, runner, loss_idle=0.0))


def test_model_and_random_state_stay(runner: SimpleNamespace) -> None:
    runner.model.train()
    state = torch.get_rng_state()
    look(HealthHook(interval=1), runner, loss=1.0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in runner.model.modules())


def test_what_never_acts_is_named_once() -> None:
    entropy = dict(type='EntropyLoss', domains=['source'])
    model = build('source_only', regularizers=dict(sam=entropy, other=entropy))
    runner = SimpleNamespace(iter=0, logger=Mock(), model=model)
    hook = HealthHook(interval=50)
    logs = dict(loss=1.0, target__decode__loss_ce=0.0, source__other__loss=-1.0, acc=0.0)
    ratios = dict(mix__source_ratio=0.0, pseudo__confident_ratio=0.0)
    assert look(hook, runner, 99, **logs, **ratios) == []
    warnings = look(hook, runner, 51, **logs, mix__source_ratio=0.0, pseudo__confident_ratio=0.1)
    named = [warning.split(' in 100 iterations up to iteration 100: ')[0] for warning in warnings]
    assert named == [
        'HealthHook: regularizers.sam logged nothing',
        'HealthHook: target.decode.loss_ce was 0',
        'HealthHook: mix.source_ratio was 0',
    ]
    assert look(hook, runner, 100, **logs, **ratios) == []


def test_log_is_not_read_between_checks(runner: SimpleNamespace) -> None:
    logged = torch.zeros((), device='meta')  # cannot be read
    hook = HealthHook(interval=50)
    for _ in range(49):
        hook.after_train_iter(runner, runner.iter, None, dict(loss=logged))
        runner.iter += 1
    assert hook._largest['loss'].is_meta


@pytest.mark.parametrize(
    'bad', [dict(interval=0), dict(patience=0), dict(max_class_share=0.0), dict(max_class_share=98)]
)
def test_errors(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f'HealthHook.{next(iter(bad))}: expected .*, but got'):
        HealthHook(**bad)


def test_drift_of_the_classes(runner: SimpleNamespace) -> None:
    """A validation above the bound warns, and again only after one below it."""
    hook = HealthHook()
    runner.iter = 400

    def validate(value: float, name: str = 'unlabelled/source_divergence') -> list[str]:
        runner.logger.reset_mock()
        hook.after_val_epoch(runner, {'mIoU': 3.0, name: value})
        return [call.args[0] for call in runner.logger.warning.call_args_list]

    assert validate(0.2) == []
    (warning,) = validate(0.31)
    assert warning.startswith(
        'HealthHook: unlabelled/source_divergence is 0.31 after 400 iterations, above 0.25: '
    )
    assert validate(0.4) == []
    assert validate(0.1) == []
    assert len(validate(0.26)) == 1
    assert len(validate(0.26, 'other/source_divergence')) == 1  # a set of its own
    assert validate(0.9, 'unlabelled/entropy') == []
    assert HealthHook(max_divergence=0.5).after_val_epoch(runner, None) is None
