"""Patterns and stateless functions for the inside of a line of Markdown."""

import re

from voice_cli.script.characters import is_wide
from voice_cli.script.incomplete import IncompleteTextError

_EMOJI_RANGES = (
    "\U0001f000-\U0001faff\u2600-\u27bf\u231a\u231b\u2328\u23cf\u23e9-\u23f3\u23f8-\u23fa\u2b05-\u2b07\u2b1b\u2b1c"
    "\u2b50\u2b55\u3030\u303d\u3297\u3299\ufe0e\ufe0f\u20e3\U000e0020-\U000e007f"
)
EMOJI = re.compile(f"[{_EMOJI_RANGES}]")
"""Pictures and their modifiers. The digit of a keycap is not one."""
JOINER = "\u200d"
"""Joins pictures; it is kept between letters."""

BOXES = "\u2500-\u259f"
"""Box drawing characters, read as white space."""

EMPHASIS = 64
"""Characters in which the mark that closes an emphasis is searched."""
MAX_RUN = 64
"""Characters of the longest run of backticks, asterisks, underscores or tildes that is a mark; a longer one is text."""

SCHEMES = ("https://", "http://", "ftp://", "www.")
URL = re.compile(r"(?i)(?:https?://|ftp://|www\.)(?=[^\W_])")

SPECIAL = re.compile(rf"[\\`*_~\[<&\s{BOXES}{_EMOJI_RANGES}{JOINER}]|!(?=\[)|!\Z|(?<![A-Za-z0-9])[hHwWfF]")
"""Where a line needs a decision. An address may begin with one of the letters."""

_LETTERS = "A-Za-z0-9\u00c0-\u1fff"
"""Letters of an address. Chinese, Japanese and Korean put no space after one, so their letters end it."""
HOST = re.compile(rf"[{_LETTERS}_.\-~:@%]*")
HOST_LIMIT = 255
URL_CHARS = re.compile(rf"[{_LETTERS}/?#&=%+@$\-{{}}^\\]+")
URL_PUNCTUATION = re.compile(r"[.,;:!?'*_~]{1,16}")
"""Part of the address only if it continues after them."""

SENTENCE_ENDS = frozenset(".!?…。！？．।॥؟۔።։៕。")
PAUSES = SENTENCE_ENDS | frozenset(",;:—，、；：،؛")
"""After one of these, a heading or a list item needs no full stop."""
CLOSING = frozenset("\"'”’»›)]}」』】）*_")


def full_stop(after: str) -> str:
    """Return the full stop of the script that `after` belongs to."""
    if is_wide(after):
        return "。"
    return "।" if "\u0900" <= after <= "\u09ff" else "."


def host_name(host: str) -> str:
    """Return what is read of an address: `example.org` of `user@www.example.org:80`."""
    name = host.rsplit("@", 1)[-1].split(":", 1)[0].strip(".")
    return name[4:] if name[:4].lower() == "www." and "." in name[4:] else name


def closes(text: str, at: int, mark: str, count: int, *, strict: bool, final: bool) -> bool:
    """Return whether an emphasis opened before `at` is closed within `EMPHASIS` characters, and before a blank line.

    Raises IncompleteTextError if that takes more text.
    """
    bound = at + EMPHASIS
    depth = 0
    for match in re.compile(rf"\\.|\n\n|{re.escape(mark)}+", re.DOTALL).finditer(text, at, bound + MAX_RUN):
        start, end = match.span()
        if start >= bound or match.group() == "\n\n":
            return False
        if text[start] == "\\":
            continue
        if end == len(text) < bound + MAX_RUN and not final:
            raise IncompleteTextError
        before, after, length = text[start - 1], text[end : end + 1] or " ", end - start
        intraword = before.isalnum() and after.isalnum()
        if length != count and length < 3 and (length < count or count == 1):
            continue
        if intraword and (mark == "_" or (not strict and before.isascii() and after.isascii())):
            continue
        if flanks(after, before):
            if not depth:
                return True
            depth -= 1
        elif flanks(before, after):
            depth += 1
    if len(text) < bound and not final:
        raise IncompleteTextError
    return False


def flanks(outside: str, inside: str) -> bool:
    """Return whether a run of marks is at an edge of the word on its side `inside`.

    CommonMark 6.2, with an exception for scripts that write no spaces: a bold word may end with a colon there.
    """
    return not inside.isspace() and (inside.isalnum() or not outside.isalnum() or is_wide(outside))
