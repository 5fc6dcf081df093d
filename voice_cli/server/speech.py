"""One stream of speech on its way to a client: a thread makes it, the event loop sends it.

::

    text ─▶ lines ─▶ Narration ─▶ Speech ─▶ encoder ─▶ queue ─▶ event loop ─▶ client
            └──────────── the stream's own thread ────────────┘

Only `take` and iteration run on the event loop. The queue is bounded, so a slow client delays its own stream, but no
other, because an engine's queue holds more than any utterance.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import Backend, SpeechRequest
from voice_cli.codecs import open_encoder
from voice_cli.codecs.base import Encoder
from voice_cli.errors import DecodeError, EngineError, Interrupted, VoiceError
from voice_cli.queues import BoundedQueue
from voice_cli.script.line import Line, plain_line
from voice_cli.script.markdown import Mode
from voice_cli.script.pauses import Flush, LiveText
from voice_cli.script.reader import LineReader, lines_of
from voice_cli.script.splitter import Boundary
from voice_cli.server.errors import LateError, OrderError
from voice_cli.server.fetches import Waiter
from voice_cli.server.report import Report
from voice_cli.server.settings import ServerSettings
from voice_cli.server.voices import Voices
from voice_cli.speech import assembly
from voice_cli.speech.events import Audio, Decoded, EncodedData, Utterance, UtteranceEnded
from voice_cli.speech.narration import Narration
from voice_cli.speech.recovery import Policy, Recovery, Target
from voice_cli.speech.spoken import Word

log = logging.getLogger("voice.server")

AHEAD_BYTES = 128 << 10
"""Encoded audio that one stream buffers for its client."""

RESUME_TRIES, RESUME_SECONDS = 2, 10.0
"""How often an engine that failed in the middle of an utterance is asked for it again, and for how long."""

CHARACTERS_A_SECOND = 15.0
"""Speaking rate, by which the deadline of the next utterance is estimated."""


class SpeechOrder(NamedTuple):
    """A client's request for speech. None: the server's default."""

    text: str | LiveText
    protocol: str
    """For the metrics."""
    codec: str = "pcm"
    rate: int | None = None
    """Sample rate in Hz; None: the voice's own, or the codec's."""
    voice: str | None = None
    speed: float | None = None
    instructions: str | None = None
    options: Mapping[str, Any] = {}
    """Of `SpeechRequest`."""
    separate: bool = False
    """Whether each utterance is an encoded stream of its own."""
    every: Boundary | None = None
    """End an utterance at each such boundary of the text; None: where the splitter chooses."""


class Began(NamedTuple):
    """An utterance begins: its audio follows."""

    line: Line
    encoding: Encoding
    content_type: str
    at: float
    """Seconds of the order's audio before it."""


class Ended(NamedTuple):
    """An utterance ended. Audio that may still be trimmed at the join follows with the next one."""

    line: Line
    seconds: float
    """Duration without pauses."""
    words: tuple[Word, ...]
    """The spoken words, with times from the beginning of its audio; empty if the engine has no word times."""
    at: float
    """Seconds of the order's audio so far."""
    text_end: int
    """Code points of the order's text so far; exact before a flush and at the text's end."""


Event = bytes | Began | Ended


