"""``docs/fidelity.md`` says what the READMEs and the list of statements say."""

from __future__ import annotations

from types import ModuleType

import pytest
import toys


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return toys.load_script('tools/dev/fidelity.py')


def test_page_is_up_to_date(tool: ModuleType) -> None:
    tool.main(['--check'])
    assert '| all | 142 | 26 | 37 | 0 | 205 |' in tool.PAGE.read_text()


def test_every_deviation_is_in_a_readme(tool: ModuleType) -> None:
    for row in tool.read_statements():
        readme, _, words = row['where'].partition(': ')
        if row['verdict'] in ('documented', 'option'):
            assert readme, row
        if readme:
            assert words in ' '.join((toys.ROOT / readme).read_text().split()), row


def test_open_points_and_their_options(tool: ModuleType) -> None:
    points = dict(tool.open_points('cdanet'))
    key = 'which feature is interpolated to equal sizes'
    assert points[key] == "the source's, to the target's size (`resize_to`)"
    assert tool.options_of(points[key]) == '`resize_to`'
    found = tool.options_of('off; row `reweight` weighs, `rule=1` and `rule=1`')
    assert found == '`reweight`, `rule=1`'
    # Links lead from docs/ to where they led from the README.
    assert '](../configs/README.md#initial-weights)' in points['initial weights']


def test_other_page_and_wrong_lines(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setattr(tool, 'PAGE', tmp_path / 'fidelity.md')
    with pytest.raises(ValueError, match='fidelity.md is out of date; run python tools/dev/fid'):
        tool.main(['--check'])
    lines = 'paper\tplace\tstatement\tverdict\twhere\nCDANet\t1\tx\tgood\t\n'
    (tmp_path / 'fidelity.tsv').write_text(lines)
    monkeypatch.setattr(tool, 'STATEMENTS', tmp_path / 'fidelity.tsv')
    with pytest.raises(ValueError, match="fidelity.tsv, line 2: expected .* and 'good'"):
        tool.read_statements()
