"""Text without the escape sequences and control characters that a terminal does not show.

The sequences are those of ECMA-48 (CSI, OSC, DCS and the like, with their 8-bit forms).
"""

import re

_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_STATES = {
    "\x1b": "escape",
    "\r": "return",
    "\b": "backspace",
    **dict.fromkeys("[\x9b", "csi"),
    **dict.fromkeys(" !\"#$%&'()*+,-./", "charset"),
    **dict.fromkeys("]PX^_\x90\x98\x9d\x9e\x9f", "string"),
}
"""The state after a control character, or after the character that follows an escape. A string (OSC, DCS, SOS, PM, APC)
ends with ST, BEL or the end of the line."""
_REST = {
    "csi": re.compile(r"[ -?]*"),
    "charset": re.compile(r"[ -/]*"),
    "string": re.compile("[^\x07\x1b\x9c\n]*"),
}
_SHOWN = {"\x0b": "\n", "\x0c": "\n\n", "\x85": "\n", "\u2028": "\n", "\u2029": "\n\n"}


class TerminalText:
    """Removes what a terminal does not show. Any cut of the input gives the same text; one character is buffered."""

    def __init__(self) -> None:
        self._state = ""
        """One of `_STATES`, or empty in plain text."""
        self._last = ""
        """The last plain character."""

    def feed(self, text: str) -> str:
        """Return the part of `text` that is shown."""
        shown: list[str] = []
        at = 0
        while at < len(text):
            if self._state:
                at = self._continue(text, at, shown)
                continue
            match = _CONTROLS.search(text, at)
            end = match.start() if match else len(text)
            if end > at:
                shown.append(text[at:end])
                self._last = text[end - 1]
            if match:
                char = match.group()
                self._state = _STATES.get(char, "")
                # A surrogate, or a byte that was no UTF-8, cannot be encoded.
                shown.append("\ufffd" if "\ud800" <= char <= "\udfff" else _SHOWN.get(char, ""))
            at = end + 1
        return "".join(shown)

    def finish(self) -> str:
        """Return the buffered rest."""
        return "\n" if self._state == "return" else ""

    def _continue(self, text: str, at: int, shown: list[str]) -> int:
        """Read on in the open sequence; return the offset of what follows it."""
        state, self._state = self._state, ""
        if state == "return":
            shown.append("\n")
            return at + (text[at] == "\n")
        if state == "backspace":
            # Manual pages print a bold letter as the letter, a backspace, and the letter again.
            return at + (text[at] == self._last)
        if state == "escape":
            self._state = _STATES.get(text[at], "")
            return at + (self._state != "" or "0" <= text[at] <= "~")
        rest = _REST[state].match(text, at)
        at = rest.end() if rest else at
        if at == len(text):
            self._state = state
            return at
        if state != "string":
            return at + ("0" <= text[at] <= "~")
        if text[at] == "\x1b":
            self._state = "escape"  # of `ESC \`, or of the next sequence
        return at + (text[at] != "\n")
