"""Stages of a pipeline: one offline job each, with its inputs, its recipe and its outputs."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from mmengine.config import Config

from mmseg_uda.config.check import check_config
from mmseg_uda.config.options import merge_options
from mmseg_uda.config.problems import ConfigError, Problem
from mmseg_uda.config.tables import choose, read_config
from mmseg_uda.config.values import check_values
from mmseg_uda.stages.context import PipelineContext
from mmseg_uda.stages.inputs import Input, find_inputs
from mmseg_uda.stages.references import find_references, split_reference, substitute

__all__ = ['CheckpointStage', 'ConfigStage', 'Resolve', 'Result', 'Stage']

Resolve = Callable[[str], str]  # gives the path behind a reference


@dataclasses.dataclass
class Result:
    """Outputs of a stage.

    Args:
        outputs: Part and path; ``output`` is what ``{stage}`` means, another part ``{stage.part}``.
        metrics: Numbers for the report.
        coverage: For each class, predicted pixels and those that carry its pseudo label.
    """

    outputs: dict[str, Path]
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    coverage: dict[str, list[int]] = dataclasses.field(default_factory=dict)


class StageError(ValueError):
    """An error that names the stage and the key."""


class Stage:
    """One step of a pipeline; a subclass per type, see ``STAGES``.

    Args:
        name: Its name, and that of its directory.
        arguments: Its keys in the config, without name and type.
        context: Values that all stages share.

    Raises:
        ValueError: A key is unknown or missing.
    """

    # Its type in configs.
    kind: ClassVar[str] = ''
    required: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[tuple[str, ...]] = ()
    # Arguments that are no part of the recipe, because they do not change the result.
    unrecorded: ClassVar[tuple[str, ...]] = ()
    # Kind of the output: 'directory', 'metrics', 'picture', or a value of `config.reads.KINDS`.
    makes: ClassVar[str] = 'directory'
    # Functions and recipes to which the arguments go.
    takers: ClassVar[tuple[Callable[..., Any], ...]] = ()

    def __init__(self, name: str, arguments: Mapping[str, Any], context: PipelineContext) -> None:
        self.name = name
        self.arguments = dict(arguments)
        self.context = context
        for key in self.arguments:
            choose('key', key, (*self.required, *self.optional), f'stage {name!r}')
        for key in self.required:
            if key not in self.arguments:
                raise self.error(key, 'is missing')

    @property
    def directory(self) -> Path:
        """The directory that the stage writes."""
        return self.context.work_dir / self.name

    @property
    def references(self) -> list[str]:
        """Outputs of earlier stages that the stage needs, each once."""
        return list(dict.fromkeys(find_references(self.arguments)))

    def error(self, key: str, text: object) -> StageError:
        """Make an error that names the stage and the key."""
        return StageError(f'stage {self.name!r}: {key} {text}')

    @contextmanager
    def error_context(self, key: str) -> Iterator[None]:
        """Name the stage and the key in any error of the block."""
        try:
            yield
        except (StageError, ConfigError):
            raise
        except Exception as error:  # configs are programs: anything can happen in them
            raise self.error(key, f'[{type(error).__name__}] {error}') from error

    def refuse(self, problems: Iterable[Problem]) -> None:
        """Raise a :class:`ConfigError` that names the stage, if there are problems."""
        problems = list(problems)
        if problems:
            raise ConfigError(problems).within(f'stage {self.name!r}')

    def parts(self) -> Mapping[str, str]:
        """Parts of the output and the kind of each, as in :attr:`makes`."""
        return {'output': self.makes}

    def labelled_parts(self) -> Collection[str]:
        """Parts of the output that labels of the target's validation split choose."""
        return ()

    def inputs(self) -> list[Input]:
        """Files, directories and datasets that the stage reads."""
        return []

    def check(self, earlier: Mapping[str, Stage]) -> None:
        """Check everything that needs neither data nor weights.

        Args:
            earlier: The stages before this one.

        Raises:
            ValueError: Names the stage, the key and a remedy.
        """
        for taker in self.takers:
            self.refuse(check_values('', taker, self.arguments))
        for key, value in self.arguments.items():
            for reference in find_references(value):
                stage, part = split_reference(reference)
                where = f'stage {self.name!r}: {key} refers to {{{reference}}}'
                choose('stage before this one', stage, earlier, where)
                choose(f'part of {stage!r}', part, earlier[stage].parts(), where)
        with self.error_context('type'):
            self.settings()  # checks the values
        for each in self.inputs():
            # A dataset may refer to outputs of several kinds.
            for reference in find_references(each.value) if each.kind != 'dataset' else ():
                stage, part = split_reference(reference)
                found = earlier[stage].parts()[part]
                if found != each.kind:
                    raise self.error(
                        each.key,
                        f'got {{{reference}}}, which is a {found}; refer to a stage that makes a '
                        f'{each.kind}',
                    )

    def missing(self) -> Iterator[tuple[str, str]]:
        """Find the inputs that do not exist and that no earlier stage makes.

        Yields:
            The path, or what else is missing, and an error that names the key.
        """
        for each in self.inputs():
            yield from each.missing()

    def config_parts(self) -> dict[str, Any]:
        """The parts of the stage's config that decide the result."""
        return {}

    def settings(self) -> dict[str, Any]:
        """The arguments that decide the result.

        Raises:
            ValueError: An argument has a wrong value.
        """
        return {key: value for key, value in self.arguments.items() if key not in self.unrecorded}

    def recipe(self) -> dict[str, Any]:
        """All that decides the result but for the outputs of earlier stages, as JSON."""
        parts = {'config': self.config_parts(), 'arguments': self.settings()}
        return {
            'type': self.kind,
            **{key: part for key, part in parts.items() if part},
            'inputs': {each.key: each.digest() for each in self.inputs() if not each.pending},
        }

    def run(self, resolve: Resolve, experiment: str) -> Result:
        """Do the job, or go on where an earlier attempt was cut off.

        Every process calls this.

        Args:
            resolve: Gives the path behind a reference.
            experiment: A name that no other attempt has.
        """
        raise NotImplementedError


