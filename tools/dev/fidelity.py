"""Write docs/fidelity.md: what the papers print or leave open, and what this package does.

It reads docs/fidelity.tsv, a line for each checked statement of a paper, and the tables of the
READMEs on what a paper leaves open. --check compares the page instead of writing it.
"""

from __future__ import annotations

import argparse
import csv
import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mmseg_uda.utils.cli import run_main

ROOT = Path(__file__).parents[2]
PAGE = ROOT / 'docs/fidelity.md'
STATEMENTS = ROOT / 'docs/fidelity.tsv'
VERDICTS = ('ok', 'documented', 'option', 'missing')
# Sections of the page: the name in the statements, a title, the READMEs.
PAPERS = {
    'shared': ('All papers', ()),
    'CDANet': ('CDANet', ('cdanet',)),
    'SAM': ('SAM', ('sam', 'self_training')),
    'PIT': ('PIT', ('pit',)),
    'DAST': ('DAST', ('dast',)),
    'CAMix': ('CAMix', ('camix', 'mean_teacher')),
    'baselines': (
        'Methods that the papers build on',
        ('adversarial', 'advent', 'cyclegan', 'proda'),
    ),
}
HEADING = re.compile(r'^## (?:What the papers? leaves? open|Deviations from).*$', re.MULTILINE)
LINK = re.compile(r'\]\((?!\w+:)([^)]+)\)')
OPTION = re.compile(r'`([a-z][\w.]*=[^`]+)`|rows? `([\w-]+)`|`(with_\w+|\w+_\w+)`', re.IGNORECASE)
INTRODUCTION = """# Fidelity

What each paper prints or leaves open, what this package does, and by which option the other reading
runs. `tools/dev/fidelity.py` writes this page from the READMEs' tables and from
[fidelity.tsv](fidelity.tsv), which has a line for each statement that was checked against the
paper's text and, where there is one, its code. None of the papers' benchmarks was trained by us: no
line says that a number is reached.

* **ok**: as printed, or as in the code that made the paper's numbers where the text is silent.
* **documented**: something else, or a gap filled by our choice; a README says so.
* **option**: the same, and an option or a row of a table gives the other reading.
* **missing**: not there.
"""


def read_statements() -> list[dict[str, str]]:
    """Read the statements.

    Raises:
        ValueError: A paper or a verdict is unknown.
    """
    with STATEMENTS.open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file, delimiter='\t', quoting=csv.QUOTE_NONE))
    for number, row in enumerate(rows, 2):
        if row['paper'] not in PAPERS or row['verdict'] not in VERDICTS:
            raise ValueError(
                f'{STATEMENTS.name}, line {number}: expected one of {", ".join(PAPERS)} and one of '
                f'{", ".join(VERDICTS)}, but got {row["paper"]!r} and {row["verdict"]!r}'
            )
    return rows


def open_points(method: str) -> Iterator[tuple[str, str]]:
    """Give what a README says is open, and what is decided."""
    text = (ROOT / 'configs' / method / 'README.md').read_text(encoding='utf-8')
    heading = HEADING.search(text)
    section = text[heading.end() :].partition('\n## ')[0] if heading else ''
    place = f'../configs/{method}'
    section = LINK.sub(lambda m: f']({posixpath.normpath(f"{place}/{m[1]}")})', section)
    lines = (line.strip('| ') for line in section.splitlines() if line.startswith('| '))
    rows = [line.split(' | ') for line in lines]
    yield from ((open_, ' | '.join(decided)) for open_, *decided in rows[1:])
    for item in re.findall(r'^- (.*(?:\n  .*)*)', section, re.MULTILINE):
        yield '', ' '.join(item.split())


def options_of(decided: str) -> str:
    """List the options and rows that a decision names."""
    found = [next(filter(None, match)) for match in OPTION.findall(decided)]
    return ', '.join(f'`{each}`' for each in dict.fromkeys(found))


def count_line(title: str, rows: list[dict[str, str]]) -> str:
    counts = Counter(row['verdict'] for row in rows)
    numbers = (str(counts[verdict]) for verdict in VERDICTS)
    return f'| {title} | {" | ".join(numbers)} | {len(rows)} |'


def make_page() -> str:
    """Make the page's text."""
    statements = read_statements()
    lines = [INTRODUCTION, f'| statements | {" | ".join(VERDICTS)} | all |']
    lines.append('|---|---|---|---|---|---|')
    of = {paper: [row for row in statements if row['paper'] == paper] for paper in PAPERS}
    lines += [count_line(title, of[paper]) for paper, (title, _) in PAPERS.items()]
    lines.append(count_line('all', statements))
    for paper, (title, methods) in PAPERS.items():
        lines += ['', f'## {title}']
        for method in methods:
            points = list(open_points(method))
            lines += ['', f'From [{method}](../configs/{method}/README.md):', '']
            lines += ['| printed, or left open | here | option |', '|---|---|---|']
            lines += [f'| {one} | {two} | {options_of(two)} |' for one, two in points]
        lines += ['', '| place | statement | here |', '|---|---|---|']
        for row in of[paper]:
            readme = row['where'].partition(':')[0]
            link = f' ([README](../{readme}))' if readme else ''
            lines.append(f'| {row["place"]} | {row["statement"]} | {row["verdict"]}{link} |')
    return '\n'.join([*lines, ''])


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--check', action='store_true', help='compare; write nothing')
    args = parser.parse_args(argv)
    page = make_page()
    if not args.check:
        PAGE.write_text(page, encoding='utf-8')
    elif not PAGE.is_file() or PAGE.read_text(encoding='utf-8') != page:
        raise ValueError(f'{PAGE.name} is out of date; run python tools/dev/fidelity.py')


if __name__ == '__main__':
    run_main(main)
