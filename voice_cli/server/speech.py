"""One stream of speech on its way to a client: a thread makes it, the event loop sends it.

::

    text ─▶ lines ─▶ Narration ─▶ Speech ─▶ encoder ─▶ queue ─▶ event loop ─▶ client
            └──────────── the stream's own thread ────────────┘

Only `take` runs on the event loop. The queue is bounded: a client that reads slowly holds back its own stream and no
other, because an engine's queue holds more than any utterance.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, cast

from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.backends.base import Backend, SpeechRequest, SpeechStream
from voice_cli.codecs import open_encoder
from voice_cli.codecs.base import Encoder
from voice_cli.errors import DecodeError, EngineError, Interrupted, UsageError, VoiceError
from voice_cli.queues import BoundedQueue
from voice_cli.script.line import Line, plain_line
from voice_cli.script.pauses import Flush
from voice_cli.script.reader import LineReader, lines_of
from voice_cli.script.splitter import Boundary
from voice_cli.server.live_text import LiveText
from voice_cli.server.report import Report
from voice_cli.server.settings import ServerSettings
from voice_cli.speech import assembly
from voice_cli.speech.events import Audio, Decoded, EncodedData, Utterance, UtteranceEnded
from voice_cli.speech.narration import Narration

if TYPE_CHECKING:
    from voice_cli.script.markdown import Mode
    from voice_cli.server.voices import Voices

log = logging.getLogger("voice.server")

AHEAD_BYTES = 128 << 10
"""Encoded sound of one stream that may wait for its client before its making does."""

CHARACTERS_A_SECOND = 15.0
"""How quickly speech is listened to: by it the engine is told when the next utterance is needed."""


class SpeechOrder(NamedTuple):
    """What a client wants said, and how it wants it sent. None leaves it to the server."""

    text: str | LiveText
    protocol: str
    """Whose words it came in: for the figures."""
    codec: str = "pcm"
    """One that `server.encoders` has."""
    rate: int | None = None
    """Hertz of what is sent; None: the voice's own, or the codec's."""
    voice: str | None = None
    speed: float | None = None
    instructions: str | None = None
    preset: str | None = None
    steps: int | None = None
    cfg_scale: float | None = None
    separate: bool = False
    """Each utterance is a stream of its own, with a head of its own."""
    every: Boundary | None = None
    """An utterance ends wherever the text has such a boundary; None: as it is best heard."""
    markdown: str | None = None
    """As in the config file; None: as it says there."""


class WordTime(NamedTuple):
    """A word, and when it is heard: seconds from the beginning of its utterance's sound."""

    text: str
    start: float
    end: float


class Began(NamedTuple):
    """An utterance begins: what follows is its sound."""

    number: int
    """Counted from 0."""
    line: Line
    encoding: Encoding
    content_type: str
    at: float
    """Seconds of the order's sound before it."""


class Ended(NamedTuple):
    """An utterance is over: all of its sound that is certain was given."""

    number: int
    """Counted from 0."""
    line: Line
    seconds: float
    """Of sound, pauses left out."""
    words: tuple[WordTime, ...]
    """Empty where the engine does not tell them."""
    at: float
    """Seconds of the order's sound up to here."""
    text_end: int
    """Code points of the order's text up to here; before a flush, and at the text's end, exactly."""


Event = bytes | Began | Ended


