"""Parts of a self-contained page; every text is escaped here."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import cv2
from matplotlib.figure import Figure

__all__ = ['chart', 'code', 'page', 'paragraph', 'picture', 'section', 'table']

WIDTH = 1200  # of the largest picture, in pixels
STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 72rem; color: #1b1f24; background: #fff;
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #d0d7de; }
p { margin: .5rem 0; max-width: 48rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; margin: .5rem 0; overflow-wrap: normal; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #d8dee4; text-align: left;
  vertical-align: top; }
th { background: #f6f8fa; }
td { min-width: 4rem; font-variant-numeric: tabular-nums; }
td.n { white-space: nowrap; }
.charts { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
figure { margin: 0; }
img { display: block; max-width: 100%; height: auto; }
.charts img { width: 100%; }
.picture { margin: 0 0 1rem; }
figcaption, .note { color: #57606a; font-size: .875rem; }
pre { overflow-x: auto; padding: .6rem; background: #f6f8fa; font-size: .8rem; }
@media (max-width: 40rem) {
  body { padding: .6rem; font-size: 15px; }
  .picture { overflow-x: auto; }
  .picture img { max-width: none; width: 56rem; }
}
@media print {
  body { max-width: none; font-size: 10pt; padding: 0; }
  .scroll, pre { overflow: visible; }
  pre { white-space: pre-wrap; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""
# No script, no style and no picture from elsewhere, whatever a text may contain.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(title: str, parts: Iterable[str]) -> str:
    """Put sections into a page."""
    lines = [
        '<!DOCTYPE html>',
        '<html lang="en">',
        '<head>',
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<link rel="icon" href="data:,">',
        f'<title>{escape(title)}</title>',
        f'<style>{STYLE}</style>',
        '</head>',
        '<body>',
        f'<h1>{escape(title)}</h1>',
        *parts,
        '</body>',
        '</html>',
    ]
    return '\n'.join(lines) + '\n'


def section(title: str, *parts: str) -> str:
    """Put a heading above parts."""
    return '\n'.join([f'<section><h2>{escape(title)}</h2>', *parts, '</section>'])


def paragraph(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def code(lines: Iterable[str]) -> str:
    return f'<pre>{escape(chr(10).join(lines))}</pre>'


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a table that scrolls sideways on narrow screens."""
    head = ''.join(f'<th>{escape(text)}</th>' for text in header)
    body = (''.join(map(_cell, row)) for row in rows)
    lines = '\n'.join(f'<tr>{row}</tr>' for row in body)
    return (
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
        f'<tbody>\n{lines}\n</tbody></table></div>'
    )


def _cell(text: str) -> str:
    number = not any(map(str.isalpha, text))  # which stays on one line
    return f'<td{" class=n" if number else ""}>{escape(text)}</td>'


def chart(figure: Figure, text: str) -> str:
    """Embed a drawing as SVG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format='svg', metadata={'Date': None})
    return f'<figure>{_image("svg+xml", buffer.getvalue(), text)}</figure>'


def picture(path: Path) -> str:
    """Embed a picture, at most 1200 pixels wide; one that cannot be read becomes a note."""
    # OpenCV logs errors of damaged files, and returns None.
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        return paragraph(f'{path}: no picture that can be read')
    if image.shape[1] > WIDTH:
        height = max(1, round(image.shape[0] * WIDTH / image.shape[1]))
        image = cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA)
    content = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
    caption = f'<figcaption>{escape(str(path))}</figcaption>'
    image = _image('jpeg', content, str(path))
    return f'<figure>{caption}<div class="picture">{image}</div></figure>'


def _image(kind: str, content: bytes, text: str) -> str:
    data = base64.b64encode(content).decode('ascii')
    return f'<img alt="{escape(text)}" src="data:image/{kind};base64,{data}">'
