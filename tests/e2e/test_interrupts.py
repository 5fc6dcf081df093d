"""Ctrl-C, other signals, and closed pipes."""

import json
import os
import signal
import subprocess
import time
import wave

import numpy as np
import pytest

from support.server import Answer
from support.sound import VOICE, speech

pytestmark = pytest.mark.e2e


def start(audio, *arguments, cwd, **options):
    return subprocess.Popen(
        [*VOICE, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=audio.environment(),
        cwd=cwd,
        **options,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_playback_and_keeps_the_partial_file(audio, serve, tmp_path, number):
    sent = speech(20.0)
    server = serve(Answer(sent.tobytes(), chunk=4800, byte_rate=96000))
    with audio.record() as heard:
        process = start(audio, "say", "x", "--base-url", server.url, "-o", "part.wav", "--json", cwd=tmp_path)
        heard.wait_for_sound()
        process.send_signal(number)
        sent_at = time.monotonic()
        out, err = process.communicate(timeout=10)
    assert process.returncode == -number
    sound = heard.sound
    last = np.flatnonzero(heard.samples.any(axis=1))[-1]
    # The recorder lags by 5 to 20 ms.
    assert heard.time_of(int(last)) - sent_at < 0.15
    np.testing.assert_array_equal(sound, sent[: len(sound)])
    report = json.loads(out)
    assert report["outcome"] == "cancelled"
    assert report["saved"] == "part.wav"
    assert b"Traceback" not in err
    with wave.open(str(tmp_path / "part.wav")) as saved:
        kept = saved.readframes(10**7)
    assert sent.tobytes().startswith(kept)
    assert len(kept) >= sound.nbytes
    assert server.client_left.wait(5)


def test_a_stopped_process_continues_with_the_next_frame(audio, serve, tmp_path):
    """Ctrl-Z and fg, without a terminal."""
    sent = speech(3.0)
    server = serve(Answer(sent.tobytes()))
    with audio.record() as heard:
        process = start(audio, "say", "x", "--base-url", server.url, "--json", "--no-agent", cwd=tmp_path)
        heard.wait_for_sound()
        heard.wait_for(0.5)
        process.send_signal(signal.SIGSTOP)  # the kernel drops SIGTSTP if no shell waits for the process
        stopped_at = time.monotonic()
        heard.wait_for(1.0)
        last = int(np.flatnonzero(heard.samples.any(axis=1))[-1])
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=30)
    assert heard.time_of(last) - stopped_at < 0.2, "the device plays only what it has"
    assert (process.returncode, err) == (0, b"")
    sound = heard.sound
    np.testing.assert_array_equal(sound[sound.any(axis=1)], sent)
    assert json.loads(out)["outcome"] == "complete"


def test_ctrl_c_before_the_first_byte_leaves_no_file(audio, serve, tmp_path):
    server = serve(Answer(b"xx", first_byte=60))
    process = start(audio, "say", "x", "--base-url", server.url, "-o", "none.wav", cwd=tmp_path)
    server.wait_for(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGINT
    assert (out, err) == (b"", b"")
    assert os.listdir(tmp_path) == []
    assert server.client_left.wait(5)


def test_only_a_complete_file_replaces_an_existing_one(audio, serve, voice, tmp_path):
    target = tmp_path / "old.wav"
    target.write_bytes(b"old content")
    sent = speech(1.0)
    cut = serve(Answer(sent.tobytes(), die_after=24000))
    result = voice("say", "x", "--base-url", cut.url, "-o", "old.wav", "--no-play")
    assert result.code == 8
    assert target.read_bytes() == b"old content"
    assert "old.partial.wav" in result.err
    with wave.open(str(tmp_path / "old.partial.wav")) as saved:
        assert saved.getnframes() == 12000
    whole = serve(Answer(sent.tobytes()))
    assert voice("say", "x", "--base-url", whole.url, "-o", "old.wav", "--no-play").code == 0
    with wave.open(str(target)) as saved:
        assert saved.readframes(10**6) == sent.tobytes()


def test_killed_process_leaves_a_valid_partial_file(audio, serve, tmp_path):
    sent = speech(20.0)
    server = serve(Answer(sent.tobytes(), chunk=4800, byte_rate=480_000))
    process = start(audio, "say", "x", "--base-url", server.url, "-o", "part.wav", cwd=tmp_path)
    partial = tmp_path / "part.partial.wav"
    while not partial.exists() or partial.stat().st_size < 100_000:
        assert process.poll() is None
        time.sleep(0.01)  # poll: another process writes the file
    process.kill()
    process.communicate()
    with wave.open(str(partial)) as saved:
        kept = saved.readframes(10**7)
    assert len(kept) > 60_000
    assert sent.tobytes().startswith(kept)


def test_closed_output_pipe_exits_130_without_a_message(audio, serve, tmp_path):
    server = serve(Answer(speech(20.0).tobytes(), chunk=4800, byte_rate=960_000))
    process = start(audio, "say", "x", "--base-url", server.url, "-o", "-", "--no-play", cwd=tmp_path)
    assert process.stdout.read(4) == b"RIFF"
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait(10) == 130
    assert error == b""
    process.stderr.close()
    assert server.client_left.wait(5)
