"""The pump: the thread that consumes the speech, records it, converts it for the device and passes it to the feeder.

It never touches a device. It sets the format that it needs (`wanted_format`), and the thread that owns the device calls
`attach` with a `SinkSource`, or None if there is no device. The first format is a guess, so that the device opens while
the request is under way. A wrong guess is corrected until frames are written; later, the speech is converted.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from voice_cli.audio import AudioFormat, PcmChunk
from voice_cli.errors import FileError, Interrupted
from voice_cli.pcm.convert import Converter
from voice_cli.pcm.levels import first_audible
from voice_cli.playback.feeder import Feeder
from voice_cli.playback.prebuffer import Prebuffer
from voice_cli.playback.sink_source import SinkSource
from voice_cli.playback.state import State
from voice_cli.playback.supply import Supply
from voice_cli.playback.timeline import Timeline
from voice_cli.recording.recorder import Recorder
from voice_cli.speech.events import (
    Audio,
    Decoded,
    EncodedData,
    Spliced,
    TextAwaited,
    UtteranceEnded,
    UtteranceStarted,
)

if TYPE_CHECKING:
    from voice_cli.backends.base import SpeechStream
    from voice_cli.playback.normalizer import Normalizer
    from voice_cli.speech.assembly import Speech

LIKELY_FORMAT = AudioFormat(24000, 1)
"""The format of most speech models: the guess if the codec has its format only in its data."""

TICK = 0.1
"""Seconds between two checks of state that sends no notification."""

KEPT_CHUNKS = 4096
"""Chunks in the ring that are counted one by one; further ones are counted with the chunk before."""


class Pump:
    """Pumps one speech. `run` is the pump's thread; any other thread may call the rest."""

    def __init__(
        self,
        timeline: Timeline,
        *,
        recorder: Recorder | None,
        prebuffer: Prebuffer,
        volume: float,
        expected: AudioFormat | None = None,
        step: float | None = None,
        normalizer: "Normalizer | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = State.WAITING
        self.speech: Speech | None = None
        """Set before `run`."""
        self.error: BaseException | None = None
        """Why the speech is not complete; valid when `done`."""
        self.codec: str | None = None
        """The codec found in the data of the first utterance."""
        self.source: SinkSource | None = None
        self.wanted_format = expected
        self.done = False
        """Nothing more will be written."""
        self.cancelled = False
        self.written = 0
        """Bytes, in the source's format."""

        self._timeline = timeline
        self._recorder = recorder
        self._normalizer = normalizer
        if normalizer is not None:
            normalizer.has_started = self._has_started
        timeline.learned_rate = prebuffer.rate
        self._chars_per_second = prebuffer.chars_per_second
        self._clock = clock
        self.supply = Supply(prebuffer, self._left, clock)
        self.feeder = Feeder(volume, starts=self._sentence_starts, supply=self.supply, fail=self._stop_with, step=step)
        self._waiting_since: float | None = None
        self._changed = threading.Condition()
        self._news = threading.Event()
        self._attached_for: AudioFormat | None = None
        self._is_silent = False
        """There is no device."""
        self._stream: SpeechStream | None = None
        self._converter: Converter | None = None
        self._ended_starts: list[list[float]] = []
        """The starts of the sentences, of each utterance that has ended."""
        self._received = 0
        """The backend's chunks whose audio is being written."""
        self._chunks: deque[tuple[int, int]] = deque()  # (bytes written up to their end, count)

    # For the thread that owns the device.

    def wait(self, timeout: float) -> None:
        """Wait until something has changed since the last call, or for `timeout` seconds."""
        self._news.wait(timeout)
        self._news.clear()

    @property
    def wants_device(self) -> bool:
        """Whether a device is needed at `wanted_format` and not attached yet."""
        return not self._is_silent and self.wanted_format != self._attached_for

    @property
    def expected_codec(self) -> str | None:
        """The requested codec; None until a request is under way."""
        return self._stream.expected.codec if self._stream is not None else None

    def attach(self, source: SinkSource | None, wanted: AudioFormat, latency: float = 0.0) -> None:
        """Attach the source of the device opened for `wanted` (latency in seconds), or None if there is no device."""
        with self._changed:
            self.source = source
            self.supply.latency = latency
            self._is_silent = source is None
            self._attached_for = wanted
            self.feeder.attach(source)
            self._changed.notify_all()

    def cancel(self) -> None:
        """Cancel the speech; `run` returns soon."""
        with self._changed:
            self.cancelled = True
            self._changed.notify_all()
        self._news.set()
        if self.speech is not None:
            self.speech.cancel()

    def _sentence_starts(self) -> list[float]:
        """Return where the sentences begin that have arrived, in seconds of the speech. With the feeder's lock."""
        from voice_cli.speech.spoken import sentence_starts

        utterances = self.speech.utterances if self.speech is not None else []
        coming = []
        for index, utterance in enumerate(utterances[len(self._ended_starts) :], len(self._ended_starts)):
            coming.append(sentence_starts(utterance))
            if utterance.end is not None and index == len(self._ended_starts):
                self._ended_starts.append(coming.pop())
        return [start for starts in (*self._ended_starts, *coming) for start in starts]

    def count_played(self) -> None:
        """Count the whole chunks that were pulled, if there is a device."""
        if self.source is not None:
            history, frame_bytes = self.source.history, self.source.format.frame_bytes
            taken = history.speech_frame * frame_bytes
            while self._chunks and self._chunks[0][0] <= taken:
                end, count = self._chunks.popleft()
                if history.has_played(end // frame_bytes):
                    self._timeline.chunks_played = (self._timeline.chunks_played or 0) + count

    # The pump's thread.

    def run(self) -> None:
        """Consume the speech. Sets `error` instead of raising."""
        if self.speech is None:
            raise RuntimeError("run() without a speech")
        self.speech.chars_per_second = self._chars_per_second
        handlers = {
            UtteranceStarted: self._expect,
            EncodedData: self._receive,
            Spliced: lambda _event: self._record(lambda recorder: recorder.splice()),
            Decoded: self._account,
            Audio: self._take,
            UtteranceEnded: self._end_utterance,
            TextAwaited: self._await_text,
        }
        try:
            with closing(iter(self.speech)) as events:  # type: ignore[type-var]  # a generator
                for event in events:
                    handlers[type(event)](event)  # type: ignore[operator]  # each takes one type
        except BaseException as exc:  # the other thread reports it
            self._fail(exc)
        try:
            self._note_stream()
            self._flush_normalizer()
            self._count_written()
            if self.source is not None and self._converter is not None and not self.cancelled:
                self._write(self._converter.flush())
        except BaseException as exc:
            self._fail(exc)
        try:
            self.feeder.finish()
        except BaseException as exc:
            self._stop_with(exc)
        with self._changed:
            self.done = True
            self.state = State.DRAINING if self.written else State.DONE
        self._news.set()

    def _await_text(self, _event: TextAwaited) -> None:
        """Play what is buffered while text is awaited; an empty ring is then not an underrun."""
        self.supply.arrivals.rest()
        self._flush_normalizer()
        self.supply.arrived_at = None
        if self.source is not None:
            self.source.rest(expected=True)
            self.feeder.await_text(is_awaited=True)
            if self.feeder.buffered:
                self.source.open_gate()
                self._note_open()

    def _expect(self, event: UtteranceStarted) -> None:
        """Request a device before any data has arrived."""
        stream = event.utterance.stream
        if self._normalizer is not None:
            self._normalizer.begin(event.utterance)
        if self.source is not None:
            self.source.rest(expected=False)
            self.feeder.await_text(is_awaited=False)
        with self._changed:
            self._stop_if_cancelled()
            self._stream = stream
            self._waiting_since = None
            if self.speech is not None:
                self.speech.silent_seconds = 0.0
            if self.wanted_format is None:
                self.wanted_format = stream.expected.format or LIKELY_FORMAT
        self._news.set()

    def _receive(self, event: EncodedData) -> None:
        timeline, source = self._timeline, self.source
        if self._received:
            self._count_written()
        if source is None or not source.is_open:
            if self._waiting_since is not None:
                self.supply.gap = max(self.supply.gap or 0.0, self._clock() - self._waiting_since)
            self._waiting_since = self._clock()
        self.supply.arrived_at = self._clock()
        if self.speech is not None:
            at = self._clock() - timeline.held_back_seconds
            self.supply.arrivals.note(at, timeline.audio_seconds, self.speech.seconds)
        if self.state is State.WAITING:
            stream = event.utterance.stream
            # If the stream is cut, a later request has timestamps of its own.
            for name, at in dict(stream.timestamps).items():
                timeline.mark(name, at)
            if not stream.is_cached:
                timeline.mark("first_byte")
            self.state = State.BUFFERING
        timeline.chunks_received += event.chunks
        timeline.bytes_received += len(event.data)
        self._received = event.chunks
        self.codec = self.codec or event.codec
        self._record(lambda recorder: recorder.begin(event.codec))
        self._record(lambda recorder: recorder.write_encoded(event.data))
        if source is not None and source.is_resting and self.speech is not None:
            self.speech.silent_seconds = source.rested or 0.0

    def _end_utterance(self, _event: UtteranceEnded) -> None:
        self._note_stream()
        self.feeder.end_utterance()

    def _note_stream(self) -> None:
        """Copy the timestamps of the stream that has ended."""
        if self._stream is not None:
            timestamps, timeline = self._stream.timestamps, self._timeline
            for name, at in timestamps.items():
                timeline.mark(name, at)
            if not self._stream.is_cached:
                timeline.timestamps["last_byte"] = timestamps.setdefault("last_byte", self._clock())

    def _count_written(self) -> None:
        """Store the position at which the last chunks from the backend end."""
        count, self._received = self._received, 0
        if not count:
            return
        if self._chunks and (self._chunks[-1][0] == self.written or len(self._chunks) >= KEPT_CHUNKS):
            count += self._chunks.pop()[1]
        self._chunks.append((self.written, count))
        self.count_played()

    def _account(self, event: Decoded) -> None:
        timeline, chunk = self._timeline, event.chunk
        if not timeline.audio_seconds:
            timeline.mark("first_frame")
        if timeline.audible_seconds is None:
            sample = first_audible(chunk.data)
            if sample is not None:
                lead = chunk.format.seconds(sample // chunk.format.channels)
                timeline.audible_seconds = timeline.audio_seconds + lead
        timeline.audio_seconds += chunk.seconds
        if timeline.arrivals is not None:
            timeline.arrivals.append((self._clock(), timeline.audio_seconds))

    def _take(self, event: Audio) -> None:
        """Record the frames and write them to the ring, normalized if that is wanted."""
        chunk = event.chunk
        if chunk.data and self._normalizer is not None:
            chunk = self._normalizer.process(chunk)
        self._pass_on(chunk)

    def _has_started(self) -> bool:
        """Return whether the sound has begun, or there will be none."""
        source = self.source
        return self.cancelled or (self._is_silent if source is None else source.started_at is not None)

    def _flush_normalizer(self) -> None:
        """Pass on what the normalizer holds back."""
        rest = self._normalizer.flush() if self._normalizer is not None and not self.cancelled else None
        if rest is not None:
            self._pass_on(rest)

    def _pass_on(self, chunk: PcmChunk) -> None:
        if not chunk.data:
            return
        self._record(lambda recorder: recorder.write_pcm(chunk))
        source = self._source_for(chunk.format)
        if source is not None:
            if self._converter is None or self._converter.target != source.format:
                self._converter = Converter(chunk.format, source.format)
            self._write(self._converter.convert(chunk.data))
        if source is None or not source.is_open:
            self._waiting_since = self._clock()

    def _fail(self, exc: BaseException) -> None:
        self.error = self.error or exc
        if isinstance(exc, Interrupted):
            self.cancelled = True

    def _stop_with(self, exc: BaseException) -> None:
        """Fail and cancel the speech: the feeder has failed. The pump's or the feeder's thread."""
        self._fail(exc)
        self.cancel()

    def _stop_if_cancelled(self) -> None:
        if self.cancelled:
            raise Interrupted("interrupted")

    def _record(self, action: Callable[[Recorder], None]) -> None:
        """Record; if the file cannot be written, end the recording and continue the playback."""
        if self._recorder is not None:
            try:
                action(self._recorder)
            except FileError as exc:
                self.error = exc
                self._recorder = None

    def _source_for(self, audio_format: AudioFormat) -> SinkSource | None:
        """Wait for the device, at this format unless frames were written at another one."""
        if self.written and not self.wants_device and not self.cancelled:
            return self.source
        with self._changed:
            if not self.written:
                self.wanted_format = audio_format
            self._news.set()
            while self.wants_device and not self.cancelled:
                self._changed.wait(TICK)
            self._stop_if_cancelled()
            return self.source

    def _write(self, data: bytes) -> None:
        timeline = self._timeline
        view = memoryview(data)
        while view:
            count = self.feeder.write(view)
            self.written += count
            view = view[count:]
            timeline.buffer_peak_seconds = max(timeline.buffer_peak_seconds or 0.0, self.feeder.buffered)
            self.turn_gate()
            if view:
                began = self._clock()
                with self._changed:
                    self._stop_if_cancelled()
                    self._changed.wait(min(TICK, max(0.001, self.feeder.room_in(len(view)))))
                    self._stop_if_cancelled()
                if self._stream is not None and "last_byte" not in self._stream.timestamps:
                    timeline.held_back_seconds += self._clock() - began

    def turn_gate(self) -> None:
        """Open the gate if enough is buffered: after a write, or because time has passed. Any thread."""
        if self.source is None or self.source.is_open or not self.written:
            return
        self.state = State.BUFFERING
        if self.feeder.open_gate():
            self._note_open()

    def _left(self) -> float | None:
        """Return the estimated seconds of the speech that have not arrived; None: not known."""
        return self.speech.left() if self.speech is not None else None

    def _note_open(self) -> None:
        if self.supply.ready_at is not None and "prebuffered" not in self._timeline.timestamps:
            self._timeline.start_delay_seconds = self._clock() - self.supply.ready_at
        self._timeline.mark("prebuffered")
        self.state = State.PLAYING
        self._news.set()
