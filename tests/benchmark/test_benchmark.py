"""A whole benchmark of toys: runs, resumption, digests, pages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import toys
from mmengine.config import Config

from mmseg_uda.benchmark import Benchmark, read_benchmark
from mmseg_uda.benchmark import run as harness_module
from mmseg_uda.benchmark.config import Run
from mmseg_uda.benchmark.report import write_report
from mmseg_uda.benchmark.results import Results
from mmseg_uda.benchmark.table import Table

toy = toys.load_script('tests/benchmark/toy_benchmark.py')
DONE = ['pair/source_only-seed0', 'pair/adabn-seed0']


@pytest.fixture(scope='module')
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Benchmark, Results, list[str]]:
    """A benchmark of which two runs are done; the first one was cut off at its end."""
    root = tmp_path_factory.mktemp('benchmark')
    benchmark = read_benchmark(toy.write(root / 'configs'))
    results = Results(benchmark, root / 'docs')
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness_module, 'POLL', 0.0)
        harness = toy.harness(benchmark, results, root / 'work')
        runs = benchmark.select(DONE)
        score = harness_module.collect

        def stop(*args: Any) -> None:
            raise KeyboardInterrupt

        patch.setattr(harness_module, 'collect', stop)
        with pytest.raises(KeyboardInterrupt):
            harness.run(runs, lines.append)
        patch.setattr(harness_module, 'collect', score)
        assert harness.run(runs, lines.append) == []
    return benchmark, results, lines


def test_what_is_done_is_not_done_again(done: tuple[Benchmark, Results, list[str]]) -> None:
    benchmark, results, lines = done
    events = [' '.join(line.split()[:2]).rstrip(',') for line in lines]
    names = [f'{name}:' for name in DONE]
    both = [f'{name} {event}' for name in names for event in ('starts', 'done')]
    assert events == [f'{names[0]} starts', *both]
    # The cut-off run went on: its training ran once, and AdaBN used it.
    state = results.directory.parents[2] / 'work/pair-seed0/pipeline.json'
    stages = json.loads(state.read_text())['stages']
    assert {name: each['attempts'] for name, each in stages.items()} == dict.fromkeys(
        ['source_only', 'source_only_score', 'source_only_cost', 'adabn_score'], 1
    )
    again: list[str] = []
    harness = toy.harness(benchmark, results, Path('nowhere'))
    assert harness.run(benchmark.select(DONE), again.append) == []
    assert again == [f'{name} skipped, it is done' for name in names]
    assert [results.state(run) for run in benchmark.select(['dacs'])] == ['missing']


def test_result_holds_scores_cost_and_origin(done: tuple[Benchmark, Results, list[str]]) -> None:
    benchmark, results, _ = done
    content = json.loads(results.path(benchmark.runs[0]).read_text())
    assert list(content['points']) == ['2', '4']
    for metrics in content['points'].values():
        classes = [metrics[f'IoU_{name}'] for name in 'abcd']
        assert metrics['mIoU'] == pytest.approx(sum(classes) / 4, abs=0.02)
        assert {'source/mIoU', 'unlabelled/entropy', 'unlabelled/mirror_agreement'} < set(metrics)
    cost = content['cost']
    assert (cost['learning_passes'], cost['labelling_passes']) == (1, 0)
    assert cost['ratio'] == pytest.approx(cost['iteration_s'] / cost['passes_s'])
    assert cost['peak_memory_mib'] > 0.1
    assert set(content['seconds']) == {'source_only', 'source_only_score', 'source_only_cost'}
    assert content['training'] == 'source_only'
    assert content['code']['version']
    assert content['command'].endswith('--cell pair-source_only --cfg-options seed=0')
    # AdaBN changes the target's scores through the same weights.
    adapted = json.loads(results.path(benchmark.runs[1]).read_text())
    assert adapted['points']['4']['unlabelled/entropy'] != pytest.approx(
        content['points']['4']['unlabelled/entropy'], rel=1e-6
    )
    assert adapted['cost'] == {}


def test_digest_covers_values_not_names(
    done: tuple[Benchmark, Results, list[str]], tmp_path: Path
) -> None:
    """A copy with other names of files, directories and stages has the same digests."""
    benchmark, _, _ = done
    adabn, dacs = (benchmark.select([name])[0] for name in ('pair/adabn', 'pair/dacs'))
    before = [benchmark.digest(adabn), benchmark.digest(dacs)]
    copy = tmp_path / 'elsewhere'
    shutil.copytree(benchmark.path.parent / 'data', copy / 'data')
    text = toy.write(copy).read_text().replace('source_only.py', 'moved.py')
    text = text.replace("'source_only', 'type'", "'first', 'type'").replace(
        '{source_only}', '{first}'
    )
    (copy / 'toy.py').rename(copy / 'other.py').write_text(text)
    (copy / 'source_only.py').rename(copy / 'moved.py')

    def digests() -> list[str]:
        other = read_benchmark(copy / 'other.py')
        return [other.digest(adabn), other.digest(dacs)]

    assert [*read_benchmark(copy / 'other.py').pipeline(adabn).stages] == ['first', 'adabn_score']
    assert digests() == before
    # A value of a training changes the digests of all that use it, and of nothing else.
    changed = (copy / 'moved.py').read_text().replace("'lr': 0.05", "'lr': 0.06")
    (copy / 'moved.py').write_text(changed)
    now = digests()
    assert now[0] != before[0]
    assert now[1] == before[1]
    # So does another image.
    (copy / 'data/target/images/0.png').write_bytes(b'other')
    assert digests()[1] != before[1]


def test_digest_covers_the_images_that_an_earlier_stage_wrote(tmp_path: Path) -> None:
    """The link lies within ``data_prefix``, whose other values are paths."""
    images = 'train_dataloader.source.dataset.data_prefix.img_path'

    def cell(beta: float) -> list[dict[str, Any]]:
        train, score, _ = toy.stages('source_only')
        train['options'] = {**train['options'], images: '{translate}/images'}
        folders = dict(source='data/source/images', target='data/target/images')
        translate = dict(name='translate', type='translate', method='fda', beta=beta, **folders)
        return [translate, train, score]

    cells = {f'pair-{beta}': cell(beta) for beta in (0.01, 0.02)}
    texts = dict.fromkeys(['0.01', '0.02'], 'FDA')
    level = dict(methods=[*texts], pairs=['pair'], seeds=[0])
    changes = dict(cells=cells, texts=texts, levels=dict(a=level), baseline='0.01', bar='0.01')
    benchmark = read_benchmark(toy.write(tmp_path, **changes))
    one, other = map(benchmark.digest, benchmark.runs)
    assert one != other


def test_digest_covers_choices_and_weights_behind_a_url(tmp_path: Path) -> None:
    """The keys look like those of paths, but no input has their content."""

    def digest(**options: Any) -> str:
        train, score, _ = toy.stages('source_only')
        del train['options']['val_cfg'], train['options']['val_dataloader']
        train['options'].pop('val_evaluator', None)
        train['options'].update(options)
        cells = {'pair-source_only': [train, dict(score, checkpoint='{source_only.best}')]}
        level = dict(methods=['source_only'], pairs=['pair'], seeds=[0])
        benchmark = read_benchmark(toy.write(tmp_path, cells=cells, levels=dict(a=level)))
        return benchmark.digest(benchmark.runs[0])

    best = 'default_hooks.checkpoint.save_best'
    digests = [digest()]
    digests += [digest(**{best: score}) for score in ('mIoU', 'unlabelled/entropy')]
    digests += [digest(load_from=f'https://host/{name}.pth') for name in 'ab']
    digests.append(digest(**{'default_hooks.checkpoint.filename_tmpl': '{braces}'}))  # no stage
    assert len(set(digests)) == len(digests)
    assert digest(load_from='/nowhere/a.pth') == digest(load_from='/nowhere/b.pth')


def test_stale_results_are_known(
    done: tuple[Benchmark, Results, list[str]], tmp_path: Path
) -> None:
    benchmark, results, _ = done
    run = benchmark.runs[0]
    other = Results(benchmark, tmp_path)
    assert other.state(run) == 'missing'
    content = results.read(run)
    assert content is not None
    other.write(run, {**content, 'digest': 'x'})
    assert other.state(run) == 'stale'
    other.path(run).write_text('{')
    with pytest.raises(ValueError, match='Results: cannot read .*move it away, and run'):
        other.read(run)


def test_a_stage_without_the_seed_runs_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness_module, 'POLL', 0.0)
    first, score, cost = toy.stages('source_only')
    first['options']['randomness.seed'] = 7
    score['options'] = {'randomness.seed': 7}
    level = dict(methods=['source_only'], pairs=['pair'], seeds=[0, 1])
    path = toy.write(
        tmp_path / 'configs', cells={'pair-source_only': [first, score, cost]}, levels={'a': level}
    )
    benchmark = read_benchmark(path)
    harness = toy.harness(benchmark, Results(benchmark, tmp_path / 'docs'), tmp_path / 'work')
    assert harness.run(benchmark.runs) == []
    logs = [tmp_path / f'work/pair-seed{seed}/pipeline.log' for seed in (0, 1)]
    assert [log.read_text().count('source_only: reuse') for log in logs] == [0, 1]


def test_a_failed_run_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness_module, 'POLL', 0.0)
    benchmark = read_benchmark(toy.write(tmp_path / 'configs'))
    harness = toy.harness(benchmark, Results(benchmark, tmp_path / 'docs'), tmp_path / 'work')
    lines: list[str] = []

    def fail(run: Any) -> None:
        raise RuntimeError

    harness.before = fail
    runs = benchmark.select(['seed', 'pair/adabn'][1:])
    assert harness.run(runs, lines.append) == list(runs)
    assert [line.split(',')[0] for line in lines if 'FAILED' in line] == [
        f'{run.name}: FAILED with exit code 1' for run in runs
    ]


def test_a_run_whose_config_changes_meanwhile_has_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its result would have the digest of a training that was not made."""
    monkeypatch.setattr(harness_module, 'POLL', 0.0)
    benchmark = read_benchmark(toy.write(tmp_path / 'configs'))
    results = Results(benchmark, tmp_path / 'docs')
    harness = toy.harness(benchmark, results, tmp_path / 'work', cost=False)
    config = tmp_path / 'configs/source_only.py'

    def edit(run: Any) -> None:
        if run.method == 'source_only':
            config.write_text(config.read_text().replace("'lr': 0.05", "'lr': 0.06"))

    harness.before = edit
    lines: list[str] = []
    run, other = benchmark.select(['pair/source_only-seed0', 'pair/dacs'])
    assert harness.run([run, other], lines.append) == [run]
    assert 'FAILED as its configs or data changed while it ran' in '\n'.join(lines)
    assert [results.read(each) is None for each in (run, other)] == [True, False]


