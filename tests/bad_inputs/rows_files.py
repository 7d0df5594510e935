"""Damaged or foreign files of our own formats."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from bad_inputs.table import Change, Row

__all__ = ['ROWS']

TARGET = 'train_dataloader.target.dataset.pipeline.1'
PSEUDO = 'data/target/pseudo'
MANIFEST = f'{PSEUDO}/manifest.json'
LABELS = 'data/target/image_labels.npz'
ROUNDS = f'analysis_tools/show_pseudo_labels {PSEUDO} --config self.py --out out'
TRANSLATE = 'dataset_converters/translate fda data/source/images data/target/images out --beta 0.05'


def edited(**values: Any) -> Callable[[bytes], bytes]:
    """What changes keys of a JSON file; an Ellipsis removes one."""

    def edit(content: bytes) -> bytes:
        new = {**json.loads(content), **values}
        return json.dumps({key: new[key] for key in new if new[key] is not ...}).encode()

    return edit


def arrays(**values: Any) -> Callable[[bytes], bytes]:
    """What changes arrays of a ``.npz`` file; None removes one."""

    def edit(content: bytes) -> bytes:
        new = {**np.load(io.BytesIO(content)), **values}
        buffer = io.BytesIO()
        np.savez(buffer, **{key: value for key, value in new.items() if value is not None})
        return buffer.getvalue()

    return edit


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _pseudo(name: str, change: Change, line: str) -> Row:
    return Row(f'pseudo labels, {name}', ROUNDS, line, files={MANIFEST: change})


def _trained(name: str, change: Change, line: str, file: str) -> Row:
    return Row(f'pseudo labels, {name}', 'train self.py', line, files={file: change}, slow=True)


def _image(name: str, change: Change, line: str) -> Row:
    command = f'analysis_tools/image_label_quality {LABELS} {LABELS}'
    return Row(f'image labels, {name}', command, line, files={LABELS: change})


def _prior(name: str, change: Change, line: str) -> Row:
    values = {'model.mixer.prior': 'prior.npz'}
    files = {'prior.npz': change}
    return Row(f'prior, {name}', 'train teacher.py', line, values, 'teacher.py', files, slow=True)


def _translation(name: str, change: Change, line: str) -> Row:
    return Row(f'translation, {name}', TRANSLATE, line, files={'out/manifest.json': change})


def _state(name: str, change: Change, line: str) -> Row:
    command = 'run_pipeline all_pipeline.py --work-dir out --dry-run'
    return Row(f'state, {name}', command, line, files={'out/pipeline.json': change})


TRANSLATED = dict(format_version=1, recipe={}, recipe_sha256='', images=[], complete=True)
# fmt: off
ROWS = [
    _pseudo('no manifest', None, 'Manifest: no file data/target/pseudo/manifest.json; run tools/generate_pseudo_labels.py CONFIG CHECKPOINT --out-dir NEW_DIRECTORY'),
    _pseudo('truncated', half, 'Manifest: cannot read data/target/pseudo/manifest.json (JSONDecodeError: Unterminated string starting at: line 13 column 3 (char 175)); run tools/generate_pseudo_labels.py CONFIG CHECKPOINT --out-dir NEW_DIRECTORY'),
    _pseudo('empty manifest', '', 'Manifest: cannot read data/target/pseudo/manifest.json (JSONDecodeError: Expecting value: line 1 column 1 (char 0)); run tools/generate_pseudo_labels.py CONFIG CHECKPOINT --out-dir NEW_DIRECTORY'),
    _pseudo('list', '[]', 'Manifest: cannot read data/target/pseudo/manifest.json (ValueError: expected an object with keys, but got []); run tools/generate_pseudo_labels.py CONFIG CHECKPOINT --out-dir NEW_DIRECTORY'),
    _pseudo('version', edited(format_version=99), 'Manifest: cannot read data/target/pseudo/manifest.json (ValueError: expected format version 1, but got 99); run tools/generate_pseudo_labels.py CONFIG CHECKPOINT --out-dir NEW_DIRECTORY'),
    _pseudo('no version', edited(format_version=...), 'Manifest: cannot read data/target/pseudo/manifest.json (ValueError: expected format version 1, but got None); run tools/generate_pseudo_labels.py CONFIG CHECKPOINT --out-dir NEW_DIRECTORY'),
    _pseudo('missing key', edited(files=...), "Manifest: cannot read data/target/pseudo/manifest.json (ValueError: expected the key 'files', but got 'complete', 'digests', 'rule', 'num_classes', 'config_sha256', 'checkpoint_sha256', 'thresholds', 'predicted_pixels', 'kept_pixels', 'num_images', 'coverage', 'format_version', 'package_version'); run tools/generate_pseudo_labels.py CONFIG CHECKPOINT --out-dir NEW_DIRECTORY"),
    _pseudo('absolute name', edited(files=['/etc/passwd']), "data/target/pseudo/manifest.json: expected relative names without `..`, but got '/etc/passwd'; make the file again, or take one from somebody you trust"),
    _pseudo('name above', edited(files=['../images/0.png']), "data/target/pseudo/manifest.json: expected relative names without `..`, but got '../images/0.png'; make the file again, or take one from somebody you trust"),
    _pseudo('names that are numbers', edited(files=[1, 2]), 'data/target/pseudo/manifest.json: expected relative names without `..`, but got 1; make the file again, or take one from somebody you trust'),
    _pseudo('names that are no list', edited(files=3), 'Manifest: cannot read data/target/pseudo/manifest.json (TypeError: Value after * must be an iterable, not int); run tools/generate_pseudo_labels.py CONFIG CHECKPOINT --out-dir NEW_DIRECTORY'),
    _pseudo('incomplete', edited(complete=False), "Manifest: the labels in 'data/target/pseudo' are not complete; run tools/generate_pseudo_labels.py again to finish them"),
    _pseudo('other classes', edited(num_classes=19), "Manifest: expected labels of 4 classes, but 'data/target/pseudo' has labels of 19 classes; write num_classes=19 or generate the labels again"),
    _trained('other images', edited(files=['9.png']), "LoadPseudoLabels.pseudo_dir: expected a label of 'data/target/images/0.png', but the manifest of 'data/target/pseudo' lists none; run tools/generate_pseudo_labels.py on this dataset", MANIFEST),
    _trained('missing file', None, "LoadPseudoLabels.pseudo_dir: expected the file 'data/target/pseudo/1.png', which the manifest lists, but it does not exist; run tools/generate_pseudo_labels.py again", f'{PSEUDO}/1.png'),
    _trained('empty file', b'', "LoadPseudoLabels.pseudo_dir: expected a single-channel 8-bit image, but got 'data/target/pseudo/1.png'; generate it again", f'{PSEUDO}/1.png'),
    _trained('no directory', None, 'LoadPseudoLabels.pseudo_dir: Manifest: no file data/target/pseudo/manifest.json; run tools/generate_pseudo_labels.py CONFIG CHECKPOINT --out-dir NEW_DIRECTORY', PSEUDO),
    _image('missing', None, 'ImageLabels: no file data/target/image_labels.npz; run tools/train_image_labels.py CONFIG --out NEW_FILE'),
    _image('truncated', half, 'ImageLabels: cannot read data/target/image_labels.npz (BadZipFile: File is not a zip file); run tools/train_image_labels.py CONFIG --out NEW_FILE'),
    _image('text', 'labels', 'ImageLabels: cannot read data/target/image_labels.npz (ValueError: it is no archive of numbers and texts); run tools/train_image_labels.py CONFIG --out NEW_FILE'),
    _image('missing array', arrays(meta=None), "ImageLabels: cannot read data/target/image_labels.npz (KeyError: 'meta is not a file in the archive'); run tools/train_image_labels.py CONFIG --out NEW_FILE"),
    _image('other content', arrays(labels=np.zeros((7, 4), np.float32)), 'ImageLabels: cannot read data/target/image_labels.npz (ValueError: its content does not have the digest that it holds); run tools/train_image_labels.py CONFIG --out NEW_FILE'),
    _image('name above', arrays(names=np.array(['../0.png'] * 7)), 'ImageLabels: cannot read data/target/image_labels.npz (ValueError: its content does not have the digest that it holds); run tools/train_image_labels.py CONFIG --out NEW_FILE'),
    _image('shape', arrays(labels=np.zeros((2, 4), np.float32)), 'ImageLabels: cannot read data/target/image_labels.npz (ValueError: ImageLabels.labels: expected shape (7, C), one row per name, but got (2, 4)); run tools/train_image_labels.py CONFIG --out NEW_FILE'),
    _image('pickled names', arrays(names=np.array(['0.png'] * 7, dtype=object)), 'ImageLabels: cannot read data/target/image_labels.npz (ValueError: it is no archive of numbers and texts); run tools/train_image_labels.py CONFIG --out NEW_FILE'),
    _prior('truncated', half, 'ContextMix.prior: SpatialPrior: cannot read prior.npz (BadZipFile: File is not a zip file); run tools/spatial_prior.py CONFIG NEW_FILE'),
    _prior('text', 'prior', 'ContextMix.prior: SpatialPrior: cannot read prior.npz (ValueError: it is no archive of numbers and texts); run tools/spatial_prior.py CONFIG NEW_FILE'),
    _prior('missing array', arrays(recipe=None), "ContextMix.prior: SpatialPrior: cannot read prior.npz (KeyError: 'recipe is not a file in the archive'); run tools/spatial_prior.py CONFIG NEW_FILE"),
    _prior('recipe that is no JSON', arrays(recipe='{'), 'ContextMix.prior: SpatialPrior: cannot read prior.npz (JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)); run tools/spatial_prior.py CONFIG NEW_FILE'),
    _prior('other content', arrays(prior=np.zeros((4, 32, 48), np.float32)), 'ContextMix.prior: SpatialPrior: cannot read prior.npz (ValueError: its content does not have the digest that it holds); run tools/spatial_prior.py CONFIG NEW_FILE'),
    _translation('truncated', '{"format', 'TranslationManifest: cannot read out/manifest.json (JSONDecodeError: Unterminated string starting at: line 1 column 2 (char 1)); write another directory'),
    _translation('version', json.dumps(dict(TRANSLATED, format_version=99)), 'TranslationManifest: cannot read out/manifest.json (ValueError: expected format version 1, but got 99); write another directory'),
    _translation('missing key', json.dumps(dict(format_version=1)), "TranslationManifest: cannot read out/manifest.json (ValueError: expected the key 'recipe', but got 'format_version'); write another directory"),
    _translation('name above', json.dumps(dict(TRANSLATED, images=[dict(image='../a.png', label=None, style='b.png')])), "out/manifest.json: expected relative names without `..`, but got '../a.png'; make the file again, or take one from somebody you trust"),
    _translation('entries of a wrong type', json.dumps(dict(TRANSLATED, images=['a.png'])), "TranslationManifest: cannot read out/manifest.json (TypeError: string indices must be integers, not 'str'); write another directory"),
    _translation('another recipe', json.dumps(TRANSLATED), "translate_folder.out: 'out' was made with other settings (beta: None -> 0.05; image_suffix: None -> '.png' and 4 more); write another path"),
    Row('translation, files of others', TRANSLATE, "translate_folder.out got 'out', which has the file 'thesis.txt' that no manifest.json lists; write another directory", files={'out/thesis.txt': 'thesis'}),
    _state('truncated', '{"format', 'State: cannot read out/pipeline.json (JSONDecodeError: Unterminated string starting at: line 1 column 2 (char 1)); rename it: stages whose directories are whole are recognised'),
    _state('version', json.dumps(dict(format_version=99, stages={})), 'State: cannot read out/pipeline.json (ValueError: expected format version 1, but got 99); rename it: stages whose directories are whole are recognised'),
    _state('missing key', json.dumps(dict(format_version=1)), "State: cannot read out/pipeline.json (ValueError: expected the key 'stages', but got 'format_version'); rename it: stages whose directories are whole are recognised"),
    _state('key of another version', json.dumps(dict(format_version=1, stages=dict(first=dict(type='train', extra=1)))), "State: cannot read out/pipeline.json (TypeError: StageRecord.__init__() got an unexpected keyword argument 'extra'); rename it: stages whose directories are whole are recognised"),
    _state('name above', json.dumps(dict(format_version=1, stages=dict(first=dict(type='train', outputs=dict(output='../a.pth'))))), "out/pipeline.json: expected relative names without `..`, but got '../a.pth'; make the file again, or take one from somebody you trust"),
    Row('report, no result', 'analysis_tools/report log.json', "report: cannot read log.json (ValueError: expected the key 'points', but got 'step'); write results of tools/benchmark.py", files={'log.json': '{"step": 1}'}),
    Row('curves, no JSON', 'analysis_tools/plot_curves log.json', 'RunLog: expected lines of JSON with a step, but got none in log.json; write the work_dir of a run', files={'log.json': 'loss 3'}),
    Row('curves, no such key', 'analysis_tools/plot_curves log.json --keys mIuO', "plot_curves: expected the key 'mIuO' in log.json, but got none; write 'mIoU'", files={'log.json': '{"step": 1, "mIoU": 2.0}\n'}),
    Row('quality, no prediction', f'analysis_tools/image_label_quality {LABELS} {LABELS}', "image_label_quality: expected predictions in 'data/target/image_labels.npz', but got none; write a file that tools/train_image_labels.py predicted"),
    Row('quality, missing file', f'analysis_tools/image_label_quality none.npz {LABELS}', 'ImageLabels: no file none.npz; run tools/train_image_labels.py CONFIG --out NEW_FILE'),
    Row('rounds, no manifest', 'analysis_tools/show_pseudo_labels data/source --config self.py --out out', 'Manifest: no file data/source/manifest.json; run tools/generate_pseudo_labels.py CONFIG CHECKPOINT --out-dir NEW_DIRECTORY'),
]
# fmt: on
