"""The text of HTML, without what is not to be read: navigation, page numbers, references to notes and notes, code.

Element names and attributes decide; tables, floats and scripts have no effect.
"""

import re
from typing import NamedTuple

from voice_cli.books.book import Book, Section, chapters_of, parts_of
from voice_cli.books.markup import VOID, End, Start, tokens
from voice_cli.errors import FileError
from voice_cli.printable import one_line
from voice_cli.script.text_encoding import MARKS, decode_text

MAX_PAGE_BYTES = 32 << 20


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_BLOCKS = _set(
    "address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption figure footer"
    " form h1 h2 h3 h4 h5 h6 header hr html legend li main ol p section summary table tbody tfoot thead tr ul"
)
_SILENT = _set(
    "audio button canvas datalist form iframe math nav noscript object option pre rp rt script select style svg"
    " template textarea video"
)
_SILENT_TYPES = _set(
    "noteref footnote footnotes endnote endnotes rearnote rearnotes backlink pagebreak page-list toc landmarks index"
    " doc-noteref doc-footnote doc-endnote doc-endnotes doc-backlink doc-pagebreak doc-pagelist doc-toc doc-index"
    " navigation search"
)
"""Values of `epub:type` (EPUB Structural Semantics) and `role` (DPUB-ARIA, ARIA)."""
_SILENT_CLASSES = _set(
    "pagenum page-number pageno noteref fnanchor footnote-ref footnote-back footnotes footnote footnote-backref"
)
"""Classes of Project Gutenberg, pandoc, Markdown processors and others."""
_PAGE_SILENT = _set("aside footer")
_PAGE_SILENT_TYPES = _set("banner contentinfo complementary")
_NEED_A_STOP = _set("h1 h2 h3 h4 h5 h6 li tr dt figcaption caption")
_CHARSET = re.compile(
    rb"<meta[^>]{0,200}charset=[\"']?([\w-]{1,40})|<\?xml[^>]{0,100}encoding=[\"']([\w-]{1,40})", re.IGNORECASE
)


class Block(NamedTuple):
    """A paragraph, a heading, a list item, or another part of a page with lines of its own."""

    text: str
    level: int | None
    """Of a heading."""
    ids: frozenset[str]
    """The anchors in it and before it."""


class Link(NamedTuple):
    """A link of a table of contents."""

    href: str
    text: str


