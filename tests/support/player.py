"""A player with streams and a device that the test controls.

The test thread replaces the network and the sound card. `Rig.settle` waits until the pump is idle, so that the next
step is deterministic.
"""

import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from support.null_sink import NullSink
from support.threads import WAIT, happened, in_thread
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechStream
from voice_cli.errors import Interrupted
from voice_cli.playback.player import PlaybackResult, Player
from voice_cli.playback.sink_source import SinkSource
from voice_cli.playback.sinks.base import Pull
from voice_cli.playback.state import State
from voice_cli.script.line import Line
from voice_cli.speech.assembly import Speech
from voice_cli.speech.events import Utterance
from voice_cli.speech.narration import GivenStreams

MONO = AudioFormat(8000, 1)
PCM = Encoding("pcm", MONO)


def numbered(frames: int, channels: int = 1, first: int = 1) -> bytes:
    """Return frames with consecutive values from `first`, wrapping after 32767, never 0."""
    values = [(first - 1 + i) % 32767 + 1 for i in range(frames) for _ in range(channels)]
    return struct.pack(f"<{len(values)}h", *values)


class FakeStream(SpeechStream):
    """A stream that the test controls: `give`, then `end`."""

    def __init__(
        self,
        *chunks: bytes,
        expected: Encoding = PCM,
        announced: Encoding | None = None,
        end: bool | BaseException = False,
    ) -> None:
        self.expected = expected
        self.announced = announced
        self.timestamps: dict[str, float] = {}
        self.cancelled = False
        self.closed = False
        """Whether its iterator has finished or was closed."""
        self.changed = threading.Condition()
        self.is_waited_for = False
        self.on_wait: Callable[[], None] = lambda: None
        self._chunks = deque(chunks)
        self._ended = end is not False
        self._error = end if isinstance(end, BaseException) else None

    def give(self, *chunks: bytes) -> None:
        with self.changed:
            self._chunks.extend(chunks)
            self.changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        with self.changed:
            self._ended, self._error = True, error
            self.changed.notify_all()

    def cancel(self) -> None:
        with self.changed:
            self.cancelled = True
            self.changed.notify_all()

    @property
    def is_starved(self) -> bool:
        """Whether a reader waits for a chunk and none is queued."""
        return self.is_waited_for and not (self._chunks or self._ended or self.cancelled)

    def __iter__(self) -> Iterator[bytes]:
        try:
            while (chunk := self._next()) is not None:
                yield chunk
        finally:
            self.closed = True

    def _next(self) -> bytes | None:
        with self.changed:
            self.is_waited_for = True
            self.on_wait()
            assert self.changed.wait_for(lambda: not self.is_starved, WAIT), "timed out waiting for a chunk"
            self.is_waited_for = False
            if self.cancelled:
                raise Interrupted("interrupted")
            if self._chunks:
                return self._chunks.popleft()
            if self._error is not None:
                raise self._error
            return None


