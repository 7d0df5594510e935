"""Installation: toolbox versions, resume with ``weights_only``, configs inside the package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch
import toys
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.utils.dl_utils import collect_env
from mmseg.registry import MODELS
from packaging.requirements import Requirement
from torch import Tensor, nn

import mmseg_uda
from mmseg_uda import compat
from mmseg_uda.artifacts import checkpoint
from mmseg_uda.models.discriminators import FCDiscriminator

ROOT = Path(__file__).resolve().parents[1]
ONEDL = {
    'torch': '2.13.0+cpu',
    'onedl-mmcv': '2.3.6',
    'onedl-mmengine': '0.10.12',
    'onedl-mmsegmentation': '1.4.2',
}
OPENMMLAB = {'torch': '2.1.0', 'mmcv': '2.1.0', 'mmengine': '0.10.4', 'mmsegmentation': '1.2.2'}


def load_setup() -> ModuleType:
    return toys.load_script('setup.py')


@pytest.fixture
def install(monkeypatch):
    """Pretend that exactly these distributions are installed."""

    def pretend(versions: dict[str, str], without_files: tuple[str, ...] = ()) -> None:
        monkeypatch.setattr(compat, '_installed_version', versions.get)
        monkeypatch.setattr(compat, '_source_version', lambda module: None)
        monkeypatch.setattr(compat, '_has_files', lambda module: module not in without_files)

    return pretend


def requirements_in(line: str) -> dict[str, str]:
    """Distribution -> versions of the last ``pip install`` of a command line."""
    quoted = re.findall(r"'([^']+)'", line.rpartition('pip install')[2])
    return {(entry := Requirement(text)).name: str(entry.specifier) for text in quoted}


class TestVersions:
    @pytest.mark.parametrize(
        'versions',
        [ONEDL, OPENMMLAB, {**OPENMMLAB, 'torch': '2.13.0'}, {**OPENMMLAB, 'mmengine': '0.10.7'}],
    )
    def test_whole_family_is_accepted(self, install, versions):
        install(versions)
        compat.check_versions()

    def test_this_environment(self):
        compat.check_versions()
        assert mmseg_uda.__version__ == load_setup().read_version()

    @pytest.mark.parametrize(
        ('versions', 'found', 'installs'),
        [
            (
                {'torch': '2.13.0'},
                ['onedl-mmcv missing', 'onedl-mmsegmentation missing'],
                {'onedl-mmcv', 'onedl-mmengine', 'onedl-mmsegmentation'},
            ),
            ({}, ['torch missing'], set(ONEDL)),
            ({**ONEDL, 'torch': '2.5.1'}, ['torch 2.5.1 (needs torch>=2.6)'], {'torch'}),
            (
                {**ONEDL, 'onedl-mmengine': '0.10.8rc1'},
                ['onedl-mmengine 0.10.8rc1'],
                {'onedl-mmengine'},
            ),
            ({**OPENMMLAB, 'mmcv': '2.2.0'}, ['mmcv 2.2.0 (needs mmcv>=2.1.0,<2.2)'], {'mmcv'}),
            (
                {**OPENMMLAB, 'mmsegmentation': '0.30.0', 'mmengine': '0.7.1'},
                ['mmengine 0.7.1', 'mmsegmentation 0.30.0'],
                {'mmengine', 'mmsegmentation'},
            ),
        ],
    )
    def test_error_names_found_and_the_line(self, install, versions, found, installs):
        install(versions)
        with pytest.raises(ImportError) as caught:
            compat.check_versions()
        message = str(caught.value)
        assert '\n' not in message
        assert all(text in message for text in found)
        assert set(requirements_in(message)) == installs
        assert 'uninstall' not in message

    def test_mmcv_is_compiled_against_the_installed_torch(self, install):
        install({**OPENMMLAB, 'mmcv': '1.7.2'})
        with pytest.raises(ImportError, match='--no-build-isolation'):
            compat.check_versions()

    @pytest.mark.parametrize('versions', [{**OPENMMLAB, **ONEDL}, {**ONEDL, 'mmcv': '2.1.0'}])
    def test_families_that_overwrite_each_other(self, install, versions):
        install(versions)
        with pytest.raises(ImportError, match='writes the same modules') as caught:
            compat.check_versions()
        uninstalled = re.search('pip uninstall -y (.*?) &&', str(caught.value)).group(1).split()
        assert set(uninstalled) == set(versions) - {'torch'}
        assert set(requirements_in(str(caught.value))) == set(ONEDL) - {'torch'}

    def test_mmcv_lite(self, install):
        versions = {**OPENMMLAB, 'mmcv-lite': '2.1.0'}
        del versions['mmcv']
        install(versions)
        with pytest.raises(ImportError, match=r'mmcv missing .*mmcv-lite 2\.1\.0'):
            compat.check_versions()

    def test_files_taken_away_with_the_other_family(self, install):
        install(ONEDL, without_files=('mmcv',))
        with pytest.raises(ImportError, match=r'onedl-mmcv 2\.3\.6 without its files.*uninstall'):
            compat.check_versions()

    def test_toolbox_without_distribution(self, monkeypatch):
        monkeypatch.setattr(compat, '_installed_version', {'torch': '2.1.0'}.get)
        monkeypatch.setattr(
            compat, '_source_version', {'mmcv': '2.1.0', 'mmengine': '0.10.7', 'mmseg': '1.2.1'}.get
        )
        with pytest.raises(ImportError, match=r'found mmsegmentation 1\.2\.1 .needs'):
            compat.check_versions()

    @pytest.mark.parametrize('family', ['onedl', 'openmmlab'])
    def test_extras_say_the_same(self, family):
        lines = map(Requirement, load_setup().read_requirements(family))
        extras = {entry.name: entry.specifier for entry in lines}
        for name, versions in compat.FAMILIES[family].values():
            if family == 'onedl' or name != 'torch':
                assert extras[name] == Requirement(name + versions).specifier

    def test_versions_of_python_agree(self):
        setup = (ROOT / 'setup.py').read_text()
        low, high = map(int, re.search(r"python_requires='>=3\.(\d+),<3\.(\d+)'", setup).groups())
        versions = [f'3.{minor}' for minor in range(low, high)]
        workflow = (ROOT / '.github/workflows/ci.yml').read_text()
        assert f'python-version: {versions}' in workflow
        assert f'range({low}, {high})' in setup  # classifiers
        assert (
            f'(3, {low}) <= sys.version_info[:2] <= (3, {high - 1})'
            in (ROOT / 'quickstart.py').read_text()
        )
        assert f'Python {versions[0]}–{versions[-1]} with pip' in (ROOT / 'README.md').read_text()
        lint = (ROOT / 'pyproject.toml').read_text()
        assert f"target-version = 'py3{low}'" in lint
        assert f"python_version = '{versions[0]}'" in lint

    def test_address_is_that_of_whoever_builds(self):
        assert load_setup().project_urls('') == {}
        urls = load_setup().project_urls('https://example.org/a/b')
        assert urls['Issues'] == 'https://example.org/a/b/issues'
        for name in ('mkdocs.yml', 'setup.py', '.github/workflows/ci.yml'):
            assert 'MMSEG_UDA_REPOSITORY' in (ROOT / name).read_text()

    def test_runtime_requires_no_family(self):
        names = {Requirement(line).name for line in load_setup().read_requirements('runtime')}
        assert not names & (set(ONEDL) | set(OPENMMLAB)) - {'torch'}
        assert 'torch>=2.1' in load_setup().read_requirements('runtime')


class TestTimm:
    @pytest.mark.parametrize(
        ('torch_version', 'command'),
        [
            ('2.13.0', 'torch torchvision`'),
            (
                '2.13.0+cpu',
                'torch torchvision --index-url https://download.pytorch.org/whl/cpu`',
            ),
        ],
    )
    def test_torchvision_of_another_torch(self, monkeypatch, install, torch_version, command):
        def fail(name: str) -> None:
            raise RuntimeError('operator torchvision::nms does not exist')

        install({'torch': torch_version, 'torchvision': '0.28.0'})
        monkeypatch.setattr(compat, 'import_module', fail)
        with pytest.raises(ImportError) as caught:
            compat.import_timm()
        assert str(caught.value) == (
            f'expected a torchvision that fits torch {torch_version}, because timm imports it, but '
            'got torchvision 0.28.0 (operator torchvision::nms does not exist); run `pip install '
            f'--force-reinstall {command}, which takes both from one index'
        )

    def test_works_beside_a_torchvision_without_operators(self, monkeypatch, install):
        """As of an index that has torch for CPUs, and torchvision for CUDA."""
        lacking = ['made_up', 'other']

        def fail(name: str) -> str:
            if not hasattr(torch.ops.torchvision, lacking[0]):
                raise RuntimeError(f'operator torchvision::{lacking[0]} does not exist')
            if lacking.pop(0) == 'made_up':
                raise RuntimeError('operator torchvision::other does not exist')
            return name

        install({'torch': '2.13.0+cpu', 'torchvision': '0.28.0'})
        monkeypatch.setattr(compat, 'import_module', fail)
        with pytest.warns(UserWarning, match='timm works without its operators.*; run `pip'):
            assert compat.import_timm() == 'timm'

    def test_mmseg_imports_it_at_its_first_use(self, monkeypatch):
        monkeypatch.delitem(sys.modules, 'timm', raising=False)
        with compat.deferred_timm():
            import timm
        assert 'timm' not in sys.modules
        monkeypatch.setitem(sys.modules, 'timm', None)
        with pytest.raises(ImportError, match='expected timm, but got .*; run `pip install timm`'):
            timm.create_model('resnet10t')
        backbone = dict(type='TIMMBackbone', model_name='resnet10t', pretrained=False)
        with pytest.raises(ImportError, match='expected timm, but got'):
            MODELS.build(backbone)

    def test_transformers_looks_for_the_real_one(self, tmp_path):
        """mmengine imports transformers where it is installed, for an optimizer."""
        (tmp_path / 'transformers.py').write_text(
            'from importlib.util import find_spec\n'
            'import torch\n'
            'print(find_spec("timm").origin)\n'
            'class Adafactor(torch.optim.SGD):\n'
            '    pass\n'
        )
        command = [sys.executable, '-c', 'import mmseg_uda, sys; print("timm" in sys.modules)']
        path = os.pathsep.join([str(tmp_path), str(ROOT)])
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env={**os.environ, 'PYTHONPATH': path},
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.split() == [find_spec('timm').origin, 'False']

    def test_mmengine_logs_its_environment_beside_it(self, monkeypatch, tmp_path):
        """It would stop at any other error than that torchvision is missing."""
        (tmp_path / 'torchvision').mkdir()
        (tmp_path / 'torchvision/__init__.py').write_text('raise RuntimeError("no nms")')
        monkeypatch.syspath_prepend(tmp_path)
        for name in [each for each in sys.modules if each.split('.')[0] == 'torchvision']:
            monkeypatch.delitem(sys.modules, name)
        with pytest.raises(RuntimeError, match='no nms'):
            collect_env()
        with compat.hidden_torchvision():
            assert 'TorchVision' not in collect_env()
        assert 'torchvision' not in sys.modules

    def test_extras_say_the_same(self):
        read = load_setup().read_requirements
        assert set(read('timm')) < set(read('tests'))
        assert not set(read('timm')) & set(read('runtime'))


class Line(BaseModel):
    """A model of one weight, for a runner that trains at once."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, inputs: list[Tensor], mode: str = 'tensor') -> dict[str, Tensor]:
        return {'loss': self.linear(torch.stack(inputs)).square().mean()}


