"""``tools/export_segmentor.py``: stock mmseg takes what it writes."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch
import toys
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_uda.artifacts.checkpoint import load_checkpoint
from mmseg_uda.stages.export import plain_config

ROOT = Path(__file__).resolve().parents[2]
META = dict(classes=('dark', 'bright'), palette=[[0, 0, 0], [255, 255, 255]])
PREPROCESSOR = dict(type='SegDataPreProcessor', mean=[127.5] * 3, std=[50.0] * 3)
SEGMENTOR = dict(
    type='EncoderDecoder',
    data_preprocessor=PREPROCESSOR,
    backbone=dict(
        type='UNet',
        base_channels=2,
        num_stages=2,
        strides=(1, 1),
        enc_num_convs=(1, 1),
        dec_num_convs=(1,),
        downsamples=(True,),
        enc_dilations=(1, 1),
        dec_dilations=(1,),
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=2,
        in_index=1,
        channels=2,
        num_convs=0,
        concat_input=False,
        num_classes=2,
        norm_cfg=dict(type='BN'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)


def load_tool() -> ModuleType:
    return toys.load_script('tools/export_segmentor.py')


def training_config(root: Path) -> Config:
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
    dataset = dict(
        type='BaseSegDataset',
        data_root=str(root),
        img_suffix='.png',
        metainfo=META,
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        pipeline=pipeline,
    )
    loader = dict(batch_size=1, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dataset)
    return Config(
        dict(
            default_scope='mmseg',
            custom_imports=dict(imports=['mmseg_uda']),
            model=dict(type='SourceOnly', segmentor=SEGMENTOR),
            train_dataloader=dict(source=loader, target=loader),
            train_cfg=dict(type='UDATrainLoop', max_iters=1),
            optim_wrapper=dict(constructor='JointOptimWrapperConstructor'),
            test_pipeline=pipeline,
            test_dataloader=loader,
            test_evaluator=dict(type='IoUMetric'),
            val_dataloader=loader,
            val_evaluator=dict(type='IoUMetric'),
            vis_backends=[dict(type='LocalVisBackend')],
            visualizer=dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')]),
            log_level='WARNING',
        )
    )


@pytest.fixture
def student() -> torch.nn.Module:
    return MODELS.build(SEGMENTOR)


@pytest.fixture
def checkpoint(tmp_path: Path, student: torch.nn.Module) -> str:
    """What a method leaves after training: student, discriminator, records."""
    for folder in ('images', 'labels'):
        (tmp_path / folder).mkdir()
    for i in range(2):
        image = np.full((16, 16, 3), 100 * i + 50, np.uint8)
        cv2.imwrite(str(tmp_path / f'images/{i}.png'), image)
        cv2.imwrite(str(tmp_path / f'labels/{i}.png'), np.full((16, 16), i, np.uint8))
    state = {f'student.{key}': value for key, value in student.state_dict().items()}
    state |= {f'teacher.module.{key}': value + 1 for key, value in student.state_dict().items()}
    state['discriminators.main.weight'] = torch.zeros(3)
    path = tmp_path / 'iter_10.pth'
    training_config(tmp_path).dump(tmp_path / 'method.py')
    meta = dict(
        dataset_meta=META,
        iter=10,
        cfg='raise SystemExit',  # never run
        hook_msgs={'best_score': np.float64(1)},
    )
    torch.save(dict(meta=meta, state_dict=state, optimizer={'student': {}}), path)
    return str(path)


def export(checkpoint: str, *options: str) -> tuple[str, str]:
    """Export with the config ``method.py`` that lies beside the checkpoint."""
    out, config = (str(Path(checkpoint).with_name('export') / name) for name in ('a.pth', 'a.py'))
    own = str(Path(checkpoint).with_name('method.py'))
    load_tool().main([checkpoint, out, '--config', own, '--out-config', config, *options])
    return out, config


class TestExport:
    def test_attention_goes_along(self, tmp_path):
        """DAST is tested with its discoverer, and so is what it exports."""
        method = toys.build('dast').eval()
        with torch.no_grad():
            method.student.attention.discriminator.layers[2].bias += 2.0
        cfg = training_config(tmp_path)
        cfg.model = toys.method_cfg('dast')
        path = tmp_path / 'iter_10.pth'
        torch.save(dict(state_dict=method.state_dict()), path)
        cfg.dump(tmp_path / 'method.py')
        out, config = export(str(path))
        plain = Config.fromfile(config)
        assert plain.model.type == 'AttendedSegmentor'
        (networks,) = plain.custom_imports.imports
        assert Path(config).with_name(f'{networks}.py').is_file()
        model = MODELS.build(plain.model).eval()
        model.load_state_dict(torch.load(out, weights_only=True)['state_dict'], strict=True)
        images = torch.randn(1, 3, *toys.SIZE)
        assert model(images).equal(method(images))
        model.attention.attend = False
        assert not model(images).equal(method(images))

    def test_auxiliary_heads_stay_behind(self, tmp_path):
        """PIT's units, and all that only training runs."""
        method, cfg = toys.build('pit').eval(), training_config(tmp_path)
        cfg.model = toys.method_cfg('pit')
        path = tmp_path / 'iter_10.pth'
        torch.save(dict(state_dict=method.state_dict()), path)
        cfg.dump(tmp_path / 'method.py')
        out, config = export(str(path))
        plain = Config.fromfile(config)
        assert 'auxiliary_head' not in plain.model
        model = MODELS.build(plain.model).eval()
        model.load_state_dict(torch.load(out, weights_only=True)['state_dict'], strict=True)
        images = torch.randn(1, 3, *toys.SIZE)
        assert model(images).equal(method(images))

    def test_weights_and_meta(self, checkpoint, student):
        out, config = export(checkpoint)
        written = torch.load(out, weights_only=True)
        assert set(written) == {'meta', 'state_dict'}
        assert written['meta']['dataset_meta'] == META
        assert written['meta']['iter'] == 10
        model = MODELS.build(Config.fromfile(config).model)
        model.load_state_dict(written['state_dict'], strict=True)
        torch.testing.assert_close(model.state_dict(), student.state_dict())
        assert sorted(path.name for path in Path(out).parent.iterdir()) == ['a.md', 'a.pth', 'a.py']

    def test_another_module(self, checkpoint, student):
        out, _ = export(checkpoint, '--module', 'teacher.module')
        written = torch.load(out, weights_only=True)['state_dict']
        torch.testing.assert_close(
            written, {key: value + 1 for key, value in student.state_dict().items()}
        )

    def test_config_has_nothing_of_training(self, checkpoint):
        cfg = Config.fromfile(export(checkpoint)[1])
        assert cfg.model.type == 'EncoderDecoder'
        assert cfg.default_scope == 'mmseg'
        assert not {'train_dataloader', 'optim_wrapper', 'train_cfg', 'custom_imports'} & set(cfg)

    def test_config_imports_what_it_uses(self, checkpoint, tmp_path):
        cfg = training_config(tmp_path)
        cfg.model.segmentor.decode_head.type = 'mmseg_uda.DeepLabV2Head'
        cfg.dump(tmp_path / 'own.py')
        cfg = Config.fromfile(export(checkpoint, '--config', str(tmp_path / 'own.py'))[1])
        (networks,) = cfg.custom_imports.imports
        assert networks.startswith('mmseg_uda_networks_')
        assert cfg.model.decode_head.type == 'DeepLabV2Head'  # stock mmseg knows no other scope

    def test_target_preprocessor(self, tmp_path):
        cfg = training_config(tmp_path)
        target = dict(PREPROCESSOR, mean=[1.0] * 3)
        padded = dict(target, size_divisor=1)
        cfg.model.data_preprocessor = dict(source=PREPROCESSOR, target=target)
        assert plain_config(cfg).model.data_preprocessor == padded
        cfg.model.data_preprocessor = dict(source=target)
        assert plain_config(cfg).model.data_preprocessor == padded

    def test_no_student(self, checkpoint, tmp_path, student):
        torch.save(dict(state_dict=student.state_dict()), tmp_path / 'stock.pth')
        with pytest.raises(
            ValueError,
            match=r"expected weights of 'student' in .*stock\.pth, but got those of 'backbone', ",
        ):
            export(str(tmp_path / 'stock.pth'))
        assert not (tmp_path / 'export').exists()

    def test_no_config(self, checkpoint, tmp_path):
        out = str(tmp_path / 'a.pth')
        with pytest.raises(ValueError, match=r'iter_10\.pth was trained as --config'):
            load_tool().main([checkpoint, out, '--out-config', str(tmp_path / 'a.py')])
        assert not (tmp_path / 'a.py').exists()
        load_tool().main([checkpoint, out])
        assert load_checkpoint(out)['meta'] == dict(dataset_meta=META, iter=10)

    def test_config_of_no_method(self, checkpoint, tmp_path):
        Config(dict(model=SEGMENTOR)).dump(tmp_path / 'stock.py')
        with pytest.raises(ValueError, match="model 'EncoderDecoder' has no key `segmentor`"):
            export(checkpoint, '--config', str(tmp_path / 'stock.py'))

    def test_inputs_are_not_written(self, checkpoint, tmp_path):
        config = str(Path(checkpoint).with_name('method.py'))
        before = Path(checkpoint).read_bytes()
        for argv, match in (
            ([checkpoint, checkpoint], r'\.out: .* apart from checkpoint='),
            (
                [checkpoint, str(tmp_path / 'a.pth'), '--config', config, '--out-config', config],
                r'\.out_config: .* apart from config=',
            ),
        ):
            with pytest.raises(ValueError, match=f'export_segmentor{match}'):
                load_tool().main(argv)
        assert Path(checkpoint).read_bytes() == before

    def test_nothing_half_written(self, checkpoint, monkeypatch):
        def fail(path, content):
            path.write_text('half')
            raise OSError('disk full')

        monkeypatch.setattr(Path, 'write_bytes', fail)
        with pytest.raises(OSError, match='disk full'):
            export(checkpoint)
        assert not list(Path(checkpoint).with_name('export').iterdir())


