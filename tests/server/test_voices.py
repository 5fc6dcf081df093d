"""Voice ids, never paths or URLs; and fetched voices."""

import os
import socket
import stat
import string
import sys
import threading

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support import chatterbox
from support.server import Answer, SpeechServer
from support.sessions import reset_connection
from support.speech_app import SpeechApp, SteppedEngine
from support.threads import WAIT, happened, in_thread
from voice_cli.backends.base import SpeechRequest, Voice
from voice_cli.errors import NetworkError, RateLimitError, ServerError, UsageError
from voice_cli.server import fetches
from voice_cli.server import voices as module
from voice_cli.server.service import Service
from voice_cli.server.settings import Server, ServerSettings
from voice_cli.server.voices import Voices, suffix_of

SAMPLE = b"RIFF" + bytes(range(256)) * 40


@pytest.fixture
def made(tmp_path):
    """Return a factory of `Voices` that fetch from a test server, with that server and the cache folder."""
    servers = []

    def make(respond=lambda _: Answer(SAMPLE), *, path="/voices/{voice}.wav", **fields):
        servers.append(SpeechServer(respond))
        url = servers[-1].url.removesuffix("/v1") + path
        server = Server(engine="chatterbox", voices_url=url, voices_cache=str(tmp_path / "cache"), **fields)
        voices = Voices(ServerSettings(server, voice="default-one"))
        voices.engine_options({})
        return voices, servers[-1], tmp_path / "cache"

    yield make
    for server in servers:
        server.close()


def ready(voices, voice):
    """Return the engine's name for a voice after it was fetched."""
    waiter = voices.fetch(voice)
    if waiter is not None:
        assert list(waiter) == []
    return voices.name_of(voice)


def settings_of(**fields):
    return ServerSettings(Server(**fields))


# Ids.

UNSAFE = [
    "/",
    "\\",
    ":",
    "\n",
    "\r",
    "\0",
    "..",
    "%2f",
    "?",
    "#",
    "@",
    " ",
    "~",
    "$",
    "'",
    '"',
    "é",
    "\u2028",
    "．",
    "／",
]


@given(st.text(max_size=120) | st.lists(st.sampled_from([*UNSAFE, "a", "alice", "."]), max_size=6).map("".join))
@example("alice\n")
@example("../alice")
@example("/etc/passwd")
@example("https://evil.example/a.wav")
@example("c:alice")
@example(".hidden")
@example("-option")
@example("a" * 101)
@example("")
def test_paths_and_urls_are_not_ids(voice):
    try:
        Voices(settings_of()).check(voice)
    except UsageError:
        return
    assert set(voice) <= set(string.ascii_letters + string.digits + "+_.-")
    assert 0 < len(voice) <= 100
    assert not voice.startswith((".", "-"))
    assert os.path.basename(voice) == voice


@pytest.mark.parametrize("voice", ["alice", "en-us+f3", "+f3", "af_bella", "v1.2", "a..b", "A", "a" * 100, "007"])
def test_the_engines_voice_names_are_ids(voice):
    Voices(settings_of()).check(voice)


# The engine's voice.


def test_openais_voice_names_select_the_default_voice():
    voices = Voices(ServerSettings(Server(), voice="en-gb"))
    voices.know([Voice("echo"), Voice("en-gb", language="en-GB")])
    assert ready(voices, "alloy") == "en-gb"
    assert ready(voices, "default") == "en-gb"
    assert ready(voices, "echo") == "echo", "the engine's own voice is not preferred"
    assert ready(voices, "nobody") == "nobody", "the engine does not report the error"


def test_has_accepts_the_engines_voices_and_variants():
    voices = Voices(settings_of())
    assert voices.has("anyone"), "any voice is accepted before the list is known"
    voices.know([Voice("en-us", language="en-US"), Voice("+f3")])
    assert all(voices.has(voice) for voice in ("en-us", "en-US", "+f3", "en-us+f3", "+f9", "alloy"))
    assert not any(voices.has(voice) for voice in ("en", "nobody", "nobody+f3", "en-us+"))


