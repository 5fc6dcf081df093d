"""Text as a terminal shows it, from the bytes' characters: escape sequences and control characters are no text.

The sequences are those of ECMA-48 (CSI, OSC, DCS and their like, with their 8-bit forms).
"""

import re

_STOPS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_CSI_REST = re.compile(r"[ -?]*")
_CHARSET_REST = re.compile(r"[ -/]*")
_STRING_REST = re.compile("[^\x07\x1b\x9c\n]*")
_STRINGS = frozenset("]PX^_\x90\x98\x9d\x9e\x9f")
"""Begin a text for the terminal itself (OSC, DCS, SOS, PM, APC), up to ST, BEL or the line's end."""
_LINES = {"\x0b": "\n", "\x0c": "\n\n", "\x85": "\n", "\u2028": "\n", "\u2029": "\n\n"}


class TerminalText:
    """Drops what a terminal would not show. Any cut of the input gives the same text; one character is held."""

    def __init__(self) -> None:
        self._inside = ""
        """What is open: `escape`, `csi`, `charset`, `string`, `return`, `back`; nothing."""
        self._last = ""

    def feed(self, text: str) -> str:
        given: list[str] = []
        at = 0
        while at < len(text):
            if self._inside:
                at = self._go_on(text, at, given)
                continue
            match = _STOPS.search(text, at)
            end = match.start() if match else len(text)
            if end > at:
                given.append(text[at:end])
                self._last = text[end - 1]
            if match is None:
                break
            self._open(text[end], given)
            at = end + 1
        return "".join(given)

    def finish(self) -> str:
        """Give what was held back."""
        rest = "\n" if self._inside == "return" else ""
        self._inside = ""
        return rest

    def _open(self, char: str, given: list[str]) -> None:
        if char == "\x1b":
            self._inside = "escape"
        elif char == "\r":
            self._inside = "return"
        elif char == "\b":
            self._inside = "back"
        elif char == "\x9b":
            self._inside = "csi"
        elif char in _STRINGS:
            self._inside = "string"
        elif char in _LINES:
            given.append(_LINES[char])
        elif "\ud800" <= char <= "\udfff":
            given.append("\ufffd")  # half of a pair, or a byte that was no UTF-8: what follows could not encode it

    def _go_on(self, text: str, at: int, given: list[str]) -> int:
        """Take what belongs to the open sequence; give where the text goes on."""
        char = text[at]
        inside, self._inside = self._inside, ""
        if inside == "return":
            given.append("\n")
            return at + (char == "\n")
        if inside == "back":
            # A man page's bold is a letter, a step back, the letter again.
            return at + (char == self._last)
        if inside == "escape":
            if char == "[":
                self._inside = "csi"
            elif char in _STRINGS:
                self._inside = "string"
            elif " " <= char <= "/":
                self._inside = "charset"
            elif not "0" <= char <= "~":
                return at  # broken: what is no part of it is text
            return at + 1
        if inside == "string":
            return self._string(text, at)
        rest = (_CSI_REST if inside == "csi" else _CHARSET_REST).match(text, at)
        at = rest.end() if rest else at
        if at == len(text):
            self._inside = inside
            return at
        return at + ("0" <= text[at] <= "~")

    def _string(self, text: str, at: int) -> int:
        rest = _STRING_REST.match(text, at)
        at = rest.end() if rest else at
        if at == len(text):
            self._inside = "string"
        elif text[at] == "\x1b":
            self._inside = "escape"  # of `ESC \`, or of the next sequence
            at += 1
        elif text[at] != "\n":
            at += 1
        return at
