"""Failures: exit code, one-line message, and playback of the audio received before."""

import socket
import ssl
import subprocess
import wave

import numpy as np
import pytest

from support.server import Answer
from support.sound import VOICE, speech

pytestmark = pytest.mark.e2e


def one_line(result):
    lines = result.err.splitlines()
    assert len(lines) == 1, result.err
    assert lines[0].startswith("voice: ")
    return lines[0]


REFUSALS = {
    401: (4, "Incorrect API key", '{"error": {"message": "Incorrect API key", "type": "x", "code": "y"}}'),
    403: (4, "not for you", '{"detail": "not for you"}'),
    404: (7, "no model kokoro", '{"detail": {"error": "not_found", "message": "no model kokoro"}}'),
    429: (5, "slow down", '{"error": "slow down"}'),
    400: (7, "field required", '{"detail": [{"loc": ["input"], "msg": "field required"}]}'),
    500: (7, "cuda went away", "cuda went away\nTraceback …"),
    503: (7, "failed (503)", "<html><body>Bad gateway</body></html>"),
}


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("backend", ["http", "openai"])
def test_http_error_has_exit_code_and_server_message(voice, serve, audio, status, backend):
    code, words, body = REFUSALS[status]
    server = serve(Answer(body.encode(), "application/json", status=status))
    result = voice(
        "say",
        "x",
        "--backend",
        backend,
        "--base-url",
        server.url,
        environment={"OPENAI_API_KEY": "sk-topsecret"},
    )
    assert result.code == code
    assert words in one_line(result)
    assert "topsecret" not in result.err
    assert result.out == b""


def test_redirect_is_reported_and_not_followed(voice, serve, audio):
    other = serve(Answer(speech(0.1).tobytes()))
    server = serve(Answer(b"", status=307, headers={"Location": other.url}))
    result = voice("say", "x", "--base-url", server.url)
    assert result.code == 7
    assert other.url in one_line(result)
    assert other.requests == []


def test_refused_connection_exits_6(voice, audio):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    result = voice("say", "x", "--base-url", f"http://127.0.0.1:{port}/v1")
    assert result.code == 6
    assert "refused" in one_line(result)


def test_unresolvable_host_exits_6(voice, audio):
    result = voice("say", "x", "--base-url", "http://nowhere.invalid/v1")
    assert result.code == 6
    assert "cannot resolve nowhere.invalid" in one_line(result)


