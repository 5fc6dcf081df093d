"""vLLM-omni's streaming speech server, and ours: text in pieces, with the times of the words where the server has them.

Each piece is an utterance of its own (`input.done`), not one for the server to split: vLLM-omni's splitter ends a
sentence at "Dr. ", and so it is certain which piece it is whose sound comes.
"""

from collections import deque
from collections.abc import Sequence

from voice_cli.audio import CODECS, AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest, SpeechStream, TextStream, WordEvent
from voice_cli.backends.remote.ws import WsBackend, sendable
from voice_cli.backends.remote.ws_session import Received, Session
from voice_cli.errors import RateLimitError, ServerError, TruncatedAudio, one_line
from voice_cli.protocol import omni as wire
from voice_cli.protocol.fields import BUSY, read, write

DEFAULT_FORMAT = AudioFormat(rate=24_000, channels=1)
NEAR = 40
"""Characters that may lie between two words whose times are told: marks, and words that the server writes otherwise."""


class OmniWsBackend(WsBackend):
    """One such server."""

    name = "omni-ws"
    supports_streaming_text = True

    def __init__(self, base_url: str | None = None, *, api_key: str | None = None, timeout: float = 60.0) -> None:
        super().__init__(base_url, api_key=api_key, timeout=timeout)
        self.tells_words = True
        """The server has not refused `word_timestamps`."""

    def synthesize(self, request: SpeechRequest) -> SpeechStream:
        session = OmniSession(self, request)
        session.say_all(request.text)
        return self.begin(session, is_one=True).first

    def open_text_stream(self, request: SpeechRequest, *, ahead: int) -> TextStream:
        return self.begin(OmniSession(self, request), is_one=False, ahead=ahead)


class OmniSession(Session):
    """A session in which each piece of the text is an utterance.

    Words' times are asked for unless the server has refused them before. One that refuses them gives no sound for
    what it had been sent, so that is sent once more.
    """

    path = wire.STREAM_PATH

    def __init__(self, backend: OmniWsBackend, request: SpeechRequest) -> None:
        super().__init__(backend.where)
        self._backend = backend
        streams = request.speed in (None, 1.0)  # at another speed, vLLM-omni gives whole files only
        self._config = wire.SessionConfig(
            voice=request.voice,
            model=request.model,
            instructions=request.instructions,
            response_format="pcm" if streams else "wav",
            speed=request.speed,
            stream_audio=streams,
            word_timestamps=streams and backend.tells_words,
        )
        self._texts: deque[str] = deque()
        """The pieces whose end has not come."""
        self._void = 0
        """How many of the next utterances were refused and have no sound."""
        self._finished = False
        self._format = DEFAULT_FORMAT
        self._heard = 0
        """Bytes of the utterance."""
        self._sentence_at = 0
        """Bytes of the utterance before the current sentence."""
        self._placed = 0
        """Characters of the utterance's text up to which words were found."""

    @property
    def owed(self) -> int:  # type: ignore[override]
        return len(self._texts)

    def say_all(self, text: str) -> None:
        """Take the whole text, before the session is opened."""
        self._finished = True
        self._texts.append(sendable(text))

    def opening(self) -> list[str]:
        return [write(self._config.message()), *(message for text in self._texts for message in _asking(text))]

    def say(self, text: str) -> list[str]:
        self._texts.append(sendable(text))
        return _asking(self._texts[-1])

    def finish(self) -> list[str]:
        self._finished = True
        return [] if self._texts else self.farewell()

    def heartbeat(self) -> list[str]:
        return [write(wire.InputText("").message())]

    def farewell(self) -> list[str]:
        return [write(wire.SessionClose().message())]

    def is_complete(self, code: int) -> bool:
        return code in (1000, 1001) and self._finished and not self._texts

    def amends(self) -> list[str]:
        """Ask once more, without the words' times."""
        self._void = len(self._texts)
        return self.opening()

    def received(self, message: str | bytes) -> Received:
        if isinstance(message, bytes):
            return self._sound(message)
        answer = wire.parse_answer(read(message))
        if isinstance(answer, wire.Failure):
            return self._failed(answer)
        if isinstance(answer, wire.SessionDone):
            return self._done()
        if self._void or answer is None:
            return Received()
        if isinstance(answer, wire.AudioStart):
            self._begin(answer)
            return Received()
        if isinstance(answer, wire.AudioChunk):
            return self._chunk(answer)
        return self._sentence_done(answer)

    def _sound(self, data: bytes) -> Received:
        self._heard += len(data)
        if self.encoding is None:
            raise ValueError("there is sound before audio.start")
        return Received(data)

    def _begin(self, start: wire.AudioStart) -> None:
        if start.format not in CODECS:
            raise ServerError(f"{self.where} sends {one_line(start.format)!r}, which is not played here")
        if start.format == "pcm":
            self._format = AudioFormat(start.sample_rate or DEFAULT_FORMAT.rate, start.channels or 1)
        self.encoding = Encoding(start.format, self._format if start.format == "pcm" else None)
        self._sentence_at = self._heard

    def _chunk(self, chunk: wire.AudioChunk) -> Received:
        if chunk.data:
            self._format = AudioFormat(chunk.sample_rate, chunk.channels)
            self.encoding = Encoding("pcm", self._format)
        if chunk.timestamps and self._texts:
            self._place(chunk.timestamps)
        return self._sound(chunk.data) if chunk.data else Received()

    def _place(self, times: Sequence[wire.WordTime]) -> None:
        """Find the words in the text; one that is not there, since the server writes it otherwise, is left out."""
        text = self._texts[0]
        begun = self._sentence_at / (self._format.rate * self._format.frame_bytes)
        for time in times:
            at = text.find(time.word, self._placed, self._placed + len(time.word) + NEAR)
            if at >= 0:
                self.words.append(WordEvent(at, len(time.word), begun + time.start_ms / 1000))
                self._placed = at + len(time.word)

    def _sentence_done(self, done: wire.AudioDone) -> Received:
        if done.error:
            raise ServerError(f"{self.where} failed in the middle of a sentence")
        missing = done.total_bytes - (self._heard - self._sentence_at)
        if missing > 0:
            raise TruncatedAudio(f"{missing} bytes of the sound of {self.where} are missing")
        return Received()

    def _done(self) -> Received:
        if self._void:
            self._void -= 1
            return Received()
        if not self._texts:
            return Received()
        self._texts.popleft()
        self.words = []
        self._heard = self._sentence_at = self._placed = 0
        self.is_over = self._finished and not self._texts
        return Received(pieces=1)

    def _failed(self, failure: wire.Failure) -> Received:
        if "word_timestamps" in failure.text:
            if self._config.word_timestamps and not self._heard:
                self._backend.tells_words = False
                self._config = self._config._replace(word_timestamps=False)
                return Received(is_refused=True)
            if self._void:
                return Received()
        said = f"{self.where}: {one_line(failure.text) or 'it failed, and does not say why'}"
        raise RateLimitError(said, hint="try again later") if failure.code == BUSY else ServerError(said)


def _asking(text: str) -> list[str]:
    return [write(wire.InputText(text).message()), write(wire.InputDone().message())]
