"""EPUB 2 and 3 (W3C EPUB 3.3, IDPF OPF 2.0): the spine's pages as the chapters of the table of contents."""

from collections.abc import Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element

from voice_cli.books.archive import Archive, resolve
from voice_cli.books.book import MAX_CHARACTERS, MAX_COVER_BYTES, Book, Chapter
from voice_cli.books.html import Block, Page, decoded, text_of
from voice_cli.errors import FileError
from voice_cli.printable import one_line

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document")
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


class _Item(NamedTuple):
    """An entry of the package's manifest."""

    name: str
    media_type: str
    properties: frozenset[str]


class _Entry(NamedTuple):
    """An entry of the table of contents."""

    name: str
    fragment: str
    title: str


def read_epub(path: str) -> Book:
    """Return the book.

    Raises:
        FileError: it is damaged, protected or too large.
        OSError: it cannot be read.

    """
    archive = Archive(path)
    try:
        return _Package(archive, path).book()
    finally:
        archive.close()


class _Package:
    def __init__(self, archive: Archive, path: str) -> None:
        self._archive = archive
        self._path = path
        rootfile = next(archive.xml(_CONTAINER).iter("rootfile"), None)
        self._opf = rootfile.get("full-path", "") if rootfile is not None else ""
        self._root = archive.xml(self._opf)
        self._items: dict[str, _Item] = {}
        for item in self._root.iter("item"):
            found = resolve(self._opf, item.get("href", ""))
            if found is not None:
                properties = frozenset(item.get("properties", "").split())
                self._items[item.get("id", "")] = _Item(found[0], item.get("media-type", ""), properties)
        self._encrypted: set[str] = set()
        if _ENCRYPTION in archive:
            references = archive.xml(_ENCRYPTION).iter("CipherReference")
            self._encrypted = {name for each in references if (name := each.get("URI"))}

    def book(self) -> Book:
        creators = [_text(creator) for creator in self._root.iter("creator")]
        return Book(
            self._meta("title"),
            list(self._chapters()),
            ", ".join(filter(None, creators)),
            self._meta("language"),
            self._cover(),
        )

    def _meta(self, name: str) -> str:
        return next(filter(None, map(_text, self._root.iter(name))), "")

    def _cover(self) -> bytes | None:
        named = {meta.get("content") for meta in self._root.iter("meta") if meta.get("name") == "cover"}
        for key, item in self._items.items():
            if "cover-image" in item.properties or key in named:
                try:
                    data = self._archive.read(item.name)
                except FileError:
                    continue
                if data.startswith(_PICTURES) and len(data) <= MAX_COVER_BYTES:
                    return data
        return None

    def _page(self, name: str) -> Page:
        if name in self._encrypted:
            raise FileError(f"{self._path} is protected (DRM): its text is encrypted")
        return Page(decoded(self._archive.read(name), f"{self._path}: {name}"), in_book=True)

    def _spine(self) -> Iterator[str]:
        """Yield the pages in order, without the table of contents and what is outside of the reading order."""
        contents = {
            found[0]
            for reference in self._root.iter("reference")
            if reference.get("type") == "toc" and (found := resolve(self._opf, reference.get("href", "")))
        }
        for reference in self._root.iter("itemref"):
            item = self._items.get(reference.get("idref", ""))
            if item is None or reference.get("linear") == "no" or item.media_type not in _PAGES:
                continue
            if "nav" not in item.properties and item.name not in contents:
                yield item.name

    def _contents(self) -> list[_Entry]:
        """Return the table of contents: of EPUB 3, or else of EPUB 2; empty if there is none."""
        entries: list[_Entry] = []
        for item in self._items.values():
            if "nav" in item.properties and item.name in self._archive:
                for link in self._page(item.name).links:
                    found = resolve(item.name, link.href)
                    if found is not None and link.text:
                        entries.append(_Entry(*found, link.text))
        if entries:
            return entries
        for item in self._items.values():
            if item.media_type == "application/x-dtbncx+xml" and item.name in self._archive:
                for point in self._archive.xml(item.name).iter("navPoint"):
                    content, label = point.find("content"), point.find("navLabel")
                    found = resolve(item.name, content.get("src", "")) if content is not None else None
                    if found is not None and label is not None:
                        entries.append(_Entry(*found, one_line(_text(label), 120)))
        return entries

    def _chapters(self) -> Iterator[Chapter]:
        """Yield the chapters: each begins at an entry of the table of contents.

        A page without an entry continues the chapter before it, if there is a table of contents at all.
        """
        by_page: dict[str, list[_Entry]] = {}
        for entry in self._contents():
            by_page.setdefault(entry.name, []).append(entry)
        title, blocks, length = "", list[Block](), 0
        for number, name in enumerate(self._spine(), 1):
            page = self._page(name)
            length += sum(len(block.text) for block in page.blocks)
            if length > MAX_CHARACTERS:
                raise FileError(f"{self._path} has more than {MAX_CHARACTERS} characters", hint="divide it")
            entries = by_page.get(name, [])
            at_anchors = {entry.fragment: entry.title for entry in reversed(entries)}
            begin = at_anchors.pop("", None)
            known = frozenset().union(*(block.ids for block in page.blocks))
            if begin is None:
                begin = next((entry.title for entry in entries if entry.fragment not in known), None)
            if begin is None and not (by_page and blocks):
                begin = _title_of(page) or f"Part {number}"
            if begin is not None:
                yield Chapter(title, text_of(blocks))
                title, blocks = begin, []
            for block in page.blocks:
                if not at_anchors.keys().isdisjoint(block.ids):
                    yield Chapter(title, text_of(blocks))
                    title, blocks = at_anchors.pop(next(id_ for id_ in at_anchors if id_ in block.ids)), []
                blocks.append(block)
        yield Chapter(title, text_of(blocks))


def _title_of(page: Page) -> str:
    heading = next((block.text for block in page.blocks if block.level is not None), page.title)
    return one_line(heading.rstrip("."), 120)


def _text(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())
