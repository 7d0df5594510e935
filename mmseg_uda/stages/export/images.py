"""Real images on which an exported file is compared with PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import Compose
from mmseg.registry import DATASETS

from mmseg_uda.artifacts.files import list_files
from mmseg_uda.config.datasets import iter_datasets, unlabelled_images, without_labels
from mmseg_uda.datasets.images import IMAGES

__all__ = ['find_images']

NUM_IMAGES = 2


def find_images(
    config: str | Path, directory: str | Path | None = None, trained: Config | None = None
) -> Iterator[Any]:
    """Find images to compare with, prepared as for testing.

    Args:
        config: Plain config of the pair.
        directory: Directory of images; the test set by default.
        trained: The method's config, whose test set counts if that of the plain config is not
            there: stock mmseg lacks its dataset.

    Yields:
        Name, and inputs as the data preprocessor takes them; none if the test set is not there.

    Raises:
        FileNotFoundError: The directory has no image.
    """
    cfg = Config.fromfile(str(config))
    dataset = _test_set(cfg)
    pipeline = cfg.get('test_pipeline')
    if dataset and not pipeline:
        pipeline = next(each for _, each in iter_datasets(dataset))['pipeline']
    paths: list[str] = []
    if directory is not None:
        names = sorted(name for name in list_files(directory) if name.endswith(IMAGES))
        paths = [str(Path(directory, name)) for name in names]
        if not paths:
            raise FileNotFoundError(
                f'--images: expected a directory of images, but got {str(directory)!r} without any'
            )
    else:
        paths = _paths_of(dataset) or _paths_of(_test_set(trained or {}))
    prepare = Compose(without_labels(pipeline or [dict(type='LoadImageFromFile')]))
    for path in paths[:: max(1, len(paths) // NUM_IMAGES)][:NUM_IMAGES]:
        yield Path(path).name, prepare(dict(img_path=path))


def _test_set(cfg: Mapping[str, Any]) -> Any:
    return (cfg.get('test_dataloader') or {}).get('dataset')


def _paths_of(dataset: Any) -> list[str]:
    """Paths of a dataset's images, none if it is not on this machine."""
    if not dataset:
        return []
    with suppress(OSError, ValueError):
        images = DATASETS.build(unlabelled_images(dataset))
        return [images.get_data_info(index)['img_path'] for index in range(len(images))]
    return []
