"""The report of a pipeline."""

from __future__ import annotations

from mmseg_uda.pipeline.report import format_report, format_time
from mmseg_uda.pipeline.state import StageRecord


def test_report() -> None:
    assert format_time(3723.4) == '1:02:03'
    records = {
        'b': StageRecord(
            'pseudo_label',
            'failed',
            seconds=61,
            attempts=2,
            error='E: x\ny',
            coverage={'car': [200, 50], 'bus': [0, 0]},
        )
    }
    lines = format_report('p', dict(a='train', b='pseudo_label'), records).splitlines()
    assert '| a | train | not started |  |  |  |  |' in lines
    assert '| b | pseudo_label | **failed** | 0:01:01 | 2 | 1 |  |' in lines
    assert '- `b`: E: x y' in lines
    assert lines[-2:] == ['| car | 25.0 |', '| bus | none predicted, 0 kept |']