def test_an_engine_with_voice_files_gets_folders_and_refuses_paths(tmp_path):
    folder = str(tmp_path)
    assert Voices(settings_of(engine="espeak", voices=folder)).engine_options({"a": 1}) == {"a": 1}
    options = Voices(settings_of(engine="chatterbox")).engine_options({"model": "m", "voices": "its own"})
    assert options == {"model": "m", "voices": ["its own"], "allow_paths": False}
    options = Voices(settings_of(engine="vibevoice", voices=folder)).engine_options({"voices": "its own"})
    assert options == {"voices": [folder], "allow_paths": False}


def test_a_path_is_refused_by_the_engine_too(tmp_path, monkeypatch):
    """The engine refuses paths even if a protocol does not check ids."""
    for name, package in chatterbox.package(chatterbox.ForkModel()).items():
        monkeypatch.setitem(sys.modules, name, package)
    monkeypatch.setattr("voice_cli.backends.packages.find_spec", lambda _: True)
    for name in ("tokenizer.json", "conds.pt"):
        (tmp_path / name).touch()
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / "alice.wav").write_bytes(SAMPLE)
    outside = tmp_path / "secret.wav"
    outside.write_bytes(SAMPLE)
    server = Server(engine="chatterbox", voices=str(tmp_path / "voices"))
    service = Service(ServerSettings(server, {"model": str(tmp_path)}))
    try:
        assert [voice.id for voice in service.backend.voices()] == ["default", "alice"]
        for voice in (str(outside), "../secret.wav", "../secret"):
            with pytest.raises(UsageError):
                list(service.backend.synthesize(SpeechRequest("Hi.", voice=voice)))
    finally:
        service.close()


# Fetching.


def test_a_voice_is_fetched_once_and_cached(made):
    voices, server, cache = made()
    assert ready(voices, "alice") == "alice"
    assert ready(voices, "alice") == "alice"
    assert [request.path for request in server.requests] == ["/voices/alice.wav"]
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == {"alice.wav": SAMPLE}
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert voices.cached() == ["alice"]


def test_an_id_is_quoted_in_the_url(made):
    voices, server, _ = made(path="/{voice}/sample.mp3?voice={voice}")
    ready(voices, "en+f3")
    assert server.requests[0].path == "/en%2Bf3/sample.mp3?voice=en%2Bf3"
    assert voices.cached() == ["en+f3"]


def test_an_invalid_id_is_not_fetched(made):
    voices, server, _ = made()
    for voice in ("../x", "a/b", "http://evil.example", "a\n", "a?b"):
        with pytest.raises(UsageError):
            ready(voices, voice)
    assert server.requests == []


def test_a_local_voice_is_not_fetched(made, tmp_path):
    (tmp_path / "bob.flac").write_bytes(SAMPLE)
    voices, server, _ = made(voices=str(tmp_path))
    voices.know([Voice("of-the-model")])
    for voice in ("bob", "bob.flac", "of-the-model", "alloy"):
        ready(voices, voice)
    assert server.requests == []


def test_concurrent_requests_share_one_fetch(made):
    go = threading.Event()

    def respond(_request):
        assert go.wait(WAIT)
        return Answer(SAMPLE)

    voices, server, _ = made(respond)
    fetches = [in_thread(lambda: ready(voices, "alice")) for _ in range(8)]
    server.wait_for(1)
    go.set()
    assert [fetch() for fetch in fetches] == ["alice"] * 8
    assert len(server.requests) == 1


def test_a_failed_fetch_is_shared_and_remembered_for_a_while(made, monkeypatch):
    go = threading.Event()

    def respond(_request):
        assert go.wait(WAIT)
        return Answer(b"", status=500) if len(server.requests) < 2 else Answer(SAMPLE)

    voices, server, _ = made(respond)
    waiters = [voices.fetch("alice") for _ in range(30)]
    go.set()
    for waiter in waiters:
        with pytest.raises(ServerError, match="answered 500"):
            list(waiter)
    with pytest.raises(ServerError, match="answered 500"):
        voices.fetch("alice")
    assert len(server.requests) == 1
    assert ready(voices, "bob") == "bob"
    monkeypatch.setattr(fetches.time, "monotonic", lambda: 1e9)
    assert ready(voices, "alice") == "alice"


