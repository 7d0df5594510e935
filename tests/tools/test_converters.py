import errno
import json
import os
import re
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import toys
from mmseg.datasets import CityscapesDataset
from PIL import Image

TOOLS = Path(__file__).parents[2] / 'tools/dataset_converters'
CITYSCAPES = {
    7: 0,
    8: 1,
    11: 2,
    12: 3,
    13: 4,
    17: 5,
    19: 6,
    20: 7,
    21: 8,
    22: 9,
    23: 10,
    24: 11,
    25: 12,
    26: 13,
    27: 14,
    28: 15,
    31: 16,
    32: 17,
    33: 18,
}
# SYNTHIA's ids by Cityscapes' class names
SYNTHIA_NAMES = {
    1: 'sky',
    2: 'building',
    3: 'road',
    4: 'sidewalk',
    5: 'fence',
    6: 'vegetation',
    7: 'pole',
    8: 'car',
    9: 'traffic sign',
    10: 'person',
    11: 'bicycle',
    12: 'motorcycle',
    15: 'traffic light',
    16: 'terrain',
    17: 'rider',
    18: 'truck',
    19: 'bus',
    20: 'train',
    21: 'wall',
}


def convert(dataset, *argv):
    module = toys.load_script(TOOLS / f'{dataset}.py')
    return module.main([str(argument) for argument in argv])


def read(path):
    with Image.open(path) as image:
        assert image.mode == 'L'
        return np.asarray(image)


def write_image(path, shape):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', shape[::-1]).save(path)


