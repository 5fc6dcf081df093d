"""A narration over one text stream, for a backend that supports streaming text::

    text source ─▶ reader (script) ─▶ lines ─▶ text_stream.say ─▶ … ─▶ utterances ─▶ Speech

Each audio stream from the backend is one utterance, which may have several lines.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from voice_cli.backends.base import Backend, SpeechRequest
from voice_cli.script.line import Line
from voice_cli.speech.events import Utterance
from voice_cli.speech.narration import Narration

NO_LINE = Line("", "")


class StreamedNarration(Narration):
    """The utterances of one text stream."""

    def __init__(
        self,
        backend: Backend,
        lines: Iterable[Line],
        make_request: Callable[[Line], SpeechRequest],
        *,
        lookahead: int = 1,
        stop: Callable[[], None] | None = None,
    ) -> None:
        """Open the text stream, which connects while text is awaited.

        Raises:
            BackendError: as `Backend.open_text_stream`.

        """
        super().__init__(backend, lines, make_request, lookahead=lookahead, stop=stop)
        self._text_stream = backend.open_text_stream(make_request(NO_LINE), ahead=lookahead)
        self._sent: deque[Line] = deque()
        """Lines that are not part of an utterance yet."""
        self._is_open = True

    def __iter__(self) -> Iterator[Utterance]:
        for stream in self._text_stream:
            lines = self._take(stream.pieces)
            utterance = Utterance(_joined(lines), stream)
            self.utterances.append(utterance)
            yield utterance
            lines += self._take(stream.pieces - len(lines))  # more may have been spoken in the stream
            utterance.line = _joined(lines)
        if self.utterances:  # the lines that are left have no audio
            last = self.utterances[-1]
            last.line = _joined([last.line, *self._take(len(self._sent))])
        if self._error is not None:
            raise self._error

    def _take(self, count: int) -> list[Line]:
        with self._changed:
            return [self._sent.popleft() for _ in range(min(count, len(self._sent)))]

    @property
    def waits_for_text(self) -> bool:
        return self._text_stream.waits_for_text

    def cancel(self) -> None:
        super().cancel()
        self._text_stream.cancel()

    def unspoken(self, patience: float = 1.0) -> str:
        rest = super().unspoken(patience)
        with self._changed:
            return "".join(line.text for line in self._sent) + rest

    def _run(self) -> None:
        super()._run()
        self._text_stream.finish()

    def _wait_for_turn(self) -> bool:
        return self._is_open and not self._cancelled

    def _ask(self, line: Line) -> None:
        with self._changed:
            self._sent.append(line)
        self._is_open = self._text_stream.say(line.spoken)


def _joined(lines: list[Line]) -> Line:
    if not lines:
        return NO_LINE
    text, spoken = "".join(line.text for line in lines), " ".join(line.spoken for line in lines)
    return lines[-1]._replace(text=text, spoken=spoken.strip())
