"""The backend for vLLM-omni's streaming speech server, and for ours: text in pieces, with times of words.

Each piece is sent as an utterance of its own (`input.done`), since vLLM-omni's splitter ends a sentence at "Dr. ". So
it is known which piece the audio belongs to.
"""

from collections import deque
from collections.abc import Sequence

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest, SpeechStream, TextStream, WordEvent
from voice_cli.backends.remote.ws import WsBackend, sendable
from voice_cli.backends.remote.ws_session import Received, Session
from voice_cli.errors import ServerError, TruncatedAudio
from voice_cli.protocol import omni as wire
from voice_cli.protocol.fields import read, write

DEFAULT_FORMAT = AudioFormat(rate=24_000, channels=1)
WORD_GAP = 40
"""Characters that may lie between two words with times: punctuation, and words that the server spells differently."""


class OmniWsBackend(WsBackend):
    name = "omni-ws"
    supports_streaming_text = True

    def __init__(self, base_url: str | None = None, *, api_key: str | None = None, timeout: float = 60.0) -> None:
        super().__init__(base_url, api_key=api_key, timeout=timeout)
        self.has_word_times = True
        """The server has not refused `word_timestamps`."""

    def synthesize(self, request: SpeechRequest) -> SpeechStream:
        return self.open_link(OmniSession(self, request, whole=True)).single

    def open_text_stream(self, request: SpeechRequest, *, ahead: int) -> TextStream:
        return self.open_link(OmniSession(self, request), ahead=ahead)


class OmniSession(Session):
    """A session in which each piece of the text is an utterance.

    It requests times of words, unless the server has refused them before. If the server refuses, it sends no audio for
    the pieces that it received, so they are sent again.
    """

    path = wire.STREAM_PATH

    def __init__(self, backend: OmniWsBackend, request: SpeechRequest, *, whole: bool = False) -> None:
        """Make a session for the text of the request (`whole`), or for one that follows in pieces."""
        super().__init__(backend.where)
        self._backend = backend
        streams = request.speed in (None, 1.0)  # at another speed, vLLM-omni sends whole files only
        self._config = wire.SessionConfig(
            voice=request.voice,
            model=request.model,
            instructions=request.instructions,
            response_format="pcm" if streams else "wav",
            speed=request.speed,
            stream_audio=streams,
            word_timestamps=streams and backend.has_word_times,
        )
        self._texts: deque[str] = deque([sendable(request.text)] if whole else [])
        """The pieces whose end has not arrived."""
        self._refused = 0
        """Number of the next utterances that were refused and have no audio."""
        self._finished = whole
        self._format = DEFAULT_FORMAT
        self._received = 0
        """Bytes of the utterance."""
        self._sentence_at = 0
        """Bytes of the utterance before the current sentence."""
        self._searched = 0
        """Characters of the utterance's text up to the last word found."""

    @property
    def pending(self) -> int:  # type: ignore[override]
        return len(self._texts)

    def opening(self) -> list[str]:
        return [write(self._config.message()), *(message for text in self._texts for message in _utterance(text))]

    def say(self, text: str) -> list[str]:
        self._texts.append(sendable(text))
        return _utterance(self._texts[-1])

    def finish(self) -> list[str]:
        self._finished = True
        return [] if self._texts else self.cancel()

    def keep_alive(self) -> list[str]:
        return [write(wire.InputText("").message())]

    def cancel(self) -> list[str]:
        return [write(wire.SESSION_CLOSE)]

    def is_complete(self, code: int) -> bool:
        return code in (1000, 1001) and self._finished and not self._texts

    def resend(self) -> list[str]:
        self._refused = len(self._texts)
        return self.opening()

    def received(self, message: str | bytes) -> Received:
        if isinstance(message, bytes):
            return self._audio(message)
        answer = wire.parse_answer(read(message))
        if isinstance(answer, wire.Failure):
            return self._failed(answer)
        if isinstance(answer, wire.SessionDone):
            return self._done()
        if self._refused or answer is None:
            return Received()
        if isinstance(answer, wire.AudioStart):
            self._begin(answer)
            return Received()
        if isinstance(answer, wire.AudioChunk):
            return self._chunk(answer)
        return self._sentence_done(answer)

    def _audio(self, data: bytes) -> Received:
        self._received += len(data)
        if self.encoding is None:
            raise ValueError("audio before audio.start")
        return Received(data)

    def _begin(self, start: wire.AudioStart) -> None:
        if start.format == "pcm":
            self._format = AudioFormat(start.sample_rate or DEFAULT_FORMAT.rate, start.channels or 1)
        self.encoding = self.announced(start.format, self._format)
        self._sentence_at = self._received

    def _chunk(self, chunk: wire.AudioChunk) -> Received:
        if chunk.data:
            self._format = AudioFormat(chunk.sample_rate, chunk.channels)
            self.encoding = Encoding("pcm", self._format)
        if chunk.timestamps and self._texts:
            self._find_words(chunk.timestamps)
        return self._audio(chunk.data) if chunk.data else Received()

    def _find_words(self, times: Sequence[wire.WordTime]) -> None:
        """Find the words in the text. Omit a word that the server spells differently."""
        text = self._texts[0]
        begun = self._sentence_at / (self._format.rate * self._format.frame_bytes)
        for time in times:
            at = text.find(time.word, self._searched, self._searched + len(time.word) + WORD_GAP)
            if at >= 0:
                self.words.append(WordEvent(at, len(time.word), begun + time.start_ms / 1000))
                self._searched = at + len(time.word)

    def _sentence_done(self, done: wire.AudioDone) -> Received:
        if done.error:
            raise ServerError(f"{self.where} failed in the middle of a sentence")
        missing = done.total_bytes - (self._received - self._sentence_at)
        if missing > 0:
            raise TruncatedAudio(f"{missing} bytes of the audio of {self.where} are missing")
        return Received()

    def _done(self) -> Received:
        if self._refused:
            self._refused -= 1
            return Received()
        if not self._texts:
            return Received()
        self._texts.popleft()
        self.words = []
        self._received = self._sentence_at = self._searched = 0
        self.is_finished = self._finished and not self._texts
        return Received(pieces=1)

    def _failed(self, failure: wire.Failure) -> Received:
        # vLLM-omni sends no code: only the message says that word_timestamps was refused.
        if "word_timestamps" in failure.text:
            if self._config.word_timestamps and not self._received:
                self._backend.has_word_times = False
                self._config = self._config._replace(word_timestamps=False)
                return Received(must_resend=True)
            if self._refused:
                return Received()
        raise self.failure(failure.text, failure.code)


def _utterance(text: str) -> list[str]:
    return [write(wire.InputText(text).message()), write(wire.INPUT_DONE)]
