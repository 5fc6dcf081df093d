"""A narration over one text stream, for a backend that supports streaming text::

    text source ─▶ reader (script) ─▶ lines ─▶ text_stream.say ─▶ … ─▶ utterances ─▶ Speech

Each audio stream from the backend is one utterance, which may have several lines.

If the text stream fails, and requests may be sent again (`recovery`), the lines that were not spoken are requested one
by one, as by `Narration`. An utterance that was cut is requested as one text.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from voice_cli.backends.base import Backend, SpeechRequest
from voice_cli.errors import BackendError, TruncatedAudio, VoiceError
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
        self._is_over = False
        """The text stream has ended, and no lines are requested one by one."""
        self._is_single = False
        """Lines are requested one by one."""

    def __iter__(self) -> Iterator[Utterance]:
        try:
            yield from self._streamed()
        except (BackendError, TruncatedAudio) as exc:
            if not self._may_go_on(exc):
                raise
            if self.recovery is not None and self._sent and not self.recovery.retries:  # else, the cut was counted
                self.recovery.count_retry()
            self._ask_rest()
            yield from super().__iter__()
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()
        if self._error is not None:
            raise self._error

    def _streamed(self) -> Iterator[Utterance]:
        for stream in self._text_stream:
            lines = self._take(stream.pieces)
            utterance = Utterance(_joined(lines), stream)
            with self._changed:
                self._reading = utterance
            self.utterances.append(utterance)
            yield utterance
            lines += self._take(stream.pieces - len(lines))  # more may have been spoken in the stream
            utterance.line = _joined(lines)
        if self.utterances:  # the lines that are left have no audio
            last = self.utterances[-1]
            last.line = _joined([last.line, *self._take(len(self._sent))])

    def _may_go_on(self, error: VoiceError) -> bool:
        """Return whether to request the other lines one by one after an error of the text stream."""
        recovery = self.recovery
        if recovery is None or (isinstance(error, TruncatedAudio) and not recovery.policy.resume):
            return False
        return error.is_transient or isinstance(error, TruncatedAudio) or len(recovery.targets) > 1

    def _ask_rest(self) -> None:
        """Request the lines that were sent and not spoken; the thread then requests those that follow."""
        while True:
            with self._changed:
                if not self._sent:
                    self._is_open, self._is_single = False, True
                    self._changed.notify_all()
                    return
                line = self._sent.popleft()
            super()._ask(line)

    def _take(self, count: int) -> list[Line]:
        with self._changed:
            return [self._sent.popleft() for _ in range(min(count, len(self._sent)))]

    @property
    def waits_for_text(self) -> bool:
        return super().waits_for_text if self._is_single else self._text_stream.waits_for_text

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
        if self._is_open:
            return not self._cancelled
        if self.recovery is None:
            return False
        with self._changed:
            self._changed.wait_for(lambda: self._is_single or self._is_over or self._cancelled)
        return self._is_single and super()._wait_for_turn()

    def _ask(self, line: Line) -> None:
        with self._changed:
            is_single = self._is_single
            if not is_single:
                self._sent.append(line)
        if is_single:
            super()._ask(line)
        elif not self._text_stream.say(line.spoken):
            self._is_open = False


def _joined(lines: list[Line]) -> Line:
    if not lines:
        return NO_LINE
    text, spoken = "".join(line.text for line in lines), " ".join(line.spoken for line in lines)
    return lines[-1]._replace(text=text, spoken=spoken.strip())
