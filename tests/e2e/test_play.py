"""`voice play`: recorded from the audio server."""

import contextlib
import json
import subprocess

import numpy as np
import pytest

from support.server import Answer, SpeechServer
from support.sound import VOICE, holes, speech
from voice_cli.audio import AudioFormat
from voice_cli.codecs import open_encoder
from voice_cli.codecs.wav import wav_header
from voice_cli.playback.learned import MAX_LATENCY

pytestmark = pytest.mark.e2e

RATE = 24_000
MONO = AudioFormat(RATE, 1)


def wav(samples, audio_format=MONO):
    return wav_header(audio_format, samples.nbytes) + samples.tobytes()


def test_every_sample_of_a_wav_file_is_played(audio, voice, tmp_path):
    sent = speech(2.0)
    (tmp_path / "x.wav").write_bytes(wav(sent))
    with audio.record() as heard:
        result = voice("play", "x.wav", "--json")
    assert (result.code, result.err) == (0, "")
    np.testing.assert_array_equal(heard.sound, sent)
    assert result.json["outcome"] == "complete"
    assert (result.json["backend"], result.json["format"], result.json["underruns"]) == ("file", "wav", 0)


def test_stereo_at_the_rate_of_the_file(audio, voice, tmp_path):
    sent = speech(1.0, rate=44100, channels=2)
    (tmp_path / "x.wav").write_bytes(wav(sent, AudioFormat(44100, 2)))
    with audio.record("stereo") as heard:
        result = voice("play", "x.wav", sink="stereo")
    assert (result.code, result.err) == (0, "")
    np.testing.assert_array_equal(heard.sound, sent)


def test_files_follow_each_other_without_a_gap(audio, voice, tmp_path):
    sent = speech(3.0)
    cuts = [sent[:20_000], sent[20_000:20_100], sent[20_100:]]
    for index, part in enumerate(cuts):
        (tmp_path / f"{index}.wav").write_bytes(wav(part))
    with audio.record() as heard:
        result = voice("play", "0.wav", "1.wav", "2.wav", "--json")
    assert (result.code, result.err) == (0, "")
    np.testing.assert_array_equal(heard.sound, sent)


def test_lossless_and_lossy_formats_play_whole(audio, voice, tmp_path):
    sent = speech(1.0)
    for codec in ("flac", "mp3", "opus", "aac"):
        encoder = open_encoder(codec, MONO)
        (tmp_path / f"x.{codec}").write_bytes(encoder.encode(sent.tobytes()) + encoder.finish())
    with audio.record() as heard:
        result = voice("play", "x.flac")
    assert (result.code, result.err) == (0, "")
    np.testing.assert_array_equal(heard.sound, sent)
    for codec in ("mp3", "opus", "aac"):
        result = voice("play", f"x.{codec}", "--json")
        assert (result.code, result.json["format"]) == (0, codec)
        assert result.json["audio_ms"] == pytest.approx(1000, abs=130)


