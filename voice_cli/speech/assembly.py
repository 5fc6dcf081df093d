"""Decode, trim and join utterances, as one stream of events with PCM of one format.

The generator runs on the consumer's thread; only `cancel` may be called by another.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from voice_cli import codecs
from voice_cli.audio import AudioFormat, PcmChunk
from voice_cli.backends.base import SpeechStream
from voice_cli.codecs.base import Decoder
from voice_cli.errors import (
    EngineError,
    Interrupted,
    NetworkError,
    ServerError,
    TruncatedAudio,
    UnmarkedEnd,
    VoiceError,
)
from voice_cli.pcm.convert import Converter
from voice_cli.pcm.joins import Joins
from voice_cli.speech.events import (
    Audio,
    Decoded,
    EncodedData,
    SpeechEvent,
    Spliced,
    TextAwaited,
    Utterance,
    UtteranceEnded,
    UtteranceStarted,
)
from voice_cli.speech.narration import GivenStreams, UtteranceSource

if TYPE_CHECKING:
    from voice_cli.speech.recovering_stream import RecoveringStream
    from voice_cli.speech.splice import Splicer

CHARS_PER_SECOND = 14.0
"""Code points a second of most voices in languages with an alphabet."""
IDEOGRAPHS_PER_SECOND = 5.0
"""Of Chinese, Japanese and Korean."""
FIRST_IDEOGRAPH = "\u2e80"

MEASURED_SECONDS = 5.0
"""Seconds of speech whose number of code points is taken for that of the rest."""

FASTEST = 80.0
"""Letters and digits a second: a fast voice has 20, and four times that is the highest speed."""
FASTER = 2.0
"""How much faster than the backend's earlier speeches an utterance may be, at least."""
LEAST_CHARACTERS = 40
"""Letters and digits: a shorter text says little about the length of its speech."""
EVEN_CODECS = ("pcm", "wav", "mulaw")
"""Codecs whose bytes are proportional to the seconds."""
MOST_RESUMED = 600.0
"""Seconds of an utterance, which are kept to join a new take. A longer one is not requested again."""
NEW_SECONDS = 0.02
"""A take that was cut has made progress if it has so many seconds more than the one before."""


