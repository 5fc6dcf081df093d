"""The spoken text of Markdown and of terminal output."""

import pytest

from voice_cli.script.markdown import SpokenMarkdown
from voice_cli.script.splitter import Splitter


def spoken(text: str, mode: str = "auto") -> str:
    reader = SpokenMarkdown(mode)
    return reader.feed(text) + reader.finish()


BOTH = [
    # headings
    ("# Title\n\nText here.", "Title.\n\nText here."),
    ("## Title ##\nText", "Title.\nText"),
    ("###### Why?\nSo.", "Why?\nSo."),
    ("Title\n=====\n\nText", "Title.\n\nText"),
    ("Title\n---\nText", "Title.\nText"),
    ("####### seven", "####### seven"),
    ("#hashtag and #1", "#hashtag and #1"),
    ("# 标题\n正文", "标题。\n正文"),
    # emphasis
    ("**bold** and *it* and ***both***", "bold and it and both"),
    ("__bold text__ and _it_ is", "bold text and it is"),
    ("~~gone~~ and ~5", "gone and ~5"),
    ("**a *b* c**", "a b c"),
    ("A **long one that is longer than what is looked ahead, which is some sixty letters, ends** here.", None),
    ("snake_case_name and _private", "snake_case_name and _private"),
    ("2 * 3 * 4 = 24", "2 * 3 * 4 = 24"),
    ("rm *.txt and ls *.py", "rm *.txt and ls *.py"),
    ("5 * 3", "5 * 3"),
    (r"\*literal\* and \_this\_", "*literal* and _this_"),
    ("这是**重点：**内容", "这是重点：内容"),
    # code
    ("Use `ls -l *x*` now", "Use ls -l *x* now"),
    ("Use ``a ` b`` now", "Use a ` b now"),
    ("A ` alone", "A ` alone"),
    ("See:\n\n```python\nx = 1\n\nprint(x)\n```\n\nDone.", "See:\n\nDone."),
    ("See\n~~~\ncode\n~~~\nDone.", "See.\n\nDone."),
    ("- Do:\n  ```\n  code\n  ```\n- Next", "Do:\n\nNext."),
    ("````\n```\n````\nDone.", "Done."),
    ("```\nnever closed\n", ""),
    ("> ```\n> code\n> ```\n> Done.", "Done."),
    # links and addresses
    ('See [the *page*](http://a.b/c_d?e=(f) "T").', "See the page."),
    ("See [a][b] and [c][].", "See a and c."),
    ("An ![old map](map.png) here", "An old map here"),
    ("[![badge](b.svg)](http://x.y) Text", "badge Text"),
    ("[not a link] and [x](not a link)", "[not a link] and [x](not a link)"),
    ("Go to https://www.example.com/a/b_c?d=e#f.", "Go to example.com."),
    ("Go to https://example.com:8080/x, or (http://b.org/a_(b)) now", "Go to example.com, or (b.org) now"),
    ("At www.example.org!", "At example.org!"),
    ("See <https://foo.org/x> or <me@x.org>.", "See foo.org or me@x.org."),
    ("**https://x.org/a_b**", "x.org"),
    ("看https://a.com/b。好", "看a.com。好"),
    ("[1]: http://a.b 'T'\nText", "Text"),
    ("He wins www awards; http is old", "He wins www awards; http is old"),
    # lists
    ("- one\n- two\n", "one.\ntwo.\n"),
    ("* one\n+ two!\n• three", "one.\ntwo!\nthree."),
    ("1. one\n2) two", "1. one.\n2) two."),
    ("- one\n  goes on\n  - two", "one\ngoes on.\ntwo."),
    ("- [ ] open\n- [x] done", "open.\ndone."),
    ("Shopping list\n- [ ] 5 apples\n- [x] 2 pears", "Shopping list.\n5 apples.\n2 pears."),
    ("Buy:\n- milk,\n- eggs", "Buy:\nmilk,\neggs."),
    ("- a\n\n- b", "a.\n\nb."),
    ("- - deep", "deep."),
    ("- **Bold:** text", "Bold: text."),
    ("word - word -- word — word", "word - word -- word — word"),
    ("-5 degrees", "-5 degrees"),
    # quotations
    ("> one\n> two\n\nthree", "one\ntwo\n\nthree"),
    (">> deep", "deep"),
    (">= 5 and >:( x", ">= 5 and >:( x"),
    # tables
    ("| Name | Age |\n|:-----|----:|\n| Bob | 30 |\n| Ann, too | |", "Name, Age.\nBob, 30.\nAnn, too."),
    ("| `a|b` | **c** |", "a|b, c."),
    ("a | b\n--|--\n1 | 2\n\nx | y", "a | b.\n1, 2.\n\nx | y"),
    ("ls | wc", "ls | wc"),
    ("┌────┐\n│ ok │\n└────┘", "ok \n"),
    # rules
    ("One.\n\n---\n\n* * *\n___\nTwo.", "One.\n\nTwo."),
    # HTML
    ("<b>bold</b><br>next <i class='x'>it</i>", "bold\nnext it"),
    ("<p>One</p><p>Two</p>", "One.\nTwo.\n"),
    ("A <!-- not\n\nthis --> B", "A B"),
    ("<script>var x = '<b>';</script>Text", "Text"),
    ('<img src="a.png" alt="A map"> x', "A map x"),
    ("Your <your name> and List<String> and <T>", "Your <your name> and List<String> and <T>"),
    ("I <3 you, x < y, a<b && c>d", "I <3 you, x < y, a<b && c>d"),
    ("AT&amp;T &lt;b&gt; &#65;&nbsp;b &nosuch; R&D", "AT&T <b> A b &nosuch; R&D"),
    # footnotes
    ("Text[^1] more.\n\n[^1]: The note.", "Text more.\n\nThe note."),
    # emoji
    ("Great 🎉 work 👨‍👩‍👧 done ❤️ ok 👍🏽", "Great work done ok "),
    ("1️⃣ First 🇩🇪", "1 First "),
    ("© 2020 ™ 5 €", "© 2020 ™ 5 €"),
    # plain text
    ("One line\nand another.\n\nA paragraph.\n", "One line\nand another.\n\nA paragraph.\n"),
    ("  indented\n\ttext", "indented\ntext"),
    ("a    b", "a b"),
    ("12:30, 3.5, C:\\path\\file, a/b", "12:30, 3.5, C:\\path\\file, a/b"),
    ("", ""),
    ("\n\n\n", ""),
]