class Page:
    """Parses a page: `blocks`, `title`, `language`, and `links` of its table of contents."""

    def __init__(self, text: str, *, in_book: bool) -> None:
        """Parse. `in_book`: the page is of a book, whose asides and footers are text."""
        self.blocks: list[Block] = []
        self.title = self.author = self.language = ""
        self.links: list[Link] = []
        self._in_book = in_book
        self._only_main = not in_book and re.search(r"<main\b", text, re.IGNORECASE) is not None
        self._open: dict[str, int] = {}
        """How often each element is open."""
        self._silent: tuple[str, int] | None = None
        """The element that is not read, and how often its name is open inside."""
        self._parts: list[str] = []
        self._has_words = False
        """Whether these have more than white space."""
        self._ids: set[str] = set()
        self._stop = False
        self._fragment_link = False
        self._in_contents = 0
        self._link: tuple[str, list[str]] | None = None
        for token in tokens(text):
            if isinstance(token, Start):
                self._begin(token.name, token.attributes)
            elif isinstance(token, End):
                self._end(token.name)
            else:
                self._read(token)
        self._end_block()

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "nav" and not {"toc", "doc-toc"}.isdisjoint(_types(attributes)):
            self._in_contents += 1
        elif self._in_contents and tag == "a":
            self._link = attributes.get("href", ""), []
        if tag == "meta" and attributes.get("name", "").lower() == "author":
            self.author = self.author or attributes.get("content", "")
        if tag == "html":
            self.language = attributes.get("lang", attributes.get("xml:lang", ""))
        if self._silent is not None:
            if tag == self._silent[0]:
                self._silent = tag, self._silent[1] + 1
            return
        self._ids.update(filter(None, (attributes.get("id"), attributes.get("name") if tag == "a" else None)))
        if tag in _BLOCKS:
            self._end_block()
            self._stop = tag in _NEED_A_STOP
        if tag in VOID:
            self._parts.append("\n" if tag == "br" else "")
            return
        if self._is_silent(tag, attributes):
            self._silent = tag, 1
            return
        self._open[tag] = self._open.get(tag, 0) + 1
        if tag == "a":
            self._fragment_link = "#" in attributes.get("href", "")
        elif tag in ("td", "th") and self._has_words:
            self._parts.append(", ")

    def _is_silent(self, tag: str, attributes: dict[str, str]) -> bool:
        types = _types(attributes)
        # A number in <sup> that links to a place, or is in such a link, is a reference to a note.
        is_reference = (tag == "a" and self._open.get("sup", 0) and "#" in attributes.get("href", "")) or (
            tag == "sup" and self._open.get("a", 0) and self._fragment_link
        )
        return bool(
            tag in _SILENT
            or (not self._in_book and (tag in _PAGE_SILENT or types & _PAGE_SILENT_TYPES))
            or types & _SILENT_TYPES
            or _SILENT_CLASSES & set(attributes.get("class", "").lower().split())
            or "hidden" in attributes
            or attributes.get("aria-hidden") == "true"
            or is_reference
        )

    def _end(self, tag: str) -> None:
        if tag == "nav" and self._in_contents:
            self._in_contents -= 1
        if tag == "a" and self._link is not None:
            self.links.append(Link(self._link[0], one_line("".join(self._link[1]), 120)))
            self._link = None
        if self._silent is not None:
            if tag == self._silent[0]:
                self._silent = (tag, self._silent[1] - 1) if self._silent[1] > 1 else None
            return
        if tag in _BLOCKS:
            self._end_block(int(tag[1]) if re.fullmatch("h[1-6]", tag) else None)
        if self._open.get(tag, 0):
            self._open[tag] -= 1

    def _read(self, data: str) -> None:
        if self._link is not None:
            self._link[1].append(data)
        if self._silent is not None:
            return
        if self._open.get("title", 0):
            self.title += data
        elif not self._open.get("head", 0) and (not self._only_main or self._open.get("main", 0)):
            self._parts.append(re.sub(r"\s", " ", data))
            self._has_words = self._has_words or not data.isspace()

    def _end_block(self, level: int | None = None) -> None:
        lines = (" ".join(line.split()) for line in "".join(self._parts).replace("\u00ad", "").split("\n"))
        text = "\n".join(filter(None, lines))
        self._parts.clear()
        self._has_words = False
        if text:
            if (self._stop or level) and (text[-1].isalnum() or text[-1] in ")]’”"):
                text += "."
            self.blocks.append(Block(text, level, frozenset(self._ids)))
            self._ids.clear()
        self._stop = False


def _types(attributes: dict[str, str]) -> set[str]:
    return {*attributes.get("epub:type", "").split(), *attributes.get("role", "").split()}


def text_of(blocks: list[Block]) -> str:
    """Return the text of blocks, as paragraphs."""
    return "".join(f"{block.text}\n\n" for block in blocks)


def decoded(data: bytes, name: str) -> str:
    """Return the text of a page: by its byte order mark or its declaration, else UTF-8. Raises as `decode_text`."""
    declared = _CHARSET.search(data[:1024])
    if declared is not None and not data.startswith(tuple(MARKS)):
        encoding = (declared[1] or declared[2]).decode()
        try:
            return data.decode(encoding, "replace")
        except (LookupError, UnicodeError):
            pass
    return decode_text(data, name)


def read_page(data: bytes, path: str) -> Book:
    """Return the book of a page; its headings begin chapters. Raise FileError if it is too large, or not text."""
    if len(data) > MAX_PAGE_BYTES:
        raise FileError(f"{path} is larger than {MAX_PAGE_BYTES >> 20} MiB", hint="divide it")
    page = Page(decoded(data, path), in_book=False)
    sections = []
    begun: list[Block] = []
    for block in [*page.blocks, None]:
        if (block is None or block.level is not None) and begun:
            first = begun[0]
            sections.append(Section(first.level, one_line(first.text.rstrip("."), 120), text_of(begun)))
            begun = []
        if block is not None:
            begun.append(block)
    title, chapters = chapters_of(sections)
    if len(chapters) == 1 and not title:
        chapters = parts_of(chapters[0].text)
    return Book(title or page.title, chapters, page.author, page.language)
