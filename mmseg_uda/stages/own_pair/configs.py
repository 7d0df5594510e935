"""The configs for two domains of a user's own: the method's, source only's and their pipeline."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.config.check import require_sound
from mmseg_uda.stages.own_pair.config_text import MANY, Parts, config_text
from mmseg_uda.stages.own_pair.plan import METHODS

__all__ = ['PairFiles', 'write_configs']

SOURCE_ONLY = """\
# {name}: source only, from whose weights {method} starts.
_base_ = ['./{name}.py']
model = dict(_delete_=True, type='SourceOnly', segmentor=_base_.segmentor)
optim_wrapper = dict(
    optimizers=dict(_delete_=True, student=_base_.optim_wrapper.optimizers.student))
custom_hooks = [hook for hook in _base_.custom_hooks if hook['type'] != 'EMATeacherHook']
"""
PIPELINE = """\
# {name}: source only, {adabn_title}then {method} from its weights.
#   {command}
# The same command goes on where it was stopped; what is done is not done again.
config, source_only = '{name}.py', '{name}_source_only.py'
{rare_classes}stages = [
    dict(name='source_only', type='train', config=source_only),
{adabn}{counts}    dict(
        name='{method}', type='train', config=config,
        options={{'load_from': '{{source_only}}'{more_options}}}),
]
"""
RARE_CLASSES = """\
# Source images and crops with rare classes are drawn more often, as in DAFormer; an image shows a
# class by more than min_pixels pixels of its label. The limits keep the other images in.
rare_classes = {{
    'train_dataloader.source.sampling': dict(
        type='RareClassSampling', class_counts='{{counts}}', min_pixels={min_pixels},
        min_crop_ratio={min_crop_ratio:.3g}, max_probability=0.4, max_repeats=2)}}
"""
COUNTS = """\
    dict(name='counts', type='class_counts', config=config),
"""
# AdaBN costs seconds, so a method is worth what it has above it. The report has the trainings' last
# validations beside it.
ADABN = """\
    dict(
        name='adabn', type='test', config=source_only, checkpoint='{{source_only}}',
        options={{'custom_hooks': [dict(type='AdaBNHook', num_images={images})]}}),
"""


class PairFiles(NamedTuple):
    """Paths of the config of a pair and of its pipeline.

    Args:
        config: Config of the method.
        pipeline: Pipeline of source only and the method; None if the method is source only.
    """

    config: Path
    pipeline: Path | None

    @property
    def command(self) -> str:
        """The command that trains."""
        if self.pipeline is None:
            return shlex.join(['python', 'tools/train.py', str(self.config)])
        return shlex.join(['python', 'tools/run_pipeline.py', str(self.pipeline)])


def write_configs(
    path: Path,
    *,
    method: str,
    parts: Parts,
    min_pixels: int,
    min_crop_ratio: float,
    **text: Any,
) -> PairFiles:
    """Write a config of a method and, unless that is source only, what trains it from source only.

    Beside ``NAME.py`` these are ``NAME_source_only.py`` and ``NAME_pipeline.py``. With labels of
    the target the pipeline tests AdaBN of source only, too. For methods that paste classes of the
    source it counts these, and draws rare ones more often. Older files with other content are moved
    aside.

    Args:
        path: The method's config, ``NAME.py``.
        method: Name in ``METHODS``.
        parts: Datasets.
        min_pixels: As in ``RareClassSampling``.
        min_crop_ratio: As in ``RareClassSampling``.
        text: Further arguments of :func:`config_text`.

    Raises:
        ConfigError: The method's config is not sound.
    """
    name = path.stem
    adapts = method != 'source_only'
    files = PairFiles(path, path.with_stem(f'{name}_pipeline') if adapts else None)
    texts = {path: config_text(path, command=files.command, method=method, parts=parts, **text)}
    if files.pipeline is not None:
        labelled, rare = parts.validation is not None, 'mixer' in METHODS[method]
        rare_classes = RARE_CLASSES.format(min_pixels=min_pixels, min_crop_ratio=min_crop_ratio)
        texts[path.with_stem(f'{name}_source_only')] = SOURCE_ONLY.format(name=name, method=method)
        texts[files.pipeline] = PIPELINE.format(
            name=name,
            method=method,
            command=files.command,
            adabn_title='its AdaBN, ' if labelled else '',
            adabn=ADABN.format(images=min(MANY, parts.num_target)) if labelled else '',
            rare_classes=rare_classes if rare else '',
            counts=COUNTS if rare else '',
            more_options=', **rare_classes' if rare else '',
        )
    for file, content in texts.items():
        with atomic_write(file, keep=True) as partial:
            partial.write_text(content, encoding='utf-8')
    require_sound(Config.fromfile(path))
    return files