class Speech:
    """The events of one speech. Iterate once."""

    def __init__(self, source: UtteranceSource, *, pause: float | None = None, allow_empty: bool = False) -> None:
        """Set the source of the utterances.

        Args:
            source: the utterances.
            pause: seconds between two sentences, which replace the silence at the ends of the utterances; None: do not
                trim or join.
            allow_empty: accept utterances without data, instead of raising ServerError.

        """
        self.source = source
        self.utterances: list[Utterance] = []
        """Those that have audio or have ended, in order. Any thread may read it."""
        self.seconds = 0.0
        """Seconds of audio that were yielded."""
        self.format: AudioFormat | None = None
        """The format of all `Audio`, which is that of the first frames."""
        self.silent_seconds = 0.0
        """Silence played while text was awaited, which shortens the next pause. Set by the consumer."""
        self.chars_per_second: float | None = None
        """Code points of the text a second in earlier speeches; None: not known. Set by the consumer."""
        self._pause = pause
        self._allow_empty = allow_empty
        self._joins = Joins(lambda: self.silent_seconds) if pause is not None else None
        self._converter: Converter | None = None
        self._heard: list[PcmChunk] | None = None
        """The utterance's audio before trimming, to which a new take is joined; None: no take will be."""
        self._splicer: Splicer | None = None
        """Joins the take that is read to those before it."""
        self._codec = ""
        self._arrived = (0, 0.0)
        """Of the take that is read: bytes, and seconds that were decoded."""

    @classmethod
    def of(cls, streams: Iterable[SpeechStream]) -> "Speech":
        """Return the speech of the given streams."""
        return cls(GivenStreams(streams))

    def cancel(self) -> None:
        """Cancel all requests; the iteration raises Interrupted. Any thread, any number of times."""
        self.source.cancel()

    def left(self) -> float | None:
        """Return the estimated seconds of audio that were not yielded yet; None: not known. Any thread.

        Those of the utterance that arrives are known if its length was announced. The others are estimated by
        `chars_per_second`; if that is None, by the text and its start.
        """
        total, spoken = self.source.total, self.utterances
        if total is None or not spoken:
            return None
        at, taken = next(((each.end, each.line.end) for each in reversed(spoken) if each.end is not None), (0.0, 0))
        latest, rate = spoken[-1], self.chars_per_second
        if rate is None:
            is_measured = taken > 0 and at > MEASURED_SECONDS
            rate = taken / at if is_measured else likely_rate(latest.line.text)
        announced = self._announced(latest)
        if announced is None:
            left = at + (total - taken) / rate - self.seconds
        else:
            left = announced + (total - latest.line.end) / rate
        return left if left > 0 else None

    def _announced(self, utterance: Utterance) -> float | None:
        """Return the seconds of an utterance that have not arrived, by its announced length; None: not known."""
        total, (received, seconds) = utterance.stream.total_bytes, self._arrived
        if total is None or utterance.end is not None or self._codec not in EVEN_CODECS or not seconds:
            return None
        return max(0.0, (total - received) * seconds / received)

    def __iter__(self) -> Iterator[SpeechEvent]:
        """Yield the events, also those of decoded audio before an error.

        Raises:
            BackendError: the backend sent no audio.
            TruncatedAudio: a stream ended early, after some audio.
            Interrupted: `cancel` was called.

        """
        error: Exception | None = None
        try:
            yield from self._utter_all()
        except Interrupted:
            raise
        except Exception as exc:
            error = exc
        utterance = self.utterances[-1] if self.utterances else None
        if self._joins is not None and utterance is not None:
            yield from self._emit(utterance, self._joins.finish())
        yield from self._flush_converter()
        if error is not None:
            raise error

    def _utter_all(self) -> Iterator[SpeechEvent]:
        gap: float | None = None
        utterances = iter(self.source)
        while True:
            if self.source.waits_for_text:
                yield TextAwaited()
            utterance = next(utterances, None)
            if utterance is None:
                return
            if self._joins is not None:
                self._joins.begin(gap)
            recovery = self.source.recovery
            stream = recovery.watch(utterance) if recovery is not None else None
            yield UtteranceStarted(utterance)
            yield from self._utter(utterance) if stream is None else self._recover(utterance, stream)
            if self._joins is None:
                yield from self._flush_converter()
            self._begin(utterance)
            utterance.end = self.seconds
            if is_too_short(utterance.line.spoken, utterance.decoded_seconds, self._fastest(utterance.line.spoken)):
                utterance.notes.append(
                    f"{utterance.decoded_seconds:.1f} s of speech are too few for {len(utterance.line.spoken)} "
                    "characters: the server may have left out words"
                )
            else:
                utterance.stream.keep()
            yield UtteranceEnded(utterance)
            gap = utterance.line.pause * (self._pause or 0.0)

    def _fastest(self, text: str) -> float:
        """Return letters and digits a second that are too many for this text."""
        rate = self.chars_per_second
        return FASTEST if rate is None else min(FASTEST, FASTER * max(rate, likely_rate(text)))

    def _recover(self, utterance: Utterance, stream: "RecoveringStream") -> Iterator[SpeechEvent]:
        """Yield the events of an utterance. If its stream is cut, request it again, and continue with the new take."""
        self._heard = []
        cut: VoiceError | None = None
        while True:
            before = utterance.decoded_seconds
            try:
                yield from self._utter(utterance)
            except (TruncatedAudio, NetworkError, EngineError) as exc:
                has_new_audio = utterance.decoded_seconds > before + NEW_SECONDS
                if self._heard is None:
                    raise
                if not stream.has_begun:
                    raise (exc if cut is None else _not_resumed(cut, exc)) from exc
                has_no_more = stream.has_ended and stream.end_is_marked and not has_new_audio
                if cut is not None and has_no_more:
                    raise
                cut = exc
                stream.resume(exc, has_new_audio=has_new_audio)
            else:
                self._heard = self._splicer = None
                return
            yield Spliced(utterance)
            self._splicer = None
            if self._heard:
                from voice_cli.speech.splice import Splicer

                self._splicer = Splicer(self._heard)
            else:
                stream.joined(0.0, 0.0, None)

    def _continued(self, utterance: Utterance, chunks: list[PcmChunk]) -> list[PcmChunk]:
        """Return the chunks of a new take that continue the utterance; note where the first ones do."""
        splicer, stream = self._splicer, utterance.stream
        if chunks and splicer is not None and splicer.position is not None and not splicer.is_noted:
            splicer.is_noted = True
            stream.joined(utterance.decoded_seconds, splicer.position, self.seconds)  # type: ignore[attr-defined]  # a RecoveringStream
        return chunks

    def _utter(self, utterance: Utterance) -> Iterator[SpeechEvent]:
        """Yield the events of one take."""
        stream = utterance.stream
        decoder: Decoder | None = None
        codec, data, chunks = "", b"", 0
        self._arrived = (0, 0.0)
        try:
            for chunk in stream:
                data, chunks = data + chunk, chunks + 1
                if decoder is None:
                    found = _open_decoder(utterance, data, final=False)
                    if found is None:
                        continue
                    codec, decoder = found
                    self._codec = codec
                yield EncodedData(utterance, codec, data, chunks)
                decoded = decoder.decode(data)
                received, seconds = self._arrived
                self._arrived = received + len(data), seconds + sum([each.seconds for each in decoded])
                yield from self._decoded(utterance, decoded)
                data, chunks = b"", 0
        except VoiceError as exc:
            if decoder is not None and not isinstance(exc, Interrupted):
                yield from self._decoded(utterance, _flushed(decoder))
            raise
        if decoder is None and data:
            found = _open_decoder(utterance, data, final=True)
            if found is not None:
                codec, decoder = found
                yield EncodedData(utterance, codec, data, chunks)
                yield from self._decoded(utterance, decoder.decode(data))
        if decoder is not None:
            try:
                rest = decoder.flush()
            except UnmarkedEnd as exc:
                if not stream.end_is_marked:
                    raise
                utterance.notes.append(f"{exc.message}; it is complete by its transport")
            else:
                yield from self._decoded(utterance, rest)
            if self._splicer is not None:
                yield from self._emitted(utterance, self._continued(utterance, self._splicer.finish()))
        elif not self._allow_empty:
            raise ServerError("the response has no audio", hint="check the model and the voice")

    def _decoded(self, utterance: Utterance, chunks: list[PcmChunk]) -> list[SpeechEvent]:
        if self._splicer is not None:
            chunks = [piece for chunk in chunks for piece in self._continued(utterance, self._splicer.push(chunk))]
        return self._emitted(utterance, chunks)

    def _emitted(self, utterance: Utterance, chunks: list[PcmChunk]) -> list[SpeechEvent]:
        events: list[SpeechEvent] = []
        for chunk in chunks:
            if chunk.data:
                utterance.decoded_seconds += chunk.seconds
                if utterance.decoded_seconds > MOST_RESUMED:
                    self._heard = None
                if self._heard is not None:
                    self._heard.append(chunk)
                events.append(Decoded(chunk))
                events += self._emit(utterance, [chunk] if self._joins is None else self._joins.push(chunk))
        return events

    def _emit(self, utterance: Utterance, chunks: list[PcmChunk]) -> list[Audio]:
        """Return the chunks as one event, if there are any. Its consumer converts and sends once for each event."""
        if not chunks:
            return []
        self._begin(utterance)
        self.seconds += sum([chunk.seconds for chunk in chunks])
        converted = [self._converted(chunk) for chunk in chunks]
        if len(converted) == 1:
            return [Audio(converted[0])]
        return [Audio(PcmChunk(converted[0].format, b"".join([chunk.data for chunk in converted])))]

    def _flush_converter(self) -> Iterator[SpeechEvent]:
        converter, self._converter = self._converter, None
        if converter is not None and self.format is not None:
            yield Audio(PcmChunk(self.format, converter.flush()))

    def _begin(self, utterance: Utterance) -> None:
        """Set the position of the utterance, unless it is set."""
        if utterance.start is None:
            pause = 0.0
            if self._joins is not None:
                utterance.lead, pause = self._joins.lead, self._joins.pause
            utterance.start = self.seconds + pause
            self.utterances.append(utterance)

    def _converted(self, chunk: PcmChunk) -> PcmChunk:
        if self.format is None:
            self.format = chunk.format
        if self._converter is None and chunk.format == self.format:
            return chunk
        rest = b""
        if self._converter is None or self._converter.source != chunk.format:
            if self._converter is not None:
                rest = self._converter.flush()
            self._converter = Converter(chunk.format, self.format)
        return PcmChunk(self.format, rest + self._converter.convert(chunk.data))


