"""Source images that CDANet's attention looks at in validation and test."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.models.utils import resize
from mmseg.registry import HOOKS
from torch import Tensor

from mmseg_uda.config.datasets import map_datasets, without_randomness
from mmseg_uda.datasets.checks import unwrap
from mmseg_uda.engine.hooks.adabn_hook import build_target_loader
from mmseg_uda.engine.observe import preserve_state, unwrap_model

__all__ = ['ReferenceContextHook', 'load_images', 'plain_dataset']


def plain_dataset(cfg: Config, dataset: dict[str, Any]) -> Any:
    """A dataset whose pipeline loads no label and draws nothing.

    Args:
        cfg: The run's config.
        dataset: Config of a dataset, or of a wrapper of datasets.
    """

    def change(images: dict[str, Any]) -> dict[str, Any]:
        return {**images, 'pipeline': without_randomness(images['pipeline'])}

    return build_target_loader(cfg, dataset=map_datasets(dataset, change)).dataset


def load_images(dataset: Any, paths: Sequence[str]) -> list[dict[str, Any]]:
    """Samples of any image files, through a dataset's pipeline.

    Raises:
        FileNotFoundError: One of them is no file.
    """
    for path in paths:
        if not Path(path).is_file():
            raise FileNotFoundError(
                f'load_images.paths got {path}, which is no file; write paths of images'
            )
    pipeline = next(unwrap(dataset)).pipeline
    return [pipeline(dict(img_path=str(path), seg_fields=[])) for path in paths]


@HOOKS.register_module()
class ReferenceContextHook(Hook):
    """Shows K fixed source images to a head with ``test_context='reference'``.

    Before a validation or a test the student's features of these images are stored in the head
    (``CrossDomainAttentionHead.set_reference``), and forgotten afterwards: training is the same
    with and without the hook. Every checkpoint carries the features that belong to its weights, so
    that testing (or exporting) it needs neither source data nor this hook. A checkpoint grows by
    4 K C h w bytes: 69 MB an image for 2048 channels at 65x129.

    Args:
        num_images: K. The result depends on it, and on ``seed``: report both.
        seed: Of the choice among the images of ``train_dataloader.source``.
        images: Paths of the images instead of a choice of ``num_images`` by ``seed``. They go
            through the same pipeline: the source's, less label loaders and random augmentation.
    """

    # After EMAHook has put its weights in; before AdaBNHook, whose statistics are the target's.
    priority = 55

    def __init__(
        self, num_images: int = 4, seed: int = 0, images: Sequence[str] | None = None
    ) -> None:
        if num_images < 1:
            raise ValueError(f'ReferenceContextHook.num_images got {num_images}; write at least 1')
        if isinstance(images, str) or (images is not None and not images):
            raise ValueError(
                f'ReferenceContextHook.images got {images!r}; write a list of paths, '
                'or None for a choice of num_images'
            )
        self.num_images = num_images
        self.seed = seed
        self.images = images
        self._samples: list[dict[str, Any]] = []
        self._stored_here = False

    def before_run(self, runner: Runner) -> None:
        """Check the head."""
        head = _student(runner)[0].decode_head
        context = getattr(head, 'test_context', None)
        if context is None:
            raise TypeError(
                f'ReferenceContextHook got {type(head).__name__}, which has no '
                "test_context; write decode_head=dict(type='CrossDomainAttentionHead', "
                "test_context='reference', ...) or remove the hook"
            )
        if context != 'reference':
            raise ValueError(
                f'ReferenceContextHook: {type(head).__name__}.test_context got '
                f"{context!r}; write 'reference' or remove the hook"
            )

    def before_train(self, runner: Runner) -> None:
        """Forget what a resumed checkpoint carried: the weights are about to change."""
        models = [runner.model, *(getattr(hook, 'ema_model', None) for hook in runner.hooks)]
        for module in (module for model in models if model for module in model.modules()):
            if hasattr(module, 'set_reference'):
                module.set_reference(None)

    def before_val_epoch(self, runner: Runner) -> None:
        """Store the features, unless the checkpoint brought them."""
        student, _ = _student(runner)
        head = student.decode_head
        if not head.reference.numel():
            head.set_reference(self._features(runner, student))
            self._stored_here = True
            runner.logger.info(f'Reference context: {len(head.reference)} source images.')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Forget the features again."""
        if self._stored_here:
            _student(runner)[0].decode_head.set_reference(None)
            self._stored_here = False

    before_test_epoch = before_val_epoch
    after_test_epoch = after_val_epoch

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Add the features by the weights that are being saved (those of EMAHook, if any)."""
        student, prefix = _student(runner)
        state = checkpoint['state_dict']
        saved = copy.deepcopy(student)
        saved.load_state_dict(
            {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
        )
        features = self._features(runner, saved)
        state[f'{prefix}decode_head.reference'] = features.cpu()

    def _features(self, runner: Runner, student: Any) -> Tensor:
        """The student's features of the images, shape (K, C, h, w); the first image's h and w."""
        preprocessor = unwrap_model(runner.model).data_preprocessor
        preprocessor = getattr(preprocessor, 'source', preprocessor)
        features: list[Tensor] = []
        with (
            preserve_state(student),
            torch.autocast(next(student.parameters()).device.type, enabled=False),
        ):
            if not self._samples:
                self._samples = self._load(runner)
            for sample in self._samples:
                inputs = preprocessor(pseudo_collate([sample]), False)['inputs']
                feature = student.decode_head._transform_inputs(student.extract_feat(inputs))
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
        loaders = runner.cfg.get('train_dataloader') or {}
        if 'source' not in loaders:
            raise ValueError(
                'ReferenceContextHook: neither the checkpoint nor the config has '
                'source images; write train_dataloader=dict(source=...), or test a '
                'checkpoint that was saved with this hook'
            )
        dataset = plain_dataset(runner.cfg, loaders['source']['dataset'])
        if self.images is not None:
            return load_images(dataset, self.images)
        if self.num_images > len(dataset):
            raise ValueError(
                f'ReferenceContextHook.num_images got {self.num_images}, but '
                f'train_dataloader.source has {len(dataset)} images; write at most '
                'that many'
            )
        order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(self.seed))
        return [dataset[i] for i in order[: self.num_images].tolist()]


def _student(runner: Runner) -> tuple[Any, str]:
    """The segmentor that predicts, and the prefix of its keys in a checkpoint."""
    model = unwrap_model(runner.model)
    return (model.student, 'student.') if hasattr(model, 'student') else (model, '')
