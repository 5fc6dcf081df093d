"""From a generating thread to the ear, in one call.

The streamers' documentation plays each chunk by itself (`sd.play`, `sd.wait`), which is heard as a gap a chunk. Here
the chunks go through our player: one device stream, a ring buffer, a pause and no loss where the model is too slow::

    from voice_cli.streamer import stream_to_player

    def generate(streamer):
        model.generate(
            **inputs,
            audio_streamer=streamer,
            stop_check_fn=streamer.stop_check_fn,
            tokenizer=processor.tokenizer,
            all_prefilled_outputs=copy.deepcopy(voice_prompt),  # generate writes into it
        )

    result = stream_to_player(generate)
    print(result.metrics.ttfa_ms)
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechStream
from voice_cli.errors import EngineError, Interrupted
from voice_cli.pcm.samples import sample_number, to_pcm
from voice_cli.playback.player import PlaybackResult, Player
from voice_cli.playback.sinks.base import Sink
from voice_cli.speech.assembly import Speech
from voice_cli.streamer.sync import AudioStreamer

RATE = 24_000
"""Hertz: VibeVoice's."""

MAX_CHUNKS = 64
"""Chunks that wait for the player before the generator does: some 8 s of VibeVoice's, besides what the player holds."""


class GeneratorStream(SpeechStream):
    """One sample of a streamer, as the player takes speech. Cancelled, it calls the generation off."""

    def __init__(self, streamer: AudioStreamer, *, sample_idx: int = 0, rate: int = RATE) -> None:
        """Take the rate in hertz of the chunks, which have one channel.

        Raises:
            SampleIndexError: there is no such sample in the batch.

        """
        self.expected = self.announced = Encoding("pcm", AudioFormat(rate, 1))
        self.timestamps = {"request_sent": time.monotonic()}
        self._streamer = streamer
        self._sample_idx = sample_number(sample_idx, streamer.batch_size)

    def __iter__(self) -> Iterator[bytes]:
        """Give each chunk as PCM.

        Raises:
            EngineError: the generation ended without one.
            Interrupted: it was called off.
            Exception: it failed with this, or a chunk is no mono sound.

        """
        for chunk in self._streamer.get_stream(self._sample_idx):
            data = to_pcm(chunk)
            if data:
                self.timestamps.setdefault("first_byte", time.monotonic())
                yield data
        if "first_byte" not in self.timestamps:
            raise EngineError("the generation gave no sound")

    def cancel(self) -> None:
        self._streamer.cancel()


class PlayedStreamer(AudioStreamer):
    """The streamer of `stream_to_player`: once nobody listens, `put` ends the generation, asked or not."""

    def put(self, audio_chunks: Any, sample_indices: Any) -> None:
        """Hand over the next chunks: see `AudioStreamer.put`.

        Raises:
            Interrupted: the playback was called off: a model that looks at no `stop_check_fn` stops by this.

        """
        super().put(audio_chunks, sample_indices)
        if self.called_off:
            raise Interrupted("the playback was called off")

    called_off = False

    def cancel(self) -> None:
        self.called_off = True
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
    """Play what is generated, as it is; return when the last frame was heard.

    Ctrl-C, and whatever else ends the playback early, calls the generation off: `stop_check_fn` is true from then on,
    and the streamer that a function is given also ends the generation at its next `put`. A function's thread is over
    when this returns. The main thread calls it, if Ctrl-C is to reach it.

    Args:
        source: a function that generates into the streamer that it is given, and is run in a thread; or a streamer that
            a thread of the caller's generates into, within `generating()`.
        sample_idx: which sample of the batch to play. The others' chunks are left to the caller's readers.
        rate: hertz.
        device: an index, or a part of a name; None: the default one.
        sink: where to play instead of a device.
        on_tick: called about ten times a second with the player.

    Raises:
        Exception: what the generation failed with, after all that came before was heard.
        DeviceError: nothing can be heard.
        Interrupted: Ctrl-C, or `cancel` of the streamer.
        SampleIndexError: there is no such sample.

    """
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
        result = Player(sink).play(Speech.of([stream]), on_tick=on_tick)
    finally:
        streamer.cancel()
        if thread is not None:
            thread.join()
    if result.error is not None:
        raise result.error
    return result


def _generate(generate: Callable[[AudioStreamer], object], streamer: AudioStreamer) -> None:
    """Run it in its thread: what it raises goes to the reader, and so to the caller."""
    try:
        with streamer.generating():
            generate(streamer)
    except BaseException:  # the reader raises it
        return
