"""`voice say` with the WebSocket backends: arguments, pipes, profiles, failures and interrupts."""

import json
import os
import signal
import subprocess
import threading
import wave

import pytest

from support.command import TIMEOUT, VOICE, environment_in
from support.threads import WAIT, happened
from support.ws import WsServer
from support.ws_chatterbox import DocumentServer, FlushingServer, pcm_of
from support.ws_omni import OmniServer
from support.ws_vibevoice import PAGES, DemoServer, query_of
from voice_cli.codecs.wav import HEADER_BYTES

TEXT = "Well, hello there, my dear Ann. Dr. Smith is in his room! "
CLAUSE = "Well, hello there,"
PIECES = [CLAUSE, "my dear Ann.", "Dr. Smith is in his room!"]

SERVERS = {
    "chatterbox-ws": FlushingServer(),
    "vibevoice-ws": DemoServer(pcm_of("Hello there")),
    "omni-ws": OmniServer(),
}


def saved(path):
    with wave.open(str(path)) as file:
        return file.getframerate(), file.readframes(file.getnframes())


def begin(*arguments, folder):
    """Start `voice say` with its text from a pipe."""
    return subprocess.Popen(
        [*VOICE, "say", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment_in(folder),
        cwd=folder,
    )


def read_exactly(pipe, size):
    data = b""
    while len(data) < size:
        piece = os.read(pipe.fileno(), size - len(data))
        assert piece, "the pipe ended early"
        data += piece
    return data


@pytest.mark.parametrize("name", SERVERS)
def test_a_text_is_spoken_and_saved(voice, tmp_path, name):
    with WsServer(SERVERS[name]) as server:
        done = voice(
            "say", "Hello there", "--backend", name, "--base-url", server.url, "--no-play", "-o", "x.wav", "--json"
        )
    assert (done.code, done.err) == (0, "")
    assert saved(tmp_path / "x.wav") == (24_000, pcm_of("Hello there"))
    assert done.json["backend"] == name
    assert done.json["text_spoken"] == "Hello there"
    assert done.json["ttfb_ms"] > 0
    words = [word["word"] for word in done.json["words"] or ()]
    assert words == (["Hello", "there"] if name == "omni-ws" else [])


def test_the_documents_server_is_supported(voice, tmp_path):
    with WsServer(DocumentServer()) as server:
        arguments = ["--backend", "chatterbox-ws", "--base-url", server.url, "--voice", "ann", "--no-play"]
        done = voice("say", "Hello there", *arguments, "-o", "x.wav")
    assert (done.code, done.err) == (0, "")
    assert saved(tmp_path / "x.wav") == (24_000, pcm_of("Hello there"))


def test_a_profile_names_backend_and_voice(voice, tmp_path):
    with WsServer(DemoServer(pcm_of("Hi")), pages=PAGES) as server:
        (tmp_path / "config.toml").write_text(
            f'profile = "v"\n[profiles.v]\nbackend = "vibevoice-ws"\nbase_url = "{server.url}"\nsteps = 8\n'
            'cfg_scale = 1.25\nvoice = "en-Carter_man"\napi_key_env = "MY_KEY"\n'
        )
        environment = {"VOICE_CONFIG": str(tmp_path / "config.toml"), "MY_KEY": "sk-1"}
        done = voice("say", "Hi", "--no-play", "-o", "x.wav", environment=environment)
        listed = voice("voices", environment=environment)
    assert (done.code, done.err) == (0, "")
    client = server.clients[0]
    assert query_of(client) == {"text": "Hi", "voice": "en-Carter_man", "steps": "8", "cfg": "1.25"}
    assert client.headers["Authorization"] == "Bearer sk-1"
    assert listed.out.decode().split() == ["de-Spk0_man", "en-Carter_man"]


@pytest.mark.parametrize(("host", "key"), [("127.0.0.1", "Bearer sk-1"), ("0.0.0.0", None)])
def test_the_environments_key_is_sent_only_to_loopback_without_tls(voice, host, key):
    with WsServer(FlushingServer()) as server:
        arguments = ["--backend", "chatterbox-ws", "--base-url", f"ws://{host}:{server.port}", "--no-play"]
        done = voice("say", "Hi", *arguments, environment={"OPENAI_API_KEY": "sk-1"})
    assert done.code == 0
    assert server.clients[0].headers.get("Authorization") == key
    assert ("OPENAI_API_KEY is not sent to 0.0.0.0" in done.err) == (key is None)
    assert "sk-1" not in done.err


def test_the_profiles_preset_is_sent(voice, tmp_path):
    with WsServer(FlushingServer()) as server:
        (tmp_path / "config.toml").write_text(
            f'[profiles.c]\nbackend = "chatterbox-ws"\nbase_url = "{server.url}"\npreset = "expressive"\n'
        )
        environment = {"VOICE_CONFIG": str(tmp_path / "config.toml")}
        done = voice("say", "Hi", "-p", "c", "--no-play", "-o", "x.wav", environment=environment)
    assert (done.code, done.err) == (0, "")
    assert server.clients[0].said[0]["preset"] == "expressive"


@pytest.mark.parametrize(
    ("name", "handle", "options", "code", "message"),
    [
        ("vibevoice-ws", DemoServer(b"", busy=True), {}, 5, "is busy"),
        ("vibevoice-ws", SERVERS["vibevoice-ws"], {"refusal": (401, {}, b"")}, 4, "refuses the key"),
        ("chatterbox-ws", DocumentServer(), {}, 7, "Missing text or voice_id"),
        ("omni-ws", lambda client: client.close(1011, "oops"), {}, 7, "failed (1011): oops"),
        ("omni-ws", lambda client: client.cut(), {}, 6, "without a response"),
    ],
)
def test_a_failure_is_one_line_with_its_exit_code(voice, name, handle, options, code, message):
    with WsServer(handle, **options) as server:
        done = voice("say", "Hi", "--backend", name, "--base-url", server.url, "--no-play")
    assert done.code == code
    assert message in done.line


def test_audio_before_a_failure_is_saved(voice, tmp_path):
    def fail(index):
        if index == 1:
            raise RuntimeError("out of memory")

    sound = pcm_of(TEXT)
    with WsServer(DemoServer(sound, frame=2000, before=fail)) as server:
        done = voice("say", "Hi", "--backend", "vibevoice-ws", "--base-url", server.url, "--no-play", "-o", "x.wav")
    assert done.code == 8
    assert "out of memory" in done.err
    assert saved(tmp_path / "x.wav")[1] == sound[:2000]


@pytest.mark.parametrize("name", ["chatterbox-ws", "omni-ws"])
def test_the_first_clause_is_output_before_the_pipe_ends(tmp_path, name):
    spoken = threading.Event()

    def before(text):
        if text == CLAUSE:
            spoken.set()

    handle = FlushingServer(before) if name == "chatterbox-ws" else OmniServer(before=before)
    first = pcm_of(CLAUSE)
    with WsServer(handle) as server:
        arguments = ["--backend", name, "--base-url", server.url, "--no-play", "-o", "-", "--flush-after", "60"]
        process = begin(*arguments, folder=tmp_path)
        process.stdin.write(TEXT[:24].encode())
        process.stdin.flush()
        happened(spoken)
        head = read_exactly(process.stdout, HEADER_BYTES + len(first))
        assert process.poll() is None
        assert head[HEADER_BYTES:] == first
        process.stdin.write(TEXT[24:].encode())
        rest, errors = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, errors) == (0, b"")
    pause = 24_000 * 2 * 3 // 10
    assert rest == bytes(pause // 2) + pcm_of(PIECES[1]) + bytes(pause) + pcm_of(PIECES[2])
    assert len(server.clients) == 1


def test_a_pipe_is_sent_to_the_documents_server_by_sentence(voice, tmp_path):
    with WsServer(DocumentServer()) as server:
        arguments = ["--backend", "chatterbox-ws", "--base-url", server.url, "--voice", "ann", "--no-play", "--json"]
        done = voice("say", *arguments, "-o", "x.wav", text=f"# Ann\n\n{TEXT}".encode())
    assert (done.code, done.err) == (0, "")
    said = [message["content"] for message in server.client().said if message["type"] == "text"]
    assert [content.strip() for content in said] == ["Ann.", "Well, hello there, my dear Ann.", PIECES[2]]
    assert done.json["text_spoken"].split() == f"Ann. {TEXT}".split()
    assert done.json["text_remaining"] == ""
    assert len(done.json["utterances"]) == 2  # the server joins a short sentence to the next
    assert saved(tmp_path / "x.wav")[0] == 8000


def test_an_interrupt_reports_spoken_and_remaining_text(tmp_path):
    waits, goes_on = threading.Event(), threading.Event()

    def before(text):
        if text == PIECES[1]:
            waits.set()
            goes_on.wait(WAIT)

    with WsServer(FlushingServer(before)) as server:
        arguments = ["--backend", "chatterbox-ws", "--base-url", server.url, "--no-play", "-o", "x.wav", "--json"]
        process = begin(*arguments, folder=tmp_path)
        process.stdin.write(TEXT.encode())
        process.stdin.flush()
        happened(waits)
        partial = tmp_path / "x.partial.wav"
        while not partial.exists() or partial.stat().st_size < HEADER_BYTES + len(pcm_of(CLAUSE)):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=TIMEOUT)
        goes_on.set()
        happened(server.client().left)
    report = json.loads(out)
    assert (process.returncode, report["outcome"]) == (-signal.SIGINT, "cancelled"), errors
    assert report["text_spoken"] == CLAUSE
    assert report["text_remaining"].split() == TEXT.removeprefix(CLAUSE).split()


