"""The stage of image-level labels (PIT)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmcv.transforms import LoadAnnotations, LoadImageFromFile, Resize
from mmengine.config import Config

from mmseg_uda.artifacts.image_labels import KINDS
from mmseg_uda.config.datasets import map_datasets, only_steps
from mmseg_uda.config.domains import domain_dataset
from mmseg_uda.stages.base import ConfigStage, Resolve, Result, Stage
from mmseg_uda.stages.image_labels.features import CONFIG, TIMM
from mmseg_uda.stages.image_labels.prediction import (
    ImageLabelRecipe,
    count_image_labels,
    predict_image_labels,
)
from mmseg_uda.stages.inputs import Input
from mmseg_uda.stages.references import substitute
from mmseg_uda.structures import DOMAINS
from mmseg_uda.utils.processes import on_main

__all__ = ['ImageLabelsStage']

RECIPE_KEYS = tuple(field.name for field in dataclasses.fields(ImageLabelRecipe))
LOADING = (LoadImageFromFile, LoadAnnotations, Resize)


class ImageLabelsStage(ConfigStage):
    """Labels the config's target training images as wholes; ``{name}`` is the file."""

    kind = 'image_labels'
    optional = ('options', *RECIPE_KEYS, 'from_labels', 'workers')
    unrecorded = ('config', 'options', 'workers')
    makes = 'image_labels'
    takers = (ImageLabelRecipe, count_image_labels)
    initialises = True

    @property
    def features(self) -> str | None:
        """The argument ``features``, or its default; None if labels are counted."""
        if 'from_labels' in self.arguments:
            return None
        return self.arguments.get('features', ImageLabelRecipe.features)

    def check(self, earlier: Mapping[str, Stage]) -> None:
        given = self.arguments.get('from_labels')
        if given is not None and given not in KINDS:
            raise self.error('from_labels', f'got {given!r}; write one of {KINDS}')
        unused = [key for key in RECIPE_KEYS if key in self.arguments]
        if given is not None and unused:
            raise self.error(
                'from_labels', f'is set, so nothing is predicted; leave out {", ".join(unused)}'
            )
        super().check(earlier)

    def missing(self) -> Iterator[tuple[str, str]]:
        yield from super().missing()
        if (self.features or '').startswith(TIMM) and find_spec('timm') is None:
            yield (
                'timm',
                f'features got {self.features!r}, which needs timm; run `pip install timm`, or '
                "write features='config'",
            )

    def inputs(self) -> list[Input]:
        weights = self.arguments.get('weights')
        return super().inputs() + ([Input('weights', weights, 'checkpoint')] if weights else [])

    def fingerprint(self, cfg: Config) -> dict[str, Any]:
        content = cfg.to_dict()
        loaders = content.get('train_dataloader')
        domains = DOMAINS if self.features else ('target',)
        datasets = {domain: domain_dataset(loaders, domain) for domain in domains}
        parts: dict[str, Any] = {
            'train_dataloader': {
                domain: {'dataset': _only_loading(dataset)}
                for domain, dataset in datasets.items()
                if dataset
            }
        }
        if self.features is None or self.features.startswith(TIMM):
            return parts
        if self.features != CONFIG:
            with self.error_context('features'):
                content = Config.fromfile(self._features_path(self.features)).to_dict()
        model = content['model']
        segmentor = model.get('segmentor', model)
        kept = {key: segmentor.get(key) for key in ('backbone', 'pretrained', 'data_preprocessor')}
        if 'weights' in self.arguments:  # they replace those that the config names
            kept.pop('pretrained')
            kept['backbone'] = {**kept['backbone'], 'init_cfg': None}
        return {**parts, 'features': kept, 'data_preprocessor': model.get('data_preprocessor')}

    def _features_path(self, features: str) -> str:
        """The network as ``ImageLabelRecipe`` takes it: a config is relative to the pipeline's."""
        is_file = features != CONFIG and not features.startswith(TIMM)
        return str(Path(self.context.directory, features)) if is_file else features

    def _recipe(self, arguments: Mapping[str, Any]) -> ImageLabelRecipe:
        given = {key: arguments[key] for key in RECIPE_KEYS if key in arguments}
        if 'features' in given:
            given['features'] = self._features_path(given['features'])
        return ImageLabelRecipe(**{'seed': self.context.seed or 0, **given})

    def settings(self) -> dict[str, Any]:
        given = super().settings()
        if 'from_labels' in given:
            return given
        # Paths as they are written: a pipeline may move, and weights may not be there yet.
        paths: dict[str, Any] = {key: given[key] for key in ('features', 'weights') if key in given}
        return {**dataclasses.asdict(self._recipe({**given, 'weights': None})), **paths}

    def run(self, resolve: Resolve, experiment: str) -> Result:
        out = self.directory / 'image_labels.npz'
        cfg, arguments = self.load(resolve), substitute(self.arguments, resolve)
        workers = arguments.get('workers', 2)

        def make() -> dict[str, float]:
            if 'from_labels' in arguments:
                count_image_labels(cfg, str(out), arguments['from_labels'], workers)
                return {}
            return predict_image_labels(cfg, str(out), self._recipe(arguments), workers)[1]

        return Result({'output': out}, on_main(make))


def _only_loading(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of a dataset's config, wrapped or not, the steps that load and resize."""
    return map_datasets(
        dataset, lambda each: {**each, 'pipeline': only_steps(each.get('pipeline') or (), *LOADING)}
    )
