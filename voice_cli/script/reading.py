"""The whole way from a text to what is sent to a voice: Markdown, speakers, utterances, pronunciations."""

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial

from voice_cli.script.dialogue import Dialogue
from voice_cli.script.line import Line
from voice_cli.script.markdown import Mode, SpokenMarkdown
from voice_cli.script.pauses import Flush
from voice_cli.script.pronounce import Pronunciations
from voice_cli.script.splitter import Boundary, Splitter, Utterance

_SENTENCE_END = re.compile(r"""[.!?…。！？｡．।॥؟۔։።]["'”’»)\]]*\Z""")

_MOST_SILENT = 4096
"""Characters without a word that are kept: whoever sends nothing else takes no memory."""


class Reading:
    """Gives the lines of a text as it arrives. Not for use by two threads at once."""

    def __init__(
        self,
        *,
        markdown: Mode = "auto",
        speakers: Collection[str] = (),
        pronounce: Mapping[str, str] | None = None,
        max_chars: int = 400,
        language: str = "",
        every: Boundary | None = None,
        gathers: bool = True,
    ) -> None:
        """Raise ConfigError if a pronunciation is invalid.

        Args:
            markdown: whether the text is Markdown; `auto` also accepts plain text and logs.
            speakers: names whose `NAME: text` lines are read as theirs.
            pronounce: replacements, as `Pronunciations` takes them.
            max_chars, language, every, gathers: as in `Splitter`.

        """
        self._mode: Mode = markdown
        self._speakers = speakers
        self._pronounce = Pronunciations(pronounce or {})
        self._every = every
        self._new_splitter = partial(Splitter, max_chars=max_chars, language=language, every=every, gathers=gathers)
        self._silent = ""
        """What has nothing to say in it, and goes before the next line."""
        self._flushed = False
        """Nothing but white space has come since a flush."""
        self._begin()

    def _begin(self) -> None:
        self._markdown = SpokenMarkdown(self._mode)
        self._dialogue = Dialogue(self._speakers) if self._speakers else None
        self._speaker: str | None = None
        self._splitter = self._new_splitter()

    def read(self, piece: str | Flush | None) -> list[Line]:
        """Take a piece, or None where none came for a while; give the lines that are complete."""
        if isinstance(piece, Flush):
            return self.feed(piece.text) + self.flush()
        return self.pause() if piece is None else self.feed(piece)

    def feed(self, text: str) -> list[Line]:
        """Take text that has arrived; give the lines that are complete."""
        if self._flushed:
            words = text.lstrip()
            self._keep(text[: len(text) - len(words)])
            text, self._flushed = words, not words
        return self._split(self._markdown.feed(text))

    def pause(self) -> list[Line]:
        """Give what can be spoken now: nothing has come for a while."""
        return self._lines(self._splitter.pause(self._every or Boundary.WORD))

    def flush(self) -> list[Line]:
        """Give all that came; what comes then is read as a text of its own."""
        lines = self.finish()
        self._begin()
        self._flushed = True
        return lines

    def finish(self) -> list[Line]:
        """Give the rest; no more text may be fed."""
        lines = self._split(self._markdown.finish())
        if self._dialogue is not None:
            for turn in self._dialogue.finish():
                lines += self._turn(turn.speaker, turn.text, begins=turn.begins)
        return lines + self._lines(self._splitter.finish())

    def _split(self, text: str) -> list[Line]:
        if self._dialogue is None:
            return self._lines(self._splitter.feed(text))
        lines: list[Line] = []
        for turn in self._dialogue.feed(text):
            lines += self._turn(turn.speaker, turn.text, begins=turn.begins)
        return lines

    def _turn(self, speaker: str | None, text: str, *, begins: bool) -> list[Line]:
        lines: list[Line] = []
        if begins:
            lines = self._lines(self._splitter.finish())
            self._splitter = self._new_splitter()
            self._speaker = speaker
        return lines + self._lines(self._splitter.feed(text))

    def _lines(self, utterances: list[Utterance]) -> list[Line]:
        lines = []
        for utterance in utterances:
            spoken = " ".join(self._pronounce.apply(utterance.spoken).split())
            if not any(character.isalnum() for character in spoken):
                self._keep(utterance.text)
                continue
            text, self._silent = self._silent + utterance.text, ""
            lines.append(Line(text, spoken, self._speaker, _pause_after(utterance.spoken)))
        return lines

    def _keep(self, silent: str) -> None:
        self._silent = (self._silent + silent)[-_MOST_SILENT:]


def _pause_after(spoken: str) -> float:
    """Give a clause half a sentence's pause."""
    return 1.0 if _SENTENCE_END.search(spoken) else 0.5


def lines_of(pieces: Iterable[str | Flush | None], reading: Reading) -> Iterator[Line]:
    """Yield the lines of a text that arrives in pieces, each with its `end`.

    None among the pieces means that no text came for a while.
    """
    taken = end = 0
    for piece in itertools.chain(pieces, [Flush()]):
        taken += len(piece.text if isinstance(piece, Flush) else piece or "")
        lines = reading.read(piece)
        for number, line in enumerate(lines, 1):
            is_last = isinstance(piece, Flush) and number == len(lines)
            end = taken if is_last else min(end + len(line.text), taken)
            yield line._replace(end=end)
