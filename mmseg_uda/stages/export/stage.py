"""The export as a stage of a pipeline."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from mmseg_uda.stages.base import CheckpointStage, Resolve, Result
from mmseg_uda.stages.export.plain import plain_config
from mmseg_uda.stages.export.segmentor import export_segmentor
from mmseg_uda.stages.inputs import Input
from mmseg_uda.utils.processes import on_main

__all__ = ['ExportStage']


class ExportStage(CheckpointStage):
    """Writes the segmentor for stock mmseg; ``{name}`` is the checkpoint, a config is beside it."""

    kind = 'export'
    optional = ('options', 'module')
    makes = 'checkpoint'
    takers = (export_segmentor,)

    def fingerprint(self, cfg: Config) -> dict[str, Any]:
        unrecorded = ('vis_backends', 'visualizer', 'log_level', 'log_processor', 'default_hooks')
        content = plain_config(cfg).to_dict()
        return {key: value for key, value in content.items() if key not in unrecorded}

    def inputs(self) -> list[Input]:
        # The config's datasets are written about, not read.
        return [each for each in super().inputs() if each.key == 'checkpoint']

    def run(self, resolve: Resolve, experiment: str) -> Result:
        out = self.directory / 'segmentor.pth'
        config, checkpoint = out.with_suffix('.py'), self.checkpoint(resolve)
        cfg, module = self.load(resolve), self.arguments.get('module', 'student')
        outputs = on_main(lambda: export_segmentor(checkpoint, out, cfg, config, module)).outputs
        return Result({'output': outputs.pop('checkpoint'), **outputs})
