"""ONNX, ``torch.export`` and TorchScript files of exported pairs."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import toys
from exported_pairs import NETWORKS, export

from mmseg_uda.stages.export.formats import (
    Comparison,
    WholeNetwork,
    compare,
    export_format,
)
from mmseg_uda.stages.export.images import find_images

SLOW = pytest.mark.slow


def load_tool() -> Any:
    return toys.load_script('tools/export_segmentor.py')


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    export(tmp_path / 'pair', 'deeplab')
    return tmp_path / 'pair'


def test_output_has_the_size_of_the_images(pair: Path) -> None:
    """TorchScript, of another size than that which was traced."""
    network, run = export_format('torchscript', pair / 'config.py', pair / 'a.pth', pair / 'a.pt')
    images = torch.randn(1, 3, 37, 50)
    assert run(images).shape == (1, toys.NUM_CLASSES, 37, 50)
    assert not any(module.training for module in network.modules())  # or the exporter warns
    found = list(compare(network, run, find_images(pair / 'config.py')))
    assert [each.name for each in found] == ['0.png', 'part of 0.png', '3.png', 'part of 3.png']
    assert found[1].size == (24, 32)
    assert all(each.fits for each in found)
    files = {'mean': '', 'order': '', 'classes': ''}
    torch.jit.load(str(pair / 'a.pt'), _extra_files=files)
    assert json.loads(files['mean']) == [127.0] * 3
    assert files['order'] in ('BGR', b'BGR')
    assert json.loads(files['classes']) == list('abcd')


def test_labels(pair: Path) -> None:
    config, checkpoint = pair / 'config.py', pair / 'a.pth'
    network, run = export_format('torchscript', config, checkpoint, pair / 'a.pt', labels=True)
    images = torch.randn(2, 3, *toys.SIZE)
    logits = WholeNetwork(network.segmentor)(images)
    assert run(images).equal(logits.argmax(1))
    assert all(each.difference == 0 for each in compare(network, run, iter(())))


def test_a_difference_is_seen(pair: Path, monkeypatch: Any, capsys: Any) -> None:
    network = WholeNetwork(torch.nn.Module())
    monkeypatch.setattr(WholeNetwork, 'forward', lambda self, images: images)
    (whole, part) = compare(network, lambda images: images.flip(1), iter(()))
    assert whole.is_noise
    assert part.size == (192, 213)
    assert whole.others > 0.5
    assert not whole.fits
    fine = Comparison('0.png', (4, 5), 2e-6, 1e-7, 0.0)
    assert fine.fits
    assert str(fine) == (
        '0.png, 4 x 5: logits differ by at most 2e-06 (1e-07 of their range), 0.000% of the labels '
        'differ'
    )


def test_missing_packages(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmseg_uda.stages.export.formats.find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r"run pip install 'mmseg_uda\[onnx\]'"):
        export_format('onnx', pair / 'config.py', pair / 'a.pth', pair / 'a.onnx')
    assert not (pair / 'a.onnx').exists()


def test_extras_are_imported_lazily(monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []
    own = builtins.__import__

    def watch(name: str, *args: Any, **kwargs: Any) -> Any:
        imported.append(name)
        return own(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', watch)
    toys.load_script('mmseg_uda/stages/export/formats.py')
    assert 'torch' in imported
    assert not {'onnx', 'onnxruntime', 'onnxscript'} & set(imported)


def test_images(pair: Path, tmp_path: Path) -> None:
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='--images: expected a directory of images, but'):
        list(find_images(pair / 'config.py', tmp_path / 'empty'))
    given = list(find_images(pair / 'config.py', tmp_path / 'data' / 'source' / 'images'))
    assert [name for name, _ in given] == ['0.png', '2.png']
    assert given[0][1]['inputs'].shape == (3, *toys.SIZE)


def test_tool_prints_the_comparison(pair: Path, capsys: Any) -> None:
    config = pair / 'method.py'
    cfg = toys.runner_cfg(
        pair.parent / 'data', pair, dict(type='SourceOnly', segmentor=NETWORKS['deeplab'])
    )
    cfg.dump(config)
    out = [str(pair / name) for name in ('b.pth', 'b.py', 'b.pt')]
    argv = [str(pair / 'method.pth'), out[0], '--config', str(config), '--out-config', out[1]]
    assert load_tool().main([*argv, '--torchscript', out[2]]) == 0
    said = capsys.readouterr().out
    assert 'note: Stock mmseg lacks CeilPoolResNet, DeepLabV2Head: the config imports' in said
    assert (
        f'wrote {out[2]}: logits of normalised images\n  against PyTorch\n  0.png, 32 x 48' in said
    )
    with pytest.raises(SystemExit):
        load_tool().main([*argv[:2], '--onnx', 'a.onnx'])


@SLOW
@pytest.mark.parametrize('kind', ['onnx', 'torch_export'])
@pytest.mark.parametrize('name', NETWORKS)
def test_formats(name: str, kind: str, tmp_path: Path) -> None:
    """Every network of this package, on images of two sizes."""
    if kind == 'onnx':
        for package in ('onnx', 'onnxscript', 'onnxruntime'):
            pytest.importorskip(package)
    pair = tmp_path / name
    export(pair, name)
    network, run = export_format(kind, pair / 'config.py', pair / 'a.pth', pair / 'a.out')
    found = list(compare(network, run, iter(())))  # FCN-8s has a smallest size
    assert len({each.size for each in found}) == 2
    assert all(each.fits for each in found), '\n'.join(map(str, found))
    assert run(torch.randn(3, 3, 64, 40)).shape == (3, toys.NUM_CLASSES, 64, 40)
