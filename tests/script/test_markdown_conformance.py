"""The spoken words compared with those of markdown-it-py, a full CommonMark parser."""

import re

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from voice_cli.script.markdown import SpokenMarkdown

SAMPLES = {
    "an answer": """
Sure! Here is **how** it works:

1. **Install it.** Run `pip install voice` in a *fresh* environment.
2. **Configure it.** See the [manual](https://example.org/manual "The manual") and
   its [second chapter](<https://example.org/a b>).
   - Nested, with `code`
   - Nested twice
     * and a third *time*
3. Done!

```python
def main() -> None:
    print("**not bold**")
```

> **Note:** a quotation that
> goes on, with a [link](https://example.org).

| Option | Meaning | Default |
|--------|:-------:|--------:|
| `--fast` | be **fast** | no |
| `--loud` | be loud | yes |

That's it. Any *more* questions?
""",
    "a manual": """
The Title
=========

A subtitle
----------

Text with ***both*** and __strong__ and ~~struck~~ and a\\
hard break and an escaped \\*star\\* and an entity &amp; &copy; &#x41;.

* * *

* Bullet
+ Other bullet
- Third

### A heading with `code` and *emphasis* ###

![A picture of a cat](cat.png "Cat") and [![badge](badge.svg)](https://example.org).

- A paragraph

  that goes on in the item
- [A link][ref] in the second

[ref]: https://example.org "A title"

~~~
code
~~~

Line one
line two
""",
    "edges": """
snake_case_name, a * b * c, 5*x, **bold**text, un*frigging*believable, *a **b** c*, **a *b* c**.

_em_ and __strong__ and (*brackets*) and "*quoted*" and *a*, *b*; `` ` `` and ` x `.

#nothashtag and # not a heading

- one
- two

  three

1) uno
2) due

> one
>> two
> three

Final [not link] and [x] and ](stray) and ![not image] and <3.
""",
    "other scripts": """
# 标题

这是**重点**内容，和*强调*。

- 一
- 二

## Заголовок

Это **важно** и *интересно*: [ссылка](https://example.org).

مرحبا **بك** هنا.
""",
}


def words_of(text: str) -> list[str]:
    """Return the words without full stops, which the parser does not add."""
    return [word for word in (raw.strip(".,。") for raw in text.split()) if word]


def read_by_parser(text: str) -> str:
    said: list[str] = []

    def read(tokens: list[Token]) -> None:
        for token in tokens:
            if token.type in ("text", "code_inline"):
                said.append(token.content)
            elif token.type in ("softbreak", "hardbreak"):
                said.append(" ")
            elif token.type == "image":
                read(token.children or [])
            elif token.type == "list_item_open" and token.info:
                said.append(f" {token.info}. ")
            elif token.type == "inline":
                read(token.children or [])
            elif token.block:
                said.append(" ")

    read(MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text))
    return "".join(said)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_words_equal_those_of_the_parser(name, size):
    text = SAMPLES[name]
    reader = SpokenMarkdown("on")
    said = "".join(reader.feed(text[at : at + size]) for at in range(0, len(text), size)) + reader.finish()
    ours, theirs = words_of(re.sub(r"(\d)\)", r"\1", said)), words_of(read_by_parser(text))
    assert ours == theirs
