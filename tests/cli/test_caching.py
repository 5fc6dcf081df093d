"""`voice say` and the cache: no request the second time, the settings, the commands, and disks that do not work."""

import json
import os
import stat

import pytest

from support.agent import RealAgent
from support.command import environment_in, run_voice
from support.server import Answer
from support.sound import speech
from voice_cli.cli.caching import key_settings
from voice_cli.config import Profile

SOUND = speech(0.3).tobytes()


@pytest.fixture
def server(serve):
    return serve(Answer(SOUND))


@pytest.fixture
def said(tmp_path, server):
    """Run `voice say` with a cache of the test's."""

    def run(*arguments, text=None, **environment):
        environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), **environment}
        arguments = ["say", *arguments, "--base-url", server.url, "--no-play", "--json"]
        done = run_voice(*arguments, folder=tmp_path, text=text, environment=environment)
        assert done.code == 0, done
        return done

    return run


def test_the_second_time_there_is_no_request(said, server, tmp_path):
    first = said("Hello", "-o", "first.wav")
    server.close()
    again = said("Hello", "-o", "again.wav")
    assert (first.json["cached"], again.json["cached"]) == (0, 1)
    assert (again.err, again.json["ttfb_ms"], again.json["generation_ms"]) == ("", None, None)
    assert (tmp_path / "first.wav").read_bytes() == (tmp_path / "again.wav").read_bytes()


def test_nothing_is_imported_for_the_network(said, tmp_path):
    """Nor is a key asked for: the command of its profile would fail."""
    said("Hello")
    (tmp_path / "pycurl.py").write_text("raise ImportError('not needed')")
    again = said("Hello", PYTHONPATH=str(tmp_path))
    assert again.json["cached"] == 1


def test_the_report_shows_no_request(said):
    said("Hello")
    err = said("Hello", "--debug").err
    assert "read from the cache" in err
    assert "1 of 1 utterances from the cache" in err
    rows = [line.split("  ")[0] for line in err.splitlines()]
    assert not {"request sent", "first byte", "last byte", "connected"} & set(rows)


@pytest.mark.parametrize(
    ("arguments", "environment", "config"),
    [
        (["--no-cache"], {}, ""),
        ([], {"VOICE_CACHE_SIZE": "0"}, ""),
        ([], {}, "cache_size = 0\n"),
        ([], {}, 'profile = "a"\n[profiles.a]\nbackend = "http"\ncache = false\n'),
    ],
    ids=["flag", "variable", "file", "profile"],
)
def test_it_can_be_turned_off(said, server, tmp_path, arguments, environment, config):
    (tmp_path / "config.toml").write_text(config)
    for _ in range(2):
        done = said("Hello", *arguments, VOICE_CONFIG=str(tmp_path / "config.toml"), **environment)
        assert done.json["cached"] == 0
    assert len(server.requests) == 2
    assert not (tmp_path / "cache").exists()


def test_the_embedded_voice_is_not_cached(tmp_path):
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    for _ in range(2):
        done = run_voice("say", "Hello", "--no-play", "--json", folder=tmp_path, environment=environment)
        assert (done.code, done.json["cached"]) == (0, 0)
    assert not (tmp_path / "cache").exists()


def test_of_a_text_that_arrives_each_utterance_is_cached(said, server):
    text = b"One sentence is here. Another sentence follows it here.\n\nAnd a new paragraph."
    first = said(text=text)
    count = len(server.requests)
    assert count > 1
    again = said(text=text)
    assert (first.json["cached"], again.json["cached"]) == (0, count)
    assert len([request for request in server.requests if request.method == "POST"]) <= count


def test_other_settings_are_another_key(said, server):
    for arguments in ([], ["--voice", "b"], ["--speed", "1.5"], ["--format", "wav"], ["--instructions", "Calm."]):
        assert said("Hello", *arguments).json["cached"] == 0
    assert said("Hello", "--timeout", "3", OPENAI_API_KEY="sk-1").json["cached"] == 1


def test_an_engines_files_are_in_the_key(tmp_path):
    model = tmp_path / "model.onnx"
    model.write_bytes(b"1")
    profile = Profile(backend="piper", model=str(model), voice="a")
    before = key_settings(profile, {})
    assert key_settings(profile._replace(api_key_env="X", fallback=["b"], cache=True), {}) == before
    model.write_bytes(b"12")
    assert key_settings(profile, {}) != before
    folder = profile._replace(voices=str(tmp_path))
    before = key_settings(folder, {})
    (tmp_path / "voice.wav").write_bytes(b"1")
    assert key_settings(folder, {}) != before


@pytest.mark.parametrize("where", ["/dev/null", "/dev/full", "/proc"])
def test_a_folder_that_cannot_be_used_does_not_hurt(said, where):
    for _ in range(2):
        done = said("Hello", XDG_CACHE_HOME=where)
        assert (done.json["cached"], done.err) == (0, "")


def test_through_the_agent(tmp_path, server):
    """In the same cache; with the client's settings."""
    environment = {**environment_in(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    agent = RealAgent(tmp_path, environment)
    try:
        arguments = ["say", "Hello", "--base-url", server.url, "--no-play", "--json"]
        runs = [
            run_voice(*arguments, *more, folder=tmp_path, environment={**agent.environment, **flags})
            for more, flags in [([], {}), ([], {}), ([], {"VOICE_AGENT": "off"}), (["--no-cache"], {})]
        ]
        assert agent.client.status()["spoken"] == 3
    finally:
        agent.close()
    assert [done.json["cached"] for done in runs] == [0, 1, 1, 0]
    assert len(server.requests) == 2


def test_info_and_clear(said, tmp_path, voice):
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}

    def cache(*arguments):
        done = run_voice("cache", *arguments, folder=tmp_path, environment=environment)
        assert (done.code, done.err) == (0, "")
        return done.out.decode()

    empty = json.loads(cache("info", "--json"))
    folder, books = (str(tmp_path / "cache" / "voice" / name) for name in ("speech", "books"))
    no_books = {"folder": books, "limit_bytes": 1 << 30, "chapters": 0, "size": 0, "oldest": None}
    no_speech = {"folder": folder, "limit_bytes": 256_000_000, "utterances": 0, "size": 0, "oldest": None}
    assert empty == no_speech | {"books": no_books}
    assert not os.path.exists(books)
    said("Hello")
    (tmp_path / "book.md").write_text("# One\n\nHi.\n\n# Two\n\nHi again.\n")
    assert run_voice("book", "book.md", folder=tmp_path, environment=environment).code == 0
    found = json.loads(cache("info", "--json"))
    assert (found["utterances"], found["size"]) == (1, sum(each.stat().st_size for each in os.scandir(folder)))
    chapters = found["books"]
    assert (chapters["chapters"], chapters["size"]) == (2, sum(each.stat().st_size for each in os.scandir(books)))
    assert "utterances  1\n" in cache("info")
    assert "chapters    2\n" in cache("info")
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    deleted = f"1 utterance, {found['size'] / 1e6:.1f} MB; 2 chapters, {chapters['size'] / 1e6:.1f} MB"
    assert cache("clear") == f"deleted {deleted}\n"
    assert json.loads(cache("clear", "--json")) == empty
    assert said("Hello").json["cached"] == 0
