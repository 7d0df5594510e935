"""The count of samples that a training skips because their files are damaged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size
from mmengine.runner import Runner

__all__ = ['BrokenSamples']

KEY = 'broken_samples'


class BrokenSamples:
    """Lists skipped samples in the log, each once, and limits their number.

    The number is that of all processes and of the whole training: names are kept in the message
    hub, and so in checkpoints.

    Args:
        names: Names of the streams of each domain: ``source``, or ``source.0`` of several.
        limits: For each stream, the number of samples that may be skipped.
    """

    def __init__(self, names: Mapping[str, Sequence[str]], limits: Mapping[str, int]) -> None:
        self.limits = limits
        self.names = {
            domain: inside
            for domain, inside in names.items()
            if any(limits[name] for name in inside)
        }

    def count(self, runner: Runner, batches: Mapping[str, Any]) -> None:
        """Count the samples that were skipped for an iteration's batches, before it is trained on.

        Raises:
            OSError: There are more than may be skipped; it names the first one too many.
        """
        if not self.names:
            return
        known: dict[str, list[str]] = runner.message_hub.runtime_info.get(KEY) or {}
        for stream, name, error in self._gather(list(self._find(batches))):
            names = known.setdefault(stream, [])
            if name in names:
                continue
            key = f'train_dataloader.{stream}.skip_broken'
            limit = self.limits[stream]
            if len(names) == limit:
                raise OSError(
                    f'UDATrainLoop.{key}: expected at most {limit} broken samples, but got '
                    f'{limit + 1}, now {name}: {error}; replace the files, or write a larger number'
                )
            names.append(name)
            runner.logger.warning(
                f'UDATrainLoop: skips {name}: {error} ({len(names)} of {key}={limit})'
            )
        runner.message_hub.update_info(KEY, known)

    def _find(self, batches: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        for domain, names in self.names.items():
            # A batch that nobody trains on is not read for this.
            samples = batches[domain]['data_samples'] if isinstance(batches[domain], dict) else ()
            for sample in samples:
                for name, error in sample.get('broken', ()):
                    yield names[sample.get('stream', 0)], name, error

    @staticmethod
    def _gather(found: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
        """Join what the processes have found; usually there is nothing to send."""
        if get_world_size() == 1:
            return found
        number = torch.tensor(len(found))
        all_reduce(number)
        if not number:
            return []
        return [each for part in all_gather_object(found) for each in part]
