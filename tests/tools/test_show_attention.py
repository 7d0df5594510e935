"""The picture of attention maps."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from toys import (
    METAINFO,
    NUM_CLASSES,
    attended_cfg,
    attention_head_cfg,
    load_script,
    method_cfg,
    optim_wrapper_cfg,
    runner_cfg,
    segmentor_cfg,
)

from mmseg_uda.models.class_attention import class_attention
from mmseg_uda.stages.show import attention
from mmseg_uda.utils.drawing import label_to_color, outline_similar
from mmseg_uda.utils.heat_maps import heat_over, limits_of
from mmseg_uda.utils.palettes import legend_of
from mmseg_uda.utils.sheets import in_rows


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return load_script('tools/analysis_tools/show_attention.py')


def prepare(tmp_path: Path, model: dict[str, Any]) -> Config:
    """A config and a checkpoint; gives the command line's first words."""
    cfg = runner_cfg(tmp_path, tmp_path / 'work', method_cfg('source_only'))
    cfg.model, cfg.optim_wrapper = model, optim_wrapper_cfg(model)
    if 'segmentor' not in model:  # a stock model, on one domain
        cfg.train_cfg.type = 'IterBasedTrainLoop'
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='Resize', scale=(96, 64)))
    cfg.dump(tmp_path / 'config.py')
    torch.manual_seed(2)
    built = MODELS.build(model)
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    torch.save(dict(state_dict=built.state_dict()), tmp_path / 'a.pth')
    return cfg


def run(tool: ModuleType, tmp_path: Path, *flags: str) -> np.ndarray:
    tool.main(
        [
            str(tmp_path / 'config.py'),
            str(tmp_path / 'a.pth'),
            '--out',
            str(tmp_path / 'out/x.png'),
            '--device',
            'cpu',
            '--cell-width',
            '120',
            *flags,
        ]
    )
    assert [path.name for path in (tmp_path / 'out').glob('*.png')] == ['x.png']
    return cv2.imread(str(tmp_path / 'out/x.png'))


