"""Loudness normalization: the gains of voices, and what is stored of them."""

import json
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.player import FakeStream, Rig
from support.sound import speech
from support.threads import WAIT
from voice_cli.audio import AudioFormat, PcmChunk
from voice_cli.pcm.limiter import CEILING
from voice_cli.pcm.loudness import Meter
from voice_cli.playback.normalizer import (
    KNOWN_SECONDS,
    MOST_VOICES,
    SLOPE,
    TARGET,
    Levels,
    Normalizer,
)
from voice_cli.playback.prebuffer import Prebuffer
from voice_cli.recording.recorder import Recorder
from voice_cli.script.line import Line
from voice_cli.speech.events import Utterance

RATE = 8000
MONO = AudioFormat(RATE, 1)


def voice(decibels, seconds=4.0, seed=1):
    """Return modulated noise of that level: (frames,) int16."""
    samples = speech(seconds, RATE, seed=seed)[:, 0] * 10 ** (decibels / 20)
    return np.rint(samples).clip(-32768, 32767).astype("<i2")


def loudness(samples):
    meter = Meter(MONO, dual_mono=True)
    meter.feed(samples.tobytes())
    meter.finish()
    return meter.integrated


@pytest.fixture
def levels(tmp_path):
    return Levels(str(tmp_path / "learned.json"))


def utterance(name):
    return Utterance(Line(name, name), FakeStream())


def normalized(levels, parts, cut=1000):
    """Normalize utterances, (voice, samples) each; return the samples."""
    normalizer, out = Normalizer(levels, lambda utterance: utterance.line.text), b""
    for name, samples in parts:
        normalizer.begin(utterance(name))
        for at in range(0, len(samples), cut):
            out += normalizer.process(PcmChunk(MONO, samples[at : at + cut].tobytes())).data
    rest = normalizer.flush()
    out += rest.data if rest is not None else b""
    normalizer.learn()
    return np.frombuffer(out, "<i2")


def test_two_voices_are_equally_loud_once_they_are_known(levels):
    parts = [("soft", voice(-14)), ("loud", voice(-7, seed=2))]
    assert loudness(parts[1][1]) - loudness(parts[0][1]) == pytest.approx(7, abs=0.3)
    normalized(levels, parts)
    out = normalized(levels, parts)
    assert len(out) == sum(len(samples) for _, samples in parts)
    halves = [loudness(out[: len(parts[0][1])]), loudness(out[len(parts[0][1]) :])]
    assert halves == pytest.approx([TARGET, TARGET], abs=0.5)


def test_the_gain_of_a_known_voice_is_constant(levels):
    sent = voice(-10)
    normalized(levels, [("a", sent)])
    gain = 10 ** ((TARGET - levels.of("a")) / 20)
    np.testing.assert_array_equal(normalized(levels, [("a", sent)] * 2), np.rint(np.tile(sent, 2) * gain))


def test_an_unknown_voice_begins_unchanged_and_its_gain_has_no_jump(levels):
    sent = voice(-8, 8.0)
    out = normalized(levels, [("a", sent)])
    first = int(1.4 * RATE)
    np.testing.assert_array_equal(out[:first], sent[:first])
    loud = np.abs(sent) > 100
    places = np.flatnonzero(loud)
    gains = 20 * np.log10(np.abs(out[loud]) / np.abs(sent[loud]))
    steps = np.abs(np.diff(gains)) - SLOPE * np.diff(places) / RATE
    assert steps.max() < 0.15, "no more than the rounding"
    assert gains[-1] > 6
    assert loudness(out[-2 * RATE :]) == pytest.approx(TARGET, abs=0.5)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9000), st.booleans())
def test_the_samples_do_not_depend_on_the_cut(tmp_path_factory, cut, is_known):
    levels = Levels(str(tmp_path_factory.mktemp("state") / "learned.json"))
    parts = [("a", voice(-20, 2.5)), ("b", voice(6, 0.3, seed=3)), ("a", voice(-20, 1.0, seed=4))]
    if is_known:
        levels.note({"a": (-30.0, 5.0), "b": (-10.0, 5.0)})
    before = levels.of("a"), levels.of("b")
    whole = normalized(levels, parts, cut=10**6)
    levels.note({})
    other = Levels(str(tmp_path_factory.mktemp("state") / "learned.json"))
    for name, known in zip("ab", before, strict=True):
        if known is not None:
            other.note({name: (known, 5.0)})
    np.testing.assert_array_equal(normalized(other, parts, cut), whole)
    assert np.abs(whole.astype(int)).max() <= CEILING


