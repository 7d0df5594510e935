"""Predictions of videos, whole ones and others."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import toys
from predicting import labels

from mmseg_uda.apis import predict
from mmseg_uda.stages.prediction.frames import Frames
from mmseg_uda.stages.prediction.video import Video

CODECS = {'avi': 'MJPG', 'mp4': 'mp4v', 'mov': 'mp4v', 'mkv': 'MJPG', 'webm': 'VP80'}
RATE = 10


def write_video(path: Path, count: int = 30) -> Path:
    """Write frames of noise, which no codec makes small."""
    codec = cv2.VideoWriter_fourcc(*CODECS[path.suffix[1:]])
    writer = cv2.VideoWriter(str(path), codec, RATE, (48, 32))
    if not writer.isOpened():
        pytest.skip(f'this OpenCV writes no {path.suffix}')
    rng = np.random.default_rng(0)
    for _ in range(count):
        writer.write(rng.integers(0, 255, (32, 48, 3), dtype=np.uint8))
    writer.release()
    return path


def read(path: Path) -> tuple[int, list[str]]:
    """Number of frames, and what is reported as lost."""
    frames = Frames(str(path))
    return len(list(frames.share(0, 1))), frames.failed


def test_predicts_frames(root: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / 'drive.avi', 3)
    predict(root / 'work/iter_1.pth', path, tmp_path / 'out', device='cpu', batch_size=2)
    found = labels(tmp_path / 'out')
    assert list(found) == ['frame_000000.png', 'frame_000001.png', 'frame_000002.png']
    assert found['frame_000001.png'].shape == (32, 48)


@pytest.mark.parametrize('suffix', CODECS)
def test_whole_videos(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f'drive.{suffix}')
    assert read(path) == (30, [])
    frames = Frames(str(path))
    assert [name for name, _ in frames.share(1, 2)][:2] == ['frame_000001.png', 'frame_000003.png']
    assert not frames.failed


@pytest.mark.parametrize('suffix', ['avi', 'mkv', 'webm'])
def test_cut_videos(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f'drive.{suffix}')
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    count, (failed,) = read(path)
    assert 0 < count < 20
    expected = '30' if suffix == 'avi' else 'about 30'
    assert failed.startswith(f'{path}: expected {expected} frames, but could read {count}; ')
    frames = Frames(str(path))
    list(frames.share(1, 2))
    assert not frames.failed  # the first process reports


@pytest.mark.parametrize('suffix', ['avi', 'mp4'])
def test_videos_with_a_hole(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f'drive.{suffix}')
    content = bytearray(path.read_bytes())
    size = len(content)
    content[size * 4 // 10 : size * 6 // 10] = bytes(size * 6 // 10 - size * 4 // 10)
    path.write_bytes(content)
    count, failed = read(path)
    about, trimmed = ('', '') if suffix == 'avi' else ('about ', ', unless it was trimmed')
    assert failed == [
        f'{path}: expected {about}30 frames, but could read {count}; the file is cut or damaged, '
        f'copy it again{trimmed}'
    ]


def test_frames_that_fail_to_decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / 'drive.avi', 3)
    decode = Video.decode
    monkeypatch.setattr(Video, 'decode', lambda self: decode(self) if self.found != 2 else None)
    assert read(path) == (2, [f'{path}: frame_000001.png cannot be decoded'])


def test_a_cut_video_is_not_complete(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_video(tmp_path / 'drive.avi', 6)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    tool = toys.load_script('tools/predict.py')
    words = [str(root / 'work/iter_1.pth'), str(path), str(tmp_path / 'out'), '--device', 'cpu']
    for _ in range(2):
        assert tool.main(words) == 1
        assert f'left out: {path}: expected 6 frames, but could read ' in capsys.readouterr().err
        assert not json.loads((tmp_path / 'out/manifest.json').read_text())['complete']
    assert labels(tmp_path / 'out')


def test_videos_without_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'drive.avi', 3)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b'movi') + 4])
    with pytest.raises(ValueError, match="video with frames, but got none in '.*; copy it again"):
        Frames(str(path))
