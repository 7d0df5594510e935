"""A trained segmentor that predicts images as its config tests them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from torch import nn

from mmseg_uda.artifacts.checkpoint import load_checkpoint, load_into, weights_of
from mmseg_uda.config.datasets import iter_datasets, transform_class, without_labels
from mmseg_uda.datasets.class_map import LABEL_VALUES, ClassMap
from mmseg_uda.datasets.transforms.mapped_labels import find_class_map
from mmseg_uda.stages.export.sources import STAND_ALONE
from mmseg_uda.stages.prediction.onnx_network import OnnxNetwork
from mmseg_uda.utils.palettes import Palette, palette_of

__all__ = ['Prediction', 'Predictor', 'find_config']


class Prediction(NamedTuple):
    """A network's prediction for an image, at the image's size.

    Args:
        label: Train ids, shape (H, W) uint8.
        confidence: Probability of the label, shape (H, W) float32 in [0, 1].
    """

    label: np.ndarray
    confidence: np.ndarray


def find_config(checkpoint: str) -> str:
    """Find the config that a training left beside its checkpoint.

    The text of a config that a checkpoint holds is never used: a config is a program.

    Raises:
        ValueError: There is none, or there are several.
    """
    beside = sorted(Path(checkpoint).absolute().parent.glob('*.py'))
    found = [path for path in beside if not path.name.startswith(STAND_ALONE)]
    if len(found) != 1:
        names = ', '.join(path.name for path in found) or 'none'
        raise ValueError(
            f'predict: expected one config beside {checkpoint}, but got {names}; write --config'
        )
    return str(found[0])


class Predictor:
    """A trained segmentor, its test pipeline without labels, and the names of its classes.

    Args:
        cfg: Config of a method, or of a segmentor.
        checkpoint: File of its weights; it is read without running code. Not read with ``onnx``.
        device: Device that computes, such as ``'cuda:1'``.
        onnx: Exported file that computes the logits in place of the weights.

    Raises:
        ValueError: The config has no test pipeline, or the checkpoint is of another network.
    """

    def __init__(
        self, cfg: Config, checkpoint: str, device: str = 'cpu', onnx: str | None = None
    ) -> None:
        init_default_scope(cfg.get('default_scope', 'mmseg'))
        loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
        _, self.dataset = next(iter_datasets(loader.get('dataset') or {}))
        if not self.dataset.get('pipeline'):
            raise ValueError(
                'predict: expected test_dataloader.dataset.pipeline in the config, but got none; '
                'write one, for the size of the images'
            )
        steps = without_labels(self.dataset['pipeline'])
        self.pipeline = Compose(steps)
        self.pipeline_of_arrays = Compose([_of_arrays(step) for step in steps])
        model: Any = MODELS.build(cfg.model)
        meta: Mapping[str, Any] = {}
        if onnx is None:
            content = load_checkpoint(checkpoint)
            load_into('predict', model, weights_of(content))
            meta = content.get('meta', {}).get('dataset_meta') or {}
        else:
            model.test_resize = 'twice'  # the exported file gives logits at the input's size
            network = getattr(model, 'tested', model)
            network.encode_decode = OnnxNetwork(onnx, network.num_classes, network.align_corners)
        self.model: nn.Module = model.to(device).eval()
        self.classes, self.palette = self._classes(meta, model.num_classes)
        self.class_map = self._class_map()

    def _classes(self, meta: Mapping[str, Any], count: int) -> tuple[tuple[str, ...], Palette]:
        """Names and colours: the dataset's, else the checkpoint's, else numbers."""
        cls = self._dataset_class()
        for found in (self.dataset.get('metainfo'), getattr(cls, 'METAINFO', None), meta):
            names = tuple((found or {}).get('classes') or ())
            if len(names) == count:
                palette = (found or {}).get('palette')
                return names, [list(each) for each in palette] if palette else palette_of(names)
        names = tuple(f'class_{index}' for index in range(count))
        return names, palette_of(names)

    def _dataset_class(self) -> Any:
        kind = self.dataset.get('type')
        return DATASETS.get(kind) if isinstance(kind, str) else kind

    def _class_map(self) -> ClassMap | None:
        """The map of the labels' own values; None if files hold train ids."""
        if mapped := find_class_map(self.dataset):
            return mapped
        values = (self.dataset.get('metainfo') or {}).get(LABEL_VALUES)
        if values:  # of an exported config, whose pipeline maps no labels
            return ClassMap(self.classes, dict(values))
        reduce = self.dataset.get('reduce_zero_label')
        if reduce is None and self._dataset_class() is not None:
            parameter = inspect.signature(self._dataset_class()).parameters.get('reduce_zero_label')
            reduce = parameter is not None and parameter.default is True
        if not reduce:
            return None
        return ClassMap(self.classes, {**dict(enumerate(self.classes, 1)), 0: 'ignore'})

    def load(self, image: str | np.ndarray) -> dict[str, Any]:
        """Load an image, a file or an array (H, W, 3) BGR uint8, as the test pipeline does."""
        if isinstance(image, str):
            return self.pipeline(dict(img_path=image))
        return self.pipeline_of_arrays(dict(img=image))

    @torch.no_grad()
    def predict(self, samples: Sequence[Mapping[str, Any]]) -> list[Prediction]:
        """Predict loaded images of one size."""
        batch = {key: [sample[key] for sample in samples] for key in ('inputs', 'data_samples')}
        found = []
        for result in self.model.test_step(batch):  # type: ignore[operator]
            logits = result.seg_logits.data.float()  # (C, H, W)
            prob, label = logits.softmax(0).max(0)
            found.append(Prediction(label.byte().cpu().numpy(), prob.cpu().numpy()))
        return found

    def predict_all(
        self, items: Iterable[tuple[Any, dict[str, Any]]], batch_size: int = 1
    ) -> Iterator[tuple[Any, Prediction]]:
        """Predict a stream of loaded images; neighbours of one size are computed together.

        Args:
            items: Pairs of any key and a loaded image.
            batch_size: The most images in one pass.

        Yields:
            Key and prediction, in order.
        """
        waiting: list[tuple[Any, dict[str, Any]]] = []
        for key, sample in items:
            full = len(waiting) == batch_size
            if waiting and (full or sample['inputs'].shape != waiting[0][1]['inputs'].shape):
                yield from self._flush(waiting)
                waiting = []
            waiting.append((key, sample))
        yield from self._flush(waiting)

    def _flush(self, waiting: list[tuple[Any, dict[str, Any]]]) -> Iterator[tuple[Any, Prediction]]:
        if waiting:
            predictions = self.predict([sample for _, sample in waiting])
            yield from zip([key for key, _ in waiting], predictions)


def _of_arrays(step: Any) -> Any:
    """A loader of arrays in place of one of files."""
    name = transform_class(step).__name__
    return dict(type='LoadImageFromNDArray') if name == 'LoadImageFromFile' else step