class ConfigStage(Stage):
    """A stage that runs a config of mmseg, changed by ``options``."""

    required: ClassVar[tuple[str, ...]] = ('config',)
    optional: ClassVar[tuple[str, ...]] = ('options',)
    unrecorded: ClassVar[tuple[str, ...]] = ('config', 'options')
    # Top-level keys of the config that decide the result.
    fingerprint_keys: ClassVar[tuple[str, ...]] = ()
    # Whether the stage initialises a network, and so reads the weights that the config names.
    initialises: ClassVar[bool] = False
    # What check() found sound: a later stage with the same config need not look again.
    checked: dict[str, Any] | None = None

    def load(self, resolve: Resolve | None = None) -> Config:
        """Read the config with the pipeline's seed and the stage's options.

        Args:
            resolve: Gives the path behind a reference; None leaves references as they are.

        Raises:
            StageError: There is no such config, or an option has no place in it.
        """
        cfg = copy.deepcopy(self._config)
        if self.context.seed is not None:
            cfg.merge_from_dict({'randomness.seed': self.context.seed})
        options = self.arguments.get('options', {})
        if not isinstance(options, Mapping):
            raise self.error('options', f'got {options!r}; write a dict of dotted paths')
        try:
            merge_options(cfg, substitute(options, resolve) if resolve else options)
        except ConfigError as error:
            self.refuse(error.problems)
        cfg.launcher = self.context.launcher
        return cfg

    @functools.cached_property
    def _config(self) -> Config:
        """The config's file, read once: what was checked at the start is what runs later."""
        path = self.arguments['config']
        if not isinstance(path, (str, Path)):
            raise self.error('config', f'got {path!r}; write the path of a config')
        with self.error_context('config'):
            return read_config(Path(self.context.directory, path))

    def load_to_run(self, resolve: Resolve, experiment: str) -> Config:
        """Read the config with the stage's directory, and with names that no other runner has.

        mmengine hands out loggers, message hubs and visualizers by name, for the whole process.
        """
        cfg = self.load(resolve)
        cfg.work_dir = str(self.directory)
        cfg.experiment_name = experiment
        if cfg.get('visualizer'):
            cfg.visualizer.name = experiment
        return cfg

    def fingerprint(self, cfg: Config) -> dict[str, Any]:
        """Select the parts of the config that decide the result."""
        return {key: cfg.to_dict().get(key) for key in self.fingerprint_keys}

    def config_parts(self) -> dict[str, Any]:
        cfg = self.load()
        with self.error_context('config'):
            return self.fingerprint(cfg)

    def inputs(self) -> list[Input]:
        return list(find_inputs(self.config_parts(), self.initialises))

    def check(self, earlier: Mapping[str, Stage]) -> None:
        content = self.load().to_dict()
        if content not in [getattr(stage, 'checked', None) for stage in earlier.values()]:
            self.refuse(check_config(content, self.context.models))
        self.checked = content
        super().check(earlier)


class CheckpointStage(ConfigStage):
    """A stage that runs a config with a checkpoint: a file, or an earlier stage's."""

    required: ClassVar[tuple[str, ...]] = ('config', 'checkpoint')

    def check(self, earlier: Mapping[str, Stage]) -> None:
        value = self.arguments['checkpoint']
        if not isinstance(value, (str, Path)):
            raise self.error('checkpoint', f'got {value!r}; write a path, or {{STAGE}}')
        super().check(earlier)

    def inputs(self) -> list[Input]:
        return [
            *super().inputs(),
            Input('checkpoint', self.arguments['checkpoint'], 'checkpoint'),
        ]

    def checkpoint(self, resolve: Resolve) -> str:
        """Give the checkpoint's path."""
        return str(substitute(self.arguments['checkpoint'], resolve))
