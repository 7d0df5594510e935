"""The stage that translates images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmseg_uda.config.check import check_config
from mmseg_uda.config.signatures import check_names
from mmseg_uda.config.tables import choose, read_config
from mmseg_uda.config.values import check_values
from mmseg_uda.stages.base import Resolve, Result, Stage
from mmseg_uda.stages.inputs import Input
from mmseg_uda.stages.references import substitute
from mmseg_uda.stages.translation.directory import check_numbers, translate_folder
from mmseg_uda.stages.translation.translators import TRANSLATORS, Translator, generator_of
from mmseg_uda.utils.processes import on_main

__all__ = ['TranslateStage']

OPTIONS = {field.name for each in TRANSLATORS.values() for field in dataclasses.fields(each)}


class TranslateStage(Stage):
    """Gives source images the target's style; ``{name}`` is the directory."""

    kind = 'translate'
    required = ('source',)
    optional = (
        *('target', 'method', 'seed', 'max_images', 'labels', 'image_suffix', 'label_suffix'),
        *('nproc', *sorted(OPTIONS - {'pool'})),
    )
    unrecorded = ('nproc', 'config', 'checkpoint')
    takers = (translate_folder,)

    @property
    def translator(self) -> type[Translator]:
        """The class of the method."""
        method = self.arguments.get('method', 'fda')
        return TRANSLATORS[choose('method', method, TRANSLATORS, f'stage {self.name!r}')]

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the method."""
        return {key: value for key, value in self.arguments.items() if key in OPTIONS}

    def check(self, earlier: Mapping[str, Stage]) -> None:
        self.refuse(check_names('', self.translator, self.options))
        self.refuse(check_values('', self.translator, self.options))
        if self.translator.takes_style != ('target' in self.arguments):
            found = 'is missing' if self.translator.takes_style else 'is of no use; remove it'
            raise self.error('target', found)
        if 'config' in self.arguments:
            with self.error_context('config'):
                cfg = read_config(self._config)
            self.refuse(check_config(cfg, self.context.models))
        super().check(earlier)

    @property
    def _config(self) -> str:
        return str(Path(self.context.directory, self.arguments['config']))

    def inputs(self) -> list[Input]:
        keys = dict.fromkeys(('source', 'target', 'labels'), 'directory')
        keys['checkpoint'] = 'checkpoint'
        given = [(key, self.arguments.get(key), kind) for key, kind in keys.items()]
        return [Input(key, path, kind) for key, path, kind in given if path]

    def config_parts(self) -> dict[str, Any]:
        if 'config' not in self.arguments:
            return {}
        with self.error_context('config'):
            return {'generator': generator_of(read_config(self._config).model.to_dict())}

    def settings(self) -> dict[str, Any]:
        numbers = ('seed', 'max_images', 'nproc')
        check_numbers(**{key: self.arguments[key] for key in numbers if key in self.arguments})
        self.translator(**self.options)  # checks the values
        return {'seed': self.context.seed or 0, **super().settings()}

    def run(self, resolve: Resolve, experiment: str) -> Result:
        out = self.directory / 'translated'
        arguments = {'target': None, **self.arguments, **self.settings()}
        if 'config' in arguments:
            arguments['config'] = self._config
        given = substitute(arguments, resolve)
        on_main(lambda: translate_folder(out=str(out), **given))
        return Result({'output': out})
