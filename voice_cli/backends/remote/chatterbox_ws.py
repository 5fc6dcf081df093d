"""The backend for the Chatterbox document's streaming server, and for ours: a whole text, or one in pieces.

A text in pieces is sent by whole sentences and clauses, not by words. The document's server speaks, at the end of a
message, all that is buffered once it has seen a comma, and would cut an unfinished word; ours would wait for the
boundaries that our splitter has already found. One message is answered by one utterance, so the position is known.
"""

from abc import abstractmethod
from collections import deque
from typing import NamedTuple

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest, SpeechStream, TextStream
from voice_cli.backends.remote.ws import WsBackend, sendable
from voice_cli.backends.remote.ws_session import Received, Session
from voice_cli.errors import ServerError
from voice_cli.pcm import g711
from voice_cli.protocol import chatterbox as wire
from voice_cli.protocol.fields import read, write

FORMAT = "pcm"
"""The requested format. The document's server sends WAV, with a header in each message, for all but µ-law."""


class ChatterboxWsBackend(WsBackend):
    """One server. `instructions` and `model` are ignored."""

    name = "chatterbox-ws"
    settings = ("preset",)
    supports_streaming_text = True

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        preset: str | None = None,
    ) -> None:
        super().__init__(base_url, api_key=api_key, timeout=timeout)
        self._preset = preset

    def synthesize(self, request: SpeechRequest) -> SpeechStream:
        preset = request.options.get("preset") or self._preset
        whole = wire.Synthesize(sendable(request.text), request.voice, preset, FORMAT, request.speed)
        return self.open_link(WholeText(self.where, whole)).single

    def open_text_stream(self, request: SpeechRequest, *, ahead: int) -> TextStream:
        preset = request.options.get("preset") or self._preset
        init = wire.Init(request.voice, preset, FORMAT, request.speed)
        return self.open_link(TextInPieces(self.where, init), ahead=ahead)


class ChatterboxSession(Session):
    def received(self, message: str | bytes) -> Received:
        answer = wire.parse_answer(read(message))
        if isinstance(answer, wire.Audio):
            return Received(self._decoded(answer))
        if isinstance(answer, wire.Failure):
            raise self.failure(answer.error, answer.code)
        return self.answered(answer)

    def _decoded(self, audio: wire.Audio) -> bytes:
        mono = AudioFormat(audio.sample_rate, 1)
        if audio.format == "mulaw":
            self.encoding = Encoding("pcm", mono)
            return g711.decode(audio.data)
        self.encoding = self.announced(audio.format, mono)
        return audio.data

    @abstractmethod
    def answered(self, answer: wire.Answer | None) -> Received:
        """Process a message that is neither audio nor a failure."""

    def cancel(self) -> list[str]:
        return [write(wire.CANCEL)]


class WholeText(ChatterboxSession):
    """`/ws/synthesize`."""

    path = wire.SYNTHESIZE_PATH
    pending = 1

    def __init__(self, where: str, whole: wire.Synthesize) -> None:
        super().__init__(where)
        self._whole = whole

    def opening(self) -> list[str]:
        return [write(self._whole.message())]

    def answered(self, answer: wire.Answer | None) -> Received:
        self.is_finished = isinstance(answer, wire.Complete)
        return Received()


class _Pending(NamedTuple):
    """Text that is spoken as one utterance."""

    end: int
    """Code points of all content up to its last letter."""
    pieces: int


class TextInPieces(ChatterboxSession):
    """`/ws/synthesize-stream`."""

    path = wire.STREAM_PATH
    is_ready = False

    def __init__(self, where: str, init: wire.Init) -> None:
        super().__init__(where)
        self._init = init
        self._supports_flush = False
        self._sent = 0
        """Code points of all content."""
        self._pending: deque[_Pending] = deque()
        self._buffer = wire.DocumentBuffer()
        self._buffered = 0
        """Pieces that the document's server buffers until more text arrives."""
        self._finished = False

    @property
    def pending(self) -> int:  # type: ignore[override]
        return sum(pending.pieces for pending in self._pending)

    @property
    def expects_message(self) -> bool:
        return super().expects_message or self._finished

    @property
    def pieces_begun(self) -> int:
        return self._pending[0].pieces if self._pending else 0

    def opening(self) -> list[str]:
        return [write(self._init.message())]

    def say(self, text: str) -> list[str]:
        content = f"{sendable(text)} "
        end = self._sent + len(text)
        self._sent += len(content)
        if self._supports_flush:
            self._pending.append(_Pending(end, 1))
            return [write(wire.Text(content, flush=True).message())]
        self._buffered += 1
        if self._buffer.add(content):
            self._add_buffered(end)
        return [write(wire.Text(content).message())]

    def _add_buffered(self, end: int) -> None:
        self._pending.append(_Pending(end, self._buffered))
        self._buffered = 0

    def finish(self) -> list[str]:
        self._finished = True
        if self._buffered:
            self._add_buffered(self._sent)
        return [write(wire.END)]

    def keep_alive(self) -> list[str]:
        return [write(wire.Text("").message())] if self.is_ready else []

    def answered(self, answer: wire.Answer | None) -> Received:
        if isinstance(answer, wire.Ready):
            self.is_ready = True
            self._supports_flush = answer.supports_flush
        elif isinstance(answer, wire.SentenceComplete):
            return Received(pieces=self._spoken(answer.text_end))
        elif isinstance(answer, wire.Complete):
            if not self._finished:
                raise ServerError(f"{self.where} ended before the text did")
            self.is_finished = True
            pieces = self.pending
            self._pending.clear()
            return Received(pieces=pieces)
        return Received()

    def _spoken(self, text_end: int | None) -> int:
        """Remove the pieces that were spoken, and return their number; None: one utterance ended."""
        if text_end is None:
            return self._pending.popleft().pieces if self._pending else 0
        pieces = 0
        while self._pending and self._pending[0].end <= text_end:
            pieces += self._pending.popleft().pieces
        return pieces