def test_top_level_parts_of_stock_configs(checkpoint):
    """Which the toolbox's tools read: preprocessor, log by iteration, stock hooks."""
    own = Path(checkpoint).with_name('method.py')
    cfg = Config.fromfile(own)
    cfg.default_hooks = dict(
        logger=dict(type='LoggerHook', log_metric_by_epoch=False),
        checkpoint=dict(type='CheckpointHook', interval=7),
        health=dict(type='HealthHook'),
    )
    cfg.log_processor = dict(type='TerminalLogProcessor', by_epoch=False)
    cfg.dump(own)
    plain = Config.fromfile(export(checkpoint)[1])
    assert plain.data_preprocessor == plain.model.data_preprocessor
    assert plain.log_processor == dict(by_epoch=False)
    assert sorted(plain.default_hooks) == ['checkpoint', 'logger', 'visualization']
    assert plain.default_hooks.checkpoint.interval == 7
    assert 'custom_imports' not in plain  # the checkpoint hook of this package has a stock name


def test_config_without_validation(checkpoint):
    """The three parts of a split are all None, or mmengine's runner refuses them."""
    own = Path(checkpoint).with_name('method.py')
    cfg = Config.fromfile(own)
    cfg.val_dataloader = cfg.val_evaluator = None
    cfg.dump(own)
    plain = Config.fromfile(export(checkpoint)[1])
    assert [plain.get(f'val_{part}') for part in ('dataloader', 'cfg', 'evaluator')] == [None] * 3
    assert plain.test_cfg == dict(type='TestLoop')


