"""SimCLRv2's weights under torchvision's names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import toys
from config_files import load
from mmengine.runner.checkpoint import CheckpointLoader
from mmseg.registry import MODELS
from torch import Tensor

TOOL = toys.load_script('tools/model_converters/simclrv2.py')
CONFIG = 'proda/proda_r101-deeplabv2gn_1xb4-62k_gta2cityscapes-896x512_stage2.py'


@pytest.fixture(scope='module')
def network() -> dict[str, Tensor]:
    """ResNet-101's tensors by torchvision's names, each with a value of its own."""
    backbone = load(CONFIG).model.segmentor.backbone
    with torch.device('meta'):
        shapes = MODELS.build(backbone).state_dict()
    return {
        key: torch.tensor(float(index)).expand(value.shape)
        for index, (key, value) in enumerate(shapes.items())
        if not key.endswith('num_batches_tracked')
    }


def published_name(key: str) -> str:
    """The name of SimCLRv2-Pytorch, whose blocks count convolutions and norms together."""
    layer, kind = key.rsplit('.', 1)
    if layer in ('conv1', 'bn1'):
        return f'net.0.{"0" if layer == "conv1" else "1.0"}.{kind}'
    stage, block, rest = layer.removeprefix('layer').split('.', 2)
    names = ['conv1', 'bn1', 'conv2', 'bn2', 'conv3', 'bn3']
    if rest in names:
        index = names.index(rest)
        rest = f'net.{index}' + ('.0' if index % 2 else '')
    else:
        rest = {'downsample.0': 'projection.shortcut', 'downsample.1': 'projection.bn.0'}[rest]
    return f'net.{stage}.blocks.{block}.{rest}.{kind}'


@pytest.mark.parametrize('published', [True, False])
def test_tensors_get_their_places(
    network: dict[str, Tensor], published: bool, tmp_path: Path, capsys: Any
) -> None:
    content: dict[str, Any] = dict(state_dict=network)
    if published:
        named = {published_name(key): value for key, value in network.items()}
        head = {'layers.0.weight': torch.ones(1)}
        content = dict(resnet={**named, 'fc.weight': torch.ones(1)}, head=head)
    torch.save(content, tmp_path / 'in.pth')
    TOOL.main([str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth')])
    assert f'{len(network)} tensors' in capsys.readouterr().out
    found = CheckpointLoader.load_checkpoint(str(tmp_path / 'out.pth'))['state_dict']
    assert found.keys() == network.keys()
    assert all(found[key].equal(value) for key, value in network.items())


def test_another_network(network: dict[str, Tensor], tmp_path: Path) -> None:
    key = 'layer3.22.conv2.weight'
    few = {published_name(name): value for name, value in network.items() if name != key}
    torch.save(dict(resnet=few), tmp_path / 'in.pth')
    with pytest.raises(
        ValueError, match=r'1 of \d+ tensors .* is layer3\.22\.conv2\.weight; write'
    ):
        TOOL.main([str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth')])
    assert not (tmp_path / 'out.pth').exists()
