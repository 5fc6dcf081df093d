"""Play what a generating thread puts into a streamer, in one call.

VibeVoice's documentation plays each chunk by itself (`sd.play`, `sd.wait`), with a gap after each. Here the chunks
share one device stream and a ring buffer; if the model is too slow, playback pauses and loses nothing::

    def generate(streamer):
        model.generate(audio_streamer=streamer, stop_check_fn=streamer.stop_check_fn, ...)

    result = stream_to_player(generate)
    print(result.metrics.ttfa_ms)
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechStream
from voice_cli.errors import EngineError, Interrupted
from voice_cli.pcm.samples import sample_number, to_pcm
from voice_cli.playback.player import PlaybackResult, Player
from voice_cli.playback.sinks.base import Sink
from voice_cli.playback.timeline import Timeline
from voice_cli.speech.assembly import Speech
from voice_cli.streamer.sync import AudioStreamer

RATE = 24_000
"""Hertz: VibeVoice's."""

MAX_CHUNKS = 64
"""Chunks buffered before `put` blocks: some 8 s of VibeVoice's audio."""


class GeneratorStream(SpeechStream):
    """One sample of a streamer as a `SpeechStream`. `cancel` cancels the generation."""

    def __init__(self, streamer: AudioStreamer, *, sample_idx: int = 0, rate: int = RATE) -> None:
        """Raise SampleIndexError if the batch has no such sample. `rate`: hertz; the chunks have one channel."""
        self.expected = self.announced = Encoding("pcm", AudioFormat(rate, 1))
        self.timestamps = {"request_sent": time.monotonic()}
        self._streamer = streamer
        self._sample_idx = sample_number(sample_idx, streamer.batch_size)

    def __iter__(self) -> Iterator[bytes]:
        """Yield each chunk as s16le PCM.

        Raises:
            EngineError: the generation ended without audio.
            Interrupted: it was cancelled.
            Exception: the generation's own; or a chunk is not mono audio.

        """
        for chunk in self._streamer.get_stream(self._sample_idx):
            data = to_pcm(chunk)
            if data:
                self.timestamps.setdefault("first_byte", time.monotonic())
                yield data
        if "first_byte" not in self.timestamps:
            raise EngineError("the generation produced no audio")

    def cancel(self) -> None:
        self._streamer.cancel()


class PlayedStreamer(AudioStreamer):
    """The streamer of `stream_to_player`. Its `put` also stops models that never call `stop_check_fn`."""

    cancelled = False

    def put(self, audio_chunks: Any, sample_indices: Any) -> None:
        """Put the next chunks: see `AudioStreamer.put`.

        Raises:
            Interrupted: the playback was cancelled.

        """
        super().put(audio_chunks, sample_indices)
        if self.cancelled:
            raise Interrupted("the playback was cancelled")

    def cancel(self) -> None:
        self.cancelled = True
        super().cancel()


def stream_to_player(
    source: AudioStreamer | Callable[[AudioStreamer], object],
    *,
    sample_idx: int = 0,
    rate: int = RATE,
    device: int | str | None = None,
    sink: Sink | None = None,
    on_tick: Callable[[Player], None] | None = None,
) -> PlaybackResult:
    """Play chunks as they are generated; return after the last frame was played.

    In the result, `metrics.ttfa_ms` is the time from this call to the first audible frame at the DAC.

    If the playback ends early (Ctrl-C, an error), the generation is cancelled: `stop_check_fn` returns True. If
    `source` is a function, `put` raises Interrupted too, and its thread has ended when this returns. Call this from the
    main thread, since only that one receives Ctrl-C.

    Args:
        source: a function that generates into the streamer that it receives, and is run in a thread; or a streamer that
            a thread of the caller fills, within `generating()`.
        sample_idx: which sample of the batch to play. The caller may read the others.
        rate: hertz.
        device: an index, or a part of a name; None: the default one.
        sink: where to play instead of a device.
        on_tick: called about ten times a second with the player.

    Raises:
        Exception: the generation's own, after the chunks before it were played.
        DeviceError: the output device cannot be opened, or failed.
        Interrupted: Ctrl-C, or `cancel` of the streamer.
        SampleIndexError: there is no such sample.

    """
    timeline = Timeline()
    timeline.mark("process_start", time.monotonic())
    if sink is None:
        from voice_cli.playback.sinks.device import DeviceSink

        sink = DeviceSink(device)
    streamer = source if isinstance(source, AudioStreamer) else PlayedStreamer(1, max_chunks=MAX_CHUNKS)
    stream = GeneratorStream(streamer, sample_idx=sample_idx, rate=rate)
    thread: threading.Thread | None = None
    if not isinstance(source, AudioStreamer):
        thread = threading.Thread(target=_generate, args=(source, streamer), name="voice-generate", daemon=True)
        thread.start()
    try:
        result = Player(sink, timeline=timeline).play(Speech.of([stream]), on_tick=on_tick)
    finally:
        streamer.cancel()
        if thread is not None:
            thread.join()
    if result.error is not None:
        raise result.error
    return result


def _generate(generate: Callable[[AudioStreamer], object], streamer: AudioStreamer) -> None:
    with suppress(BaseException), streamer.generating():  # the reader raises it
        generate(streamer)
