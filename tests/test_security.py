"""Files from elsewhere: no entry point runs what a file holds, or leaves the file's directory.

See docs/security.md. Each payload only creates a file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmengine.runner
import numpy as np
import pytest
import torch
import toys
from mmengine.runner import CheckpointLoader
from mmseg.apis import MMSegInferencer, init_model
from mmseg.registry import MODELS

from mmseg_uda.artifacts.checkpoint_sources import cached_file
from mmseg_uda.artifacts.class_counts import ClassCounts
from mmseg_uda.artifacts.files import write_npz
from mmseg_uda.artifacts.image_labels import ImageLabels
from mmseg_uda.artifacts.pseudo_labels import Manifest
from mmseg_uda.artifacts.spatial_prior import SpatialPrior
from mmseg_uda.artifacts.translated import TranslationManifest
from mmseg_uda.pipeline.state import State
from mmseg_uda.stages.translation import translate_folder

METHOD = toys.method_cfg('source_only')


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with ``config.py`` of a method, ``bare.py`` of its segmentor, and their data."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    cfg = toys.runner_cfg(
        tmp_path / 'data',
        tmp_path / 'run',
        METHOD,
        max_iters=1,
        custom_imports=dict(imports=['mmseg_uda'], allow_failed_imports=False),
    )
    for loader in cfg.train_dataloader.values():
        loader.num_workers = 0
    cfg.dump(tmp_path / 'config.py')
    cfg.model = toys.segmentor_cfg()
    cfg.dump(tmp_path / 'bare.py')
    return tmp_path


def weights() -> dict[str, Any]:
    return MODELS.build(METHOD).state_dict()


def run(tool: str, *arguments: object) -> None:
    toys.load_script(f'tools/{tool}.py').main([str(each) for each in arguments])


def train(work: Path, *options: str, flags: tuple[str, ...] = ()) -> None:
    run('train', work / 'config.py', *flags, '--cfg-options', *options)


def resume(work: Path, bad: Path) -> None:
    train(work, 'log_level=WARNING', f'load_from={bad}', flags=('--resume',))


def pretrained(work: Path, bad: Path) -> None:
    place = 'model.segmentor.decode_head.init_cfg'
    train(work, f'{place}.type=Pretrained', f'{place}.checkpoint={bad}')


def run_pipeline(work: Path, stage: dict[str, Any]) -> None:
    stages = [dict(name='stage', config='config.py', **stage)]
    (work / 'all_pipeline.py').write_text(f"name = 'all'\nstages = {stages!r}\n")
    run('run_pipeline', work / 'all_pipeline.py', '--work-dir', work / 'all')


def self_attention(work: Path, bad: Path) -> None:
    loss = dict(toys.SELF_ATTENTION_LOSS, allow_untrained=False, checkpoint=str(bad))
    loss['domains'] = ['source']
    MODELS.build(dict(METHOD, regularizers=dict(sam=loss))).init_weights()


def download(work: Path, bad: Path) -> None:
    url = f'https://nowhere.invalid/{bad.name}'
    Path(cached_file(url)).parent.mkdir(parents=True)
    bad.rename(cached_file(url))
    CheckpointLoader.load_checkpoint(url)


def timm_weights(work: Path, bad: Path) -> None:
    options = ('--features', 'timm:resnet10t', '--weights', bad)
    run('train_image_labels', work / 'config.py', '--out', work / 'a.npz', *options)


# Every way by which a checkpoint is read: name, then the call with the directory and the file.
ENTRIES: dict[str, Callable[[Path, Path], object]] = {
    'test.py': lambda work, bad: run('test', work / 'config.py', bad),
    'train.py, load_from': lambda work, bad: train(work, f'load_from={bad}'),
    'train.py --resume': resume,
    'train.py, Pretrained': pretrained,
    'adabn.py': lambda work, bad: run('adabn', work / 'config.py', bad, work / 'out.pth'),
    'generate_pseudo_labels.py': lambda work, bad: run(
        'generate_pseudo_labels', work / 'config.py', bad, '--out-dir', work / 'labels'
    ),
    'export_segmentor.py': lambda work, bad: run('export_segmentor', bad, work / 'out.pth'),
    'train_image_labels.py': lambda work, bad: run(
        *('train_image_labels', work / 'config.py', '--out', work / 'a.npz'),
        *('--features', 'config', '--weights', bad),
    ),
    'train_image_labels.py, timm': timm_weights,
    'show_attention.py': lambda work, bad: run(
        'analysis_tools/show_attention', work / 'config.py', bad, '--out', work / 'a.png'
    ),
    'run_pipeline.py, test': lambda work, bad: run_pipeline(
        work, dict(type='test', checkpoint=str(bad))
    ),
    'run_pipeline.py, pseudo_label': lambda work, bad: run_pipeline(
        work, dict(type='pseudo_label', checkpoint=str(bad))
    ),
    'run_pipeline.py, export': lambda work, bad: run_pipeline(
        work, dict(type='export', checkpoint=str(bad))
    ),
    'run_pipeline.py, train': lambda work, bad: run_pipeline(
        work, dict(type='train', options=dict(load_from=str(bad)))
    ),
    'SelfAttentionLoss.checkpoint': self_attention,
    'init_model': lambda work, bad: init_model(work / 'bare.py', str(bad), device='cpu'),
    'MMSegInferencer': lambda work, bad: MMSegInferencer(
        str(work / 'bare.py'), str(bad), device='cpu'
    ),
    'MMSegInferencer without config': lambda work, bad: MMSegInferencer(
        None, str(bad), device='cpu'
    ),
    'mmengine.runner.load_checkpoint': lambda work, bad: mmengine.runner.load_checkpoint(
        MODELS.build(METHOD), str(bad)
    ),
    'download': download,
}
entry_points = pytest.mark.parametrize('entry', ENTRIES.values(), ids=list(ENTRIES))
# Those of them that test, label, export or adapt, and the start of a training.
USES = ('test.py', 'generate_pseudo_labels.py', 'export_segmentor.py', 'adabn.py')
USES = (*USES, 'train.py, load_from', 'run_pipeline.py, test', 'run_pipeline.py, train')


@entry_points
def test_no_checkpoint_runs_code(work: Path, entry: Callable[[Path, Path], object]) -> None:
    bad, made = work / 'bad.pth', work / 'made'
    torch.save(dict(state_dict=weights(), meta=dict(iter=1, a=toys.Payload(made))), bad)
    with pytest.raises(ValueError, match=r'bad\.pth') as error:
        entry(work, bad)
    assert not made.exists()
    message = str(error.value)
    assert 'io.open, which could run any code' in message
    assert '\n' not in message


@pytest.mark.parametrize('name', USES)
def test_weights_that_are_not_finite(work: Path, name: str) -> None:
    state, bad = weights(), work / 'bad.pth'
    state['student.backbone.layer.weight'][0] = float('nan')
    torch.save(dict(state_dict=state, meta={}), bad)
    expected = r'got NaN or infinity in student\.backbone\.layer\.weight: \S+bad\.pth; write an'
    with pytest.raises(ValueError, match=expected) as error:
        ENTRIES[name](work, bad)
    assert '\n' not in str(error.value)


STARTS = (*USES, 'train.py, Pretrained', 'train.py --resume', 'init_model')


@pytest.mark.parametrize('name', STARTS)
def test_truncated_file(work: Path, name: str) -> None:
    bad = work / 'bad.pth'
    torch.save(dict(state_dict=weights()), bad)
    bad.write_bytes(bad.read_bytes()[:300])
    with pytest.raises(ValueError, match=r'got a truncated file \(copy .*\): \S+bad\.pth$'):
        ENTRIES[name](work, bad)


@pytest.mark.parametrize('name', STARTS)
def test_pointer_of_git_lfs(work: Path, name: str) -> None:
    bad = work / 'bad.pth'
    bad.write_text('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n')
    with pytest.raises(ValueError, match=r'a Git LFS pointer \(run git lfs pull\): \S+bad\.pth$'):
        ENTRIES[name](work, bad)


class TestMetadata:
    """Texts of configs in a checkpoint are programs, which nobody asked for."""

    @pytest.fixture
    def bad(self, work: Path) -> Path:
        """A checkpoint of the method in which every text of a config creates ``made``."""
        code = f'model = open({str(work / "made")!r}, "w")'
        content = dict(
            meta=dict(cfg=code, config=code, iter=0, epoch=0),
            state_dict=weights(),
            message_hub=dict(log_scalars={}, runtime_info=dict(cfg=code), resumed_keys={}),
        )
        torch.save(content, work / 'bad.pth')
        return work / 'bad.pth'

    def test_resume(self, work: Path, bad: Path) -> None:
        resume(work, bad)
        assert (work / 'run/iter_1.pth').is_file()
        assert not (work / 'made').exists()

    def test_inferencer(self, work: Path, bad: Path) -> None:
        with pytest.raises(ValueError, match='Cannot find the config in the checkpoint'):
            MMSegInferencer(None, str(bad), device='cpu')
        assert not (work / 'made').exists()

    def test_export(self, work: Path, bad: Path) -> None:
        with pytest.raises(ValueError, match=r'bad\.pth was trained as --config'):
            run('export_segmentor', bad, work / 'out.pth', '--out-config', work / 'out.py')
        run('export_segmentor', bad, work / 'out.pth')
        assert torch.load(work / 'out.pth', weights_only=True)['meta'] == dict(iter=0, epoch=0)
        assert not (work / 'made').exists()


@pytest.mark.parametrize('cls', [ClassCounts, ImageLabels, SpatialPrior])
def test_no_archive_of_numpy_runs_code(tmp_path: Path, cls: Any) -> None:
    payload = np.array([toys.Payload(tmp_path / 'made')])
    write_npz(tmp_path / 'a.npz', meta=payload, prior=payload)
    with pytest.raises(
        ValueError, match=r'cannot read \S+a\.npz \(ValueError: it is no archive of'
    ):
        cls.read(tmp_path / 'a.npz')
    assert not (tmp_path / 'made').exists()


NAMES = ('/etc/passwd', '../victim', 'a/../../victim', './a', 'a//b', '', '.', 3)


def write_manifest(directory: Path, name: Any) -> Path:
    Manifest(
        rule={}, num_classes=2, config_sha256='', checkpoint_sha256='', files=['a.png', name]
    ).write(directory)
    return directory / 'manifest.json'


def write_translation(directory: Path, name: Any) -> Path:
    image = dict(image='images/a.png', label=None, style='b.png')
    TranslationManifest({}, '', [image, dict(image, image=name)]).write(directory)
    return directory / 'manifest.json'


def write_state(directory: Path, name: Any) -> Path:
    directory.mkdir(exist_ok=True)
    stages = dict(a=dict(type='train', outputs=dict(output=name)))
    path = directory / 'pipeline.json'
    path.write_text(json.dumps(dict(format_version=1, stages=stages)))
    return path


# Formats whose names are joined to their directory: a writer and a reader of each.
FORMATS = {
    'pseudo labels': (write_manifest, Manifest.read),
    'translated images': (write_translation, TranslationManifest.read),
    'pipeline': (write_state, State),
}


class TestNames:
    """Names in files stay below the directory of the file."""

    @pytest.mark.parametrize('name', NAMES)
    @pytest.mark.parametrize('kind', FORMATS)
    def test_that_lead_elsewhere(self, tmp_path: Path, kind: str, name: Any) -> None:
        write, read = FORMATS[kind]
        path = write(tmp_path / 'a', name)
        with pytest.raises(ValueError, match=r'expected relative names .* but got') as error:
            read(tmp_path / 'a')
        message = str(error.value)
        assert message.startswith(f'{path}: ')
        assert f'but got {name!r}; ' in message
        assert '\n' not in message

    @pytest.mark.parametrize('kind', FORMATS)
    def test_links(self, tmp_path: Path, kind: str) -> None:
        write, read = FORMATS[kind]
        path = write(tmp_path / 'a', 'link/b.png')
        (tmp_path / 'a/inside').mkdir()
        link = tmp_path / 'a/link'
        link.symlink_to('inside')
        read(tmp_path / 'a')
        (tmp_path / 'another_name').symlink_to('a')  # the directory itself may be anywhere
        read(tmp_path / 'another_name')
        link.unlink()
        link.symlink_to('../outside')
        expected = rf"^{path}: .* leads from 'link/b.png' to {tmp_path}/outside/b\.png; make the"
        with pytest.raises(ValueError, match=expected):
            read(tmp_path / 'a')

    @pytest.mark.parametrize('name', ['/a.png', '../a.png', 'a/../b.png'])
    def test_of_image_labels(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / 'a.npz'
        ImageLabels(['a.png', name], np.zeros((2, 3), np.float32)).write(path)
        with pytest.raises(ValueError, match=rf'^{path}: expected relative .* but got {name!r}; '):
            ImageLabels.read(path)

    def test_no_file_elsewhere_is_overwritten(self, tmp_path: Path) -> None:
        """A manifest of another recipe, whose files are replaced on demand."""
        for name in ('source', 'target'):
            toys.write_domain(tmp_path, name, 1, 0)
        (tmp_path / 'victim.png').write_text('thesis')
        write_translation(tmp_path / 'out', '../victim.png')
        with pytest.raises(ValueError, match=r"manifest\.json: .* but got '\.\./victim\.png'"):
            translate_folder(
                *(str(tmp_path / name) for name in ('source/images', 'target/images', 'out')),
                beta=0.1,
                overwrite=True,
            )
        assert (tmp_path / 'victim.png').read_text() == 'thesis'
