"""From a text that is still arriving to lines: Markdown, speakers, utterances, pronunciations."""

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial

from voice_cli.script.dialogue import Dialogue, TurnStarted
from voice_cli.script.line import Line
from voice_cli.script.markdown import Mode, SpokenMarkdown
from voice_cli.script.pauses import Flush
from voice_cli.script.pronounce import Pronunciations
from voice_cli.script.splitter import Boundary, Splitter

_SENTENCE_END = re.compile(r"""[.!?…。！？｡．।॥؟۔։።]["'”’»)\]]*\Z""")

_SILENT_LIMIT = 4096
"""Characters without a word that are buffered; earlier ones are dropped."""


class LineReader:
    """Converts a text to lines as it arrives. Not thread-safe."""

    def __init__(
        self,
        *,
        markdown: Mode = "auto",
        speakers: Collection[str] = (),
        pronounce: Mapping[str, str] | None = None,
        language: str = "",
        every: Boundary | None = None,
        join_sentences: bool = True,
    ) -> None:
        """Raise ConfigError if a pronunciation is invalid, ValueError if a speaker's name is.

        Args:
            markdown: whether the text is Markdown; `auto` also accepts plain text and logs.
            speakers: names whose `NAME: text` lines are read as theirs.
            pronounce: replacements, as in `Pronunciations`.
            language, every, join_sentences: as in `Splitter`.

        """
        self._mode: Mode = markdown
        self._speakers = speakers
        self._pronounce = Pronunciations(pronounce or {})
        self._new_splitter = partial(Splitter, language=language, every=every, join_sentences=join_sentences)
        self._silent = ""
        """Text without a word; it becomes part of the next line."""
        self._flushed = False
        """Nothing but white space has arrived since a flush."""
        self._begin()

    def _begin(self) -> None:
        self._markdown = SpokenMarkdown(self._mode)
        self._dialogue = Dialogue(self._speakers)
        self._speaker: str | None = None
        self._splitter = self._new_splitter()

    def read(self, piece: str | Flush | None) -> list[Line]:
        """Return the lines that are complete after this piece.

        After a Flush, that is the whole text, and what follows is a new text. None means that no text came for a while.
        """
        if piece is None:
            return self._lines(self._splitter.pause())
        text = piece.text if isinstance(piece, Flush) else piece
        if self._flushed:
            words = text.lstrip()
            self._keep(text[: len(text) - len(words)])
            text, self._flushed = words, not words
        lines = self._split(self._dialogue.feed(self._markdown.feed(text)))
        if isinstance(piece, Flush):
            lines += self._split(self._dialogue.feed(self._markdown.finish()) + self._dialogue.finish())
            lines += self._lines(self._splitter.finish())
            self._begin()
            self._flushed = True
        return lines

    def _split(self, parts: list[str | TurnStarted]) -> list[Line]:
        lines: list[Line] = []
        for part in parts:
            if isinstance(part, TurnStarted):
                lines += self._lines(self._splitter.finish())
                self._splitter = self._new_splitter()
                self._speaker = part.speaker
            else:
                lines += self._lines(self._splitter.feed(part))
        return lines

    def _lines(self, utterances: list[str]) -> list[Line]:
        lines = []
        for utterance in utterances:
            spoken = " ".join(self._pronounce.apply(utterance.strip()).split())
            if not any(character.isalnum() for character in spoken):
                self._keep(utterance)
                continue
            text, self._silent = self._silent + utterance, ""
            # After a clause, half the pause after a sentence.
            pause = 1.0 if _SENTENCE_END.search(utterance.rstrip()) else 0.5
            lines.append(Line(text, spoken, self._speaker, pause))
        return lines

    def _keep(self, silent: str) -> None:
        self._silent = (self._silent + silent)[-_SILENT_LIMIT:]


def lines_of(pieces: Iterable[str | Flush | None], reader: LineReader) -> Iterator[Line]:
    """Yield the lines of a text that arrives in pieces, each with its `end`.

    None among the pieces means that no text came for a while.
    """
    taken = end = 0
    for piece in itertools.chain(pieces, [Flush()]):
        taken += len(piece.text if isinstance(piece, Flush) else piece or "")
        lines = reader.read(piece)
        for number, line in enumerate(lines, 1):
            is_last = isinstance(piece, Flush) and number == len(lines)
            end = taken if is_last else min(end + len(line.text), taken)
            yield line._replace(end=end)
