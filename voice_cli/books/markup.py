"""The tags and the text of HTML and XHTML, in linear time whatever the input.

`html.parser` takes quadratic time for unclosed comments and tags in many releases of Python, so that a page of a
megabyte keeps it busy for hours. A tag with `<` in an attribute is text here, which HTML allows and XML does not.
"""

import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

_TOKEN = re.compile(
    r"""<!--.*?(?:-->|\Z)|<!\[CDATA\[(?P<raw>.*?)(?:\]\]>|\Z)|<[!?][^>]*(?:>|\Z)"""
    r"""|</(?P<end>[a-zA-Z][^\s/<>]*)[^<>]*>"""
    r"""|<(?P<start>[a-zA-Z][^\s/<>]*)(?P<attributes>(?:[^<>"']|"[^"<]*"|'[^'<]*')*)>""",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>=`]+)))?""")
_RAW = {name: re.compile(rf"</{name}\b", re.IGNORECASE) for name in ("script", "style")}
"""The ends of elements whose text is no markup."""
VOID = frozenset(("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"))


class Start(NamedTuple):
    """A start tag. An element that is closed at once (`<a/>`), and is not void, has its end tag, too."""

    name: str
    attributes: dict[str, str]


class End(NamedTuple):
    """An end tag."""

    name: str


def tokens(text: str) -> Iterator[Start | End | str]:
    """Yield tags and text, with its character references replaced."""
    at = 0
    while (match := _TOKEN.search(text, at)) is not None:
        if match.start() > at:
            yield unescape(text[at : match.start()])
        at = match.end()
        if match["start"] is not None:
            name = match["start"].lower()
            yield Start(name, _attributes(match["attributes"]))
            if match["attributes"].endswith("/") and name not in VOID:
                yield End(name)
            elif name in _RAW:
                end = _RAW[name].search(text, at)
                at = len(text) if end is None else end.start()
        elif match["end"] is not None:
            yield End(match["end"].lower())
        elif match["raw"]:
            yield match["raw"]
    if at < len(text):
        yield unescape(text[at:])


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(text):
        found.setdefault(name.lower(), unescape("".join(values)))
    return found
