"""The tool that writes pseudo labels."""

import pytest
import torch
from mmengine.config import Config
from mmseg.datasets.transforms import LoadAnnotations
from toys import (
    NUM_CLASSES,
    CountedRunner,
    build,
    load_script,
    method_cfg,
    runner_cfg,
    write_domain,
)

from mmseg_uda.artifacts.pseudo_labels import Manifest
from mmseg_uda.stages.pseudo_labels import build_labeller, make_label_config, target_dataset


@pytest.fixture(scope='module')
def tool():
    return load_script('tools/generate_pseudo_labels.py')


@pytest.fixture
def files(tmp_path):
    cfg = runner_cfg(tmp_path / 'data', tmp_path / 'work', method_cfg('cdanet'))
    cfg.test_dataloader.dataset.data_root = str(tmp_path / 'data/source')  # never to be labelled
    cfg.dump(tmp_path / 'config.py')
    torch.save(dict(state_dict=build('cdanet').state_dict()), tmp_path / 'weights.pth')
    return [
        str(tmp_path / 'config.py'),
        str(tmp_path / 'weights.pth'),
        '--out-dir',
        str(tmp_path / 'out'),
        '--work-dir',
        str(tmp_path / 'work'),
    ]


def test_labels_the_target_training_images(tool, files, tmp_path):
    for path in (tmp_path / 'data/target').rglob('labels/*'):
        path.unlink()  # nor is ground truth looked at
    before = CountedRunner.count
    options = ('test_dataloader.num_workers=1', 'runner_type=CountedRunner')
    tool.main([*files, '--share', '0.3', '--cfg-options', *options])
    assert CountedRunner.count == before + 1
    manifest = Manifest.read(files[3])
    manifest.check(files[3], NUM_CLASSES)
    images = [path.name for path in (tmp_path / 'data/target/images').iterdir()]
    assert sorted(manifest.files) == sorted(images)
    assert manifest.rule == dict(type='bdl', share=0.3, cap=0.9, softmax_first=True)
    assert all((tmp_path / 'out' / name).is_file() for name in images)
    with pytest.raises(ValueError, match="rule.type: 'bdl' -> 'fixed'"):
        tool.main([*files, '--rule', 'fixed', '--threshold', '0.3'])
    tool.main([*files, '--rule', 'fixed', '--threshold', '0.3', '--overwrite'])
    assert Manifest.read(files[3]).thresholds == [0.3] * NUM_CLASSES


@pytest.mark.parametrize(
    ('name', 'key'),
    [
        ('target/images', r'train_dataloader\.target\.dataset\.data_prefix\.img_path'),
        ('target/labels', r'train_dataloader\.target\.dataset\.data_prefix\.seg_map_path'),
        (
            'source/labels/new',
            r'(train_dataloader\.source|test_dataloader)\.dataset\.data_prefix\.seg_map_path',
        ),
    ],
)
def test_directories_of_the_config_are_refused(tool, files, tmp_path, name, key):
    before = {path: path.read_bytes() for path in (tmp_path / 'data').rglob('*.png')}
    for flags in ([], ['--overwrite']):
        with pytest.raises(ValueError, match=f'expected a place apart from {key}='):
            tool.main([*files, '--out-dir', str(tmp_path / 'data' / name), *flags])
    assert {path: path.read_bytes() for path in (tmp_path / 'data').rglob('*.png')} == before


def test_a_target_of_several_datasets(tool, files, tmp_path):
    cfg = Config.fromfile(files[0])
    target = cfg.train_dataloader.target
    write_domain(tmp_path / 'data', 'more', 2, 9)
    for path in (tmp_path / 'data/more/images').iterdir():
        path.rename(path.with_name(f'more_{path.name}'))
    more = dict(target.dataset, data_root=str(tmp_path / 'data/more'))
    repeated = dict(type='RepeatDataset', times=2, dataset=more)
    target.dataset = dict(type='ConcatDataset', datasets=[target.dataset, repeated])
    cfg.dump(files[0])
    tool.main(files)
    images = [
        *(tmp_path / 'data/target/images').iterdir(),
        *(tmp_path / 'data/more/images').iterdir(),
    ]
    names = [path.relative_to(tmp_path / 'data').as_posix() for path in images]
    assert 'more/images/more_1.png' in names
    manifest = Manifest.read(files[3])
    assert sorted(manifest.files) == sorted(names)  # each image once
    assert manifest.complete


@pytest.mark.parametrize('kind', ['mmseg.LoadAnnotations', LoadAnnotations])
def test_no_ground_truth_is_loaded_by_any_name(tool, files, kind, monkeypatch):
    monkeypatch.setattr(LoadAnnotations, 'transform', None)  # calling it would be an error
    cfg = Config.fromfile(files[0])
    pipeline = [step for step in cfg.test_dataloader.dataset.pipeline if 'Anno' not in step['type']]
    pipeline.insert(1, dict(type=kind))
    cfg.test_dataloader.dataset.pipeline = pipeline
    build_labeller(make_label_config(cfg, files[1], files[3], 'bdl')).test()
    assert Manifest.read(files[3]).complete


def test_rule_arguments(tool):
    base = ['config.py', 'weights.pth', '--out-dir', 'out']
    assert tool.rule_config(tool.parse_args(base)) == dict(type='bdl')
    args = tool.parse_args([*base, '--rule', 'cbst', '--share', '0.2', '--cap', '0.8'])
    assert tool.rule_config(args) == dict(type='cbst', share=0.2, cap=0.8)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--share', '0'], 'BDLRule.share: expected a number in (0, 1], but got 0.0'),
        (
            ['--rule', 'fixed', '--share', '0.5'],
            "FixedRule argument: expected one of ('threshold',), but got 'share'",
        ),
        (['--rule', 'best'], "but got best; write 'cbst'"),
    ],
)
def test_bad_rule_arguments(tool, options, message, capsys):
    with pytest.raises(SystemExit):
        tool.parse_args(['config.py', 'weights.pth', '--out-dir', 'out', *options])
    assert message in capsys.readouterr().err


def test_checkpoint_of_another_method(tool, files, tmp_path):
    torch.save(dict(state_dict=build('source_only').state_dict()), files[1])
    with pytest.raises(ValueError, match=r'weights\.pth: .* are missing .* of CDANet'):
        tool.main(files)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('key', 'match'),
    [
        ('train_dataloader', 'no train_dataloader.target'),
        ('test_dataloader', 'no test_dataloader.dataset'),
    ],
)
def test_config_without_images(files, key, match):
    cfg = Config.fromfile(files[0])
    cfg[key] = None
    with pytest.raises(ValueError, match=match):
        target_dataset(cfg)


def test_wrapped_dataset(files):
    cfg = Config.fromfile(files[0])
    target = cfg.train_dataloader.target
    plain = target_dataset(cfg)
    target.dataset = dict(type='RepeatDataset', times=3, dataset=target.dataset)
    assert target_dataset(cfg) == plain
    assert plain['test_mode']
    assert [step['type'] for step in plain['pipeline']] == ['LoadImageFromFile', 'PackUDAInputs']
