"""Imports follow the order in DESIGN.md, and slow libraries are imported only in the modules listed here.

The sources are parsed, so imports inside functions count as well.
"""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "voice_cli"
PACKAGE = ROOT.name


def name_of(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def imports_of(name, *, late=True):
    """Return the modules that a module imports, except under TYPE_CHECKING; `late` includes those inside functions."""
    found = set()
    todo = list(ast.parse(MODULES[name].read_text("utf-8")).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not late:
            continue
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names if f"{node.module}.{alias.name}" in MODULES}
        else:
            todo += ast.iter_child_nodes(node)
    return found


def test_imports_are_found():
    assert "voice_cli.playback.sink_source" in imports_of("voice_cli.playback.player")
    assert "av" in imports_of("voice_cli.pcm.convert")
    assert "av" not in imports_of("voice_cli.pcm.convert", late=False)


PARTS = {
    # part (longest first): the parts that it may import, besides itself
    "playback.sinks": {"audio", "errors", "system_packages"},
    "playback.ring_buffer": set(),
    "playback": {"audio", "errors", "state_file", "pcm", "codecs", "backends.base", "speech", "recording"},
    "books": {"audio", "errors", "folders", "kept_files", "printable", "pcm", "script", "codecs"},
    "recording": {"audio", "errors", "system_packages", "pcm", "codecs"},
    "speech": {"audio", "errors", "folders", "kept_files", "state_file", "pcm", "script", "codecs", "backends.base"},
    "backends.remote": {
        "audio",
        "errors",
        "printable",
        "queues",
        "pcm",
        "protocol",
        "codecs",
        "backends.base",
        "backends.packages",
    },
    "backends.local": {
        "audio",
        "errors",
        "folders",
        "state_file",
        "printable",
        "queues",
        "pcm",
        "backends.base",
        "backends.packages",
        "backends",
    },
    "backends": {"audio", "errors", "printable", "queues"},
    "codecs": {"audio", "errors", "printable", "pcm"},
    "agent.paths": set(),
    "agent.priorities": set(),
    "agent": {
        *("audio", "errors", "folders", "script", "backends", "speech", "playback"),
    },
    "voices": {"errors", "folders", "printable", "config", "backends"},
    "streamer": {"audio", "errors", "queues", "pcm", "backends.base", "speech", "playback"},
    "bench": {"audio", "errors", "printable", "config", "backends", "protocol.openai", "playback"},
    "script": {"audio", "errors", "queues"},
    "protocol": {"audio", "errors", "printable"},
    "pcm": {"audio"},
    "api_keys": {"config", "errors", "printable"},
    "config": {"audio", "config_keys", "errors", "folders", "presets"},
    "presets": {"errors"},
    "config_keys": {"audio", "errors"},
    "doctor": {
        *("audio", "errors", "folders", "system_packages", "config", "config_keys", "codecs", "backends", "voices"),
        *("playback.sinks", "agent", "server.settings"),
    },
    "system_packages": set(),
    "folders": set(),
    "kept_files": set(),
    "state_file": {"folders"},
    "queues": {"errors"},
    "clock": set(),
    "audio": set(),
    "errors": set(),
    "printable": set(),
    "server": {
        *(
            "audio",
            "errors",
            "printable",
            "clock",
            "queues",
            "protocol",
            "pcm",
            "script",
            "codecs",
            "speech",
            "backends",
        ),
        "config",
        "config_keys",
        "folders",
        "voices",
    },
    "assistants": {"errors", "folders", "state_file", "script", "agent"},
    "cli": None,
    "__main__": {"cli"},
    "": set(),
}
"""The order in DESIGN.md; None: anything. All may import the package itself, which has only its version."""


def part_of(name):
    inside = name.removeprefix(PACKAGE).removeprefix(".")
    return next(part for part in PARTS if inside == part or inside.startswith(f"{part}.") or not part)


def test_every_module_belongs_to_a_part():
    strays = {name for name in MODULES if part_of(name) == "" and name != PACKAGE}
    assert not strays, "add them to PARTS and DESIGN.md"


@pytest.mark.parametrize("name", MODULES)
def test_imports_follow_the_order(name):
    part = part_of(name)
    if PARTS[part] is None:
        return
    allowed = PARTS[part] | {part}
    # The pump writes frames to a SinkSource, which is part of playback, not the reverse.
    if part == "playback":
        allowed |= {"playback.sinks", "playback.ring_buffer"}
    for imported in imports_of(name):
        if imported == PACKAGE or not imported.startswith(f"{PACKAGE}."):
            continue
        inside = imported.removeprefix(f"{PACKAGE}.")
        assert any(inside == one or inside.startswith(f"{one}.") for one in allowed), f"{name} imports {imported}"


@pytest.mark.parametrize("name", [name for name in MODULES if part_of(name) not in ("cli", "__main__")])
def test_only_the_cli_imports_the_cli(name):
    assert not [imported for imported in imports_of(name) if imported.startswith(f"{PACKAGE}.cli")]


def test_server_does_not_import_playback():
    for name in [name for name in MODULES if part_of(name) == "server"]:
        assert not [one for one in imports_of(name) if one.startswith((f"{PACKAGE}.cli", f"{PACKAGE}.playback"))]


def test_player_imports_no_concrete_backend_codec_or_device():
    for name in ("voice_cli.playback.player", "voice_cli.playback.pump", "voice_cli.playback.sink_source"):
        for imported in imports_of(name):
            assert not imported.startswith("voice_cli.backends.") or imported.startswith("voice_cli.backends.base")
            assert not imported.startswith("voice_cli.playback.sinks.") or imported.endswith(".base")
            assert not imported.startswith("voice_cli.codecs.") or imported.endswith(".base")


@pytest.mark.parametrize("folder", ["backends", "codecs"])
def test_tables_import_their_modules_late(folder):
    eager = imports_of(f"{PACKAGE}.{folder}", late=False)
    ours = {name for name in eager if name.startswith(f"{PACKAGE}.{folder}.")}
    assert ours <= {f"{PACKAGE}.{folder}.{name}" for name in ("base", "media_types", "sniff", "table")}


HEAVY = {
    # library: the modules or parts that may import it
    "av": {"books.sound", "codecs", "pcm.convert", "pcm.tempo"},
    "numpy": {"backends.local", "codecs", "pcm"},
    "sounddevice": {"playback.sinks.portaudio"},
    "openai": {"backends.remote.openai"},
    "pycurl": set(),  # `backends.curl` loads its extension module
    "websockets": {"backends.remote.ws_failures", "backends.remote.ws_link"},
    "opuslib": {"codecs.opus"},
    "pydub": {"recording.recorder"},
    "rich": {"cli", "bench"},
    "typer": {"cli"},
    "espeakng_loader": {"backends.local.espeak"},
    "torch": {"pcm.samples"},
    "asyncio": {"queues", "streamer.aio"},
    "fastapi": set(),
    "starlette": set(),
    "uvicorn": set(),
    "prometheus_client": set(),
    "click": set(),
    "httpx": set(),
    "requests": set(),
    "soundfile": set(),
    "mcp": {"assistants.mcp_server"},
    "anyio": {"assistants.mcp_server"},
    "pydantic": {"assistants.mcp_server"},
}


@pytest.mark.parametrize("library", HEAVY)
def test_slow_library_is_imported_only_by_its_modules(library):
    users = {
        name.removeprefix(f"{PACKAGE}.")
        for name in MODULES
        if any(one == library or one.startswith(f"{library}.") for one in imports_of(name))
        and part_of(name) != "server"
    }
    assert not {
        user for user in users if user not in HEAVY[library] and part_of(f"{PACKAGE}.{user}") not in HEAVY[library]
    }


def test_only_one_codec_module_imports_av_and_one_numpy():
    codecs = [name for name in MODULES if name.startswith("voice_cli.codecs")]
    assert [name for name in codecs if "av" in imports_of(name)] == ["voice_cli.codecs.av_codec"]
    assert [name for name in codecs if "numpy" in imports_of(name)] == ["voice_cli.codecs.sample_types"]


def test_ray_is_imported_only_by_its_two_modules_and_late():
    with_ray = {"voice_cli.server.deployment", "voice_cli.server.ray_hosting"}
    users = {name for name in MODULES if {one.partition(".")[0] for one in imports_of(name)} & {"ray"}}
    assert users == with_ray
    assert not any("voice_cli.server.deployment" in imports_of(name, late=False) for name in MODULES)
    assert "ray" not in imports_of("voice_cli.server.ray_hosting", late=False)


WEB = {
    # library: the only modules or folders of the server that may import it
    "fastapi": {"app", "hosting", "deployment", "routes"},
    "starlette": {"app", "affinity", "deployment", "errors", "guard", "responses", "sockets", "routes"},
    "uvicorn": {"connections", "hosting"},
    "websockets": {"connections"},
    "prometheus_client": {"metrics"},
}


@pytest.mark.parametrize("library", WEB)
def test_web_library_is_imported_only_by_its_server_modules(library):
    prefix = f"{PACKAGE}.server."
    users = {
        name.removeprefix(prefix).partition(".")[0]
        for name in MODULES
        if name.startswith(prefix) and any(one.partition(".")[0] == library for one in imports_of(name))
    }
    assert users <= WEB[library]


LATE = {
    *("av", "numpy", "sounddevice", "openai", "opuslib", "pydub", "rich", "espeakng_loader", "torch", "audioop"),
    *("fastapi", "starlette", "uvicorn", "prometheus_client"),
}
"""Libraries that no module imports at its top level."""

BEHIND = {f"voice_cli.codecs.{name}" for name in ("av_codec", "aac", "flac")}
"""The exceptions, which need PyAV and are imported late by the table of codecs."""


@pytest.mark.parametrize("name", [name for name in MODULES if part_of(name) != "server"])
def test_module_imports_no_slow_library(name):
    eager = {one.partition(".")[0] for one in imports_of(name, late=False)}
    if name not in BEHIND:
        assert not eager & LATE
        assert not imports_of(name, late=False) & BEHIND


def test_player_and_cli_import_no_slow_library():
    program = (
        "import sys, voice_cli.playback.player, voice_cli.recording.recorder, voice_cli.playback.sinks.device\n"
        "import voice_cli.cli.start, voice_cli.cli.quick, voice_cli.cli.say\n"
        "print(*{name.partition('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not set(done.stdout.split()) & (LATE | {"typer", "asyncio", "pathlib", "ssl"})