@pytest.fixture
def tls_port(tmp_path):
    """A TLS server with a self-signed certificate."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
         "-days", "2", "-subj", "/CN=localhost"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    import threading

    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_untrusted_certificate_exits_6(voice, audio, tls_port):
    result = voice("say", "x", "--base-url", f"https://localhost:{tls_port}/v1")
    assert result.code == 6
    assert "no secure connection to localhost" in one_line(result)


def test_timeout_before_the_first_byte_exits_6(voice, serve, audio):
    server = serve(Answer(b"xx", first_byte=30))
    result = voice("say", "x", "--base-url", server.url, "--timeout", "0.5")
    assert result.code == 6
    assert "did not answer within 0.5 s" in one_line(result)
    assert server.client_left.wait(5)


def test_empty_body_exits_7(voice, serve, audio):
    result = voice("say", "x", "--base-url", serve(Answer(b"")).url)
    assert result.code == 7
    assert "no audio" in one_line(result)


@pytest.mark.parametrize(
    ("content_type", "body", "words"),
    [
        ("text/html", b"<html><title>Sign in</title></html>", "Sign in"),
        ("application/json", b'{"status": "warming up"}', "warming up"),
        ("audio/pcm", b'{"error": {"message": "the model is still loading, be patient"}}', "loading"),
    ],
)
def test_response_other_than_audio_is_shown_and_not_played(audio, voice, serve, content_type, body, words):
    with audio.record() as heard:
        result = voice("say", "x", "--base-url", serve(Answer(body, content_type)).url)
    assert result.code == 7
    assert words in one_line(result)
    assert len(heard.sound) == 0


def test_random_bytes_as_mp3_exit_7(audio, voice, serve):
    body = np.random.default_rng(1).integers(0, 255, 20000, np.uint8).tobytes()
    result = voice("say", "x", "--format", "mp3", "--base-url", serve(Answer(body, "audio/mpeg")).url)
    assert result.code == 7
    one_line(result)


CUTS = {
    "chunked": {"chunked": True},
    "sized": {"chunked": False},
}


@pytest.mark.parametrize("how", CUTS)
@pytest.mark.parametrize("backend", ["http", "openai"])
def test_broken_connection_plays_and_saves_the_received_part(audio, voice, serve, tmp_path, how, backend):
    sent = speech(2.0)
    server = serve(Answer(sent.tobytes(), die_after=48000, chunk=4800, byte_rate=200_000, **CUTS[how]))
    with audio.record() as heard:
        result = voice(
            "say", "x", "--backend", backend, "--base-url", server.url, "--json", "-o", "cut.wav", "--no-resume",
            environment={"OPENAI_API_KEY": "sk-x"},
        )  # fmt: skip
    assert result.code == 8
    assert result.json["outcome"] == "truncated"
    assert "broke after 48000 bytes" in result.err
    np.testing.assert_array_equal(heard.sound, sent[:24000])
    with wave.open(str(tmp_path / "cut.wav")) as saved:
        assert saved.readframes(10**6) == sent[:24000].tobytes()


def test_stalled_stream_is_played_and_reported(audio, voice, serve):
    sent = speech(1.0)
    server = serve(Answer(sent.tobytes(), stall_after=24000))
    with audio.record() as heard:
        result = voice("say", "x", "--base-url", server.url, "--timeout", "0.7", "--no-resume")
    assert result.code == 8
    assert "sent nothing more for 0.7 s" in one_line(result)
    np.testing.assert_array_equal(heard.sound[: 12000 - 1], sent[:11999])


def test_incomplete_last_sample_is_dropped_and_exits_8(audio, voice, serve):
    sent = speech(0.5)
    with audio.record() as heard:
        result = voice("say", "x", "--base-url", serve(Answer(sent.tobytes()[:-1])).url)
    assert result.code == 8
    np.testing.assert_array_equal(heard.sound, sent[:-1])


def test_without_a_device_only_saving_succeeds(voice, serve, audio, tmp_path):
    sent = speech(0.3)
    server = serve(Answer(sent.tobytes()))
    nowhere = {"PULSE_SERVER": "unix:/nonexistent"}
    result = voice("say", "x", "--base-url", server.url, environment=nowhere)
    assert result.code == 9
    assert "no output device" in one_line(result)
    result = voice("say", "x", "--base-url", server.url, "-o", "s.wav", "--json", environment=nowhere)
    assert result.code == 0
    assert "nothing was played" in one_line(result)
    assert result.json["saved"] == "s.wav"
    assert result.json["underruns"] is None
    assert result.json["ttfa_ms"] is None
    assert (tmp_path / "s.wav").read_bytes()[44:] == sent.tobytes()


@pytest.mark.no_agent
def test_missing_portaudio_exits_9(audio, serve, tmp_path):
    """Run in a process where ctypes cannot find the library."""
    program = "import ctypes.util, sys; ctypes.util.find_library = lambda name: None; import runpy; "
    program += f"sys.argv = ['voice', *{['say', 'x', '--base-url', serve(Answer(speech(0.1).tobytes())).url]}]; "
    program += "runpy.run_module('voice_cli', run_name='__main__', alter_sys=True)"
    done = subprocess.run(
        [VOICE[0], "-c", program], env=audio.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 9
    assert "PortAudio library is missing" in done.stderr
    assert "libportaudio2" in done.stderr


@pytest.mark.parametrize("device", ["no such device", "99"])
def test_unknown_device_exits_9(voice, serve, audio, device):
    result = voice("say", "x", "--base-url", serve(Answer(speech(0.1).tobytes())).url, "--device", device)
    assert result.code == 9
    assert device in one_line(result)


def test_failure_is_reported_in_json(voice, serve, audio):
    result = voice("say", "x", "--base-url", serve(Answer(b"{}", status=401)).url, "--json")
    assert result.json["outcome"] == "failed"
    assert result.json["error"]["kind"] == "authentication"
    assert result.json["error"]["exit_code"] == result.code == 4
    assert result.json["audio_ms"] is None