class SteppedSink(NullSink):
    """A null device with an event for each state change."""

    def __init__(self, *, dies: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.is_open = threading.Event()
        self.started = threading.Event()
        self.closed = threading.Event()
        self.started_at = 0.0
        self._dead = dies
        self._turn = threading.Lock()

    def open(self, wanted: AudioFormat) -> AudioFormat:
        opened = super().open(wanted)
        self.is_open.set()
        return opened

    def start(self, pull: Pull) -> None:
        with self._turn:
            super().start(pull)
            if not self.reopened:
                self.started_at = self.now
        self.started.set()

    def step(self, frames: int, *, underflow: bool = False) -> bytes:
        with self._turn:
            if self.started.is_set() and not self.closed.is_set():
                return super().step(frames, underflow=underflow)
            self.now += frames / (self.format or MONO).rate  # not started: pulls nothing
            return b""

    def close(self) -> None:
        with self._turn:
            super().close()
            self.closed.set()

    def reopen(self, wanted: AudioFormat) -> AudioFormat:
        opened = super().reopen(wanted)
        self.closed.clear()
        self.started.clear()
        self._dead = False
        return opened

    def die(self) -> None:
        """Stop pulling, like an unplugged device."""
        self._dead = True

    @property
    def is_alive(self) -> bool:
        return not self._dead and super().is_alive


class Awaited(GivenStreams):
    """Streams that always report that they wait for text."""

    @property
    def waits_for_text(self) -> bool:
        return True


class OneLine(GivenStreams):
    """One stream with a text of that many characters."""

    def __init__(self, streams: Iterable[FakeStream], characters: int) -> None:
        super().__init__(streams)
        self.total = characters
        self._line = Line("x" * characters, "x", end=characters)

    def __iter__(self) -> Iterator[Utterance]:
        for utterance in super().__iter__():
            utterance.line = self._line
            yield utterance


class Rig:
    """A player in a thread, on the sink's clock; a context manager that cancels it on exit."""

    def __init__(
        self,
        streams: Iterable[FakeStream],
        *,
        sink: SteppedSink | None = None,
        silent: bool = False,
        on_tick: Callable[[Player], None] | None = None,
        pause: float | None = None,
        waits_for_text: bool = False,
        characters: int | None = None,
        **options: Any,
    ) -> None:
        self.streams: Sequence[FakeStream] = streams if isinstance(streams, list) else []
        self.sink = sink or SteppedSink()
        self.player = Player(None if silent else self.sink, clock=lambda: self.sink.now, **options)
        self._pump = self.player._pump
        self._lock = threading.Condition()
        self._blocked = False
        self._over = False
        self._watch()
        for stream in self.streams:
            stream.on_wait = self._notify
        source = Awaited(streams) if waits_for_text else GivenStreams(streams)
        if characters is not None:
            source = OneLine(streams, characters)
        speech = Speech(source, pause=pause)
        self._join = in_thread(lambda: self.player.play(speech, on_tick=on_tick))

    def __enter__(self) -> "Rig":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.player.cancel()
        self._join()

    def _watch(self) -> None:
        """Track when the pump waits for the device and when it ends."""
        wait, run = self._pump._changed.wait, self._pump.run

        def watched_wait(timeout: float | None = None) -> bool:
            self._blocked = True
            self._notify()
            try:
                return wait(timeout)
            finally:
                self._blocked = False

        def watched_run() -> None:
            run()
            self._over = True
            self._notify()

        self._pump._changed.wait = watched_wait
        self._pump.run = watched_run

    def _notify(self) -> None:
        # Called with a stream's lock held; no other lock may be taken while holding this one.
        with self._lock:
            self._lock.notify_all()

    @property
    def source(self) -> SinkSource:
        source = self._pump.source
        assert source is not None
        return source

    @property
    def state(self) -> State:
        return self.player.state

    @property
    def is_held_back(self) -> bool:
        """Whether the pump waits for room."""
        return self._blocked and self._pump.source is not None and self._pump.feeder._room() <= 0

    def opened(self) -> None:
        """Wait until the device is open."""
        happened(self.sink.is_open)

    def settle(self) -> None:
        """Wait until the pump is idle: waiting for a stream, waiting for room in the ring, or finished."""
        with self._lock:
            assert self._lock.wait_for(self._is_idle, WAIT), "the pump does not become idle"

    def _is_idle(self) -> bool:
        return self._over or self.is_held_back or any(stream.is_starved for stream in self.streams)

    def give(self, *chunks: bytes, stream: int = 0) -> None:
        self.streams[stream].give(*chunks)
        self.settle()

    def end(self, error: BaseException | None = None, *, stream: int = 0) -> None:
        self.streams[stream].end(error)
        self.settle()

    def step(self, seconds: float) -> None:
        """Pull that much audio in blocks of 10 ms."""
        if self.source.is_open:
            happened(self.sink.started)
        audio_format = self.source.format
        block = audio_format.rate // 100
        frames = audio_format.frames(seconds)
        while frames > 0:
            self.sink.step(min(block, frames))
            frames -= block
            self.applied()

    def applied(self) -> None:
        """Apply the controls that were called and refill the ring, as the feeder's thread does soon."""
        feeder = self._pump.feeder
        if feeder._thread is not None:
            with feeder._changed:
                feeder._apply(self.source)

    def play_out(self) -> PlaybackResult:
        """Pull all audio and return the result."""
        while not self._over:
            self.settle()
            if self.is_held_back:
                self.step(self.source.buffered / 2)
            else:
                assert self._over, "the streams have not ended"
        if self._pump.source is not None and self._pump.written:
            happened(self.sink.started)
            # The player waits until silence fills the device's buffer.
            source = self.source
            while (
                source.ended_at is None
                or self.sink.now < source.ended_at
                or source.silence_after_end < self.sink.latency
            ):
                self.sink.step(self.source.format.rate // 100)
                self.applied()
        return self.result()

    def result(self) -> PlaybackResult:
        """Wait until `play` returns."""
        result = self._join()
        if isinstance(result, BaseException):
            raise result
        return result

    def played(self) -> bytes:
        """Return the frames that the device pulled, at the times that the history has; ramps and pauses left out."""
        audio_format, zero = self.source.format, self.sink.latency + self.sink.started_at
        parts = []
        for stretch in self.source.history.stretches():
            first, last = (round((at - zero) * audio_format.rate) for at in (stretch.began, stretch.ended))
            parts.append(self.sink.heard[first * audio_format.frame_bytes : last * audio_format.frame_bytes])
        return b"".join(parts)

    def heard(self) -> bytes:
        """Return the streams' audio that the device pulled, located by the source's start time and underruns."""
        source, size = self.source, self.source.format.frame_bytes
        if source.started_at is None:
            return b""
        at = round((source.started_at - self.sink.latency - self.sink.started_at) * source.format.rate)
        assert not any(self.sink.heard[: at * size]), "audio before the first frame"
        out, position = b"", 0
        for gap in source.underruns:
            out += self.sink.heard[at * size : (at + gap.frame - position) * size]
            at += gap.frame - position + round(gap.seconds * source.format.rate)
            position = gap.frame
        return out + bytes(self.sink.heard[at * size : (at + source.position - position) * size])
