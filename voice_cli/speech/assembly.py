"""Decode, trim and join utterances, as one stream of events with PCM of one format.

The generator runs on the consumer's thread; only `cancel` may be called by another.
"""

from collections.abc import Iterable, Iterator

from voice_cli import codecs
from voice_cli.audio import AudioFormat, PcmChunk
from voice_cli.backends.base import SpeechStream
from voice_cli.codecs.base import Decoder
from voice_cli.errors import Interrupted, ServerError, UnmarkedEnd, VoiceError
from voice_cli.pcm.convert import Converter
from voice_cli.pcm.joins import Joins
from voice_cli.speech.events import (
    Audio,
    Decoded,
    EncodedData,
    SpeechEvent,
    TextAwaited,
    Utterance,
    UtteranceEnded,
    UtteranceStarted,
)
from voice_cli.speech.narration import GivenStreams, UtteranceSource

CHARS_PER_SECOND = 14.0
"""Code points a second of most voices in languages with an alphabet."""
IDEOGRAPHS_PER_SECOND = 5.0
"""Of Chinese, Japanese and Korean."""
FIRST_IDEOGRAPH = "\u2e80"

MEASURED_SECONDS = 5.0
"""Seconds of speech whose number of code points is taken for that of the rest."""


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
        self._pause = pause
        self._allow_empty = allow_empty
        self._joins = Joins(lambda: self.silent_seconds) if pause is not None else None
        self._converter: Converter | None = None

    @classmethod
    def of(cls, streams: Iterable[SpeechStream]) -> "Speech":
        """Return the speech of the given streams."""
        return cls(GivenStreams(streams))

    def cancel(self) -> None:
        """Cancel all requests; the iteration raises Interrupted. Any thread, any number of times."""
        self.source.cancel()

    def left(self, chars_per_second: float | None) -> float | None:
        """Return the estimated seconds of audio that were not yielded yet; None: not known. Any thread.

        `chars_per_second`: code points of the text for each second; None: a guess, by the text and its start.
        """
        total, spoken = self.source.total, self.utterances
        if total is None or not spoken:
            return None
        at, taken = next(((each.end, each.line.end) for each in reversed(spoken) if each.end is not None), (0.0, 0))
        if chars_per_second is None:
            is_measured = taken > 0 and at > MEASURED_SECONDS
            chars_per_second = taken / at if is_measured else likely_rate(spoken[-1].line.text)
        left = at + (total - taken) / chars_per_second - self.seconds
        return left if left > 0 else None

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
            yield UtteranceStarted(utterance)
            yield from self._utter(utterance)
            if self._joins is None:
                yield from self._flush_converter()
            self._begin(utterance)
            utterance.end = self.seconds
            yield UtteranceEnded(utterance)
            gap = utterance.line.pause * (self._pause or 0.0)

    def _utter(self, utterance: Utterance) -> Iterator[SpeechEvent]:
        stream = utterance.stream
        decoder: Decoder | None = None
        codec, data, chunks = "", b"", 0
        try:
            for chunk in stream:
                data, chunks = data + chunk, chunks + 1
                if decoder is None:
                    found = _open_decoder(utterance, data, final=False)
                    if found is None:
                        continue
                    codec, decoder = found
                yield EncodedData(utterance, codec, data, chunks)
                yield from self._decoded(utterance, decoder.decode(data))
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
        elif not self._allow_empty:
            raise ServerError("the response has no audio", hint="check the model and the voice")

    def _decoded(self, utterance: Utterance, chunks: list[PcmChunk]) -> list[SpeechEvent]:
        events: list[SpeechEvent] = []
        for chunk in chunks:
            if chunk.data:
                utterance.decoded_seconds += chunk.seconds
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
