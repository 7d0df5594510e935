"""``tools/train.py``, ``tools/test.py``, their launchers: a stock segmentor on toy images."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import cv2
import numpy as np
import pytest
import torch
import toys
from mmengine.config import Config

from mmseg_uda.artifacts.checkpoint import load_checkpoint

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
CONFIG = """
# Runs that start within the same second would share mmengine's singletons.
experiment_name = __import__('uuid').uuid4().hex
default_scope = 'mmseg'
custom_imports = dict(imports=['mmseg_uda'], allow_failed_imports=False)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[127.5] * 3, std=[50.0] * 3,
                           size=(16, 16)),
    backbone=dict(type='UNet', base_channels=2, num_stages=2, strides=(1, 1),
                  enc_num_convs=(1, 1), dec_num_convs=(1,), downsamples=(True,),
                  enc_dilations=(1, 1), dec_dilations=(1,)),
    decode_head=dict(type='FCNHead', in_channels=2, in_index=1, channels=2, num_convs=0,
                     concat_input=False, num_classes=2, norm_cfg=dict(type='BN')),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
            dict(type='PackSegInputs')]
train_dataloader = dict(
    batch_size=2, sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='BaseSegDataset', data_root='{root}', img_suffix='.png',
                 metainfo=dict(classes=('dark', 'bright'), palette=[[0, 0, 0], [255, 255, 255]]),
                 data_prefix=dict(img_path='images', seg_map_path='labels'), pipeline=pipeline))
test_dataloader = dict(
    batch_size=1, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(train_dataloader['dataset'], test_mode=True))
test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=1000)
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
default_hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2),
                     visualization=dict(type='SegVisualizationHook', interval=1))
visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
tta_model = dict(type='SegTTAModel')
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
        [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]])]
randomness = dict(seed=0)
log_level = 'WARNING'
"""


def load_tool(name: str) -> ModuleType:
    return toys.load_script(TOOLS / f'{name}.py')


@pytest.fixture(autouse=True)
def _launcher_rank(monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A config over four images of 16 x 16 pixels, whose label is whether a pixel is bright."""
    generator = np.random.default_rng(0)
    for folder in ('images', 'labels'):
        (tmp_path / folder).mkdir()
    for i in range(4):
        image = generator.integers(0, 256, (16, 16, 1), dtype=np.uint8).repeat(3, axis=2)
        cv2.imwrite(str(tmp_path / f'images/{i}.png'), image)
        cv2.imwrite(str(tmp_path / f'labels/{i}.png'), (image[..., 0] > 127).astype(np.uint8))
    path = tmp_path / 'toy.py'
    path.write_text(CONFIG.replace('{root}', str(tmp_path)))
    return str(path)


def train(config: str, *options: str) -> Path:
    work_dir = Path(config).with_name('run')
    load_tool('train').main([config, '--work-dir', str(work_dir), *options])
    return work_dir


def test_both_build_the_runner_that_the_config_names(config):
    options = ('--cfg-options', 'runner_type=CountedRunner')
    before = toys.CountedRunner.count
    work_dir = train(config, *options)
    assert toys.CountedRunner.count == before + 1
    load_tool('test').main(
        [config, str(work_dir / 'iter_4.pth'), *options, '--work-dir', str(work_dir / 'test')]
    )
    assert toys.CountedRunner.count == before + 2


