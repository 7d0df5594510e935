"""The types of stages. A new type is one class and its line in ``STAGES``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import barrier, is_main_process

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.artifacts.pseudo_labels import Manifest
from mmseg_uda.artifacts.spatial_prior import PriorRecipe
from mmseg_uda.pseudo_labels import build_rule
from mmseg_uda.stages.base import ConfigStage, Lookup, Result, Stage
from mmseg_uda.stages.export import KEPT_CONFIG, export_segmentor
from mmseg_uda.stages.image_labels.stage import ImageLabelsStage
from mmseg_uda.stages.inputs import file_digest, tree_digest
from mmseg_uda.stages.pseudo_labels import build_labeller, make_label_config, target_dataset
from mmseg_uda.stages.references import find_references, substitute
from mmseg_uda.stages.spatial_prior import (
    make_spatial_prior,
    only_labels,
    prior_size,
    source_dataset,
)
from mmseg_uda.stages.train import TrainStage
from mmseg_uda.stages.translation import translate_folder
from mmseg_uda.utils.clear_errors import clear_errors
from mmseg_uda.utils.cli import build_runner

__all__ = ['STAGES']


class _CheckpointStage(ConfigStage):
    """A stage that runs a config with a checkpoint: a file, or an earlier stage's."""

    required = ('config', 'checkpoint')

    def check(self, earlier: Mapping[str, Stage]) -> None:
        super().check(earlier)
        self.check_reference('checkpoint', self.arguments['checkpoint'], 'checkpoint', earlier)

    def check_inputs(self) -> None:
        super().check_inputs()
        path = self.arguments['checkpoint']
        if not self.references_in('checkpoint') and not Path(path).is_file():
            raise self.error(
                'checkpoint',
                f"got {path!r}, which is no file; write '{{NAME}}' for "
                'the last checkpoint of stage NAME',
            )

    def references_in(self, key: str) -> list[str]:
        """References in one argument."""
        return list(find_references(self.arguments.get(key)))

    def recipe(self) -> dict[str, Any]:
        recipe = super().recipe()
        recipe['arguments'] = {
            key: value for key, value in self.arguments.items() if key not in ('config', 'options')
        }
        if not self.references_in('checkpoint'):
            recipe['inputs']['checkpoint'] = file_digest(self.arguments['checkpoint'])
        return recipe


class PseudoLabelStage(_CheckpointStage):
    """Labels the config's target training images; ``{name}`` is the folder of labels."""

    kind = 'pseudo_label'
    optional = ('options', 'rule')
    makes = 'folder'

    def counted(self, cfg: Config) -> dict[str, Any]:
        content = cfg.to_dict()
        parts = {key: content.get(key) for key in ('model', 'data_preprocessor')}
        return {**parts, 'test_dataloader': {'dataset': target_dataset(cfg)}}

    def check(self, earlier: Mapping[str, Stage]) -> None:
        with self.at('rule'):
            build_rule(self.arguments.get('rule', 'bdl'))
        with self.at('config'):
            target_dataset(self.load())
        super().check(earlier)

    def recipe(self) -> dict[str, Any]:
        rule = build_rule(self.arguments.get('rule', 'bdl'))
        recipe = super().recipe()
        recipe['arguments']['rule'] = rule.describe()
        return recipe

    def run(self, lookup: Lookup, experiment: str) -> Result:
        out = self.folder / 'labels'
        cfg = make_label_config(
            self.load_to_run(lookup, experiment),
            self.path('checkpoint', lookup),
            str(out),
            self.arguments.get('rule', 'bdl'),
        )
        with clear_errors(cfg):
            labeller = build_labeller(cfg)
            labeller.test()
        manifest = Manifest.read(str(out))
        classes = labeller.test_loop.dataloader.dataset.metainfo['classes']
        counts = zip(manifest.predicted_pixels, manifest.kept_pixels)
        share = 100 * sum(manifest.kept_pixels) / sum(manifest.predicted_pixels)
        return Result(
            {'output': out},
            {'kept pixels (%)': share},
            {name: list(pair) for name, pair in zip(classes, counts)},
        )


class TestStage(_CheckpointStage):
    """Tests a checkpoint on the config's test split; ``{name}`` is a file of metrics."""

    kind = 'test'
    makes = 'metrics'

    def counted(self, cfg: Config) -> dict[str, Any]:
        content = cfg.to_dict()
        return {
            key: content.get(key)
            for key in (
                'model',
                'data_preprocessor',
                'test_dataloader',
                'test_cfg',
                'test_evaluator',
                'custom_hooks',
            )
        }

    def check(self, earlier: Mapping[str, Stage]) -> None:
        super().check(earlier)
        cfg = self.load()
        for key in ('test_dataloader', 'test_cfg', 'test_evaluator'):
            if not cfg.get(key):
                raise self.error('config', f'has no {key}; write one')

    def run(self, lookup: Lookup, experiment: str) -> Result:
        cfg = self.load_to_run(lookup, experiment)
        cfg.load_from, cfg.resume = self.path('checkpoint', lookup), False
        with clear_errors(cfg):
            metrics = build_runner(cfg).test()
        metrics = {key: float(value) for key, value in metrics.items()}
        out = self.folder / 'metrics.json'
        if is_main_process():
            with atomic_write(out) as partial:
                partial.write_text(json.dumps(metrics, indent=1), encoding='utf-8')
        return Result({'output': out}, metrics)


