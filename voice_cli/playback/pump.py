"""The pump: the one thread that reads streams, decodes, records, converts, fills the ring and opens the gate.

It never touches a device. It says which format it wants one at (`wanted_format`), and whoever holds the device answers
with a feed, or with None if there is nothing to hear (`attach`). The first wish is a guess made before any byte has
come, so that the device opens while the server thinks; a wrong guess is corrected as long as nothing was written, and
after that, what differs is converted.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from voice_cli import codecs
from voice_cli.audio import AudioFormat, PcmChunk
from voice_cli.backends.base import SpeechStream
from voice_cli.codecs.base import Decoder
from voice_cli.errors import FileError, Interrupted, ServerError, VoiceError
from voice_cli.pcm.convert import Converter, amplify
from voice_cli.pcm.joins import Joins
from voice_cli.pcm.levels import first_audible
from voice_cli.playback.course import Between, Section, State
from voice_cli.playback.prebuffer import Prebuffer
from voice_cli.playback.sink_source import SinkSource
from voice_cli.playback.timeline import Timeline
from voice_cli.recording.recorder import Recorder

LIKELY_FORMAT = AudioFormat(24000, 1)
"""What nearly every speech model gives: the guess for a codec that says its format only when it comes."""

TICK = 0.1
"""Seconds between two looks at what has no event."""

KEPT_CHUNKS = 4096
"""Chunks on their way through the ring that are told apart; beyond that, neighbours are counted as one."""


class Pump:
    """Pumps once. `run` is the pump's thread; the rest may be called by any other."""

    def __init__(
        self,
        timeline: Timeline,
        *,
        recorder: Recorder | None,
        prebuffer: Prebuffer,
        volume: float,
        between: Between | None = None,
        expected: AudioFormat | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = State.WAITING
        self.error: BaseException | None = None
        """Why the speech is not complete; read it when the pump is done."""
        self.codec: str | None = None
        """What the first stream really is."""
        self.format: AudioFormat | None = None
        """Of the first frames."""
        self.feed: SinkSource | None = None
        self.wanted_format = expected
        self.done = False
        """Nothing more will be written."""
        self.made = 0.0
        """Seconds of audio that were made, as they are heard and saved."""
        self.sections: list[Section] = []
        """Of the streams that have begun to sound, in order."""

        self._timeline = timeline
        self._recorder = recorder
        self._prebuffer = prebuffer
        self._gap: float | None = None
        """The longest wait for a chunk, seconds, while sound was gathered; None: there were no two yet."""
        self._volume = volume
        self._clock = clock
        self._changed = threading.Condition()
        self._news = threading.Event()
        self._attached_for: AudioFormat | None = None
        self._latency = 0.0
        self._deaf = False
        self._cancelled = False
        self._between = between
        self._joins = Joins(self._rested) if between is not None else None
        self._begun = False
        """The current stream has sounded."""
        self._stream: SpeechStream | None = None
        self._converter: Converter | None = None
        self._chunks: deque[tuple[int, int]] = deque()  # (bytes written up to their end, how many)
        self.written = 0
        """Bytes, at the feed's format."""

    # For the thread that holds the device.

    def wait(self, timeout: float) -> None:
        """Wait until something has changed since the last time that is worth a look, or so many seconds."""
        self._news.wait(timeout)
        self._news.clear()

    @property
    def wants_device(self) -> bool:
        """A device is wanted at `wanted_format`, and not attached yet."""
        return not self._deaf and self.wanted_format != self._attached_for

    @property
    def expected_codec(self) -> str | None:
        """What was asked for, once a stream is under way."""
        return self._stream.expected.codec if self._stream is not None else None

    def attach(self, feed: SinkSource | None, wanted: AudioFormat, latency: float = 0.0) -> None:
        """Answer a wish: the feed of a started device (its latency in seconds), or None: there is no device at all."""
        with self._changed:
            self.feed = feed
            self._latency = latency
            self._deaf = feed is None
            self._attached_for = wanted
            self._changed.notify_all()

    def cancel(self) -> None:
        """Give up the request; `run` returns soon."""
        with self._changed:
            self._cancelled = True
            stream = self._stream
            self._changed.notify_all()
        self._news.set()
        if self._between is not None:
            self._between.cancel()
        if stream is not None:
            stream.cancel()

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def count_played(self) -> int | None:
        """Count the chunks whose every frame the device has taken; None if nothing was to be heard."""
        feed = self.feed
        if feed is None:
            return self._timeline.chunks_played
        taken = feed.position * feed.format.frame_bytes
        while self._chunks and self._chunks[0][0] <= taken:
            self._timeline.chunks_played = (self._timeline.chunks_played or 0) + self._chunks.popleft()[1]
        return self._timeline.chunks_played

    # The pump's thread.

    def run(self, streams: Iterable[SpeechStream]) -> None:
        """Pump the streams, one after the other. Raises nothing: `error` says what went wrong."""
        try:
            upcoming = iter(streams)
            index = 0
            while (stream := self._next(upcoming)) is not None:
                self._expect(stream)
                self._begin(index)
                self._pump(stream)
                self._end()
                index += 1
        except BaseException as exc:  # it is the other thread that reports
            self._fail(exc)
        try:
            if self._joins is not None and not self._cancelled:
                self._emit(self._joins.finish())
            if self.feed is not None and self._converter is not None and not self._cancelled:
                self._write(self.feed, amplify(self._converter.flush(), self._volume))
        except BaseException as exc:
            self._fail(exc)
        with self._changed:
            if self.feed is not None:
                self.feed.finish()
            self.done = True
            self.state = State.DRAINING if self.written else State.DONE
        self._news.set()

    def _next(self, upcoming: Iterator[SpeechStream]) -> SpeechStream | None:
        """Get the next stream. While its text has not come, what there is is heard, and a dry ring is at rest."""
        if self.feed is not None and self._between is not None and self._between.waits_for_text():
            self.feed.rest(expected=True)
            if self.feed.buffered:
                self._open_gate(self.feed)
        stream = next(upcoming, None)
        if self.feed is not None:
            self.feed.rest(expected=False)
        return stream

    def _rested(self) -> float:
        """Seconds for which the device has had nothing, because no text was there."""
        return (self.feed.rested if self.feed is not None else None) or 0.0

    def _begin(self, index: int) -> None:
        self._begun = False
        if self._joins is not None and self._between is not None:
            gap = None
            if index:
                gap = self._between.pause_after(index - 1)
            self._joins.begin(gap)

    def _end(self) -> None:
        if self._begun:
            self.sections[-1] = self.sections[-1]._replace(end=self.made)
        elif self._stream is not None:  # silence from end to end
            self._begun = True
            self.sections.append(Section(self.made, self.made, 0.0, self._stream))

    def _fail(self, exc: BaseException) -> None:
        self.error = self.error or exc
        if isinstance(exc, Interrupted):
            self._cancelled = True

    def _expect(self, stream: SpeechStream) -> None:
        """Have the device opened while nothing has come yet."""
        with self._changed:
            self._stop_if_cancelled()
            self._stream = stream
            if self.wanted_format is None:
                self.wanted_format = stream.expected.format or LIKELY_FORMAT
        self._news.set()

    def _stop_if_cancelled(self) -> None:
        if self._cancelled:
            raise Interrupted("interrupted")

    def _pump(self, stream: SpeechStream) -> None:
        timeline = self._timeline
        decoder: Decoder | None = None
        head, held = b"", 0
        waiting_since: float | None = None
        try:
            for data in stream:
                if waiting_since is not None and (self.feed is None or not self.feed.is_open):
                    self._gap = max(self._gap or 0.0, self._clock() - waiting_since)
                if self.state is State.WAITING:
                    timeline.mark("first_byte", stream.timestamps.get("first_byte"))
                    self.state = State.BUFFERING
                timeline.chunks_received += 1
                timeline.bytes_received += len(data)
                if decoder is not None:
                    self._take(decoder, data)
                else:
                    head, held = head + data, held + 1
                    decoder = self._open_decoder(stream, head, final=False)
                    if decoder is not None:
                        self._take(decoder, head, held)
                waiting_since = self._clock()
        except VoiceError as exc:
            if decoder is not None and not isinstance(exc, Interrupted):
                self._flush_broken(decoder)
            raise
        finally:
            for moment, at in stream.timestamps.items():
                timeline.mark(moment, at)
            timeline.timestamps["last_byte"] = stream.timestamps.setdefault("last_byte", self._clock())
        if decoder is None and head:
            decoder = self._open_decoder(stream, head, final=True)
            if decoder is not None:
                self._take(decoder, head, held)
        if decoder is None:
            raise ServerError("the answer is empty: there is no audio in it", hint="does it know this model and voice?")
        self._deliver(decoder.flush())

    def _open_decoder(self, stream: SpeechStream, head: bytes, *, final: bool) -> Decoder | None:
        found = codecs.open_decoder(stream.announced, stream.expected, head, final=final)
        if found is None:
            return None
        codec, decoder = found
        self.codec = self.codec or codec
        self._record(lambda recorder: recorder.begin(codec))
        return decoder

    def _take(self, decoder: Decoder, data: bytes, count: int = 1) -> None:
        """Handle the bytes that came, in that many chunks."""
        self._record(lambda recorder: recorder.write_encoded(data))
        self._deliver(decoder.decode(data))
        if self._chunks and (self._chunks[-1][0] == self.written or len(self._chunks) >= KEPT_CHUNKS):
            count += self._chunks.pop()[1]
        self._chunks.append((self.written, count))
        self.count_played()

    def _flush_broken(self, decoder: Decoder) -> None:
        """Get what is left of a stream that is known to have broken off; that it did is no news."""
        try:
            self._deliver(decoder.flush())
        except VoiceError:
            return

    def _record(self, action: Callable[[Recorder], None]) -> None:
        """Record; a file that cannot be written ends the recording, and not the playback."""
        if self._recorder is not None:
            try:
                action(self._recorder)
            except FileError as exc:
                self.error = exc
                self._recorder = None

    def _deliver(self, chunks: list[PcmChunk]) -> None:
        for chunk in chunks:
            if chunk.data:
                self._account(chunk)
                self._emit([chunk] if self._joins is None else self._joins.push(chunk))

    def _emit(self, chunks: list[PcmChunk]) -> None:
        """Let frames be heard and saved."""
        if chunks and not self._begun and self._stream is not None:
            self._begun = True
            lead, pause = (self._joins.lead, self._joins.pause) if self._joins is not None else (0.0, 0.0)
            self.sections.append(Section(self.made + pause, None, lead, self._stream))
        for chunk in chunks:
            self._record(lambda recorder, chunk=chunk: recorder.write_pcm(chunk))  # type: ignore[misc]
            feed = self._feed_for(chunk.format)
            self.made += chunk.seconds
            if feed is not None:
                self._write(feed, self._fit(feed, chunk))

    def _account(self, chunk: PcmChunk) -> None:
        timeline = self._timeline
        timeline.mark("first_frame")
        if timeline.audible_seconds is None:
            sample = first_audible(chunk.data)
            if sample is not None:
                lead = chunk.format.seconds(sample // chunk.format.channels)
                timeline.audible_seconds = timeline.audio_seconds + lead
        timeline.audio_seconds += chunk.seconds
        if timeline.arrivals is not None:
            timeline.arrivals.append((self._clock(), timeline.audio_seconds))
        self.format = self.format or chunk.format

    def _feed_for(self, audio_format: AudioFormat) -> SinkSource | None:
        """Wait for the device, at this format if nothing was written at another one."""
        with self._changed:
            if not self.written:
                self.wanted_format = audio_format
            self._news.set()
            while self.wants_device and not self._cancelled:
                self._changed.wait(TICK)
            self._stop_if_cancelled()
            return self.feed

    def _fit(self, feed: SinkSource, chunk: PcmChunk) -> bytes:
        rest = b""
        if self._converter is None or self._converter.source != chunk.format:
            if self._converter is not None:
                rest = self._converter.flush()
            self._converter = Converter(chunk.format, feed.format)
        return amplify(rest + self._converter.convert(chunk.data), self._volume)

    def _write(self, feed: SinkSource, data: bytes) -> None:
        timeline = self._timeline
        view = memoryview(data)
        while view:
            count = feed.write(view)
            self.written += count
            view = view[count:]
            timeline.buffer_peak_seconds = max(timeline.buffer_peak_seconds or 0.0, feed.buffered)
            self._turn_gate(feed)
            if view:
                began = self._clock()
                with self._changed:
                    self._stop_if_cancelled()
                    self._changed.wait(min(TICK, max(0.001, feed.room_in(len(view)))))
                    self._stop_if_cancelled()
                if self._stream is not None and "last_byte" not in self._stream.timestamps:
                    timeline.held_back_seconds += self._clock() - began

    def _turn_gate(self, feed: SinkSource) -> None:
        if feed.is_open:
            return
        self.state = State.BUFFERING
        dry_runs = 0 if feed.started_at is None or feed.is_resting else feed.underrun_count + 1
        if feed.buffered >= self._prebuffer.needed(self._latency, dry_runs, self._gap):
            self._open_gate(feed)

    def _open_gate(self, feed: SinkSource) -> None:
        feed.open_gate()
        self._timeline.mark("prebuffered")
        self.state = State.PLAYING
        self._news.set()