def test_few_voices_are_fetched_at_once(made):
    go = threading.Event()

    def respond(_request):
        assert go.wait(WAIT)
        return Answer(SAMPLE)

    voices, server, _ = made(respond)
    waiters = [voices.fetch(f"voice-{number}") for number in range(fetches.MOST_FETCHES)]
    with pytest.raises(RateLimitError, match="8 voices are being fetched"):
        voices.fetch("one-more")
    go.set()
    assert [list(waiter) for waiter in waiters] == [[]] * len(waiters)
    assert len(server.requests) == len(waiters)


def test_a_fetch_ends_when_nobody_waits(made):
    voices, server, cache = made(lambda _: Answer(SAMPLE, stall_after=100))
    waiters = [voices.fetch("alice") for _ in range(2)]
    server.wait_for(1)
    waiters[0].cancel()
    waiters[1].cancel()
    happened(server.client_left)
    assert list(cache.iterdir()) == []
    again = voices.fetch("alice")  # it was no failure
    server.wait_for(2)
    again.cancel()


def test_a_slow_fetch_does_not_delay_another_voice(made):
    go = threading.Event()

    def respond(request):
        if "slow" in request.path:
            assert go.wait(WAIT)
        return Answer(SAMPLE)

    voices, server, _ = made(respond)
    slow = in_thread(lambda: ready(voices, "slow"))
    server.wait_for(1)
    assert ready(voices, "quick") == "quick"
    go.set()
    assert slow() == "slow"


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_missing_voice_is_not_found(made, status):
    voices, _, cache = made(lambda _: Answer(b"no", status=status))
    with pytest.raises(UsageError, match="no such voice"):
        ready(voices, "nobody")
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("status", [204, 206, 301, 302, 307, 401, 500])
def test_error_responses_and_redirects_are_errors(made, status):
    voices, server, cache = made(lambda _: Answer(SAMPLE, status=status, headers={"Location": "/elsewhere"}))
    with pytest.raises(ServerError):
        ready(voices, "alice")
    assert len(server.requests) == 1
    assert list(cache.iterdir()) == []


def test_an_empty_response_is_an_error(made):
    voices, _, _ = made(lambda _: Answer(b""))
    with pytest.raises(ServerError):
        ready(voices, "alice")


@pytest.mark.parametrize("chunked", [True, False])
def test_a_voice_that_is_too_large_is_refused(made, monkeypatch, chunked):
    monkeypatch.setattr(fetches, "MOST_BYTES", 100_000)
    voices, server, cache = made(lambda _: Answer(bytes(30_000_000), chunked=chunked))
    with pytest.raises(ServerError, match="larger"):
        ready(voices, "alice")
    assert server.sent < 30_000_000, "the rest was read"
    assert list(cache.iterdir()) == []


def test_a_truncated_voice_is_not_cached(made):
    voices, _, cache = made(lambda _: Answer(SAMPLE, die_after=1000))
    with pytest.raises(NetworkError):
        ready(voices, "alice")
    assert list(cache.iterdir()) == []


def test_a_fetch_times_out(made, monkeypatch):
    monkeypatch.setattr(fetches, "FETCH_SECONDS", 0.2)
    voices, _, cache = made(lambda _: Answer(SAMPLE, stall_after=100))
    with pytest.raises(NetworkError):
        ready(voices, "alice")
    assert list(cache.iterdir()) == []


def test_a_write_error_is_reported_without_the_path(made):
    voices, _, cache = made()
    cache.rmdir()
    cache.write_bytes(b"")
    with pytest.raises(ServerError) as caught:
        ready(voices, "alice")
    assert str(cache) not in caught.value.message


def test_a_voice_is_written_atomically(made, monkeypatch):
    voices, _, cache = made()
    seen = []

    def replace(partial, path):
        seen.append((os.path.basename(partial), os.path.exists(path)))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "replace", replace)
    with pytest.raises(ServerError):
        ready(voices, "alice")
    ((partial, was_there),) = seen
    assert partial.startswith(".")
    assert "alice" not in partial, "the name is not random"
    assert not was_there
    assert list(cache.iterdir()) == []


