"""The exported network as an ONNX, ``torch.export`` or TorchScript file, compared with PyTorch.

The packages onnx, onnxscript and onnxruntime are imported where they are used: they are an extra.
"""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmseg.apis import init_model
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from torch import Tensor, nn

from mmseg_uda.artifacts.files import atomic_write

__all__ = [
    'FORMATS',
    'Comparison',
    'WholeNetwork',
    'compare',
    'export_format',
    'require_packages',
]

Run = Callable[[Tensor], Tensor]

# A batch of 1 or a square image would make the exporter take sides of a size for equal.
EXAMPLE = (2, 3, 224, 288)
NOISE = 'noise'
TOLERANCE = 1e-3
"""Largest share of pixels with another label, and of a logit's range by which it may differ."""


class WholeNetwork(nn.Module):
    """A segmentor as a function of normalised images alone.

    Args:
        segmentor: Any mmseg segmentor that computes logits of whole images.
        labels: True for labels in place of logits.
    """

    def __init__(self, segmentor: Any, labels: bool = False) -> None:
        super().__init__()
        self.segmentor = segmentor.requires_grad_(False)
        self.labels = labels
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits (N, C, H, W) or labels (N, H, W) of normalised images (N, 3, H, W)."""
        size = images.shape[2:]
        head = self.segmentor.decode_head
        if type(head).predict_by_feat is BaseDecodeHead.predict_by_feat:
            # The stock method does the same, but its warning reads the size, which fixes it.
            logits = self.segmentor(images)
            logits = resize(
                logits, size=size, mode='bilinear', align_corners=head.align_corners, warning=False
            )
        else:
            meta = dict(img_shape=size, pad_shape=size, ori_shape=size)
            logits = self.segmentor.encode_decode(images, [meta])
        if not self.labels:
            return logits
        if logits.shape[1] == 1:  # one logit for two classes
            return (logits.sigmoid() > self.segmentor.decode_head.threshold)[:, 0].long()
        return logits.argmax(1)


def _write_onnx(network: WholeNetwork, path: Path, properties: dict[str, str]) -> None:
    require_packages('onnx')
    import onnx

    name = 'labels' if network.labels else 'logits'
    sizes = _any_size()
    program = torch.onnx.export(
        network,
        (torch.randn(EXAMPLE),),
        input_names=['images'],
        output_names=[name],
        dynamic_shapes=sizes,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.save(str(path), external_data=False)
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _read_onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    name = session.get_inputs()[0].name
    return lambda images: torch.from_numpy(session.run(None, {name: images.numpy()})[0])


def _write_torch_export(network: WholeNetwork, path: Path, properties: dict[str, str]) -> None:
    sizes = _any_size()
    program = torch.export.export(network, (torch.randn(EXAMPLE),), dynamic_shapes=sizes)
    content = io.BytesIO()  # of the path torch wants another ending
    torch.export.save(program, content, extra_files=dict(properties))
    path.write_bytes(content.getvalue())


def _read_torch_export(path: Path) -> Run:
    return torch.export.load(str(path)).module()


def _write_torchscript(network: WholeNetwork, path: Path, properties: dict[str, str]) -> None:
    with warnings.catch_warnings():  # of the tracer, and of its deprecation, which --help says
        warnings.simplefilter('ignore')
        traced = torch.jit.trace(network, torch.randn(EXAMPLE), check_trace=False)  # type: ignore
        torch.jit.save(traced, str(path), _extra_files=properties)  # type: ignore


def _read_torchscript(path: Path) -> Run:
    return torch.jit.load(str(path))  # type: ignore


FORMATS: dict[str, tuple[Callable[[WholeNetwork, Path, dict[str, str]], None], Any]] = {
    'onnx': (_write_onnx, _read_onnx),
    'torch_export': (_write_torch_export, _read_torch_export),
    'torchscript': (_write_torchscript, _read_torchscript),
}
"""Writer and reader of each format."""


def _any_size() -> tuple[dict[int, Any]]:
    dim = torch.export.Dim.AUTO  # what a network fixes stays fixed; the comparison shows it
    return ({0: dim, 2: dim, 3: dim},)


def require_packages(kind: str) -> None:
    """Check that the packages of a format are there, before anything is written.

    Raises:
        ImportError: Names those that are not installed.
    """
    names = ('onnx', 'onnxscript', 'onnxruntime') if kind == 'onnx' else ()
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ImportError(
            f'--onnx: expected the packages {", ".join(names)}, but got no {", ".join(missing)}; '
            "run pip install 'mmseg_uda[onnx]'"
        )


class Comparison(NamedTuple):
    """Difference between PyTorch and an exported file on one image.

    Args:
        name: Its name.
        size: Height and width of the network's input.
        difference: Largest difference of a logit; 0 where the file gives labels.
        relative: The same, as a share of the range of the logits.
        others: Share of the pixels with another label.
    """

    name: str
    size: tuple[int, int]
    difference: float
    relative: float
    others: float

    @property
    def is_noise(self) -> bool:
        return self.name == NOISE

    @property
    def fits(self) -> bool:
        return max(self.relative, self.others) <= TOLERANCE

    def __str__(self) -> str:
        height, width = self.size
        return (
            f'{self.name}, {height} x {width}: logits differ by at most {self.difference:.2g} '
            f'({self.relative:.2g} of their range), {self.others:.3%} of the labels differ'
        )


def export_format(
    kind: str, config: str | Path, checkpoint: str | Path, out: str | Path, labels: bool = False
) -> tuple[WholeNetwork, Run]:
    """Write an exported pair in another format.

    Args:
        kind: ``'onnx'``, ``'torch_export'`` or ``'torchscript'``.
        config: Plain config of the pair.
        checkpoint: Checkpoint of the pair.
        out: File to write.
        labels: True for labels in place of logits.

    Returns:
        The network in PyTorch, and a function that runs the file. Both compute logits
        (N, C, H, W), or labels (N, H, W), of normalised images (N, 3, H, W).

    Raises:
        ImportError: A package for ONNX is missing.
    """
    segmentor = init_model(str(config), str(checkpoint), device='cpu')
    if segmentor.test_cfg.get('mode', 'whole') != 'whole':
        warnings.warn(
            f'{config}: test_cfg.mode is {segmentor.test_cfg.mode!r}; the file computes whole '
            'images, and its user cuts windows',
            stacklevel=2,
        )
    network = WholeNetwork(segmentor, labels)
    normalisation = segmentor.cfg.model.data_preprocessor
    properties = {
        'classes': json.dumps((segmentor.dataset_meta or {}).get('classes')),
        'mean': json.dumps(normalisation.get('mean')),
        'std': json.dumps(normalisation.get('std')),
        'order': 'RGB' if normalisation.get('bgr_to_rgb') else 'BGR',
    }
    write, read = FORMATS[kind]
    with torch.no_grad(), atomic_write(out, keep=True) as partial, _quiet():
        write(network, partial, properties)
    return network, read(Path(out))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence progress lines of the exporter."""
    with open(os.devnull, 'w') as sink, redirect_stdout(sink):
        yield


