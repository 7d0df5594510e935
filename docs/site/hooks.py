"""Hooks of mkdocs: the site has the Markdown files of the whole repository, at their own paths.

A link to a Python file leads to a page with its code, a link to a directory to its README or to
a list of its files; so every link that works in the repository works in the site.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PAGES = ('README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'docs/**/*.md', 'configs/**/README.md')
LINK = re.compile(r'(?<=\]\()([^)\s#]+)((?:#[^)\s]*)?)(?=\))')
MATH = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
ENTITIES = {'&lt;': '<', '&gt;': '>', '&amp;': '&'}
API = 'api/'


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the Markdown files, the pages that they link to, and a page per package of the API."""
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    for name in sorted(_linked(files)):
        _add_linked(files, config, name)
    for name in re.findall(rf"'{API}([\w.]+)\.md'", repr(config.nav)):
        text = f'# {name.removeprefix("mmseg_uda.")}\n\n::: {name}\n'
        files.append(File.generated(config, f'{API}{name}.md', content=text))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Lead links to directories and Python files to their pages."""
    here = posixpath.dirname(page.file.src_uri)

    def rewrite(link: re.Match[str]) -> str:
        path, anchor = link.groups()
        for end in ('', '.md', '/README.md'):
            if files.get_file_from_path(posixpath.normpath(posixpath.join(here, path + end))):
                return f'{path.rstrip("/")}{end}{anchor}'
        return link.group()

    return LINK.sub(rewrite, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Write formulas as MathML, which browsers show without a script."""

    def formula(found: re.Match[str]) -> str:
        tag, latex = found.groups()
        for entity, character in ENTITIES.items():
            latex = latex.replace(entity, character)
        if tag == 'span':
            return convert(latex)
        return f'<div class="formula">{convert(latex.strip(), display="block")}</div>'

    return MATH.sub(formula, html)


def _linked(files: Files) -> set[str]:
    """Paths of the repository, other than pages, that Markdown files link to."""
    linked = set()
    for file in files.documentation_pages():
        for path, _ in LINK.findall(file.content_string):
            name = posixpath.normpath(posixpath.join(posixpath.dirname(file.src_uri), path))
            if not re.match(r'\w+:', path) and not files.get_file_from_path(name):
                linked.add(name)
    return {name for name in linked if (ROOT / name).exists()}


def _add_linked(files: Files, config: MkDocsConfig, name: str) -> None:
    path = ROOT / name
    if path.is_dir():
        if (path / 'README.md').exists():
            return
        children = sorted(child.name for child in path.glob('*.py'))
        for child in children:
            _add_linked(files, config, f'{name}/{child}')
        text = '\n'.join(f'- [{child}]({path.name}/{child})' for child in children)
        text = f'# {name}\n\n{text}\n'
    elif path.suffix == '.py':
        text = f'# {name}\n\n~~~~python\n{path.read_text(encoding="utf-8")}~~~~\n'
    elif path.suffix == '.ipynb':
        text = _notebook(path)
    else:
        files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
        return
    if not files.get_file_from_path(f'{name}.md'):
        files.append(
            File.generated(
                config,
                f'{name}.md',
                content=f'---\nsearch:\n  exclude: true\n---\n\n{text}',
                inclusion=InclusionLevel.NOT_IN_NAV,
            )
        )


def _notebook(path: Path) -> str:
    """The cells of a notebook without outputs."""
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    texts = [''.join(cell['source']) for cell in cells]
    return '\n\n'.join(
        text if cell['cell_type'] == 'markdown' else f'~~~~python\n{text}\n~~~~'
        for cell, text in zip(cells, texts)
    )
