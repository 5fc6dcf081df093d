"""`stream_to_player`: the documentation's real-time playback, through the player, on a simulated device."""

import copy
import threading
import time

import numpy as np
import pytest

import voice_cli.streamer
from support.clocked_sink import ClockedSink
from support.threads import happened
from voice_cli.audio import AudioFormat
from voice_cli.errors import DeviceError, EngineError, Interrupted
from voice_cli.playback.player import Outcome
from voice_cli.streamer import AudioStreamer, SampleIndexError, stream_to_player, to_pcm

STEP = 1 / 64


def chunks(count, size=480):
    """Return chunks with different values, none of them silent."""
    return [np.full((1, size), STEP * (number % 50 + 1), np.float32) for number in range(count)]


def pcm(arrays):
    return b"".join(to_pcm(array[0]) for array in arrays)


def heard(sink):
    """Return the played audio without the silence before and after."""
    samples = np.frombuffer(bytes(sink.heard), "<i2")
    loud = np.flatnonzero(samples)
    return samples[loud[0] : loud[-1] + 1].tobytes() if loud.size else b""


@pytest.fixture
def sink():
    return ClockedSink()


def generator(arrays, *, error=None):
    def generate(streamer):
        for array in arrays:
            streamer.put(array, np.array([0]))
        if error is not None:
            raise error

    return generate


def endless(streamer, made):
    """Generate without checking `stop_check_fn`."""
    for array in chunks(10_000):
        streamer.put(array, np.array([0]))
        made.append(1)


def test_every_frame_is_heard_once_in_order(sink):
    said = chunks(20)
    result = stream_to_player(generator(said), sink=sink)
    assert result.outcome is Outcome.COMPLETE
    assert heard(sink) == pcm(said)
    assert sink.opened == [AudioFormat(24000, 1)]
    assert result.metrics.underruns == 0


@pytest.mark.parametrize("of_caller", [False, True])
def test_ttfa_is_from_the_call_to_the_first_audible_frame(sink, of_caller):
    before = time.monotonic()
    source = generator([chunks(1)[0] * 0, *chunks(3)])
    if of_caller:
        source, generate = AudioStreamer(1), source
        generate(source)
        source.end()
    result = stream_to_player(source, sink=sink)
    began, audible = result.timestamps["process_start"], result.timestamps["first_audible"]
    assert before <= began <= result.timestamps["request_sent"]
    assert result.metrics.ttfa_ms == pytest.approx(1000 * (audible - began), abs=0.01)
    assert result.metrics.leading_silence_ms == 20.0
    assert 20.0 <= result.metrics.ttfa_ms <= 1000 * (time.monotonic() - before)


def test_rate_is_the_device_rate(sink):
    stream_to_player(generator(chunks(4)), sink=sink, rate=16000)
    assert sink.opened == [AudioFormat(16000, 1)]


def test_models_call_pattern(sink, replayed_model):
    model, prompt = replayed_model(7), {"lm": []}

    def generate(streamer):
        model.generate(
            audio_streamer=streamer,
            stop_check_fn=streamer.stop_check_fn,
            tokenizer=model.tokenizer,
            all_prefilled_outputs=copy.deepcopy(prompt),
        )

    result = stream_to_player(generate, sink=sink)
    assert result.metrics.audio_ms == pytest.approx(1000 * 7 * 3200 / 24000, abs=0.01)
    assert prompt == {"lm": []}


def test_streamer_with_the_callers_thread(sink, work):
    streamer = AudioStreamer(1)
    said = chunks(10)

    def generate():
        with streamer.generating():
            generator(said)(streamer)

    work(generate)
    stream_to_player(streamer, sink=sink)
    assert heard(sink) == pcm(said)


def test_one_sample_of_a_batch_is_played(sink):
    streamer = AudioStreamer(2)
    for array in chunks(5):
        streamer.put(np.concatenate((array * 0 + 0.9, array)), np.array([0, 1]))
    streamer.end()
    stream_to_player(streamer, sample_idx=1, sink=sink)
    assert heard(sink) == pcm(chunks(5))


class TestErrors:
    def test_generator_error_is_raised_after_the_audio(self, sink):
        error = RuntimeError("CUDA out of memory")
        said = chunks(8)
        with pytest.raises(RuntimeError) as caught:
            stream_to_player(generator(said, error=error), sink=sink)
        assert caught.value is error
        assert heard(sink) == pcm(said)

    def test_error_before_audio_is_raised(self, sink):
        with pytest.raises(ValueError, match="no such voice"):
            stream_to_player(generator([], error=ValueError("no such voice")), sink=sink)

    def test_no_audio_is_an_engine_error(self, sink):
        with pytest.raises(EngineError, match="no audio"):
            stream_to_player(generator([]), sink=sink)

    def test_two_channels_are_a_value_error(self, sink):
        with pytest.raises(ValueError, match="one channel"):
            stream_to_player(lambda streamer: streamer.put(np.ones((1, 2, 480)), np.array([0])), sink=sink)

    def test_missing_sample_is_an_index_error(self, sink):
        with pytest.raises(SampleIndexError):
            stream_to_player(AudioStreamer(1), sample_idx=1, sink=sink)

    def test_missing_device_stops_the_generator(self):
        made = []
        with pytest.raises(DeviceError):
            stream_to_player(lambda streamer: endless(streamer, made), sink=ClockedSink(rates=()))
        assert len(made) < 10_000


class TestCancel:
    def interrupt(self, player):
        if player.position > 0.02:
            raise KeyboardInterrupt

    def test_ctrl_c_stops_a_model_that_ignores_stop_check_fn(self, sink):
        made = []
        with pytest.raises(Interrupted):
            stream_to_player(lambda streamer: endless(streamer, made), sink=sink, on_tick=self.interrupt)
        assert len(made) < 10_000
        assert not [thread for thread in threading.enumerate() if thread.name == "voice-generate"]

    def test_ctrl_c_makes_stop_check_fn_true(self, sink, replayed_model):
        model = replayed_model(1_000_000)

        def generate(streamer):
            streamer.put = AudioStreamer.put.__get__(streamer)  # replaces the version that raises after a cancel
            model.generate(
                audio_streamer=streamer,
                tokenizer=None,
                all_prefilled_outputs={"lm": []},
                stop_check_fn=streamer.stop_check_fn,
            )

        with pytest.raises(Interrupted):
            stream_to_player(generate, sink=sink, on_tick=self.interrupt)
        assert model.stopped

    def test_callers_streamer_is_cancelled(self, sink, work):
        streamer = AudioStreamer(1, max_chunks=8)
        stopped = threading.Event()

        def generate():
            while not streamer.stop_check_fn():
                streamer.put(chunks(1)[0], np.array([0]))
            stopped.set()

        work(generate)
        with pytest.raises(Interrupted):
            stream_to_player(streamer, sink=sink, on_tick=self.interrupt)
        happened(stopped)

    def test_cancelling_the_streamer_ends_playback(self, sink):
        def generate(streamer):
            generator(chunks(3))(streamer)
            streamer.cancel()

        with pytest.raises(Interrupted):
            stream_to_player(generate, sink=sink)


def test_it_is_exported_by_the_streamer_package():
    assert "stream_to_player" in voice_cli.streamer.__all__
    assert voice_cli.streamer.stream_to_player is stream_to_player