# Eviction.


def aged(cache, **ages):
    for name, age in ages.items():
        path = cache / f"{name}.wav"
        os.utime(path, (1_000_000 - age, 1_000_000 - age))


def test_the_least_recently_used_voices_are_evicted(made):
    voices, server, cache = made(lambda _: Answer(bytes(400_000)), voices_cache_mb=1)
    ready(voices, "a")
    ready(voices, "b")
    aged(cache, a=20, b=10)
    ready(voices, "a")  # used again
    ready(voices, "c")
    assert voices.cached() == ["a", "c"]
    voices.know([Voice("a"), Voice("b"), Voice("c")])
    ready(voices, "b")  # the engine's list may still have it
    assert len(server.requests) == 4
    assert "b" in voices.cached()


def test_a_voice_larger_than_the_cache_is_kept_until_the_next(made):
    voices, _, cache = made(lambda _: Answer(bytes(2_000_000)), voices_cache_mb=1)
    ready(voices, "a")
    assert voices.cached() == ["a"]
    aged(cache, a=10)
    ready(voices, "b")
    assert voices.cached() == ["b"]


def test_the_cache_is_in_the_users_folder(monkeypatch, tmp_path):
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(tmp_path / "tmp"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert Voices(ServerSettings(Server()))._cache.startswith(str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert Voices(ServerSettings(Server()))._cache == str(tmp_path / "xdg" / "voice" / "voices")


@pytest.mark.parametrize(
    ("url", "suffix"),
    [
        ("https://a.example/{voice}.wav", ".wav"),
        ("https://a.example/{voice}.pt?token=x.y#z", ".pt"),
        ("https://a.example/{voice}", ".wav"),
        ("https://a.example/v1.2/{voice}/sample", ".wav"),
        ("https://a.example?voice={voice}", ".wav"),
    ],
)
def test_the_suffix_is_that_of_the_url(url, suffix):
    assert suffix_of(url) == suffix


# Errors that clients get.


def test_a_missing_voice_and_a_failed_fetch_have_different_errors(tmp_path):
    status = [404]
    with SpeechServer(lambda _: Answer(SAMPLE, status=status[0])) as place:
        url = place.url.removesuffix("/v1") + "/{voice}.wav"
        options = {"engine": "chatterbox", "voices_url": url, "voices_cache": str(tmp_path)}
        with SpeechApp(SteppedEngine(voices=[]), **options) as app:
            body = {"input": "Hi.", "voice": "alice", "response_format": "pcm"}
            seen = []
            for status[0] in (404, 500, 200):
                body["voice"] = f"alice-{status[0]}"
                answer = app.request("POST", "/v1/audio/speech", body)
                seen.append((answer.status, answer.json["error"]["code"] if answer.status != 200 else None))
            assert seen == [(400, "voice_not_found"), (500, "server"), (200, None)]


@pytest.mark.parametrize("how", ["/preload", "/v1/audio/speech", "/warmup", "/ws/synthesize-stream"])
def test_a_fetch_ends_when_its_client_leaves(tmp_path, how):
    with SpeechServer(lambda _: Answer(SAMPLE, stall_after=100)) as place:
        url = place.url.removesuffix("/v1") + "/{voice}.wav"
        options = {"engine": "chatterbox", "voices_url": url, "voices_cache": str(tmp_path)}
        with SpeechApp(SteppedEngine(voices=[]), **options) as app:
            if how.startswith("/ws"):
                with app.connect(how) as websocket:
                    websocket.send('{"type": "init", "voice_id": "alice"}')
                    place.wait_for(1)
                    reset_connection(websocket)
            else:
                body = {
                    "/preload": b'["alice"]',
                    "/v1/audio/speech": b'{"input": "Hello.", "voice": "alice"}',
                    "/warmup": b"",
                }[how]
                path = "/warmup?voice_id=alice" if how == "/warmup" else how
                head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                with socket.create_connection(("127.0.0.1", app.port), timeout=WAIT) as connection:
                    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                    place.wait_for(1)
            happened(place.client_left)
