"""Methods that translate one image."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import toys
from mmengine.config import Config
from torch import nn
from torch.testing import assert_close

from mmseg_uda.stages.translation import TRANSLATORS, translate_folder
from mmseg_uda.stages.translation.translators import CycleGANTranslator, translate_tiles

SIZES = {'a/1.png': (20, 37), 'b.png': (33, 18), 'c.png': (24, 24)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of odd sizes, a config and a checkpoint."""
    rng = np.random.default_rng(0)
    for name, size in SIZES.items():
        for domain in ('source', 'target'):
            path = tmp_path / domain / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), rng.integers(40, 200, (*size, 3)).astype(np.uint8))
    model = toys.shaken('cyclegan')
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'cyclegan.pth')
    Config(dict(model=toys.CYCLEGAN)).dump(tmp_path / 'cyclegan.py')
    return tmp_path


def translate(folder: Path, out: str = 'out', **changes: Any) -> None:
    arguments = dict(
        method='cyclegan',
        config=str(folder / 'cyclegan.py'),
        checkpoint=str(folder / 'cyclegan.pth'),
    )
    translate_folder(str(folder / 'source'), None, str(folder / out), **{**arguments, **changes})


def pixels(folder: Path, out: str, name: str) -> np.ndarray:
    return cv2.imread(str(folder / out / 'images' / name))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob('*')) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_images_are_those_of_the_generator(folder: Path) -> None:
    translate(folder)
    generator = toys.shaken('cyclegan').generators['target'].eval()
    for name, size in SIZES.items():
        rgb = cv2.imread(str(folder / 'source' / name))[..., ::-1]
        image = torch.tensor(rgb.transpose(2, 0, 1)[None] / 127.5 - 1, dtype=torch.float32)
        with torch.no_grad():
            made = ((generator(image)[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        found = pixels(folder, 'out', name)
        assert found.shape == (*size, 3)
        np.testing.assert_allclose(found[..., ::-1], made, atol=1)


def test_images_are_resized_first(folder: Path) -> None:
    translate(folder, scale=(22, 14))
    assert {pixels(folder, 'out', name).shape for name in SIZES} == {(14, 22, 3)}


def test_large_tiles_change_nothing(folder: Path) -> None:
    translate(folder, 'whole')
    translate(folder, 'tiles', tile=40)
    translate(folder, 'small', tile=16)
    for name in SIZES:
        whole, large, small = (pixels(folder, out, name) for out in ('whole', 'tiles', 'small'))
        np.testing.assert_array_equal(large, whole)
        assert small.shape == whole.shape
        assert not np.array_equal(small, whole)


@pytest.mark.parametrize('size', [(562, 1024), (561, 1052), (16, 17), (40, 16)])
def test_tiles_cover_the_image(size: tuple[int, int]) -> None:
    """A network without context gives the image back, whatever the tiles."""
    image = torch.rand(1, 3, *size)
    assert_close(translate_tiles(nn.Identity(), image, 16 if size[0] < 99 else 400), image)


def test_processes_change_nothing(folder: Path) -> None:
    translate(folder, 'one')
    translate(folder, 'two', nproc=2)
    assert contents(folder / 'one') == contents(folder / 'two')


def test_killed_translation_resumes_to_the_same_bytes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    translate(folder, 'whole')
    original: Callable[..., Any] = CycleGANTranslator.__call__
    seen: list[int] = []

    def die(self: Any, *args: Any) -> Any:
        seen.append(0)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(CycleGANTranslator, '__call__', die)
    with pytest.raises(KeyboardInterrupt):
        translate(folder)
    assert sorted(os.listdir(folder / 'out/images')) == ['a']
    translate(folder)
    assert len(seen) == 2 + len(SIZES) - 1
    assert contents(folder / 'out') == contents(folder / 'whole')


def test_another_checkpoint_is_another_recipe(folder: Path) -> None:
    translate(folder)
    torch.save(toys.build('cyclegan').state_dict(), folder / 'cyclegan.pth')
    with pytest.raises(ValueError, match=r'made with other settings \(checkpoint: '):
        translate(folder)
    with pytest.raises(ValueError, match='scale: None -> '):
        translate(folder, scale=(8, 8))


def test_pooled_moments_are_those_of_all_images(folder: Path) -> None:
    for pooled in (False, True):
        translate_folder(
            str(folder / 'source'),
            str(folder / 'target'),
            str(folder / f'pooled-{pooled}'),
            method='reinhard',
            pooled=pooled,
        )
    styles = [cv2.imread(str(folder / 'target' / name)) for name in SIZES]
    # Each image counts the same, so that tiling them to one size keeps the moments.
    side = [
        np.concatenate([style.reshape(-1, 3)] * (10**6 // style[..., 0].size))[:500000]
        for style in styles
    ]
    joint = np.stack(side)
    made = TRANSLATORS['reinhard'](pooled=True).prepare(
        [str(folder / 'target' / name) for name in SIZES]
    )
    lab = cv2.cvtColor(joint.astype(np.float32) / 255, cv2.COLOR_BGR2LAB).reshape(-1, 3)
    np.testing.assert_allclose(made.pool, (lab.mean(0), lab.std(0)), atol=0.05)
    for name in SIZES:
        image = cv2.imread(str(folder / 'source' / name))
        np.testing.assert_array_equal(pixels(folder, 'pooled-True', name), made(image, None))
        assert not np.array_equal(pixels(folder, 'pooled-False', name), made(image, None))


@pytest.mark.parametrize('method', ['fda', 'reinhard', 'histogram'])
def test_methods_of_a_style_need_one(folder: Path, method: str) -> None:
    options = dict(beta=0.1) if method == 'fda' else {}
    with pytest.raises(ValueError, match='translate_folder.target: expected a directory, but got'):
        translate_folder(
            str(folder / 'source'), None, str(folder / 'out'), method=method, **options
        )
    assert not (folder / 'out').exists()


def test_wrong_arguments(folder: Path) -> None:
    for changes, match in (
        (dict(method='fourier'), 'expected a method, but got fourier; write one of fda, .*'),
        (dict(tile=8), 'CycleGANTranslator.tile: expected at least 16 pixels, but got 8'),
        (dict(scale=(8,)), r'CycleGANTranslator.scale: expected width and height, but got \(8,\)'),
    ):
        with pytest.raises(ValueError, match=match):
            translate(folder, **changes)
    target = str(folder / 'target')
    paths = dict(config=str(folder / 'cyclegan.py'), checkpoint=str(folder / 'cyclegan.pth'))
    with pytest.raises(ValueError, match='target: expected None, as cyclegan has learned the sty'):
        translate_folder(
            str(folder / 'source'), target, str(folder / 'out'), method='cyclegan', **paths
        )
    with pytest.raises(FileNotFoundError, match='there is no file .*gone.pth'):
        translate(folder, checkpoint=str(folder / 'gone.pth'))
    Config(dict(model=toys.method_cfg('source_only'))).dump(folder / 'other.py')
    with pytest.raises(ValueError, match="expected 'CycleGAN', but got 'SourceOnly'"):
        translate(folder, config=str(folder / 'other.py'))
    torch.save(toys.build('source_only').state_dict(), folder / 'other.pth')
    with pytest.raises(ValueError, match='CycleGANTranslator.checkpoint: expected a checkpoint'):
        translate(folder, checkpoint=str(folder / 'other.pth'))
    assert not (folder / 'out').exists()
    with pytest.raises(ValueError, match="space: expected one of .*, but got 'hsv'"):
        TRANSLATORS['reinhard'](space='hsv')
    with pytest.raises(ValueError, match="space: expected one of .*, but got 'hsv'"):
        TRANSLATORS['histogram'](space='hsv')