def make_runner(work_dir: Path, max_iters: int, resume: bool) -> Runner:
    torch.manual_seed(0)
    return Runner(
        model=Line(),
        work_dir=str(work_dir),
        resume=resume,
        experiment_name=f'line{max_iters}',
        train_dataloader=dict(
            dataset=[dict(inputs=torch.ones(1))] * 4,
            batch_size=2,
            sampler=dict(type='InfiniteSampler'),
        ),
        train_cfg=dict(by_epoch=False, max_iters=max_iters),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)),
        param_scheduler=dict(type='PolyLR', by_epoch=False, power=0.9, end=6),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=3),
        ),
        randomness=dict(seed=0),
        default_scope='mmengine',
    )


class TestCheckpoints:
    def test_resume(self, tmp_path):
        make_runner(tmp_path / 'whole', 6, False).train()
        make_runner(tmp_path / 'halves', 3, False).train()
        make_runner(tmp_path / 'halves', 6, True).train()
        whole, halves = (
            checkpoint.load_checkpoint(tmp_path / name / 'iter_6.pth')
            for name in ('whole', 'halves')
        )
        assert halves['meta']['iter'] == 6
        torch.testing.assert_close(halves['state_dict'], whole['state_dict'], rtol=0, atol=0)
        torch.testing.assert_close(halves['optimizer'], whole['optimizer'], rtol=0, atol=0)
        scalars = halves['message_hub']['log_scalars']['train/loss']
        assert len(scalars.data[0]) == 6


