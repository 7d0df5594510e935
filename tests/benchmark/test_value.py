"""The page about what labels are worth."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import toys

from mmseg_uda.benchmark import read_benchmark
from mmseg_uda.benchmark.report import write_report
from mmseg_uda.benchmark.results import Results

made = toys.load_script('tests/benchmark/made_results.py')
METHODS = dict(low='Source only', adabn='AdaBN', uda='DACS', uda_5='DACS + 5', high='All labels')
VALUE = dict(floor=['low', 'adabn'], labels=dict(uda=0, uda_5=5), ceiling='high')
SCORES = dict(low=(20, 22), adabn=(28, 28), uda=(30, 36), uda_5=(40, 44), high=(60, 62))


def test_page_and_plot(tmp_path: Path) -> None:
    benchmark = made.benchmark(tmp_path, METHODS, 2, ('day', 'dusk'), value=VALUE)
    results = Results(benchmark, tmp_path / 'docs')
    for method, scores in SCORES.items():
        for seed, score in enumerate(scores):
            made.write(results, 'day', method, seed, {10: dict(mIoU=score)})
    write_report(results)
    text = (tmp_path / 'docs/made-value.md').read_text()
    above_adabn = '+14.0 [-11.4, +39.4]'
    assert '| seeds | mIoU | above Source only | above AdaBN | of the gap |' in text
    assert '| Source only | 0 | 0, 1 | 21.0 ± 1.4 |  |  | 0% |' in text
    assert '| AdaBN | 0 | 0, 1 | 28.0 ± 0.0 | +7.0 [-5.7, +19.7] |  | 18% |' in text
    assert '| DACS | 0 | 0, 1 | 33.0 ± 4.2 | +12.0 [-13.4, +37.4] | +5.0 [' in text
    assert f'| 5 | 0, 1 | 42.0 ± 2.8 | +21.0 [+8.3, +33.7] | {above_adabn} | 52% |' in text
    assert '| All labels | all | 0, 1 | 61.0 ± 1.4 |' in text
    assert text.rstrip().endswith('## pair dusk\n\nNo run is done yet.')
    assert cv2.imread(str(tmp_path / 'docs/plots/made-value.png')).std() > 10
    write_report(results)  # what it wrote itself is replaced
    assert sorted(path.name for path in (tmp_path / 'docs').glob('*.md')) == [
        'made-value.md',
        'made.md',
    ]


def test_gap_over_the_seeds_of_all(tmp_path: Path) -> None:
    """A seed more of one method moves its mean, and not its part of the gap."""
    benchmark = made.benchmark(tmp_path, METHODS, 3, ('day',), value=VALUE)
    results = Results(benchmark, tmp_path / 'docs')
    for method, scores in {**SCORES, 'low': (20, 22, 60), 'uda': (30, 36, 90)}.items():
        for seed, score in enumerate(scores):
            made.write(results, 'day', method, seed, {10: dict(mIoU=score)})
    write_report(results)
    text = (tmp_path / 'docs/made-value.md').read_text()
    row = next(line for line in text.splitlines() if line.startswith('| DACS |'))
    assert '| 0, 1, 2 | 52.0 ± ' in row
    assert row.endswith('| 30% |')


def test_before_any_run(tmp_path: Path) -> None:
    benchmark = made.benchmark(tmp_path, METHODS, 1, ('day',), value=VALUE)
    write_report(Results(benchmark, tmp_path / 'docs'))
    assert 'No run is done yet.' in (tmp_path / 'docs/made-value.md').read_text()
    assert not (tmp_path / 'docs/plots/made-value.png').exists()


def test_unknown_method(tmp_path: Path) -> None:
    wrong = dict(VALUE, ceiling='hihg')
    with pytest.raises(ValueError, match='hihg.*high'):
        made.benchmark(tmp_path, METHODS, 1, ('day',), value=wrong)


@pytest.mark.parametrize(
    ('pair', 'roots'),
    [('day', ['synth_street', 'camvid_day']), ('dusk', ['camvid_day', 'camvid_dusk'])],
)
def test_labelled_images_of_the_small_pairs(pair: str, roots: list[str]) -> None:
    """A second source with the target's labels, whose images the seed chooses."""
    benchmark = read_benchmark(toys.ROOT / 'configs/benchmarks/small_real.py')
    run, *others = benchmark.select([f'{pair}/dacs_20'])
    assert len(others) == 1  # two seeds
    train = benchmark.pipeline(run, check=False).stages['dacs_20'].load()
    source, labelled = train.train_dataloader.source
    assert [Path(each.dataset.data_root).name for each in (source, labelled)] == roots
    assert (labelled.num_images, labelled.ratio, source.ratio) == (20, 1, 1)
    assert 'num_images' not in source
    (run, *_) = benchmark.select([f'{pair}/all_labels'])
    ceiling = benchmark.pipeline(run, check=False).stages['all_labels'].load()
    assert Path(ceiling.train_dataloader.source.dataset.data_root).name == roots[1]
    assert ceiling.model.type == 'SourceOnly'
    assert ('dacs_80' in {each.method for each in benchmark.select([pair])}) == (pair == 'day')
