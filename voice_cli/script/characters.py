"""The characters that end, join or close, in the scripts that a voice may meet.

Chosen from Unicode's Sentence_Terminal and Terminal_Punctuation (PropList.txt) and the grapheme cluster rules of
UAX #29, less what `unicodedata` says at no cost. No language here: languages are in `abbreviations`.
"""

import re
from unicodedata import category, combining

DOTS = ".…‥․"
"""What may end a sentence, or stand in a number, an abbreviation, a name."""

MARKS = "!?‼⁇⁈⁉⸮"
"""End a sentence if white space follows; inside a word they are part of it (`index.php?x`)."""

HARD_ENDS = "。！？｡．।॥؟۔։።፧፨။។៕༎།෴᱾᱿᠃᠉꧈꧉꘎꘏꛳꛷𑁇𑁈\u037e"
"""End a sentence whatever follows, closing marks apart: their scripts may write no space."""

COMMAS = ",;:·"
"""End a clause if white space follows."""

HARD_COMMAS = "，、；：﹐﹑､،؛؍၊፣፤፥፦՝᠂᠈꛶"
"""End a clause whatever follows, digits apart."""

DASHES = "—–―⸺⸻-"
"""End a clause where they stand between spaces; an em dash also between words."""

QUOTES_STRAIGHT = "\"'"
OPENERS = "“„‟‘‚‛«‹「『【〈《〔〖（［｛([{¿¡⌈⟨"
CLOSERS = "”’»›」』】〉》〕〗）］｝)]}⌉⟩"

AFTER_END = frozenset(CLOSERS + QUOTES_STRAIGHT + "*_~¹²³⁰⁴⁵⁶⁷⁸⁹†‡")
"""What belongs to the sentence before it if no space stands between: closing marks, and marks of a note."""

ENDS = frozenset(DOTS + MARKS + HARD_ENDS)
HARD = frozenset(HARD_ENDS)

CODE = "`"
WORD_SPACES = "፡"
"""Ethiopic writes its word space as a mark."""

INTERESTING = re.compile(
    r"[\s"
    + re.escape(DOTS + MARKS + HARD_ENDS + COMMAS + HARD_COMMAS + DASHES)
    + re.escape(QUOTES_STRAIGHT + OPENERS + CLOSERS + CODE + WORD_SPACES)
    + "]"
)
"""Where a scan has to stop and look. All between is letters, digits and marks."""

SPEAKABLE = re.compile(r"[^\W_]")
"""Without one of these an utterance has nothing to say."""

GLUE_SPACES = frozenset("\u00a0\u202f\u2007\u2060\ufeff")
"""White space where no line may break (UAX #14, class GL)."""

_UNSPACED = (
    ("\u0e00", "\u0fff"),
    ("\u1000", "\u109f"),
    ("\u1780", "\u17ff"),
    ("\u1950", "\u19df"),
    ("\u1a20", "\u1aaf"),
    ("\ua9e0", "\ua9ff"),
    ("\uaa60", "\uaadf"),
)
"""First and last of Thai and Lao, Tibetan, Burmese, Khmer, Tai: words are not spaced, so a space is a breath."""

_CLUSTER_LIMIT = 64
"""Characters; a longer cluster is no letter but a prank, and is cut."""


def is_unspaced(char: str) -> bool:
    """Tell whether the character is of a script that puts spaces between phrases only."""
    return "\u0e00" <= char <= "\uaadf" and any(first <= char <= last for first, last in _UNSPACED)


def is_wide(char: str) -> bool:
    """Tell whether it is a letter that is a syllable or more, as long to say as three of an alphabet."""
    if char < "\u1100":
        return False
    return (
        "\u3040" <= char <= "\u30ff"
        or "\u3400" <= char <= "\u9fff"
        or "\uac00" <= char <= "\ud7af"
        or "\U00020000" <= char <= "\U0003ffff"
        or "\u1100" <= char <= "\u11ff"
        or "\u2e80" <= char <= "\u2fdf"
        or "\u3105" <= char <= "\u312f"
        or "\u31f0" <= char <= "\u31ff"
        or "\uf900" <= char <= "\ufaff"
    )


def weight(text: str) -> int:
    """Say how long the text takes to speak, in letters of an alphabet (some 15 a second)."""
    return len(text) if text.isascii() else len(text) + 2 * sum(map(is_wide, text))


def cluster_start(text: str, at: int, low: int) -> int:
    """Give the last offset in `low + 1 ..= at` at which a grapheme cluster begins; `at` if there is none.

    `text[at]` has to exist. Thai and Lao vowels that are written before their consonant count as one with it.
    """
    for offset in range(at, max(low, at - _CLUSTER_LIMIT), -1):
        if not _joins(text, offset, low):
            return offset
    return at


def _joins(text: str, at: int, low: int) -> bool:
    """Tell whether a cluster goes on from `text[at - 1]` to `text[at]` (UAX #29, GB3 to GB13)."""
    after, before = text[at], text[at - 1]
    if after < "\u0300" and before < "\u0300":
        return before == "\r" and after == "\n"
    if before == "\u200d" or combining(before) == 9:  # a joiner; a virama, which binds the next consonant
        return not after.isspace()
    if category(after) in ("Mn", "Mc", "Me") or after in "\u200d\u200c\u0e33\u0eb3\uff9e\uff9f":
        return not before.isspace()
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\U000e0020" <= after <= "\U000e007f":
        return True
    if before in "เแโใไເແໂໃໄ":
        return True
    if _is_flag(after) and _is_flag(before):
        run = at - 1
        while run > low and _is_flag(text[run - 1]):
            run -= 1
        return (at - run) % 2 == 1
    if "\u1100" <= after <= "\u115f":
        return "\u1100" <= before <= "\u115f"
    return _is_jamo(after) and (_is_jamo(before) or "\uac00" <= before <= "\ud7a3")


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _is_jamo(char: str) -> bool:
    return "\u1100" <= char <= "\u11ff"
