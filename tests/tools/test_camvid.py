"""CamVid's drives become the two domains of the small benchmarks."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import toys
from mmseg.datasets import CityscapesDataset

# Ids of SegNet's authors, by the names of Cityscapes' classes.
NAMES = [
    'sky', 'building', 'pole', 'road', 'sidewalk', 'vegetation', 'traffic sign', 'fence', 'car',
    'person', 'rider'
]  # fmt: skip
FRAMES = {
    'train': ['0006R0_f00930', '0016E5_00390', '0016E5_07957', '0001TP_006690', '0001TP_006720'],
    'val': ['0016E5_07959', '0016E5_08159'],
    'test': ['0016E5_08161', 'Seq05VD_f00000', '0001TP_010380'],
}


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return toys.load_script('tools/dataset_converters/camvid.py')


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Frames of 6x4 pixels; each label has all ids, twice."""
    ids = np.arange(24, dtype=np.uint8).reshape(4, 6) % 12
    image = np.full((4, 6, 3), 90, np.uint8)
    for split, names in FRAMES.items():
        for directory, pixels in ((split, image), (f'{split}annot', ids)):
            (tmp_path / 'CamVid' / directory).mkdir(parents=True)
            for name in names:
                cv2.imwrite(str(tmp_path / 'CamVid' / directory / f'{name}.png'), pixels)
    return tmp_path / 'CamVid'


def run(tool: ModuleType, source: Path, out: Path) -> int:
    return tool.main([str(source), str(out), '--nproc', '1'])


def test_domains_and_classes(tool: ModuleType, source: Path, tmp_path: Path) -> None:
    out = tmp_path / 'data'
    assert run(tool, source, out) == 0
    found = sorted(str(path.relative_to(out)) for path in out.rglob('*.jpg'))
    assert found == [
        'camvid_day/images/train/0006R0_f00930.jpg',
        'camvid_day/images/train/0016E5_00390.jpg',
        'camvid_day/images/train/0016E5_07957.jpg',
        'camvid_day/images/train/0016E5_08161.jpg',  # after the burst
        'camvid_day/images/val/Seq05VD_f00000.jpg',
        'camvid_dusk/images/train/0001TP_006690.jpg',
        'camvid_dusk/images/val/0001TP_006720.jpg',
        'camvid_dusk/images/val/0001TP_010380.jpg',
    ]
    labels = sorted(out.rglob('*.png'))
    assert [path.stem for path in labels] == [Path(each).stem for each in found]
    classes = CityscapesDataset.METAINFO['classes']
    label = cv2.imread(str(labels[0]), cv2.IMREAD_UNCHANGED).reshape(2, 12)
    assert (label[0] == label[1]).all()
    assert [classes[each] for each in label[0, :-1]] == NAMES
    assert label[0, -1] == 255
    before = {path: path.stat().st_mtime_ns for path in out.rglob('*.*')}
    assert run(tool, source, out) == 0
    assert {path.name for path in out.rglob('*.*')} == {path.name for path in before}


def test_damaged_and_missing_files_are_named(
    tool: ModuleType, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / 'trainannot/0006R0_f00930.png').write_bytes(b'x')
    (source / 'testannot/Seq05VD_f00000.png').unlink()
    cv2.imwrite(str(source / 'train/0016E5_00390.png'), np.zeros((5, 6, 3), np.uint8))
    assert run(tool, source, tmp_path / 'data') == 1
    errors = capsys.readouterr().err
    for name in ('0006R0_f00930.png', 'Seq05VD_f00000.png', '0016E5_00390.png'):
        assert name in errors
    assert len([*(tmp_path / 'data').rglob('*.jpg')]) == 5


def test_wrong_directories(tool: ModuleType, source: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='expected images 0006R0_.*has none'):
        run(tool, tmp_path, tmp_path / 'data')
    mine = tmp_path / 'data/camvid_day/images/train/0006R0_f00930.jpg'
    mine.parent.mkdir(parents=True)
    mine.write_text('mine')
    assert run(tool, source, tmp_path / 'data') == 0
    assert 'mine' in [path.read_text('latin-1') for path in mine.parent.iterdir()]  # moved aside