class TestTrain:
    def test_resume(self, config):
        work_dir = train(config, '--cfg-options', 'train_cfg.max_iters=2')
        train(config, '--resume')
        assert (work_dir / 'last_checkpoint').read_text().endswith('iter_4.pth')
        assert load_checkpoint(work_dir / 'iter_4.pth')['meta']['iter'] == 4

    def test_config_beside_the_checkpoint(self, config, capfd):
        """It is that of the training, and a file that somebody changed is kept."""
        text = Path(config).read_text()
        Path(config).write_text(
            re.sub('experiment_name = .*', f"experiment_name = '{uuid4()}'", text)
        )
        work_dir = train(config, '--cfg-options', 'train_cfg.max_iters=2')
        written = work_dir / 'toy.py'
        assert Config.fromfile(written).train_cfg.max_iters == 2
        before = written.read_text()
        train(config, '--resume', '--cfg-options', 'train_cfg.max_iters=2')
        assert written.read_text() == before
        assert [path.name for path in work_dir.glob('toy.py*')] == ['toy.py']
        load_tool('test').main(
            [
                *(config, str(work_dir / 'iter_2.pth'), '--work-dir', str(work_dir)),
                *('--cfg-options', 'test_evaluator.prefix=other'),
            ]
        )
        assert written.read_text() == before
        written.write_text(before + '# mine')
        train(config, '--resume')
        assert Config.fromfile(written).train_cfg.max_iters == 4
        assert (work_dir / 'toy.py.old-1').read_text() == before + '# mine'

    def test_work_dir_of_the_config(self, config, tmp_path):
        mine = tmp_path / 'own/mine.py'
        mine.parent.mkdir()
        mine.write_text(Path(config).read_text())
        load_tool('train').main([str(mine), '--work-dir', str(mine.parent)])
        assert mine.read_text() == Path(config).read_text()
        checkpoint = str(mine.parent / 'iter_4.pth')
        load_tool('test').main([str(mine), checkpoint, '--work-dir', str(mine.parent)])
        assert mine.read_text() == Path(config).read_text()

    def test_used_work_dir(self, config, tmp_path):
        work_dir = train(config)
        before = {path.name: path.read_bytes() for path in work_dir.glob('*.pth')}
        with pytest.raises(ValueError, match=r'holds iter_4\.pth of the run .* --resume goes on'):
            train(config)
        assert {path.name: path.read_bytes() for path in work_dir.glob('*.pth')} == before
        train(config, '--overwrite')
        aside = tmp_path / 'run.old-1'
        assert {path.name: path.read_bytes() for path in aside.glob('*.pth')} == before
        assert sorted(path.name for path in work_dir.glob('*.pth')) == sorted(before)

    @pytest.mark.parametrize('note', ['', '/moved/iter_2.pth', None])
    def test_resume_finds_the_newest_readable(self, config, note, capfd):
        work_dir = train(config, '--cfg-options', 'train_cfg.max_iters=2')
        (work_dir / 'iter_3.pth').write_bytes((work_dir / 'iter_2.pth').read_bytes()[:999])
        if note is None:
            (work_dir / 'last_checkpoint').unlink()
        else:
            (work_dir / 'last_checkpoint').write_text(note)
        train(config, '--resume', '--cfg-options', 'log_level=INFO')
        said = capfd.readouterr().out
        assert f'Not resumed from {work_dir}/iter_3.pth: expected a PyTorch checkpoint' in said
        assert 'resumed epoch: 0, iter: 2' in said
        assert load_checkpoint(work_dir / 'iter_4.pth')['meta']['iter'] == 4

    def test_resume_from_a_given_file(self, config, tmp_path, capfd):
        work_dir = train(config)
        (work_dir / 'iter_2.pth').rename(tmp_path / 'iter_2.pth')
        options = ('log_level=INFO', f'load_from={tmp_path}/iter_2.pth')
        train(config, '--resume', '--cfg-options', *options)
        assert 'resumed epoch: 0, iter: 2' in capfd.readouterr().out

    def test_resume_repeats_a_validation(self, config, monkeypatch):
        """It may have been cut off; and it chooses the best checkpoint."""
        options = (
            'train_cfg.val_interval=2',
            'train_cfg.val_begin=0',
            'default_hooks.checkpoint.save_best=mIoU',
        )
        text = Path(config).read_text()
        Path(config).write_text(
            text + 'val_dataloader = test_dataloader\nval_evaluator = test_evaluator\nval_cfg = {}'
        )
        with monkeypatch.context() as patch:
            patch.setattr('mmseg.evaluation.IoUMetric.process', lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                train(config, '--cfg-options', *options)
        work_dir = train(config, '--resume', '--cfg-options', *options, 'train_cfg.max_iters=2')
        assert (work_dir / 'best_mIoU_iter_2.pth').is_file()

    def test_work_dir_of_the_config_name(self, config, monkeypatch):
        monkeypatch.chdir(Path(config).parent)
        load_tool('train').main([config, '--cfg-options', 'train_cfg.max_iters=1'])
        assert list(Path('work_dirs/toy').glob('*/vis_data/config.py'))

    @pytest.mark.parametrize(
        ('wrapper', 'expected'),
        [
            (dict(type='OptimWrapper'), dict(type='AmpOptimWrapper', loss_scale='dynamic')),
            (
                dict(type='AmpOptimWrapper', loss_scale=8),
                dict(type='AmpOptimWrapper', loss_scale=8),
            ),
            (
                dict(constructor='JointOptimWrapperConstructor', dtype=None),
                dict(constructor='JointOptimWrapperConstructor', dtype='float16'),
            ),
        ],
    )
    def test_amp(self, wrapper, expected):
        cfg = Config(dict(optim_wrapper=wrapper))
        load_tool('train').enable_amp(cfg)
        assert cfg.optim_wrapper == expected

    def test_amp_of_another_wrapper(self):
        cfg = Config(dict(optim_wrapper=dict(type='DeepSpeedOptimWrapper')))
        with pytest.raises(ValueError, match="--amp got optim_wrapper.type 'DeepSpeed"):
            load_tool('train').enable_amp(cfg)

    def test_missing_config(self):
        with pytest.raises(FileNotFoundError, match=r'no config file nowhere\.py'):
            load_tool('train').main(['nowhere.py'])


class TestTest:
    @pytest.fixture
    def checkpoint(self, config) -> str:
        return str(train(config) / 'iter_4.pth')

    def test_scores_predictions_and_drawings(self, config, checkpoint, tmp_path):
        work_dir = tmp_path / 'test'
        load_tool('test').main(
            [
                config,
                checkpoint,
                '--work-dir',
                str(work_dir),
                '--out',
                str(tmp_path / 'out'),
                '--show-dir',
                str(tmp_path / 'drawn'),
            ]
        )
        scores = json.loads(next(work_dir.glob('*/*.json')).read_text())
        assert 0 <= scores['mIoU'] <= 100
        assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
            f'{i}.png' for i in range(4)
        ]
        assert len(list((tmp_path / 'drawn').rglob('*.png'))) == 4

    @pytest.mark.parametrize('flag', ['--work-dir', '--out', '--show-dir'])
    def test_output_where_data_are_read(self, config, checkpoint, tmp_path, flag):
        out = str(tmp_path / 'labels')
        with pytest.raises(ValueError, match=f'^{flag}: expected a place apart from .*the same;'):
            load_tool('test').main([config, checkpoint, flag, out])

    def test_predictions_replace_nothing(self, config, checkpoint, tmp_path):
        (tmp_path / 'out').mkdir()
        (tmp_path / 'out/0.png').write_text('mine')
        with pytest.raises(ValueError, match='--out: expected a new or an empty directory, but'):
            load_tool('test').main([config, checkpoint, '--out', str(tmp_path / 'out')])

    def test_tta(self, config, checkpoint, tmp_path):
        load_tool('test').main([config, checkpoint, '--work-dir', str(tmp_path / 'tta'), '--tta'])
        assert list((tmp_path / 'tta').glob('*/*.json'))

    def test_several_metrics(self):
        cfg = Config(dict(test_evaluator=[dict(type='IoUMetric'), dict(type='IoUMetric')]))
        load_tool('test').save_predictions(cfg, 'out')
        assert [metric.output_dir for metric in cfg.test_evaluator] == ['out', 'out']

    def test_what_the_config_lacks(self):
        tool = load_tool('test')
        with pytest.raises(ValueError, match='no tta_model and no tta_pipeline'):
            tool.enable_tta(Config({}))
        with pytest.raises(ValueError, match=r'no default_hooks\.visualization'):
            tool.enable_drawing(Config({}), tool.parse_args(['a.py', 'b.pth', '--show']))


