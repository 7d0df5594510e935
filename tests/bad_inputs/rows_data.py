"""Wrong images, labels and lists."""

from __future__ import annotations

import cv2
import numpy as np
import toys
from bad_inputs.table import Change, Row

__all__ = ['ROWS', 'png']

SOURCE = 'train_dataloader.source.dataset'
LABEL, IMAGE = 'data/source/labels/1.png', 'data/source/images/1.png'
PRIOR = 'spatial_prior config.py new.npz --size 32 48 --workers 0'
VALIDATE = {'train_cfg.val_interval': 1, 'train_cfg.val_begin': 0}


def png(*shape: int, value: int = 0, dtype: type = np.uint8) -> bytes:
    """An image of one value."""
    return cv2.imencode('.png', np.full(shape or toys.SIZE, value, dtype))[1].tobytes()


def colour_label(content: bytes) -> bytes:
    """A label whose classes are painted."""
    label = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return cv2.imencode('.png', np.dstack([label * 60, label, 255 - label]))[1].tobytes()


def cut(content: bytes) -> bytes:
    """A file that a broken download left."""
    return content[:60]


def _row(name: str, files: dict[str, Change], line: str, **options: object) -> Row:
    return Row(f'data, {name}', 'train config.py', line, files=files, slow=True, **options)


