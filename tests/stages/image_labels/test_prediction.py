"""The image-level stage: features, regression, and the file that PIT trains from."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import toys
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmseg.registry import MODELS
from PIL import Image
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.artifacts.image_labels import ImageLabels
from mmseg_uda.stages.image_labels import features, images, prediction
from mmseg_uda.stages.image_labels.prediction import (
    ImageLabelRecipe,
    count_image_labels,
    predict_image_labels,
)
from mmseg_uda.stages.image_labels.regression import fit_softmax, soft_cross_entropy

SIZE = (24, 16)  # width, height


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    return toys.runner_cfg(tmp_path / 'data', tmp_path / 'run', toys.method_cfg('pit'))


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.manual_seed(1)
    backbone = MODELS.build(toys.segmentor_cfg()['backbone'])
    state = {f'student.backbone.{key}': value for key, value in backbone.state_dict().items()}
    torch.save(dict(state_dict={**state, 'student.other': torch.zeros(1)}), tmp_path / 'net.pth')
    return str(tmp_path / 'net.pth')


@pytest.fixture
def recipe(weights: str) -> ImageLabelRecipe:
    return ImageLabelRecipe('config', weights, SIZE, epochs=4, lr=0.1)


def slow_features(weights: str, path: Path) -> Tensor:
    """Of one image, with mean and deviation of the toy segmentor."""
    backbone = MODELS.build(toys.segmentor_cfg()['backbone']).eval()
    state = torch.load(weights, weights_only=True)['state_dict']
    backbone.load_state_dict(
        {key[17:]: value for key, value in state.items() if key.startswith('student.backbone.')}
    )
    image = Image.fromarray(cv2.imread(str(path))).resize(SIZE, Image.BICUBIC)
    image = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    with torch.no_grad():
        return backbone((image[None] - 127) / 64)[0].mean((2, 3))[0]


def slow_shares(path: Path) -> Tensor:
    label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    counts = torch.tensor([float((label == index).sum()) for index in range(toys.NUM_CLASSES)])
    return counts / (label != 255).sum()


# ------------------------------------------------------------------------------------- regression


def test_regression_is_the_written_descent() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(5, 3), torch.rand(5, 4).softmax(1)
    options = dict(epochs=3, lr=0.3, momentum=0.8, decay=0.5, min_lr=0.1, batch_size=2)
    weight, bias = torch.zeros(4, 3), torch.zeros(4)
    speed = [torch.zeros(4, 3), torch.zeros(4)]
    generator = torch.Generator().manual_seed(7)
    for lr in (0.3, 0.15, 0.1):
        order = torch.randperm(5, generator=generator).tolist()
        for rows in (order[:2], order[2:4], order[4:]):
            gradient = [torch.zeros(4, 3), torch.zeros(4)]
            for row in rows:  # d/dz of -y log softmax z is p - y
                error = (weight @ x[row] + bias).softmax(0) - y[row]
                gradient[0] += torch.outer(error, x[row]) / len(rows)
                gradient[1] += error / len(rows)
            speed = [0.8 * old + new for old, new in zip(speed, gradient)]
            weight, bias = weight - lr * speed[0], bias - lr * speed[1]
    x, y = torch.cat([x, torch.ones(1, 3)]), torch.cat([y, torch.zeros(1, 4)])  # not labelled
    found = fit_softmax(x, y, seed=7, **options)
    assert_close((found.weight, found.bias), (weight, bias))
    assert_close(found.predict(x), (x @ weight.T + bias).softmax(1))
    for key, value in dict(
        epochs=2, lr=0.2, momentum=0.9, decay=0.6, min_lr=0.12, batch_size=3, seed=8
    ).items():
        other = fit_softmax(x, y, **{'seed': 7, **options, key: value})
        assert not torch.allclose(other.weight, weight, atol=1e-5), key
    with pytest.raises(ValueError, match='fit_softmax: no source image has a pixel with a class'):
        fit_softmax(x, 0 * y)


def test_cross_entropy_by_hand() -> None:
    shares = torch.tensor([[0.5, 0.5], [1, 0]])
    assert soft_cross_entropy(torch.tensor([[0.5, 0.5], [0.25, 0.75]]), shares) == pytest.approx(
        (np.log(2) + np.log(4)) / 2
    )


def test_regression_learns_shares() -> None:
    torch.manual_seed(0)
    x = torch.randn(200, 4)
    y = (x @ torch.randn(4, 3)).softmax(1)
    found = fit_softmax(x, y, lr=0.1)
    floor = soft_cross_entropy(y, y)
    assert soft_cross_entropy(found.predict(x), y) - floor < 0.01
    assert soft_cross_entropy(y.mean(0, True).expand_as(y), y) - floor > 0.2


# ------------------------------------------------------------------------------------- whole stage


def test_the_file_is_what_the_steps_say(
    cfg: Config,
    recipe: ImageLabelRecipe,
    tmp_path: Path,
) -> None:
    data, out = tmp_path / 'data', str(tmp_path / 'labels.npz')
    labels, metrics = predict_image_labels(cfg, out, recipe, workers=0)
    x, y, target = (
        torch.stack([function(*args) for args in zip(*each)])
        for function, *each in (
            (
                slow_features,
                [recipe.weights] * 5,
                [data / f'source/images/{i}.png' for i in range(5)],
            ),
            (slow_shares, [data / f'source/labels/{i}.png' for i in range(5)]),
            (
                slow_features,
                [recipe.weights] * 7,
                [data / f'target/images/{i}.png' for i in range(7)],
            ),
        )
    )
    regression = fit_softmax(x, y, epochs=4, lr=0.1)
    assert labels.names == [f'{i}.png' for i in range(7)]
    assert_close(torch.from_numpy(labels.labels), regression.predict(target), atol=1e-5, rtol=1e-4)
    assert metrics['cross entropy'] == pytest.approx(
        soft_cross_entropy(regression.predict(x), y), abs=1e-4
    )
    assert metrics['cross entropy of the mean'] == pytest.approx(
        soft_cross_entropy(y.mean(0, True).expand_as(y), y), abs=1e-4
    )
    written = ImageLabels.read(out)
    assert written.digest == labels.digest
    assert written.recipe['metrics'] == metrics
    assert_close(torch.tensor(written.recipe['source_mean']), y.mean(0))
    assert len(written.recipe['classes']) == written.num_classes
    assert written.kind == 'share'
    assert_close(torch.from_numpy(written.labels).sum(1), torch.ones(7))


def test_target_labels_are_not_read(cfg: Config, recipe: ImageLabelRecipe, tmp_path: Path) -> None:
    first, _ = predict_image_labels(cfg, str(tmp_path / 'a.npz'), recipe, 0)
    for path in (tmp_path / 'data/target/labels').iterdir():
        path.write_bytes(b'')
    again, _ = predict_image_labels(cfg, str(tmp_path / 'b.npz'), recipe, 0)
    assert again.digest == first.digest


def test_a_stopped_run_goes_on(
    cfg: Config, recipe: ImageLabelRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, 'SHARD', 2)
    whole, _ = predict_image_labels(cfg, str(tmp_path / 'whole.npz'), recipe, 0)
    out, passes, forward = tmp_path / 'labels.npz', [], features.FeatureNet.forward

    def counted(net: Any, images: Tensor) -> Tensor:
        passes.append(len(images))
        if len(passes) == 3:
            raise KeyboardInterrupt
        return forward(net, images)

    monkeypatch.setattr(features.FeatureNet, 'forward', counted)
    with pytest.raises(KeyboardInterrupt):
        predict_image_labels(cfg, str(out), recipe, 0)
    assert not out.exists()
    assert len(list((tmp_path / 'labels.npz_features').iterdir())) == 2
    again, _ = predict_image_labels(cfg, str(out), recipe, 0)
    assert passes == [2, 2, 1, 1, 2, 2, 2, 1]  # the third of them again
    assert again.digest == whole.digest
    # Another regression needs no pass; the same file, nothing at all.
    other, _ = predict_image_labels(
        cfg,
        str(out),
        ImageLabelRecipe('config', recipe.weights, SIZE, epochs=5, lr=0.1),
        0,
        overwrite=True,
    )
    assert other.digest != again.digest
    monkeypatch.setattr(prediction, 'fit_softmax', None)
    same, _ = predict_image_labels(
        cfg, str(out), ImageLabelRecipe('config', recipe.weights, SIZE, epochs=5, lr=0.1), 0
    )
    assert same.digest == other.digest
    assert len(passes) == 8
    with pytest.raises(
        ValueError,
        match=r"labels.npz' was made with other settings \(epochs: 5 -> 4\); write another path$",
    ):
        predict_image_labels(cfg, str(out), recipe, 0)


@pytest.mark.parametrize(
    'change',
    [dict(input_size=(48, 32)), dict(epochs=3), dict(lr=0.2), dict(batch_size=2), dict(seed=1)],
)
def test_every_setting_counts(
    change: dict[str, Any], cfg: Config, recipe: ImageLabelRecipe, tmp_path: Path
) -> None:
    first, _ = predict_image_labels(cfg, str(tmp_path / 'a.npz'), recipe, 0)
    other, _ = predict_image_labels(
        cfg, str(tmp_path / 'b.npz'), dataclasses.replace(recipe, **change), 0
    )
    assert not np.allclose(first.labels, other.labels, atol=1e-6)


def test_given_labels_are_counted(cfg: Config, tmp_path: Path) -> None:
    folder = tmp_path / 'data/target/labels'
    image = np.full(toys.SIZE, 2, np.uint8)
    image[0], image[1] = 255, 0
    cv2.imwrite(str(folder / '3.png'), image)
    shares = count_image_labels(cfg, str(tmp_path / 'share.npz'), 'share', 0)
    presence = count_image_labels(cfg, str(tmp_path / 'presence.npz'), workers=0)
    for i in range(7):
        expected = slow_shares(folder / f'{i}.png')
        assert_close(torch.from_numpy(shares.labels[i]), expected)
        assert presence.labels[i].tolist() == expected.gt(0).float().tolist()
    assert presence.labels[3].tolist() == [1, 0, 1, 0]
    assert (shares.kind, presence.kind) == ('share', 'presence')
    same = count_image_labels(cfg, str(tmp_path / 'presence.npz'), workers=0)
    assert same.digest == presence.digest
    with pytest.raises(ValueError, match='from_labels: .presence. -> .share.; kind: '):
        count_image_labels(cfg, str(tmp_path / 'presence.npz'), 'share', 0)
    with pytest.raises(ValueError, match=r"from_labels got 'count'; write one of \('share', "):
        count_image_labels(cfg, '', 'count')
    image[5] = 9
    cv2.imwrite(str(folder / '3.png'), image)
    with pytest.raises(ValueError, match=r'labels/3.png has the value 9; convert labels'):
        count_image_labels(cfg, str(tmp_path / 'wrong.npz'), workers=0)
    del cfg.train_dataloader.target.dataset.data_prefix['seg_map_path']
    with pytest.raises(
        ValueError,
        match='train_dataloader.target.dataset lists no labels; write data_prefix.seg_map_path',
    ):
        count_image_labels(cfg, str(tmp_path / 'wrong.npz'), workers=0)


# ------------------------------------------------------------------------------- wrong settings


def test_wrong_settings(cfg: Config, recipe: ImageLabelRecipe, tmp_path: Path) -> None:
    for change, message in (
        (dict(epochs=0), 'epochs: expected an integer of at least 1, but got 0'),
        (dict(lr=-1.0), r'lr: expected a number in \(0, inf\), but got -1.0'),
        (dict(batch_size=0), 'batch_size: expected an integer of at least 1, but got 0'),
        (dict(input_size=(3, 0)), 'input_size: expected an integer of at least 1, but got 0'),
    ):
        with pytest.raises(ValueError, match=f'train_image_labels.{message}'):
            ImageLabelRecipe(**change)
    with pytest.raises(FileNotFoundError, match="no file weights='none.pth'"):
        ImageLabelRecipe(weights='none.pth')
    with pytest.raises(
        ValueError,
        match=r'the source pipeline has no Resize with a scale; write '
        r'input_size \(--input-size WIDTH HEIGHT\)',
    ):
        predict_image_labels(cfg, 'x', ImageLabelRecipe('config', recipe.weights))
    cfg.train_dataloader.target.dataset.metainfo = dict(classes=('a',))
    with pytest.raises(ValueError, match='source.dataset has 4 classes and .* has 1'):
        predict_image_labels(cfg, 'x', recipe)
    cfg.train_dataloader.pop('target')
    with pytest.raises(ValueError, match='the config has no train_dataloader.target'):
        predict_image_labels(cfg, 'x', recipe)


def test_size_of_the_pipeline(cfg: Config, recipe: ImageLabelRecipe, tmp_path: Path) -> None:
    cfg.train_dataloader.source.dataset.pipeline.insert(2, dict(type='Resize', scale=SIZE))
    labels, _ = predict_image_labels(
        cfg,
        str(tmp_path / 'a.npz'),
        ImageLabelRecipe('config', recipe.weights, epochs=4, lr=0.1),
        0,
    )
    assert labels.recipe['input_size'] == list(SIZE)


def test_an_untrained_backbone_is_refused(cfg: Config, weights: str, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match='backbone.init_cfg names no pretrained weights; write '
        r'dict\(type=.Pretrained., checkpoint=...\), or name their file',
    ):
        features.build_feature_net('config', cfg)
    backbone = cfg.model.segmentor.backbone
    wide = Config(dict(model=dict(cfg.model.segmentor, backbone=dict(backbone, channels=4))))
    with pytest.raises(
        ValueError,
        match=r'net.pth: expected a checkpoint .*, but \d of \d tensors are '
        r'missing or of another shape, the first is stem.weight; .* checkpoint of ToyBackbone',
    ):
        features.build_feature_net('config', wide, weights)
    with pytest.raises(ValueError, match="features got 'vgg'; write 'timm:NAME', 'config', or"):
        features.build_feature_net('vgg', cfg)
    cfg.model.segmentor.pop('data_preprocessor')
    with pytest.raises(ValueError, match='model.data_preprocessor has no mean and std'):
        features.build_feature_net('config', cfg, weights)


@pytest.mark.parametrize('old', [True, False])
def test_pretrained_backbone_of_another_config(
    old: bool, cfg: Config, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = cfg.to_dict()['model']['segmentor']
    model['data_preprocessor']['bgr_to_rgb'] = True
    backbone = model['backbone'] if old else dict(type='VGG16FCN', fc_channels=4, init_cfg=None)
    torch.save(MODELS.build(backbone).state_dict(), tmp_path / 'vgg.pth')
    given = str(tmp_path / 'vgg.pth')
    model['pretrained' if old else 'backbone'] = (
        given if old else {**backbone, 'init_cfg': dict(type='Pretrained', checkpoint=given)}
    )
    (tmp_path / 'other.py').write_text(f'model = {model!r}')
    log, messages = MMLogger.get_current_instance(), []
    monkeypatch.setattr(log, 'handle', messages.append)
    net = features.build_feature_net(str(tmp_path / 'other.py'), cfg)
    log.info('after')
    assert [record.msg for record in messages if record.levelname == 'INFO'] == ['after']
    images = torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8)
    assert net(images).shape == (1, 8 if old else 4)  # fc7, not the empty map behind it
    assert not any(param.requires_grad for param in net.parameters())
    assert not net.training
    stored = torch.load(given, weights_only=True)
    assert all(value.equal(stored[key]) for key, value in net.network.state_dict().items())
    expected = net.network((images.flip(1).float() - 127) / 64)[0 if old else 2]
    assert_close(net(images), expected.mean((2, 3)))


# ------------------------------------------------------------------------------------------- timm


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A module of that name, and what it was asked for."""
    calls: list[Any] = []

    class Pooling(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.mean((2, 3))

    def create_model(name: str, **kwargs: Any) -> nn.Module:
        calls.append((name, kwargs))
        if name == 'unknown':
            raise RuntimeError('Unknown model')
        return Pooling()

    fake: Any = ModuleType('timm')
    fake.create_model = create_model
    fake.data = SimpleNamespace(
        resolve_data_config=lambda args, model: dict(
            input_size=(3, 16, 24), mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.2)
        )
    )
    monkeypatch.setitem(sys.modules, 'timm', fake)
    return calls


