"""Links in Markdown files: relative ones lead to files and headings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ('*.md', 'docs/**/*.md', 'configs/**/*.md')
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r'\[[^\]]*\]\(([^)\s]+)\)')
FENCED = re.compile(r'^```.*?^```', re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a file."""
    text = FENCED.sub('', path.read_text(encoding='utf-8'))
    headings = re.findall(r'^#+ (.*)', text, flags=re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def broken_links(path: Path) -> list[str]:
    """The relative links of a file that lead nowhere."""
    text = FENCED.sub('', path.read_text(encoding='utf-8'))
    broken = []
    for link in LINK.findall(re.sub('`[^`]*`', '', text)):
        file, _, anchor = link.partition('#')
        target = path.parent / file if file else path
        if re.match(r'\w+:', link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize('name', FILES)
def test_relative_links_resolve(name: str) -> None:
    assert broken_links(ROOT / name) == []


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    navigation = (ROOT / 'mkdocs.yml').read_text(encoding='utf-8')
    assert [name for name in FILES if f': {name}\n' not in navigation] == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    path = tmp_path / 'a.md'
    path.write_text(
        '# Ours, small real pairs\n'
        '[one](#ours-small-real-pairs), [two\nlines](b.md), [`code`](a.md#no)\n'
        '[web](https://example.org/#x) `[code](c.md)`\n'
        '```\n# not-a-heading\n[d](d.md)\n```\n'
        '[e](#not-a-heading)\n'
    )
    assert broken_links(path) == ['b.md', 'a.md#no', '#not-a-heading']


def test_answers_name_files_that_exist() -> None:
    page = (ROOT / 'docs/readers_test.md').read_text(encoding='utf-8')
    questions, answers = page.split('## Answers')
    paths = re.findall(r'`((?:mmseg_uda|configs|docs|tools)/[\w./]+)`', answers)
    assert questions.count('?') >= 10
    assert len(paths) >= 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def rows_of(path: str) -> dict[str, str]:
    """Rows of the table of methods, by the directory that the first cell links to."""
    rows: dict[str, str] = {}
    for line in (ROOT / path).read_text(encoding='utf-8').splitlines():
        method = re.match(r'\| \[[^]]+\]\((?:configs/)?(\w+)\)', line)
        if method:
            rows[method[1]] = rows.get(method[1], '') + line.replace('\\*', '')
    return rows


def test_our_numbers_are_those_of_the_benchmark() -> None:
    """Both columns of configs/README.md are the means on the benchmark's page."""
    page = (ROOT / 'docs/benchmarks/small_real.md').read_text(encoding='utf-8')
    means = {
        pair: {
            method.lower(): mean
            for method, mean in re.findall(r'^\| ([^|]+) \| [\d, ]+ \| (\d\d\.\d) ', part, re.M)
        }
        for pair, part in zip(('day', 'dusk'), page.split('\n## ')[1:])
    }
    rows = (ROOT / 'configs/README.md').read_text(encoding='utf-8').splitlines()
    found = 0
    for row in rows:
        ours = re.match(
            r'\| \[([^]]+)\].* \| \[(\d\d\.\d)\]\(\S+small_real\.md\) \| (\d\d\.\d|–) \|$', row
        )
        if ours:
            method = ours[1].lower()
            assert ours[2] == means['day'][method], row
            assert ours[3] == means['dusk'].get(method, '–'), row
            found += 1
    assert found >= 12


def test_numbers_of_the_front_page_are_those_of_all_methods() -> None:
    front, whole = rows_of('README.md'), rows_of('configs/README.md')
    assert front.keys() - whole.keys() == {'cyclegan'}  # has no mIoU
    assert whole.keys() <= front.keys()
    for method, row in front.items():
        numbers = re.findall(r'\d\d\.\d', row)
        assert [number for number in numbers if number not in whole.get(method, '')] == [], method