class TestPackage:
    def test_wheel_carries_the_configs(self, tmp_path):
        names = subprocess.run(
            ['git', 'ls-files', '-co', '--exclude-standard'],
            cwd=ROOT,
            capture_output=True,
            text=True,
        ).stdout.split()
        wanted = {
            name
            for name in names
            if name.split('/')[0] in ('configs', 'tools')
            and Path(name).suffix in ('.py', '.sh', '.yml', '.md')
        }
        if not wanted:
            pytest.skip('not a git checkout')
        for name in names:
            if (ROOT / name).is_file():
                (tmp_path / 'copy' / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / 'copy' / name).write_bytes((ROOT / name).read_bytes())
        subprocess.run(
            [sys.executable, 'setup.py', '-q', 'bdist_wheel', '-d', str(tmp_path)],
            cwd=tmp_path / 'copy',
            check=True,
            capture_output=True,
        )
        wheel = next(tmp_path.glob('mmseg_uda-*.whl'))
        packed = set(zipfile.ZipFile(wheel).namelist())
        assert {f'mmseg_uda/.mim/{name}' for name in [*wanted, 'model-index.yml']} <= packed
        assert 'mmseg_uda/py.typed' in packed
        assert not [name for name in packed if name.startswith(('tests', 'configs', 'tools'))]

    def test_scope_of_configs_by_name(self):
        for name in ('CDANet', 'EncoderDecoder', 'BN'):
            with MODELS.switch_scope_and_registry('mmseg_uda') as models:
                assert models.get(name) is MODELS.get(name) is not None
        head = dict(type='FCDiscriminator', in_channels=2, _scope_='mmseg_uda')
        assert isinstance(MODELS.build(head), FCDiscriminator)

    def test_mmsegs_configs_by_name(self, tmp_path):
        (tmp_path / 'own.py').write_text("_base_ = ['mmseg::_base_/models/segformer_mit-b0.py']")
        assert Config.fromfile(tmp_path / 'own.py').model.type == 'EncoderDecoder'

    def test_links_follow_the_checkout(self, tmp_path):
        load_setup().link_mim_entries(tmp_path)
        load_setup().link_mim_entries(tmp_path)
        assert (tmp_path / '.mim' / 'configs').resolve() == ROOT / 'configs'
        assert (tmp_path / '.mim' / 'model-index.yml').read_text() == (
            ROOT / 'model-index.yml'
        ).read_text()

    def test_model_index(self):
        index = Config.fromfile(ROOT / 'model-index.yml')
        listed = {ROOT / name for name in index.Import}
        assert listed == set(ROOT.glob('configs/*/metafile.yml'))
        for path in listed:
            metafile = Config.fromfile(path)
            collections = [entry['Name'] for entry in metafile.Collections]
            for model in metafile.get('Models') or []:
                assert model['In Collection'] in collections
                assert (ROOT / model['Config']).is_file()
                assert Path(model['Config']).stem == model['Name']
