"""The Chatterbox document's streaming server, and ours: a text that is whole, or one that is still arriving.

A text that arrives is sent by whole sentences and clauses, not by words. The document's server speaks, at the end of a
message, all that it holds as soon as there is a comma in it, and would cut the word that is still coming; ours would
wait for the same signs that our splitter has seen already. And what is sent as one is answered as one, so that it is
certain what has been said.
"""

from abc import abstractmethod
from collections import deque
from typing import NamedTuple

from voice_cli.audio import CODECS, AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest, SpeechStream, TextStream
from voice_cli.backends.remote.ws import WsBackend, sendable
from voice_cli.backends.remote.ws_session import Received, Session
from voice_cli.errors import AuthenticationError, BackendError, RateLimitError, ServerError, one_line
from voice_cli.pcm import g711 as mulaw
from voice_cli.protocol import chatterbox as wire
from voice_cli.protocol.fields import BUSY, UNAUTHORIZED, read, write

ASKED_FORMAT = "pcm"
"""The document's server gives WAV, with a header a message, for all that is not µ-law."""


class ChatterboxWsBackend(WsBackend):
    """One such server. `instructions` and `model` mean nothing to it."""

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
        """Make ready, as `WsBackend`; `preset`: one of the server's."""
        super().__init__(base_url, api_key=api_key, timeout=timeout)
        self._preset = preset

    def synthesize(self, request: SpeechRequest) -> SpeechStream:
        whole = wire.Synthesize(
            sendable(request.text),
            request.voice,
            request.options.get("preset") or self._preset,
            ASKED_FORMAT,
            request.speed,
        )
        return self.begin(WholeText(self.where, whole), is_one=True).first

    def open_text_stream(self, request: SpeechRequest, *, ahead: int) -> TextStream:
        init = wire.Init(request.voice, request.options.get("preset") or self._preset, ASKED_FORMAT, request.speed)
        return self.begin(TextInPieces(self.where, init), is_one=False, ahead=ahead)


class _Session(Session):
    def sound_of(self, audio: wire.Audio) -> bytes:
        """Return a piece of sound as this session's encoding has it."""
        if audio.format == "mulaw":
            self.encoding = Encoding("pcm", AudioFormat(audio.sample_rate, 1))
            return mulaw.decode(audio.data)
        if audio.format not in CODECS:
            raise ServerError(f"{self.where} sends {one_line(audio.format)!r}, which is not played here")
        self.encoding = Encoding(audio.format, AudioFormat(audio.sample_rate, 1) if audio.format == "pcm" else None)
        return audio.data

    def received(self, message: str | bytes) -> Received:
        answer = wire.parse_answer(read(message))
        if isinstance(answer, wire.Audio):
            return Received(self.sound_of(answer))
        if isinstance(answer, wire.Failure):
            raise self.failure(answer)
        return self.answered(answer)

    @abstractmethod
    def answered(self, answer: wire.Answer | None) -> Received:
        """Read an answer that is neither audio nor a failure."""

    def farewell(self) -> list[str]:
        return [write(wire.Cancel().message())]

    def failure(self, failure: wire.Failure) -> BackendError:
        said = f"{self.where}: {one_line(failure.error) or 'it failed, and does not say why'}"
        if failure.code == BUSY:
            return RateLimitError(said, hint="try again later")
        return AuthenticationError(said) if failure.code == UNAUTHORIZED else ServerError(said)


class WholeText(_Session):
    """`/ws/synthesize`."""

    path = wire.SYNTHESIZE_PATH
    owed = 1

    def __init__(self, where: str, whole: wire.Synthesize) -> None:
        super().__init__(where)
        self._whole = whole

    def opening(self) -> list[str]:
        return [write(self._whole.message())]

    def answered(self, answer: wire.Answer | None) -> Received:
        if isinstance(answer, wire.Complete):
            self.is_over = True
        return Received()


class _Owed(NamedTuple):
    end: int
    """Code points of all content up to its last letter."""
    pieces: int


class TextInPieces(_Session):
    """`/ws/synthesize-stream`."""

    path = wire.STREAM_PATH
    is_ready = False

    def __init__(self, where: str, init: wire.Init) -> None:
        super().__init__(where)
        self._init = init
        self._supports_flush = False
        self._sent = 0
        """Code points of all content."""
        self._owed: deque[_Owed] = deque()
        """What is spoken as one, in order."""
        self._gathering = wire.DocumentBuffer()
        self._gathered = 0
        """Pieces that the document's server keeps until more comes."""
        self._finished = False

    @property
    def owed(self) -> int:  # type: ignore[override]
        return sum(owed.pieces for owed in self._owed)

    @property
    def is_waiting(self) -> bool:
        return super().is_waiting or self._finished

    @property
    def pieces_begun(self) -> int:
        return self._owed[0].pieces if self._owed else 0

    def opening(self) -> list[str]:
        return [write(self._init.message())]

    def say(self, text: str) -> list[str]:
        content = f"{sendable(text)} "
        end = self._sent + len(text)
        self._sent += len(content)
        if self._supports_flush:
            self._owed.append(_Owed(end, 1))
            return [write(wire.Text(content, flush=True).message())]
        self._gathered += 1
        if self._gathering.add(content):
            self._owe_gathered(end)
        return [write(wire.Text(content).message())]

    def _owe_gathered(self, end: int) -> None:
        self._owed.append(_Owed(end, self._gathered))
        self._gathered = 0

    def finish(self) -> list[str]:
        self._finished = True
        if self._gathered:
            self._owe_gathered(self._sent)
        return [write(wire.End().message())]

    def heartbeat(self) -> list[str]:
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
            self.is_over = True
            pieces = self.owed
            self._owed.clear()
            return Received(pieces=pieces)
        return Received()

    def _spoken(self, text_end: int | None) -> int:
        """Count the pieces that are over; the document's server says only that one utterance is."""
        if text_end is None:
            return self._owed.popleft().pieces if self._owed else 0
        pieces = 0
        while self._owed and self._owed[0].end <= text_end:
            pieces += self._owed.popleft().pieces
        return pieces
