"""What has been read out: spaces once, line ends when they are due, and a full stop where a block needs one."""

from voice_cli.script import spans


class Output:
    """Gathers what is given next, and knows how it ends."""

    def __init__(self) -> None:
        self._given: list[str] = []
        self._last = ""
        """The last character given."""
        self._visible = ""
        """The last one that is neither white space nor a closing mark; empty: none since the block began."""
        self._owed = 0
        """Line ends to give before the next character."""
        self._broken = 0
        """Those that are given already."""
        self._lazy = False
        """Whether a space is kept for what follows, since the line may end there, and as a sentence."""
        self._spaced = False

    def _write(self, text: str) -> None:
        if not text:
            return
        if self._spaced and not self._owed:
            self._given.append(" ")
        self._spaced = False
        missing = self._owed - self._broken
        if missing > 0 and self._last:
            self._given.append("\n" * missing)
        self._owed = self._broken = 0
        self._given.append(text)
        self._last = text[-1]
        for char in reversed(text):
            if char not in spans.CLOSING and not char.isspace():
                self._visible = char
                break

    def _space(self) -> None:
        if not self._last or self._last.isspace() or self._owed:
            return
        if self._lazy:
            self._spaced = True
        else:
            self._given.append(" ")
            self._last = " "

    def _break(self, lines: int) -> None:
        """Owe line ends; give the first at once where nothing can come before it."""
        self._owed = max(self._owed, lines)
        if not self._broken and self._visible in spans.SENTENCE_ENDS and self._visible:
            self._given.append("\n")
            self._broken = 1

    def _stop(self) -> None:
        """End the block as a sentence."""
        if self._visible and self._visible not in spans.PAUSES:
            mark = spans.full_stop(self._visible)
            self._given.append(mark)
            self._last = mark
        self._visible = ""
        self._spaced = False
