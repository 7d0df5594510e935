"""Roles of docstrings as Markdown: ``:class:`Name``` as a link or code, ``:math:`` as a formula."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, GriffeError, Object

ROLE = re.compile(r':(class|func|meth|attr|data|mod):`(~?)([\w.]+)`')
MATH = re.compile(r':math:`([^`]+)`')
BLOCK = re.compile(r'^( *)\.\. math::[ \n]+((?:.+\n?)(?:\1 +.+\n?)*)', re.MULTILINE)
WEB = re.compile(r'`([^`<]+) <(https?:[^>]+)>`_+')


class Roles(Extension):
    """Rewrites the docstring of every object."""

    def on_package(self, *, pkg: Object, **_: Any) -> None:
        """Rewrite when all names are known, so that those of the package become links."""
        self._visit(pkg)

    def _visit(self, obj: Object) -> None:
        if obj.docstring:
            obj.docstring.value = rewrite(obj.docstring.value, obj)
        for member in obj.members.values():
            if not member.is_alias:
                self._visit(member)


def rewrite(text: str, obj: Object) -> str:
    """Write the roles in the docstring of an object as Markdown."""

    def link(found: re.Match[str]) -> str:
        _, short, name = found.groups()
        label = f'<code>{name.rpartition(".")[2] if short else name}</code>'
        try:
            target = obj.resolve(name)
        except GriffeError:
            target = name
        # Optional: what no page shows stays code.
        return f'<autoref optional identifier="{target}">{label}</autoref>'

    text = BLOCK.sub(lambda found: _block(*found.groups()), text)
    text = MATH.sub(lambda found: f'${" ".join(found.group(1).split())}$', text)
    text = WEB.sub(r'[\1](\2)', text)
    return ROLE.sub(link, text)


def _block(indent: str, latex: str) -> str:
    return f'{indent}$${" ".join(latex.split())}$$\n'
