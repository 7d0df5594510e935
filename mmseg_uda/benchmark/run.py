"""Runs of a benchmark, each a pipeline in a process of its own; what is done is skipped."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from mmseg_uda.benchmark.config import Benchmark, Run
from mmseg_uda.benchmark.results import Origin, Results, collect
from mmseg_uda.pipeline.state import STATE_NAME

__all__ = ['Harness']

POLL = 0.5  # seconds
# Otherwise glibc gives a large tensor's memory back, and fetches it anew for the next one.
MEMORY = {
    'MALLOC_MMAP_THRESHOLD_': str(2**30),
    'MALLOC_TRIM_THRESHOLD_': str(2**32),
    'MALLOC_TOP_PAD_': str(2**28),
}
THREADS = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS')


class Harness:
    """Makes the runs of a benchmark that are missing or stale.

    A run is a pipeline, which continues where it was cut off, and which shares its directory with
    the other runs of its pair and seed: a stage that several methods need runs once. A stage that
    does not depend on the seed is taken from another directory of the benchmark. A signal ends the
    runs: a training saves a checkpoint of its iteration first, unless a second signal comes.

    Args:
        benchmark: The benchmark.
        results: Its results.
        work_dir: Directory for the pipelines.
        tool: ``tools/run_pipeline.py``.
        jobs: Runs at once; those of one pair and seed run one after the other.
        threads: Threads of each run.
        nice: Added niceness of each run.
        reuse: Directories of further pipelines whose finished stages are taken.
        cost: False to leave out what an iteration costs, on a machine that does other work.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        results: Results,
        work_dir: Path,
        tool: Path,
        jobs: int = 1,
        threads: int = 1,
        nice: int = 0,
        reuse: Sequence[str] = (),
        cost: bool = True,
    ) -> None:
        self.benchmark, self.results, self.work_dir = benchmark, results, work_dir
        self.tool, self.jobs, self.threads, self.nice = tool, jobs, threads, nice
        self.reuse, self.cost = reuse, cost

    def command(self, run: Run) -> str:
        """The command that makes a run alone, in a directory of its own."""
        return (
            f'python tools/{self.tool.name} {shlex.quote(self.benchmark.path.as_posix())} '
            f'--cell {run.cell} --cfg-options seed={run.seed}'
        )

    def run(self, runs: Sequence[Run], report: Callable[[str], None] = print) -> list[Run]:
        """Make the runs that are not done.

        Args:
            runs: The runs, in order.
            report: Called with a line per run that is skipped, starts or ends.

        Returns:
            The runs that failed.
        """
        waiting: list[Run] = []
        failed: list[Run] = []
        origins: dict[Run, Origin] = {}
        processes: dict[Run, subprocess.Popen[bytes]] = {}
        for run in runs:
            if self.results.state(run) == 'done':
                report(f'{run.name}: skipped, it is done')
            else:
                waiting.append(run)
        try:
            while waiting or processes:
                for run in self._startable(waiting, processes):
                    waiting.remove(run)
                    try:
                        origins[run] = Origin.of(self.benchmark, run)
                    except ValueError as error:  # of its cell, before anything is trained
                        report(f'{run.name}: FAILED, {error}')
                        failed.append(run)
                        continue
                    report(f'{run.name}: starts, see {self._log(run)}')
                    processes[run] = self._start(run)
                time.sleep(POLL)
                for run in [each for each in processes if processes[each].poll() is not None]:
                    code = processes.pop(run).returncode
                    failure = self._finish(run, code, origins[run])
                    if failure:
                        failed.append(run)
                    text = f'FAILED {failure}' if failure else f'done, {self.results.path(run)}'
                    report(f'{run.name}: {text}')
        finally:
            _stop(processes.values())
        return failed

    def _startable(self, waiting: Sequence[Run], running: Mapping[Run, object]) -> list[Run]:
        """The next runs for which there is a place, and whose directory is free."""
        busy = {run.directory for run in running}
        chosen: list[Run] = []
        for run in waiting:
            if len(running) + len(chosen) < self.jobs and run.directory not in busy:
                chosen.append(run)
                busy.add(run.directory)
        return chosen

    def _log(self, run: Run) -> Path:
        return self.work_dir / run.directory / f'{run.method}.log'

    def _start(self, run: Run) -> subprocess.Popen[bytes]:
        log = self._log(run)
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(self.tool), str(self.benchmark.path), '--cell', run.cell]
        command += ['--work-dir', str(log.parent), '--checkpoint-on-signal']
        if end := self.last_stage(run):
            command += ['--until', end]
        command += ['--cfg-options', f'seed={run.seed}']
        if reuse := self.reused(run):
            command.append(f'reuse={reuse!r}')
        if self.nice:
            command = ['nice', '-n', str(self.nice), *command]
        environment = {**MEMORY, **os.environ, **dict.fromkeys(THREADS, str(self.threads))}
        with open(log, 'ab') as file:
            return subprocess.Popen(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # else Ctrl-C would be its first signal, ours the second
            )

    def last_stage(self, run: Run) -> str | None:
        """The stage after which a run ends: with ``cost=False``, the last that measures none.

        Raises:
            ValueError: All that it measures is a cost.
        """
        if self.cost:
            return None
        stages = self.benchmark.pipeline(run, self.work_dir, check=False).stages.values()
        names = [stage.name for stage in stages if stage.kind != 'cost']
        if not names:
            raise ValueError(f'--no-cost: all that {run.name} measures is a cost; leave it out')
        return names[-1]

    def reused(self, run: Run) -> list[str]:
        """Directories of pipelines whose finished stages a run takes."""
        found = sorted(path.parent for path in self.work_dir.glob(f'*/{STATE_NAME}'))
        return [*self.reuse, *(str(path) for path in found if path.name != run.directory)]

    def _finish(self, run: Run, code: int, origin: Origin) -> str:
        """Write the result of a run that has ended, or say why there is none."""
        if code:
            return f'with exit code {code}, see the end of {self._log(run)}'
        try:
            if Origin.of(self.benchmark, run).digest != origin.digest:
                return 'as its configs or data changed while it ran; run the benchmark again'
            content = collect(
                self.benchmark, run, self.work_dir, self.command(run), origin, self.cost
            )
            self.results.write(run, content)
        except (OSError, ValueError) as error:
            return f'at its end, {error}'
        return ''


def _stop(processes: Collection[subprocess.Popen[bytes]]) -> None:
    """End runs, and wait for the checkpoints of their trainings."""
    for process in processes:
        process.terminate()
    try:
        for process in processes:
            process.wait()
    except KeyboardInterrupt:
        for process in processes:
            process.terminate()
        raise
