"""PIT's image-level stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmcv.transforms import LoadAnnotations, LoadImageFromFile, Resize
from mmengine.config import Config
from mmengine.dist import barrier, is_main_process

from mmseg_uda.artifacts.image_labels import KINDS
from mmseg_uda.config.datasets import map_datasets, only_steps
from mmseg_uda.stages.base import ConfigStage, Lookup, Result, Stage
from mmseg_uda.stages.image_labels.features import CONFIG, TIMM
from mmseg_uda.stages.image_labels.prediction import (
    ImageLabelRecipe,
    count_image_labels,
    predict_image_labels,
)
from mmseg_uda.stages.inputs import file_digest
from mmseg_uda.stages.references import find_references, substitute

__all__ = ['ImageLabelsStage']

RECIPE_KEYS = ('features', 'weights', 'input_size', 'epochs', 'lr', 'batch_size', 'seed')
LOADING = (LoadImageFromFile, LoadAnnotations, Resize)


class ImageLabelsStage(ConfigStage):
    """Labels the config's target training images as wholes; ``{name}`` is the file."""

    kind = 'image_labels'
    optional = ('options', *RECIPE_KEYS, 'from_labels', 'workers')
    makes = 'image_labels'
    initialises = True

    def check(self, earlier: Mapping[str, Stage]) -> None:
        given = self.arguments.get('from_labels')
        if given is not None and given not in KINDS:
            raise self.error('from_labels', f'got {given!r}; write one of {KINDS}')
        if given is not None and any(key in self.arguments for key in RECIPE_KEYS):
            raise self.error(
                'from_labels',
                'is set, so nothing is predicted; leave out '
                f'{", ".join(key for key in RECIPE_KEYS if key in self.arguments)}',
            )
        with self.at('type'):
            ImageLabelRecipe(**{**self._given(), 'weights': None})
        super().check(earlier)
        self.check_reference('weights', self.arguments.get('weights'), 'checkpoint', earlier)

    def check_inputs(self) -> None:
        super().check_inputs()
        with self.at('type'):
            self._recipe(self._given())
        features = self.arguments.get('features', ImageLabelRecipe.features)
        if (
            features.startswith(TIMM)
            and 'from_labels' not in self.arguments
            and find_spec('timm') is None
        ):
            raise self.error(
                'features',
                f'got {features!r}, which needs timm; run `pip install '
                "timm`, or write features='config'",
            )

    def _given(self) -> dict[str, Any]:
        """Arguments of the recipe, without what an earlier stage makes."""
        return {
            key: value
            for key, value in self.arguments.items()
            if key in RECIPE_KEYS and not list(find_references(value))
        }

    def _recipe(self, given: Mapping[str, Any]) -> ImageLabelRecipe:
        """With the pipeline's seed, and paths relative to its folder."""
        given = {'seed': self.settings.seed or 0, **given}
        features = given.get('features', CONFIG)
        if features != CONFIG and not features.startswith(TIMM):  # a config, as `config` is
            given['features'] = str(Path(self.settings.folder, features))
        if given.get('input_size') is not None:
            given['input_size'] = tuple(given['input_size'])
        return ImageLabelRecipe(**given)

    def counted(self, cfg: Config) -> dict[str, Any]:
        content = cfg.to_dict()
        loaders = content.get('train_dataloader') or {}
        parts: dict[str, Any] = {
            'train_dataloader': {
                domain: {'dataset': _only_loading(loader['dataset'])}
                for domain, loader in loaders.items()
                if domain == 'target' or 'from_labels' not in self.arguments
            }
        }
        features = self.arguments.get('features')
        if features is None or features.startswith(TIMM):
            return parts
        if features != CONFIG:
            with self.at('features'):
                content = Config.fromfile(Path(self.settings.folder, features)).to_dict()
        model = content['model']
        segmentor = model.get('segmentor', model)
        kept = {key: segmentor.get(key) for key in ('backbone', 'pretrained', 'data_preprocessor')}
        if 'weights' in self.arguments:
            kept.pop('pretrained')
            kept['backbone'] = {**kept['backbone'], 'init_cfg': None}
        return {**parts, 'features': kept, 'data_preprocessor': model.get('data_preprocessor')}

    def recipe(self) -> dict[str, Any]:
        recipe = super().recipe()
        if 'from_labels' in self.arguments:
            return {**recipe, 'arguments': {'from_labels': self.arguments['from_labels']}}
        recipe['arguments'] = {
            **dataclasses.asdict(self._recipe(self._given())),
            **{
                key: self.arguments[key] for key in ('features', 'weights') if key in self.arguments
            },
        }
        weights = self._given().get('weights')
        if weights is not None:
            recipe['inputs']['weights'] = file_digest(weights)
        return recipe

    def run(self, lookup: Lookup, experiment: str) -> Result:
        out, metrics = self.folder / 'image_labels.npz', {}
        cfg, workers = self.load(lookup), self.arguments.get('workers', 2)
        if is_main_process():
            if 'from_labels' in self.arguments:
                count_image_labels(cfg, str(out), self.arguments['from_labels'], workers)
            else:
                given = {
                    key: substitute(value, lookup)
                    for key, value in self.arguments.items()
                    if key in RECIPE_KEYS
                }
                metrics = predict_image_labels(cfg, str(out), self._recipe(given), workers)[1]
        barrier()
        return Result({'output': out}, metrics)


def _only_loading(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """A data set's config, wrapped or not, without what training does with its images."""
    return map_datasets(
        dataset, lambda each: {**each, 'pipeline': only_steps(each.get('pipeline') or (), *LOADING)}
    )
