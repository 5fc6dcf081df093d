"""The text that is read out of Markdown: single spaces, and a full stop where a block needs one."""

from voice_cli.script import spans


class Output:
    """Collects the text. Line breaks and spaces are written when it is certain what follows."""

    def __init__(self) -> None:
        self._written: list[str] = []
        self._last = ""
        """The last character written."""
        self._visible = ""
        """The last one in this block that is neither white space nor a closing mark."""
        self._breaks = 0
        """Line breaks due before the next character, `_broken` of them already written."""
        self._broken = 0
        self._lazy = False
        """Whether spaces wait for what follows, since the block may end there with a full stop."""
        self._spaced = False
        """Whether a space waits."""

    def _write(self, text: str) -> None:
        if not text:
            return
        if self._spaced and not self._breaks:
            self._written.append(" ")
        self._spaced = False
        if self._last:
            self._written.append("\n" * (self._breaks - self._broken))
        self._breaks = self._broken = 0
        self._written.append(text)
        self._last = text[-1]
        for char in reversed(text):
            if char not in spans.CLOSING and not char.isspace():
                self._visible = char
                break

    def _space(self) -> None:
        if not self._last or self._last.isspace() or self._breaks:
            return
        if self._lazy:
            self._spaced = True
        else:
            self._written.append(" ")
            self._last = " "

    def _break(self, lines: int) -> None:
        """Start a new line, or with 2 a paragraph; write the first break at once after the end of a sentence."""
        self._breaks = max(self._breaks, lines)
        if not self._broken and self._visible in spans.SENTENCE_ENDS:
            self._written.append("\n")
            self._broken = 1

    def _stop(self) -> None:
        """End the block as a sentence."""
        if self._visible and self._visible not in spans.PAUSES:
            self._last = spans.full_stop(self._visible)
            self._written.append(self._last)
        self._visible = ""
        self._spaced = False