def _open_decoder(utterance: Utterance, head: bytes, *, final: bool) -> tuple[str, Decoder] | None:
    stream = utterance.stream
    found = codecs.open_decoder(stream.announced, stream.expected, head, final=final, is_external=stream.is_external)
    if found is not None:
        _note_assumed_format(utterance, found[0])
    return found


def is_too_short(text: str, seconds: float, fastest: float = FASTEST) -> bool:
    """Return whether so many seconds cannot be all of the speech of a text.

    `fastest`: letters and digits a second that no voice exceeds, such as a multiple of what a backend has had before.
    """
    count = sum(map(str.isalnum, text))
    return count >= LEAST_CHARACTERS and count > fastest * seconds


def _note_assumed_format(utterance: Utterance, codec: str) -> None:
    announced = utterance.stream.announced
    if codec == "pcm" and announced is not None and announced.format is None:
        rate = (utterance.stream.expected.format or codecs.DEFAULT_PCM).rate
        utterance.notes.append(
            f"the server did not say the sample rate: {rate} Hz is assumed; the format wav contains it"
        )


def likely_rate(text: str) -> float:
    """Return the likely code points a second of a text."""
    ideographs = sum(character >= FIRST_IDEOGRAPH for character in text)
    return IDEOGRAPHS_PER_SECOND if 2 * ideographs > len(text) else CHARS_PER_SECOND


def _flushed(decoder: Decoder) -> list[PcmChunk]:
    """Return the rest of a stream that has failed."""
    try:
        return decoder.flush()
    except VoiceError:
        return []


def _not_resumed(cut: VoiceError, error: VoiceError) -> TruncatedAudio:
    """Return the error for an utterance that was cut and could not be requested again."""
    return TruncatedAudio(f"{cut.message}; it was not resumed: {error.message}", hint=error.hint)
