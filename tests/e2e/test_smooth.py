"""A server slower than speech: where playback waits, and that nothing is lost, in the recorded wave."""

import json
import random
import threading
import time
import wave

import numpy as np
import pytest

from support import material
from support.server import Answer
from support.sound import speech
from voice_cli.audio import AudioFormat
from voice_cli.playback.learned import MAX_LATENCY

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

RATE = 24000
TEXT = "The quick brown fox jumps over the lazy dog and comes home late at night. " * 4
STALL = 4.0
"""Seconds."""
ENCODED_CHUNK = 400
"""Bytes."""
LOUD = 300
"""Samples above it are compared, in order; those of a pause and of a ramp in it are below it."""


def spoken(seconds, seed=1, pauses=(0.25, 0.4)):
    """Return phrases of 1.2 to 2.6 s with pauses after them: (frames, 1) int16, never 0; a pause is all 1."""
    rng = random.Random(seed)
    samples = speech(seconds, seed=seed)
    at = 0
    while (at := at + int(RATE * rng.uniform(1.2, 2.6))) < len(samples) - RATE:
        end = at + int(RATE * rng.uniform(*pauses))
        samples[at:end] = 1
        at = end
    return samples


class SlowServer:
    """Answers one request after the other, each with the speech of its text, at `rate` seconds of speech a second."""

    def __init__(self, serve, rate, *, chars_per_second=15.0, codec="pcm", stall=None, **pace):
        """`stall`: a second of the first answer before which nothing comes for STALL seconds."""
        self.rate, self.codec = rate, codec
        self.stall = stall
        self.chars_per_second = chars_per_second
        self.pace = pace
        self.seconds = 0.0
        """Seconds of speech that were sent."""
        self.began = None
        """When the first audio could be decoded: MP3's first chunk ends before its first frame of audio does."""
        self._free_at = 0.0
        self._lock = threading.Lock()
        self.server = serve(self._answer_in_turn)

    def _answer_in_turn(self, request):
        with self._lock:
            return self._answer(request)

    def _answer(self, request):
        now = time.monotonic()
        seconds = len(request.json["input"]) / self.chars_per_second
        self.seconds += seconds
        sent = spoken(seconds, seed=len(request.json["input"]))
        body = sent.tobytes()
        if self.codec != "pcm":
            body = material.encode(self.codec, body, AudioFormat(RATE, 1))
        byte_rate = len(body) / seconds * self.rate
        begin = max(now + 0.1, self._free_at)
        if self.began is None:
            self.began = begin + (ENCODED_CHUNK / byte_rate if self.codec == "mp3" else 0.0)
        self._free_at = begin + seconds / self.rate
        stall, self.stall = self.stall, None
        pauses = {}
        if stall is not None:
            pauses = {"pause_at": {int(RATE * stall) * 2 // 4096 * 4096: STALL}}
            self._free_at += STALL
        return Answer(
            body,
            content_type="audio/pcm; rate=24000" if self.codec == "pcm" else f"audio/{self.codec}",
            first_byte=begin - now,
            byte_rate=byte_rate,
            **{"chunk": 4096 if self.codec == "pcm" else ENCODED_CHUNK, **self.pace, **pauses},
        )


def waits(heard, expected, rate):
    """Return where playback waited, and how long, in seconds; check that nothing is lost or repeated."""
    ours, theirs = (np.flatnonzero(np.abs(samples[:, 0].astype(int)) > LOUD) for samples in (heard, expected))
    np.testing.assert_array_equal(heard[ours], expected[theirs])
    more = np.diff(ours) - np.diff(theirs)
    places = np.flatnonzero(more > 0.01 * rate)
    for at in places:
        assert theirs[at + 1] - theirs[at] > 0.2 * rate, "the wait is not in a pause of the speech"
    return [(theirs[at] / rate, more[at] / rate) for at in places]


def words_around(heard, expected):
    """Check that nothing is lost at the one wait, which may be inside a word, and return its place in frames."""
    first = int(np.flatnonzero(heard[:, 0])[0])
    sound = heard[first : int(np.flatnonzero(heard[:, 0])[-1]) + 1]
    before = int(np.argmax(np.any(sound[: len(expected)] != expected, axis=1)))
    for kept in range(max(0, before - 2), before + 1):  # the first sample of the ramp may be that of the next frame
        if np.array_equal(sound[kept - len(expected) :], expected[kept:]):
            return kept
    raise AssertionError("frames are lost")


def long_waits(heard, expected):
    """Return where the sound begins after each wait of more than a second, and how long that is, in seconds."""
    loud = np.flatnonzero(np.abs(heard[:, 0].astype(int)) > LOUD)
    found = []
    for at in np.flatnonzero(np.diff(loud) > RATE):
        after = heard[loud[at + 1] : loud[at + 1] + RATE // 10].tobytes()
        found.append((expected.tobytes().find(after) / 2 / RATE, np.diff(loud)[at] / RATE))
    return found


class Listener:
    """Runs `voice say` with a state folder of its own, so that a second run knows what the first one learned."""

    def __init__(self, audio, voice, folder):
        self.audio, self.voice, self.folder = audio, voice, folder
        learned = folder / "state" / "voice" / "learned.json"
        learned.parent.mkdir(parents=True)
        learned.write_text(json.dumps({"devices": {"default": {"latency": MAX_LATENCY, "clean": 0}}}))

    def listen(self, server, *options, find=waits):
        """Return the report, the waits, and the delay of the start after the first audio, in seconds."""
        server.began, server.seconds = None, 0.0
        sink = "ear48" if server.codec == "opus" else "ear"
        with self.audio.record(sink) as heard:
            result = self.voice(
                "say", TEXT, "--base-url", server.server.url, "--json", "-o", "whole.wav", "--format", server.codec,
                *options, sink=sink, environment={"XDG_STATE_HOME": str(self.folder / "state")}, timeout=120,
            )  # fmt: skip
        assert result.code == 0, result.err
        with wave.open(str(self.folder / "whole.wav")) as file:
            expected = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 1)
        report, least = result.json, server.seconds / server.rate - len(expected) / heard.rate
        first, lead = (np.flatnonzero(np.abs(each[:, 0]) > LOUD)[0] for each in (heard.samples, expected))
        delay = heard.exact_time_of(int(first)) - lead / heard.rate - server.began
        shown = {name: report[name] for name in ("underruns", "rebuffers", "arrival_rate", "arrival_lag_ms")}
        print(f"{server.rate} {server.codec} {options}: {len(expected) / heard.rate:.1f} s, {shown}")
        found = find(heard.samples, expected, heard.rate) if find is waits else find(heard.samples, expected)
        print(f"delay {delay:.2f}, least {least:.2f}, waits {found}")
        return report, found, delay


@pytest.fixture
def listener(audio, voice, tmp_path):
    return Listener(audio, voice, tmp_path)


def check_learned(report, found, delay, most=1.2):
    """Check a run whose backend is known. `most`: times the least delay."""
    assert found == []
    assert report["underruns"] == 0
    least = report["arrival_lag_ms"] / 1000
    assert least <= delay <= most * least + 2 * MAX_LATENCY  # the device takes its latency ahead, and plays it later


@pytest.mark.parametrize(
    ("rate", "codec", "smooth"),
    [
        (0.8, "pcm", "auto"),
        (0.8, "mp3", "auto"),
        (0.8, "opus", "auto"),
        (0.95, "pcm", "auto"),
        (0.95, "mp3", "auto"),
        (0.5, "pcm", "start"),
    ],
)
def test_a_slow_server_has_one_wait_at_most_and_none_when_it_is_known(listener, serve, rate, codec, smooth):
    server = SlowServer(serve, rate, codec=codec)
    report, found, _ = listener.listen(server)
    assert len(found) == report["underruns"] == report["rebuffers"] <= 1
    assert report["arrival_rate"] == pytest.approx(rate, rel=0.03)
    report, found, delay = listener.listen(server, "--smooth", smooth)
    assert report["learned_rate"] is not None
    check_learned(report, found, delay)


def test_a_slow_server_that_sends_bursts_has_no_wait_when_it_is_known(listener, serve):
    rng = random.Random(3)
    server = SlowServer(serve, 0.8, chunk=lambda _at: 2 * rng.randrange(2400, 24000))
    report, _, _ = listener.listen(server, find=words_around)  # nothing foretells the wait after the first burst
    assert report["underruns"] <= 1
    check_learned(*listener.listen(server), most=1.3)  # it starts when a burst arrives


def test_a_stall_is_one_wait_in_a_pause(listener, serve):
    """There is a pause from 1.59 to 1.92 s, which is not over when the stall has lasted for 0.25 s."""
    report, found, _ = listener.listen(SlowServer(serve, 1.6, stall=2.2), find=long_waits)
    assert report["underruns"] == report["rebuffers"] == len(found) == 1
    place, seconds = found[0]
    assert place == pytest.approx(1.92, abs=0.01)
    assert STALL - 1.5 < seconds < STALL + 0.5
    assert (report["outcome"], report["text_remaining"]) == ("complete", "")


def test_a_stall_after_the_last_pause_is_one_wait(listener, serve):
    """When it has lasted for 0.25 s, the pause is over, so playback waits after the last frame that has arrived."""
    server = SlowServer(serve, 1.6, stall=2.8)
    report, place, _ = listener.listen(server, find=words_around)
    assert (report["underruns"], report["rebuffers"]) == (1, 0)
    assert place / RATE == pytest.approx(2.73, abs=0.01)
    assert (report["outcome"], report["text_remaining"]) == ("complete", "")
