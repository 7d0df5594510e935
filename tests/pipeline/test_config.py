"""Wrong pipelines end in one error that names the stage and the key, before any work."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import toys

from mmseg_uda.config import building, check
from mmseg_uda.config.problems import ConfigError
from mmseg_uda.pipeline import Pipeline, read_pipeline
from mmseg_uda.stages import STAGES

run_toy = toys.load_script('tests/pipeline/run_toy.py')


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('reading') / 'configs'
    run_toy.write_configs(folder)
    return folder


def read(
    folder: Path, changes: dict[str, Any], options: dict[str, Any] | None = None, **more: Any
) -> Pipeline:
    """The toy pipeline with changes, ``stage.key`` or ``stage`` (None removes)."""
    stages = copy.deepcopy(run_toy.STAGES)
    for place, value in changes.items():
        name, _, key = place.partition('.')
        stage = next(each for each in stages if each['name'] == name)
        stage.update({key: value})
        if value is None:
            stage.pop(key)
    return read_pipeline(
        run_toy.write_pipeline(folder, stages, **more), options, folder.parent / 'work'
    )


OPTIONS = 'generation1.options'
WRONG: list[tuple[dict[str, Any], str]] = [
    ({'stage0.type': 'trian'}, "stage 'stage0': expected a type, but got trian; write train"),
    (
        {'stage0.type': None},
        "'stage0': expected a type, but got none; write one of train, ps",
    ),
    ({'stage0.name': 'a/b'}, r"stages\[0\].name got 'a/b'; write letters"),
    ({'stage0.name': 'replaced'}, r"stages\[0\].name got 'replaced'"),
    ({'labels2.name': 'labels1'}, "stage 'labels1': name is taken by 2 stages"),
    ({'stage0.cofnig': 1}, "stage 'stage0': expected a key, but got cofnig; write config"),
    (
        {'stage0.rule': 'bdl'},
        "'stage0': expected a key, but got rule; write one of config, opt",
    ),
    ({'stage0.config': None}, "stage 'stage0': config is missing"),
    (
        {'stage0.config': 'no.py'},
        r"stage 'stage0': config \[FileNotFoundError\] no config file .*no.py",
    ),
    (
        {'labels1.checkpoint': '{stage9}'},
        "'labels1': checkpoint refers to {stage9}: expected a stage before .* write stage0$",
    ),
    ({'labels1.checkpoint': '{generation1}'}, 'stage before this one, but got generation1; write'),
    (
        {'labels1.checkpoint': '{stage0.worst}'},
        r'refers to \{stage0.worst\}: expected a part of .stage0., but got worst; write one of '
        'output, best',
    ),
    ({'labels2.checkpoint': '{labels1}'}, r'checkpoint got \{labels1\}, which is a directory'),
    (
        {OPTIONS: {run_toy.PSEUDO_DIR: '{stage0}'}},
        r'train_dataloader.target.dataset.pipeline.1.pseudo_dir got \{stage0\}, which is a check',
    ),
    ({OPTIONS: {'load_from': '{labels1}'}}, r'load_from got \{labels1\}, which is a directory'),
    ({OPTIONS: ['a']}, "stage 'generation1': options got .'a'.; write a dict"),
    (
        {OPTIONS: {'train_cfg.max_iter': 1}},
        "stage 'generation1': train_cfg.max_iter: UDATrainLoop has no argument 'max_iter'; "
        "write 'max_iters'",
    ),
    ({OPTIONS: {'model.segmentr.backbone': 1}}, "has no argument 'segmentr'; write 'segmentor'"),
    ({OPTIONS: {'param_scheduler.1.power': 1}}, "has no item '1'; write a number below 1"),
    ({OPTIONS: {'param_scheduler.1': 1}}, "has no item '1'; write a number below 1"),
    ({OPTIONS: {'randomness.seed.x.y': 1}}, 'randomness.seed is 1, which has no parts'),
    ({OPTIONS: {'optim_wraper': 1}}, "nothing reads 'optim_wraper'; write 'optim_wrapper'"),
    ({OPTIONS: {'train_dataloader.target.num_wokers': 1}}, "write 'num_workers'"),
    ({OPTIONS: {3: 1}}, "stage 'generation1': 3: expected a dotted key path"),
    ({OPTIONS: {'default_hooks.checkpoint.out_dir': 'x'}}, 'has default_hooks.checkpoint.out_dir'),
    ({OPTIONS: {'default_hooks.checkpoint.save_best': ['mIoU', 'aAcc']}}, 'write one metric'),
    ({OPTIONS: {'train_dataloader': None}}, 'no train_dataloader or no train_cfg'),
    (
        {'labels1.rule': 'best'},
        r"stage 'labels1': rule \[ValueError\] PseudoLabelLoop.rule.type: ",
    ),
    ({OPTIONS: {'train_cfg.max_iters': 'many'}}, "train_cfg.max_iters: .* but got 'many'"),
    (
        {OPTIONS: {'model.segmentor.decode_head.num_classes': 7}},
        "stage 'generation1': model.segmentor.decode_head.num_classes: .* expected 4, .* got 7",
    ),
    ({'export.module': 3}, "stage 'export': module: .* expected str, but got 3"),
    (
        {'labels1.options': {'train_dataloader.target': None}},
        "stage 'labels1': train_dataloader.target: .*expected images of the target, but got none",
    ),
    ({'labels1.checkpoint': ['a.pth']}, r"checkpoint got \['a.pth'\]; write a path, or \{STAGE\}"),
    ({'labels1.config': 3}, "stage 'labels1': config got 3; write the path of a config"),
    (
        {OPTIONS: {'train_cfg.val_interval': {'type': 'Never'}}},
        "stage 'generation1': train_cfg.val_interval: expected a value such as .*_delete_",
    ),
    ({'test.options': {'test_evaluator': None}}, "stage 'test': config has no test_evaluator"),
]


@pytest.mark.parametrize(('changes', 'match'), WRONG)
def test_wrong_stage(folder: Path, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        read(folder, changes)


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (
            {'labels1.checkpoint': 'no.pth'},
            "'labels1': checkpoint: expected a file, but got 'no.pth'",
        ),
        (
            {'export.checkpoint': 'no.pth'},
            "'export': checkpoint: expected a file, but got 'no.pth'",
        ),
        ({OPTIONS: {'load_from': 'no.pth'}}, "stage 'generation1': load_from: .*got 'no.pth'"),
        (
            {OPTIONS: {run_toy.PSEUDO_DIR: 'nowhere'}},
            "pseudo_dir: expected a directory, but got 'nowhere'",
        ),
        (
            {OPTIONS: {'train_dataloader.source.dataset.data_root': 'no'}},
            r"stage 'generation1': .*source.dataset.data_prefix.img_path, but got 'no",
        ),
        (
            {'test.options': {'test_dataloader.dataset.data_root': 'no'}},
            r"stage 'test': .*dataloader.dataset.data_prefix.img_path, but got 'no",
        ),
    ],
)
def test_missing_input(folder: Path, changes: dict[str, Any], match: str) -> None:
    pipeline = read(folder, changes)
    for call in (pipeline.plan, pipeline.run):
        with pytest.raises(ValueError, match=match):
            call()
    assert not pipeline.context.work_dir.exists()  # before any work


def test_all_stages_are_checked_at_once(folder: Path) -> None:
    wrong = {'model.segmentor.backbone.widht': 1, 'train_cfg.max_iters': 'many'}
    with pytest.raises(ConfigError) as error:
        read(folder, {'stage0.options': wrong, 'test.options': {'val_cfg.fp61': True}})
    assert [problem.path for problem in error.value.problems] == [
        "stage 'stage0': model.segmentor.backbone.widht",
        "stage 'stage0': train_cfg.max_iters",
        "stage 'test': val_cfg.fp61",
    ]


def test_constants_are_no_slips(folder: Path) -> None:
    assert [*read(folder, {}, SEED=1, WORK_DIR='x').stages] == [*read(folder, {}).stages]


def test_wrong_top_level(folder: Path) -> None:
    with pytest.raises(ValueError, match='nothing reads `sead`; write `seed`'):
        read(folder, {}, sead=1)
    with pytest.raises(ValueError, match="seed got '0'; write an integer"):
        read(folder, {}, {'seed': '0'})
    with pytest.raises(ValueError, match='work_dir got 3; write the path of a directory'):
        read_pipeline(run_toy.write_pipeline(folder, run_toy.STAGES, work_dir=3))
    with pytest.raises(ValueError, match='seed got -1; write an integer from 0 on'):
        read(folder, {}, {'seed': -1})
    path = folder / 'empty_pipeline.py'
    for text in ('stages = []', 'stagse = 1', 'seed = 1'):
        path.write_text(text)
        with pytest.raises(ValueError, match='write'):
            read_pipeline(path)
    path.write_text('stages = [1]')
    with pytest.raises(ValueError, match=r'stages\[0\] got 1; write dict'):
        read_pipeline(path)
    with pytest.raises(FileNotFoundError, match=r'no config file no\.py'):
        read_pipeline('no.py')


def test_options_of_the_command_line(folder: Path) -> None:
    power = 'param_scheduler.0.power'
    pipeline = read(
        folder,
        {},
        {'seed': 7, 'stages.labels2.rule': 'cbst', f'stages.generation1.options.{power}': 2.0},
    )
    assert pipeline.stages['labels2'].arguments['rule'] == 'cbst'
    assert pipeline.stages['generation1'].arguments['options'] == {
        run_toy.PSEUDO_DIR: '{labels1}',
        power: 2.0,
    }
    cfg = pipeline.stages['generation1'].load(lambda reference: f'/{reference}')
    assert (cfg.randomness.seed, cfg.param_scheduler[0].power) == (7, 2.0)
    assert cfg.train_dataloader.target.dataset.pipeline[1].pseudo_dir == '/labels1'
    for key, match in (
        ('train_cfg.max_iters', 'write seed, select, work_dir, reuse, translated, stages.NAME.KEY'),
        ('stages.1.rule', 'expected a stage, but got 1; write one of stage0, labels1'),
        (
            'stages.labels1.rule.share',
            'write seed, select, work_dir, reuse, translated, stages.NAME.KEY or',
        ),
    ):
        with pytest.raises(ValueError, match=match):
            read(folder, {}, {key: 1})


def test_a_model_is_built_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []

    def build(content: dict[str, Any]) -> Any:
        built.append(content['model'])
        return building.build_model(content)

    monkeypatch.setattr(check, 'build_model', build)
    pipeline = read(folder, {})
    assert len(built) == len(pipeline.context.models) == 2  # source.py, self.py; eight stages
    # What depends on the rest of a config is still found in a later stage.
    mistake = {'generation2.options': {'optim_wrapper.optimizers.nobody': {}}}
    with pytest.raises(ConfigError, match="stage 'generation2': optim_wrapper.optimizers"):
        read(folder, mistake)


def test_work_dir(folder: Path) -> None:
    path = run_toy.write_pipeline(folder, run_toy.STAGES)
    assert read_pipeline(path).context.work_dir == Path('work_dirs/toy_pipeline').resolve()
    path = run_toy.write_pipeline(folder, run_toy.STAGES, work_dir='elsewhere')
    assert read_pipeline(path).context.work_dir == Path('elsewhere').resolve()


def test_work_dir_where_data_are_read(folder: Path) -> None:
    path = run_toy.write_pipeline(folder, run_toy.STAGES)
    data = folder.parent / 'data'
    for work_dir in (data, data / 'source/images/new'):
        pipeline = read_pipeline(path, work_dir=work_dir)
        with pytest.raises(ValueError, match="stage0': work_dir: expected a place apart from"):
            pipeline.plan()


def test_translate(folder: Path, tmp_path: Path) -> None:
    data = folder.parent / 'data'
    stages = [
        dict(
            name='half',
            type='translate',
            source=str(data / 'source/images'),
            target=str(data / 'target/images'),
            beta=0.5,
            max_images=2,
        ),
        dict(name='again', type='translate', source='{half}', target='nowhere', beta=0.5),
    ]
    path = run_toy.write_pipeline(tmp_path, stages[:1])
    for key, value, match in (
        ('beta', 'x', "stage 'half': beta: FDATranslator.beta: expected float, but got 'x'"),
        ('beta', 2, 'FDATranslator.beta.* 2'),
        ('nproc', 0, 'translate_folder.nproc.* 0'),
        ('max_images', 1.5, r'max_images: expected .*int.*, but got 1\.5'),
    ):
        with pytest.raises(ValueError, match=match):
            read_pipeline(path, {f'stages.half.{key}': value})
    pipeline = read_pipeline(path, work_dir=tmp_path / 'work')
    pipeline.run()
    assert len(list((tmp_path / 'work/half/translated').rglob('*.png'))) == 2
    options = {'stages.half.max_images': 3, 'stages.half.nproc': 1}
    (step,) = read_pipeline(path, options, tmp_path / 'work').plan()
    assert step.reason == 'changed: arguments.max_images: 2 -> 3'
    assert STAGES['translate'].makes == 'directory'
    pipeline = read_pipeline(run_toy.write_pipeline(tmp_path, stages), work_dir=tmp_path / 'work')
    with pytest.raises(ValueError, match="'again': target: .* directory, but got 'nowhere'"):
        pipeline.plan()