def test_draws(
    tool: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prepare(tmp_path, method_cfg('cdanet'))
    seen = {}
    monkeypatch.setattr(
        attention,
        'point_rows',
        lambda *args, draw=attention.point_rows: (
            seen.update(zip(('source', 'target', 'points', 'maps'), args)),
            draw(*args),
        )[1],
    )
    first = run(tool, tmp_path)
    assert '4 points' in capsys.readouterr().out
    # Six pictures in two rows of three.
    assert first.shape == (6 + 2 * (22 + 80 + 6), 3 * 126 + 6, 3)
    assert seen['source'].shape == (32, 48, 3)
    assert seen['target'].shape == (64, 96, 3)
    assert seen['maps'].shape == (4, 8, 12)
    np.testing.assert_allclose(seen['maps'].sum((1, 2)), np.ones(4), rtol=1e-5)

    paths = [str(tmp_path / domain / 'images/2.png') for domain in ('source', 'target')]
    run(tool, tmp_path, '--source', paths[0], '--target', paths[1], '--points', '0,0', '47,31')
    np.testing.assert_array_equal(seen['source'][..., ::-1], cv2.imread(paths[0]))
    assert seen['points'] == [(1, 1), (95, 63)]
    model = MODELS.build(method_cfg('cdanet'))
    model.load_state_dict(torch.load(tmp_path / 'a.pth', weights_only=True)['state_dict'])
    model.eval()
    images = {
        name: torch.from_numpy(seen[name][..., ::-1].copy()).permute(2, 0, 1)
        for name in ('source', 'target')
    }
    with torch.no_grad():
        features = [
            model.extract_feat(
                getattr(model.data_preprocessor, name)(dict(inputs=[image]), False)['inputs']
            )
            for name, image in images.items()
        ]
        maps = model.decode_head.attention_maps(*features, torch.tensor([0, 16 * 24 - 1]))
    torch.testing.assert_close(seen['maps'], maps[0], rtol=1e-5, atol=0)


def test_marks_points_and_maps(tool: ModuleType) -> None:
    target, source = np.zeros((40, 60, 3), np.uint8), np.full((20, 30, 3), 90, np.uint8)
    marked = attention.mark_points(target, [(10, 20), (50, 5)])
    assert marked[20, 10].any()
    assert marked[5, 50].any()
    assert not marked[35:, :].any()
    assert not target.any()
    maps = torch.zeros(1, 4, 6)
    maps[0, 1, 4] = 1
    panel = attention.tile_panel(attention.point_rows(source, target, [(10, 20)], maps), 60)
    third = panel[-46:-6, -66:-6].astype(int)  # the attention's picture, 60 x 40
    colour = third[..., 1] - third[..., 2]  # yellow, where the rest is grey or violet
    y, x = np.unravel_index(colour.argmax(), third.shape[:2])
    assert (y // 10, x // 10) == (1, 4)


def test_plain_segmentor(tool: ModuleType, tmp_path: Path) -> None:
    cfg = prepare(tmp_path, segmentor_cfg(attention_head_cfg(channel_weight=None)))
    assert run(tool, tmp_path, '--points', '3,4').size
    cfg.pop('train_dataloader')
    cfg.dump(tmp_path / 'config.py')
    with pytest.raises(
        ValueError, match=r'expected train_dataloader.source in the config, but got'
    ):
        run(tool, tmp_path)


SAM = dict(
    type='SelfAttentionLoss',
    allow_untrained=True,
    self_attention=dict(type='SelfAttentionModule', in_channels=NUM_CLASSES),
    domains=['source'],
)
MODELS_BY_KIND = dict(
    classes=method_cfg('source_only', regularizers=dict(sam=SAM)),
    plain_classes=method_cfg('source_only'),
    discriminator=method_cfg('dast'),
    discriminator_stock=attended_cfg(),
)


def load(tmp_path: Path, kind: str, index: int) -> tuple[Any, torch.Tensor, np.ndarray, np.ndarray]:
    """Model, network input, image as RGB, and ground truth of the test split."""
    model = MODELS.build(MODELS_BY_KIND[kind]).eval()
    model.load_state_dict(torch.load(tmp_path / 'a.pth', weights_only=True)['state_dict'])
    image = cv2.resize(cv2.imread(str(tmp_path / f'target/images/{index}.png')), (96, 64))
    truth = cv2.imread(str(tmp_path / f'target/labels/{index}.png'), cv2.IMREAD_UNCHANGED)
    preprocessor = getattr(model.data_preprocessor, 'target', model.data_preprocessor)
    data = dict(inputs=[torch.from_numpy(image.transpose(2, 0, 1))])
    return model, preprocessor(data, False)['inputs'], image[..., ::-1], truth


def paint(label: np.ndarray) -> np.ndarray:
    palette = METAINFO['palette']
    return outline_similar(label_to_color(label, palette), label, palette)


def legend_height(width: int) -> int:
    return legend_of(range(NUM_CLASSES), METAINFO['classes'], METAINFO['palette'], width).shape[0]


def cells(panel: np.ndarray, row: int) -> list[np.ndarray]:
    top = 28 + row * (64 + 28)
    return [panel[top : top + 64, left : left + 96] for left in range(6, panel.shape[1], 102)]


@pytest.mark.parametrize('kind', ['classes', 'plain_classes'])
@torch.no_grad()
def test_classes(tool: ModuleType, tmp_path: Path, kind: str) -> None:
    prepare(tmp_path, MODELS_BY_KIND[kind])
    flags = ['--kind', kind] if kind == 'plain_classes' else []
    panel = run(tool, tmp_path, '--cell-width', '96', '--images', '2', *flags)[..., ::-1]
    row = 0
    for index in range(2):
        model, inputs, image, truth = load(tmp_path, kind, index)
        view = class_attention(model, inputs, plain=kind == 'plain_classes')
        assert len(view.classes) > 1
        points = [
            (4 * (position % 24) + 2, 4 * (position // 24) + 2)
            for position in view.positions.tolist()
        ]
        label = model.encode_decode(inputs, [dict(img_shape=(64, 96))]).argmax(1)[0].numpy()
        shown = cells(panel, row)
        np.testing.assert_array_equal(shown[0], attention.mark_points(image, points))
        np.testing.assert_array_equal(shown[1], paint(label))
        colors = paint(truth)
        np.testing.assert_array_equal(
            shown[2], cv2.resize(colors, (96, 64), interpolation=cv2.INTER_NEAREST)
        )
        lengths = [len(each) for each in in_rows(view.classes, 3)]
        tiles = [
            tile
            for extra, length in enumerate(lengths, 1)
            for tile in cells(panel, row + extra)[:length]
        ]
        for tile, values in zip(tiles, view.maps, strict=True):
            heat = heat_over(image, cv2.resize(values.numpy(), (96, 64)), 0, 1)
            np.testing.assert_array_equal(tile, heat)
        row += 1 + (len(view.classes) + 2) // 3
    assert panel.shape[0] == 6 + row * (64 + 28) + legend_height(panel.shape[1])


@torch.no_grad()
def test_plain_points(tool: ModuleType, tmp_path: Path) -> None:
    """Figure E.4: ReLU of the cosine of logits, of two models, and of one-hot labels."""
    other = tmp_path / 'other'
    other.mkdir()
    prepare(other, MODELS_BY_KIND['plain_classes'])
    prepare(tmp_path, MODELS_BY_KIND['classes'])
    path = tmp_path / 'target/labels/0.png'
    truth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    truth[:8, :8] = 255
    cv2.imwrite(str(path), truth)
    points = [(2, 1), (40, 20)]  # of 48x32 pixels; the first has no label
    panel = run(
        tool,
        tmp_path,
        *('--kind', 'plain_points', '--cell-width', '96', '--points', '2,1', '40,20'),
        *('--compare', str(other / 'config.py'), str(other / 'a.pth')),
    )[..., ::-1]
    image = load(tmp_path, 'classes', 0)[2]
    np.testing.assert_array_equal(
        cells(panel, 0)[0],
        attention.mark_points(image, [(2 * x + 1, 2 * y + 1) for x, y in points]),
    )
    for row, (x, y) in enumerate(points, 1):
        expected = []
        for folder, kind in ((tmp_path, 'classes'), (other, 'plain_classes')):
            model, inputs, _, _ = load(folder, kind, 0)
            logits = model.decode_head(model.extract_feat(inputs))[0]  # (C, 16, 24)
            height, width = logits.shape[1:]
            own = logits[:, int((y + 0.5) * height / 32), int((x + 0.5) * width / 48)]
            cosine = torch.cosine_similarity(logits, own[:, None, None], dim=0)
            expected.append(cosine.relu().numpy())
        small = cv2.resize(truth, (width, height), interpolation=cv2.INTER_NEAREST)
        own = small[int((y + 0.5) * height / 32), int((x + 0.5) * width / 48)]
        expected.append(((small == own) & (own != 255)).astype(np.float32))
        assert bool(expected[-1].any()) == (row == 2)
        shown = cells(panel, row)
        assert len(shown) == 3
        for tile, values in zip(shown, expected):
            drawn = heat_over(image, cv2.resize(values, (96, 64)), 0, 1)
            assert np.abs(tile.astype(int) - drawn).max() <= 1


@pytest.mark.parametrize('kind', ['discriminator', 'discriminator_stock'])
@torch.no_grad()
def test_discriminator(tool: ModuleType, tmp_path: Path, kind: str) -> None:
    prepare(tmp_path, MODELS_BY_KIND[kind])
    panel = run(tool, tmp_path, '--cell-width', '96', '--images', '3')[..., ::-1]
    assert panel.shape == (6 + 3 * 92 + legend_height(6 + 4 * 102), 6 + 4 * 102, 3)
    for index in range(3):
        model, inputs, image, _ = load(tmp_path, kind, index)
        segmentor = getattr(model, 'student', model)
        values = segmentor.attention.attention_map(segmentor, inputs)[0].numpy()
        label = model.encode_decode(inputs, [dict(img_shape=(64, 96))]).argmax(1)[0].numpy()
        shown = cells(panel, index)
        np.testing.assert_array_equal(shown[0], image)
        stretched = cv2.resize(values, (96, 64))
        drawn = heat_over(image, stretched, *limits_of(stretched))
        np.testing.assert_array_equal(shown[1], drawn)
        np.testing.assert_array_equal(shown[2], paint(label))
    paths = [str(tmp_path / f'target/images/{index}.png') for index in (2, 1)]
    named = run(tool, tmp_path, '--cell-width', '96', '--target', *paths)[..., ::-1]
    for row, index in enumerate((2, 1)):  # images of one's own have no ground truth
        for column in range(3):
            np.testing.assert_array_equal(cells(named, row)[column], cells(panel, index)[column])
    assert named.shape[1] == 6 + 3 * 102


def test_errors(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path, method_cfg('cdanet'))
    with pytest.raises(
        ValueError, match="points: expected pixels of an image of 48x32, but got '48,0'"
    ):
        run(tool, tmp_path, '--points', '48,0')
    with pytest.raises(
        FileNotFoundError, match="load_images.paths: expected image files, but got 'none.png'"
    ):
        run(tool, tmp_path, '--source', 'none.png')
    with pytest.raises(SystemExit):
        run(tool, tmp_path, '--points', '1;2')
    assert "got '1;2'; write x,y in pixels" in capsys.readouterr().err
    torch.save(dict(state_dict={}), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='of this method or of its segmentor, but'):
        run(tool, tmp_path)
    prepare(tmp_path, segmentor_cfg(attention_head_cfg(spatial_weight=None)))
    with pytest.raises(ValueError, match='spatial_weight: expected a number, .* but got None'):
        run(tool, tmp_path)
    torch.save(dict(state_dict={}), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='a.pth: .* 15 of 15 tensors are missing'):
        run(tool, tmp_path)
    prepare(tmp_path, segmentor_cfg())
    with pytest.raises(
        TypeError,
        match='of some kind, but got DeepLabV2Head without; write .* or --kind plain_classes',
    ):
        run(tool, tmp_path)
    prepare(tmp_path, method_cfg('dast'))
    with pytest.raises(TypeError, match='attention of classes, but got .* without; .* or --kind d'):
        run(tool, tmp_path, '--kind', 'classes')
    prepare(tmp_path, method_cfg('cdanet'))
    with pytest.raises(
        ValueError, match='one target image for --kind points, but got 2; write one'
    ):
        run(tool, tmp_path, '--images', '2')
    with pytest.raises(SystemExit):
        run(tool, tmp_path, '--compare', 'a.py', 'a.pth')
    assert '--compare got --kind None; write --kind plain_points' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(tool, tmp_path, '--images', '0')
    assert '--images: expected an integer from 1 on, but got 0' in capsys.readouterr().err
    with pytest.raises(ValueError, match='expected test_dataloader in the config, but got none'):
        attention.load_targets(dict(test_dataloader=None), None, 1)
    assert not (tmp_path / 'out').exists()