class Speech:
    """The stream of one order, opened and ended by `Service.speak`. Iterates over batches of events.

    Not a generator: the event loop would close an abandoned one at some later time.
    """

    def __init__(self, backend: Backend, voices: Voices, settings: ServerSettings, order: SpeechOrder) -> None:
        self.order = order
        self.report = Report(order.protocol, order.codec)
        self.notes: list[str] = []
        """The engine's notes for the client."""
        self.is_over = False
        """Whether all events were taken."""
        self._timeout = settings.server.queue_timeout if isinstance(order.text, str) else None
        """Of the next `take`."""
        self._backend = backend
        self._voices = voices
        self._settings = settings
        self._queue: BoundedQueue[Event] = BoundedQueue(AHEAD_BYTES, _cost)
        self._lock = threading.Lock()
        self._narration: Narration | None = None
        self._fetching: Waiter | None = None
        self._cancelled = False
        self._voice: str | None = None
        self._encoder: Encoder | None = None
        self._began_at: float | None = None
        """Seconds of audio before the current utterance; None between utterances."""

    def start(self) -> None:
        threading.Thread(target=self._run, name="voice-stream", daemon=True).start()

    async def take(self) -> list[Event]:
        """Return all events that are ready; wait while there are none. Empty: the stream is complete.

        Raises:
            UsageError: the engine refused the order.
            LateError: the queue timeout expired. Only the first events of a whole text have a timeout.
            BackendError: the engine failed before any audio.
            TruncatedAudio: the engine failed later.
            Interrupted: `cancel` was called.

        """
        try:
            async with asyncio.timeout(self._timeout):
                items = await self._queue.take()
        except TimeoutError:
            self.cancel("late")
            raise LateError("the engine was busy until the queue timeout", hint="retry later") from None
        self._timeout = None
        self.is_over = not items
        return items

    def __aiter__(self) -> "Speech":
        return self

    async def __anext__(self) -> list[Event]:
        events = await self.take()
        if not events:
            raise StopAsyncIteration
        return events

    def cancel(self, reason: str) -> None:
        """Cancel the stream. Any thread, any number of times; the first reason counts."""
        self.report.stop(reason)
        with self._lock:
            self._cancelled = True
            narration, fetching = self._narration, self._fetching
        if fetching is not None:
            fetching.cancel()
        if isinstance(self.order.text, LiveText):
            self.order.text.close()
        if narration is not None:
            narration.cancel()
        self._queue.cancel()

    # The methods below run on the stream's own thread.

    def _run(self) -> None:
        try:
            self._speak()
            self._queue.close()
        except VoiceError as exc:
            self.report.fail(exc)
            self._queue.close(exc)
        except BaseException as exc:
            log.exception("the server failed: %s", type(exc).__name__)
            failure = DecodeError(f"the server failed: {type(exc).__name__}")
            failure.__cause__ = exc
            self.report.fail(failure)
            self._queue.close(failure)
        finally:
            if self._narration is not None:
                self._narration.cancel()

    def _speak(self) -> None:
        order, report, defaults = self.order, self.report, self._settings.defaults
        self._voice = self._settings.voice
        if order.voice is not None:
            self._voice = self._voices.name_of(order.voice)
            self._wait_for(self._voices.fetch(order.voice))
        report.mark("voice")
        narration = Narration(self._backend, self._lines(order.text), self._request, lookahead=defaults.lookahead)
        target = Target(self._backend.name, lambda: self._backend, self._plain_request)
        narration.recovery = Recovery([target], Policy(timeout=RESUME_SECONDS, tries=RESUME_TRIES))
        with self._lock:
            self._narration = narration
            if self._cancelled:
                raise Interrupted("the speech was cancelled")
        narration.start(first=isinstance(order.text, str))
        speech = assembly.Speech(narration, pause=None if order.separate else defaults.pause, allow_empty=True)
        utterance: Utterance | None = None
        with contextlib.closing(iter(speech)) as events:  # type: ignore[type-var]  # a generator
            for event in events:
                if isinstance(event, EncodedData):
                    utterance = event.utterance
                    encoding = utterance.stream.announced or utterance.stream.expected
                    if encoding.codec == "pcm" and encoding.format is None:
                        raise DecodeError("the engine did not announce an audio format")
                elif isinstance(event, Decoded) and self._began_at is None and utterance is not None:
                    self._begin(utterance, speech.format or event.chunk.format)
                elif isinstance(event, Audio) and self._encoder is not None:
                    report.audio_seconds += event.chunk.seconds
                    self._put_data(self._encoder.encode(event.chunk.data))
                elif isinstance(event, UtteranceEnded):
                    self._end(event.utterance)
        if not report.utterances:
            self._explain_silence(utterance.line for utterance in narration.utterances)
        self._finish()

    def _wait_for(self, voice: Waiter | None) -> None:
        """Wait for a voice that is fetched. Raises its error, or Interrupted."""
        if voice is None:
            return
        with self._lock:
            self._fetching = voice
            if self._cancelled:
                voice.cancel()
        for _ in voice:
            continue

    def _explain_silence(self, lines: Iterable[Line]) -> None:
        """Raise an error for a stream without audio, unless it had no text."""
        spoken = "".join(line.spoken for line in lines)
        if any(character.isalnum() for character in spoken):
            raise EngineError(f"{self._backend.name} gave no sound")
        if spoken or isinstance(self.order.text, str):
            param = "input" if self.order.protocol == "openai" else "text"
            raise OrderError("there is nothing to say: the text is blank", param=param)

    def _lines(self, text: str | LiveText) -> Iterator[Line]:
        pieces: Iterable[str | Flush | None] = [text] if isinstance(text, str) else text.pieces()
        if isinstance(text, str) and not (self._settings.pronounce or self.order.every):
            line = plain_line(text)
            if line is not None:
                return iter([line])
        reader = LineReader(
            markdown=cast("Mode", self._settings.defaults.markdown),
            pronounce=self._settings.pronounce,
            every=self.order.every,
            language=self._backend.language(self._voice),
        )
        return lines_of(pieces, reader)

    def _request(self, line: Line) -> SpeechRequest:
        report = self.report
        due = report.began
        if report.characters:
            due = report.timestamps.get("encoded", time.monotonic()) + report.characters / CHARACTERS_A_SECOND
        report.characters += len(line.text)
        return self._plain_request(line)._replace(due=due)

    def _plain_request(self, line: Line) -> SpeechRequest:
        """Return the request for a line whose audio is needed now."""
        order = self.order
        return SpeechRequest(
            line.spoken,
            voice=self._voice,
            speed=order.speed,
            instructions=order.instructions,
            options=order.options,
        )

    def _begin(self, utterance: Utterance, source: AudioFormat) -> None:
        """Announce an utterance; open the encoder if this is the first of the stream."""
        if self._encoder is None:
            self._encoder = open_encoder(self.order.codec, source, rate=self.order.rate)
        self._began_at = self.report.audio_seconds
        timestamps = utterance.stream.timestamps
        self.report.mark("queued", timestamps.get("engine_ready"))
        self.report.mark("generated", timestamps.get("first_byte"))
        encoder = self._encoder
        self._put(Began(utterance.line, encoder.encoding, encoder.content_type, self._began_at))

    def _end(self, utterance: Utterance) -> None:
        if self._began_at is None:  # it had no audio
            return
        seconds = utterance.decoded_seconds
        self.report.ended_utterance(utterance.stream.timestamps, seconds)
        self.notes.extend(note for note in utterance.stream.notes if note not in self.notes)
        if self.order.separate:
            self._finish()
        words = tuple(word_times(utterance, self._began_at))
        self._began_at = None
        self._put(Ended(utterance.line, seconds, words, self.report.audio_seconds, utterance.line.end))

    def _finish(self) -> None:
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            self._put_data(encoder.finish())

    def _put_data(self, data: bytes) -> None:
        if data:
            self.report.mark("encoded")
            self.report.bytes += len(data)
            self._put(data)

    def _put(self, event: Event) -> None:
        if not self._queue.put(event):
            raise Interrupted("the speech was cancelled")


def _cost(event: Event) -> int:
    return len(event) if isinstance(event, bytes) else 0


def word_times(utterance: Utterance, began_at: float) -> Iterator[Word]:
    """Yield the words; their times count from `began_at`."""
    line = utterance.line
    begin = (utterance.start or 0.0) - utterance.lead - began_at
    pieces: list[tuple[str, float]] = []
    for event in tuple(utterance.stream.words):
        text = line.spoken[event.text_start : event.text_start + event.text_length]
        if text:
            pieces.append((text, max(0.0, begin + event.seconds)))
    for index, (text, start) in enumerate(pieces):
        end = pieces[index + 1][1] if index + 1 < len(pieces) else begin + utterance.decoded_seconds
        yield Word(text, start, max(start, end))
