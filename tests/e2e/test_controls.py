"""Live control with keys: recorded from the audio server."""

import json
import signal

import numpy as np
import pytest

from support.server import Answer
from support.sound import holes, speech

pytestmark = pytest.mark.e2e

RATE = 24_000
RAMP = 120
"""Frames of a ramp."""


def kept_around(sound, sent):
    """Return the frames of `sent` before a pause in `sound`; check that those after it follow, each once."""
    before = int(np.argmax(sound[: len(sent)] != sent))
    for kept in (before, before - 1):  # the first sample of the ramp may be that of the next frame
        if np.array_equal(sound[kept - len(sent) :], sent[kept:]):
            return kept
    raise AssertionError(f"the frames after the pause do not follow those before it, up to {before}")


def test_pause_and_resume_lose_nothing(audio, serve, job, tmp_path):
    sent = speech(4.0)
    server = serve(Answer(sent.tobytes()))
    with audio.record() as heard, job("say", "x", "--base-url", server.url, "--json", "-o", "all.wav") as voice:
        heard.wait_for_sound()
        heard.wait_for(0.7)
        voice.press(b" ")
        voice.wait_for("paused")
        heard.wait_for(3.0)
        voice.press(b" ")
        report, out = voice.end()
    assert report == {"code": 0, "is_plain": True, "has_echo": True}
    sound, sent_frames = heard.sound[:, 0], sent[:, 0]
    kept = kept_around(sound, sent_frames)
    added = len(sound) - len(sent)
    result = json.loads(out)
    assert result["paused_ms"] == pytest.approx(1000 * added / RATE, abs=10)  # the device pulls blocks of 7 ms
    assert result["playback_ms"] == pytest.approx(4000, abs=20)
    assert (result["underruns"], result["device_underflows"]) == (0, 0)
    silence = sound[kept + RAMP : kept + added - RAMP]
    assert not silence.any()
    assert len(silence) > 2.5 * RATE
    assert np.abs(sound[kept : kept + RAMP]).max() <= abs(int(sound[kept - 1]))
    saved = np.frombuffer((tmp_path / "all.wav").read_bytes()[-sent.nbytes :], "<i2")
    np.testing.assert_array_equal(saved, sent_frames)


def marked_tone(seconds):
    """Return a quiet tone of 440 Hz with a loud mark of 20 ms at each half second, from 0.25 s on."""
    tone = 3000 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * RATE)) / RATE) + 0.5
    for at in np.arange(0.25, seconds, 0.5):
        tone[int(at * RATE) : int((at + 0.02) * RATE)] *= 5
    return tone.round().astype("<i2")


def test_live_speed_keeps_pitch_and_times(audio, serve, job):
    server = serve(Answer(marked_tone(9.0).tobytes()))
    with audio.record() as heard, job("say", "x", "--base-url", server.url, "--json") as voice:
        heard.wait_for_sound()
        heard.wait_for(1.5)
        voice.press(b"]" * 7)
        voice.wait_for("speed 1.7")
        heard.wait_for(2.5)
        voice.press(b"[" * 7)
        report, out = voice.end()
    assert report["code"] == 0
    result = json.loads(out)
    assert result["underruns"] == 0
    assert result["utterances"][0]["end_ms"] == 9000
    assert result["text_spoken"] == "x"
    sound = heard.sound[:, 0].astype(float)
    assert result["playback_ms"] == pytest.approx(1000 * len(sound) / RATE, abs=30)
    loud = np.flatnonzero(np.abs(sound) > 6000)
    marks = loud[np.flatnonzero(np.diff(loud, prepend=-RATE) > 0.1 * RATE)]
    assert len(marks) == 18, "each mark is heard once"
    steps = np.diff(marks) / RATE
    assert steps[0] == pytest.approx(0.5, abs=0.001)
    assert steps[-1] == pytest.approx(0.5, abs=0.001)
    fast = np.flatnonzero(np.abs(steps - 0.5 / 1.7) < 0.03)
    assert len(fast) >= 5
    assert np.mean(steps[fast[1:-1]]) == pytest.approx(0.5 / 1.7, rel=0.03)
    piece = sound[marks[fast[1]] : marks[fast[-1]]]
    piece = np.where(np.abs(piece) > 3100, 0.0, piece)
    spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 1 << 20))
    assert spectrum.argmax() * RATE / (1 << 20) == pytest.approx(440, rel=0.01)


def test_live_volume_changes_the_next_frames(audio, serve, job):
    sent = speech(4.0)
    server = serve(Answer(sent.tobytes()))
    with audio.record() as heard, job("say", "x", "--base-url", server.url, "--json") as voice:
        heard.wait_for_sound()
        heard.wait_for(0.7)
        voice.press(b"\x1b[B" * 5)
        voice.wait_for("volume 0.5")
        report, out = voice.end()
    assert report["code"] == 0
    sound, frames = heard.sound[:, 0], sent[:, 0]
    assert len(sound) == len(frames), "no frame more or less"
    halved = np.rint(frames * np.float32(0.5))
    changed = int(np.argmax(sound != frames))
    assert RATE / 2 < changed < 2 * RATE
    np.testing.assert_array_equal(sound[-2 * RATE :], halved[-2 * RATE :])
    assert np.abs(sound[changed:]).max() <= np.abs(frames).max()
    assert json.loads(out)["underruns"] == 0


