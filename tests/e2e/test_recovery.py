"""Servers that fail: what is heard and saved is the whole speech, once, with and without the agent."""

import json
import socket
import subprocess
import wave

import numpy as np
import pytest

from support import material
from support.server import Answer
from support.sound import speech
from voice_cli.audio import AudioFormat

pytestmark = pytest.mark.e2e


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def alternating(*answers):
    """Return a function that gives the answers in turn."""
    count = 0

    def respond(_request):
        nonlocal count
        count += 1
        return answers[(count - 1) % len(answers)]

    return respond


@pytest.mark.parametrize("at", [0.3, 1.7, 2.9])
def test_a_cut_is_not_heard(audio, voice, serve, tmp_path, at):
    sent = speech(3.0)
    data = sent.tobytes()
    server = serve(alternating(Answer(data, die_after=int(48_000 * at), byte_rate=200_000), Answer(data)))
    with audio.record() as heard:
        result = voice("say", "x", "--base-url", server.url, "--json", "-o", "x.wav")
    assert result.code == 0
    np.testing.assert_array_equal(heard.sound, sent)
    assert result.json["outcome"] == "complete"
    assert result.json["retries"] == 1
    assert result.json["resumed"] == [{"at_ms": pytest.approx(1000 * at, abs=1), "by": "http"}]
    assert "the speech was cut" in result.err
    with wave.open(str(tmp_path / "x.wav")) as saved:
        assert saved.readframes(10**6) == data


def test_every_second_request_of_a_long_text_fails(voice, serve, tmp_path):
    text = " ".join(f"This is the sentence with number {n}, and it is as long as the others." for n in range(100))
    sent = speech(2.0)
    data = sent.tobytes()
    good = Answer(data)
    failures = [Answer(b"{}", status=500), Answer(b"{}", status=429, headers={"Retry-After": "0"})]
    failures.append(Answer(data, die_after=30_000))
    answers = [answer for failure in failures for answer in (good, failure)]
    server = serve(alternating(*answers))
    (tmp_path / "text.txt").write_text(text)
    result = voice("say", "-f", "text.txt", "--base-url", server.url, "--no-play", "-o", "x.wav", "--json")
    assert result.code == 0, result.err
    assert result.json["outcome"] == "complete"
    count = len(result.json["utterances"])
    assert result.json["retries"] == len(server.requests) - count > count // 2
    assert result.json["text_remaining"] == ""
    assert result.json["audio_ms"] == pytest.approx(2000 * count, abs=count)


@pytest.mark.parametrize("codec", ["mp3", "opus", "flac"])
def test_a_file_of_encoded_bytes_is_whole_after_a_cut(voice, serve, tmp_path, codec):
    data = material.encoded(codec, AudioFormat(24_000, 1), 4.0)
    kind = {"mp3": "audio/mpeg", "opus": "audio/ogg", "flac": "audio/flac"}[codec]
    server = serve(alternating(Answer(data, kind, die_after=len(data) // 2), Answer(data, kind)))
    name = f"x.{codec}"
    result = voice("say", "x", "--base-url", server.url, "--format", codec, "--no-play", "-o", name, "--json")
    assert result.code == 0, result.err
    assert len(result.json["resumed"]) == 1
    shown = subprocess.run(
        ["ffmpeg", "-v", "error", "-xerror", "-i", name, "-f", "s16le", "-ac", "1", "-ar", "24000", "-"],
        cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip
    assert shown.stderr == b""
    assert len(shown.stdout) / 48_000 == pytest.approx(4.0, abs=0.15)


CONFIG = """
agent = "off"
[profiles.dead]
backend = "http"
base_url = "http://127.0.0.1:{port}/v1"
fallback = ["living"]
[profiles.living]
backend = "http"
base_url = "{url}"
voice = "other"
"""


@pytest.fixture
def config(tmp_path):
    def write(**values):
        path = tmp_path / "config.toml"
        path.write_text(CONFIG.format(**values))
        return {"VOICE_CONFIG": str(path), "XDG_STATE_HOME": str(tmp_path / "state"), "VOICE_VOICE": "mine"}

    return write


def test_a_fallback_speaks_and_the_dead_server_is_skipped_then(voice, serve, config, tmp_path):
    sent = speech(0.5)
    server = serve(Answer(sent.tobytes()))
    environment = config(port=closed_port(), url=server.url)
    for words in ("dead failed (127.0.0.1", "dead has failed before and is not asked"):
        result = voice("say", "x", "--profile", "dead", "--json", "--no-play", "-o", "x.wav", environment=environment)
        assert result.code == 0
        with wave.open(str(tmp_path / "x.wav")) as saved:
            assert saved.readframes(10**6) == sent.tobytes()
        assert result.json["fallback"] == "living"
        assert words in result.err
        assert "living speaks" in result.err
    assert {request.json["voice"] for request in server.requests} == {"other"}, "a fallback has its own voice"
    assert result.json["retries"] == 0


def test_a_silent_server_costs_one_timeout_and_then_none(voice, serve, config):
    server = serve(Answer(speech(0.5).tobytes()))
    silent = serve(Answer(b"xx", first_byte=30))
    environment = config(port=silent.port, url=server.url)
    for count in (1, 1):
        result = voice(
            "say", "x", "--profile", "dead", "--first-byte-timeout", "0.5", "--no-play", "-o", "x.wav", "--json",
            environment=environment,
        )  # fmt: skip
        assert result.code == 0, result.err
        assert len(silent.requests) == count
    assert silent.client_left.wait(5)


def test_no_resume(voice, serve):
    sent = speech(1.0).tobytes()
    server = serve(Answer(sent, die_after=20_000))
    result = voice("say", "x", "--base-url", server.url, "--no-play", "-o", "x.wav", "--no-resume", "--json")
    assert result.code == 8
    assert len(server.requests) == 1
    assert "before its last chunk" in result.err


def test_a_short_content_length_is_told(voice, serve):
    sent = speech(1.0).tobytes()
    server = serve(Answer(sent, die_after=20_000, chunked=False))
    result = voice("say", "x", "--base-url", server.url, "--no-play", "-o", "x.wav", "--no-resume")
    assert result.code == 8
    assert "broke after 20000 bytes of audio, of 48000 announced" in result.err


def test_a_speech_too_short_for_its_text_is_a_note(voice, serve):
    server = serve(Answer(speech(0.3).tobytes()))
    result = voice("say", "word " * 30, "--base-url", server.url, "--no-play", "-o", "x.wav", "--json")
    assert result.code == 0
    assert any("too few for" in note for note in result.json["notes"])


def test_through_the_agent(agent, audio, voice, serve, config, tmp_path):
    sent = speech(2.0)
    data = sent.tobytes()
    server = serve(alternating(Answer(data, die_after=40_000, byte_rate=200_000), Answer(data)))
    environment = {**config(port=closed_port(), url=server.url), **agent.environment}
    (tmp_path / "config.toml").write_text((tmp_path / "config.toml").read_text().replace('agent = "off"', ""))
    with audio.record() as heard:
        result = voice("say", "x", "--profile", "dead", "--json", "-o", "x.wav", environment=environment)
    assert result.code == 0, result.err
    np.testing.assert_array_equal(heard.sound, sent)
    tree = json.loads(result.out)
    assert tree["fallback"] == "living"
    assert [one["by"] for one in tree["resumed"]] == ["living"]
    with wave.open(str(tmp_path / "x.wav")) as saved:
        assert saved.readframes(10**6) == data