def test_without_a_name_a_voice_is_not_stored(levels, tmp_path):
    normalized(levels, [("", voice(-20)), ("", voice(-10))])
    assert not (tmp_path / "learned.json").exists()


def test_a_short_speech_is_not_stored(levels):
    normalized(levels, [("a", voice(-20, 0.8))])
    assert levels.of("a") is None


def test_what_is_stored_is_an_average_of_the_power(levels):
    levels.note({"a": (-20.0, 10.0)})
    levels.note({"a": (-30.0, 10.0)})
    assert levels.of("a") == pytest.approx(10 * np.log10((0.01 + 0.001) / 2), abs=0.01)
    for index in range(MOST_VOICES):
        levels.note({f"v{index}": (-20.0, 1.0)})
    assert levels.of("a") is None, "the oldest is dropped"


@pytest.mark.parametrize("entry", [None, 3, [], ["x", 1], [True, 1], [-500, 1], [1e9, 1], {"a": 1}, [-20]])
def test_a_file_with_anything_is_read(tmp_path, entry):
    path = tmp_path / "learned.json"
    path.write_text(json.dumps({"loudness": {"a": entry}}))
    levels = Levels(str(path))
    assert levels.of("a") is None
    levels.note({"a": (-20.0, 2.0)})
    assert levels.of("a") == -20.0


def test_numpy_is_loaded_after_the_sound_has_begun(levels, monkeypatch):
    loaded = threading.Event()
    monkeypatch.setattr("voice_cli.playback.normalizer.load", loaded.set)
    normalizer = Normalizer(levels, lambda _utterance: "a")
    normalizer.has_started = lambda: False
    normalizer.begin(utterance("a"))
    chunk = PcmChunk(MONO, voice(-20, 0.5).tobytes())
    normalizer.process(chunk)
    assert not loaded.is_set()
    normalizer.has_started = lambda: True
    normalizer.process(chunk)
    assert loaded.wait(WAIT)


def test_numpy_is_loaded_after_the_sound_of_a_known_voice(tmp_path):
    path = str(tmp_path / "learned.json")
    Levels(path).note({"a": (-22.0, 5.0)})
    program = f"""if True:
        import sys
        from voice_cli.audio import AudioFormat, PcmChunk
        from voice_cli.playback.normalizer import Levels, Normalizer
        from voice_cli.script.line import Line
        from voice_cli.speech.events import Utterance
        normalizer = Normalizer(Levels({path!r}), lambda _utterance: "a")
        normalizer.begin(Utterance(Line("a", "a"), None))
        for _ in range(40):
            normalizer.process(PcmChunk(AudioFormat({RATE}, 1), bytes(range(100)) * 80))
        normalizer.flush()
        print("numpy" in sys.modules)
        normalizer.learn()
        print("numpy" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"]


def test_the_beginning_of_a_known_voice_is_measured(levels):
    first, second = voice(-14, KNOWN_SECONDS), voice(-4, 10.0)
    levels.note({"a": (-22.0, 5.0), "b": (-22.0, 5.0)})
    normalized(levels, [("a", first)])
    normalized(levels, [("b", first), ("b", second)])
    assert levels.of("b") == pytest.approx(levels.of("a"), abs=0.05)


def test_nothing_of_it_is_imported_if_it_is_off():
    program = "import sys, voice_cli.cli.say, voice_cli.cli.playing, voice_cli.cli.agent_speech; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    names = {"voice_cli.playback.normalizer", "voice_cli.pcm.limiter", "voice_cli.pcm.loudness"}
    assert not names & set(done.stdout.split())


class PcmRecorder(Recorder):
    """Keeps the PCM."""

    def __init__(self):
        self.pcm = b""

    def begin(self, codec):
        pass

    def write_pcm(self, chunk):
        self.pcm += chunk.data

    def close(self, *, complete):
        pass


def test_what_is_played_and_what_is_saved_are_the_same(levels):
    levels.note({"": (-22.0, 5.0)})
    levels.note({"a": (-22.0, 5.0)})
    sent, recorder = voice(-14, 1.0), PcmRecorder()
    stream = FakeStream(sent[:3001].tobytes(), sent[3001:].tobytes(), end=True)
    normalizer = Normalizer(levels, lambda _utterance: "a")
    with Rig([stream], recorder=recorder, prebuffer=Prebuffer(0.05), normalizer=normalizer) as rig:
        rig.settle()
        rig.play_out()
    wanted = np.rint(sent * 10 ** (6 / 20)).astype("<i2").tobytes()
    assert rig.played() == recorder.pcm == wanted
