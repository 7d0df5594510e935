"""Source images as the reference of CDANet's attention in validation and test."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.models.utils import resize
from mmseg.registry import HOOKS
from torch import Tensor

from mmseg_uda.config.datasets import map_datasets, unlabelled_images, without_randomness
from mmseg_uda.config.domains import domain_dataset
from mmseg_uda.datasets.checks import build_dataset, unwrap
from mmseg_uda.engine.observe import preserve_state, unwrap_model
from mmseg_uda.utils.arguments import check_integer, expect

__all__ = ['ReferenceContextHook', 'load_images', 'plain_dataset']


def plain_dataset(dataset: dict[str, Any]) -> Any:
    """Build a dataset whose pipeline neither loads labels nor draws random numbers.

    Args:
        dataset: Config of a dataset, or of a wrapper of datasets.

    Raises:
        ValueError: If a step of the pipeline is not known to do so or not.
    """

    def change(images: dict[str, Any]) -> dict[str, Any]:
        return {**images, 'pipeline': without_randomness(images['pipeline'])}

    return build_dataset(map_datasets(unlabelled_images(dataset), change))


def load_images(dataset: Any, paths: Sequence[str]) -> list[dict[str, Any]]:
    """Load any image files through a dataset's pipeline.

    Raises:
        FileNotFoundError: One of them does not exist.
    """
    for path in paths:
        if not Path(path).is_file():
            raise FileNotFoundError(f'load_images.paths: expected image files, but got {path!r}')
    pipeline = next(unwrap(dataset)).pipeline
    return [pipeline(dict(img_path=str(path), seg_fields=[])) for path in paths]


@HOOKS.register_module()
class ReferenceContextHook(Hook):
    """Give K fixed source images to a head with ``test_context='reference'``.

    Before a validation or a test, the hook stores the student's features of these images in the
    head (``CrossDomainAttentionHead.set_reference``), and it removes them afterwards: training is
    the same with and without the hook. Every checkpoint carries the features of its own weights, so
    that testing (or exporting) it needs neither source data nor this hook. A checkpoint grows by
    4 K C h w bytes: 69 MB per image for 2048 channels at 65x129.

    Args:
        num_images: K. The result depends on it, and on ``seed``: report both.
        seed: Seed of the choice among the images of ``train_dataloader.source``.
        images: Paths of the images, instead of a choice of ``num_images`` by ``seed``. They go
            through the source's pipeline without label loaders and random steps, too.

    Example:
        Use in a config::

            custom_hooks = [dict(type='ReferenceContextHook', num_images=4)]
    """

    # After EMAHook has set its weights; before AdaBNHook, whose statistics are the target's.
    priority = 55

    def __init__(
        self, num_images: int = 4, seed: int = 0, images: Sequence[str] | None = None
    ) -> None:
        check_integer('ReferenceContextHook.num_images', num_images, 1)
        check_integer('ReferenceContextHook.seed', seed, 0)
        listed = images is None or (bool(images) and not isinstance(images, str))
        known = 'a list of paths, or None for a choice of num_images'
        expect(listed, 'ReferenceContextHook.images', known, images)
        self.num_images = num_images
        self.seed = seed
        self.images = images
        self._samples: list[dict[str, Any]] = []
        self._stored_here = False

    def before_run(self, runner: Runner) -> None:
        """Check the head.

        Raises:
            TypeError: It has no ``test_context``.
            ValueError: Its ``test_context`` is another.
        """
        head = _student(runner)[0].decode_head
        context = getattr(head, 'test_context', None)
        if context is None:
            raise TypeError(
                'ReferenceContextHook: expected a decode head with test_context, but got '
                f"{type(head).__name__}; write decode_head=dict(type='CrossDomainAttentionHead', "
                "test_context='reference', ...) or remove the hook"
            )
        if context != 'reference':
            raise ValueError(
                f"ReferenceContextHook: expected {type(head).__name__}.test_context='reference', "
                f'but got {context!r}; correct it or remove the hook'
            )

    def before_train(self, runner: Runner) -> None:
        """Remove the features of a resumed checkpoint, whose weights are about to change."""
        # EMAHook has a model of its own.
        models = [runner.model, *(getattr(hook, 'ema_model', None) for hook in runner.hooks)]
        for module in (module for model in models if model for module in model.modules()):
            if hasattr(module, 'set_reference'):
                module.set_reference(None)

    def before_val_epoch(self, runner: Runner) -> None:
        """Store the features, unless the checkpoint carries them."""
        student, _ = _student(runner)
        head = student.decode_head
        if not head.reference.numel():
            head.set_reference(self._features(runner, student))
            self._stored_here = True
            runner.logger.info(f'Reference context: {len(head.reference)} source images.')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Remove the features that this hook stored."""
        if self._stored_here:
            _student(runner)[0].decode_head.set_reference(None)
            self._stored_here = False

    before_test_epoch = before_val_epoch
    after_test_epoch = after_val_epoch

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Add the features by the saved weights (those of EMAHook, if any)."""
        student, prefix = _student(runner)
        state = checkpoint['state_dict']
        # A copy of the network, because the saved weights may differ from the current ones.
        saved = copy.deepcopy(student)
        saved.load_state_dict(
            {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
        )
        features = self._features(runner, saved)
        state[f'{prefix}decode_head.reference'] = features.cpu()

    def _features(self, runner: Runner, student: Any) -> Tensor:
        """Features of the images, shape (K, C, h, w), in the first image's size h, w."""
        preprocessor = unwrap_model(runner.model).data_preprocessor
        preprocessor = getattr(preprocessor, 'source', preprocessor)
        features: list[Tensor] = []
        with (
            preserve_state(student),
            torch.autocast(next(student.parameters()).device.type, enabled=False),
        ):
            if not self._samples:  # they are few, and are read once
                self._samples = self._load(runner)
            for sample in self._samples:
                inputs = preprocessor(pseudo_collate([sample]), False)['inputs']
                # (1, C, h, w)
                feature = student.decode_head._transform_inputs(student.extract_feat(inputs))
                # Images of other sizes follow the first one.
                if features and feature.shape != features[0].shape:
                    feature = resize(
                        feature,
                        size=features[0].shape[2:],
                        mode='bilinear',
                        align_corners=student.align_corners,
                    )
                features.append(feature)
        return torch.cat(features)

    def _load(self, runner: Runner) -> list[dict[str, Any]]:
        source = domain_dataset(runner.cfg.get('train_dataloader'), 'source')
        if source is None:
            raise ValueError(
                'ReferenceContextHook: expected source images in the checkpoint or the config, but '
                'got none; write train_dataloader=dict(source=...), or test a checkpoint that was '
                'saved with this hook'
            )
        dataset = plain_dataset(source)
        if self.images is not None:
            return load_images(dataset, self.images)
        known = f'at most {len(dataset)}, the images of train_dataloader.source'
        enough = self.num_images <= len(dataset)
        expect(enough, 'ReferenceContextHook.num_images', known, self.num_images)
        order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(self.seed))
        return [dataset[i] for i in order[: self.num_images].tolist()]


def _student(runner: Runner) -> tuple[Any, str]:
    """Segmentor that predicts, and the prefix of its keys in a checkpoint."""
    model = unwrap_model(runner.model)
    return (model.student, 'student.') if hasattr(model, 'student') else (model, '')
