"""``tools/check_config.py`` on configs of trainings, of pipelines and of mmseg."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import mmseg
import pytest
import toys

from mmseg_uda.config.tables import Table

CONFIGS = toys.ROOT / 'configs'
CDANET = str(
    CONFIGS / 'cdanet/cdanet_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180.py'
)
PIPELINE = str(CONFIGS / 'camix/camix_pipeline.py')
TABLE = str(CONFIGS / 'dast/ablations.py')


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return toys.load_script('tools/check_config.py')


def test_sound_configs(tool: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    row, cell = Table(TABLE).pairs()[0]
    configs = [CDANET, PIPELINE, f'{TABLE}:{row}:{cell}']
    assert tool.main(configs) == 0
    assert tool.main([TABLE, '--row', row, '--cell', cell]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [f'{config}: ok' for config in (*configs, TABLE)]


def test_mistakes_in_a_training(tool: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    options = ['model.segmentor.bakbone.x=1', 'train_cfg.max_iters=many']
    assert tool.main([CDANET, '--cfg-options', *options]) == 2
    assert capsys.readouterr().out.splitlines() == [
        f'{CDANET}:',
        "  model.segmentor.bakbone: EncoderDecoder has no argument 'bakbone'; write 'backbone'",
        '  train_cfg.max_iters: UDATrainLoop.max_iters: expected an integer from 1 on, but got '
        "'many'",
    ]


def test_json_and_pipelines(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = dict(name='first', type='train', config=CDANET, options={'model.discriminatr': {}})
    other = dict(name='fda', type='translate', source='a', target='b', beta='x')
    path, broken = tmp_path / 'a_pipeline.py', tmp_path / 'broken.py'
    path.write_text(f'stages = [{stage}, {other}]')
    broken.write_text('model = dict(')
    assert tool.main([str(path), CDANET, str(broken), '--json']) == 2
    pipeline, sound, unreadable = json.loads(capsys.readouterr().out)
    assert pipeline == {
        'config': str(path),
        'problems': [
            {
                'path': "stage 'first': model.discriminatr",
                'message': "CDANet has no argument 'discriminatr'; write 'discriminator'",
            },
            {
                'path': "stage 'fda': beta",
                'message': "FDATranslator.beta: expected float, but got 'x'",
            },
        ],
    }
    assert sound == {'config': CDANET, 'problems': []}
    (problem,) = unreadable['problems']
    assert problem['path'] == str(broken)
    assert problem['message'].startswith('line 1: [SyntaxError]')


def test_module_that_is_not_found(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'config.py'
    path.write_text("custom_imports = dict(imports=['my_paper'])")
    assert tool.main([str(path)]) == 2
    assert capsys.readouterr().out.splitlines() == [
        f'{path}:',
        f"  {path}: [ModuleNotFoundError] No module named 'my_paper'; correct custom_imports, or "
        'write its directory into PYTHONPATH',
    ]


def test_stock_config(tool: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(mmseg.__file__).parent / '.mim/configs/upernet'
    path /= 'upernet_r50_4xb2-40k_cityscapes-512x1024.py'
    if not path.is_file():
        pytest.skip('mmseg came without its configs')
    assert tool.main([str(path)]) == 0
    assert tool.main([str(path), '--cfg-options', 'model.auxiliary_head.num_classes=5']) == 2
    assert 'model.auxiliary_head.num_classes: numbers of classes' in capsys.readouterr().out
