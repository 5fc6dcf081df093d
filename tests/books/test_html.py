"""The text of pages: what is read, and what is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_cli.books.html import Page, decoded, read_page, text_of
from voice_cli.books.markup import End, Start, tokens
from voice_cli.books.reading import read_book


def text(body, *, in_book=True):
    return text_of(Page(body, in_book=in_book).blocks).strip()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>One<br>two</p><p>three", "One\ntwo\n\nthree"),
        ("<h2>Title</h2>text", "Title.\n\ntext"),
        ("<ul><li>One<li>Two!</ul>", "One.\n\nTwo!"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a, b.\n\nc."),
        ("a &amp; b &#8212; c&nbsp;d &unknown;", "a & b — c d &unknown;"),
        ("one\n  two\t three", "one two three"),
        ("co\u00adoperate", "cooperate"),
        ("<p>read <code>this</code></p><pre>not this</pre>", "read this"),
        ("<script>if (a<b) '</p>'</script>words<style>p{}</style>", "words"),
        ("words<!-- <p>hidden</p> -->more", "wordsmore"),
        ("a<nav><a href='x'>Next</a></nav>b", "ab"),
        ('a<span epub:type="pagebreak" title="12">12</span>b', "ab"),
        ('a<span class="pagenum">[12]</span>b', "ab"),
        ('word<sup><a href="#fn1">1</a></sup>, then', "word, then"),
        ('word<a href="notes.xhtml#fn1"><sup>1</sup></a> then', "word then"),
        ('word<a epub:type="noteref" href="#n">*</a>', "word"),
        ("x<sup>2</sup> and <a href='#x'>a link</a>", "x2 and a link"),
        ('a<aside epub:type="footnote"><p>A note.</p></aside>b', "a\n\nb"),
        ('a<section class="footnotes" role="doc-endnotes"><p>Note</p></section>b', "a\n\nb"),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>", "漢"),
        ("<div hidden><div>a</div>b</div>c", "c"),
        ('<p aria-hidden="true">a</p>b', "b"),
        ("<a id='x'/>words<p/>more", "words\n\nmore"),
        ("a < b and c > d", "a < b and c > d"),
        ("<aside>an aside</aside>", "an aside"),
        ("<svg><text>a</text></svg><math><mi>x</mi></math>b", "b"),
    ],
)
def test_what_is_read(body, expected):
    assert text(body) == expected


def test_of_a_web_page_only_its_main_part_is_read():
    body = "<header>Site</header><main><h1>A</h1><aside>ad</aside><p>text</p></main><footer>imprint</footer>"
    assert text(body, in_book=False) == "A.\n\ntext"
    assert text("<p>text</p><footer>imprint</footer><div role=banner>x</div>", in_book=False) == "text"


def test_the_headings_of_a_page_are_its_chapters(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(
        '<html lang="de"><head><title>Tab</title><meta name="author" content="Ann"></head><body>'
        "<h1>Book</h1><p>Preface.</p><h2>One</h2><p>a</p><h3>Inner</h3><p>b</p><h2>Two</h2><p>c</p></body></html>"
    )
    book = read_book(str(path))
    assert (book.title, book.author, book.language) == ("Book", "Ann", "de")
    assert [(chapter.title, chapter.text) for chapter in book.chapters] == [
        ("Book", "Book.\n\nPreface.\n\n"),
        ("One", "One.\n\na\n\nInner.\n\nb\n\n"),
        ("Two", "Two.\n\nc\n\n"),
    ]


def test_a_page_without_headings_is_one_text():
    book = read_page(b"<title>Tab</title><p>words</p>", "page.html")
    assert (book.title, [chapter.text for chapter in book.chapters]) == ("Tab", ["words\n\n"])


@pytest.mark.parametrize(
    "data",
    [
        "<meta charset='iso-8859-1'>é".encode("latin-1"),
        '<?xml version="1.0" encoding="windows-1252"?>é'.encode("cp1252"),
        "é".encode(),
        "\ufeffé".encode("utf-16-le"),
        "<meta charset=nonsense>é".encode(),
    ],
)
def test_the_encoding_is_the_declared_one(data):
    assert decoded(data, "x").endswith("é")


def test_tokens():
    found = list(tokens("a<B C=1 d='2' e C=3>b</B ><i/><br/><![CDATA[<x>]]>"))
    assert found == ["a", Start("b", {"c": "1", "d": "2", "e": ""}), "b", End("b"), Start("i", {}), End("i"),
                     Start("br", {}), "<x>"]  # fmt: skip


@given(st.text(alphabet="<>/!-[]'\"=abp &;#1\n", max_size=300))
@settings(max_examples=200)
def test_any_text_is_a_page(markup):
    Page(markup, in_book=True)
    words = [token for token in tokens(markup) if isinstance(token, str)]
    assert all(words)


@pytest.mark.parametrize(
    "part", ["<", "<!--", "<a ", "<a b='", "</", "<![CDATA[", "<script>", "&", "<p>", "<!x [", "<td>x", "<td> "]
)
def test_hostile_markup_takes_linear_time(part, monkeypatch):
    """A million characters: quadratic time is an hour, and the test's time limit is two minutes."""
    Page(part * (1_000_000 // len(part)), in_book=True)
