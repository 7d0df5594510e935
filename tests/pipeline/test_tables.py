"""Tables of ablations as pipelines, and pipelines of several cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toys

from mmseg_uda.config.tables import Table
from mmseg_uda.pipeline import read_pipeline
from mmseg_uda.pipeline.state import State
from mmseg_uda.pipeline.tables import table_stages

run_toy = toys.load_script('tests/pipeline/run_toy.py')
RATE = 'optim_wrapper.optimizers.student.optimizer.lr'
ROWS: dict[str, Any] = {
    'plain': dict(text='as it is', table='1', cells=['source', 'labelled'], paper=(50.0,)),
    'slow': dict(options={RATE: 1e-6}, paper=(None, 40.0)),
    'again': dict(
        options={RATE: 1e-5}, cells=['labelled', 'source'], links={'load_from': '{plain}'}
    ),
    'linked': dict(
        options={RATE: 1e-4},
        cells=['labelled'],
        links={run_toy.PSEUDO_DIR: '{labels}'},
        variant='v',
    ),
}
PIPELINE = [
    dict(name='unused', type='test', config='source.py', checkpoint='{stage0}'),
    dict(name='labels', type='pseudo_label', config='source.py', checkpoint='{stage0.best}'),
]


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('tables') / 'toy'
    run_toy.write_configs(folder)
    stages = [dict(name='stage0', type='train', config='source.py'), *PIPELINE]
    write(folder, 'cell_pipeline.py', cells={'labelled-v': stages, 'source': stages[:1]})
    write(
        folder,
        'ablations.py',
        seed=1,
        cells={'source': 'source.py', 'labelled': 'self.py'},
        metrics={'labelled': 'aAcc'},
        pipeline='cell_pipeline.py',
        rows=ROWS,
    )
    return folder


def write(folder: Path, name: str, **values: Any) -> None:
    (folder / name).write_text('\n'.join(f'{key} = {value!r}' for key, value in values.items()))


def names(folder: Path, *given: Any) -> list[str]:
    return [stage['name'] for stage in table_stages(Table(folder / 'ablations.py'), *given)]


def test_stages_are_those_of_the_rows_and_what_they_need(folder: Path) -> None:
    assert names(folder, ['plain'], 'source') == ['plain_source', 'plain_source_test']
    assert names(folder, ['again'], 'source') == [
        'plain_source',
        'again_source',
        'again_source_test',
    ]
    assert names(folder, ['linked']) == [
        'stage0_labelled-v',
        'labels_labelled-v',
        'linked_labelled',
        'linked_labelled_test',
    ]
    stages = {
        stage['name']: stage for stage in table_stages(Table(folder / 'ablations.py'), ['linked'])
    }
    assert stages['labels_labelled-v']['checkpoint'] == '{stage0_labelled-v.best}'
    assert stages['linked_labelled'] == dict(
        name='linked_labelled',
        type='train',
        config='ablations.py:linked:labelled',
        options={run_toy.PSEUDO_DIR: '{labels_labelled-v}'},
        metric='aAcc',  # for select='target_labels'
    )


def test_pipeline_of_a_table_takes_cells_of_another(folder: Path, tmp_path: Path) -> None:
    """A string FILE:CELL stands for stages there, too, and configs keep their places."""
    cells = {'labelled-v': ['../toy/cell_pipeline.py:source', *PIPELINE]}
    (tmp_path / 'toy').symlink_to(folder)
    (tmp_path / 'own').mkdir()
    write(tmp_path / 'own', 'cells.py', cells=cells)
    table = dict(cells={'labelled': '../toy/self.py'}, rows={'linked': ROWS['linked']})
    write(tmp_path / 'own', 'ablations.py', pipeline='cells.py', seed=1, **table)
    first, *others = table_stages(Table(tmp_path / 'own/ablations.py'))
    assert first == dict(name='stage0_labelled-v', type='train', config='../toy/source.py')
    assert [stage['name'] for stage in others] == [
        'labels_labelled-v',
        'linked_labelled',
        'linked_labelled_test',
    ]
    write(tmp_path / 'own', 'cells.py', cells={'labelled-v': [dict(type='train')]})
    with pytest.raises(ValueError, match=r"cells.py: cells.labelled-v got {'type': 'train'}; wri"):
        table_stages(Table(tmp_path / 'own/ablations.py'))


def test_run(folder: Path, tmp_path: Path) -> None:
    def read(*rows: str) -> Any:
        return read_pipeline(
            folder / 'ablations.py', work_dir=tmp_path, rows=list(rows) or None, cell='source'
        )

    read('plain').run()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        'plain_source',
        'plain_source_test',
    ]
    pipeline = read('again', 'plain')
    assert [step.action for step in pipeline.plan()] == ['skip', 'skip', 'run', 'run']
    pipeline.run()
    assert (tmp_path / 'again_source/source_again.py').is_file()  # the runner's copy
    assert [step.action for step in read().plan()] == ['skip'] * 4
    state = State(tmp_path)
    plain, again = (
        state.stages[f'{row}_source_test'].metrics['mIoU'] for row in ('plain', 'again')
    )
    report = (tmp_path / 'report.md').read_text()
    assert report.endswith(
        f"""