@pytest.mark.parametrize(("text", "said"), BOTH)
@pytest.mark.parametrize("mode", ["auto", "on"])
def test_spoken_text(text, said, mode):
    if said is None:
        said = text.replace("**", "")
    assert spoken(text, mode) == said
    assert (
        "".join(map(SpokenMarkdown.feed, [reader := SpokenMarkdown(mode)] * len(text), text)) + reader.finish() == said
    )


@pytest.mark.parametrize(
    ("text", "auto", "on"),
    [
        ("It is 2*3*4 here", "It is 2*3*4 here", "It is 234 here"),
        ("The __init__ method", "The __init__ method", "The init method"),
        ("from 3 to\n- 5 degrees", "from 3 to\n- 5 degrees", "from 3 to.\n5 degrees."),
        ("x[0](y)", "x[0](y)", "x0"),
        ("| not a row", "| not a row", "not a row."),
    ],
)
def test_ambiguous_marks_are_kept_unless_markdown_is_on(text, auto, on):
    assert spoken(text, "auto") == auto
    assert spoken(text, "on") == on


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\x1b[1;31mred\x1b[0m and\x1b[K", "red and"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://a.b/c\x1b\\link\x1b]8;;\x1b\\ x", "link x"),
        ("\x9b31mred \x1bPdcs\x1b\\x \x1b(Bok\x1b=", "red x ok"),
        ("N\bNA\bAM\bM", "NAM"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("nul\x00 bell\x07 del\x7f", "nul bell del"),
        ("\ufeffbom so\u00adft \u202bright", "bom soft right"),
        ("\x1b]open and never closed\ntext", "\ntext"),
        ("broken \x1b[3\x01x", "broken x"),
        ("half \ud800 pair", "half \ufffd pair"),
        ("cut \x1b[3", "cut "),
        ("**stays** `so` https://a.b/c", "**stays** `so` https://a.b/c"),
    ],
)
def test_off_removes_only_control_sequences(text, said):
    assert spoken(text, "off") == said


def test_text_is_buffered_only_until_it_is_certain():
    reader = SpokenMarkdown()
    text = "Say so, **again**, and so on. "
    assert [reader.feed(char) for char in text[:8]] == list("Say so, ")
    assert "".join(reader.feed(char) for char in text[8:17]) == ""
    assert reader.feed(",") == "again,"
    assert [reader.feed(char) for char in text[18:]] == list(text[18:])
    assert reader.feed("# No heading here") == "# No heading here"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("- milk\n- eggs (12)\nThanks!\n", "milk.\neggs (12).\nThanks!\n"),
        ("1. One\n2. Two\n\nBye\n", "1. One.\n2. Two.\n\nBye\n"),
        ("- a long item that\ncontinues here\n", "a long item that\ncontinues here.\n"),
        ("- an item\n  Of two lines\n", "an item\nOf two lines.\n"),
    ],
)
def test_unindented_line_with_a_capital_ends_an_item(text, read):
    assert spoken(text) == read


def test_headings_and_items_end_for_the_splitter():
    splitter = Splitter()
    text = spoken("# Shopping\n\nWhat we need\n- milk\n- eggs\n\nThat is all")
    parts = [utterance.strip() for utterance in splitter.feed(text) + splitter.finish()]
    assert parts == ["Shopping.", "What we need.\nmilk.\neggs.", "That is all"]


def test_unknown_mode_is_a_value_error():
    with pytest.raises(ValueError, match="mode"):
        SpokenMarkdown("maybe")
