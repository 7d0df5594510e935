"""The nearest known name, and names that are no slip."""

from __future__ import annotations

from pathlib import Path

import pytest
import toys
from mmengine.config import Config

from mmseg_uda.config.check import check_config
from mmseg_uda.config.similar import nearest


@pytest.mark.parametrize(
    ('word', 'cutoff', 'any_case', 'found'),
    [
        ('sead', 0.6, False, 'seed'),
        ('sead', 0.9, False, None),
        ('SEED', 0.6, False, None),
        ('SEED', 1.0, True, 'seed'),
        ('Adamw', 0.6, True, 'AdamW'),
        ('other', 0.6, True, None),
    ],
)
def test_nearest(word: str, cutoff: float, any_case: bool, found: str | None) -> None:
    assert nearest(word, ['seed', 'AdamW'], cutoff, any_case) == found


def test_constants_of_a_config_are_no_slips(tmp_path: Path) -> None:
    cfg = toys.runner_cfg(tmp_path, tmp_path / 'run', toys.method_cfg('source_only'), 4)

    def names(**variables: int) -> list[str]:
        return [each.path for each in check_config(Config({**cfg.to_dict(), **variables}))]

    before = names()
    assert names(MODEL=1, RESUME=1, LOAD_FROM=1) == before
    assert names(modell=1) == [*before, 'modell']