def test_a_result_that_cannot_be_written_stops_no_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness_module, 'POLL', 0.0)
    benchmark = read_benchmark(toy.write(tmp_path / 'configs'))
    results = Results(benchmark, tmp_path / 'docs')
    first, other = benchmark.select(['pair/source_only-seed0', 'pair/dacs'])
    results.path(first).mkdir(parents=True)
    lines: list[str] = []
    harness = toy.harness(benchmark, results, tmp_path / 'work', cost=False)
    assert harness.run([first, other], lines.append) == [first]
    assert [line.split(',')[0] for line in lines if 'FAILED' in line] == [
        'pair/source_only-seed0: FAILED at its end'
    ]
    assert results.read(other) is not None


def test_a_cell_without_scores_fails_before_it_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness_module, 'POLL', 0.0)
    cells = {'pair-source_only': toy.stages('source_only')[:1]}
    level = dict(methods=['source_only'], pairs=['pair'], seeds=[0])
    path = toy.write(tmp_path / 'configs', cells=cells, levels=dict(a=level))
    benchmark = read_benchmark(path)
    harness = toy.harness(benchmark, Results(benchmark, tmp_path / 'docs'), tmp_path / 'work')
    lines: list[str] = []
    assert harness.run(benchmark.runs, lines.append) == [*benchmark.runs]
    assert 'expected a stage of type score, but got none' in lines[0]
    assert not (tmp_path / 'work').exists()