PARAGRAPHS = ("One is first.", "Two is next.", "Three is third.", "Four is last.")
"""Each is an utterance."""


def test_skip_and_back_by_sentence(audio, serve, job):
    sounds = {text: speech(2.0, seed=seed) for seed, text in enumerate(PARAGRAPHS)}
    server = serve(lambda request: Answer(sounds[request.json["input"]].tobytes()))
    options = ("--json", "--pause", "0", "--lookahead", "3")
    with audio.record() as heard, job("say", "\n\n".join(PARAGRAPHS), "--base-url", server.url, *options) as voice:
        heard.wait_for_sound()
        server.wait_for(4)
        heard.wait_for(0.5)
        voice.press(b"\x1b[C\x1b[C")  # to the third
        heard.wait_for(1.5)
        voice.press(b"\x1b[D")  # to its start
        heard.wait_for(0.3)
        report, out = voice.end()
    assert report["code"] == 0
    result = json.loads(out)
    assert (result["underruns"], result["device_underflows"]) == (0, 0)
    one, two, three, four = (sounds[text][:, 0] for text in PARAGRAPHS)
    sound = heard.sound[:, 0]
    np.testing.assert_array_equal(sound[-2 * len(four) :], np.concatenate((three, four)))
    first = int(np.argmax(sound[: len(one)] != one))
    assert 0.3 * RATE < first < len(one)
    third = first + 2 * RAMP
    again = int(np.argmax(sound[third : third + len(three)] != three))
    assert again > RATE
    assert third + again + 2 * RAMP == len(sound) - len(three) - len(four)
    assert result["outcome"] == "complete"
    assert result["text_spoken"].split() == " ".join(PARAGRAPHS[2:]).split()
    assert result["text_skipped"].split() == " ".join(PARAGRAPHS[:2]).split()
    assert result["text_remaining"] == ""
    assert len(two) == 2 * RATE


@pytest.mark.parametrize(
    ("key", "code"),
    [(b"q", 130), (b"\x03", -signal.SIGINT), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP)],
)
def test_each_way_to_quit_restores_the_terminal(audio, serve, job, key, code):
    server = serve(Answer(speech(20.0).tobytes(), chunk=4800, byte_rate=96_000))
    with audio.record() as heard, job("say", "x", "--base-url", server.url, "--json") as voice:
        heard.wait_for_sound()
        voice.press(b" ")
        voice.wait_for("paused")
        if isinstance(key, bytes):
            voice.press(key)
        else:
            voice.kill(key)
        report, out = voice.end()
    assert report == {"code": code, "is_plain": True, "has_echo": True}
    result = json.loads(out)
    assert result["outcome"] == "cancelled"
    assert result["text_spoken"] == ""
    assert result["text_remaining"] == "x"


def test_ctrl_z_and_fg(audio, serve, job):
    sent = speech(4.0)
    server = serve(Answer(sent.tobytes()))
    with audio.record() as heard, job("say", "x", "--base-url", server.url, "--json") as voice:
        heard.wait_for_sound()
        voice.press(b" ")
        voice.wait_for("paused")
        voice.press(b"\x1a")
        assert voice.wait() == {"code": None, "is_plain": True, "has_echo": True}
        voice.go_on()
        voice.press(b"?")
        voice.wait_for("space pause")
        voice.press(b" ")
        report, out = voice.end()
    assert report == {"code": 0, "is_plain": True, "has_echo": True}
    kept_around(heard.sound[:, 0], sent[:, 0])
    assert json.loads(out)["outcome"] == "complete"


def test_a_key_does_not_echo_and_is_not_left_for_the_shell(audio, serve, job):
    server = serve(Answer(speech(2.0).tobytes()))
    with audio.record() as heard, job("say", "x", "--base-url", server.url, "-q") as voice:
        heard.wait_for_sound()
        heard.wait_for(0.3)
        voice.press(b"zz]")
        report, _ = voice.end()
    assert report["code"] == 0
    assert voice.drawn == ""
    assert not holes(heard.sound, RATE)


def test_skip_within_an_utterance_that_has_word_times(audio, job):
    text = "The first sentence is rather long. The second one is long too. The third is the end."
    with audio.record() as heard, job("say", text, "--json") as voice:
        heard.wait_for_sound()
        voice.press(b"\x1b[C")
        heard.wait_for(0.5)
        report, out = voice.end()
    assert report["code"] == 0
    result = json.loads(out)
    spoken, skipped = result["text_spoken"], result["text_skipped"]
    assert spoken.endswith("The second one is long too. The third is the end.")
    assert skipped
    assert "The first sentence is rather long.".endswith(skipped)
    assert len(result["words"]) == len(spoken.split())
    assert len(result["utterances"]) == 1
