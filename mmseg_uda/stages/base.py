"""What every stage of a pipeline is."""

from __future__ import annotations

import copy
import dataclasses
import difflib
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from mmengine.config import Config

from mmseg_uda.config.tables import read_config
from mmseg_uda.stages.inputs import find_inputs
from mmseg_uda.stages.options import check_options
from mmseg_uda.stages.references import find_references, split_reference, substitute
from mmseg_uda.utils.configs import misspelt_names

__all__ = ['ConfigStage', 'Lookup', 'Result', 'Settings', 'Stage']

# From a reference to the path behind it.
Lookup = Callable[[str], str]


@dataclasses.dataclass
class Settings:
    """What the stages of a pipeline share.

    Args:
        name: Name of the pipeline.
        folder: Folder of its config, to which paths of configs are relative.
        work_dir: Folder that holds everything it writes.
        seed: ``randomness.seed`` of every stage with a config; None leaves that to the configs.
        launcher: As for mmengine's runner.
    """

    name: str
    folder: Path
    work_dir: Path
    seed: int | None = None
    launcher: str = 'none'


@dataclasses.dataclass
class Result:
    """What a stage leaves behind.

    Args:
        outputs: Part and path; ``output`` is what ``{stage}`` means, another part ``{stage.part}``.
        metrics: Numbers for the report.
        coverage: For each class, predicted pixels and those that carry its pseudo label.
    """

    outputs: dict[str, Path]
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    coverage: dict[str, list[int]] = dataclasses.field(default_factory=dict)


class Stage:
    """One step of a pipeline; a subclass per type, see ``STAGES``.

    Args:
        name: Its name, and that of its folder.
        arguments: What the config says about it, without name and type.
        settings: What all stages share.

    Raises:
        ValueError: A key is unknown or missing.
    """

    # Its type in configs.
    kind: ClassVar[str] = ''
    required: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[tuple[str, ...]] = ()
    # What the output is: 'checkpoint', 'folder', 'metrics', 'prior' or 'image_labels'.
    makes: ClassVar[str] = 'folder'

    def __init__(self, name: str, arguments: Mapping[str, Any], settings: Settings) -> None:
        self.name = name
        self.arguments = dict(arguments)
        self.settings = settings
        self._check_keys()

    def _check_keys(self) -> None:
        known = (*self.required, *self.optional)
        for key in self.arguments:
            if key not in known:
                similar = difflib.get_close_matches(key, known, n=1)
                raise self.error(
                    key,
                    'is unknown; write '
                    + (f'`{similar[0]}`' if similar else f'one of {", ".join(known)}'),
                )
        for key in self.required:
            if key not in self.arguments:
                raise self.error(key, 'is missing')

    @property
    def folder(self) -> Path:
        """Where the stage writes."""
        return self.settings.work_dir / self.name

    @property
    def references(self) -> list[str]:
        """What the stage needs of earlier ones, each once."""
        return list(dict.fromkeys(find_references(self.arguments)))

    def error(self, key: str, text: object) -> ValueError:
        """An error that names the stage and the key."""
        return ValueError(f'stage {self.name!r}: {key} {text}')

    @contextmanager
    def at(self, key: str) -> Iterator[None]:
        """Let whatever goes wrong in the block name the stage and the key."""
        try:
            yield
        except Exception as error:  # configs are programs: anything can happen in them
            raise self.error(key, f'[{type(error).__name__}] {error}') from error

    def parts(self) -> Mapping[str, str]:
        """The parts of the output and what each is, as in :attr:`makes`."""
        return {'output': self.makes}

    def check(self, earlier: Mapping[str, Stage]) -> None:
        """Check what needs neither data nor weights.

        Args:
            earlier: The stages before this one.

        Raises:
            ValueError: Names the stage, the key and what to write.
        """
        for key, value in self.arguments.items():
            for reference in find_references(value):
                stage, part = split_reference(reference)
                if stage not in earlier:
                    names = ', '.join(earlier) or 'none'
                    raise self.error(
                        key,
                        f'refers to {{{reference}}}, but no stage before this '
                        f'one is called {stage!r}; write one of {names}',
                    )
                parts = earlier[stage].parts()
                if part not in parts:
                    names = ', '.join(
                        f'{{{stage}}}' if name == 'output' else f'{{{stage}.{name}}}'
                        for name in parts
                    )
                    raise self.error(
                        key,
                        f'refers to {{{reference}}}, which stage {stage!r} does '
                        f'not make; it makes {names}',
                    )

    def check_reference(
        self, key: str, value: Any, makes: str, earlier: Mapping[str, Stage]
    ) -> None:
        """Check that a value, if it is a reference, is of the right kind."""
        for reference in find_references(value):
            stage, part = split_reference(reference)
            found = earlier[stage].parts()[part]
            if found != makes:
                raise self.error(
                    key,
                    f'got {{{reference}}}, which is a {found}; refer to a stage '
                    f'that makes a {makes}',
                )

    def check_inputs(self) -> None:
        """Check that the data and weights exist that no earlier stage makes.

        Raises:
            ValueError: Names the stage, the key and what is missing.
        """

    def recipe(self) -> dict[str, Any]:
        """All that decides the result but for the outputs of earlier stages, as JSON."""
        raise NotImplementedError

    def run(self, lookup: Lookup, experiment: str) -> Result:
        """Do it, or go on where an earlier attempt was cut off.

        Every process calls this.

        Args:
            lookup: Gives the path behind a reference.
            experiment: A name that no other attempt has.
        """
        raise NotImplementedError

    def path(self, key: str, lookup: Lookup) -> str:
        """A path among the arguments, with its references resolved."""
        return str(substitute(self.arguments[key], lookup))