def test_runs_of_one_directory_wait_for_each_other(
    done: tuple[Benchmark, Results, list[str]], tmp_path: Path
) -> None:
    benchmark, results, _ = done
    harness = toy.harness(benchmark, results, tmp_path, jobs=3)
    first, second, third, fourth, last = benchmark.runs
    assert [run.name for run in benchmark.runs] == [
        'pair/source_only-seed0',
        'pair/adabn-seed0',
        'pair/source_only-seed1',
        'pair/adabn-seed1',
        'pair/dacs-seed0',
    ]
    assert harness._startable(benchmark.runs, {}) == [first, third]
    assert harness._startable([second, fourth, last], {third: None}) == [second]
    assert toy.harness(benchmark, results, tmp_path)._startable(benchmark.runs, {}) == [first]


def test_without_the_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness_module, 'POLL', 0.0)
    benchmark = read_benchmark(toy.write(tmp_path / 'configs'))
    results = Results(benchmark, tmp_path / 'docs')
    harness = toy.harness(benchmark, results, tmp_path / 'work', cost=False)
    runs = benchmark.select(['pair/source_only-seed0', 'pair/adabn-seed0'])
    assert harness.run(runs) == []
    for run in runs:
        content = results.read(run)
        assert content is not None
        assert content['points']['4']['mIoU'] > 0
        assert content['cost'] == {}
    assert not (tmp_path / 'work/pair-seed0/source_only_cost').exists()
    page = write_report(results).read_text()
    assert '| Source only | 0 |' in page
    assert content['machine'] in page
    # What it costs is measured later, and nothing else is made again.
    results.path(runs[0]).unlink()
    later = toy.harness(benchmark, results, tmp_path / 'work')
    assert later.run(runs[:1]) == []
    content = results.read(runs[0])
    assert content is not None
    assert content['cost']['ratio'] > 0


