"""The commands of two domains of your own, as functions for notebooks and scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device

from mmseg_uda.config.check import require_sound
from mmseg_uda.config.options import merge_options
from mmseg_uda.config.tables import read_config, read_file
from mmseg_uda.pipeline import read_pipeline
from mmseg_uda.stages.own_pair import PairOptions, init_pair
from mmseg_uda.stages.prediction import PredictOptions, find_config, run_prediction
from mmseg_uda.stages.train import run_training
from mmseg_uda.utils.work_dir import open_work_dir, resume_latest

__all__ = ['adapt', 'predict']


def adapt(
    config: str | Path | None = None,
    work_dir: str | Path | None = None,
    resume: bool = False,
    cfg_options: dict[str, Any] | None = None,
    **pair: Any,
) -> Path:
    """Train a config as ``tools/train.py`` does, or the pipeline of ``tools/init_pair.py``.

    Args:
        config: A config; None to write one, and its pipeline, from ``pair``.
        work_dir: Directory of logs and checkpoints. Default: ``work_dirs/<name of the file>``.
        resume: Go on from the latest checkpoint in ``work_dir``. A pipeline always does.
        cfg_options: Settings to override, by key path, in the config or in both of the pipeline.
        pair: Arguments of :class:`~mmseg_uda.stages.own_pair.PairOptions`, without a config:
            ``adapt(source_images=..., source_labels=..., target_images=...)``.

    Returns:
        Path of the last checkpoint.

    Raises:
        ValueError: Both a config and directories are given, or something in them is wrong.
    """
    if (config is None) == (not pair):
        raise ValueError('adapt: expected a config or directories, but got both or none; write one')
    if config is None:
        config, pipeline = init_pair(PairOptions(**pair))
        if pipeline is not None:
            return _run_pipeline(pipeline, work_dir, cfg_options or {})
    path = Path(config)
    cfg = _load(path, cfg_options)
    cfg.work_dir = str(work_dir or cfg.get('work_dir') or Path('work_dirs', path.stem))
    cfg.resume = resume
    with open_work_dir(cfg, resume):
        if resume:
            resume_latest(cfg)
        runner, _ = run_training(cfg)
    return Path(runner.message_hub.get_info('last_ckpt'))


def predict(
    checkpoint: str | Path,
    source: str | Path,
    out: str | Path,
    config: str | Path | None = None,
    device: str | None = None,
    **options: Any,
) -> list[str]:
    """Predict an image, a directory or a video, as ``tools/predict.py`` does.

    Args:
        checkpoint: File of the weights.
        source: The image, directory or video.
        out: Directory to write.
        config: Config of the checkpoint. Default: the one beside it.
        device: Device that computes. Default: the first GPU, if there is one.
        options: Arguments of :class:`~mmseg_uda.stages.prediction.PredictOptions`.

    Returns:
        Descriptions of the images that could not be read.
    """
    cfg = _load(config or find_config(str(checkpoint)), None)
    device = device or get_device()
    chosen = PredictOptions(**options)
    return run_prediction(cfg, str(checkpoint), str(source), str(out), device, chosen)


def _load(path: str | Path, options: dict[str, Any] | None) -> Config:
    cfg = read_config(str(path))
    merge_options(cfg, options or {})
    require_sound(cfg)
    return cfg


def _run_pipeline(path: Path, work_dir: str | Path | None, options: dict[str, Any]) -> Path:
    """Run a pipeline with settings for all of its stages; give the last one's output."""
    names = [stage['name'] for stage in read_file(path).stages]
    changes = {f'stages.{name}.options.{key}': options[key] for name in names for key in options}
    pipeline = read_pipeline(path, changes, work_dir)
    pipeline.run()
    return pipeline.output(names[-1])
