"""All checks of the doctor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseg_uda.config.building import build_model, no_trace
from mmseg_uda.doctor.data import build_datasets, check_data, check_pixels, picture
from mmseg_uda.doctor.finding import Finding, look, ok
from mmseg_uda.doctor.memory import GIB, plan_memory
from mmseg_uda.doctor.settings import check_batch_norm, check_paper, check_settings
from mmseg_uda.doctor.weights import check_normalisation, check_weights
from mmseg_uda.utils.drawing import save_picture

__all__ = ['examine']


def examine(
    cfg: Config,
    paper: Config | None = None,
    data: bool = True,
    out: Path | None = None,
) -> Iterator[Finding]:
    """Examine a config of a training.

    Args:
        cfg: The config.
        paper: A config to compare with.
        data: False to leave images and labels unread.
        out: File for a picture of one batch.

    Yields:
        Findings in the order in which they are found: quick checks first.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    settings = list(check_settings(cfg))
    yield from settings
    if paper is not None:
        yield from check_paper(cfg, paper)
    yield from check_normalisation(cfg)
    model = _model(cfg)
    if model is not None:
        yield from check_weights(cfg, model)
        yield from check_batch_norm(cfg, model)
    if not data:
        return
    datasets, findings = build_datasets(cfg)
    yield from findings
    yield from check_data(cfg, datasets)
    yield from check_pixels(cfg, datasets)
    if model is not None and 'source' in datasets:
        yield from _check_memory(cfg, tuple(datasets['source'][0]['inputs'].shape[1:]))
    if out is not None and 'source' in datasets:
        try:
            save_picture(picture(cfg, datasets), out)
        except ValueError as error:  # of labels or images, which other checks name, too
            yield look('picture', str(error), 'correct it')
        else:
            yield ok('picture', f'one batch is drawn in {out}')


def _model(cfg: Config) -> Any:
    try:
        with no_trace():
            return build_model(cfg.to_dict())
    except Exception:  # the check of the config says why
        return None


def _check_memory(cfg: Config, size: tuple[int, int]) -> Iterator[Finding]:
    try:
        memory = plan_memory(cfg, size)
    except Exception as error:  # of parts that cannot run without values, whatever they raise
        text = f'not calculated for this config ({str(error).splitlines()[0]})'
        yield look('memory', text, 'watch the first iterations')
        return
    if torch.cuda.is_available():
        there = torch.cuda.get_device_properties(0).total_memory
        if not memory.fits(there):
            remedy = 'see tools/analysis_tools/memory_plan.py'
            yield look('memory', f'{memory}, of {there / GIB:.0f} GiB', remedy)
            return
    yield ok('memory', str(memory))
