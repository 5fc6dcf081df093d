"""Imports at startup: only the modules that the request needs are loaded before it."""

import pytest

from support.environment import clean
from support.server import Answer
from support.start_order import imports_before_request, modules_before_request

NEVER = {
    "typer",
    "click",
    "rich",
    "numpy",
    "sounddevice",
    "av",
    "openai",
    "asyncio",
    "logging",
    "subprocess",
    "pathlib",
}
"""Slow modules that must not be loaded."""

OURS = {
    "__main__", "agent", "agent.paths", "agent.priorities", "agent.turns", "api_keys", "audio", "backends",
    "backends.base", "cli", "cli.agent_client", "cli.caching", "cli.console", "cli.interrupts", "cli.narrating",
    "cli.options", "cli.quick", "cli.say", "cli.start", "clock", "config", "config_keys", "errors", "folders",
    "kept_files", "printable", "protocol", "queues", "script", "script.line", "speech", "speech.cache",
    "speech.caching", "speech.events", "speech.narration", "speech.speeds",
}  # fmt: skip
"""The modules of this package that may be loaded with any backend."""

BACKENDS = {
    "http": {
        *("backends.remote", "backends.remote.http", "backends.remote.http_transfer", "backends.remote.curl"),
        *(
            "backends.remote.address",
            "backends.remote.certificates",
            "backends.remote.descriptors",
            "backends.remote.failures",
            "protocol",
            "protocol.openai",
        ),
    },
    "espeak": {
        *("backends.local", "backends.local.espeak", "backends.local.espeak_library"),
        *(
            "backends.local.worker",
            "queues",
            "playback",
            "playback.sinks",
            "playback.sinks.portaudio",
            "playback.sinks.alsa",
        ),
    },
}
"""The modules of each backend. With an engine in the process, the device is loaded before the request."""

LIBRARIES = {
    "http": {"pycurl", "json", "select", "threading"},
    "espeak": {"ctypes", "struct", "threading", "espeakng_loader"},
}
"""The libraries that each backend imports directly."""


@pytest.fixture(params=list(BACKENDS))
def backend(request):
    return request.param


@pytest.fixture
def arguments(backend, serve):
    return [backend] if backend == "espeak" else [backend, "--base-url", serve(Answer(b"\1\2" * 100)).url]


@pytest.fixture
def environment(tmp_path):
    return clean(HOME=str(tmp_path))


def test_only_listed_modules_are_loaded_before_the_request(arguments, backend, environment):
    loaded = modules_before_request(*arguments, environment=environment)
    assert BACKENDS[backend] & {name.removeprefix("voice_cli.") for name in loaded}, "the probe found no modules"
    never = NEVER | {"asyncio", "dataclasses", "inspect"} | ({"json"} if backend == "espeak" else set())
    if backend == "espeak":
        never -= {"sounddevice"}  # loaded concurrently by a thread
    assert not {name for name in loaded if name.partition(".")[0] in never}
    ours = {name.removeprefix("voice_cli.") for name in loaded if name.startswith("voice_cli.")}
    assert ours <= OURS | BACKENDS[backend], "an unlisted module is loaded (list it if the request needs it)"


def test_only_listed_libraries_are_imported_before_the_request(arguments, backend, environment):
    """All libraries that our modules import are listed."""
    imports = imports_before_request(*arguments, environment=environment)
    libraries = {one.name.partition(".")[0] for one in imports} & (LIBRARIES["http"] | LIBRARIES["espeak"])
    assert libraries <= LIBRARIES[backend] | {"struct"}


def test_a_config_file_imports_only_its_parser(environment, tmp_path, serve):
    arguments = ["http", "--base-url", serve(Answer(b"\1\2" * 100)).url]
    without = modules_before_request(*arguments, environment=environment)
    (tmp_path / "config.toml").write_text("timeout = 5\n")
    config = {**environment, "VOICE_CONFIG": str(tmp_path / "config.toml")}
    more = modules_before_request(*arguments, environment=config) - without
    assert "tomllib" in more
    theirs = {"__future__", "tomllib", "string", "_string", "datetime", "_datetime"}
    assert {name.partition(".")[0] for name in more} <= theirs


def test_saving_imports_only_our_modules_before_the_request(arguments, environment, tmp_path):
    arguments += ["--no-play"]  # else a thread loads PortAudio concurrently
    without = modules_before_request(*arguments, environment=environment)
    more = modules_before_request(*arguments, "-o", str(tmp_path / "x.wav"), environment=environment) - without
    ours = {name for name in more if name.startswith("voice_cli.")}
    # Of the standard library only these, some of which older interpreters have loaded before.
    assert {name.partition(".")[0] for name in more - ours} <= {"struct", "_struct", "errno", "re", "_sre"}