def test_a_server_failure_in_the_middle_of_a_pipe(voice, tmp_path):
    def before(text):
        if text == PIECES[2]:
            raise RuntimeError("out of memory")

    with WsServer(OmniServer(before=before)) as server:
        arguments = ["--backend", "omni-ws", "--base-url", server.url, "--no-play", "-o", "x.wav", "--json"]
        done = voice("say", *arguments, text=TEXT.encode())
    assert done.code == 7
    assert "out of memory" in done.err
    assert done.json["text_spoken"] == f"{PIECES[0]} {PIECES[1]}"
    assert done.json["text_remaining"] == PIECES[2]
    assert [word["word"] for word in done.json["words"]][:2] == ["Well,", "hello"]


def test_a_blank_pipe_is_a_usage_error(voice):
    with WsServer(FlushingServer()) as server:
        done = voice("say", "--backend", "chatterbox-ws", "--base-url", server.url, "--no-play", text=b" \n ")
    assert done.code == 2
    assert "the text is blank" in done.line


def test_a_dialogue_sends_one_request_per_line(voice, tmp_path):
    with WsServer(FlushingServer()) as server:
        (tmp_path / "config.toml").write_text(
            f'[profiles.d]\nbackend = "chatterbox-ws"\nbase_url = "{server.url}"\n'
            '[profiles.d.speakers]\nAnn = "ann-1"\nBob = "bob-1"\n'
        )
        done = voice(
            *("say", "-p", "d", "--dialogue", "--no-play", "-o", "x.wav"),
            text=b"Ann: Hello there.\nBob: Hi.\n",
            environment={"VOICE_CONFIG": str(tmp_path / "config.toml")},
        )
    assert (done.code, done.err) == (0, "")
    requests = sorted((client.said[0]["voice_id"], client.said[0]["text"]) for client in server.clients)
    assert requests == [("ann-1", "Hello there."), ("bob-1", "Hi.")]


def test_show_and_subtitles_have_every_piece(voice, tmp_path):
    with WsServer(FlushingServer()) as server:
        arguments = ["--backend", "chatterbox-ws", "--base-url", server.url, "--no-play", "-o", "x.wav"]
        done = voice("say", *arguments, "--show", "--subtitles", "x.srt", text=TEXT.encode())
    assert (done.code, done.err) == (0, "")
    assert done.out.decode().split() == TEXT.split()
    assert " ".join((tmp_path / "x.srt").read_text().split()).count("-->") == len(PIECES)
