"""Images to predict: a file, a directory, or the frames of a video."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator

import numpy as np

from mmseg_uda.artifacts.files import list_files
from mmseg_uda.artifacts.lookup import relative_names
from mmseg_uda.datasets.images import IMAGES
from mmseg_uda.stages.prediction.video import Video

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
        ValueError: It has no images, two images have one name, or the video cannot be read or has
            no frame.

    Attributes:
        count: Number of images; an estimate for some videos.
        failed: Descriptions of what a video has lost, once :meth:`share` has given all that is
            there.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.video = osp.isfile(source) and source.lower().endswith(VIDEOS)
        self.paths: dict[str, str] = {}  # by name of the output
        self.failed: list[str] = []
        if not osp.exists(source):
            raise FileNotFoundError(f'predict: no image, directory or video {source}')
        if self.video:
            video = Video(source)
            self.count = video.count
            if next(video.grab_all(), None) is None:
                raise ValueError(
                    f'predict: expected a video with frames, but got none in {source!r}, which is '
                    'cut or damaged; copy it again'
                )
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
        video = Video(self.source)
        for index in video.grab_all():
            if index % world_size == rank:
                name, frame = f'frame_{index:06d}{SUFFIX}', video.decode()
                if frame is None:
                    self.failed.append(f'{self.source}: {name} cannot be decoded')
                else:
                    yield name, frame
        loss = video.describe_loss()
        if loss and rank == 0:  # all processes find the same
            self.failed.append(f'{self.source}: {loss}')
