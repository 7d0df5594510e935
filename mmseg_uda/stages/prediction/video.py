"""Videos: their frames in order, and what a cut or damaged file has lost of them."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

__all__ = ['Video']


class Video:
    """The frames of a video file.

    Args:
        path: The file.

    Attributes:
        count: Number of frames as the file says it; an estimate for some containers.

    Raises:
        ValueError: OpenCV cannot read the file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.capture = cv2.VideoCapture(path)
        if not self.capture.isOpened():
            raise ValueError(f'predict: expected a video that OpenCV reads, but got {path!r}')
        self.count = max(0, int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.found = 0

    def grab_all(self) -> Iterator[int]:
        """Go through the frames, and give their numbers."""
        while self.capture.grab():
            self.found += 1
            yield self.found - 1
        self.capture.release()

    def decode(self) -> np.ndarray | None:
        """Decode the frame of this number, (H, W, 3) BGR uint8; None if that fails."""
        read, frame = self.capture.retrieve()
        return frame if read else None

    def describe_loss(self) -> str:
        """Describe what is missing of the frames that were gone through; empty if nothing is.

        AVI files list their frames, of which every one counts. In others the number is an estimate,
        as of a video that was trimmed or has a longer sound: a tenth may be missing there.
        """
        exact = self.path.lower().endswith('.avi')
        if self.found >= (self.count if exact else int(0.9 * self.count) - 4):
            return ''
        about, remedy = ('', '') if exact else ('about ', ', unless it was trimmed')
        return (
            f'expected {about}{self.count} frames, but could read {self.found}; the file is cut or '
            f'damaged, copy it again{remedy}'
        )
