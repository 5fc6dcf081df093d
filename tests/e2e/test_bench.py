"""`voice bench` on an audio device: measurements match playback."""

import json

import pytest

from support import material
from support.server import Answer
from support.sound import speech
from voice_cli.audio import AudioFormat

pytestmark = pytest.mark.e2e


def test_cold_runs_are_played_and_measured(audio, voice, serve):
    sent = speech(0.6)
    server = serve(Answer(sent.tobytes(), first_byte=0.15, chunk=4800, byte_rate=96000))
    with audio.record() as heard:
        result = voice("bench", "Hi", "-n", "2", "--base-url", server.url, "--json")
    assert result.code == 0, result.err
    assert heard.samples.any(axis=1).sum() >= 2 * len(sent)
    (target,) = result.json["targets"]
    assert target["summary"]["ttfa_ms"]["median"] >= 150
    for run in target["runs"]:
        assert run["added_ms"] == pytest.approx(run["ttfa_ms"] - run["ttfb_ms"] - run["leading_silence_ms"], abs=0.02)
        assert run["moments_ms"]["first_audible"] == pytest.approx(run["ttfa_ms"], abs=0.02)
        check_curve(run, 0.6)


def check_curve(run, seconds):
    times, received, heard = zip(*run["curve"], strict=True)
    assert list(times) == sorted(times)
    assert list(received) == sorted(received)
    assert list(heard) == sorted(heard)
    assert all(r >= h for r, h in zip(received, heard, strict=True)), "played before it was received"
    assert (received[-1], heard[-1]) == (pytest.approx(seconds, abs=1e-3), pytest.approx(seconds, abs=1e-3))
    assert times[-1] == pytest.approx(run["moments_ms"]["last_frame"], abs=0.1)


def test_underrun_time_equals_flat_parts_of_the_curve(voice, serve, audio):
    server = serve(Answer(speech(1.5).tobytes(), first_byte=0.1, chunk=2400, byte_rate=0.7 * 48000))
    with audio.record():  # an unrecorded sink does not keep time
        result = voice("bench", "-n", "1", "--base-url", server.url, "--json", "--smooth", "off")
    assert result.code == 0, result.err
    (run,) = result.json["targets"][0]["runs"]
    assert run["underruns"] >= 1
    check_curve(run, 1.5)
    flat = sum(
        after[0] - before[0]
        for before, after in zip(run["curve"], run["curve"][1:], strict=False)
        if before[2] == after[2] and before[0] > run["moments_ms"]["started"]
    )
    assert flat == pytest.approx(run["underrun_ms"], abs=1)


def test_warm_runs_share_device_and_connection(audio, voice, serve):
    server = serve(Answer(speech(0.4).tobytes(), first_byte=0.1, chunk=4800))
    with audio.record():
        result = voice("bench", "-n", "2", "--warm", "--base-url", server.url, "--json")
    assert result.code == 0, result.err
    assert server.connections == 1
    (target,) = result.json["targets"]
    for run in target["runs"]:
        assert run["ttfa_ms"] > 100
        check_curve(run, 0.4)


def test_each_profile_is_run_with_each_format(audio, voice, serve, tmp_path):
    mp3 = material.encoded("mp3", AudioFormat(24000, 1), 0.5, seekable=False)
    pcm = speech(0.5).tobytes()
    server = serve(
        lambda request: (
            Answer(mp3, "audio/mpeg") if request.json["response_format"] == "mp3" else Answer(pcm, first_byte=0.05)
        )
    )
    (tmp_path / "config.toml").write_text(
        f'[profiles.server]\nbase_url = "{server.url}"\n[profiles.embedded]\nbackend = "espeak"\n'
    )
    result = voice(
        "bench", "Hi", "--all", "-n", "1", "--format", "pcm,mp3", "--html", "p.html",
        environment={"VOICE_CONFIG": str(tmp_path / "config.toml")},
    )  # fmt: skip
    assert result.code == 0, result.err
    names, *rows = [line.split("\t") for line in result.out.decode().splitlines()]
    rows = [dict(zip(names, row, strict=True)) for row in rows]
    assert [(row["target"], row["format"], row["complete"]) for row in rows] == [
        ("server", "pcm", "1"), ("server", "mp3", "1"), ("embedded", "pcm", "1"), ("embedded", "mp3", "1"),
    ]  # fmt: skip
    assert all(float(row["ttfa_ms"]) > 0 for row in rows)
    assert (tmp_path / "p.html").read_text("utf-8").count('class="curve"') == 4


def test_unknown_device_fails_after_one_run(voice, audio):
    result = voice("bench", "--backend", "espeak", "--device", "no such device", "--json")
    assert result.code == 9
    (target,) = result.json["targets"]
    assert len(target["runs"]) == 1, "the run was repeated"
    assert json.loads(result.out)["exit_code"] == 9
