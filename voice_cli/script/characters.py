"""The characters that end, join or close, in the scripts of many languages.

Chosen from Unicode's Sentence_Terminal and Terminal_Punctuation (PropList.txt) and the grapheme cluster rules of
UAX #29, without what `unicodedata` provides. Rules of languages are in `abbreviations`.
"""

import re
from unicodedata import category, combining

DOTS = ".…‥․"
"""May end a sentence, or be part of a number, an abbreviation or a name."""

MARKS = "!?‼⁇⁈⁉⸮"
"""End a sentence if white space follows; inside a word they are part of it (`index.php?x`)."""

HARD_ENDS = "。！？｡．।॥؟۔։።፧፨။។៕༎།෴᱾᱿᠃᠉꧈꧉꘎꘏꛳꛷𑁇𑁈\u037e"
"""End a sentence, whatever follows the closing marks: their scripts may write no space."""

COMMAS = ",;:·"
"""End a clause if white space follows."""

HARD_COMMAS = "，、；：﹐﹑､،؛؍၊፣፤፥፦՝᠂᠈꛶"
"""End a clause unless between digits."""

DASHES = "—–―⸺⸻-"
"""End a clause between spaces; an em dash also between words."""

QUOTES_STRAIGHT = "\"'"
OPENERS = "“„‟‘‚‛«‹「『【〈《〔〖（［｛([{¿¡⌈⟨"
CLOSERS = "”’»›」』】〉》〕〗）］｝)]}⌉⟩"

AFTER_END = frozenset(CLOSERS + QUOTES_STRAIGHT + "*_~¹²³⁰⁴⁵⁶⁷⁸⁹†‡")
"""Closing marks and note marks, which belong to the sentence before them if no space is between."""

ENDS = frozenset(DOTS + MARKS + HARD_ENDS)
HARD = frozenset(HARD_ENDS)

CODE = "`"
WORD_SPACES = "፡"
"""Ethiopic marks that separate words."""

INTERESTING = re.compile(
    r"[\s"
    + re.escape(DOTS + MARKS + HARD_ENDS + COMMAS + HARD_COMMAS + DASHES)
    + re.escape(QUOTES_STRAIGHT + OPENERS + CLOSERS + CODE + WORD_SPACES)
    + "]"
)
"""The characters at which a scan has to decide."""

SPEAKABLE = re.compile(r"[^\W_]")
"""Without one of these, an utterance has nothing to speak."""

GLUE_SPACES = frozenset("\u00a0\u202f\u2007\u2060\ufeff")
"""White space where no line may break (UAX #14, class GL)."""

_UNSPACED = re.compile(
    # Thai, Lao, Tibetan, Burmese; Khmer; Tai scripts and more Burmese.
    r"[\u0e00-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf]"
)
"""The characters of scripts that put spaces between phrases, not between words."""

_WIDE = re.compile(
    # Kana, Chinese characters, Hangul, the supplementary ideographs; then rarer jamo, radicals, bopomofo and kana.
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff"
    r"\u1100-\u11ff\u2e80-\u2fdf\u3105-\u312f\u31f0-\u31ff\uf900-\ufaff]"
)
"""The letters that are a syllable or more, and take as long to speak as three of an alphabet."""

_CLUSTER_LIMIT = 64
"""Characters; a longer grapheme cluster is cut."""


def is_unspaced(char: str) -> bool:
    return _UNSPACED.match(char) is not None


def is_wide(char: str) -> bool:
    return _WIDE.match(char) is not None


def weight(text: str) -> int:
    """Return how long the text takes to speak, in letters of an alphabet (about 15 a second)."""
    return len(text) if text.isascii() else len(text) + 2 * len(_WIDE.findall(text))


def cluster_start(text: str, at: int, low: int) -> int:
    """Return the last offset in `low + 1 ..= at` at which a grapheme cluster begins; `at` if there is none.

    `text[at]` must exist. Thai and Lao vowels that are written before their consonant count as one with it.
    """
    for offset in range(at, max(low, at - _CLUSTER_LIMIT), -1):
        if not _joins(text, offset, low):
            return offset
    return at


def _joins(text: str, at: int, low: int) -> bool:
    """Return whether a cluster continues from `text[at - 1]` to `text[at]` (UAX #29, GB3 to GB13)."""
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
