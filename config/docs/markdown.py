"""Markdown as the site shows it: anchored headings, coloured examples with a copy button, links between pages.

The policy of our pages forbids inline styles, so colours are classes. HTML in the text is shown, never obeyed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from mdit_py_plugins.anchors import anchors_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

LANGUAGES = {
    "python": "Python",
    "bash": "Shell",
    "sh": "Shell",
    "js": "JavaScript",
    "json": "JSON",
    "http": "HTTP",
    "text": "Text",
}
# Between pages: [quotes](jobs.md#quotes) works in a checkout as it does here.
PAGE_LINK = re.compile(r"^([a-z-]+)\.md(#.*)?$")
# A table of so many columns is wide.
WIDE = 3
Env = MutableMapping[str, Any]


@dataclass(frozen=True)
class Heading:
    level: int
    anchor: str
    title: str


@dataclass(frozen=True)
class Rendered:
    """A page: its name, its first paragraph, and the HTML of all that follows the name."""

    title: str
    description: str
    headings: tuple[Heading, ...]
    html: str
    sections: tuple[tuple[str, str, str], ...]
    """Anchor, heading and plain text of each section, for the search."""


@dataclass(frozen=True)
class Example:
    """A fenced block: ```python file=hook.py not-run="why" has a language and options."""

    language: str
    options: Mapping[str, str]
    code: str


def render(text: str) -> Rendered:
    env: Env = {}
    tokens = parser().parse(text, env)
    title = tokens[1].content if tokens and tokens[0].tag == "h1" else ""
    body = tokens[3:] if title else tokens
    first = next((body[at + 1] for at, token in enumerate(body) if token.type == "paragraph_open"), None)
    return Rendered(
        title=title,
        description=_plain(first) if first else "",
        headings=tuple(_headings(body)),
        html=parser().renderer.render(body, parser().options, env),
        sections=tuple(_sections(body)),
    )


def snippet(text: str) -> str:
    """A description of the OpenAPI document as HTML, without anchors of its own."""
    return str(parser().render(text)) if text else ""


def examples(text: str) -> list[Example]:
    """Every fenced block, in order."""
    return [_example(token) for token in parser().parse(text) if token.type == "fence"]


@cache
def parser() -> MarkdownIt:
    options = {"alerts": True, "html": False}
    built = MarkdownIt("commonmark", options, renderer_cls=Site).enable("table").enable("strikethrough")
    return built.use(anchors_plugin, min_level=2, max_level=4, permalink=True, permalinkSymbol="#")


class Site(RendererHTML):
    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env) -> str:
        found = _example(tokens[idx])
        number = env["examples"] = env.get("examples", 0) + 1
        name = found.options.get("file") or LANGUAGES.get(found.language, found.language)
        return code_block(found.language, found.code, name=name, anchor=f"code-{number}")

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env) -> str:
        address = str(tokens[idx].attrGet("href"))
        if page := PAGE_LINK.match(address):
            tokens[idx].attrSet("href", f"/docs/{page[1]}{page[2] or ''}".replace("/docs/index", "/docs"))
        elif "://" in address:
            tokens[idx].attrSet("rel", "noopener")
        if tokens[idx].attrGet("class") == "header-anchor":
            tokens[idx].attrSet("aria-label", "Link to this section")
        return self.renderToken(tokens, idx, options, env)

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env) -> str:
        """Columns that a telephone has no room for are stacked there; each cell then names its column."""
        rest = tokens[idx:]
        heads = [rest[at + 1] for at, token in enumerate(rest) if token.type == "th_open"]
        for at, token in enumerate(rest):
            if token.type == "th_open" and not _plain(rest[at + 1]):
                token.tag = rest[at + 2].tag = "td"  # a heading without a word is none
        end = next(at for at, token in enumerate(rest) if token.type == "table_close")
        cells = [token for token in rest[:end] if token.type == "td_open"]
        names = [_plain(head) for head in heads[: sum(token.type == "th_open" for token in rest[:end])]]
        for at, cell in enumerate(cells):
            if name := names[at % len(names)]:
                cell.attrSet("data-label", name)
        wide = " wide" if len(names) >= WIDE else ""
        return f'<div class="table{wide}" tabindex="0" role="group" aria-label="Table"><table>\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Env) -> str:
        return "</table></div>\n"


def code_block(language: str, code: str, *, name: str, anchor: str) -> str:
    colours = highlight(
        code, get_lexer_by_name(language or "text", stripnl=False), HtmlFormatter(nowrap=True)
    )
    return (
        f'<figure class="example"><figcaption><span>{escape(name)}</span>'
        f'<button class="button quiet compact" type="button" data-copy="{anchor}" aria-live="polite">Copy</button>'
        f'</figcaption><pre class="code" tabindex="0" aria-label="{escape(name)}">'
        f'<code id="{anchor}">{colours}</code></pre></figure>\n'
    )


def _example(fence: Token) -> Example:
    language, *words = shlex.split(fence.info) or ["text"]
    options = dict(word.partition("=")[::2] for word in words)
    return Example(language, options, fence.content)


def _headings(tokens: Sequence[Token]) -> Iterator[Heading]:
    for at, token in enumerate(tokens):
        if token.type == "heading_open" and token.attrGet("id"):
            yield Heading(int(token.tag[1]), str(token.attrGet("id")), _plain(tokens[at + 1]))


def _sections(tokens: Sequence[Token]) -> Iterator[tuple[str, str, str]]:
    anchor, heading, words = "", "", list[str]()
    for at, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag in {"h2", "h3", "h4"}:
            yield anchor, heading, " ".join(words)
            anchor, heading, words = str(token.attrGet("id")), _plain(tokens[at + 1]), []
        elif token.type == "inline" and tokens[at - 1].type != "heading_open":
            words.append(_plain(token))
    yield anchor, heading, " ".join(words)


def _plain(inline: Token) -> str:
    kept = {"text", "code_inline"}
    parts = [
        " " if c.type == "softbreak" else c.content
        for c in inline.children or []
        if c.type in kept | {"softbreak"}
    ]
    return "".join(parts).strip()
