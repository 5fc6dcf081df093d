"""One stream of speech on its way to a client: a thread makes it, the event loop takes it.

::

    text ─▶ lines ─▶ narration ─▶ joins ─▶ encoder ─▶ channel ─▶ event loop ─▶ client
            └──────────── the stream's own thread ───────────┘

Nothing of it runs on the event loop but `take`. The channel is bounded, so a client that takes nothing holds back its
own stream, and nobody else's: the engine's hand-off holds more than any utterance is.
"""

import itertools
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
from voice_cli.pcm.convert import Converter
from voice_cli.pcm.joins import Joins
from voice_cli.script.line import Line, plain_line
from voice_cli.script.reading import Flush, Reading
from voice_cli.script.splitter import Boundary
from voice_cli.server.channel import Channel
from voice_cli.server.live_text import LiveText
from voice_cli.server.report import Report
from voice_cli.server.settings import ServerSettings
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
        self._channel = Channel(AHEAD_BYTES)
        self._lock = threading.Lock()
        self._narration: Narration | None = None
        self._cancelled = False
        self._is_over = False
        self._voice: str | None = None
        self._ends: list[int] = []
        """Of each line: code points of the text up to its end."""
        self._encoder: Encoder | None = None
        self._converter: Converter | None = None
        self._format: AudioFormat | None = None

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
        items = await self._channel.take()
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
        self._channel.cancel()

    # All below runs on the stream's own thread.

    def _run(self) -> None:
        try:
            self._speak()
            self._channel.close()
        except Interrupted as exc:
            self._channel.fail(exc)
        except VoiceError as exc:
            self.report.fail(exc)
            self._channel.fail(exc)
        except BaseException as exc:
            log.exception("the server failed: %s", type(exc).__name__)
            failure = DecodeError(f"the server failed: {type(exc).__name__}")
            failure.__cause__ = exc
            self.report.fail(failure)
            self._channel.fail(failure)
        finally:
            if self._narration is not None:
                self._narration.cancel()

    def _speak(self) -> None:
        order, report = self.order, self.report
        self._voice = self._voices.ready(order.voice) if order.voice is not None else self._settings.voice
        report.mark("voice")
        narration = Narration(
            self._backend,
            self._lines(order.text),
            self._request,
            lookahead=self._settings.lookahead,
        )
        with self._lock:
            self._narration = narration
            if self._cancelled:
                raise Interrupted("the speech was cancelled")
        narration.start(first=isinstance(order.text, str))
        joins = Joins()
        pause: float | None = None
        for index, stream in enumerate(narration):
            line = narration.lines[index]
            joins.begin(None if order.separate else pause)
            pause = line.pause * self._settings.pause
            self._utter(index, line, stream, joins)
        if not report.utterances:
            self._explain_silence(narration.lines)
        self._sound(joins.finish())
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
                self._ends.append(len(text))
                yield line
                return
            pieces = [text]
        mode = self.order.markdown or self._settings.markdown
        reading = Reading(markdown=cast("Mode", mode), pronounce=self._settings.pronounce, every=self.order.every)
        taken = end = 0
        for piece in itertools.chain(pieces, [Flush()]):
            taken += len(piece.text if isinstance(piece, Flush) else piece or "")
            lines = reading.read(piece)
            for line in lines:
                is_all = isinstance(piece, Flush) and line is lines[-1]
                end = taken if is_all else min(end + len(line.text), taken)
                self._ends.append(end)
                yield line

    def _request(self, line: Line) -> SpeechRequest:
        order, report = self.order, self.report
        due = report.began
        if report.characters:
            due = report.timestamps.get("encoded", time.monotonic()) + report.characters / CHARACTERS_A_SECOND
        report.characters += len(line.text)
        return SpeechRequest(
            line.spoken,
            voice=self._voice,
            speed=order.speed,
            instructions=order.instructions,
            preset=order.preset,
            steps=order.steps,
            cfg_scale=order.cfg_scale,
            due=due,
        )

    def _utter(self, index: int, line: Line, stream: SpeechStream, joins: Joins) -> None:
        """Send one utterance."""
        frames = 0
        audio_format: AudioFormat | None = None
        for data in stream:
            if audio_format is None:
                audio_format = self._format_of(stream)
                encoder = self._open(audio_format)
                self.report.began_utterance(stream.timestamps)
                at = self.report.audio_seconds
                self._put(Began(index, line, encoder.encoding, encoder.content_type, at))
            frames += len(data) // audio_format.frame_bytes
            self._sound(joins.push(PcmChunk(audio_format, data)))
        if audio_format is None:
            return
        seconds = audio_format.seconds(frames)
        self.report.ended_utterance(stream.timestamps, seconds)
        self.notes.extend(note for note in stream.notes if note not in self.notes)
        if self.order.separate:
            self._sound(joins.finish())
            self._finish()
        words = tuple(word_times(line, stream, joins.lead - joins.pause, seconds))
        self._put(Ended(index, line, seconds, words, self.report.audio_seconds, self._ends[index]))

    def _format_of(self, stream: SpeechStream) -> AudioFormat:
        audio_format = (stream.announced or stream.expected).format
        if audio_format is None:
            raise DecodeError("the engine does not say what its sound is")
        return audio_format

    def _open(self, source: AudioFormat) -> Encoder:
        """Give the encoder, made for the first utterance's format; those of another are converted to it."""
        if self._encoder is None:
            self._format = source
            self._encoder = open_encoder(self.order.codec, source, rate=self.order.rate)
        if self._converter is not None and self._converter.source != source:
            self._give(self._encoder.encode(self._converter.flush()))
            self._converter = None
        if self._converter is None and source != self._format:
            self._converter = Converter(source, cast("AudioFormat", self._format))
        return self._encoder

    def _sound(self, chunks: list[PcmChunk]) -> None:
        if not chunks or self._encoder is None:
            return
        pcm = b"".join(chunk.data for chunk in chunks)
        self.report.audio_seconds += sum(chunk.seconds for chunk in chunks)
        self._give(self._encoder.encode(pcm if self._converter is None else self._converter.convert(pcm)))

    def _finish(self) -> None:
        if self._encoder is None:
            return
        if self._converter is not None:
            self._give(self._encoder.encode(self._converter.flush()))
        self._give(self._encoder.finish())
        self._encoder = self._converter = None

    def _give(self, data: bytes) -> None:
        if data:
            self.report.mark("encoded")
            self.report.bytes += len(data)
            self._put(data)

    def _put(self, event: Event) -> None:
        if not self._channel.put(event, len(event) if isinstance(event, bytes) else 0):
            raise Interrupted("the speech was cancelled")


def word_times(line: Line, stream: SpeechStream, lead: float, seconds: float) -> Iterator[WordTime]:
    """Give the words as they are spoken; `lead`: seconds of the stream's beginning that were left out."""
    pieces: list[tuple[str, float]] = []
    for event in tuple(stream.words):
        text = line.spoken[event.text_start : event.text_start + event.text_length]
        if text:
            pieces.append((text, max(0.0, event.seconds - lead)))
    for index, (text, start) in enumerate(pieces):
        end = pieces[index + 1][1] if index + 1 < len(pieces) else seconds - lead
        yield WordTime(text, start, max(start, end))
