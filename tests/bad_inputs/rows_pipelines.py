"""Wrong pipelines, tables and config files."""

from __future__ import annotations

from bad_inputs.table import PIPELINE, TABLE, Row

__all__ = ['ROWS']

DRY = 'run_pipeline all_pipeline.py --dry-run'


def _pipeline(name: str, old: str, new: str, line: str, command: str = DRY) -> Row:
    assert old in PIPELINE
    files = {'all_pipeline.py': PIPELINE.replace(old, new)}
    return Row(f'pipeline, {name}', command, line, files=files)


def _table(name: str, old: str, new: str, line: str) -> Row:
    assert old in TABLE
    files = {'ablations.py': TABLE.replace(old, new)}
    return Row(f'table, {name}', 'run_pipeline ablations.py --dry-run', line, files=files)


def _file(name: str, content: str | bytes, line: str) -> Row:
    return Row(f'file, {name}', 'train new.py', line, files={'new.py': content})


STAGE = "dict(name='test', type='test', config='self.py', checkpoint='{second}')"
# fmt: off
ROWS = [
    _pipeline('type', "type='test'", "type='tets'", "stage 'test': expected a type, but got tets; write test"),
    _pipeline('no type', "type='test', ", '', "stage 'test': expected a type, but got none; write one of ..."),
    _pipeline('name', "name='first'", "name='first stage'", "stages[0].name got 'first stage'; write letters, digits, _ and -, but not 'replaced'"),
    _pipeline('name twice', "name='labels'", "name='first'", "stage 'first': name is taken by 2 stages; write another one"),
    _pipeline('key', "checkpoint='{first}'", "chekpoint='{first}'", "stage 'labels': expected a key, but got chekpoint; write checkpoint"),
    _pipeline('missing key', ", checkpoint='{first}'", '', "stage 'labels': checkpoint is missing"),
    _pipeline('reference', '{second}', '{secnod}', "stage 'test': checkpoint refers to {secnod}: expected a stage before this one, but got secnod; write second"),
    _pipeline('reference to a later stage', '{first}', '{second}', "stage 'labels': checkpoint refers to {second}: expected a stage before this one, but got second; write one of first"),
    _pipeline('part', '{second}', '{second.bst}', "stage 'test': checkpoint refers to {second.bst}: expected a part of 'second', but got bst; write one of output"),
    _pipeline('kind of output', '{second}', '{labels}', "stage 'test': checkpoint got {labels}, which is a directory; refer to a stage that makes a checkpoint"),
    _pipeline('config', "config='config.py')", "config='confg.py')", "stage 'first': config [FileNotFoundError] no config file confg.py; write config.py"),
    _pipeline('checkpoint', '{second}', 'modell.pth', "stage 'test': checkpoint: expected a file, but got 'modell.pth'; correct the path, or write '{NAME}' for the output of stage NAME"),
    _pipeline('rule', "checkpoint='{first}'", "checkpoint='{first}', rule='bld'", "stage 'labels': rule [ValueError] PseudoLabelLoop.rule.type: expected one of ..., but got 'bld'"),
    _pipeline('share', "checkpoint='{first}'", "checkpoint='{first}', rule=dict(type='bdl', share=2)", "stage 'labels': rule [ValueError] BDLRule.share: expected a number in (0, 1], but got 2"),
    _pipeline('options', "config='config.py')", "config='config.py', options=3)", "stage 'first': options got 3; write a dict of dotted paths"),
    _pipeline('option', "config='config.py')", "config='config.py', options={'train_cfg.max_iter': 3})", "stage 'first': train_cfg.max_iter: UDATrainLoop has no argument 'max_iter'; write 'max_iters'"),
    _pipeline('option of a wrong type', "config='config.py')", "config='config.py', options={'train_cfg.max_iters': 'many'})", "stage 'first': train_cfg.max_iters: UDATrainLoop.max_iters: expected an integer from 1 on, but got 'many'"),
    _pipeline('option without a place', "config='config.py')", "config='config.py', options={'trian_cfg.max_iters': 3})", "stage 'first': trian_cfg.max_iters: nothing reads 'trian_cfg'; write 'train_cfg'"),
    _pipeline('data', "config='config.py')", "config='config.py', options={'train_dataloader.source.dataset.data_prefix.img_path': 'none'})", "stage 'first': BaseSegDataset: expected a directory in train_dataloader.source.dataset.data_prefix.img_path, but got 'data/source/none'; set `data_root`, or the environment variable MMSEG_UDA_DATA that the configs read, or correct `data_prefix`"),
    _pipeline('stage to begin at', "config='self.py',\n", "config='self.py',\n", '--from: expected a stage, but got secnod; write second', 'run_pipeline all_pipeline.py --dry-run --from secnod'),
    _pipeline('no list', 'stages = [', 'stages = 3\nsteps = [', 'all_pipeline.py: stages got 3; write [dict(name=..., type=..., ...), ...]'),
    _pipeline('no stages', 'stages = [', 'stagse = [', 'all_pipeline.py: stages got None; write [dict(name=..., type=..., ...), ...]'),
    _pipeline('seed', 'stages = [', "seed = 'three'\nstages = [", "all_pipeline.py: seed got 'three'; write an integer"),
    _pipeline('stage that is no dict', STAGE, "'test'", "stages[3] got 'test'; write dict(name=..., type=..., ...) or 'FILE:CELL'"),
    _pipeline('beta', STAGE, "dict(name='fda', type='translate', source='data/source/images', target='data/target/images', beta='x')", "stage 'fda': beta: FDATranslator.beta: expected float, but got 'x'"),
    _pipeline('missing style', STAGE, "dict(name='fda', type='translate', source='data/source/images', target='data/none', beta=0.05)", "stage 'fda': target: expected a directory, but got 'data/none'; correct the path, or write '{NAME}' for the output of stage NAME"),
    _pipeline('prior without size', STAGE, "dict(name='prior', type='spatial_prior', config='config.py')", "stage 'prior': type [ValueError] the config has no TrackPositions in train_dataloader.target.dataset.pipeline to take the size from; write it there, or give the size"),
    _pipeline('border', STAGE, "dict(name='prior', type='spatial_prior', config='config.py', size=(32, 48), border='mirror')", "stage 'prior': type [ValueError] PriorRecipe.border: expected one of ..., but got 'mirror'"),
    _pipeline('network of image labels', STAGE, "dict(name='labels2', type='image_labels', config='pit.py', features='tim:x')", 'stage \'labels2\': features [FileNotFoundError] file "tim:x" does not exist'),
    _pipeline('exported module', STAGE, "dict(name='out', type='export', config='config.py', checkpoint='{first}', modul='x')", "stage 'out': expected a key, but got modul; write module"),
    Row('pipeline, config of a training', 'run_pipeline config.py --dry-run', 'config.py: stages got None; write [dict(name=..., type=..., ...), ...]'),
    Row('pipeline, missing', 'run_pipeline al_pipeline.py --dry-run', 'read_pipeline: no config file al_pipeline.py; write ablations.py --cell CELL, with one of small, large'),
    Row('pipeline, option of no stage', f'{DRY} --cfg-options stages.secnod.config=self.py', '--cfg-options stages.secnod.config: expected a stage, but got secnod; write second'),
    Row('pipeline, option of nothing', f'{DRY} --cfg-options sed=3', '--cfg-options got `sed`; write seed, select, work_dir, reuse, translated, stages.NAME.KEY or stages.NAME.options.PATH'),
    Row('pipeline, flag', 'run_pipeline all_pipeline.py --dryrun', "expected known arguments, but got --dryrun; write '--dry-run'"),
    Row('pipeline, trained as a config', 'train all_pipeline.py', "model: expected a dict with 'type', but got none; write it"),
    Row('table, row', 'run_pipeline ablations.py --dry-run --row plian', 'ablations.py: expected a row, but got plian; write plain'),
    Row('table, cell', 'run_pipeline ablations.py --dry-run --cell smal', 'ablations.py: expected a cell, but got smal; write small'),
    _table('key', 'paper=(40.0, 50.0)', 'papr=(40.0, 50.0)', "ablations.py: row 'plain': expected a key, but got papr; write paper"),
    _table('numbers', 'paper=(40.0, 50.0)', 'paper=(40.0, 50.0, 60.0)', "ablations.py: row 'plain': expected at most 2 numbers, one per cell, but got paper=(40.0, 50.0, 60.0)"),
    _table('config', "'teacher.py'", "'techer.py'", "ablations.py: row 'plain': cell 'large' is techer.py, which does not exist; correct the path"),
    _table('option', 'model.adversarial_loss.mode', 'model.adversarial_loss.mod', "stage 'least_squares_small': model.adversarial_loss.mod: AdversarialLoss has no argument 'mod'; write 'mode'"),
    _table('value', "'least_squares'}", "'least_squares_'}", "stage 'least_squares_small': model.adversarial_loss.mode: AdversarialLoss.mode: expected one of ..., but got 'least_squares_'"),
    _table('no cell', 'paper=(40.0, 50.0)', 'paper=()', "ablations.py: row 'plain': expected a cell, but got none; write cells or paper"),
    _table('cell of a row', 'paper=(40.0, 50.0)', "cells=['smal']", "ablations.py: row 'plain': expected a cell, but got smal; write small"),
    _file('syntax', 'model = dict(type=\n', "new.py, line 1: [SyntaxError] '(' was never closed"),
    _file('name', "model = dict(type=Adversarial)\n", "new.py, line 1: [NameError] name 'Adversarial' is not defined"),
    _file('error', "model = dict(type=['a'][1])\n", 'new.py, line 1: [IndexError] list index out of range'),
    _file('missing base', "_base_ = 'bsae.py'\n", "new.py: [FileNotFoundError] [Errno 2] No such file or directory: 'bsae.py'"),
    _file('empty', '', "model: expected a dict with 'type', but got none; write it"),
    _file('binary', b'\x00\xff\x80', "new.py: [UnicodeDecodeError] 'utf-8' codec can't decode byte 0xff in position 1: invalid start byte"),
    _file('reserved name', "filename = 'x'\n", "new.py: [KeyError] 'filename is reserved for config file'"),
]
# fmt: on
