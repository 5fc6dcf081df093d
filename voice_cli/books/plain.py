"""Chapters of plain text and of Markdown."""

import re
from collections.abc import Iterator

from voice_cli.books.book import Book, Chapter, Section, chapters_of, parts_of
from voice_cli.printable import one_line
from voice_cli.script.text_encoding import decode_text

_NUMBER = r"(?:\d{1,4}|[ivxlc]{1,9}|[^\W\d_]{2,20}(?:[ -][^\W\d_]{2,20})?)"
_CHAPTER = re.compile(
    rf"(?<=\n)[ \t]*(?:(?:chapter|part|book|kapitel|teil|chapitre|partie|cap[íi]tulo|parte|capitolo|hoofdstuk|kapitola)"
    rf"[ \t]+{_NUMBER}\b[^\n]{{0,80}}|(?:prologue|epilogue|introduction|preface|prolog|epilog|vorwort)\.?)[ \t]*(?=\n)",
    re.IGNORECASE,
)
"""A line that begins a chapter, if the lines around it are blank."""
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_MARKS = re.compile(r"[*_`]+|!?\[([^\]\n]*)\]\([^)\n]*\)|\{[#.][^}\n]*\}$")
_HEADER = re.compile(r"---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*\n", re.DOTALL)
_FIELD = re.compile(r"^(title|author|lang(?:uage)?)[ \t]*:[ \t]*['\"]?(.*?)['\"]?[ \t]*$", re.MULTILINE)


def read_text(data: bytes, path: str, *, is_markdown: bool) -> Book:
    """Return the book; raise FileError if the bytes are not text."""
    text = decode_text(data, path).replace("\r\n", "\n").replace("\r", "\n")
    if not is_markdown:
        return Book("", [chapter._replace(markdown="auto") for chapter in _text_chapters(text)])
    fields: dict[str, str] = {}
    header = _HEADER.match(text)
    if header is not None:
        text = text[header.end() :]
        fields = {match[1]: match[2] for match in _FIELD.finditer(header[1])}
    title, chapters = chapters_of(_sections(text), markdown="on")
    if len(chapters) == 1 and not title:
        chapters = parts_of(text, markdown="on")
    language = fields.get("language", fields.get("lang", ""))
    return Book(fields.get("title", title), chapters, fields.get("author", ""), language)


def _text_chapters(text: str) -> list[Chapter]:
    if "\f" in text:
        return [Chapter(_first_line(part) or f"Part {number}", part) for number, part in enumerate(text.split("\f"), 1)]
    lines = f"\n\n{text}\n"
    starts = [
        match
        for match in _CHAPTER.finditer(lines)
        if lines[: match.start()].endswith("\n\n") and lines[match.end() :].startswith("\n\n")
    ]
    if len(starts) < 2:
        return parts_of(text)
    ends = [match.start() for match in starts[1:]] + [len(lines)]
    opening = Chapter("Opening", lines[: starts[0].start()])
    return [
        opening,
        *(Chapter(one_line(match[0]), lines[match.start() : end]) for match, end in zip(starts, ends, strict=True)),
    ]


def _first_line(part: str) -> str:
    line = part.strip().partition("\n")[0].strip()
    return one_line(line) if len(line) <= 80 else ""


def _sections(text: str) -> Iterator[Section]:
    """Yield the sections of Markdown: headings with `#` or underlined, outside of fenced code."""
    level: int | None = None
    title, held = "", ""
    begun: list[str] = []
    fence = ""
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]) else fence
        elif mark:
            fence = mark[1]
        atx = None if fence or mark else _ATX.match(line.rstrip("\n"))
        underline = None if fence or mark or not held.strip() else _SETEXT.match(line.rstrip("\n"))
        if atx is not None or underline is not None:
            heading = begun.pop() if underline is not None else ""
            if begun:
                yield Section(level, title, "".join(begun))
            if atx is not None:
                level, title, begun = len(atx[1]), _plain(atx[2] or ""), [line]
            elif underline is not None:
                level, title, begun = 1 if underline[1][0] == "=" else 2, _plain(heading), [heading, line]
            held = ""
            continue
        begun.append(line)
        is_text = not fence and not mark and line.strip() and not line.lstrip().startswith((">", "-", "*", "+", "|"))
        held = line if is_text else ""
    if begun:
        yield Section(level, title, "".join(begun))


def _plain(heading: str) -> str:
    return one_line(_MARKS.sub(lambda match: match[1] or "", heading))
