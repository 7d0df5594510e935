"""Reference features: in validation, in test, in the checkpoint, and never in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.datasets.transforms import RandomRotFlip
from mmseg.registry import DATASETS, HOOKS, MODELS
from torch import Tensor
from torch.testing import assert_close
from toys import DISCRIMINATOR, attention_head_cfg, dataset_cfg, runner_cfg, segmentor_cfg, train

from mmseg_uda.artifacts.checkpoint import load_checkpoint
from mmseg_uda.engine.hooks import ReferenceContextHook

KEY = 'student.decode_head.reference'
HOOK = dict(type='ReferenceContextHook', num_images=2)


@HOOKS.register_module(force=True)
class _ReferenceSpy(Hook):
    """Notes the stored features of each validation and test, and that training has none."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def _note(self, runner: Runner) -> None:
        self.seen.append(runner.model.decode_head.reference.clone())

    def before_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        assert not runner.model.decode_head.reference.numel()

    def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if batch_idx == 0:
            self._note(runner)

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if batch_idx == 0:
            self._note(runner)


def make_cfg(
    tmp_path: Path, name: str, *hooks: dict[str, Any], context: str = 'reference', **changes: Any
) -> Config:
    model = dict(
        type='CDANet',
        discriminator=DISCRIMINATOR,
        segmentor=segmentor_cfg(
            attention_head_cfg(test_context=context), batch_norm=True, dropout=0.5
        ),
        adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.1),
    )
    changes.setdefault('train_cfg', dict(type='UDATrainLoop', max_iters=4, val_interval=2))
    return runner_cfg(
        tmp_path,
        tmp_path / name,
        model,
        max_iters=4,
        custom_hooks=[*hooks, dict(type='_ReferenceSpy')],
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2),
        ),
        **changes,
    )


def seen(runner: Runner) -> list[Tensor]:
    return next(hook.seen for hook in runner.hooks if isinstance(hook, _ReferenceSpy))


def checkpoint(folder: Path, iteration: int = 4) -> dict[str, Tensor]:
    return load_checkpoint(folder / f'iter_{iteration}.pth')['state_dict']


def expected(cfg: Config, state: dict[str, Tensor], seed: int = 0, count: int = 2) -> Tensor:
    """The features by the given weights, in evaluation mode, of unflipped images."""
    model = MODELS.build(cfg.model)
    model.load_state_dict(state)
    model.eval()
    root = Path(cfg.train_dataloader.source.dataset.data_root)
    plain = dict(dataset_cfg(root.parent, 'source', train=False))
    plain['pipeline'] = [dict(type='LoadImageFromFile'), dict(type='PackUDAInputs')]
    dataset = DATASETS.build(plain)
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))[:count]
    features = []
    with torch.no_grad():
        for i in order.tolist():
            data = model.data_preprocessor.source(pseudo_collate([dataset[i]]), False)
            features.append(model.extract_feat(data['inputs'])[-1])
    return torch.cat(features)


def test_training_is_the_same_and_checkpoints_carry_their_features(tmp_path: Path) -> None:
    cfg = make_cfg(tmp_path, 'hook', HOOK)
    runner = train(cfg)
    plain = train(make_cfg(tmp_path, 'plain', context='none'))
    assert_close(runner.model.state_dict(), plain.model.state_dict(), atol=0, rtol=0)
    assert len(seen(runner)) == 2
    for iteration, features in zip((2, 4), seen(runner)):
        state = checkpoint(tmp_path / 'hook', iteration)
        assert features.shape == (2, 8, 8, 12)
        assert_close(state[KEY], features)
        assert_close(state[KEY], expected(cfg, state))
        other = checkpoint(tmp_path / 'plain', iteration)
        assert not other.pop(KEY).numel()
        state.pop(KEY)
        assert_close(state, other, atol=0, rtol=0)
    assert not torch.equal(*seen(runner))

    # A test of the same runner looks again; a test of the checkpoint needs no source data.
    scores = runner.test()
    assert_close(seen(runner)[-1], seen(runner)[-2])
    test = make_cfg(tmp_path, 'test', HOOK, load_from=str(tmp_path / 'hook/iter_4.pth'))
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'):
        test.pop(key)
    for hooks in (test.custom_hooks, test.custom_hooks[1:]):  # not even the hook
        test.custom_hooks = hooks
        test.experiment_name = f'test{len(hooks)}'
        again = Runner.from_cfg(test)
        assert again.test() == pytest.approx(scores)
        assert_close(seen(again)[0], checkpoint(tmp_path / 'hook')[KEY], atol=0, rtol=0)


def test_resumed_training_equals_an_uninterrupted_one_with_averaged_weights(tmp_path: Path) -> None:
    ema = dict(type='EMAHook', momentum=0.3)
    whole = train(make_cfg(tmp_path, 'whole', HOOK, ema))
    resumed = make_cfg(
        tmp_path, 'resumed', HOOK, ema, resume=True, load_from=str(tmp_path / 'whole/iter_2.pth')
    )
    assert_close(train(resumed).model.state_dict(), whole.model.state_dict(), atol=0, rtol=0)
    one, other = (checkpoint(tmp_path / name) for name in ('whole', 'resumed'))
    assert_close(one, other, atol=0, rtol=0)
    # The features are those of the averaged weights, which are what a checkpoint's test uses.
    assert_close(one[KEY], expected(resumed, one))
    assert_close(seen(whole)[-1], one[KEY])


