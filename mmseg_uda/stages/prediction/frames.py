"""Images to predict: a file, a directory, or the frames of a video."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator

import cv2
import numpy as np

from mmseg_uda.artifacts.files import list_files
from mmseg_uda.artifacts.lookup import relative_names
from mmseg_uda.datasets.images import IMAGES

__all__ = ['Frames']

VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')
SUFFIX = '.png'


class Frames:
    """The images that an input names, each with the name of its output.

    An output has the path of its image below the directory, with the suffix ``.png``; a frame of a
    video is ``frame_000000.png`` and so on.

    Args:
        source: Path of an image, a directory or a video.

    Raises:
        FileNotFoundError: There is no such path.
        ValueError: It has no images, two images have one name, or the video cannot be read.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.video = osp.isfile(source) and source.lower().endswith(VIDEOS)
        self.paths: dict[str, str] = {}  # by name of the output
        if not osp.exists(source):
            raise FileNotFoundError(f'predict: no image, directory or video {source}')
        if self.video:
            capture = cv2.VideoCapture(source)
            self.count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))  # an estimate for some files
            if not capture.isOpened():
                raise ValueError(f'predict: expected a video that OpenCV reads, but got {source!r}')
            return
        if osp.isdir(source):
            found = [name for name in list_files(source) if name.endswith(IMAGES)]
            paths = [osp.join(source, name) for name in found]
            if not paths:
                raise ValueError(f'predict: expected images in {source!r}, but got none')
            names = relative_names(paths, source, SUFFIX)
        else:
            paths = [source]
            names = [osp.splitext(osp.basename(source))[0] + SUFFIX]
        self.paths = dict(zip(names, paths))
        self.count = len(paths)

    def share(self, rank: int, world_size: int) -> Iterator[tuple[str, str | np.ndarray]]:
        """Yield the images of one of several processes: name and path, or frame (H, W, 3) BGR."""
        if not self.video:
            yield from list(self.paths.items())[rank::world_size]
            return
        capture = cv2.VideoCapture(self.source)
        index = 0
        while capture.grab():
            if index % world_size == rank:
                read, frame = capture.retrieve()
                if read:
                    yield f'frame_{index:06d}{SUFFIX}', frame
            index += 1
        capture.release()
