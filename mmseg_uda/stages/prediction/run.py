"""Predictions on disk: labels, overlays and confidences under the names of the images."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.dist import all_gather_object, barrier, get_dist_info
from mmengine.logging import print_log
from PIL import Image

from mmseg_uda.artifacts.digest import digest_config, digest_path
from mmseg_uda.artifacts.files import MANIFEST_NAME, atomic_write
from mmseg_uda.artifacts.outputs import check_directory, check_output
from mmseg_uda.artifacts.predictions import PredictionManifest
from mmseg_uda.artifacts.recipe import raise_differences
from mmseg_uda.config.reads import read_paths
from mmseg_uda.stages.prediction.frames import Frames
from mmseg_uda.stages.prediction.predictor import Prediction, Predictor
from mmseg_uda.utils.arguments import check_choice, check_integer
from mmseg_uda.utils.drawing import label_to_color, outline_similar, overlay
from mmseg_uda.utils.heat_maps import color_bar, heat_over
from mmseg_uda.utils.palettes import legend_of
from mmseg_uda.utils.processes import on_main
from mmseg_uda.utils.progress import Progress

__all__ = ['IDS', 'PredictOptions', 'run_prediction']

IDS = ('own', 'train')
LABELS, OVERLAYS, CONFIDENCE = 'labels', 'overlays', 'confidence'
CONFIDENCE_OVERLAYS = 'confidence_overlays'
SHARE_OF_COLOUR = 0.55


class PredictOptions(NamedTuple):
    """The files that are written, and their form.

    Args:
        overlays: Write each image with the classes painted over it, and a legend.
        confidence: Write maps of the label's probability, 0 to 255 for 0 to 1; with ``overlays``
            also painted over each image.
        ids: Values of the labels: ``'own'``, those of the dataset's files, where the config maps
            them, or ``'train'``, 0, 1 and so on.
        batch_size: Images in one pass, if neighbours have one size.
        onnx: Exported file that computes in place of the checkpoint.
    """

    overlays: bool = True
    confidence: bool = False
    ids: str = 'own'
    batch_size: int = 1
    onnx: str | None = None


def run_prediction(
    cfg: Config,
    checkpoint: str,
    source: str,
    out: str,
    device: str = 'cpu',
    options: PredictOptions | None = None,
) -> list[str]:
    """Predict an image, a directory or a video; a second run goes on where the first one stopped.

    ``out/labels``, ``out/overlays``, ``out/confidence`` and ``out/confidence_overlays`` have the
    names of the images. All processes of a run call this, and share the images. A damaged image is
    reported and left out, and so is what a damaged video has lost; an image that is newer than its
    prediction is predicted again. Files that others have changed since are moved aside.

    Args:
        cfg: Config of the checkpoint.
        checkpoint: File of its weights.
        source: An image, a directory, with all that is below it, or a video.
        out: Directory to write.
        device: Device that computes.
        options: What is written.

    Returns:
        Descriptions of the images that could not be read.

    Raises:
        FileNotFoundError: There is no such file or directory.
        ValueError: An option is unknown, ``out`` is a file, is where something is that is read here
            or in a training, or holds the predictions of other settings.
    """
    options = options or PredictOptions()
    check_choice('--ids', options.ids, IDS)
    check_integer('--batch-size', options.batch_size, 1)
    frames = Frames(source)
    _check_out(out, source, cfg, checkpoint, options)
    predictor = Predictor(cfg, checkpoint, device, options.onnx)
    manifest = on_main(lambda: _open(out, _recipe(cfg, checkpoint, frames, options)))
    writer = _Writer(predictor, Path(out), options, manifest.digests)
    mine, failed = writer.write_all(frames)
    files = {name: new for part in all_gather_object(mine) for name, new in part.items()}
    failed = [line for part in all_gather_object(failed) for line in part]
    barrier()
    manifest.files = sorted({*manifest.files, *files})
    # A file that was there already keeps its digest: it may have been corrected by hand since.
    manifest.digests.update({name: digest for name, digest in files.items() if digest})
    manifest.complete = not failed  # or the next run tries again
    on_main(lambda: manifest.write(out))
    return failed


def _check_out(
    out: str, source: str, cfg: Config, checkpoint: str, options: PredictOptions
) -> None:
    """Refuse a directory from which this, or a training by the same config, reads."""
    named = {'--config': cfg.filename, '--onnx': options.onnx}
    files = [(key, path) for key, path in named.items() if path]
    reads = [('INPUT', source), ('CHECKPOINT', checkpoint), *files, *read_paths(cfg)]
    check_output('OUT', out, reads)
    check_directory('predict: OUT', out)


def _recipe(
    cfg: Config, checkpoint: str, frames: Frames, options: PredictOptions
) -> dict[str, Any]:
    weights = checkpoint if options.onnx is None else options.onnx
    dataset = (cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}).get('dataset')
    pipeline = (dataset or {}).get('pipeline')
    return dict(
        input=osp.realpath(frames.source),
        # Frames of a video have no files whose time could be compared.
        video_sha256=digest_path(frames.source) if frames.video else None,
        weights_sha256=digest_path(weights),
        config_sha256=digest_config(cfg.get('model'), pipeline),
        **{
            key: value
            for key, value in options._asdict().items()
            if key not in ('batch_size', 'onnx')
        },
    )


def _open(out: str, recipe: dict[str, Any]) -> PredictionManifest:
    """The manifest to go on with; files without one are of another."""
    if osp.isfile(osp.join(out, MANIFEST_NAME)):
        manifest = PredictionManifest.read(out)
        raise_differences('predict: OUT', out, manifest.recipe, recipe)
        manifest.complete = False
    elif osp.isdir(out) and any(Path(out).iterdir()):
        raise ValueError(
            f'predict: OUT: expected a new or an empty directory, or one of an earlier run, but '
            f'got {out!r} without {MANIFEST_NAME}; write another path'
        )
    else:
        manifest = PredictionManifest(recipe)
    manifest.write(out)
    return manifest


class _Writer:
    """Writes the files of predictions that are not there yet."""

    def __init__(
        self, predictor: Predictor, out: Path, options: PredictOptions, digests: dict[str, str]
    ) -> None:
        self.predictor, self.out, self.options = predictor, out, options
        self.digests = digests  # of files that earlier runs wrote
        self.files: dict[str, str] = {}
        self.failed: list[str] = []

    def files_of(self, name: str) -> dict[str, str]:
        """Files of an image by kind, relative to the directory."""
        files = {LABELS: f'{LABELS}/{name}'}
        if self.options.overlays:
            files[OVERLAYS] = f'{OVERLAYS}/{osp.splitext(name)[0]}.jpg'
        if self.options.confidence:
            files[CONFIDENCE] = f'{CONFIDENCE}/{name}'
        if self.options.confidence and self.options.overlays:
            files[CONFIDENCE_OVERLAYS] = f'{CONFIDENCE_OVERLAYS}/{osp.splitext(name)[0]}.jpg'
        return files

    def write_all(self, frames: Frames) -> tuple[dict[str, str], list[str]]:
        """Write the files of this process's images.

        Returns:
            Names of all files of these images, with the digests of those that were written now, and
            what could not be read.
        """
        rank, world_size = get_dist_info()
        todo = self._load(frames.share(rank, world_size))
        with Progress(-(-frames.count // world_size), 'images') as self.progress:
            for (name, image), found in self.predictor.predict_all(todo, self.options.batch_size):
                self._write(name, image, found)
                self.progress.update()
        return self.files, self.failed + frames.failed

    def _load(
        self, images: Iterator[tuple[str, str | np.ndarray]]
    ) -> Iterator[tuple[tuple[str, str | np.ndarray], dict[str, Any]]]:
        """Load the images that an earlier run has not finished."""
        for name, image in images:
            if self._is_done(name, image):
                self.files.update(dict.fromkeys(self.files_of(name).values(), ''))
                self.progress.skip()
                continue
            try:
                sample = self.predictor.load(image)
            except Exception as error:  # decoders raise anything on damaged files
                self.failed.append(f'{image if isinstance(image, str) else name}: {error}')
                print_log(f'left out: {self.failed[-1]}', 'current')
                continue
            yield (name, image), sample

    def _is_done(self, name: str, image: str | np.ndarray) -> bool:
        """True if all files are there, which then are whole, and the image is not newer."""
        files = [self.out / file for file in self.files_of(name).values()]
        if not all(file.is_file() for file in files):
            return False
        changed = osp.getmtime(image) if isinstance(image, str) else 0.0
        return all(file.stat().st_mtime >= changed for file in files)

    def _write(self, name: str, image: str | np.ndarray, prediction: Prediction) -> None:
        files = self.files_of(name)
        label = prediction.label
        class_map = self.predictor.class_map if self.options.ids == 'own' else None
        self._save(files[LABELS], label if class_map is None else class_map.to_values(label))
        if CONFIDENCE in files:
            levels = (prediction.confidence * 255).round().astype(np.uint8)
            self._save(files[CONFIDENCE], levels)
        if OVERLAYS in files:
            if isinstance(image, str):
                picture = mmcv.imread(image, channel_order='rgb')
            else:
                picture = np.ascontiguousarray(image[..., ::-1])
            self._save(files[OVERLAYS], self._overlay(picture, label))
            if CONFIDENCE_OVERLAYS in files:
                shown = _confidence_overlay(picture, prediction.confidence)
                self._save(files[CONFIDENCE_OVERLAYS], shown)

    def _save(self, name: str, array: np.ndarray) -> None:
        """Write a label or a picture (RGB) in the format of the name's suffix.

        An older file goes only if it is as an earlier run wrote it; another one is moved aside.
        """
        path = self.out / name
        is_ours = name in self.digests and digest_path(path) == self.digests[name]
        with atomic_write(path, keep=not is_ours) as partial:
            kind = 'JPEG' if path.suffix == '.jpg' else 'PNG'
            Image.fromarray(array).save(partial, format=kind, quality=92)
            self.files[name] = str(digest_path(partial))

    def _overlay(self, image: np.ndarray, label: np.ndarray) -> np.ndarray:
        """Paint classes over an image (H, W, 3), with a legend of those present below it."""
        palette, classes = self.predictor.palette, self.predictor.classes
        painted = overlay(image, label_to_color(label, palette), SHARE_OF_COLOUR)
        painted = outline_similar(painted, label, palette)
        legend = legend_of(np.unique(label).tolist(), classes, palette, image.shape[1])
        return np.concatenate([painted, legend])


def _confidence_overlay(image: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Paint confidences over an image (H, W, 3) in grey, with the bar of [0, 1] below it."""
    width = image.shape[1]
    bar = color_bar(0, 1, (max(22, width // 60), width), over=True)
    return np.concatenate([heat_over(image, confidence), bar])