def write_palette(path, ids):
    """A palette PNG whose colours have nothing to do with the ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids.astype(np.uint8)).convert('L')
    image = Image.frombytes('P', image.size, image.tobytes())
    image.putpalette([(37 * value) % 256 for value in range(768)])
    image.save(path)


def write_uint16(path, channels):
    """A 16-bit PNG written by hand: no library at hand writes two channels of 16 bits."""
    height, width, count = channels.shape
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in channels)

    def chunk(kind, data):
        checksum = struct.pack('>I', zlib.crc32(kind + data))
        return struct.pack('>I', len(data)) + kind + data + checksum

    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack('>IIBBBBB', width, height, 16, {2: 4, 3: 2}[count], 0, 0, 0)
    path.write_bytes(
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', header)
        + chunk(b'IDAT', zlib.compress(rows))
        + chunk(b'IEND', b'')
    )


@pytest.fixture
def gta(tmp_path):
    ids = np.arange(35).reshape(5, 7)
    for name in ('00001', '00002', '00003'):
        write_image(tmp_path / f'images/{name}.png', ids.shape)
        write_palette(tmp_path / f'labels/{name}.png', ids)
    return tmp_path


@pytest.mark.parametrize('nproc', [1, 2])
def test_gta(gta, nproc, capsys, monkeypatch):
    monkeypatch.setattr('mmseg_uda.utils.progress.PAUSE', 0.0)
    assert convert('gta', gta, '--nproc', nproc) == 0
    expected = [CITYSCAPES.get(index, 255) for index in range(35)]
    for name in ('00001', '00002', '00003'):
        assert read(gta / f'labels/{name}_labelTrainIds.png').flatten().tolist() == expected
    assert (gta / 'train.txt').read_text().split() == ['00001', '00002', '00003']
    statistics = json.loads((gta / 'class_stats_train.json').read_text())
    assert statistics['classes'][0] == 'road'
    assert statistics['ignore_index'] == 255
    assert statistics['totals'] == {**{str(index): 3 for index in range(19)}, '255': 3 * 16}
    assert statistics['images']['00002'] == {**{str(index): 1 for index in range(19)}, '255': 16}
    captured = capsys.readouterr()
    assert 'labels: 3 of 3' in captured.err
    assert '3 labels converted, 0 were already, 0 failed' in captured.out
    assert not list(gta.rglob('*.tmp'))


@pytest.mark.parametrize('channels', [2, 3])
def test_synthia(tmp_path, channels):
    ids = np.arange(23)
    pixels = np.full((1, 23, channels), 777)  # the other channels hold instance numbers
    pixels[0, :, 0] = ids
    write_uint16(tmp_path / 'GT/LABELS/0000000.png', pixels)
    write_image(tmp_path / 'RGB/0000000.png', (1, 23))
    assert convert('synthia', tmp_path, '--nproc', 1) == 0
    names = CityscapesDataset.METAINFO['classes']
    expected = [
        names.index(SYNTHIA_NAMES[index]) if index in SYNTHIA_NAMES else 255 for index in ids
    ]
    result = read(tmp_path / 'GT/LABELS/0000000_labelTrainIds.png')
    assert result[0].tolist() == expected


def test_cityscapes_by_split(tmp_path):
    ids = np.arange(34, dtype=np.uint8)[None]
    for path in ('train/ulm/ulm_0', 'val/bonn/bonn_0'):
        write_image(tmp_path / f'leftImg8bit/{path}_leftImg8bit.png', ids.shape)
        label = tmp_path / f'gtFine/{path}_gtFine_labelIds.png'
        label.parent.mkdir(parents=True)
        assert cv2.imwrite(str(label), ids)
    assert convert('cityscapes', tmp_path, '--nproc', 1) == 0
    result = read(tmp_path / 'gtFine/train/ulm/ulm_0_gtFine_labelTrainIds.png')
    assert result[0].tolist() == [CITYSCAPES.get(index, 255) for index in range(34)]
    assert (tmp_path / 'train.txt').read_text() == 'ulm/ulm_0\n'
    assert (tmp_path / 'val.txt').read_text() == 'bonn/bonn_0\n'
    statistics = json.loads((tmp_path / 'class_stats_val.json').read_text())
    assert list(statistics['images']) == ['bonn/bonn_0']


def truncate(path, ids):
    write_palette(path, ids)
    path.write_bytes(path.read_bytes()[:-30])


def colours(path, ids):
    write_image(path, ids.shape)


def other_size(path, ids):
    write_palette(path, ids[:, :-1])


def unknown_id(path, ids):
    write_palette(path, ids + 1)


@pytest.mark.parametrize(
    ('damage', 'reason'),
    [
        (truncate, ''),
        (colours, 'mode RGB; expected 8-bit palette or grey'),
        (other_size, 'is 6x5 pixels, but its image .* is 7x5'),
        (unknown_id, r'holds the id 35; known ids are 0\.\.34'),
        (lambda path, ids: path.write_text('no image'), 'cannot identify image file'),
        (lambda path, ids: path.write_bytes(b''), 'cannot identify image file'),
    ],
)
@pytest.mark.parametrize('nproc', [1, 2])
def test_bad_label_is_named_and_the_others_convert(gta, capsys, damage, reason, nproc):
    damage(gta / 'labels/00002.png', np.arange(35).reshape(5, 7))
    assert convert('gta', gta, '--nproc', nproc) == 1
    failed = [line for line in capsys.readouterr().err.splitlines() if line.startswith('failed')]
    assert len(failed) == 1
    assert re.search(f'labels/00002.png: .*{reason}', failed[0])
    assert sorted(path.name for path in gta.rglob('*_labelTrainIds.png')) == [
        '00001_labelTrainIds.png',
        '00003_labelTrainIds.png',
    ]
    assert (gta / 'train.txt').read_text().split() == ['00001', '00003']
    statistics = json.loads((gta / 'class_stats_train.json').read_text())
    assert list(statistics['images']) == ['00001', '00003']


@pytest.mark.parametrize('nproc', [1, 2])
def test_full_disk_ends_the_conversion(gta, monkeypatch, nproc):
    def fill(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'replace', fill)
    with pytest.raises(OSError, match=r"space left .*: '.*/00001_labelTrainIds\.png'"):
        convert('gta', gta, '--nproc', nproc)
    assert sorted(path.name for path in gta.iterdir()) == ['images', 'labels']
    assert not list(gta.rglob('*.tmp'))


def test_label_without_image_is_named(gta, capsys):
    (gta / 'images/00003.png').unlink()
    assert convert('gta', gta, '--nproc', 1) == 1
    assert 'labels/00003.png: has no image' in capsys.readouterr().err


def test_without_image_directory_sizes_are_not_checked(gta, capsys):
    assert convert('gta', gta, '--nproc', 1, '--img-dir', 'nowhere') == 0
    assert 'label sizes are not checked' in capsys.readouterr().out


def test_synthia_refuses_eight_bits_and_truncated_files(tmp_path, capsys):
    labels = tmp_path / 'GT/LABELS'
    noise = np.random.default_rng(0).integers(0, 23, (64, 64, 3))
    write_uint16(labels / 'good.png', noise)
    write_uint16(labels / 'short.png', noise)
    (labels / 'short.png').write_bytes((labels / 'short.png').read_bytes()[:-4000])
    write_image(labels / 'colours.png', (4, 4))
    assert convert('synthia', tmp_path, '--nproc', 1) == 1
    errors = capsys.readouterr().err
    assert 'colours.png: is a PNG of 3 x uint8; expected 2 or 3 x uint16' in errors
    assert 'short.png' in errors
    assert (tmp_path / 'train.txt').read_text() == 'good\n'


def test_resumed_run_skips_what_is_done_and_counts_all(gta, capsys):
    assert convert('gta', gta, '--nproc', 1) == 0
    complete = (gta / 'class_stats_train.json').read_text()
    done = gta / 'labels/00001_labelTrainIds.png'
    stamp = done.stat().st_mtime_ns
    (gta / 'labels/00002_labelTrainIds.png').unlink()
    (gta / 'labels/00003_labelTrainIds.png').write_bytes(b'half')
    (gta / 'class_stats_train.json').unlink()
    capsys.readouterr()
    assert convert('gta', gta, '--nproc', 1) == 0
    assert '2 labels converted, 1 were already, 0 failed' in capsys.readouterr().out
    assert done.stat().st_mtime_ns == stamp
    assert (gta / 'class_stats_train.json').read_text() == complete


@pytest.mark.parametrize(
    'other',
    [np.zeros((3, 4)), np.full((5, 7), 77), np.zeros((5, 7))],
    ids=['size', 'ids', 'labels'],
)
def test_files_with_other_train_ids_are_no_conversion(gta, capsys, other):
    output = gta / 'labels/00002_labelTrainIds.png'
    Image.fromarray(other.astype(np.uint8)).save(output)
    before = output.read_bytes()
    assert convert('gta', gta, '--nproc', 1) == 0
    assert '3 labels converted, 0 were already' in capsys.readouterr().out
    assert read(output).flatten().tolist() == [CITYSCAPES.get(index, 255) for index in range(35)]
    assert output.with_name(f'{output.name}.old-1').read_bytes() == before
    statistics = json.loads((gta / 'class_stats_train.json').read_text())
    assert list(statistics['totals']) == [*map(str, range(19)), '255']


def test_label_that_was_replaced_is_converted_again(gta, capsys):
    assert convert('gta', gta, '--nproc', 1) == 0
    label = gta / 'labels/00001.png'
    write_palette(label, np.full((5, 7), 7))
    os.utime(label, (0, 0))  # as from an archive
    assert convert('gta', gta, '--nproc', 1) == 0
    assert '1 labels converted, 2 were already' in capsys.readouterr().out.splitlines()[-1]
    assert not read(gta / 'labels/00001_labelTrainIds.png').any()


def test_labels_of_another_dataset_are_not_converted_already(gta, capsys):
    assert convert('gta', gta, '--nproc', 1) == 0
    assert convert('synthia', gta, '--gt-dir', 'labels', '--img-dir', 'images', '--nproc', 1) == 1
    captured = capsys.readouterr()
    assert '0 labels converted, 0 were already, 3 failed' in captured.out
    assert '00001.png: is a PNG of 3 x uint8; expected 2 or 3 x uint16' in captured.err


def test_overwrite_converts_again(gta, capsys):
    assert convert('gta', gta, '--nproc', 1) == 0
    write_palette(gta / 'labels/00001.png', np.full((5, 7), 7))
    assert convert('gta', gta, '--nproc', 1, '--overwrite') == 0
    assert '3 labels converted, 0 were already' in capsys.readouterr().out.splitlines()[-1]
    assert not read(gta / 'labels/00001_labelTrainIds.png').any()
    assert sorted(path.name for path in gta.rglob('*.old-*')) == [
        '00001_labelTrainIds.png.old-1',
        'class_stats_train.json.old-1',
    ]


def test_files_of_others_are_moved_aside(gta):
    (gta / 'train.txt').write_text('mine')
    write_image(gta / 'labels/00001_labelTrainIds.png', (5, 7))  # of three channels
    assert convert('gta', gta, '--nproc', 1) == 0
    assert (gta / 'train.txt.old-1').read_text() == 'mine'
    with Image.open(gta / 'labels/00001_labelTrainIds.png.old-1') as image:
        assert image.mode == 'RGB'


def test_out_dir_leaves_the_data_alone(gta, tmp_path_factory):
    out = tmp_path_factory.mktemp('out')
    before = sorted(gta.rglob('*'))
    assert convert('gta', gta, '-o', out, '--nproc', 1) == 0
    assert sorted(gta.rglob('*')) == before
    assert (out / 'labels/00001_labelTrainIds.png').is_file()
    assert (out / 'class_stats_train.json').is_file()


@pytest.mark.parametrize(
    ('out', 'gt_dir', 'flag'),
    [
        ('images', 'labels', '--img-dir'),
        ('labels', 'labels', '--gt-dir'),
        ('.', '.', '--img-dir'),
    ],
)
def test_output_where_data_are_read(gta, out, gt_dir, flag):
    before = sorted(gta.rglob('*'))
    with pytest.raises(ValueError, match=f'--out-dir: expected a place apart from {flag}='):
        convert('gta', gta, '-o', gta / out, '--gt-dir', gt_dir, '--overwrite')
    assert sorted(gta.rglob('*')) == before


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--gt-dir', 'nowhere'], '--gt-dir: expected a directory, but there is no'),
        (['--gt-dir', '/labels'], '--gt-dir: expected a path below data_root like labels, but got'),
        (['--gt-dir', '../labels'], '--gt-dir: expected a path below data_root like labels, but'),
        (['--gt-dir', 'empty'], '--gt-dir: expected names that end in .png, but'),
        (['--nproc', '0'], '--nproc: expected an integer from 1 on, but got 0'),
    ],
)
def test_wrong_command_line(gta, capsys, argv, message):
    (gta / 'empty').mkdir()
    with pytest.raises(SystemExit) as caught:
        convert('gta', gta, *argv)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_absolute_label_directory_is_refused(gta, tmp_path_factory, capsys):
    out = tmp_path_factory.mktemp('out')
    before = sorted(gta.rglob('*'))
    with pytest.raises(SystemExit):
        convert('gta', gta, '--gt-dir', gta / 'labels', '-o', out, '--nproc', 1)
    assert '--gt-dir: expected a path below data_root' in capsys.readouterr().err
    assert sorted(gta.rglob('*')) == before
    assert not [*out.iterdir()]
