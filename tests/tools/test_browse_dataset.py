"""Training samples of either domain, painted."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import cv2
import mmseg
import numpy as np
import pytest
import toys
from mmengine.config import Config


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return toys.load_script('tools/analysis_tools/browse_dataset.py')


def write_config(folder: Path, method: str) -> Path:
    cfg = toys.runner_cfg(folder / 'data', folder / 'work', toys.method_cfg(method))
    backends = [dict(type='LocalVisBackend')]
    cfg.visualizer = dict(type='SegLocalVisualizer', vis_backends=backends, alpha=1.0)
    for loader in cfg.train_dataloader.values():  # no random flips
        steps = loader.dataset.pipeline
        loader.dataset.pipeline = [step for step in steps if step.type != 'RandomFlip']
    cfg.dump(folder / 'config.py')
    return folder / 'config.py'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, 'self_training')  # whose target has pseudo labels


def painted(tool: ModuleType, config: Path, *options: str) -> np.ndarray:
    """The first sample, under its label if it has one."""
    out = config.with_name('out')
    tool.main([str(config), '--not-show', '--output-dir', str(out), *options])
    return cv2.imread(str(out / '0.png'))


@pytest.mark.parametrize(('domain', 'count'), [('source', 5), ('target', 7)])
def test_each_domain(tool: ModuleType, config: Path, domain: str, count: int) -> None:
    picture = painted(tool, config, '--domain', domain)
    kind = 'labels' if domain == 'source' else 'pseudo'
    label = cv2.imread(str(config.parent / f'data/{domain}/{kind}/0.png'))
    expected = np.where(label < toys.NUM_CLASSES, label, 0)  # class i is (i, i, i), no class black
    assert np.mean(picture == expected) > 0.9  # names of classes lie over it
    assert len(list(config.with_name('out').iterdir())) == count


def test_target_without_labels(tool: ModuleType, tmp_path: Path) -> None:
    picture = painted(tool, write_config(tmp_path, 'source_only'), '--domain', 'target')
    assert np.array_equal(picture, cv2.imread(str(tmp_path / 'data/target/images/0.png')))


def test_missing_domain(tool: ModuleType) -> None:
    with pytest.raises(ValueError, match=r'--domain target: expected train_dataloader\.target'):
        tool.training_set(dict(train_dataloader=dict(dataset=dict())), 'target')
    assert tool.training_set(dict(train_dataloader=dict(dataset=dict(a=1))), 'source') == dict(a=1)


def test_output_among_the_data_is_refused(tool: ModuleType, config: Path) -> None:
    data = str(config.parent / 'data/source')
    with pytest.raises(ValueError, match='--output-dir'):
        tool.main([str(config), '--not-show', '--output-dir', data])


def test_flags_are_those_of_mmseg(tool: ModuleType) -> None:
    path = Path(mmseg.__file__).parent / '.mim/tools/analysis_tools/browse_dataset.py'
    if not path.is_file():
        pytest.skip('mmseg came without its tools')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('sys.argv', ['browse_dataset.py', 'c'])
        expected = vars(toys.load_script(path).parse_args())
    added = dict(row=None, cell=None, domain='source')
    assert vars(tool.parse_args(['c'])) == {**expected, **added}


def test_nothing_is_overwritten(tool: ModuleType, config: Path) -> None:
    """A file of somebody else is moved aside; a second run changes nothing."""
    out = config.with_name('out')
    out.mkdir()
    (out / '0.png').write_text('mine')
    painted(tool, config)
    assert [path.read_text() for path in out.glob('0.png.old*')] == ['mine']
    before = sorted(path.name for path in out.iterdir())
    painted(tool, config)
    assert sorted(path.name for path in out.iterdir()) == before


def test_equal_names_of_two_directories(tool: ModuleType, config: Path) -> None:
    cfg = Config.fromfile(config)
    source = cfg.train_dataloader.source.dataset
    cfg.train_dataloader.source.dataset = dict(type='ConcatDataset', datasets=[source, source])
    cfg.dump(config)
    painted(tool, config)
    names = {path.name for path in config.with_name('out').iterdir()}
    assert {'0.png', '0_2.png'} < names
    assert len(names) == 10