class Speech:
    """The stream of one order. Made by `Service.speak`, which also ends it."""

    def __init__(self, backend: Backend, voices: "Voices", settings: ServerSettings, order: SpeechOrder) -> None:
        self.order = order
        self.report = Report(order.protocol, order.codec)
        self.notes: list[str] = []
        """What the client should know of it besides its sound."""
        self._backend = backend
        self._voices = voices
        self._settings = settings
        self._queue: BoundedQueue[Event] = BoundedQueue(AHEAD_BYTES, _cost)
        self._lock = threading.Lock()
        self._narration: Narration | None = None
        self._cancelled = False
        self._is_over = False
        self._voice: str | None = None
        self._encoder: Encoder | None = None
        self._began_at: float | None = None
        """Seconds of audio before the utterance that is sent; None between two."""

    def start(self) -> None:
        threading.Thread(target=self._run, name="voice-stream", daemon=True).start()

    async def take(self) -> list[Event]:
        """Give all that is ready, in its order; wait while there is nothing. Empty: it is complete.

        Raises:
            UsageError: the order cannot be.
            BackendError: nothing came, and why.
            TruncatedAudio: something came, and then it broke off.
            Interrupted: `cancel` was called.

        """
        items = await self._queue.take()
        self._is_over = not items
        return items

    @property
    def is_over(self) -> bool:
        """All of it was taken."""
        return self._is_over

    def cancel(self, reason: str) -> None:
        """Stop making it, at once. Any thread, any number of times; the first reason counts."""
        self.report.stop(reason)
        with self._lock:
            self._cancelled = True
            narration = self._narration
        if isinstance(self.order.text, LiveText):
            self.order.text.end()
        if narration is not None:
            narration.cancel()
        self._queue.cancel()

    # All below runs on the stream's own thread.

    def _run(self) -> None:
        try:
            self._speak()
            self._queue.close()
        except Interrupted as exc:
            self._queue.fail(exc)
        except VoiceError as exc:
            self.report.fail(exc)
            self._queue.fail(exc)
        except BaseException as exc:
            log.exception("the server failed: %s", type(exc).__name__)
            failure = DecodeError(f"the server failed: {type(exc).__name__}")
            failure.__cause__ = exc
            self.report.fail(failure)
            self._queue.fail(failure)
        finally:
            if self._narration is not None:
                self._narration.cancel()

    def _speak(self) -> None:
        order, report = self.order, self.report
        self._voice = self._voices.ready(order.voice) if order.voice is not None else self._settings.voice
        report.mark("voice")
        narration = Narration(self._backend, self._lines(order.text), self._request, lookahead=self._settings.lookahead)
        with self._lock:
            self._narration = narration
            if self._cancelled:
                raise Interrupted("the speech was cancelled")
        narration.start(first=isinstance(order.text, str))
        speech = assembly.Speech(narration, pause=None if order.separate else self._settings.pause, allow_empty=True)
        number, utterance = 0, None
        with contextlib.closing(iter(speech)) as events:  # type: ignore[type-var]  # a generator
            for event in events:
                if isinstance(event, EncodedData):
                    utterance = event.utterance
                    self._check_format(utterance.stream)
                elif isinstance(event, Decoded) and self._began_at is None and utterance is not None:
                    self._begin(number, utterance, speech.format or event.chunk.format)
                elif isinstance(event, Audio):
                    self._sound(event.chunk)
                elif isinstance(event, UtteranceEnded):
                    self._end(number, event.utterance)
                    number += 1
        if not report.utterances:
            self._explain_silence(utterance.line for utterance in narration.utterances)
        self._finish()

    def _explain_silence(self, lines: Iterable[Line]) -> None:
        """Say why there is no sound, unless no text came for any."""
        spoken = "".join(line.spoken for line in lines)
        if any(character.isalnum() for character in spoken):
            raise EngineError(f"{self._backend.name} gave no sound")
        if spoken or isinstance(self.order.text, str):
            raise UsageError("there is nothing to say: the text is blank")

    def _lines(self, text: str | LiveText) -> Iterator[Line]:
        pieces: Iterable[str | Flush | None] = text
        if isinstance(text, str):
            line = None if self._settings.pronounce or self.order.every else plain_line(text)
            if line is not None:
                return iter([line])
            pieces = [text]
        mode = self.order.markdown or self._settings.markdown
        reader = LineReader(
            markdown=cast("Mode", mode),
            pronounce=self._settings.pronounce,
            every=self.order.every,
            language=self._backend.language(self._voice),
        )
        return lines_of(pieces, reader)

    def _request(self, line: Line) -> SpeechRequest:
        order, report = self.order, self.report
        due = report.began
        if report.characters:
            due = report.timestamps.get("encoded", time.monotonic()) + report.characters / CHARACTERS_A_SECOND
        report.characters += len(line.text)
        options = {"preset": order.preset, "steps": order.steps, "cfg_scale": order.cfg_scale}
        return SpeechRequest(
            line.spoken,
            voice=self._voice,
            speed=order.speed,
            instructions=order.instructions,
            options={name: value for name, value in options.items() if value is not None},
            due=due,
        )

    @staticmethod
    def _check_format(stream: SpeechStream) -> None:
        encoding = stream.announced or stream.expected
        if encoding.codec == "pcm" and encoding.format is None:
            raise DecodeError("the engine does not say what its sound is")

    def _begin(self, number: int, utterance: Utterance, source: AudioFormat) -> None:
        """Announce an utterance; open the encoder if this is the first of the stream."""
        if self._encoder is None:
            self._encoder = open_encoder(self.order.codec, source, rate=self.order.rate)
        self._began_at = self.report.audio_seconds
        self.report.began_utterance(utterance.stream.timestamps)
        encoder = self._encoder
        self._put(Began(number, utterance.line, encoder.encoding, encoder.content_type, self._began_at))

    def _end(self, number: int, utterance: Utterance) -> None:
        if self._began_at is None:  # it had no audio
            return
        seconds = utterance.decoded_seconds
        self.report.ended_utterance(utterance.stream.timestamps, seconds)
        self.notes.extend(note for note in utterance.stream.notes if note not in self.notes)
        if self.order.separate:
            self._finish()
        words = tuple(word_times(utterance, self._began_at))
        self._began_at = None
        self._put(Ended(number, utterance.line, seconds, words, self.report.audio_seconds, utterance.line.end))

    def _sound(self, chunk: PcmChunk) -> None:
        if self._encoder is not None:
            self.report.audio_seconds += chunk.seconds
            self._give(self._encoder.encode(chunk.data))

    def _finish(self) -> None:
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            self._give(encoder.finish())

    def _give(self, data: bytes) -> None:
        if data:
            self.report.mark("encoded")
            self.report.bytes += len(data)
            self._put(data)

    def _put(self, event: Event) -> None:
        if not self._queue.put(event):
            raise Interrupted("the speech was cancelled")


def _cost(event: Event) -> int:
    return len(event) if isinstance(event, bytes) else 0


def word_times(utterance: Utterance, began_at: float) -> Iterator[WordTime]:
    """Yield the words as they are spoken; `began_at`: the position from which their times count."""
    line = utterance.line
    begin = (utterance.start or 0.0) - utterance.lead - began_at
    pieces: list[tuple[str, float]] = []
    for event in tuple(utterance.stream.words):
        text = line.spoken[event.text_start : event.text_start + event.text_length]
        if text:
            pieces.append((text, max(0.0, begin + event.seconds)))
    for index, (text, start) in enumerate(pieces):
        end = pieces[index + 1][1] if index + 1 < len(pieces) else begin + utterance.decoded_seconds
        yield WordTime(text, start, max(start, end))
