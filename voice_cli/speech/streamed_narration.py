"""Text that is still arriving, for a backend that takes it so: one conversation, in the place of a request a line.

::

    text source ─▶ reading (script) ─▶ lines ─▶ conversation.say ─▶ … ─▶ streams ─▶ player

It is a narration to everybody else: the streams of its lines, in order, and an account of what was asked for. What the
backend speaks as one stream is one line here, of however many it was made.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from voice_cli.backends.base import Backend, PieceStream, SpeechRequest
from voice_cli.script.line import Line
from voice_cli.speech.narration import Narration

NOTHING_YET = Line("", "")


class StreamedNarration(Narration):
    """The streams of a conversation; iterate over it once, on the player's pump."""

    def __init__(
        self,
        backend: Backend,
        lines: Iterable[Line],
        make_request: Callable[[Line], SpeechRequest],
        *,
        lookahead: int = 1,
        stop: Callable[[], None] | None = None,
    ) -> None:
        """Take the lines and how they are said, and begin the conversation: it connects while the text is awaited.

        Raises:
            BackendError: as `Backend.open_text_stream`.

        """
        super().__init__(backend, lines, make_request, lookahead=lookahead, stop=stop)
        self._conversation = backend.open_text_stream(make_request(NOTHING_YET), ahead=lookahead)
        self._said: deque[Line] = deque()
        """Those of which no stream has begun."""
        self._is_heard = True

    def __iter__(self) -> Iterator[PieceStream]:
        for stream in self._conversation:
            lines = self._take(stream.pieces)
            self.lines.append(_as_one(lines))
            yield stream
            lines += self._take(stream.pieces - len(lines))  # it may have grown
            self.lines[-1] = _as_one(lines)
        if self.lines:  # what is left made no sound, and all is over
            self.lines[-1] = _as_one([self.lines[-1], *self._take(len(self._said))])
        if self._error is not None:
            raise self._error

    def _take(self, count: int) -> list[Line]:
        with self._changed:
            return [self._said.popleft() for _ in range(min(count, len(self._said)))]

    @property
    def waits_for_text(self) -> bool:
        return self._conversation.waits_for_text

    def cancel(self) -> None:
        super().cancel()
        self._conversation.cancel()

    def unspoken(self, patience: float = 1.0) -> str:
        rest = super().unspoken(patience)
        with self._changed:
            return "".join(line.text for line in self._said) + rest

    def _run(self) -> None:
        super()._run()
        self._conversation.finish()

    def _wait_for_turn(self) -> bool:
        return self._is_heard and not self._cancelled

    def _ask(self, line: Line) -> None:
        with self._changed:
            self._said.append(line)
        self._is_heard = self._conversation.say(line.spoken)


def _as_one(lines: list[Line]) -> Line:
    if not lines:
        return NOTHING_YET
    text, spoken = "".join(line.text for line in lines), " ".join(line.spoken for line in lines)
    return lines[-1]._replace(text=text, spoken=spoken.strip())