class ConfigStage(Stage):
    """A stage that runs a config of mmseg, changed by ``options``."""

    required: ClassVar[tuple[str, ...]] = ('config',)
    optional: ClassVar[tuple[str, ...]] = ('options',)
    # Whether the stage initialises a network, and so reads the weights that the config names.
    initialises: ClassVar[bool] = False

    def load(self, lookup: Lookup | None = None) -> Config:
        """The config with the pipeline's seed and the stage's options.

        Args:
            lookup: Gives the path behind a reference; None leaves references as they are.

        Raises:
            ValueError: There is no such config, or an option has no place in it.
        """
        cfg = copy.deepcopy(self._config)
        if self.settings.seed is not None:
            cfg.merge_from_dict({'randomness.seed': self.settings.seed})
        options = self.arguments.get('options', {})
        if not isinstance(options, Mapping):
            raise self.error('options', f'got {options!r}; write a dict of dotted paths')
        with self.at('options'):
            check_options(cfg, options)
            cfg.merge_from_dict(substitute(options, lookup) if lookup else dict(options))
        cfg.launcher = self.settings.launcher
        return cfg

    @functools.cached_property
    def _config(self) -> Config:
        """The config's file, read once: what was checked at the start is what runs later."""
        with self.at('config'):
            return read_config(Path(self.settings.folder, self.arguments['config']))

    def load_to_run(self, lookup: Lookup, experiment: str) -> Config:
        """The config with the stage's folder, and with names that no other runner has.

        mmengine hands out loggers, message hubs and visualizers by name, for the whole process.
        """
        cfg = self.load(lookup)
        cfg.work_dir = str(self.folder)
        cfg.experiment_name = experiment
        if cfg.get('visualizer'):
            cfg.visualizer.name = experiment
        return cfg

    def counted(self, cfg: Config) -> dict[str, Any]:
        """The parts of the config that decide the result."""
        raise NotImplementedError

    def check(self, earlier: Mapping[str, Stage]) -> None:
        super().check(earlier)
        cfg = self.load()
        for name, similar in misspelt_names(cfg):
            raise self.error('config', f'sets `{name}`, which nothing reads; write `{similar}`')
        for key, path, makes in find_inputs(self.counted(cfg), self.initialises).kinds():
            self.check_reference(key, path, makes, earlier)

    def check_inputs(self) -> None:
        with self.at('config'):
            find_inputs(self.counted(self.load()), self.initialises).check()

    def recipe(self) -> dict[str, Any]:
        parts = self.counted(self.load())
        return {'config': parts, 'inputs': find_inputs(parts, self.initialises).digests()}