@torch.no_grad()
def compare(network: WholeNetwork, run: Run, images: Iterator[Any]) -> Iterator[Comparison]:
    """Compare a file with PyTorch on images, and on parts of them, which have another size.

    Args:
        network: The network in PyTorch.
        run: Runs the file.
        images: As :func:`~mmseg_uda.stages.export.images.find_images` gives them; noise if there
            are none.
    """
    found = [(name, _normalise(network, sample)) for name, sample in images]
    found = found or [(NOISE, torch.randn(1, 3, 256, 320))]
    for name, whole in found:
        height, width = whole.shape[2] * 3 // 4, whole.shape[3] * 2 // 3
        for title, part in ((name, whole), (f'part of {name}', whole[..., :height, :width])):
            yield _compare(title, network, run, part.contiguous())


def _normalise(network: WholeNetwork, sample: Any) -> Tensor:
    batch = {'inputs': [sample['inputs']], 'data_samples': [sample['data_samples']]}
    return network.segmentor.data_preprocessor(batch, False)['inputs']


def _compare(name: str, network: WholeNetwork, run: Run, images: Tensor) -> Comparison:
    expected, got = network(images), run(images)
    difference = relative = 0.0
    if not network.labels:
        difference = float((expected - got).abs().max())
        relative = difference / max(float(expected.max() - expected.min()), 1e-12)
        expected, got = expected.argmax(1), got.argmax(1)
    others = float((expected != got).float().mean())
    return Comparison(name, (images.shape[2], images.shape[3]), difference, relative, others)