## source: mIoU

| row | | table | paper | ours | difference |
|---|---|---|---|---|---|
| plain | as it is | 1 | 50.00 | {plain:.2f} | {plain - 50:+.2f} |
| again |  |  |  | {again:.2f} |  |

## labelled: aAcc

| row | | table | paper | ours | difference |
|---|---|---|---|---|---|
| plain | as it is | 1 |  |  |  |
| slow |  |  | 40.00 |  |  |
| again |  |  |  |  |  |
| linked |  |  |  |  |  |
"""
    )


@pytest.mark.parametrize(
    ('name', 'rows', 'cell', 'message'),
    [
        ('ablations.py', ['plan'], None, 'expected a row, but got plan; write plain'),
        ('ablations.py', None, 'sorce', 'expected a cell, but got sorce; write source'),
        ('ablations.py', ['slow'], 'source', "cell 'source' has none of the rows slow"),
        (
            'cell_pipeline.py',
            None,
            None,
            'expected a cell, but got none; write one of labelled-v, ',
        ),
        ('cell_pipeline.py', None, 'surce', 'expected a cell, but got surce; write source'),
        ('cell_pipeline.py', ['plain'], 'source', 'expected no --row, which it does not have'),
        ('toy_pipeline.py', None, 'source', 'expected no --cell, which it does not have'),
    ],
)
def test_wrong_names(
    folder: Path, name: str, rows: list[str] | None, cell: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=f'{name}: {message}'):
        read_pipeline(folder / name, rows=rows, cell=cell)


def test_cell(folder: Path) -> None:
    pipeline = read_pipeline(folder / 'cell_pipeline.py', cell='labelled-v')
    assert list(pipeline.stages) == ['stage0', 'unused', 'labels']
    assert pipeline.context.work_dir == Path('work_dirs/cell_pipeline_labelled-v').resolve()
    table = read_pipeline(folder / 'ablations.py', rows=['plain'])
    assert table.context.work_dir == Path('work_dirs/toy_ablations').resolve()


def test_pipeline_that_became_a_cell_names_it(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        read_pipeline(folder / 'old_pipeline.py')
    assert str(caught.value) == (
        f'read_pipeline: no config file {folder}/old_pipeline.py; write '
        f'{folder}/cell_pipeline.py --cell CELL, with one of labelled-v, source'
    )
    write(tmp_path, 'ablations.py', cells={'a': 'a.py', 'b': 'b.py'}, rows={})
    with pytest.raises(FileNotFoundError, match='ablations.py --cell CELL, with one of a, b$'):
        read_pipeline(tmp_path / 'old_pipeline.py')