def test_timm(timm: list[Any], cfg: Config, tmp_path: Path) -> None:
    recipe = ImageLabelRecipe()
    labels, _ = predict_image_labels(cfg, str(tmp_path / 'labels.npz'), recipe, 0)
    assert timm == [('inception_resnet_v2', dict(pretrained=True, num_classes=0))]
    assert labels.recipe['features'] == 'timm:inception_resnet_v2'
    assert labels.recipe['input_size'] == [24, 16]
    weights = str(tmp_path / 'weights.pth')
    torch.save({}, weights)
    net = features.build_feature_net('timm:x', cfg, weights)
    assert timm[-1] == (
        'x',
        dict(pretrained=True, num_classes=0, pretrained_cfg_overlay=dict(file=weights)),
    )
    bgr = torch.tensor([51, 102, 255], dtype=torch.uint8)[:, None, None].expand(1, 3, 2, 2)
    assert_close(net(bgr), torch.tensor([[1.0, 0.0, -0.5]]))
    with pytest.raises(
        ValueError,
        match=r"timm cannot build 'unknown' with its weights "
        r'\[RuntimeError\] Unknown model; .* name their file \(--weights\)',
    ):
        features.build_feature_net('timm:unknown', cfg)


def test_timm_is_missing(monkeypatch: pytest.MonkeyPatch, cfg: Config) -> None:
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(
        ImportError,
        match="features='timm:inception_resnet_v2': expected timm, but got .*; run "
        "`pip install timm`, or write features='config'",
    ):
        predict_image_labels(cfg, 'labels.npz', ImageLabelRecipe())
