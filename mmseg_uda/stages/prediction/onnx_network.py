"""An exported ONNX file in place of a network's weights."""

from __future__ import annotations

from typing import Any

import torch
from mmseg.models.utils import resize
from torch import Tensor

__all__ = ['OnnxNetwork']


class OnnxNetwork:
    """Computes logits by onnxruntime, in place of a segmentor's ``encode_decode``.

    The file takes normalised images (N, 3, H, W), float32, and gives logits (N, C, h, w). Where it
    has fixed sizes, images are resized to them, and a batch is cut into single images.

    Args:
        path: The file.
        num_classes: C.
        align_corners: That of the decode head.

    Raises:
        ImportError: onnxruntime is not installed.
        ValueError: The file has another number of classes.
    """

    def __init__(self, path: str, num_classes: int, align_corners: bool = False) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError(
                '--onnx: expected the package onnxruntime, but it is not installed; run '
                'pip install onnxruntime (or onnxruntime-gpu)'
            ) from error
        providers = onnxruntime.get_available_providers()
        self.session = onnxruntime.InferenceSession(path, providers=providers)
        self.input = self.session.get_inputs()[0]
        self.path, self.num_classes, self.align_corners = path, num_classes, align_corners

    def __call__(self, inputs: Tensor, batch_img_metas: Any = None) -> Tensor:
        """Compute the logits (N, C, H, W) of images (N, 3, H, W), at their size."""
        batch, _, *size = self.input.shape  # numbers, or names where any size fits
        images = inputs
        if all(isinstance(side, int) for side in size):
            images = self._resize(inputs, size)
        count = -(-len(images) // batch) if isinstance(batch, int) else 1
        parts = images.chunk(count)
        logits = torch.cat([self._run(part) for part in parts]).to(inputs)
        if logits.shape[1] != self.num_classes:
            raise ValueError(
                f'--onnx: expected a network of {self.num_classes} classes, as the config has, but '
                f'got {logits.shape[1]} in {self.path!r}; write the config of its export'
            )
        return self._resize(logits, inputs.shape[2:])

    def _run(self, images: Tensor) -> Tensor:
        feed = {self.input.name: images.float().cpu().numpy()}
        return torch.from_numpy(self.session.run(None, feed)[0])

    def _resize(self, maps: Tensor, size: Any) -> Tensor:
        return resize(
            maps, tuple(size), mode='bilinear', align_corners=self.align_corners, warning=False
        )
