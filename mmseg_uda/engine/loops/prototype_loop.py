"""The loop that averages the features of each class over a set of images."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import all_gather_object
from mmengine.runner import Runner
from mmseg.registry import LOOPS
from torch import Tensor
from torch.utils.data import DataLoader

from mmseg_uda.artifacts.digest import digest_config, digest_path, digest_weights
from mmseg_uda.artifacts.prototypes import PrototypeFile
from mmseg_uda.engine.loops.target_image_loop import TargetImageLoop
from mmseg_uda.engine.observe import preserve_state, unwrap_model
from mmseg_uda.models.layers import class_means, running_mean
from mmseg_uda.utils.arguments import check_integer
from mmseg_uda.utils.processes import on_main

__all__ = ['PrototypeLoop']


@LOOPS.register_module()
class PrototypeLoop(TargetImageLoop):
    """Computes the prototypes with which :class:`ProDA` starts (eq. (4) of the paper).

    Each image has a mean feature of each class that is predicted in it. Prototypes are the running
    means of these, over several passes in the order of the images: an image with few pixels of a
    class counts as much as one with many. The network runs once; its means serve all passes.

    The result does not depend on the number of processes. Replaces the test loop (``test_cfg``).

    Args:
        runner: The runner, of a :class:`ProDA`.
        dataloader: As for :class:`PseudoLabelLoop`.
        out_file: File to write.
        epochs: Passes over the images, at least 1.
        max_count: Images of a class from which its mean is a moving one.
        evaluator: Not used; mmengine passes it to every test loop.

    Raises:
        TypeError: The model has no prototypes.
        ValueError: An argument is out of range, or the dataset is no test dataset.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | dict[str, Any],
        out_file: str,
        epochs: int = 4,
        max_count: int = 3000,
        evaluator: Any = None,
    ) -> None:
        check_integer('PrototypeLoop.epochs', epochs, 1)
        check_integer('PrototypeLoop.max_count', max_count, 1)
        method = unwrap_model(runner.model)
        if not hasattr(method, 'prototypes'):
            raise TypeError(
                'PrototypeLoop: expected a method with prototypes, but got '
                f"{type(method).__name__}; write model=dict(type='ProDA', ...)"
            )
        super().__init__(runner, dataloader)
        self.out_file = out_file
        self.epochs = epochs
        self.max_count = max_count

    def run(self) -> dict[str, float]:
        """Write the file.

        Returns:
            The number of classes that have a prototype.
        """
        with preserve_state(self.runner.model):
            means = self._image_means()
        values, counts = running_mean(means, self.epochs, self.max_count)
        recipe = dict(
            epochs=self.epochs,
            max_count=self.max_count,
            config_sha256=digest_config(self.runner.cfg.get('model'), self._dataset_cfg),
            checkpoint_sha256=digest_path(self.runner._load_from or '')
            or digest_weights(self.runner.model),
        )
        found = PrototypeFile(values.numpy(), counts.numpy(), recipe)
        on_main(lambda: found.write(self.out_file))
        return {'classes with a prototype': float((counts > 0).sum())}

    @torch.no_grad()
    def _image_means(self) -> list[tuple[Tensor, Tensor]]:
        """Compute the means (C, A) of all images and which exist (C,), in order, on the CPU."""
        method = unwrap_model(self.runner.model)
        indices = self._share()
        own: list[tuple[Tensor, Tensor]] = []
        with self._progress(len(indices), 'Prototypes: features') as progress:
            for data in self._batches(indices):
                images = method.data_preprocessor(data, False)['inputs']
                features, logits = method.represent(method.student, images)
                means, found = class_means(
                    features, logits.argmax(1), self.num_classes, method.min_pixels
                )
                own += zip(means.cpu(), found.cpu())
                progress.update(len(images))
        parts = dict(pair for part in all_gather_object(list(zip(indices, own))) for pair in part)
        return [parts[index] for index in range(len(self._paths))]