def test_no_cost_of_a_benchmark_of_costs(tmp_path: Path) -> None:
    benchmark = read_benchmark(toys.ROOT / 'configs/benchmarks/gpu.py')
    results = Results(benchmark, tmp_path)
    harness = harness_module.Harness(
        benchmark, results, tmp_path / 'work', tmp_path / 'tool.py', cost=False
    )
    with pytest.raises(ValueError, match='--no-cost: all that gta/source_only_fp32-seed0 measures'):
        harness.run(benchmark.runs[:1], lambda line: None)


def test_processes_get_threads_and_a_lasting_memory(
    done: tuple[Benchmark, Results, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark, results, _ = done
    script = tmp_path / 'tool.py'
    script.write_text(
        'import os; print(*(os.environ[key] for key in ('
        "'OMP_NUM_THREADS', 'MALLOC_TOP_PAD_', 'MALLOC_MMAP_THRESHOLD_')))"
    )
    monkeypatch.setenv('OMP_NUM_THREADS', '7')
    monkeypatch.setenv('MALLOC_TOP_PAD_', '5')  # the user's own value stays
    harness = harness_module.Harness(benchmark, results, tmp_path / 'work', script, threads=2)
    run = benchmark.runs[0]
    assert harness._start(run).wait() == 0
    assert harness._log(run).read_text().split() == ['2', '5', str(2**30)]


@pytest.mark.parametrize(
    ('only', 'count'),
    [(None, 5), (['a'], 4), (['b'], 1), (['adabn'], 2), (['pair/adabn', 'pair/dacs-seed0'], 3)],
)
def test_selection(
    done: tuple[Benchmark, Results, list[str]], only: list[str] | None, count: int
) -> None:
    assert len(done[0].select(only)) == count


def test_wrong_names(done: tuple[Benchmark, Results, list[str]], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='--only: expected a run, but got adab; write adabn'):
        done[0].select(['adab'])
    with pytest.raises(FileNotFoundError, match='no config file nothing.py'):
        read_benchmark('nothing.py')
    path = toy.write(tmp_path, bar='ada_bn')
    with pytest.raises(ValueError, match='bar: expected a method, but got ada_bn; write adabn'):
        read_benchmark(path)
    path.write_text('cells = {}')
    with pytest.raises(ValueError, match='expected `title`, but got none'):
        read_benchmark(path)


@pytest.mark.parametrize(
    ('changes', 'line'),
    [
        (
            dict(levels=dict(a=dict(methods=['adabn'], pairs=['pair']))),
            'a: expected `seeds`',
        ),
        (dict(levels=dict(a=dict(method=['adabn']))), 'levels.a: expected a key.*write methods'),
        (dict(levels=[1]), 'levels: expected a dict with entries'),
        (dict(texts=dict(source_only='S', adabn='A')), 'levels.b.methods: expected a method.*dacs'),
        (dict(pair_texts={}), 'pair_texts: expected a dict with entries, but got {}'),
        (dict(pair_texts=dict(other='x')), 'levels.a.pairs: expected a pair, but got pair; write'),
        (dict(texts=dict(source_only=1)), "texts of 'source_only': expected a title, but got 1"),
        (dict(device='gpu'), 'device: expected one of .*cuda.*got .gpu'),
        (dict(value=dict(floor=['adabn'], labels=dict(dacs=0))), 'value: expected `ceiling`'),
        (dict(value='dacs'), 'value: expected a dict'),
        (
            dict(value=dict(floor=[], labels=dict(dacs=0), ceiling='dacs')),
            'value.floor: expe',
        ),
        (dict(value=dict(floor=['adabn'], labels=['dacs'], ceiling='dacs')), 'value.labels: expec'),
        (
            dict(value=dict(floor=['adabn'], labels=dict(dacs='5'), ceiling='dacs')),
            'value.labels.dacs: expected an integer of at least 0',
        ),
        (dict(comparisons=dict(title='x')), 'comparisons: expected a list'),
        (dict(comparisons=[dict(title='x')]), r'comparisons\[0\]: expected `steps`'),
        (dict(comparisons=[dict(title='x', steps=[])]), r'comparisons\[0\].steps: expected a list'),
    ],
)
def test_wrong_files_are_refused_in_a_line(
    tmp_path: Path, changes: dict[str, Any], line: str
) -> None:
    path = toy.write(tmp_path, **changes)
    with pytest.raises(ValueError, match=line) as caught:
        read_benchmark(path)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('seeds', [3, '012', ['0'], [-1], [], [True]])
def test_wrong_seeds_are_refused(tmp_path: Path, seeds: Any) -> None:
    level = dict(methods=['adabn'], pairs=['pair'], seeds=seeds)
    with pytest.raises(ValueError, match=r'levels\.a\.seeds: expected (a list|an integer)'):
        read_benchmark(toy.write(tmp_path, levels=dict(a=level)))


# --------------------------------------------------------------------------------------- pages


def fake(results: Results, values: dict[tuple[str, int], tuple[float, float]]) -> None:
    """Results of two points, with mIoU (target, source) at the last one."""
    for run in results.benchmark.runs:
        if (run.method, run.seed) in values:
            target, source = values[run.method, run.seed]
            metrics = {'mIoU': target, 'source/mIoU': source, 'IoU_a': target, 'IoU_b': 0.0}
            results.write(
                run,
                dict(
                    benchmark=results.benchmark.name,
                    pair=run.pair,
                    method=run.method,
                    seed=run.seed,
                    finished='',
                    points={
                        '2': dict(metrics, mIoU=1.0),
                        '4': {**metrics, 'unlabelled/entropy': 0.25},
                    },
                    cost=dict(
                        iteration_s=2.0,
                        passes_s=1.0,
                        ratio=2.0,
                        learning_passes=2.0,
                        labelling_passes=5.0,
                        peak_memory_mib=100.4,
                        machine='torch',
                    ),
                    seconds={'first': 9.0, run.method: 61.0},
                    training=run.method,
                    code=dict(version='1', commit='abc'),
                    machine='m',
                    command=f'run {run.name}',
                    digest='x',
                ),
            )


def test_a_result_counts_as_that_of_its_own_run_only(tmp_path: Path) -> None:
    levels = dict(a=dict(methods=['source_only', 'dacs'], pairs=['pair'], seeds=[0, 1]))
    results = Results(
        read_benchmark(toy.write(tmp_path / 'configs', levels=levels)), tmp_path / 'docs'
    )
    fake(results, {('dacs', 0): (30.0, 60.0)})
    directory = results.directory / 'pair'
    shutil.copy(directory / 'dacs-seed0.json', directory / 'dacs-seed1.json')
    with pytest.raises(ValueError, match=r'expected seed=1 in .*dacs-seed1\.json, but got 0; move'):
        list(results)
    (directory / 'dacs-seed1.json').rename(directory / 'source_only-seed0.json')
    with pytest.raises(ValueError, match="expected method='source_only' in .*, but got 'dacs'"):
        list(results)


def test_page(tmp_path: Path) -> None:
    levels = dict(a=dict(methods=['source_only', 'adabn', 'dacs'], pairs=['pair'], seeds=[0, 1]))
    benchmark = read_benchmark(toy.write(tmp_path / 'configs', levels=levels))
    results = Results(benchmark, tmp_path / 'docs')
    fake(
        results,
        {
            ('source_only', 0): (30.0, 60.0),
            ('source_only', 1): (32.0, 60.0),
            ('adabn', 0): (33.0, 50.0),
            ('adabn', 1): (35.0, 52.0),
            ('dacs', 1): (40.0, 61.0),
        },
    )
    page = write_report(results)
    lines = page.read_text().splitlines()
    assert lines[0] == '# Toys'
    write_report(results)  # replaces what it wrote
    assert not [*tmp_path.glob('docs.old-*')]
    manifest = page.parent / f'plots/{results.benchmark.name}.json'
    recorded = manifest.read_text()
    manifest.write_text('{"mine": 1}')
    write_report(results)
    assert manifest.with_name(f'{manifest.name}.old-1').read_text() == '{"mine": 1}'
    assert manifest.read_text() == recorded
    shutil.rmtree(tmp_path / 'docs.old-1')  # all of which nobody knew
    page.write_text('edited')
    write_report(results)
    assert (tmp_path / 'docs.old-1' / page.name).read_text() == 'edited'
    assert page.read_text().splitlines() == lines
    assert '| Source only | 0, 1 | 31.0 ± 1.4 |  | -3.0 [-3.0, -3.0] | 60.0 ± 0.0 |' in lines
    assert '| AdaBN | 0, 1 | 34.0 ± 1.4 | +3.0 [+3.0, +3.0] |  | 51.0 ± 1.4 |' in lines
    # Compared with the same seed of the others.
    assert '| DACS | 1 | 40.0 | +8.0 | +5.0 | 61.0 |' in lines
    assert '| method | a |' in lines  # class b is never right
    assert '| DACS | 2.000 | 1.000 | 2.00 | 2 + 5 | 100 | 0:01:01 |' in lines
    assert '| method | entropy ↓ |' in lines
    assert '| DACS | 0.250 |' in lines
    assert any(line.startswith('Code: 1 at abc. Machine: m, torch.') for line in lines)
    assert [line for line in lines if line.startswith('run ')] == [
        f'run pair/{name}'
        for name in (
            'source_only-seed0',
            'adabn-seed0',
            'source_only-seed1',
            'adabn-seed1',
            'dacs-seed1',
        )
    ]
    picture = tmp_path / 'docs/plots/toy-pair.png'
    before = picture.read_bytes()
    assert before.startswith(b'\x89PNG')
    page = results.directory.parents[1] / 'toy.md'
    text = page.read_text()
    write_report(results)
    assert page.read_text() == text
    assert picture.read_bytes() == before
    assert Table(results, 'pair').curves('dacs', 'mIoU') == {2: {1: 1.0}, 4: {1: 40.0}}


def test_page_of_costs_on_a_gpu(tmp_path: Path) -> None:
    made = toys.load_script('tests/benchmark/made_results.py')
    benchmark = made.benchmark(
        tmp_path / 'configs', dict(a='A', b='B'), seeds=1, pairs=('x',), device='cuda'
    )
    results = Results(benchmark, tmp_path / 'docs')
    made.write(results, 'x', 'a', 0, {})
    (run, content), *_ = results
    results.write(run, {**content, 'cost': {**content['cost'], 'host_waits': 9}})
    text = write_report(results).read_text()
    assert '1 of 2 runs are done.\n' in text  # nothing on scores, of which it has none
    assert '| method | iteration, s | bare passes, s | ratio |' in text
    assert '| peak memory, MiB | waits |' in text
    assert '| A | 0.500 | 0.400 | 1.25 | 2 + 1 | 100 | 9 |' in text
    assert 'Waits are the operations' in text
    assert 'processor time' not in text


def test_benchmarks_of_the_package_name_their_cells() -> None:
    for path in sorted((toys.ROOT / 'configs/benchmarks').glob('*.py')):
        benchmark = read_benchmark(path)
        assert {run.cell for run in benchmark.runs} <= set(Config.fromfile(path).cells)


class Recorded:
    """A training that goes on until it is stopped; the wait for it may be cut off."""

    def __init__(self, cut_off: bool) -> None:
        self.cut_off = cut_off
        self.calls: list[str] = []

    def poll(self) -> None:
        pass

    def terminate(self) -> None:
        self.calls.append('terminate')

    def wait(self) -> int:
        self.calls.append('wait')
        if self.cut_off:
            raise KeyboardInterrupt
        return 143


@pytest.mark.parametrize('again', [False, True])
def test_a_second_signal_does_not_wait_for_checkpoints(
    again: bool, done: tuple[Benchmark, Results, list[str]], tmp_path: Path
) -> None:
    benchmark, _, _ = done
    process = Recorded(again)

    class Stopped(harness_module.Harness):
        def _start(self, run: Run) -> Any:
            if process.calls or run.seed:
                raise KeyboardInterrupt  # while a second run starts
            return process

    harness = Stopped(benchmark, Results(benchmark, tmp_path), tmp_path / 'work', Path(), jobs=2)
    with pytest.raises(KeyboardInterrupt):
        harness.run(benchmark.runs, lambda line: None)
    assert process.calls == ['terminate', 'wait', *(['terminate'] if again else [])]


def test_a_run_gets_one_signal_and_saves_a_checkpoint(
    done: tuple[Benchmark, Results, list[str]], tmp_path: Path
) -> None:
    benchmark, results, _ = done
    script = tmp_path / 'tool.py'
    script.write_text("import os, sys; print(os.getsid(0), '--checkpoint-on-signal' in sys.argv)")
    harness = harness_module.Harness(benchmark, results, tmp_path / 'work', script)
    run = benchmark.runs[0]
    process = harness._start(run)
    assert process.wait() == 0
    assert harness._log(run).read_text().split() == [str(process.pid), 'True']
