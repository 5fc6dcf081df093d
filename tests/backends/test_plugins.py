"""Backends and codecs of other packages, tested with the example in docs/plugins.md."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from support.environment import clean
from support.server import Answer
from support.streams import collect
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends import BACKENDS, LOCAL, backend_class, is_remote, local_names, open_backend, options_of
from voice_cli.backends.base import SpeechRequest, Voice
from voice_cli.codecs import table
from voice_cli.config import Config, Profile, settle
from voice_cli.errors import ConfigError, EngineError, UsageError

EXAMPLE = Path(__file__).parents[1] / "plugin_example"
DOCS = Path(__file__).parents[2] / "docs" / "plugins.md"


def install(folder, groups):
    """Create the metadata folder that an installer would create."""
    metadata = folder / "voice_beep-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: voice-beep\nVersion: 0.1\n")
    lines = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{name} = {place}" for name, place in points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that installs the example, or other entry points of its module."""
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.syspath_prepend(tmp_path)

    def do(entry_points=None):
        project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]
        install(tmp_path, {"voice_cli.backends": entry_points} if entry_points else project["entry-points"])
        table.added.cache_clear()
        return tmp_path

    yield do
    table.added.cache_clear()
    for name in ("voice_beep", "voice_u8"):
        sys.modules.pop(name, None)


def test_plugin_backend_synthesizes(installed):
    installed()
    backend = open_backend("beep", **options_of("beep", Profile(compute="cpu", model="not for it")))
    assert backend.voices() == [Voice("low"), Voice("high")]
    stream = backend.synthesize(
        SpeechRequest("three short words", voice="high", options={"loudness": 1, "preset": "x"})
    )
    sound, error = collect(stream)
    assert (len(sound), error) == (3 * 16_000 * 2 // 5, None)
    assert stream.announced == Encoding("pcm", AudioFormat(16_000, 1))
    with pytest.raises(UsageError, match="loudness"):
        backend.synthesize(SpeechRequest("x", options={"loudness": 2}))
    backend.close()


def test_plugin_backend_is_listed(installed):
    assert "beep" not in BACKENDS
    installed()
    assert "beep" in BACKENDS
    assert BACKENDS.names()[-1] == local_names()[-1] == "beep"
    assert not is_remote("beep")
    assert settle(Config(""), {"backend": "beep"}, {}, backend_names=BACKENDS).profile.backend == "beep"
    with pytest.raises(ConfigError, match="'boop'"):
        settle(Config(""), {"backend": "boop"}, {}, backend_names=BACKENDS)
    with pytest.raises(UsageError, match="'boop'") as caught:
        backend_class("boop")
    assert "beep" in caught.value.hint


def test_built_in_backend_cannot_be_replaced(installed):
    installed({"espeak": "voice_beep:BeepBackend"})
    assert backend_class("espeak").name == "espeak"
    assert BACKENDS.names() == list(BACKENDS)


@pytest.mark.parametrize("place", ["no_such_module:X", "voice_beep:X", "voice_beep:FORMAT"])
def test_backend_that_fails_to_load_is_an_engine_error(installed, place):
    installed({"beep": place})
    with pytest.raises(EngineError, match="the backend 'beep' does not load"):
        open_backend("beep")


@pytest.fixture
def voice(tmp_path):
    """Return a function that runs `voice` with the installed entry points."""
    environment = clean(HOME=str(tmp_path), PYTHONPATH=f"{tmp_path}{os.pathsep}{EXAMPLE}")

    def run(*arguments):
        command = [sys.executable, "-m", "voice_cli", *arguments]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_command_line_uses_the_plugin_backend(installed, voice, tmp_path):
    installed()
    done = voice("say", "Hi", "--backend", "beep", "--no-play", "-o", "x.wav")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "x.wav").stat().st_size > 16_000 * 2 // 5


def test_engines_lists_a_broken_plugin_with_its_error(installed, voice, tmp_path):
    (tmp_path / "voice_broken.py").write_text("raise RuntimeError('no licence')")
    (tmp_path / "voice_wrong.py").write_text(
        "from voice_cli.backends.base import Backend\n"
        "class Wrong(Backend):\n"
        "    synthesize = voices = None\n"
        "    def __init__(self):\n"
        "        raise OSError('no model')\n"
    )
    installed(
        {
            "beep": "voice_beep:BeepBackend",
            "broken": "voice_broken:Backend",
            "gone": "no_such_module:Backend",
            "wrong": "voice_wrong:Wrong",
        }
    )
    done = voice("engines", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {row["engine"]: row for row in json.loads(done.stdout)}
    assert set(rows) == {*LOCAL, "beep", "broken", "gone", "wrong"}
    assert rows["beep"]["ready"]
    assert rows["espeak"]["ready"]
    assert not any(rows[name]["ready"] for name in ("broken", "gone", "wrong"))
    assert rows["broken"]["missing"] == "the backend 'broken' does not load: no licence"
    assert rows["gone"]["missing"] == "the backend 'gone' does not load: No module named 'no_such_module'"
    assert rows["wrong"]["missing"] == "the backend 'wrong' cannot be created: no model"


def test_plugin_codec_saves_a_file(installed, voice, tmp_path):
    installed()
    done = voice("say", "Hi", "--no-play", "--backend", "beep", "-o", "x.u8")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "x.u8").stat().st_size == 16_000 // 5


def test_plugin_codec_is_requested_and_decoded(installed, voice, serve, tmp_path):
    installed()
    server = serve(Answer(b"\x80\x81\x7f\xc0", content_type="audio/x-u8"))
    done = voice(
        "say", "Hi", "--no-play", "--backend", "http", "--base-url", server.url, "--format", "u8", "-o", "x.wav"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(server.requests[0].body)["response_format"] == "u8"
    assert (tmp_path / "x.wav").read_bytes()[44:] == b"\0\0\0\x01\0\xff\0\x40"
    refused = voice("say", "Hi", "--no-play", "--format", "u9")
    assert refused.returncode == 2
    assert "pcm, wav, opus, mp3, aac, flac, u8" in refused.stderr


def test_codec_that_fails_to_load_is_reported(installed, voice, serve, tmp_path):
    (installed() / "voice_u8.py").write_text("raise RuntimeError('its license has expired')\n")
    server = serve(Answer(b"\x80\x81\x7f\xc0", content_type="audio/x-u8"))
    done = voice("say", "Hi", "--no-play", "--backend", "http", "--base-url", server.url, "-o", "x.wav")
    assert done.returncode == 11
    message = "the codec u8 (voice_u8:CODEC) does not load: RuntimeError: its license has expired"
    assert [line for line in done.stderr.splitlines() if message in line]
    assert "Traceback" not in done.stderr


def test_docs_contain_the_example():
    page = DOCS.read_text("utf-8")
    for name in ("pyproject.toml", "voice_beep.py", "voice_u8.py"):
        assert (EXAMPLE / name).read_text("utf-8").strip() in page, f"{name} differs from docs/plugins.md"