@pytest.mark.skipif(torch.cuda.is_available(), reason='processes with GPUs meet over NCCL')
def test_stock_model_under_slurm_on_a_cpu(config, monkeypatch, tmp_path):
    """One process; mmengine's wrapper and launcher select a GPU."""
    slurm = dict(PROCID='0', NTASKS='1', LOCALID='0', NODELIST='n1')
    for name, value in slurm.items():
        monkeypatch.setenv(f'SLURM_{name}', value)
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.setenv(name, '')  # to be taken back
    monkeypatch.setenv('MASTER_ADDR', '127.0.0.1')
    monkeypatch.setenv('MASTER_PORT', '29517')
    try:
        work_dir = train(config, '--launcher', 'slurm')
    finally:
        torch.distributed.destroy_process_group()
    alone = tmp_path / 'alone'
    load_tool('train').main(
        [config, '--work-dir', str(alone), '--cfg-options', 'model_wrapper_cfg=None']
    )
    states = (load_checkpoint(each / 'iter_4.pth')['state_dict'] for each in (work_dir, alone))
    torch.testing.assert_close(*states)


class TestLaunchers:
    """The scripts, with a launcher that only writes down how it was called."""

    @pytest.fixture
    def launch(self, tmp_path):
        for name in ('torchrun', 'srun'):
            (tmp_path / name).write_text('#!/bin/sh\nfor i in "$@"; do echo "$i"; done\n')
            (tmp_path / name).chmod(0o755)

        def call(script: str, *arguments: str, **variables: str) -> list[str]:
            env = {**os.environ, 'PATH': f'{tmp_path}{os.pathsep}{os.environ["PATH"]}', **variables}
            return subprocess.run(
                ['bash', str(TOOLS / script), *arguments],
                env=env,
                check=True,
                capture_output=True,
                text=True,
            ).stdout.splitlines()

        return call

    def test_dist(self, launch):
        words = launch('dist_train.sh', 'a b.py', '2', '--cfg-options', 'x="[1, 2]"', PORT='1234')
        assert words[-6:] == [
            str(TOOLS / 'train.py'),
            'a b.py',
            '--launcher',
            'pytorch',
            '--cfg-options',
            'x="[1, 2]"',
        ]
        assert {'--nproc_per_node=2', '--master_port=1234', '--nnodes=1'} <= set(words)
        words = launch('dist_test.sh', 'a.py', 'b.pth', '4', '--tta', NNODES='2', NODE_RANK='1')
        assert words[-6:] == [
            str(TOOLS / 'test.py'),
            'a.py',
            'b.pth',
            '--launcher',
            'pytorch',
            '--tta',
        ]
        assert {'--nproc_per_node=4', '--nnodes=2', '--node_rank=1'} <= set(words)

    def test_slurm(self, launch):
        words = launch(
            'slurm_train.sh', 'gpu', 'job', 'a.py', '--amp', GPUS='8', SRUN_ARGS='--time=1 --qos=q'
        )
        assert words[-5:] == [str(TOOLS / 'train.py'), 'a.py', '--launcher', 'slurm', '--amp']
        assert {'--job-name=job', '--ntasks=8', '--time=1', '--qos=q'} <= set(words)
        words = launch('slurm_test.sh', 'gpu', 'job', 'a.py', 'b.pth')
        assert words[-5:] == [str(TOOLS / 'test.py'), 'a.py', 'b.pth', '--launcher', 'slurm']

    @pytest.mark.parametrize(
        'script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh']
    )
    def test_usage(self, launch, script):
        with pytest.raises(subprocess.CalledProcessError) as caught:
            launch(script, 'a.py')
        assert f'usage: {script}' in caught.value.stderr


def test_flags_are_those_of_mmseg():
    import mmseg

    for name, positional in [('train', ['c']), ('test', ['c', 'p'])]:
        path = Path(mmseg.__file__).parent / '.mim' / 'tools' / f'{name}.py'
        if not path.is_file():
            pytest.skip('mmseg came without its tools')
        stock = toys.load_script(path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr('sys.argv', [name, *positional])
            expected = vars(stock.parse_args())
        ours = vars(load_tool(name).parse_args(positional))
        added = dict(
            row=None,
            cell=None,
            **(dict(overwrite=False, checkpoint_on_signal=False) if name == 'train' else {}),
        )
        assert ours == {**expected, **added}
