"""Archives and XML that attack their reader."""

import random
import struct
import zipfile

import pytest

from support.books import epub, page
from voice_cli.books import archive
from voice_cli.books.archive import Archive, parse_xml, resolve
from voice_cli.books.reading import read_book
from voice_cli.errors import FileError

ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><x>&c;</x>'
)


def test_names_and_attributes_have_no_prefix():
    root = parse_xml(b'<a:x xmlns:a="urn:a" a:y="1"><b>t</b></a:x>')
    assert (root.tag, root.get("y"), root.findtext("b")) == ("x", "1", "t")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (ENTITIES, "declares entities"),
        (b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>', "declares entities"),
        (b"<x>" * 300, "more than 256"),
        (b"<x>", "no element found"),
        (b"", "no element found"),
        (bytes(range(256)), "not well-formed"),
    ],
)
def test_xml_that_is_refused(data, reason):
    with pytest.raises(ValueError, match=reason):
        parse_xml(data)


def test_a_page_of_entities_is_text(tmp_path):
    book = read_book(str(epub(tmp_path / "b.epub", {"a.xhtml": "&c;&c; words"}, extra={"OEBPS/x": ENTITIES})))
    assert book.chapters[0].text == "&c;&c; words\n\n"


def test_a_zip_bomb_is_refused_before_it_is_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_PART_BYTES", 100_000)
    path = epub(tmp_path / "b.epub", {"a.xhtml": "words " * 1_000_000})
    with pytest.raises(FileError, match=r"a\.xhtml is too large"):
        read_book(str(path))


def test_many_parts_that_are_large_together_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_ALL_BYTES", 300_000)
    path = epub(tmp_path / "b.epub", {f"{number}.xhtml": "words " * 10_000 for number in range(20)})
    with pytest.raises(FileError, match="is too large"):
        read_book(str(path))


def test_a_long_directory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = epub(tmp_path / "b.epub", {"a.xhtml": "words"})
    monkeypatch.setattr(archive, "MAX_DIRECTORY_BYTES", 100)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(FileError, match="too many parts"):
        Archive(str(path))


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"PK\5\6" + bytes(18), b"words " * 1000])
def test_what_is_no_archive(tmp_path, data):
    path = tmp_path / "b.epub"
    path.write_bytes(data)
    with pytest.raises(FileError, match=r"b\.epub is damaged"):
        read_book(str(path))


def test_damaged_archives_raise_nothing_else(tmp_path):
    whole = epub(tmp_path / "b.epub", {"a.xhtml": "words", "b.xhtml": "more"}, contents=[("a.xhtml", "A")]).read_bytes()
    path = tmp_path / "c.epub"
    chance = random.Random(1)
    failed = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 4, 30])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
        try:
            read_book(str(path))
        except FileError:
            failed += 1
    assert failed > 100


def test_a_password_is_named(tmp_path):
    path = epub(tmp_path / "b.epub", {"a.xhtml": "words"})
    data = bytearray(path.read_bytes())
    at = -1
    while (at := data.find(b"PK\1\2", at + 1)) >= 0:
        flags = struct.unpack_from("<H", data, at + 8)[0]
        struct.pack_into("<H", data, at + 8, flags | 1)
    path.write_bytes(data)
    with pytest.raises(FileError, match="is protected"):
        read_book(str(path))


@pytest.mark.parametrize(
    ("href", "found"),
    [
        ("a.xhtml", ("OEBPS/a.xhtml", "")),
        ("../a.xhtml#x%20y", ("a.xhtml", "x y")),
        ("#x", ("OEBPS/book.opf", "x")),
        ("a%20b.xhtml", ("OEBPS/a b.xhtml", "")),
        ("../../etc/passwd", None),
        ("..%2f..%2fetc/passwd", None),
        ("/etc/passwd", None),
        ("file:///etc/passwd", None),
        ("https://example.org/a", None),
    ],
)
def test_references_stay_in_the_archive(href, found):
    assert resolve("OEBPS/book.opf", href) == found


def test_nothing_is_written_whatever_the_names_are(tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    path = epub(inside / "b.epub", {"../../a.xhtml": "words", "a.xhtml": "text"}, extra={"../../evil": page("x")})
    assert [chapter.text for chapter in read_book(str(path)).chapters] == ["text\n\n"]
    assert [each.name for each in tmp_path.rglob("*")] == ["in", "b.epub"]
