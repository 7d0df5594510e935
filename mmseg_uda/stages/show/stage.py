"""The stage that draws the pictures of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmseg_uda.config.reads import FILES
from mmseg_uda.stages.base import CheckpointStage, Resolve, Result, Stage
from mmseg_uda.stages.context import PipelineContext
from mmseg_uda.stages.inputs import Input
from mmseg_uda.stages.show.attention import KINDS, show_attention
from mmseg_uda.utils.arguments import check_choice, check_integer
from mmseg_uda.utils.drawing import save_picture
from mmseg_uda.utils.processes import on_main

__all__ = ['ShowStage']


class ShowStage(CheckpointStage):
    """Draws attention or predictions on fixed images; ``{name}`` is the picture.

    The arguments are those of :func:`show_attention`. ``compare`` is a dict of ``config``,
    ``checkpoint`` and ``options``.
    """

    kind = 'show'
    makes = 'picture'
    unrecorded = ('config', 'options', 'compare')  # what it is is in the config's parts
    optional = ('options', 'kind', 'targets', 'images', 'source', 'points', 'compare')
    fingerprint_keys = ('model', 'data_preprocessor', 'test_dataloader')

    def __init__(self, name: str, arguments: Mapping[str, Any], context: PipelineContext) -> None:
        super().__init__(name, arguments, context)
        self.compared: CheckpointStage | None = None
        if 'compare' in self.arguments:
            with self.error_context('compare'):
                self.compared = CheckpointStage(name, self.arguments['compare'], context)

    def check(self, earlier: Mapping[str, Stage]) -> None:
        super().check(earlier)
        if self.compared is not None:
            self.compared.check(earlier)

    def settings(self) -> dict[str, Any]:
        given = super().settings()
        if given.get('kind') is not None:
            check_choice('kind', given['kind'], KINDS)
        check_integer('images', given.get('images', 1), 1)
        return given

    def inputs(self) -> list[Input]:
        images = {f'targets.{i}': path for i, path in enumerate(self.arguments.get('targets', ()))}
        if 'source' in self.arguments:
            images['source'] = self.arguments['source']
        compared = self.compared.inputs() if self.compared is not None else []
        return [
            *super().inputs(),
            *(Input(key, path, 'image') for key, path in images.items()),
            *(Input('compare', each.value, each.kind) for each in compared if each.kind in FILES),
        ]

    def fingerprint(self, cfg: Config) -> dict[str, Any]:
        parts = super().fingerprint(cfg)
        if self.arguments.get('kind') == 'points':  # a source image is drawn, too
            parts['train_dataloader'] = {
                'source': (cfg.get('train_dataloader') or {}).get('source')
            }
        return parts

    def config_parts(self) -> dict[str, Any]:
        parts = super().config_parts()
        if self.compared is not None:
            parts['compared'] = self.compared.load().to_dict()['model']
        return parts

    def run(self, resolve: Resolve, experiment: str) -> Result:
        out = self.directory / 'picture.png'
        names = ('kind', 'targets', 'images', 'source', 'points')
        given = {key: self.arguments[key] for key in names if key in self.arguments}
        if self.compared is not None:
            given['compare'] = self.compared.load(resolve), self.compared.checkpoint(resolve)
        checkpoint, cfg = self.checkpoint(resolve), self.load(resolve)
        on_main(lambda: save_picture(show_attention(cfg, checkpoint, **given)[0], out))
        return Result({'output': out})
