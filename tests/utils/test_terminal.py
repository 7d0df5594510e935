from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

from mmseg_uda.utils.terminal import LogLine, prepare_terminal, show_tables

TABLE = '\n+-----+-----+\n| a | 1.0 |\n+-----+-----+'
TIME = r'\d\d/\d\d \d\d:\d\d:\d\d  '


@pytest.fixture
def logger(tmp_path: Path) -> Iterator[MMLogger]:
    logger = MMLogger('terminal', log_file=str(tmp_path / 'log'))
    yield logger
    for handler in logger.handlers:
        handler.close()


def test_terminal_gets_less_than_the_file(
    logger: MMLogger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.handlers[0].stream = sys.stdout  # pytest's of now
    for _ in range(2):  # the second time changes nothing
        prepare_terminal(logger)
    logger.info('Config:\na = 1\nb = 2\nc = 3\nd = 4')
    logger.info('short')
    logger.info(LogLine('loss: 1.0 loss_ce: 1.0', 'loss 1'))
    logger.info(LogLine('not for the terminal', ''))
    logger.warning('The prefix is not set in metric class IoUMetric.')
    logger.info('paramwise_options -- student.backbone.bn.weight:weight_decay=0.0')
    logger.warning('The model and loaded state dict do not match\na\nb\nc\nd\ne')
    logger.info(TABLE)
    show_tables(logger, False)
    logger.info('per class results:')
    logger.info(TABLE)
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(TIME + 'short', lines[0])
    assert re.fullmatch(TIME + 'loss 1', lines[1])
    assert re.fullmatch(TIME + 'warning: The model and loaded state dict do not match', lines[2])
    assert lines[3:8] == ['a', 'b', 'c', 'd', 'e']  # warnings are whole
    assert lines[9:] == TABLE.splitlines()[1:]  # once
    text = (tmp_path / 'log').read_text()
    for part in (
        'd = 4',
        'loss: 1.0 loss_ce: 1.0',
        'not for the terminal',
        'The prefix is',
        'paramwise_',
    ):
        assert part in text
    assert text.count(TABLE) == 2


def test_without_a_file_nothing_long_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    logger = MMLogger('no-file')
    logger.handlers[0].stream = sys.stdout
    prepare_terminal(logger)
    logger.info('1\n2\n3\n4\n5\n6')
    assert capsys.readouterr().out.splitlines()[1:] == ['2', '3', '4', '5', '6']