def test_inferencer_of_stock_mmseg_finds_the_config(checkpoint):
    """With this package imported, no text of a checkpoint is run: see docs/security.md."""
    out, config = export(checkpoint)
    assert load_checkpoint(out)['meta']['cfg'] == Path(config).read_text()


@pytest.mark.parametrize(
    ('out', 'config', 'line'),
    [
        ('m.pth', 'm.pth', r'out_config: expected a name that ends in \.py.*write .*m\.py'),
        ('m.md', 'm.py', r'the model card .*: expected another file than that of .*\.out, .*m\.md'),
        ('m.py', 'm.py', r'out_config: expected another file than that of export_segmentor\.out'),
    ],
)
def test_outputs_are_different_files(
    checkpoint: str, tmp_path: Path, out: str, config: str, line: str
) -> None:
    own = str(Path(checkpoint).with_name('method.py'))
    paths = [str(tmp_path / 'ex' / name) for name in (out, config)]
    with pytest.raises(ValueError, match=line):
        load_tool().main([checkpoint, paths[0], '--config', own, '--out-config', paths[1]])
    assert not (tmp_path / 'ex').exists()


@pytest.mark.parametrize(
    ('flag', 'name', 'line'),
    [
        ('--torchscript', 'ex/m.pth', 'expected another file than that of export_segmentor.out,'),
        ('--torchscript', 'ex/m.py', 'expected another file than that of export_segmentor.out_c'),
        ('--onnx', 'ex/m.md', 'expected another file than that of the model card beside out_conf'),
        ('--onnx', 'ex/m.pt2', '--torch-export: expected another file than that of --onnx'),
        ('--onnx', 'iter_10.pth', 'expected a place apart from checkpoint='),
        ('--onnx', 'images/a.onnx', r'expected a place apart from .*\.img_path='),
    ],
)
def test_formats_are_files_of_their_own(
    checkpoint: str,
    tmp_path: Path,
    flag: str,
    name: str,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr('mmseg_uda.stages.export.formats.find_spec', lambda name: name)
    own = str(tmp_path / 'method.py')
    first, second, third = (str(tmp_path / 'ex' / f'm.{end}') for end in ('pth', 'py', 'pt2'))
    words = [checkpoint, first, '--config', own, '--out-config', second, flag, str(tmp_path / name)]
    before = Path(checkpoint).read_bytes()
    with pytest.raises(ValueError, match=line):
        load_tool().main([*words, '--torch-export', third])
    assert not (tmp_path / 'ex').exists()
    assert Path(checkpoint).read_bytes() == before


def test_missing_packages_are_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('mmseg_uda.stages.export.formats.find_spec', lambda name: None)
    words = [str(tmp_path / 'a.pth'), str(tmp_path / 'out/b.pth'), '--config', 'c.py']
    words += ['--out-config', str(tmp_path / 'out/b.py'), '--onnx', str(tmp_path / 'out/b.onnx')]
    with pytest.raises(
        ImportError, match="got no onnx, onnxscript, onnxruntime; run pip install '"
    ):
        load_tool().main(words)
    assert not (tmp_path / 'out').exists()