class ExportStage(_CheckpointStage):
    """Writes the segmentor for stock mmseg; ``{name}`` is the checkpoint, a config is beside it."""

    kind = 'export'
    optional = ('options', 'module')
    makes = 'checkpoint'

    def counted(self, cfg: Config) -> dict[str, Any]:
        return {
            key: value
            for key, value in cfg.to_dict().items()
            if key in ('model', *KEPT_CONFIG)
            and key not in ('vis_backends', 'visualizer', 'log_level')
        }

    def check_inputs(self) -> None:  # data are written about, not read
        path = self.arguments['checkpoint']
        if not self.references_in('checkpoint') and not Path(path).is_file():
            raise self.error('checkpoint', f'got {path!r}, which is no file')

    def run(self, lookup: Lookup, experiment: str) -> Result:
        out = self.folder / 'segmentor.pth'
        if is_main_process():
            export_segmentor(
                self.path('checkpoint', lookup),
                str(out),
                self.load(lookup),
                out.with_suffix('.py'),
                self.arguments.get('module', 'student'),
            )
        barrier()
        return Result({'output': out, 'config': out.with_suffix('.py')})


class TranslateStage(Stage):
    """Gives source images the target's Fourier amplitudes; ``{name}`` is the folder."""

    kind = 'translate'
    required = ('source', 'target', 'beta')
    optional = ('seed', 'max_images', 'labels', 'image_suffix', 'label_suffix', 'nproc')
    makes = 'folder'
    folders = ('source', 'target', 'labels')

    def check_inputs(self) -> None:
        for key, path in self._given().items():
            if not Path(path).is_dir():
                raise self.error(key, f'got {path!r}, which is no folder')

    def recipe(self) -> dict[str, Any]:
        digests = {key: tree_digest(path) for key, path in self._given().items()}
        arguments = {'seed': self.settings.seed or 0, **self.arguments}
        arguments.pop('nproc', None)
        return {'arguments': arguments, 'inputs': digests}

    def _given(self) -> dict[str, str]:
        """Folders that no earlier stage makes."""
        return {
            key: self.arguments[key]
            for key in self.folders
            if self.arguments.get(key) and not list(find_references(self.arguments[key]))
        }

    def run(self, lookup: Lookup, experiment: str) -> Result:
        out = self.folder / 'translated'
        arguments = {'seed': self.settings.seed or 0, **substitute(self.arguments, lookup)}
        if is_main_process():
            translate_folder(
                arguments.pop('source'), arguments.pop('target'), str(out), **arguments
            )
        barrier()
        return Result({'output': out})


class SpatialPriorStage(ConfigStage):
    """Counts where the classes of the config's source labels are; ``{name}`` is the file."""

    kind = 'spatial_prior'
    optional = ('options', 'size', 'kernel', 'sigma', 'border', 'norm', 'workers')
    makes = 'prior'

    def counted(self, cfg: Config) -> dict[str, Any]:
        return {'train_dataloader': {'source': {'dataset': only_labels(source_dataset(cfg))}}}

    def check(self, earlier: Mapping[str, Stage]) -> None:
        with self.at('config'):
            only_labels(source_dataset(self.load()))
        with self.at('type'):
            self._recipe()
        super().check(earlier)

    def recipe(self) -> dict[str, Any]:
        return {**super().recipe(), 'arguments': dataclasses.asdict(self._recipe())}

    def _recipe(self) -> PriorRecipe:
        given = {
            key: self.arguments[key]
            for key in ('kernel', 'sigma', 'border', 'norm')
            if key in self.arguments
        }
        return PriorRecipe(*(self.arguments.get('size') or prior_size(self.load())), **given)

    def run(self, lookup: Lookup, experiment: str) -> Result:
        out = self.folder / 'prior.npz'
        if is_main_process():
            make_spatial_prior(
                source_dataset(self.load(lookup)), self._recipe(), self.arguments.get('workers', 2)
            ).write(out)
        barrier()
        return Result({'output': out})


STAGES: dict[str, type[Stage]] = {
    cls.kind: cls
    for cls in (
        TrainStage,
        PseudoLabelStage,
        TestStage,
        ExportStage,
        TranslateStage,
        SpatialPriorStage,
        ImageLabelsStage,
    )
}