def test_a_pipe_plays_as_it_arrives(audio, tmp_path):
    sent = speech(1.5)
    data = wav_header(MONO, None) + sent.tobytes()
    player = subprocess.Popen(
        [*VOICE, "play", "-", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=audio.environment("ear", latency=MAX_LATENCY),
        cwd=tmp_path,
    )
    with audio.record() as heard, player as process:
        process.stdin.write(data[: len(data) // 2])
        process.stdin.flush()
        heard.wait_for_sound()  # half of the bytes have not been written
        out, _ = process.communicate(data[len(data) // 2 :], timeout=30)
    assert json.loads(out)["outcome"] == "complete"
    sound = heard.sound
    quiet = holes(sound, RATE)
    if not quiet:  # else it ran dry on a busy machine: an underrun has ramps
        np.testing.assert_array_equal(sound, sent)


def test_raw_samples_have_the_stated_format(audio, voice, tmp_path):
    sent = speech(0.8)
    (tmp_path / "x.bin").write_bytes(sent.astype(">i2").tobytes())
    with audio.record() as heard:
        result = voice("play", "x.bin", "--raw", "s16be", "--rate", "24000")
    assert (result.code, result.err) == (0, "")
    np.testing.assert_array_equal(heard.sound, sent)


def test_a_url_streams_and_redirects(audio, voice):
    sent = speech(1.5)
    body = wav(sent)

    def answer(request):
        if request.path == "/old.wav":
            return Answer(b"", status=302, headers={"location": f"http://localhost:{server.port}/new.wav"})
        return Answer(body, content_type="audio/wav", chunked=False, chunk=4000, byte_rate=200_000)

    with SpeechServer(answer) as server, audio.record() as heard:
        result = voice("play", f"http://127.0.0.1:{server.port}/old.wav", "--json")
    assert (result.code, result.err) == (0, "")
    np.testing.assert_array_equal(heard.sound, sent)
    assert result.json["ttfa_ms"] < 1000 * len(body) / 200_000 + 5000


def test_all_that_arrived_of_a_cut_file_is_played(audio, voice, tmp_path):
    sent = speech(1.0)
    (tmp_path / "x.wav").write_bytes(wav(sent)[:-10_000])
    with audio.record() as heard:
        result = voice("play", "x.wav", "--json")
    assert result.code == 8
    assert result.err == "voice: x.wav: the WAV stream stopped 10000 bytes before the end of its data\n"
    assert result.json["outcome"] == "truncated"
    np.testing.assert_array_equal(heard.sound, sent[:-5000])


def test_keys_pause_and_seek(audio, job, tmp_path):
    sent = speech(12.0)
    (tmp_path / "x.wav").write_bytes(wav(sent))
    with audio.record() as heard, job("play", "x.wav", "--json") as voice:
        heard.wait_for_sound()
        heard.wait_for(0.7)
        voice.press(b" ")
        voice.wait_for("paused")
        voice.press(b"\x1b[C")
        voice.press(b" ")
        heard.wait_for(1.0)
        voice.press(b"?")
        voice.wait_for("5 s back/forward")
        voice.press(b"\x1b[C")
        heard.wait_for(0.7)
        report, out = voice.end()
    assert report == {"code": 0, "is_plain": True, "has_echo": True}
    result = json.loads(out)
    assert result["outcome"] == "complete"
    assert result["playback_ms"] == pytest.approx(2000, abs=300)
    sound = heard.sound[:, 0]
    np.testing.assert_array_equal(sound[-2400:], sent[-2400:, 0])


def test_show_prints_the_subtitles(audio, voice, tmp_path):
    (tmp_path / "x.wav").write_bytes(wav(speech(1.2)))
    (tmp_path / "x.srt").write_text(
        "1\n00:00:00,000 --> 00:00:00,500\nFirst line\n\n2\n00:00:00,500 --> 00:00:01,000\nSecond,\n<i>wrapped</i>\n\n"
        "3\n00:00:09,000 --> 00:00:10,000\nNever\n"
    )
    result = voice("play", "x.wav", "--show")
    assert (result.code, result.out.decode()) == (0, "First line\nSecond, wrapped\n")


@pytest.mark.parametrize("with_agent", [False, True])
def test_other_terminals_control_it(audio, voice, tmp_path, with_agent):
    (tmp_path / "run").mkdir(mode=0o700)
    environment = {"XDG_RUNTIME_DIR": str(tmp_path / "run")}
    (tmp_path / "x.wav").write_bytes(wav(speech(40.0)))
    if with_agent:
        assert voice("agent", "start", environment=environment).code == 0
    command = [*VOICE, "play", "x.wav", "--json"]
    variables = {**audio.environment("ear", latency=MAX_LATENCY), **environment}
    try:
        with (
            audio.record() as heard,
            subprocess.Popen(command, stdout=subprocess.PIPE, env=variables, cwd=tmp_path) as process,
            contextlib.ExitStack() as ended,
        ):
            ended.callback(process.kill)  # also after a failure: the next test needs a silent sink
            heard.wait_for_sound()
            heard.wait_for(0.5)
            assert voice("queue", environment=environment).out.startswith(b"speaking")
            assert voice("pause", environment=environment).err == ""
            heard.wait_for(0.2)
            begins = len(heard.samples)
            heard.wait_for(0.5)
            assert not heard.samples[begins:].any(), "paused"
            assert voice("skip", "4", environment=environment).err == ""
            assert voice("resume", environment=environment).err == ""
            heard.wait_for(0.5)
            assert voice("stop", environment=environment).err == ""
            out, _ = process.communicate(timeout=30)
    finally:
        if with_agent:
            voice("agent", "stop", "--now", environment=environment)
    result = json.loads(out)
    assert result["outcome"] == "cancelled"
    assert result["heard_ms"] > 20_000
    assert result["paused_ms"] > 500
    assert not list((tmp_path / "run" / "voice").glob("play-*"))
