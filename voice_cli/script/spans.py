"""What stands inside a line of Markdown: patterns, and what of a match is read out. No state."""

import re

from voice_cli.script.characters import is_wide

_EMOJI_RANGES = (
    "\U0001f000-\U0001faff\u2600-\u27bf\u231a\u231b\u2328\u23cf\u23e9-\u23f3\u23f8-\u23fa\u2b05-\u2b07\u2b1b\u2b1c"
    "\u2b50\u2b55\u3030\u303d\u3297\u3299\ufe0e\ufe0f\u20e3\U000e0020-\U000e007f"
)
EMOJI = re.compile(f"[{_EMOJI_RANGES}]+")
"""Pictures, and what colours them. Of a keycap the digit stays."""
JOINER = "\u200d"
"""Joins pictures to one; between letters it is one of them."""

BOXES = "\u2500-\u259f"
"""Lines and blocks that draw a frame: as good as white space."""

SCHEMES = ("https://", "http://", "ftp://", "www.")
URL = re.compile(r"(?i)(?:https?://|ftp://|www\.)(?=[^\W_])")

SPECIAL = re.compile(rf"[\\`*_~\[<&\s{BOXES}{_EMOJI_RANGES}{JOINER}]|!(?=\[)|!\Z|(?<![A-Za-z0-9])[hHwWfF]")
"""Where a line has to be looked at. The letters are those that an address may begin with."""

_LETTERS = "A-Za-z0-9\u00c0-\u1fff"
"""Of an address. Chinese and its neighbours put no space behind one, so what is theirs ends it."""
HOST = re.compile(rf"[{_LETTERS}_.\-~:@%]*")
HOST_LIMIT = 255
URL_CHARS = re.compile(rf"[{_LETTERS}/?#&=%+@$\-{{}}^\\]+")
URL_PUNCTUATION = re.compile(r"[.,;:!?'*_~]{1,16}")
"""Of the address only if it goes on behind."""

SENTENCE_ENDS = frozenset(".!?…。！？．।॥؟۔።։៕。")
PAUSES = SENTENCE_ENDS | frozenset(",;:—，、；：،؛")
"""After one of these a heading or an item needs no full stop."""
CLOSING = frozenset("\"'”’»›)]}」』】）*_")


def full_stop(after: str) -> str:
    """Give the sentence's end of the script that `after` belongs to."""
    if is_wide(after):
        return "。"
    return "।" if "\u0900" <= after <= "\u09ff" else "."


def host_name(host: str) -> str:
    """Give what a person would say of an address: `https://user@www.example.org:80/x` is `example.org`."""
    name = host.rsplit("@", 1)[-1].split(":", 1)[0].strip(".")
    return name[4:] if name[:4].lower() == "www." and "." in name[4:] else name


def closes(text: str, at: int, bound: int, mark: str, count: int, *, strict: bool, final: bool) -> bool | None:
    """Tell whether an emphasis that was opened before `at` is closed before `bound`.

    None: more text is needed. A blank line ends the search.
    """
    index = at
    stop = min(bound, len(text))
    depth = 0
    while index < stop:
        char = text[index]
        if char == "\n" and text[index + 1 : index + 2] == "\n":
            return False
        if char != mark:
            index += 2 if char == "\\" else 1
            continue
        end = index
        while end < len(text) and text[end] == mark:
            end += 1
        if end == len(text) and not final:
            return None
        before, after = text[index - 1], text[end] if end < len(text) else " "
        length, index = end - index, end
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
    return False if final or len(text) >= bound else None


def flanks(outside: str, inside: str) -> bool:
    """Tell whether a run of marks stands at an edge of the word on its side `inside`.

    CommonMark 6.2, with an exception for scripts that write no spaces: a bold word's last mark may be a colon there.
    """
    return not inside.isspace() and (inside.isalnum() or not outside.isalnum() or is_wide(outside))