# fmt: off
ROWS = [
    _row('label of another size', {LABEL: png(31, 48)}, "BaseSegDataset: train_dataloader.source.dataset: expected a label of 48 x 32 pixels (width x height), the size of 'data/source/images/1.png', but got 48 x 31 in 'data/source/labels/1.png'"),
    _row('colour label', {LABEL: colour_label}, "BaseSegDataset: train_dataloader.source.dataset: expected a label of one channel and 8 bits, but got 'data/source/labels/1.png' of Pillow mode 'RGB'; convert it to train ids (tools/dataset_converters), or write a transform of your own that loads it"),
    _row('label of 16 bits', {LABEL: png(value=256, dtype=np.uint16)}, "BaseSegDataset: train_dataloader.source.dataset: expected a label of one channel and 8 bits, but got 'data/source/labels/1.png' of Pillow mode 'I;16'; convert it to train ids (tools/dataset_converters), or write a transform of your own that loads it"),
    _row('label with an unknown id', {LABEL: png(value=17)}, "BaseSegDataset: train_dataloader.source.dataset: expected labels 0..3, its classes, or 255, which is ignored, but got the value 17 in ...'data/source/labels/1.png'...train ids (tools/dataset_converters), or write metainfo=dict(classes=...)"),
    _row('empty label file', {LABEL: b''}, "OSError: BaseSegDataset: expected readable files, but got the sample with img_path=data/source/images/1.png, seg_map_path=data/source/labels/1.png: expected a file with content, but got the empty file 'data/source/labels/1.png'", code=1),
    _row('broken label file', {LABEL: cut}, 'OSError: BaseSegDataset: expected readable files, but got the sample with img_path=data/source/images/1.png, seg_map_path=data/source/labels/1.png: image file is truncated', code=1),
    _row('label that is text', {LABEL: 'road'}, 'OSError: BaseSegDataset: expected readable files, but got the sample with img_path=data/source/images/1.png, seg_map_path=data/source/labels/1.png: cannot identify image file', code=1),
    _row('missing label', {LABEL: None}, "BaseSegDataset: expected the file 'data/source/labels/1.png', which train_dataloader.source.dataset lists (seg_map_path), but it does not exist; tools/dataset_converters writes the labels of GTA5, SYNTHIA and Cityscapes; an `ann_file` leaves out samples without a label"),
    _row('empty image file', {IMAGE: b''}, "OSError: BaseSegDataset: expected readable files, but got the sample with img_path=data/source/images/1.png, seg_map_path=data/source/labels/1.png: expected a file with content, but got the empty file 'data/source/images/1.png'", code=1),
    _row('broken image file', {IMAGE: cut}, 'OSError: BaseSegDataset: expected readable files, but got the sample with img_path=data/source/images/1.png, seg_map_path=data/source/labels/1.png: failed to load image: data/source/images/1.png', code=1),
    _row('image that is a web page', {IMAGE: '<html></html>'}, 'OSError: BaseSegDataset: expected readable files, but got the sample with img_path=data/source/images/1.png, seg_map_path=data/source/labels/1.png: failed to load image: data/source/images/1.png', code=1),
    _row('image that is a pointer of Git LFS', {IMAGE: 'version https://git-lfs.github.com/spec/v1\n'}, 'OSError: BaseSegDataset: expected readable files, but got the sample with img_path=data/source/images/1.png, seg_map_path=data/source/labels/1.png: failed to load image: data/source/images/1.png', code=1),
    _row('empty target image file', {'data/target/images/1.png': b''}, "OSError: BaseSegDataset: expected readable files, but got the sample with img_path=data/target/images/1.png, seg_map_path=data/target/labels/1.png: expected a file with content, but got the empty file 'data/target/images/1.png'", code=1),
    _row('broken image read by a worker', {IMAGE: cut}, 'OSError: BaseSegDataset: expected readable files, but got the sample with img_path=data/source/images/1.png, seg_map_path=data/source/labels/1.png: failed to load image: data/source/images/1.png', values={'train_dataloader.source.num_workers': 1}, code=1),
    _row('no images', {'data/source/images': None}, "BaseSegDataset: expected a directory in train_dataloader.source.dataset.data_prefix.img_path, but got 'data/source/images'; set `data_root`, or the environment variable MMSEG_UDA_DATA that the configs read, or correct `data_prefix`"),
    _row('no labels', {'data/source/labels': None}, "BaseSegDataset: expected a directory in train_dataloader.source.dataset.data_prefix.seg_map_path, but got 'data/source/labels'; set `data_root`, or the environment variable MMSEG_UDA_DATA that the configs read, or correct `data_prefix`; tools/dataset_converters writes the labels of GTA5, SYNTHIA and Cityscapes"),
    _row('no root', {'data/source': None}, "BaseSegDataset: expected a directory in train_dataloader.source.dataset.data_prefix.img_path, but got 'data/source/images'; set `data_root`, or the environment variable MMSEG_UDA_DATA that the configs read, or correct `data_prefix`"),
    _row('hidden images alone', {**{f'data/source/images/{i}.png': None for i in range(5)}, 'data/source/images/.0.png': png()}, "BaseSegDataset: expected files that end in '.png' in train_dataloader.source.dataset.data_prefix.img_path, but got 'data/source/images' without any; correct `data_prefix.img_path` or `img_suffix`"),
    _row('another suffix', {}, "BaseSegDataset: expected files that end in '.jpg' in train_dataloader.source.dataset.data_prefix.img_path, but got 'data/source/images' without any; correct `data_prefix.img_path` or `img_suffix`", values={f'{SOURCE}.img_suffix': '.jpg'}),
    _row('another suffix of labels', {}, "BaseSegDataset: expected the file 'data/source/labels/0_labelTrainIds.png', which train_dataloader.source.dataset lists (seg_map_path), but it does not exist; tools/dataset_converters writes the labels of GTA5, SYNTHIA and Cityscapes; an `ann_file` leaves out samples without a label", values={f'{SOURCE}.seg_map_suffix': '_labelTrainIds.png'}),
    _row('directory with a slip', {}, "BaseSegDataset: expected a directory in train_dataloader.source.dataset.data_prefix.img_path, but got 'data/source/image'; set `data_root`, or the environment variable MMSEG_UDA_DATA that the configs read, or correct `data_prefix`", values={f'{SOURCE}.data_prefix.img_path': 'image'}),
    _row('no list', {}, "BaseSegDataset: expected a list of samples in train_dataloader.source.dataset.ann_file, but got 'data/source/train.txt', which does not exist; set `data_root`, or the environment variable MMSEG_UDA_DATA that the configs read, run the dataset's converter in tools/dataset_converters, which writes this list, or write ann_file='' to use all images", values={f'{SOURCE}.ann_file': 'train.txt'}),
    _row('empty list', {'data/source/train.txt': ''}, "BaseSegDataset: expected a list of samples in train_dataloader.source.dataset.ann_file, but got 'data/source/train.txt', which is empty; set `data_root`, or the environment variable MMSEG_UDA_DATA that the configs read, run the dataset's converter in tools/dataset_converters, which writes this list, or write ann_file='' to use all images", values={f'{SOURCE}.ann_file': 'train.txt'}),
    _row('list with a blank line', {'data/source/train.txt': '0\n\n1\n'}, "train_dataloader.source.dataset.ann_file: expected a name in each line, but got 'data/source/train.txt, line 2, without one'", values={f'{SOURCE}.ann_file': 'train.txt'}),
    _row('list of names with suffix', {'data/source/train.txt': '0.png\n1.png\n'}, "BaseSegDataset: expected the file 'data/source/images/0.png.png', which train_dataloader.source.dataset lists (img_path), but it does not exist; correct `data_prefix.img_path` or `ann_file`", values={f'{SOURCE}.ann_file': 'train.txt'}),
    _row('list of pairs', {'data/source/train.txt': 'images/0.png labels/0.png\n'}, "BaseSegDataset: expected the file 'data/source/images/images/0.png labels/0.png.png', which train_dataloader.source.dataset lists (img_path), but it does not exist; correct `data_prefix.img_path` or `ann_file`", values={f'{SOURCE}.ann_file': 'train.txt'}),
    _row('list of a missing image', {'data/source/train.txt': '0\n9\n'}, "BaseSegDataset: expected the file 'data/source/images/9.png', which train_dataloader.source.dataset lists (img_path), but it does not exist; correct `data_prefix.img_path` or `ann_file`", values={f'{SOURCE}.ann_file': 'train.txt'}),
    _row('list that is binary', {'data/source/train.txt': b'\xff\xfe0\x00\n\x00'}, "train_dataloader.source.dataset.ann_file: expected a text file, but got 'data/source/train.txt'", values={f'{SOURCE}.ann_file': 'train.txt'}),
    _row('validation label of another size', {'data/target/labels/1.png': png(31, 48)}, "BaseSegDataset: val_dataloader.dataset: expected a label of 48 x 32 pixels (width x height), the size of 'data/target/images/1.png', but got 48 x 31 in 'data/target/labels/1.png'", values=VALIDATE),
    _row('colour label in validation', {'data/target/labels/1.png': colour_label}, "BaseSegDataset: val_dataloader.dataset: expected a label of one channel and 8 bits, but got 'data/target/labels/1.png' of Pillow mode 'RGB'; convert it to train ids (tools/dataset_converters), or write a transform of your own that loads it", values=VALIDATE),
    _row('missing validation label', {'data/target/labels/1.png': None}, "BaseSegDataset: expected the file 'data/target/labels/1.png', which train_dataloader.target.dataset lists (seg_map_path), but it does not exist; tools/dataset_converters writes the labels of GTA5, SYNTHIA and Cityscapes; an `ann_file` leaves out samples without a label", values=VALIDATE),
    _row('empty validation image', {'data/target/images/1.png': b''}, "OSError: expected a file with content, but got the empty file 'data/target/images/1.png'", values=VALIDATE, code=1),
    Row('data, colour label of a prior', PRIOR, "BaseSegDataset: train_dataloader.source.dataset: expected a label of one channel and 8 bits, but got 'data/source/labels/1.png' of Pillow mode 'RGB'; convert it to train ids (tools/dataset_converters), or write a transform of your own that loads it", files={LABEL: colour_label}),
    Row('data, empty label of a prior', PRIOR, "OSError in the sample data/source/images/1.png, data/source/labels/1.png: expected a file with content, but got the empty file 'data/source/labels/1.png'", files={LABEL: b''}, code=1),
    Row('data, unknown id in a prior', PRIOR, "train_dataloader.source.dataset: expected labels below 4 or 255, but got 17 in 'data/source/labels/1.png'; convert them to train ids with tools/dataset_converters", files={LABEL: png(value=17)}),
    Row('data, missing labels of a prior', PRIOR, "BaseSegDataset: expected a directory in train_dataloader.source.dataset.data_prefix.seg_map_path, but got 'data/source/labels'; set `data_root`, or the environment variable MMSEG_UDA_DATA that the configs read, or correct `data_prefix`; tools/dataset_converters writes the labels of GTA5, SYNTHIA and Cityscapes", files={'data/source/labels': None}),
    Row('data, empty image to label', 'generate_pseudo_labels config.py model.pth --out-dir out', "OSError: expected a file with content, but got the empty file 'data/target/images/1.png'", files={'data/target/images/1.png': b''}, code=1, slow=True),
    Row('data, broken image of AdaBN', 'adabn config.py model.pth out.pth --num-workers 0', 'failed to load image: data/target/images/...', files={f'data/target/images/{i}.png': cut for i in range(7)}, code=1),
    Row('data, empty image to translate', 'dataset_converters/translate fda data/source/images data/target/images out --beta 0.05', "OSError: translate_folder: expected images that can be read, but 1 of ... cannot, the first: expected a file with content, but got the empty file 'data/source/images/1.png'; replace or remove them", files={IMAGE: b''}, code=1),
    Row('data, broken style', 'dataset_converters/translate fda data/source/images data/target/images out --beta 0.05', "OSError: translate_folder: expected images that can be read, but ... cannot, the first: translate_folder cannot read the image 'data/target/images/...'; replace or remove them", files={f'data/target/images/{i}.png': cut for i in range(7)}, code=1),
    Row('data, empty label to convert', 'dataset_converters/gta data/source --nproc 1', "failed: data/source/labels/1.png: cannot identify image file 'data/source/labels/1.png'", files={LABEL: b''}, code=1),
    Row('data, colour label to convert', 'dataset_converters/gta data/source --nproc 1', 'failed: data/source/labels/1.png: is a PNG of mode RGB; expected 8-bit palette or grey', files={LABEL: colour_label}, code=1),
    Row('data, unknown id to convert', 'dataset_converters/gta data/source --nproc 1', 'failed: data/source/labels/1.png: holds the id 99; known ids are 0..34', files={LABEL: png(value=99)}, code=1),
    Row('data, label of 8 bits for SYNTHIA', 'dataset_converters/synthia data/source --gt-dir labels --nproc 1', 'failed: data/source/labels/0.png: is a PNG of 1 x uint8; expected 2 or 3 x uint16', files={f'data/source/labels/{i}.png': None for i in range(1, 5)}, code=1),
    Row('data, no label to convert', 'dataset_converters/cityscapes data/source --gt-dir labels', '--gt-dir: expected names that end in _labels_labelIds.png, but data/source/labels has none'),
]
# fmt: on