def test_checkpoint_without_features_is_tested_with_the_configs_source(tmp_path: Path) -> None:
    cfg = make_cfg(tmp_path, 'plain', HOOK)
    model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'bare.pth')
    for seed, count in ((0, 2), (1, 2), (1, 4)):
        cfg = make_cfg(
            tmp_path,
            f'{seed}{count}',
            dict(HOOK, seed=seed, num_images=count),
            load_from=str(tmp_path / 'bare.pth'),
        )
        runner = Runner.from_cfg(cfg)
        runner.test()
        assert_close(seen(runner)[0], expected(cfg, model.state_dict(), seed, count))
        assert not runner.model.decode_head.reference.numel()
    cfg.pop('train_dataloader')
    cfg.pop('train_cfg')
    cfg.pop('optim_wrapper')
    cfg.pop('param_scheduler')
    cfg.experiment_name = 'none'
    with pytest.raises(
        ValueError,
        match='ReferenceContextHook: expected source images in the checkpoint or the config, but '
        'got none',
    ):
        Runner.from_cfg(cfg).test()


@pytest.mark.parametrize('wrapper', [None, 'repeat', 'concat'])
def test_given_images_of_any_size(tmp_path: Path, wrapper: str | None) -> None:
    cfg = make_cfg(tmp_path, 'run')
    paths = [str(tmp_path / 'source/images' / f'{i}.png') for i in (3, 1)]
    image = cv2.imread(paths[1])
    cv2.imwrite(paths[1], cv2.resize(image, (64, 64)))
    source = cfg.train_dataloader.source.dataset
    source.pipeline.insert(2, dict(type='PhotoMetricDistortion'))
    if wrapper == 'repeat':
        cfg.train_dataloader.source.dataset = dict(type='RepeatDataset', dataset=source, times=2)
    elif wrapper == 'concat':
        cfg.train_dataloader.source.dataset = dict(type='ConcatDataset', datasets=[source, source])
    cfg.custom_hooks = [dict(HOOK, images=paths), *cfg.custom_hooks]
    runner = Runner.from_cfg(cfg)
    runner.val()
    (features,) = seen(runner)
    assert features.shape == (2, 8, 8, 12)  # the first image's
    model = runner.model.eval()
    raw = torch.from_numpy(cv2.imread(paths[0])).permute(2, 0, 1)
    data = model.data_preprocessor.source(dict(inputs=[raw]), False)
    with torch.no_grad():
        assert_close(features[:1], model.extract_feat(data['inputs'])[-1])


def test_images_without_any_random_step(tmp_path: Path) -> None:
    cfg = make_cfg(tmp_path, 'run', HOOK)
    pipeline = cfg.train_dataloader.source.dataset.pipeline
    style = dict(type='FourierAmplitudeMix', style_dir=str(tmp_path / 'target/images'), beta=0.5)
    pipeline[1:1] = [style, dict(type='mmseg.PhotoMetricDistortion'), dict(type=RandomRotFlip)]
    pipeline.insert(1, dict(type='Compose', transforms=[dict(type='RandomGrayscale', prob=1.0)]))
    runner = Runner.from_cfg(cfg)
    runner.val()
    (features,) = seen(runner)
    assert_close(features, expected(cfg, runner.model.state_dict()))


def test_plain_segmentor(tmp_path: Path) -> None:
    cfg = make_cfg(tmp_path, 'run', HOOK)
    cfg.model = cfg.model.segmentor
    for key in ('optim_wrapper', 'param_scheduler', 'train_cfg'):
        cfg[key] = None
    data = cfg.pop('train_dataloader')
    with pytest.raises(
        ValueError,
        match='ReferenceContextHook: expected source images in the checkpoint or the config, but '
        'got none',
    ):
        Runner.from_cfg(cfg).test()
    hook = ReferenceContextHook(2)
    runner = Runner.from_cfg(Config(dict(cfg, experiment_name='b', custom_hooks=[])))
    runner.cfg.train_dataloader = data
    saved = dict(state_dict=runner.model.state_dict())
    hook.before_save_checkpoint(runner, saved)
    assert saved['state_dict']['decode_head.reference'].shape == (2, 8, 8, 12)
    assert not runner.model.decode_head.reference.numel()


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match='num_images: expected an integer of at least 1, but got 0',
    ):
        ReferenceContextHook(0)
    for images in ('a.png', []):
        with pytest.raises(
            ValueError, match='ReferenceContextHook.images: expected a list of paths, or None'
        ):
            ReferenceContextHook(images=images)
    with pytest.raises(
        ValueError,
        match="ReferenceContextHook: expected CrossDomainAttentionHead.test_context='reference', "
        "but got 'self'; correct it or remove the hook",
    ):
        train(make_cfg(tmp_path, 'self', HOOK, context='self'))
    cfg = make_cfg(tmp_path, 'plain', HOOK)
    cfg.model = dict(type='SourceOnly', segmentor=segmentor_cfg())
    cfg.optim_wrapper.optimizers.pop('discriminators')
    with pytest.raises(
        TypeError,
        match='ReferenceContextHook: expected a decode head with test_context, but got '
        'DeepLabV2Head',
    ):
        train(cfg)
    with pytest.raises(
        ValueError, match='num_images: expected at most 5, the images of .*source, but got 9'
    ):
        train(make_cfg(tmp_path, 'many', dict(HOOK, num_images=9)))
    with pytest.raises(FileNotFoundError, match="paths: expected image files, but got '/none.png'"):
        train(make_cfg(tmp_path, 'missing', dict(HOOK, images=['/none.png'])))
    with pytest.raises(ValueError, match="write custom_hooks=.dict.type='ReferenceContextHook'"):
        train(make_cfg(tmp_path, 'without'))
